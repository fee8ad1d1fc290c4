//! Programs that verifiers accept, made of those that they do not.
//!
//! ```text
//! program -> what each register and slot may hold before each instruction -> what would be refused there is replaced,
//!            or something is put before it that sets its operands right
//! ```
//!
//! A value is described by the kinds that it may have on any path, and by hulls of the distances and numbers. Frames of
//! callers are known by how far up the chain they are, and subprograms are analysed once for all who call them. An
//! instruction stays if every kind that its operands may have is one that a verifier lets pass. Repairs are made while
//! the fixed point is sought: what went on from an instruction before it was repaired stays in what is known behind it,
//! which makes that wider and not wrong.

use crate::assemble::{Function, Instruction, Operand, Program, mov_imm};
use crate::interpret::{compute, moved};
use crate::random::{Fnv, Random};
use livediff_capture::{
    Insn, Map, MapShape,
    insn::{MAY_GOTO, REG_FP, REG_PARAMS, SRC_X, alu, atomic, class, func, jmp, mode, size},
};
use std::collections::BTreeSet;
use std::{hash::Hasher, sync::Arc};

const UNINIT: u16 = 1;
const NUM: u16 = 1 << 1;
const FRAME: u16 = 1 << 2;
const CTX: u16 = 1 << 3;
const MAP: u16 = 1 << 4;
const VALUE: u16 = 1 << 5;
const FUNC: u16 = 1 << 6;
const TABLE: u16 = 1 << 7;
const TARGET: u16 = 1 << 8;
/// Something that can be kept and compared alone: a value or null, a key.
const OPAQUE: u16 = 1 << 9;

type Hull = (i64, i64);
const ALL: Hull = (i64::MIN, i64::MAX);
/// Distances of pointers that are followed.
const FAR: i64 = 4096;
/// Visits of an instruction before what grows is taken for anything.
const PATIENCE: u32 = 5;
/// Instructions before another one that set its operands right.
const REPAIRS: usize = 24;
/// Jumps back of a program: more of them can take a verifier longer than anybody waits.
const LOOPS: usize = 2;
/// Labels for an instruction and those before it.
const STRIDE: u32 = 64;

/// What a register or slot may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Value {
    kinds: u16,
    /// Frames, by how far up the chain of calls.
    depths: u64,
    /// Distances from frame pointers, and the power of two that all are multiples of.
    frame: Hull,
    frame_align: u32,
    /// Offsets in maps' values and in jump tables.
    value: Hull,
    number: Hull,
    number_align: u32,
    /// Maps, functions or jump tables.
    refs: u64,
}

const NOTHING: Value = Value {
    kinds: 0,
    depths: 0,
    frame: (i64::MAX, i64::MIN),
    frame_align: 63,
    value: (i64::MAX, i64::MIN),
    number: (i64::MAX, i64::MIN),
    number_align: 63,
    refs: 0,
};

fn zeros(number: i64) -> u32 {
    number.trailing_zeros().min(63)
}

impl Value {
    const fn of(kinds: u16) -> Value {
        Value { kinds, ..NOTHING }
    }

    const fn any_number() -> Value {
        Value { kinds: NUM, number: ALL, number_align: 0, ..NOTHING }
    }

    fn number(number: i64) -> Value {
        Value { kinds: NUM, number: (number, number), number_align: zeros(number), ..NOTHING }
    }

    fn frame(off: i64) -> Value {
        Value { kinds: FRAME, depths: 1, frame: (off, off), frame_align: zeros(off), ..NOTHING }
    }

    fn is(&self, kinds: u16) -> bool {
        self.kinds != 0 && self.kinds & !kinds == 0
    }

    fn constant(&self) -> Option<i64> {
        (self.kinds == NUM && self.number.0 == self.number.1).then_some(self.number.0)
    }

    fn join(&self, other: &Value, widen: bool) -> Value {
        let hull = |a: Hull, b: Hull, most: Hull| {
            let sum = (a.0.min(b.0), a.1.max(b.1));
            if widen && sum != a { most } else { sum }
        };
        Value {
            kinds: self.kinds | other.kinds,
            depths: self.depths | other.depths,
            frame: hull(self.frame, other.frame, (-2 * FAR, 2 * FAR)),
            frame_align: self.frame_align.min(other.frame_align),
            value: hull(self.value, other.value, (-2 * FAR, 2 * FAR)),
            number: hull(self.number, other.number, ALL),
            number_align: self.number_align.min(other.number_align),
            refs: self.refs | other.refs,
        }
    }

    /// The same seen from one frame further down, or up.
    fn seen_from(&self, down: bool) -> Value {
        Value { depths: if down { self.depths << 1 } else { self.depths >> 1 }, ..*self }
    }

    fn moved(&self, by: Hull, by_align: u32, minus: bool) -> Value {
        let add = |hull: Hull| {
            let (low, high) = if minus { (by.1.saturating_neg(), by.0.saturating_neg()) } else { by };
            (hull.0.saturating_add(low), hull.1.saturating_add(high))
        };
        let mut moved = *self;
        if self.kinds & FRAME != 0 {
            moved.frame = add(self.frame);
            moved.frame_align = match moved.frame {
                (a, b) if a == b => zeros(a),
                _ => self.frame_align.min(by_align),
            };
        }
        if self.kinds & (VALUE | TABLE) != 0 {
            moved.value = add(self.value);
        }
        if self.kinds & NUM != 0 {
            moved.number = add(self.number);
            moved.number_align = self.number_align.min(by_align);
            if moved.number.0 < -FAR || moved.number.1 > FAR {
                (moved.number, moved.number_align) = (ALL, 0);
            }
        }
        moved
    }

