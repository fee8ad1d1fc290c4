//! Edits of a program, and which ones there are to be tried.

use super::cost;
use crate::assemble::{Function, Instruction, Operand, Program, exit_insn, mov_imm};
use livediff_capture::{
    Insn, Map, MapShape,
    insn::{REG_FP, alu, class, jmp, mode, size},
};
use std::{collections::BTreeSet, sync::Arc};

/// Sections whose programs attach to nothing by name, the simplest first.
pub const SECTIONS: [&str; 7] = ["socket", "tc", "xdp", "kprobe", "raw_tp", "perf_event", "syscall"];

/// An instruction of a program: the labels of its function and of itself.
pub(super) type Place = (u32, u32);

/// A change of a program. What it speaks of may be gone already: then it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Instructions go: labels of the function and of the instruction.
    Remove(Arc<[(u32, u32)]>),
    /// Another instruction in the place of one.
    Replace(Place, Insn, Operand),
    /// Another function is the program.
    Promote(u32),
    /// A function goes; what called it or took its address sets a register to 0.
    Drop(u32),
    /// A global function becomes a static one.
    MakeStatic(u32),
    /// A copy from one register to another goes, and in the whole function the original stands for the copy.
    UseOriginal(Place),
    /// A copy from one register to another goes, and in the whole function the copy stands for the original.
    UseCopy(Place),
    /// A register of a function is called otherwise.
    Rename(u32, u8, u8),
    /// Another map in the place of one.
    Map(usize, Box<Map>),
    /// Another section, so another type of program.
    Section(&'static str),
}

impl Edit {
    /// The instruction that it replaces, of which there is one edit at a time.
    pub(super) fn place(&self) -> Option<Place> {
        match self {
            Edit::Replace(place, ..) => Some(*place),
            _ => None,
        }
    }

    /// Changes the program. It has to be tidied afterwards.
    pub fn apply(&self, program: &mut Program) {
        match self {
            Edit::Remove(places) => remove(program, places),
            Edit::Replace(place, insn, operand) => {
                if let Some(old) = find(program, *place) {
                    (old.insn, old.operand) = (*insn, *operand);
                }
            }
            Edit::Promote(label) => {
                if let Some(place) = program.functions.iter().position(|function| function.label == *label) {
                    program.functions.swap(0, place);
                    program.exception_callback = None;
                    if let Some(main) = program.functions.first_mut() {
                        main.global = false;
                    }
                }
            }
            Edit::Drop(label) => drop_function(program, *label),
            Edit::MakeStatic(label) => {
                let function = program.functions.iter_mut().find(|function| function.label == *label);
                function.into_iter().for_each(|function| function.global = false);
            }
            Edit::UseOriginal(place) => propagate(program, *place, |copy, original| (copy, original)),
            Edit::UseCopy(place) => propagate(program, *place, |copy, original| (original, copy)),
            Edit::Rename(label, from, to) => {
                let function = program.functions.iter_mut().find(|function| function.label == *label);
                function.into_iter().for_each(|function| rename(function, *from, *to));
            }
            Edit::Map(number, map) => {
                if let Some(old) = Arc::make_mut(&mut program.maps).get_mut(*number) {
                    old.clone_from(map);
                }
            }
            Edit::Section(section) => program.section = (*section).to_owned(),
        }
    }
}

fn find(program: &mut Program, (function, insn): Place) -> Option<&mut Instruction> {
    let function = program.functions.iter_mut().find(|other| other.label == function)?;
    let place = function.insns.binary_search_by_key(&insn, |insn| insn.label).ok()?;
    function.insns.get_mut(place)
}

fn remove(program: &mut Program, places: &[Place]) {
    let places: BTreeSet<Place> = places.iter().copied().collect();
    for function in &mut program.functions {
        function.insns.retain(|insn| !places.contains(&(function.label, insn.label)));
    }
}

fn drop_function(program: &mut Program, label: u32) {
    if program.functions.first().is_some_and(|main| main.label == label) {
        return;
    }
    for insn in program.functions.iter_mut().flat_map(|function| &mut function.insns) {
        if matches!(insn.operand, Operand::Call(to) | Operand::Address(to) if to == label) {
            let register = if matches!(insn.operand, Operand::Call(_)) { 0 } else { insn.insn.dst_reg };
            (insn.insn, insn.operand) = (mov_imm(register, 0), Operand::None);
        }
    }
    if program.exception_callback == Some(label) {
        program.exception_callback = None;
    }
    program.functions.retain(|function| function.label != label);
}

