//! The machine: registers, frames, and one instruction after the other.

use std::collections::BTreeSet;

use livediff_capture::{
    Insn,
    insn::{MAX_BPF_REG, REG_FP, alu, atomic, class, jmp, mode, pseudo},
};

use super::{
    End, Watch,
    frame::{Memory, place},
    value::{self, Value},
};
use crate::random::Random;
use crate::verifier::Program;

/// Distances beyond this the verifier refuses (`BPF_MAX_VAR_OFF`).
const MAX_OFF: i64 = 1 << 29;
/// Why a path ends that reads a register before it was written.
pub(super) const UNWRITTEN: &str = "a register that nothing was written to";
/// Stack arguments that a call can have.
pub(super) const STACK_ARGS: usize = 7;
/// `BPF_MAP_TYPE_INSN_ARRAY`
const MAP_INSN_ARRAY: u32 = 34;

/// What is known of the paths of a program that were executed so far: it is used to go where they did not.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// By conditional jump: how often it was not taken and taken where either was possible.
    pub(super) taken: Vec<[u32; 2]>,
    /// Subprograms that the program hands to the kernel to be run later: entries of their own.
    pub later: BTreeSet<u32>,
}

/// What is known of a value from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guess {
    /// Nothing yet.
    Open,
    /// It is a number that has no other bits than these.
    Within(u64),
    /// It is not null.
    NotNull,
    /// It is this number, and the verifier may know it.
    Is(u64, bool),
}

/// Where control goes when a frame is left.
#[derive(Clone, Copy, Debug)]
pub(super) enum Return {
    /// Out of the program.
    End,
    /// Behind the call.
    Behind,
    /// To the call of the helper or kernel function that calls back: perhaps once more, so often at most.
    Again(u32),
}

#[derive(Clone, Debug)]
pub(super) struct Frame {
    serial: u32,
    pub(super) callsite: u32,
    back: Return,
    pub(super) regs: [Value; MAX_BPF_REG],
    pub(super) incoming: [Option<Value>; STACK_ARGS],
    pub(super) outgoing: [Option<Value>; STACK_ARGS],
    memory: Memory,
}

/// Executes one path.
pub struct Machine<'a, W> {
    pub(super) program: &'a Program<'a>,
    pub(super) random: Random,
    pub(super) watch: &'a mut W,
    pub(super) seen: &'a mut Seen,
    pub(super) frames: Vec<Frame>,
    serial: u32,
    guesses: Vec<Guess>,
}

/// Where a path goes on, or how it ends.
pub(super) type Next = Result<u32, End>;