    fn is_near(&self) -> bool {
        let near = |hull: Hull| hull.0 > hull.1 || hull.0 >= -FAR && hull.1 <= FAR;
        near(self.frame) && near(self.value)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    regs: [Value; 10],
    /// Slots of frames, by how far up the chain, each from its top.
    slots: Vec<Vec<Value>>,
}

impl State {
    fn reg(&self, reg: u8) -> Value {
        match reg {
            REG_FP => Value::frame(0),
            reg => self.regs.get(usize::from(reg)).copied().unwrap_or(Value::of(UNINIT)),
        }
    }

    fn set(&mut self, reg: u8, value: Value) {
        if let Some(place) = self.regs.get_mut(usize::from(reg)) {
            *place = value;
        }
    }

    fn join(&mut self, other: &State, widen: bool) -> bool {
        let before = self.clone();
        let slots = self.slots.iter_mut().flatten().zip(other.slots.iter().flatten());
        for (value, other) in self.regs.iter_mut().zip(&other.regs).chain(slots) {
            *value = value.join(other, widen);
        }
        before != *self
    }

    /// The slots that an access may touch: depth and place; and whether it is this one for certain.
    fn touched(&self, pointer: &Value, off: i64, size: i64) -> (Vec<(usize, usize)>, bool) {
        let mut touched = Vec::new();
        if pointer.kinds & FRAME == 0 || size <= 0 {
            return (touched, false);
        }
        let top = -1 - (pointer.frame.1.saturating_add(off + size - 1)).min(-1);
        let bottom = -1 - (pointer.frame.0.saturating_add(off)).min(-1);
        for (depth, slots) in self.slots.iter().enumerate() {
            if depth < 64 && pointer.depths >> depth & 1 == 1 {
                let places = (top / 8).max(0) as usize..=(bottom / 8).max(0) as usize;
                touched.extend(places.take_while(|place| *place < slots.len()).map(|place| (depth, place)));
            }
        }
        let certain = pointer.kinds == FRAME && pointer.frame.0 == pointer.frame.1 && touched.len() == 1;
        (touched, certain)
    }

    fn slot(&mut self, (depth, place): (usize, usize)) -> Option<&mut Value> {
        self.slots.get_mut(depth)?.get_mut(place)
    }

    fn write(&mut self, pointer: &Value, off: i64, size: i64, value: Value) {
        let (touched, certain) = self.touched(pointer, off, size);
        for place in touched {
            if let Some(slot) = self.slot(place) {
                let whole = size == 8;
                let new = if whole { value } else { Value::any_number() };
                *slot = if certain { new } else { slot.join(&new, false).join(&Value::any_number(), false) };
            }
        }
    }

    fn read(&mut self, pointer: &Value, off: i64, size: i64) -> Value {
        let (touched, certain) = self.touched(pointer, off, size);
        if size < 8 {
            return Value::any_number();
        }
        let mut read = if certain { NOTHING } else { Value::any_number() };
        for place in touched {
            if let Some(slot) = self.slot(place) {
                read = read.join(slot, false);
            }
        }
        read
    }

    /// Nothing but numbers lies where an access may reach.
    fn numbers_alone(&mut self, pointer: &Value, off: i64, size: i64) -> bool {
        let (touched, _) = self.touched(pointer, off, size);
        touched.into_iter().all(|place| self.slot(place).is_none_or(|slot| slot.is(NUM)))
    }

    fn called(&mut self, result: Value) {
        (1..=5).for_each(|reg| self.set(reg, Value::of(UNINIT)));
        self.set(0, result);
    }
}

fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst_reg, src_reg, off, imm }
}

type Made = (Insn, Operand);

/// A function at work, its labels replaced by places.
struct Work {
    label: u32,
    insns: Vec<Made>,
    before: Vec<Vec<Made>>,
    states: Vec<Option<State>>,
    visits: Vec<u32>,
    exit: Option<State>,
    tables: Vec<Vec<usize>>,
}

struct Repair {
    functions: Vec<Work>,
    maps: Arc<Vec<Map>>,
    random: Random,
    /// Field of the context that is loaded as a number: offset and size.
    field: (i16, u8),
    packets: bool,
    /// A Bloom filter may be asked: what this shows hides everything else.
    bloom: bool,
    /// Bytes of a frame.
    limit: i64,
    open: BTreeSet<(usize, usize)>,
}

/// An access of an instruction.
#[derive(Clone, Copy)]
struct Access {
    size: i64,
    write: bool,
}

/// Rewrites a program so that a verifier accepts it, mostly: what it does to frames stays as far as that allows it.
pub fn lawful(program: &mut Program) {
    let mut hash = Fnv::default();
    for insn in program.insns() {
        hash.write(&[insn.insn.code, insn.insn.dst_reg, insn.insn.src_reg]);
        hash.write(&insn.insn.imm.to_le_bytes());
    }
    let mut random = Random::new(hash.finish());
    let (field, packets) = match program.section.as_str() {
        "xdp" => ((12, size::W), false),
        "sk_msg" => ((16, size::W), false),
        "sk_lookup" => ((8, size::W), false),
        "kprobe" | "perf_event" | "raw_tp" => ((0, size::DW), false),
        "socket" | "tc" | "cgroup/skb" => ((0, size::W), true),
        _ => ((0, size::W), false),
    };
    let count = program.functions.len().max(1) as i64;
    let limit = if count == 1 { 480 } else { (512 / count / 32 * 32).max(32) };
    let mut loops = 0;
    let functions =
        program.functions.iter().map(|function| work(function, &mut random, &mut loops, field, limit));
    let functions: Vec<Work> = functions.collect();
    let mut maps = (*program.maps).clone();
    maps.extend(queues());
    let maps = Arc::new(maps);
    let bloom = random.percent(10);
    let (shared, open) = (Arc::clone(&maps), BTreeSet::new());
    let mut repair = Repair { functions, maps: shared, random, field, packets, bloom, limit, open };
    repair.run();
    program.maps = maps;
    for (function, work) in program.functions.iter_mut().zip(repair.functions) {
        function.global = function.label == 0;
        function.jump_tables = work
            .tables
            .iter()
            .map(|table| table.iter().map(|place| *place as u32 * STRIDE).collect())
            .collect();
        function.insns.clear();
        for (place, (made, before)) in work.insns.into_iter().zip(work.before).enumerate() {
            let begin = place as u32 * STRIDE;
            for (number, (insn, operand)) in before.into_iter().enumerate() {
                function.insns.push(Instruction { label: begin + number as u32, insn, operand });
            }
            let operand = match made.1 {
                Operand::Jump(place) => Operand::Jump(place * STRIDE),
                operand => operand,
            };
            function.insns.push(Instruction { label: begin + STRIDE - 1, insn: made.0, operand });
        }
    }
    program.tidy();
}