/// The registers of `rA = rB`, a whole copy.
fn copied(insn: &Instruction) -> Option<(u8, u8)> {
    let Insn { code, dst_reg, src_reg, off, .. } = insn.insn;
    let copies = code == class::ALU64 | alu::MOV | livediff_capture::insn::SRC_X && off == 0;
    (copies && dst_reg != src_reg).then_some((dst_reg, src_reg))
}

/// Removes a copy; `direction` says of copy and original which register is called otherwise, and how.
fn propagate(program: &mut Program, place: Place, direction: fn(u8, u8) -> (u8, u8)) {
    let Some((copy, original)) = find(program, place).and_then(|insn| copied(insn)) else { return };
    let Some(function) = program.functions.iter_mut().find(|function| function.label == place.0) else {
        return;
    };
    let (from, to) = direction(copy, original);
    function.insns.retain(|insn| insn.label != place.1);
    // Nothing writes the frame pointer, and nothing else is one.
    if from != REG_FP && (to != REG_FP || !function.insns.iter().any(|insn| writes(insn, from))) {
        rename(function, from, to);
    }
}

/// Which of the fields for registers are registers: destination and source.
fn registers(insn: &Instruction) -> (bool, bool) {
    match insn.insn.class() {
        class::LD if insn.insn.is_ldimm64() => (true, false),
        class::LD => (false, insn.insn.mode() == mode::IND),
        class::LDX | class::STX => (true, true),
        class::ST => (true, false),
        class::ALU | class::ALU64 => (true, insn.insn.is_src_x() && insn.insn.op() != alu::END),
        _ if insn.insn.is_may_goto() => (false, false),
        _ if insn.insn.is_cond_jump() => (true, insn.insn.is_src_x()),
        _ => (false, false),
    }
}

fn writes(insn: &Instruction, register: u8) -> bool {
    let class = insn.insn.class();
    let loads = matches!(class, class::ALU | class::ALU64 | class::LDX) || insn.insn.is_ldimm64();
    loads && insn.insn.dst_reg == register || insn.insn.atomic_load_reg() == Some(register)
}

fn rename(function: &mut Function, from: u8, to: u8) {
    for insn in &mut function.insns {
        let (dst, src) = registers(insn);
        if dst && insn.insn.dst_reg == from {
            insn.insn.dst_reg = to;
        }
        if src && insn.insn.src_reg == from {
            insn.insn.src_reg = to;
        }
    }
}

/// Another function as the program.
pub(super) fn promotions(program: &Program) -> Vec<Edit> {
    program.functions.iter().skip(1).map(|function| Edit::Promote(function.label)).collect()
}

/// Functions, and their bodies.
pub(super) fn functions(program: &Program) -> Vec<Edit> {
    let drops = program.functions.iter().skip(1).map(|function| Edit::Drop(function.label));
    let bodies = program.functions.iter().filter(|function| function.insns.len() > 1);
    let bodies = bodies.map(|function| {
        Edit::Remove(function.insns.iter().map(|insn| (function.label, insn.label)).collect())
    });
    let globals = program.functions.iter().filter(|function| function.global);
    drops.chain(bodies).chain(globals.map(|function| Edit::MakeStatic(function.label))).collect()
}

/// Calls of what a callee calls, and addresses of what it takes the address of, in the place of the callee.
pub(super) fn shortcuts(program: &Program) -> Vec<Edit> {
    let referred = |insn: &Instruction| match insn.operand {
        Operand::Call(label) | Operand::Address(label) => Some(label),
        _ => None,
    };
    let mut edits = Vec::new();
    for (place, insn) in places(program) {
        let callee = referred(insn).and_then(|label| program.function(label));
        let beyond: BTreeSet<u32> =
            callee.into_iter().flat_map(|callee| &callee.insns).filter_map(referred).collect();
        edits.extend(beyond.into_iter().map(|label| {
            let call = matches!(insn.operand, Operand::Call(_));
            Edit::Replace(place, insn.insn, if call { Operand::Call(label) } else { Operand::Address(label) })
        }));
    }
    edits
}

/// `exit` where a block begins.
pub(super) fn ends(program: &Program) -> Vec<Edit> {
    let mut edits = Vec::new();
    for function in &program.functions {
        let mut leaders = BTreeSet::new();
        for (place, insn) in function.insns.iter().enumerate() {
            if let Operand::Jump(label) = insn.operand {
                leaders.extend([place + 1, function.place(label)]);
            }
        }
        let leaders = leaders.into_iter().filter_map(|place| function.insns.get(place));
        let leaders = leaders.filter(|insn| insn.insn != exit_insn());
        edits.extend(
            leaders.map(|insn| Edit::Replace((function.label, insn.label), exit_insn(), Operand::None)),
        );
    }
    edits
}