impl<'a, W: Watch> Machine<'a, W> {
    /// A machine for one path through a program; the same seed and the same paths before it give the same path.
    pub fn new(program: &'a Program<'a>, seed: u64, seen: &'a mut Seen, watch: &'a mut W) -> Machine<'a, W> {
        seen.taken.resize(program.loaded.insns.len(), [0; 2]);
        let random = Random::new(seed);
        Machine { program, random, watch, seen, frames: Vec::new(), serial: 0, guesses: Vec::new() }
    }

    /// Executes the subprogram as an entry, for `steps` instructions at most.
    pub fn run(mut self, subprog: u32, steps: u32) -> End {
        let Some(start) = self.program.subprogs.get(subprog as usize).map(|subprog| subprog.start) else {
            return End::Refused("there is no such subprogram");
        };
        // The program itself has its context alone; what the arguments of others are, their types say.
        let args = std::array::from_fn(|arg| match (subprog, arg) {
            (0, 1..) => Value::Unwritten,
            _ => self.other(),
        });
        if let Err(end) = self.enter(subprog, start, Return::End, args, [None; STACK_ARGS]) {
            return end;
        }
        let mut at = start;
        for _ in 0..steps {
            let Some(insn) = self.program.loaded.insns.get(at as usize).copied() else {
                return End::Refused("outside of the program");
            };
            self.watch.step(at);
            match self.execute(at, &insn) {
                Ok(next) => at = next,
                Err(end) => return end,
            }
        }
        End::Limit
    }

    /// Makes a frame.
    pub(super) fn enter(
        &mut self,
        subprog: u32,
        callsite: u32,
        back: Return,
        args: [Value; 5],
        incoming: [Option<Value>; STACK_ARGS],
    ) -> Next {
        let choices = self.program.dialect.choices();
        if self.frames.len() >= usize::from(choices.max_call_frames) {
            return Err(End::Refused("too many frames"));
        }
        let Some(start) = self.program.subprogs.get(subprog as usize).map(|subprog| subprog.start) else {
            return Err(End::Refused("there is no such subprogram"));
        };
        self.serial += 1;
        let mut regs = [Value::Unwritten; MAX_BPF_REG];
        if let Some(place) = regs.get_mut(1..=5) {
            place.copy_from_slice(&args);
        }
        let (serial, depth) = (self.serial, self.frames.len());
        regs[usize::from(REG_FP)] = Value::Stack { frame: serial, depth, off: 0, fixed: true };
        let memory = Memory::new();
        self.frames.push(Frame {
            serial,
            callsite,
            back,
            regs,
            incoming,
            outgoing: [None; STACK_ARGS],
            memory,
        });
        self.watch.entered(subprog, callsite);
        Ok(start)
    }

    /// Leaves the innermost frame with this in r0.
    pub(super) fn leave(&mut self, result: Value) -> Next {
        let Some(frame) = self.frames.pop() else { return Err(End::Exit) };
        self.watch.left();
        if self.frames.is_empty() {
            return Err(End::Exit);
        }
        match frame.back {
            Return::End => Err(End::Exit),
            Return::Behind if matches!(result, Value::Stack { .. }) => {
                Err(End::Refused("a stack pointer is returned"))
            }
            Return::Behind => {
                self.called(result);
                Ok(frame.callsite + 1)
            }
            Return::Again(left) => {
                // The path walk comes back to the call, and from there goes on or calls back once more.
                if left > 0 && self.random.percent(60) {
                    self.watch.step(frame.callsite);
                    return self.call_back(frame.callsite, left - 1);
                }
                let result = self.other();
                self.called(result);
                Ok(frame.callsite + 1)
            }
        }
    }

    /// A call is over.
    pub(super) fn called(&mut self, result: Value) {
        (1..=5).for_each(|reg| self.set(reg, Value::Unwritten));
        self.set(0, result);
        if let Some(frame) = self.frames.last_mut() {
            frame.outgoing = [None; STACK_ARGS];
        }
    }

    /// A value from outside.
    pub(super) fn other(&mut self) -> Value {
        self.guesses.push(Guess::Open);
        Value::Other(self.guesses.len() as u32 - 1)
    }

    /// A number from outside that has so many bytes, or anything if it has 8.
    fn narrow(&mut self, size: usize) -> Value {
        let value = self.other();
        if let (Value::Other(id), 1..8) = (value, size) {
            self.settle(id, Guess::Within(value::loaded(u64::MAX, size, false)));
        }
        value
    }

    pub(super) fn reg(&self, reg: u8) -> Value {
        let value = self.frames.last().and_then(|frame| frame.regs.get(usize::from(reg)).copied());
        match value.unwrap_or(Value::known(0)) {
            Value::Other(id) => match self.guess(id) {
                Guess::Is(bits, known) => Value::Scalar { bits, known },
                _ => Value::Other(id),
            },
            value => value,
        }
    }

    pub(super) fn set(&mut self, reg: u8, value: Value) {
        let frame = self.frames.last_mut();
        if let Some(place) = frame.and_then(|frame| frame.regs.get_mut(usize::from(reg))) {
            *place = value;
        }
    }

    fn guess(&self, id: u32) -> Guess {
        self.guesses.get(id as usize).copied().unwrap_or(Guess::Open)
    }

    fn settle(&mut self, id: u32, guess: Guess) {
        if let Some(place) = self.guesses.get_mut(id as usize) {
            *place = guess;
        }
    }

    /// It is used as a pointer.
    fn is_reached(&mut self, id: u32) {
        if self.guess(id) == Guess::Open {
            self.settle(id, Guess::NotNull);
        }
    }

    /// The upper half of the value is zero, or is chosen to be.
    fn is_half(&mut self, id: u32) -> bool {
        match self.guess(id) {
            Guess::Within(bits) => bits <= u64::from(u32::MAX),
            Guess::Open if self.random.percent(75) => {
                self.settle(id, Guess::Within(u32::MAX.into()));
                true
            }
            _ => false,
        }
    }

    /// A number that the value can be.
    fn draw_for(&mut self, id: u32, near: u64) -> u64 {
        let bits = self.draw(near);
        match self.guess(id) {
            Guess::NotNull => bits.max(1),
            Guess::Within(mask) => bits & mask,
            _ => bits,
        }
    }

    /// A number at random, mostly one that is special, `near` among them.
    fn draw(&mut self, near: u64) -> u64 {
        match self.random.below(16) {
            0..=3 => near,
            4 => near.wrapping_add(1),
            5 => near.wrapping_sub(1),
            6 | 7 => 0,
            8 => self.random.of(&[1, 4, 8, 16, 24, 32, 64, 512, u64::MAX, 1 << 31, 1 << 63], 1),
            9..=12 => self.random.below(64) as u64,
            13 => self.random.below(1 << 16) as u64,
            _ => self.random.next(),
        }
    }

    /// The value as a number: one from outside becomes one, and an address is one that nobody knows.
    fn number(&mut self, value: Value, near: u64) -> (u64, bool) {
        match value {
            Value::Scalar { bits, known } => (bits, known),
            Value::Other(id) => {
                if let Guess::Is(bits, known) = self.guess(id) {
                    return (bits, known);
                }
                let bits = self.draw_for(id, near);
                self.settle(id, Guess::Is(bits, false));
                (bits, false)
            }
            _ => (self.random.next(), false),
        }
    }

    /// A size in bytes, small if it comes from outside.
    pub(super) fn size(&mut self, value: Value) -> u64 {
        if let Value::Other(id) = value
            && !matches!(self.guess(id), Guess::Is(..))
        {
            let bits = self.random.of(&[0, 1, 4, 7, 8, 12, 16, 24, 64], 8);
            self.settle(id, Guess::Is(bits, false));
        }
        self.number(value, 8).0
    }

    fn execute(&mut self, at: u32, insn: &Insn) -> Next {
        let next = at.saturating_add(insn.slots() as u32);
        self.written(insn)?;
        match insn.class() {
            class::ALU | class::ALU64 => self.alu(insn)?,
            class::LD => return self.load_special(at, insn),
            class::LDX => self.load(insn)?,
            class::ST | class::STX => self.store(insn)?,
            _ => return self.jump(at, insn),
        }
        Ok(next)
    }

    /// Every register that the instruction reads was written; calls look for themselves.
    fn written(&self, insn: &Insn) -> Result<(), End> {
        let (dst, src) = (Some(insn.dst_reg), Some(insn.src_reg));
        let read = match insn.class() {
            class::ALU | class::ALU64 => [
                dst.filter(|_| insn.op() != alu::MOV),
                src.filter(|_| insn.is_src_x() && !matches!(insn.op(), alu::END | alu::NEG)),
                None,
            ],
            class::LD => [None, src.filter(|_| insn.mode() == mode::IND), None],
            class::LDX => [None, src, None],
            class::ST => [dst, None, None],
            class::STX => {
                let atomic = insn.mode() == mode::ATOMIC;
                let loads = atomic && insn.imm == atomic::LOAD_ACQ;
                let compares = atomic && insn.imm == atomic::CMPXCHG;
                [dst.filter(|_| !loads), src, compares.then_some(0)]
            }
            _ if insn.is_gotox() => [dst, None, None],
            _ if insn.is_cond_jump() && !insn.is_may_goto() => [dst, src.filter(|_| insn.is_src_x()), None],
            _ => [None; 3],
        };
        match read.into_iter().flatten().any(|reg| self.reg(reg) == Value::Unwritten) {
            true => Err(End::Refused(UNWRITTEN)),
            false => Ok(()),
        }
    }

    fn alu(&mut self, insn: &Insn) -> Result<(), End> {
        let dst = self.reg(insn.dst_reg);
        let operand =
            if insn.is_src_x() { self.reg(insn.src_reg) } else { Value::known(insn.imm as i64 as u64) };
        let wide = insn.class() == class::ALU64;
        let result = match insn.op() {
            alu::MOV if wide && insn.off == 0 => operand,
            alu::MOV => match operand {
                // An address space cast.
                _ if wide && insn.off == 1 => self.other(),
                // Within the lower half, it is the same number still.
                Value::Other(id) if !wide && insn.off == 0 && self.is_half(id) => operand,
                _ => {
                    let (bits, known) = self.number(operand, 8);
                    Value::Scalar { bits: value::moved(insn, bits), known }
                }
            },
            alu::END => match dst {
                Value::Scalar { bits, known } => {
                    let bits = value::swapped(insn, bits).ok_or(End::Refused("no such byte swap"))?;
                    Value::Scalar { bits, known }
                }
                _ => self.narrow(usize::try_from(insn.imm / 8).unwrap_or_default()),
            },
            op @ (alu::ADD | alu::SUB) if wide => match (dst, operand) {
                (Value::Scalar { .. }, Value::Scalar { .. }) => self.arithmetic(insn, dst, operand)?,
                (pointer @ (Value::Stack { .. } | Value::MapValue { .. }), distance) => {
                    self.displaced(pointer, distance, op == alu::SUB)?
                }
                (distance, pointer @ (Value::Stack { .. } | Value::MapValue { .. })) if op == alu::ADD => {
                    self.displaced(pointer, distance, false)?
                }
                _ => self.other(),
            },
            _ => self.arithmetic(insn, dst, operand)?,
        };
        self.set(insn.dst_reg, result);
        Ok(())
    }

    /// An operation on numbers.
    fn arithmetic(&mut self, insn: &Insn, dst: Value, operand: Value) -> Result<Value, End> {
        let (b, b_known) = self.number(operand, 8);
        let (a, a_known) = self.number(dst, b);
        let bits = value::compute(insn, a, b).ok_or(End::Refused("no such operation"))?;
        Ok(Value::Scalar { bits, known: a_known && b_known })
    }

    /// A pointer plus or minus a distance.
    fn displaced(&mut self, pointer: Value, distance: Value, minus: bool) -> Result<Value, End> {
        let (bits, known) = match distance {
            Value::Scalar { bits, known } => (bits as i64, known),
            Value::Other(id) if matches!(pointer, Value::Stack { .. }) => {
                let bits = self.random.of(&[0, 0, 1, 4, 8, 8, 16, 24, 32, 64], 0);
                self.settle(id, Guess::Is(bits as u64, false));
                (bits, false)
            }
            _ => return Ok(self.other()),
        };
        let moved = |off: i64| {
            let sum = if minus { off.checked_sub(bits) } else { off.checked_add(bits) };
            sum.filter(|sum| sum.abs() < MAX_OFF && bits.unsigned_abs() < MAX_OFF.unsigned_abs())
        };
        match pointer {
            Value::Stack { frame, depth, off, fixed } => {
                let off = moved(off).ok_or(End::Refused("a distance out of range"))?;
                Ok(Value::Stack { frame, depth, off, fixed: fixed && known })
            }
            Value::MapValue { map, off } => {
                let off = moved(off).ok_or(End::Refused("a distance out of range"))?;
                Ok(Value::MapValue { map, off })
            }
            _ => Ok(self.other()),
        }
    }

    /// 64-bit immediates, and loads from packets.
    fn load_special(&mut self, at: u32, insn: &Insn) -> Next {
        if insn.is_ld_abs_ind() {
            // Outside of the packet, the subprogram is left.
            let result = Value::drawn(value::loaded(self.draw(8), insn.size_bytes() as usize, false));
            if self.random.percent(30) {
                return self.leave(result);
            }
            (1..=5).for_each(|reg| self.set(reg, Value::Unwritten));
            self.set(0, result);
            return Ok(at + 1);
        }
        if !insn.is_ldimm64() {
            return Err(End::Refused("no such load"));
        }
        let high = self.program.loaded.insns.get(at as usize + 1).map_or(0, |insn| insn.imm);
        let value = match insn.src_reg {
            0 => Value::known(u64::from(insn.imm as u32) | u64::from(high as u32) << 32),
            pseudo::MAP_FD | pseudo::MAP_IDX => Value::Map(insn.imm as u32),
            pseudo::MAP_VALUE | pseudo::MAP_IDX_VALUE => {
                Value::MapValue { map: insn.imm as u32, off: i64::from(high as u32) }
            }
            pseudo::FUNC => match self.program.callee(at) {
                Some(callee) => Value::Func(callee as u32),
                None => return Err(End::Refused("no such subprogram")),
            },
            _ => self.other(),
        };
        self.set(insn.dst_reg, value);
        Ok(at + 2)
    }

    /// The bytes that a pointer into a frame leads to, for an access by a helper or an instruction: depth and place.
    pub(super) fn reach(&self, pointer: Value, off: i64, size: usize) -> Result<(usize, usize), End> {
        let Value::Stack { frame, depth, off: base, .. } = pointer else {
            return Err(End::Refused("no stack pointer"));
        };
        if self.frames.get(depth).is_none_or(|other| other.serial != frame) {
            return Err(End::Refused("a frame that is gone"));
        }
        let start = base.checked_add(off).and_then(|off| place(off, size));
        Ok((depth, start.ok_or(End::Refused("outside of the frame"))?))
    }

    /// An access of an instruction, which has to be aligned.
    fn reach_aligned(&self, pointer: Value, off: i16, size: usize) -> Result<(usize, usize), End> {
        let (depth, start) = self.reach(pointer, off.into(), size)?;
        if !start.is_multiple_of(size) {
            return Err(End::Refused("a misaligned access"));
        }
        Ok((depth, start))
    }

    /// Reads bytes of a frame.
    fn read(&mut self, pointer: Value, (depth, start): (usize, usize), size: usize) -> Value {
        self.watch.read(depth, start as i64 - super::STACK_SIZE as i64, size);
        let fixed = matches!(pointer, Value::Stack { fixed: true, .. });
        let value = self.frames.get(depth).and_then(|frame| frame.memory.load(start, size, fixed));
        value.unwrap_or_else(|| self.narrow(size))
    }

    fn write(
        &mut self,
        pointer: Value,
        (depth, start): (usize, usize),
        size: usize,
        value: Value,
    ) -> Result<(), End> {
        if matches!(value, Value::Stack { .. }) && depth + 1 != self.frames.len() {
            return Err(End::Refused("a stack pointer in the frame of a caller"));
        }
        let fixed = matches!(pointer, Value::Stack { fixed: true, .. });
        if let Some(frame) = self.frames.get_mut(depth) {
            frame.memory.store(start, size, value, fixed);
        }
        self.watch.wrote(depth, start as i64 - super::STACK_SIZE as i64, size);
        Ok(())
    }

    /// A helper reads bytes of a frame.
    pub(super) fn helper_reads(&mut self, (depth, start): (usize, usize), size: usize) {
        self.watch.read(depth, start as i64 - super::STACK_SIZE as i64, size);
    }

    /// A helper writes bytes of a frame.
    pub(super) fn helper_writes(&mut self, (depth, start): (usize, usize), size: usize) {
        if let Some(frame) = self.frames.get_mut(depth) {
            frame.memory.forget(start, size);
        }
        self.watch.wrote(depth, start as i64 - super::STACK_SIZE as i64, size);
    }

    fn load(&mut self, insn: &Insn) -> Result<(), End> {
        let choices = self.program.dialect.choices();
        if choices.stack_args && insn.is_stack_arg_ldx() {
            let slot = usize::from(insn.off.unsigned_abs()) / 8 - 1;
            let frame = self.frames.last();
            let value = frame.and_then(|frame| frame.incoming.get(slot).copied().flatten());
            let value = value.unwrap_or_else(|| self.other());
            self.set(insn.dst_reg, value);
            return Ok(());
        }
        let size = insn.size_bytes() as usize;
        let signed = insn.mode() == mode::MEMSX;
        let value = match self.reg(insn.src_reg) {
            pointer @ Value::Stack { .. } => {
                let place = self.reach_aligned(pointer, insn.off, size)?;
                self.read(pointer, place, size)
            }
            Value::MapValue { map, off } => self.load_rdonly(map, off.saturating_add(insn.off.into()), size),
            Value::Scalar { .. } => return Err(End::Refused("a load from a number")),
            Value::Other(id) => {
                self.is_reached(id);
                // The context may have pointers in fields of 4 bytes.
                self.narrow(if size < 4 { size } else { 8 })
            }
            Value::Map(_) | Value::Func(_) | Value::Unwritten => self.other(),
        };
        let value = match value {
            Value::Scalar { bits, known } => Value::Scalar { bits: value::loaded(bits, size, signed), known },
            _ if signed => Value::drawn(value::loaded(self.draw(8), size, true)),
            value => value,
        };
        self.set(insn.dst_reg, value);
        Ok(())
    }

    /// What a map holds that nobody can change.
    fn load_rdonly(&mut self, map: u32, off: i64, size: usize) -> Value {
        let map = self.program.loaded.maps.get(map as usize).filter(|map| map.map_type != MAP_INSN_ARRAY);
        let bytes = map.and_then(|map| map.rdonly_value.as_ref()).and_then(|value| {
            let start = usize::try_from(off).ok()?;
            value.get(start..start.checked_add(size)?)
        });
        match bytes {
            Some(bytes) => {
                Value::known(bytes.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
            }
            None => self.narrow(size),
        }
    }

    fn store(&mut self, insn: &Insn) -> Result<(), End> {
        let choices = self.program.dialect.choices();
        if choices.stack_args && (insn.is_stack_arg_st() || insn.is_stack_arg_stx()) {
            let slot = usize::from(insn.off.unsigned_abs()) / 8 - 1;
            let value = if insn.is_stack_arg_stx() {
                self.reg(insn.src_reg)
            } else {
                Value::known(insn.imm as i64 as u64)
            };
            let frame = self.frames.last_mut();
            if let Some(place) = frame.and_then(|frame| frame.outgoing.get_mut(slot)) {
                *place = Some(value);
            }
            return Ok(());
        }
        if insn.class() == class::STX && insn.mode() == mode::ATOMIC {
            return self.atomic(insn);
        }
        let size = insn.size_bytes() as usize;
        let pointer = self.reg(insn.dst_reg);
        let value = match insn.class() {
            class::ST => Value::known(insn.imm as i64 as u64),
            _ => self.reg(insn.src_reg),
        };
        match pointer {
            Value::Stack { .. } => {
                let place = self.reach_aligned(pointer, insn.off, size)?;
                if size < 8 && matches!(value, Value::Stack { .. }) {
                    return Err(End::Refused("a part of a stack pointer is stored"));
                }
                self.write(pointer, place, size, value)
            }
            Value::Scalar { .. } => Err(End::Refused("a store to a number")),
            Value::Other(id) => {
                self.is_reached(id);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn atomic(&mut self, insn: &Insn) -> Result<(), End> {
        let size = insn.size_bytes() as usize;
        let loads = insn.imm == atomic::LOAD_ACQ;
        let pointer = self.reg(if loads { insn.src_reg } else { insn.dst_reg });
        let old = match pointer {
            Value::Stack { .. } => {
                let place = self.reach_aligned(pointer, insn.off, size)?;
                if insn.imm == atomic::STORE_REL {
                    let value = self.reg(insn.src_reg);
                    if size < 8 && matches!(value, Value::Stack { .. }) {
                        return Err(End::Refused("a part of a stack pointer is stored"));
                    }
                    return self.write(pointer, place, size, value);
                }
                let old = self.read(pointer, place, size);
                if !loads {
                    self.exchange(insn, pointer, place, size, old)?;
                }
                old
            }
            Value::Scalar { .. } => return Err(End::Refused("an atomic access to a number")),
            _ => self.narrow(size),
        };
        if let Some(reg) = insn.atomic_load_reg() {
            let old = match old {
                Value::Scalar { bits, known } => {
                    Value::Scalar { bits: value::loaded(bits, size, false), known }
                }
                old => old,
            };
            self.set(reg, old);
        }
        Ok(())
    }

    /// What an atomic operation leaves in memory.
    fn exchange(
        &mut self,
        insn: &Insn,
        pointer: Value,
        place: (usize, usize),
        size: usize,
        old: Value,
    ) -> Result<(), End> {
        let operand = self.reg(insn.src_reg);
        // The verifier remembers no value that an atomic operation stores.
        let unknown = |value: Value| match value {
            Value::Scalar { bits, .. } => Some(bits),
            _ => None,
        };
        let stored = match insn.imm {
            atomic::XCHG => unknown(operand),
            atomic::CMPXCHG => {
                let expected = unknown(self.reg(0));
                let equal = match (unknown(old), expected) {
                    (Some(old), Some(expected)) => {
                        value::loaded(old, size, false) == value::loaded(expected, size, false)
                    }
                    _ => self.random.percent(50),
                };
                if !equal {
                    return Ok(());
                }
                unknown(operand)
            }
            imm => unknown(old).zip(unknown(operand)).and_then(|(a, b)| {
                let op = (imm & !atomic::FETCH & 0xff) as u8;
                value::compute(&Insn { code: class::ALU64 | op, ..Insn::default() }, a, b)
            }),
        };
        let stored = match stored {
            Some(bits) => Value::drawn(bits),
            None => self.other(),
        };
        // Not fixed: nothing but numbers is remembered.
        let loose = match pointer {
            Value::Stack { frame, depth, off, .. } => Value::Stack { frame, depth, off, fixed: false },
            pointer => pointer,
        };
        self.write(loose, place, size, stored)
    }

    fn jump(&mut self, at: u32, insn: &Insn) -> Next {
        let next = at.saturating_add(1);
        let target = at.wrapping_add_signed(insn.jmp_offset()).wrapping_add(1);
        match insn.op() {
            jmp::EXIT if insn.class() == class::JMP => {
                let result = self.reg(0);
                // A subprogram may return nothing, of which nobody makes use; callbacks and programs may not.
                let behind = self.frames.last().is_some_and(|frame| matches!(frame.back, Return::Behind));
                if result == Value::Unwritten && !behind {
                    return Err(End::Refused(UNWRITTEN));
                }
                self.leave(result)
            }
            jmp::CALL if insn.class() == class::JMP => self.call(at, insn),
            jmp::JA if insn.is_gotox() => {
                let targets = self.program.successors(at);
                let targets = targets.as_slice();
                let chosen = self.random.below(targets.len());
                targets.get(chosen).copied().ok_or(End::Refused("a jump to nowhere"))
            }
            jmp::JA => Ok(target),
            _ if !insn.is_cond_jump() => Err(End::Refused("no such jump")),
            _ => Ok(if self.decide(at, insn)? { target } else { next }),
        }
    }

    /// Which way to go where both are possible: rather the one that was gone less often.
    fn choose(&mut self, at: u32) -> bool {
        let [not_taken, taken] = self.seen.taken.get(at as usize).copied().unwrap_or_default();
        if not_taken != taken && self.random.percent(70) {
            return taken < not_taken;
        }
        self.random.percent(50)
    }

    /// Decides a conditional jump.
    fn decide(&mut self, at: u32, insn: &Insn) -> Result<bool, End> {
        let chosen = self.choose(at);
        let taken = self.decide_for(insn, chosen)?;
        if let Some(counts) = self.seen.taken.get_mut(at as usize) {
            counts[usize::from(taken)] = counts[usize::from(taken)].saturating_add(1);
        }
        Ok(taken)
    }

    /// Decides a conditional jump, as wished if both ways are possible.
    fn decide_for(&mut self, insn: &Insn, wish: bool) -> Result<bool, End> {
        if insn.is_may_goto() {
            return Ok(wish);
        }
        let none = End::Refused("no such condition");
        let a = self.reg(insn.dst_reg);
        let b = if insn.is_src_x() { self.reg(insn.src_reg) } else { Value::known(insn.imm as i64 as u64) };
        let equality = matches!(insn.op(), jmp::JEQ | jmp::JNE) && insn.class() == class::JMP;
        match (a, b) {
            (Value::Scalar { bits: a, .. }, Value::Scalar { bits: b, .. }) => {
                value::is_taken(insn, a, b).ok_or(none)
            }
            // Whatever it is, it is as much as itself.
            _ if a == b && insn.op() != jmp::JSET => value::is_taken(insn, 0, 0).ok_or(none),
            // Null or not; what is not null may be a pointer still.
            (Value::Other(id), Value::Scalar { bits: 0, known })
            | (Value::Scalar { bits: 0, known }, Value::Other(id))
                if equality && matches!(self.guess(id), Guess::Open | Guess::NotNull) =>
            {
                let null = match self.guess(id) {
                    Guess::NotNull => false,
                    _ => wish == (insn.op() == jmp::JEQ),
                };
                self.settle(id, if null { Guess::Is(0, known) } else { Guess::NotNull });
                Ok(null == (insn.op() == jmp::JEQ))
            }
            (Value::Other(id), Value::Scalar { bits: near, known })
            | (Value::Scalar { bits: near, known }, Value::Other(id)) => {
                let mut outcome = (0, false);
                for _ in 0..8 {
                    let drawn = self.draw_for(id, near);
                    let (left, right) = if a == Value::Other(id) { (drawn, near) } else { (near, drawn) };
                    outcome = (drawn, value::is_taken(insn, left, right).ok_or(none)?);
                    if outcome.1 == wish {
                        break;
                    }
                }
                // Equal to what the verifier knows, it is known.
                let known = known && equality && outcome.0 == near;
                self.settle(id, Guess::Is(outcome.0, known));
                Ok(outcome.1)
            }
            // Addresses are not null.
            (
                Value::Stack { .. } | Value::Map(_) | Value::MapValue { .. } | Value::Func(_),
                Value::Scalar { bits: 0, .. },
            ) if equality => Ok(insn.op() == jmp::JNE),
            _ => Ok(wish),
        }
    }
}