/// Maps that are asked for values without keys.
fn queues() -> [Map; 3] {
    let map = |name: &str, map_type, value_size| Map {
        name: name.into(),
        map_type,
        shape: MapShape { key_size: 0, value_size },
        max_entries: 4,
        ..Map::default()
    };
    [map("queue", 22, 8), map("stack", 23, 16), map("bloom", 30, 8)]
}

/// A function with something in its registers at its entry, and jumps back only where they are counted.
fn work(function: &Function, random: &mut Random, loops: &mut usize, field: (i16, u8), limit: i64) -> Work {
    let mut insns: Vec<Made> = Vec::new();
    let copy = |dst, src| (insn(class::ALU64 | alu::MOV | SRC_X, dst, src, 0, 0), Operand::None);
    let mut pointer = |reg, insns: &mut Vec<Made>| {
        let slots = (limit / 8).min(12) as i32;
        insns.push(copy(reg, REG_FP));
        let off = -8 * random.range(1, slots);
        insns.push((insn(class::ALU64 | alu::ADD, reg, 0, 0, off), Operand::None));
    };
    if function.label == 0 {
        insns.push(copy(6, 1));
        insns.push((insn(class::LDX | mode::MEM | field.1, 7, 1, field.0, 0), Operand::None));
        pointer(8, &mut insns);
        insns.push(copy(9, 7));
    } else {
        insns.push(copy(6, 1));
        insns.push(copy(7, 2));
        insns.push((mov_imm(8, 0), Operand::None));
        pointer(9, &mut insns);
    }
    // Instructions that go back are two.
    let back = |at: usize, made: &Instruction| match made.operand {
        Operand::Jump(label) => function.place(label) <= at,
        _ => false,
    };
    let mut places = vec![];
    let mut next = insns.len();
    for (at, made) in function.insns.iter().enumerate() {
        places.push(next);
        next += if back(at, made) { 2 } else { 1 };
    }
    let last = places.get(places.len().saturating_sub(2)).copied().unwrap_or(0);
    let place = |label: u32| places.get(function.place(label)).map_or(last, |place| (*place).min(last));
    let mut indirect = 0;
    for (at, made) in function.insns.iter().enumerate() {
        if made.insn.is_gotox() {
            indirect = insns.len();
        }
        let mut new = (made.insn, made.operand);
        if let Operand::Jump(label) = made.operand {
            new.1 = Operand::Jump(place(label) as u32);
            if back(at, made) && *loops >= LOOPS {
                new.1 = Operand::Jump(last as u32);
                insns.push((mov_imm(0, 0), Operand::None));
            } else if back(at, made) {
                *loops += 1;
                // What is counted is not to go on behind it.
                let behind = Operand::Jump(insns.len() as u32 + 2);
                insns.push((insn(class::JMP | jmp::JCOND, 0, MAY_GOTO, 0, 0), behind));
            }
        }
        insns.push(new);
    }
    let target = |label: &u32| if place(*label) <= indirect { last } else { place(*label) };
    let tables = function.jump_tables.iter().map(|table| table.iter().map(target).collect()).collect();
    let count = insns.len();
    Work {
        label: function.label,
        insns,
        before: vec![Vec::new(); count],
        states: vec![None; count],
        visits: vec![0; count],
        exit: None,
        tables,
    }
}

impl Repair {
    fn run(&mut self) {
        let frames = self.functions.len();
        let slots = vec![vec![Value::any_number(); (self.limit / 8) as usize]; frames];
        let mut entry = State { regs: [Value::of(UNINIT); 10], slots };
        entry.set(1, Value::of(CTX));
        self.reach(0, 0, &entry);
        let mut steps = 0;
        while let Some((function, at)) = self.open.pop_first() {
            steps += 1;
            if steps > 50_000 {
                return;
            }
            self.visit(function, at);
        }
    }

    fn reach(&mut self, function: usize, at: usize, state: &State) {
        let Some(work) = self.functions.get_mut(function) else { return };
        let (Some(known), Some(visits)) = (work.states.get_mut(at), work.visits.get_mut(at)) else { return };
        let changed = match known {
            Some(known) => known.join(state, *visits > PATIENCE),
            None => {
                *known = Some(state.clone());
                true
            }
        };
        if changed {
            *visits += 1;
            self.open.insert((function, at));
        }
    }