/// Conditional jumps that are never taken or always.
pub(super) fn branches(program: &Program) -> Vec<Edit> {
    let goto = Insn { code: class::JMP | jmp::JA, ..Insn::default() };
    let mut edits = Vec::new();
    for (place, insn) in places(program) {
        if insn.insn.is_cond_jump() {
            edits.push(Edit::Remove([place].into()));
            edits.push(Edit::Replace(place, goto, insn.operand));
        }
    }
    edits
}

/// Every instruction with its place, function by function.
pub(super) fn places(program: &Program) -> impl Iterator<Item = (Place, &Instruction)> {
    let of = |function: &'_ Function| function.label;
    program
        .functions
        .iter()
        .flat_map(move |function| function.insns.iter().map(move |insn| ((of(function), insn.label), insn)))
}

/// The instructions in ranges of `length`, the first of which is shorter by `shift`.
pub(super) fn ranges(program: &Program, length: usize, shift: usize) -> Vec<Edit> {
    let all: Vec<Place> = places(program).map(|(place, _)| place).collect();
    let length = length.max(1);
    let (first, rest) = all.split_at(if shift == 0 { 0 } else { (length - shift % length).min(all.len()) });
    let first = Some(first).filter(|first| !first.is_empty());
    first.into_iter().chain(rest.chunks(length)).map(|places| Edit::Remove(places.into())).collect()
}

/// Pairs of instructions.
pub(super) fn pairs(program: &Program) -> Vec<Edit> {
    let all: Vec<Place> = places(program).map(|(place, _)| place).collect();
    let pairs = all.iter().enumerate().flat_map(|(at, a)| all.iter().skip(at + 1).map(move |b| [*a, *b]));
    pairs.map(|pair| Edit::Remove(pair.into())).collect()
}

/// Copies that can be done without.
pub(super) fn copies(program: &Program) -> Vec<Edit> {
    let copies = places(program).filter(|(_, insn)| copied(insn).is_some());
    copies.flat_map(|(place, _)| [Edit::UseOriginal(place), Edit::UseCopy(place)]).collect()
}

/// Registers above r5 that could be one of r0 to r5 which the function does not use.
pub(super) fn renames(program: &Program) -> Vec<Edit> {
    let mut edits = Vec::new();
    for function in &program.functions {
        let mut used = BTreeSet::new();
        for insn in &function.insns {
            let (dst, src) = registers(insn);
            used.extend(dst.then_some(insn.insn.dst_reg));
            used.extend(src.then_some(insn.insn.src_reg));
        }
        for from in used.iter().copied().filter(|register| (6..REG_FP).contains(register)) {
            let free = (0..6).filter(|register| !used.contains(register));
            edits.extend(free.map(|to| Edit::Rename(function.label, from, to)));
        }
    }
    edits
}

/// Other sections.
pub(super) fn sections(program: &Program) -> Vec<Edit> {
    let current = SECTIONS.iter().position(|section| *section == program.section).unwrap_or(SECTIONS.len());
    SECTIONS.iter().take(current).map(|section| Edit::Section(section)).collect()
}

/// Simpler maps in the place of those used.
pub(super) fn maps(program: &Program) -> Vec<Edit> {
    const ARRAY: u32 = 2;
    let used: BTreeSet<usize> = program.insns().filter_map(cost::map_of).collect();
    let mut edits = Vec::new();
    for number in used {
        let Some(map) = program.maps.get(number) else { continue };
        let mut offer = |changed: Map| {
            if changed != *map {
                edits.push(Edit::Map(number, Box::new(changed)));
            }
        };
        let shape = MapShape { key_size: 4, value_size: 8 };
        offer(Map {
            name: map.name.clone(),
            map_type: ARRAY,
            shape,
            max_entries: 1,
            rdonly_value: map.rdonly_value.as_ref().map(|_| vec![0; 8]),
            frozen: map.frozen,
            ..Map::default()
        });
        offer(Map { max_entries: 1, ..map.clone() });
        if let Some(value) = &map.rdonly_value {
            offer(Map { rdonly_value: Some(vec![0; value.len()]), ..map.clone() });
            // As far as it is used.
            let end = program.insns().filter_map(|insn| match insn.operand {
                Operand::MapValue(other, at) if other == number => usize::try_from(at).ok(),
                _ => None,
            });
            let end = end.max().unwrap_or(0).saturating_add(8).next_multiple_of(8);
            if end < value.len() {
                let value_size = u32::try_from(end).unwrap_or(u32::MAX);
                let shape = MapShape { value_size, ..map.shape };
                let value = value.get(..end).unwrap_or_default().to_vec();
                offer(Map { shape, rdonly_value: Some(value), ..map.clone() });
            }
        }
    }
    edits
}