    fn visit(&mut self, function: usize, at: usize) {
        let Some(work) = self.functions.get(function) else { return };
        let (Some(Some(state)), Some(made), Some(before)) =
            (work.states.get(at), work.insns.get(at), work.before.get(at))
        else {
            return;
        };
        let (mut state, mut made, mut before) = (state.clone(), *made, before.clone());
        let mut lawful = true;
        for made in &before {
            lawful &= put(&mut state, made);
        }
        lawful &= before.len() <= REPAIRS && self.mend(function, &mut state, &mut made, &mut before);
        if !lawful {
            if let Some(Some(known)) = self.functions.get(function).and_then(|work| work.states.get(at)) {
                state = known.clone();
            }
            before.clear();
            made = self.harmless(&made.0);
        }
        if let Some(work) = self.functions.get_mut(function) {
            if let Some(place) = work.insns.get_mut(at) {
                *place = made;
            }
            if let Some(place) = work.before.get_mut(at) {
                *place = before;
            }
        }
        self.go_on(function, at, state, &made);
    }

    /// What takes the place of an instruction that cannot be.
    fn harmless(&mut self, instead_of: &Insn) -> Made {
        let slots = (self.limit / 8).min(12) as i32;
        match instead_of.class() {
            class::ST | class::STX => {
                let off = (-8 * self.random.range(1, slots)) as i16;
                (insn(class::ST | mode::MEM | size::DW, REG_FP, 0, off, 1), Operand::None)
            }
            class::JMP | class::JMP32 => (mov_imm(0, 0), Operand::None),
            _ if instead_of.dst_reg < 10 => (mov_imm(instead_of.dst_reg, 8), Operand::None),
            _ => (mov_imm(0, 0), Operand::None),
        }
    }

    fn fix(&self, state: &mut State, before: &mut Vec<Made>, insn: Insn, operand: Operand) {
        put(state, &(insn, operand));
        before.push((insn, operand));
    }

    /// A pointer into the frame whose next `size` bytes lie in it.
    fn point(&mut self, state: &mut State, before: &mut Vec<Made>, reg: u8, size: i64) {
        let slots = ((self.limit / 8).min(12) - (size - 1) / 8).max(1) as i32;
        let off = -8 * self.random.range(1, slots) - ((size - 1) / 8 * 8) as i32;
        self.fix(state, before, insn(class::ALU64 | alu::MOV | SRC_X, reg, REG_FP, 0, 0), Operand::None);
        self.fix(state, before, insn(class::ALU64 | alu::ADD, reg, 0, 0, off), Operand::None);
    }

    /// Something is in the register.
    fn written(&mut self, state: &mut State, before: &mut Vec<Made>, reg: u8) {
        if state.reg(reg).kinds & UNINIT == 0 {
            return;
        }
        match self.random.below(3) {
            0 => self.point(state, before, reg, 8),
            _ => {
                let imm = self.random.of(&[0, 0, 1, 8, 16, -1], 0);
                self.fix(state, before, mov_imm(reg, imm), Operand::None);
            }
        }
    }

    /// The maps can be written.
    fn writable(&self, refs: u64) -> bool {
        const RDONLY_PROG: u32 = 1 << 7;
        self.maps.iter().enumerate().all(|(at, map)| refs >> at & 1 == 0 || map.map_flags & RDONLY_PROG == 0)
    }

    fn value_size(&self, refs: u64, largest: bool) -> i64 {
        let sizes = self.maps.iter().enumerate().filter(|(at, _)| refs >> at & 1 == 1);
        let sizes = sizes.map(|(_, map)| i64::from(map.shape.value_size));
        if largest { sizes.max() } else { sizes.min() }.unwrap_or(0)
    }

    fn key_size(&self, refs: u64) -> i64 {
        let sizes = self.maps.iter().enumerate().filter(|(at, _)| refs >> at & 1 == 1);
        sizes.map(|(_, map)| i64::from(map.shape.key_size)).max().unwrap_or(0)
    }

    /// An offset at which an access through the pointer is right.
    fn fit(&mut self, pointer: &Value, off: i16, access: Access) -> Option<i16> {
        let size = access.size;
        if !pointer.is(FRAME | VALUE)
            || pointer.kinds & VALUE != 0 && access.write && !self.writable(pointer.refs)
        {
            return None;
        }
        let value_size = self.value_size(pointer.refs, false);
        let right = |off: i64| {
            let inside = |(low, high): Hull, aligned: bool, least: i64, end: i64| {
                low + off >= least && high + off + size <= end && aligned
            };
            let divides = |(low, high): Hull, align: u32| match low == high {
                true => (low + off).rem_euclid(size) == 0,
                false => 1i64 << align.min(3) >= size && off.rem_euclid(size) == 0,
            };
            let frame = || {
                let aligned = divides(pointer.frame, pointer.frame_align);
                inside(pointer.frame, aligned, -self.limit, 0)
            };
            let value = || inside(pointer.value, true, 0, value_size);
            (pointer.kinds & FRAME == 0 || frame()) && (pointer.kinds & VALUE == 0 || value())
        };
        let off = i64::from(off);
        let mut tries = vec![off];
        if pointer.kinds & FRAME != 0 {
            let (low, high) = pointer.frame;
            if low == high {
                tries.push(off - (low + off).rem_euclid(size));
                let slot = i64::from(self.random.range(1, (self.limit / 8).min(12) as i32));
                tries.push(-low - 8 * slot);
            }
            tries.push(off - off.rem_euclid(size));
            tries.push((-high - size).div_euclid(8) * 8);
        }
        if pointer.kinds & VALUE != 0 {
            tries.extend([off - (pointer.value.0 + off).rem_euclid(size), -pointer.value.0]);
        }
        tries.into_iter().find(|off| right(*off)).and_then(|off| i16::try_from(off).ok())
    }

    /// Makes an access through `base` right, or one to the frame.
    fn access(&mut self, state: &mut State, base: &mut u8, off: &mut i16, access: Access) {
        let pointer = state.reg(*base);
        match self.fit(&pointer, *off, access) {
            Some(fits) => *off = fits,
            None => {
                *base = REG_FP;
                let fits = self.fit(&Value::frame(0), *off, access);
                *off = fits.unwrap_or(-8);
            }
        }
    }

    /// Makes an instruction right; false if it cannot be.
    fn mend(&mut self, function: usize, state: &mut State, made: &mut Made, before: &mut Vec<Made>) -> bool {
        let (dst, src) = (made.0.dst_reg, made.0.src_reg);
        if dst == REG_PARAMS || src == REG_PARAMS {
            return false;
        }
        match made.0.class() {
            class::ALU | class::ALU64 => self.mend_alu(state, &mut made.0, before),
            class::LD if made.0.is_ld_abs_ind() => {
                self.packets && made.0.mode() == mode::ABS && function == 0 && state.reg(6).is(CTX)
            }
            class::LD => dst < 10,
            class::LDX => self.mend_load(function, state, &mut made.0),
            class::ST | class::STX => self.mend_store(state, &mut made.0, before),
            _ => self.mend_jump(function, state, made, before),
        }
    }

    fn mend_alu(&mut self, state: &mut State, insn: &mut Insn, before: &mut Vec<Made>) -> bool {
        let wide = insn.class() == class::ALU64;
        let op = insn.op();
        if insn.dst_reg >= 10 {
            return false;
        }
        let takes_src = insn.is_src_x() && !matches!(op, alu::END | alu::NEG);
        if takes_src {
            self.written(state, before, insn.src_reg);
        }
        if op == alu::MOV {
            if wide && insn.is_src_x() && insn.off == 1 {
                (insn.off, insn.imm) = (0, 0);
            }
            return true;
        }
        self.written(state, before, insn.dst_reg);
        if wide && op == alu::SUB && state.reg(insn.dst_reg).kinds & FRAME != 0 {
            // Nothing is subtracted from a pointer into a frame.
            insn.code = insn.code & !alu::SUB | alu::ADD;
            insn.imm = insn.imm.wrapping_neg();
        }
        let op = insn.op();
        let (mut a, mut b) = (state.reg(insn.dst_reg), state.reg(insn.src_reg));
        if !takes_src {
            b = Value::number(insn.imm.into());
            match op {
                alu::DIV | alu::MOD if insn.imm == 0 => insn.imm = 3,
                alu::LSH | alu::RSH | alu::ARSH => insn.imm &= if wide { 63 } else { 31 },
                _ => {}
            }
        }
        if a.is(NUM) && (b.is(NUM) || !takes_src) {
            return true;
        }
        if !wide || !matches!(op, alu::ADD | alu::SUB) {
            return false;
        }
        let pointer = FRAME | VALUE | TABLE;
        let bound = |value: &Value| value.number.0 >= -512 && value.number.1 <= 512;
        if a.is(pointer | NUM) && b.is(NUM) {
            if !bound(&b) {
                if !takes_src {
                    insn.imm = insn.imm % 8 * 8;
                    b = Value::number(insn.imm.into());
                } else if insn.src_reg < 10 && insn.src_reg != insn.dst_reg {
                    let mask = self.random.of(&[8, 8, 24, 4], 8);
                    let and = Insn {
                        code: class::ALU64 | alu::AND,
                        dst_reg: insn.src_reg,
                        imm: mask,
                        ..Insn::default()
                    };
                    self.fix(state, before, and, Operand::None);
                    b = state.reg(insn.src_reg);
                } else {
                    return false;
                }
            }
            if a.kinds & TABLE != 0 && op == alu::SUB {
                return false;
            }
        } else if op == alu::ADD && a.is(NUM) && b.is(FRAME | VALUE) && bound(&a) {
            std::mem::swap(&mut a, &mut b);
        } else {
            return false;
        }
        if !a.moved(b.number, b.number_align, op == alu::SUB).is_near() {
            *insn = Insn {
                code: class::ALU64 | alu::MOV | SRC_X,
                dst_reg: insn.dst_reg,
                src_reg: REG_FP,
                ..Insn::default()
            };
        }
        true
    }

    fn mend_load(&mut self, function: usize, state: &mut State, insn: &mut Insn) -> bool {
        if insn.dst_reg >= 10 {
            return false;
        }
        let base = state.reg(insn.src_reg);
        if base.is(CTX) {
            (insn.code, insn.off) = (class::LDX | mode::MEM | self.field.1, self.field.0);
            return true;
        }
        if base.is(TABLE) {
            let tables = self.functions.get(function).map(|work| work.tables.iter().enumerate());
            let least = tables
                .into_iter()
                .flatten()
                .filter(|(at, _)| base.refs >> at & 1 == 1)
                .map(|(_, table)| table.len())
                .min();
            let end = 8 * least.unwrap_or(0) as i64;
            let off = i64::from(insn.off);
            return insn.size_bytes() == 8
                && insn.mode() == mode::MEM
                && base.value.0 + off >= 0
                && base.value.1 + off + 8 <= end
                && (base.value.0 + off).rem_euclid(8) == 0
                && base.value.0 == base.value.1;
        }
        self.mend_read(state, insn, false)
    }

    /// A read of memory through `src_reg`, or of an atomic operation through `dst_reg`.
    fn mend_read(&mut self, state: &mut State, insn: &mut Insn, writes: bool) -> bool {
        let atomic = insn.class() == class::STX;
        let through_dst = atomic && insn.imm != atomic::LOAD_ACQ;
        for _ in 0..3 {
            let size = i64::from(insn.size_bytes());
            let access = Access { size, write: writes };
            let (mut base, mut off) = (if through_dst { insn.dst_reg } else { insn.src_reg }, insn.off);
            self.access(state, &mut base, &mut off, access);
            insn.off = off;
            if through_dst {
                insn.dst_reg = base;
            } else {
                insn.src_reg = base;
            }
            if size == 8 || state.numbers_alone(&state.reg(base), off.into(), size) {
                return true;
            }
            // A part of a pointer cannot be read.
            let mode = if atomic { mode::ATOMIC } else { mode::MEM };
            insn.code = insn.class() | mode | size::DW;
        }
        false
    }