/// Simpler instructions in the place of those that there are.
pub(super) fn simpler(program: &Program) -> Vec<Edit> {
    let mut edits = Vec::new();
    for (place, old) in places(program) {
        let before = (old.insn.slots(), cost::instruction(old));
        let mut offer = |insn: Insn, operand: Operand| {
            let new = Instruction { label: old.label, insn, operand };
            if (insn.slots(), cost::instruction(&new)) < before {
                edits.push(Edit::Replace(place, insn, operand));
            }
        };
        alternatives(old, &mut offer);
    }
    edits
}

fn alternatives(old: &Instruction, offer: &mut dyn FnMut(Insn, Operand)) {
    let Instruction { insn, operand, .. } = *old;
    let none = Operand::None;
    match insn.class() {
        class::LD if insn.is_ldimm64() => {
            offer(mov_imm(insn.dst_reg, 0), none);
            if let Operand::MapValue(number, at) = operand {
                offer(insn, Operand::Map(number));
                if at != 0 {
                    offer(insn, Operand::MapValue(number, 0));
                }
            }
        }
        class::LD => offer(mov_imm(0, 0), none),
        class::JMP | class::JMP32 if insn.is_cond_jump() => {
            let simple = Insn { code: class::JMP | jmp::JEQ, dst_reg: insn.dst_reg, ..Insn::default() };
            offer(Insn { dst_reg: 0, ..simple }, operand);
            offer(simple, operand);
            offer(
                Insn { code: insn.code & !livediff_capture::insn::SRC_X, src_reg: 0, imm: 0, ..insn },
                operand,
            );
            offer(Insn { imm: 0, ..insn }, operand);
        }
        class::JMP if insn.op() == jmp::CALL => offer(mov_imm(0, 0), none),
        class::ALU | class::ALU64 => {
            offer(mov_imm(insn.dst_reg, 0), none);
            let wide =
                Insn { code: class::ALU64 | insn.op() | insn.code & livediff_capture::insn::SRC_X, ..insn };
            offer(Insn { code: class::ALU64 | alu::MOV, src_reg: 0, off: 0, ..insn }, none);
            if insn.is_src_x() {
                let code = class::ALU64 | alu::MOV | livediff_capture::insn::SRC_X;
                offer(Insn { code, off: 0, imm: 0, ..insn }, none);
            } else {
                offer(Insn { imm: 0, ..insn }, none);
                offer(Insn { code: class::ALU64 | alu::ADD, imm: -8, src_reg: 0, off: 0, ..insn }, none);
                offer(Insn { imm: -8, ..wide }, none);
            }
            offer(wide, none);
        }
        class::LDX => {
            offer(mov_imm(insn.dst_reg, 0), none);
            accesses(insn, offer);
        }
        class::ST | class::STX => {
            let place = Insn { code: class::ST | mode::MEM | size::DW, src_reg: 0, imm: 0, ..insn };
            offer(Insn { off: -8, ..place }, none);
            offer(place, none);
            offer(Insn { imm: 0, ..insn }, none);
            if insn.class() == class::STX && insn.mode() != mode::MEM {
                offer(Insn { code: class::STX | mode::MEM | size::DW, imm: 0, ..insn }, none);
            }
            accesses(insn, offer);
        }
        _ => {}
    }
}

/// Simpler accesses of memory: of 8 bytes, at -8 or 0.
fn accesses(insn: Insn, offer: &mut dyn FnMut(Insn, Operand)) {
    let none = Operand::None;
    if insn.mode() == mode::MEM || insn.mode() == mode::MEMSX {
        let wide = Insn { code: insn.class() | mode::MEM | size::DW, ..insn };
        offer(Insn { off: -8, ..wide }, none);
        offer(Insn { off: 0, ..wide }, none);
        offer(wide, none);
        offer(Insn { off: -8, ..insn }, none);
        offer(Insn { off: 0, ..insn }, none);
    }
}