    fn mend_store(&mut self, state: &mut State, insn: &mut Insn, before: &mut Vec<Made>) -> bool {
        let atomic = insn.class() == class::STX && insn.mode() == mode::ATOMIC;
        if atomic && insn.imm == atomic::LOAD_ACQ {
            return insn.dst_reg < 10 && self.mend_read(state, insn, false);
        }
        if insn.class() == class::STX {
            self.written(state, before, insn.src_reg);
        }
        if atomic && insn.imm != atomic::STORE_REL {
            if insn.imm == atomic::CMPXCHG {
                self.written(state, before, 0);
            }
            return (insn.atomic_load_reg().is_none() || insn.src_reg < 10)
                && self.mend_read(state, insn, true);
        }
        let size = i64::from(insn.size_bytes());
        let (mut base, mut off) = (insn.dst_reg, insn.off);
        self.access(state, &mut base, &mut off, Access { size, write: true });
        (insn.dst_reg, insn.off) = (base, off);
        let target = state.reg(base);
        if insn.class() == class::STX {
            let value = state.reg(insn.src_reg);
            let upwards = value.kinds & FRAME != 0 && target.kinds & FRAME != 0 && target.depths != 1;
            if upwards || size < 8 && !value.is(NUM) {
                let width = insn.size();
                *insn = Insn { code: class::ST | mode::MEM | width, src_reg: 0, imm: 1, ..*insn };
            }
        }
        true
    }

    fn mend_jump(
        &mut self,
        function: usize,
        state: &mut State,
        made: &mut Made,
        before: &mut Vec<Made>,
    ) -> bool {
        let jump = made.0;
        match jump.op() {
            jmp::EXIT => {
                if state.reg(0).constant() != Some(0) {
                    self.fix(state, before, mov_imm(0, 0), Operand::None);
                }
                true
            }
            jmp::CALL => self.mend_call(function, state, made, before),
            jmp::JA if jump.is_gotox() => state.reg(jump.dst_reg).is(TARGET),
            jmp::JA | jmp::JCOND => true,
            _ => {
                self.written(state, before, jump.dst_reg);
                if jump.is_src_x() {
                    self.written(state, before, jump.src_reg);
                }
                true
            }
        }
    }

    /// A number is in the register.
    fn numeric(&mut self, state: &mut State, before: &mut Vec<Made>, reg: u8, least: i64, most: i64) {
        let value = state.reg(reg);
        if !value.is(NUM) || value.number.0 < least || value.number.1 > most {
            let least = i32::try_from(least).unwrap_or(0);
            let wanted = self.random.of(&[0, 1, 4, 8, 8, 12, 16], 8);
            let imm = wanted.max(least).min(i32::try_from(most).unwrap_or(i32::MAX));
            self.fix(state, before, mov_imm(reg, imm), Operand::None);
        }
    }

    /// A pointer to so many bytes of a frame is in the register.
    fn bytes(&mut self, state: &mut State, before: &mut Vec<Made>, reg: u8, size: i64) {
        let value = state.reg(reg);
        let fits = value.is(FRAME) && value.frame.0 >= -self.limit && value.frame.1 + size <= 0;
        if !fits {
            self.point(state, before, reg, size);
        }
    }

    /// A map of these is in r1.
    fn map(&mut self, state: &mut State, before: &mut Vec<Made>, allowed: u64) -> u64 {
        let value = state.reg(1);
        if !value.is(MAP) || value.refs & !allowed != 0 {
            let places: Vec<usize> = (0..64).filter(|at| allowed >> at & 1 == 1).collect();
            let place = self.random.of(&places, 0);
            let load = insn(class::LD | mode::IMM | size::DW, 1, 0, 0, 0);
            self.fix(state, before, load, Operand::Map(place));
        }
        state.reg(1).refs
    }

    fn maps_of(&self, wanted: impl Fn(&Map) -> bool) -> u64 {
        let wanted = self.maps.iter().enumerate().filter(|(_, map)| wanted(map));
        wanted.fold(0, |all, (at, _)| all | 1 << at)
    }

    fn mend_call(
        &mut self,
        function: usize,
        state: &mut State,
        made: &mut Made,
        before: &mut Vec<Made>,
    ) -> bool {
        let own = self.functions.get(function).map_or(0, |work| work.label);
        if let Operand::Call(callee) = made.1 {
            return callee > own;
        }
        if !made.0.is_helper_call() {
            *made = (
                insn(class::JMP | jmp::CALL, 0, 0, 0, if self.random.percent(50) { 113 } else { 6 }),
                Operand::None,
            );
        }
        let known = [1, 2, 3, 5, 6, 7, 87, 88, 89, 113, func::LOOP, func::FOR_EACH_MAP_ELEM];
        if !known.contains(&made.0.imm) {
            let callback = matches!(made.0.imm, func::FIND_VMA | func::USER_RINGBUF_DRAIN);
            made.0.imm = match made.0.imm {
                func::FIND_VMA | func::USER_RINGBUF_DRAIN => func::LOOP,
                _ => self.random.of(&[1, 2, 3, 6, 6, 6, 7, 88, 89, 87, 113, 113, 113], 7),
            };
            if callback && state.reg(3).is(FUNC) {
                let copy = insn(class::ALU64 | alu::MOV | SRC_X, 2, 3, 0, 0);
                self.fix(state, before, copy, Operand::None);
            }
        }
        let keyed = |map: &Map| map.shape.key_size > 0;
        let writable = |map: &Map| map.map_flags == 0;
        match made.0.imm {
            1 => {
                let allowed = self.maps_of(keyed);
                let map = self.map(state, before, allowed);
                self.bytes(state, before, 2, self.key_size(map));
            }
            2 | 3 => {
                let allowed = self.maps_of(|map| keyed(map) && writable(map));
                let map = self.map(state, before, allowed);
                self.bytes(state, before, 2, self.key_size(map));
                if made.0.imm == 2 {
                    self.bytes(state, before, 3, self.value_size(map, true));
                    self.numeric(state, before, 4, i64::MIN, i64::MAX);
                }
            }
            id @ 87..=89 => {
                // A Bloom filter takes values, and is asked for them, but gives none.
                let bloom = id == 87 || id == 89 && self.bloom;
                let allowed = self.maps_of(|map| !keyed(map) && (bloom || map.map_type != 30));
                let map = self.map(state, before, allowed);
                self.bytes(state, before, 2, self.value_size(map, true));
                if id == 87 {
                    self.numeric(state, before, 3, i64::MIN, i64::MAX);
                }
            }
            6 | 113 => {
                self.bytes(state, before, 1, 1);
                let most = -state.reg(1).frame.1;
                self.numeric(state, before, 2, 1, most);
                if made.0.imm == 113 {
                    self.numeric(state, before, 3, i64::MIN, i64::MAX);
                }
            }
            id @ (func::LOOP | func::FOR_EACH_MAP_ELEM) => {
                let callback = state.reg(2);
                let forwards = |label: u64| label > u64::from(own);
                if !callback.is(FUNC) || !(0..64).filter(|at| callback.refs >> at & 1 == 1).all(forwards) {
                    return false;
                }
                if id == func::LOOP {
                    self.numeric(state, before, 1, i64::MIN, i64::MAX);
                    self.numeric(state, before, 4, i64::MIN, i64::MAX);
                } else {
                    let allowed = self.maps_of(|map| keyed(map) && writable(map));
                    self.map(state, before, allowed);
                    if state.reg(4).constant() != Some(0) {
                        self.fix(state, before, mov_imm(4, 0), Operand::None);
                    }
                }
                if !state.reg(3).is(FRAME) && state.reg(3).constant() != Some(0) {
                    self.point(state, before, 3, 8);
                }
            }
            _ => {}
        }
        true
    }

    fn go_on(&mut self, function: usize, at: usize, mut state: State, made: &Made) {
        let (insn, operand) = (made.0, made.1);
        if !matches!(insn.class(), class::JMP | class::JMP32) {
            self.effect(&mut state, made);
            return self.reach(function, at + 1, &state);
        }
        match insn.op() {
            jmp::EXIT => {
                let Some(work) = self.functions.get_mut(function) else { return };
                let label = work.label;
                let changed = match &mut work.exit {
                    Some(exit) => exit.join(&state, true),
                    None => {
                        work.exit = Some(state);
                        true
                    }
                };
                if changed {
                    self.callers(label);
                }
                return;
            }
            jmp::CALL => return self.call(function, at, state, made),
            jmp::JA if insn.is_gotox() => {
                let targets: Vec<usize> =
                    self.functions.get(function).map(|work| work.tables.concat()).unwrap_or_default();
                targets.into_iter().for_each(|to| self.reach(function, to, &state));
                return;
            }
            _ => {}
        }
        if let Operand::Jump(to) = operand {
            self.reach(function, to as usize, &state);
        }
        if !matches!(insn.code, code if code == class::JMP | jmp::JA || code == class::JMP32 | jmp::JA) {
            self.reach(function, at + 1, &state);
        }
    }

    /// Whoever may call the function is looked at again.
    fn callers(&mut self, label: u32) {
        for (function, work) in self.functions.iter().enumerate() {
            for (at, (insn, operand)) in work.insns.iter().enumerate() {
                let helper =
                    insn.is_helper_call() && matches!(insn.imm, func::LOOP | func::FOR_EACH_MAP_ELEM);
                let reached = work.states.get(at).is_some_and(Option::is_some);
                if reached && (*operand == Operand::Call(label) || helper) {
                    self.open.insert((function, at));
                }
            }
        }
    }

    fn place(&self, label: u32) -> Option<usize> {
        self.functions.iter().position(|work| work.label == label)
    }

    /// What a function finds that is called in this state.
    fn entered(state: &State, args: [Value; 5]) -> State {
        let mut slots = vec![vec![Value::any_number(); state.slots.first().map_or(0, Vec::len)]];
        slots.extend(state.slots.iter().cloned());
        slots.pop();
        for value in slots.iter_mut().flatten() {
            *value = value.seen_from(true);
        }
        let mut regs = [Value::of(UNINIT); 10];
        if let Some(place) = regs.get_mut(1..=5) {
            place.copy_from_slice(&args.map(|arg| arg.seen_from(true)));
        }
        State { regs, slots }
    }

    /// What the frames of callers hold once the function is left.
    fn left(state: &mut State, exit: &State, join: bool) {
        for (slots, after) in state.slots.iter_mut().zip(exit.slots.iter().skip(1)) {
            for (slot, after) in slots.iter_mut().zip(after) {
                let after = after.seen_from(false);
                *slot = if join { slot.join(&after, false) } else { after };
            }
        }
    }

    fn call(&mut self, function: usize, at: usize, mut state: State, made: &Made) {
        let args = std::array::from_fn(|arg| state.reg(arg as u8 + 1));
        if let Operand::Call(label) = made.1 {
            let Some(callee) = self.place(label) else { return };
            self.reach(callee, 0, &Self::entered(&state, args));
            let Some(exit) = self.functions.get(callee).and_then(|work| work.exit.clone()) else { return };
            Self::left(&mut state, &exit, false);
            state.called(Value::number(0));
            return self.reach(function, at + 1, &state);
        }
        let [_, second, third, ..] = args;
        match made.0.imm {
            id @ (func::LOOP | func::FOR_EACH_MAP_ELEM) => {
                let none = Value::of(UNINIT);
                let value = Value { kinds: VALUE, value: (0, 0), refs: state.reg(1).refs, ..NOTHING };
                let given = match id {
                    func::LOOP => [Value::any_number(), third, none, none, none],
                    _ => [state.reg(1), Value::of(OPAQUE), value, third, none],
                };
                let labels: Vec<u32> = (0..64).filter(|at| second.refs >> at & 1 == 1).collect();
                let callees: Vec<usize> = labels.into_iter().filter_map(|label| self.place(label)).collect();
                let exits = |repair: &Self| -> Vec<State> {
                    let exit = |callee: &usize| repair.functions.get(*callee)?.exit.clone();
                    callees.iter().filter_map(exit).collect()
                };
                for exit in exits(self) {
                    Self::left(&mut state, &exit, true);
                }
                for callee in &callees {
                    self.reach(*callee, 0, &Self::entered(&state, given));
                }
                state.called(Value::any_number());
            }
            1 => state.called(Value::of(OPAQUE)),
            id => {
                let written = match id {
                    113 => Some((1, state.reg(2).number.1)),
                    88 | 89 => Some((2, self.value_size(state.reg(1).refs, true))),
                    _ => None,
                };
                if let Some((reg, size)) = written {
                    let pointer = state.reg(reg);
                    let (touched, _) = state.touched(&pointer, 0, size);
                    for place in touched {
                        if let Some(slot) = state.slot(place) {
                            *slot = slot.join(&Value::any_number(), false);
                        }
                    }
                }
                state.called(Value::any_number());
            }
        }
        self.reach(function, at + 1, &state);
    }

    fn effect(&self, state: &mut State, made: &Made) {
        let insn = made.0;
        let size = i64::from(insn.size_bytes());
        let off = i64::from(insn.off);
        match insn.class() {
            class::LDX => {
                let base = state.reg(insn.src_reg);
                let value = if base.is(TABLE) {
                    Value::of(TARGET)
                } else if base.kinds & FRAME != 0 {
                    state.read(&base, off, size)
                } else {
                    Value::any_number()
                };
                state.set(insn.dst_reg, value);
            }
            class::ST => {
                let base = state.reg(insn.dst_reg);
                state.write(&base, off, size, Value::number(insn.imm.into()));
            }
            class::STX if insn.mode() == mode::ATOMIC => {
                let loads = insn.imm == atomic::LOAD_ACQ;
                let base = state.reg(if loads { insn.src_reg } else { insn.dst_reg });
                let old =
                    if base.kinds & FRAME != 0 { state.read(&base, off, size) } else { Value::any_number() };
                if insn.imm == atomic::STORE_REL {
                    let value = state.reg(insn.src_reg);
                    state.write(&base, off, size, value);
                } else if !loads {
                    state.write(&base, off, size, Value::any_number());
                }
                if let Some(reg) = insn.atomic_load_reg() {
                    state.set(reg, old);
                }
            }
            class::STX => {
                let base = state.reg(insn.dst_reg);
                let value = state.reg(insn.src_reg);
                state.write(&base, off, size, value);
            }
            _ => {
                put(state, made);
            }
        }
    }
}

/// What an instruction that touches no memory leaves in registers; false if it would be refused.
fn put(state: &mut State, (insn, operand): &Made) -> bool {
    let wide = insn.class() == class::ALU64;
    if insn.class() == class::LD {
        if insn.is_ld_abs_ind() {
            state.called(Value::any_number());
            return true;
        }
        let value = match *operand {
            Operand::Map(map) => Value { refs: 1 << map, ..Value::of(MAP) },
            Operand::MapValue(map, off) => {
                Value { refs: 1 << map, value: (off.into(), off.into()), ..Value::of(VALUE) }
            }
            Operand::Address(label) => Value { refs: 1 << label.min(63), ..Value::of(FUNC) },
            Operand::JumpTable(table) => {
                Value { refs: 1 << table.min(63), value: (0, 0), ..Value::of(TABLE) }
            }
            _ => Value::any_number(),
        };
        state.set(insn.dst_reg, value);
        return true;
    }
    let a = state.reg(insn.dst_reg);
    let b = if insn.is_src_x() { state.reg(insn.src_reg) } else { Value::number(insn.imm.into()) };
    let (value, lawful) = match insn.op() {
        alu::MOV if wide && insn.off == 0 => (b, b.kinds & UNINIT == 0),
        alu::MOV => match b.constant() {
            Some(bits) => (Value::number(moved(insn, bits as u64) as i64), true),
            None => (Value::any_number(), true),
        },
        alu::AND if wide && !insn.is_src_x() && insn.imm >= 0 => (
            Value {
                number: (0, insn.imm.into()),
                number_align: zeros(insn.imm.into()),
                ..Value::any_number()
            },
            a.is(NUM),
        ),
        op @ (alu::ADD | alu::SUB) if wide && b.is(NUM) => {
            (a.moved(b.number, b.number_align, op == alu::SUB), a.is(NUM | FRAME | VALUE | TABLE))
        }
        alu::ADD if wide && a.is(NUM) && b.is(FRAME | VALUE) => {
            (b.moved(a.number, a.number_align, false), true)
        }
        alu::END | alu::NEG => (Value::any_number(), a.is(NUM)),
        _ => match a.constant().zip(b.constant()).and_then(|(a, b)| compute(insn, a as u64, b as u64)) {
            Some(bits) => (Value::number(bits as i64), true),
            None => (Value::any_number(), a.is(NUM)),
        },
    };
    state.set(insn.dst_reg, value);
    lawful
}
