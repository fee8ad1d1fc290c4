//! Programs made of instructions that refer to each other by name, and the objects and sources written of them.
//!
//! ```text
//! Loaded (linked, relocated) -> Program (labels, functions, maps, kernel functions) -> object (ELF, for libbpf)
//!                                                                                   -> source (C, for clang)
//! ```
//!
//! In a [`Program`] an instruction can be removed or replaced without a thought for the distances of jumps and calls:
//! a jump goes to a label, and where the instruction with that label is gone, to the next one that is left.
//! [`Program::tidy`] makes every function whole again: it ends in `exit` or a jump, and everything in it is reached,
//! which is what the kernel asks of it before the liveness analysis.

mod elf;
mod import;
mod signature;
mod source;
mod types;

pub use elf::object;
pub use import::ImportError;
pub use signature::{Signature, SignatureError, Type};
pub use source::source;

use crate::loader::tables;
use livediff_capture::{
    FuncInfo, Insn, Loaded, Map,
    insn::{class, jmp, mode, pseudo, size},
};
use std::sync::Arc;
use thiserror::Error;

/// A program with the functions that it reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its section, which tells libbpf its type: `socket`, `fentry/do_unlinkat`.
    pub section: String,
    /// The program itself, then its subprograms.
    pub functions: Vec<Function>,
    /// What [`Operand::Map`] and [`Operand::MapValue`] refer to, by place. Those that nothing refers to are not written.
    pub maps: Arc<Vec<Map>>,
    /// What [`Operand::Kfunc`] refers to, by place.
    pub kfuncs: Arc<Vec<Kfunc>>,
    /// [`Function::label`] of the exception callback.
    pub exception_callback: Option<u32>,
}

/// A kernel function as a program declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kfunc {
    /// Its name in the kernel's BTF.
    pub name: String,
    /// Its prototype, as far as libbpf compares it with the kernel's.
    pub signature: Signature,
}

/// A program or a subprogram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// What calls refer to; unique in its program.
    pub label: u32,
    /// Its name in BTF.
    pub name: String,
    /// Its linkage is global.
    pub global: bool,
    /// Its instructions, ascending by label.
    pub insns: Vec<Instruction>,
    /// What [`Operand::JumpTable`] refers to, by place: the labels that `gotox` goes to, or the next ones that are left.
    /// Those that nothing refers to are not written.
    pub jump_tables: Vec<Vec<u32>>,
}

/// An instruction; a 64-bit load is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// What jumps of its function refer to; unique there.
    pub label: u32,
    /// The instruction. What `operand` stands for is 0 in it.
    pub insn: Insn,
    /// What it refers to.
    pub operand: Operand,
}

/// What an instruction refers to beyond its own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// Nothing.
    None,
    /// A constant: the upper half of a 64-bit immediate, whose lower half is in the instruction.
    High(i32),
    /// The label that a jump goes to, or the next one that is left.
    Jump(u32),
    /// The function called.
    Call(u32),
    /// The function whose address is loaded.
    Address(u32),
    /// The map whose address is loaded.
    Map(usize),
    /// The map and the offset in bytes of the value whose address is loaded.
    MapValue(usize, i32),
    /// The kernel function called.
    Kfunc(usize),
    /// The jump table of its function whose address is loaded.
    JumpTable(usize),
}

/// Why a program cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum AssembleError {
    #[error("{function}: a conditional jump leads further than {} instructions", i16::MAX)]
    TooFar { function: String },
    #[error("{function}: it refers to {what} that does not exist")]
    Dangling { function: String, what: &'static str },
    #[error("{function}: it calls the program itself, for which an object has no words")]
    CallsProgram { function: String },
    #[error("{function}: an instruction that refers to something cannot be written in assembly")]
    Unwritable { function: String },
    #[error("the object cannot be written: {0}")]
    Elf(String),
}

/// Label of the `exit` that [`Program::tidy`] puts at a function's end: behind all others.
const LAST: u32 = u32::MAX;

impl Instruction {
    /// One that refers to nothing.
    pub fn plain(label: u32, insn: Insn) -> Instruction {
        Instruction { label, insn, operand: Operand::None }
    }

    /// Control does not go on behind it.
    pub fn ends(&self) -> bool {
        self.is_goto() || self.insn.code == class::JMP | jmp::EXIT || self.insn.is_gotox()
    }

    /// `goto`, near or far.
    pub fn is_goto(&self) -> bool {
        matches!(self.insn.code, code if code == class::JMP | jmp::JA || code == class::JMP32 | jmp::JA)
    }
}

/// `exit`
pub fn exit_insn() -> Insn {
    Insn { code: class::JMP | jmp::EXIT, ..Insn::default() }
}

/// `rD = imm`
pub fn mov_imm(dst_reg: u8, imm: i32) -> Insn {
    use livediff_capture::insn::alu;
    Insn { code: class::ALU64 | alu::MOV, dst_reg, imm, ..Insn::default() }
}

impl Function {
    /// Place of the instruction that a jump to `label` reaches: the number of instructions if none is left there.
    pub fn place(&self, label: u32) -> usize {
        self.insns.partition_point(|insn| insn.label < label)
    }

    /// Slots that its instructions take.
    pub fn slots(&self) -> usize {
        self.insns.iter().map(|insn| insn.insn.slots()).sum()
    }

    /// The labels in the table whose address the instruction loads; none if it does not, or there is no such table.
    fn jump_table(&self, insn: &Instruction) -> &[u32] {
        match insn.operand {
            Operand::JumpTable(number) => self.jump_tables.get(number).map_or(&[], Vec::as_slice),
            _ => &[],
        }
    }

    /// Makes it end in `exit` or a jump, and removes what is not reached.
    fn tidy(&mut self) {
        let ends = self.insns.last().is_some_and(Instruction::ends);
        let last = self.insns.last().map(|insn| insn.label);
        let beyond = |insn: &Instruction| match insn.operand {
            Operand::Jump(to) => Some(to) > last,
            _ => self.jump_table(insn).iter().any(|to| Some(*to) > last),
        };
        if !ends || self.insns.iter().any(beyond) {
            let before = self.insns.len().checked_sub(2).and_then(|at| self.insns.get(at));
            let free = before.map_or(0, |insn| insn.label.saturating_add(1)).min(LAST - 1);
            // An exit of our own that was changed into something else makes room for a new one.
            if let Some(insn) = self.insns.last_mut().filter(|insn| insn.label == LAST) {
                insn.label = free;
            }
            self.insns.push(Instruction::plain(LAST, exit_insn()));
        }
        let mut reached = vec![false; self.insns.len()];
        let mut open = vec![0];
        // Every indirect jump of a function may go wherever one of the tables leads that the function uses.
        let (mut indirect, mut tabled) = (false, Vec::new());
        while let Some(at) = open.pop() {
            let (Some(mark), Some(insn)) = (reached.get_mut(at), self.insns.get(at)) else { continue };
            if std::mem::replace(mark, true) {
                continue;
            }
            if let Operand::Jump(label) = insn.operand {
                open.push(self.place(label));
            }
            tabled.extend(self.jump_table(insn).iter().map(|label| self.place(*label)));
            indirect |= insn.insn.is_gotox();
            if indirect {
                open.append(&mut tabled);
            }
            if !insn.ends() {
                open.push(at + 1);
            }
        }
        let mut reached = reached.into_iter();
        self.insns.retain(|_| reached.next() == Some(true));
    }
}

impl Program {
    /// The same without what only one kernel knows by its number: addresses of kernel symbols, and calls of kernel
    /// functions that cannot be declared. Constants take their place.
    pub fn portable(&self) -> Program {
        let mut program = self.clone();
        for insn in program.functions.iter_mut().flat_map(|function| &mut function.insns) {
            if insn.insn.is_ldimm64() && insn.insn.src_reg == pseudo::BTF_ID {
                insn.insn = Insn { code: LDIMM64, dst_reg: insn.insn.dst_reg, ..Insn::default() };
                insn.operand = Operand::High(0);
            } else if insn.insn.is_kfunc_call() && insn.operand == Operand::None {
                insn.insn = mov_imm(0, 0);
            }
        }
        program
    }

    /// The function that a call refers to.
    pub fn function(&self, label: u32) -> Option<&Function> {
        self.functions.iter().find(|function| function.label == label)
    }

    /// Instructions, a 64-bit load counted once.
    pub fn len(&self) -> usize {
        self.functions.iter().map(|function| function.insns.len()).sum()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots that the instructions take.
    pub fn slots(&self) -> usize {
        self.functions.iter().map(Function::slots).sum()
    }

    /// Every instruction.
    pub fn insns(&self) -> impl Iterator<Item = &Instruction> {
        self.functions.iter().flat_map(|function| &function.insns)
    }

    /// Makes every function whole, and removes functions that nothing refers to.
    pub fn tidy(&mut self) {
        self.functions.iter_mut().for_each(Function::tidy);
        let reached = self.linked();
        let mut at = 0;
        self.functions.retain(|_| {
            at += 1;
            reached.contains(&(at - 1))
        });
        if let Some(callback) = self.exception_callback
            && self.function(callback).is_none()
        {
            self.exception_callback = None;
        }
    }

    /// Places of the functions in the order in which libbpf links them: the program, and behind it each subprogram when
    /// it is first referred to, followed by its own; the exception callback last.
    fn linked(&self) -> Vec<usize> {
        let mut order = Vec::new();
        let place = |label: u32| self.functions.iter().position(|function| function.label == label);
        let callback = self.exception_callback.and_then(place);
        for root in std::iter::once(0).chain(callback) {
            // Functions whose instructions are being looked at, and how far.
            let mut open: Vec<(usize, usize)> = Vec::new();
            if root < self.functions.len() && !order.contains(&root) {
                order.push(root);
                open.push((root, 0));
            }
            while let Some((function, at)) = open.pop() {
                let insns = self.functions.get(function).map_or(&[][..], |function| &function.insns);
                let Some(insn) = insns.get(at) else { continue };
                open.push((function, at + 1));
                let (Operand::Call(label) | Operand::Address(label)) = insn.operand else { continue };
                if let Some(callee) = place(label).filter(|callee| !order.contains(callee)) {
                    order.push(callee);
                    open.push((callee, 0));
                }
            }
        }
        order
    }

    /// Whether it can be written: everything that it refers to is there, and near enough.
    pub fn check(&self) -> Result<(), AssembleError> {
        let main = self.functions.first().map(|main| main.label);
        for function in &self.functions {
            let refers = |insn: &Instruction| match insn.operand {
                Operand::Call(label) | Operand::Address(label) => Some(label) == main,
                _ => false,
            };
            if function.insns.iter().any(refers) {
                return Err(AssembleError::CallsProgram { function: function.name.clone() });
            }
        }
        self.link(&Loaded::default()).map(|_| ())
    }

    /// What libbpf would give to the kernel: the instructions linked, everything else as in `like`.
    ///
    /// Kernel functions keep their place in [`Program::kfuncs`] as the id that is called, counted from 1.
    pub fn link(&self, like: &Loaded) -> Result<Loaded, AssembleError> {
        let order = self.linked();
        let mut starts = vec![0; self.functions.len()];
        let mut loaded =
            Loaded { insns: Vec::new(), func_info: Vec::new(), maps: Vec::new(), ..like.clone() };
        let mut begin = 0;
        for &function in &order {
            let Some(start) = starts.get_mut(function) else { continue };
            *start = begin;
            begin += self.functions.get(function).map_or(0, Function::slots);
        }
        // The number of a map, or a function's label and the number of its jump table; and what is made of it.
        let mut used: Vec<((Option<u32>, usize), Map)> = Vec::new();
        for &function in &order {
            let (Some(function), Some(&start)) = (self.functions.get(function), starts.get(function)) else {
                continue;
            };
            let dangling = |what| AssembleError::Dangling { function: function.name.clone(), what };
            loaded.func_info.push(FuncInfo {
                insn_off: u32::try_from(start).unwrap_or(u32::MAX),
                name: function.name.clone(),
                global: function.global,
            });
            let mut slots = function.encode()?;
            let mut at = 0;
            for insn in &function.insns {
                let distance = |label: u32| {
                    let callee = self.functions.iter().position(|function| function.label == label);
                    let callee = callee.and_then(|callee| starts.get(callee)).copied();
                    let callee = callee.ok_or_else(|| dangling("a function"))?;
                    let here = start + at + 1;
                    i32::try_from(callee as i64 - here as i64).map_err(|_| dangling("a function"))
                };
                let mut place = |key, map: &dyn Fn() -> Result<Map, AssembleError>| {
                    let place = match used.iter().position(|(other, _)| *other == key) {
                        Some(place) => place,
                        None => {
                            used.push((key, map()?));
                            used.len() - 1
                        }
                    };
                    i32::try_from(place).map_err(|_| dangling("a map"))
                };
                let imm = match insn.operand {
                    Operand::Call(label) | Operand::Address(label) => Some(distance(label)?),
                    Operand::Map(number) | Operand::MapValue(number, _) => {
                        Some(place((None, number), &|| {
                            self.maps.get(number).cloned().ok_or_else(|| dangling("a map"))
                        })?)
                    }
                    Operand::JumpTable(number) => Some(place((Some(function.label), number), &|| {
                        let targets = function.table_slots(number)?;
                        let entries = targets.into_iter().map(|slot| u32::try_from(start + slot));
                        tables::insn_array(entries.collect::<Result<_, _>>().map_err(|_| dangling(TABLE))?)
                            .ok_or_else(|| dangling(TABLE))
                    })?),
                    Operand::Kfunc(number) if number < self.kfuncs.len() => {
                        Some(i32::try_from(number + 1).map_err(|_| dangling("a kernel function"))?)
                    }
                    Operand::Kfunc(_) => return Err(dangling("a kernel function")),
                    Operand::None | Operand::High(_) | Operand::Jump(_) => None,
                };
                if let (Some(imm), Some(slot)) = (imm, slots.get_mut(at)) {
                    slot.imm = imm;
                }
                at += insn.insn.slots();
            }
            loaded.insns.extend(slots);
        }
        loaded.maps = used.into_iter().map(|(_, map)| map).collect();
        let callback = self.exception_callback.and_then(|label| {
            let place = self.functions.iter().position(|function| function.label == label)?;
            u32::try_from(*starts.get(place)?).ok()
        });
        loaded.exception_callback = callback;
        Ok(loaded)
    }
}

impl Function {
    /// The first slot of each instruction.
    fn first_slots(&self) -> Vec<usize> {
        let mut next = 0;
        let first = |insn: &Instruction| {
            let behind = next + insn.insn.slots();
            std::mem::replace(&mut next, behind)
        };
        self.insns.iter().map(first).collect()
    }

    /// The slots that a jump table leads to. An empty table is none: neither libbpf nor the kernel takes it.
    fn table_slots(&self, number: usize) -> Result<Vec<usize>, AssembleError> {
        let dangling = |what| AssembleError::Dangling { function: self.name.clone(), what };
        let table = self.jump_tables.get(number).filter(|table| !table.is_empty());
        let first = self.first_slots();
        let slot = |label: &u32| first.get(self.place(*label)).copied();
        let slots = table.ok_or_else(|| dangling(TABLE))?.iter().map(slot);
        slots.collect::<Option<_>>().ok_or_else(|| dangling("an instruction"))
    }

    /// The instructions as slots, jumps resolved. Calls, functions, maps, jump tables and kernel functions are left 0.
    fn encode(&self) -> Result<Vec<Insn>, AssembleError> {
        let places: Vec<i64> = self.first_slots().into_iter().map(|slot| slot as i64).collect();
        let mut out = Vec::with_capacity(self.slots());
        for (insn, place) in self.insns.iter().zip(&places) {
            let mut first = insn.insn;
            let mut second = Insn::default();
            match insn.operand {
                Operand::Jump(label) => {
                    let to = places.get(self.place(label)).ok_or_else(|| AssembleError::Dangling {
                        function: self.name.clone(),
                        what: "an instruction",
                    })?;
                    let distance = to - place - 1;
                    let too_far = || AssembleError::TooFar { function: self.name.clone() };
                    match i16::try_from(distance) {
                        Ok(off) if first.code != class::JMP32 | jmp::JA => first.off = off,
                        _ if insn.is_goto() => {
                            first.code = class::JMP32 | jmp::JA;
                            first.imm = i32::try_from(distance).map_err(|_| too_far())?;
                        }
                        _ => return Err(too_far()),
                    }
                }
                Operand::High(imm) => second.imm = imm,
                Operand::MapValue(_, offset) => second.imm = offset,
                _ => {}
            }
            first.src_reg = match insn.operand {
                Operand::Call(_) => pseudo::CALL,
                Operand::Address(_) => pseudo::FUNC,
                Operand::Map(_) => pseudo::MAP_FD,
                Operand::MapValue(..) | Operand::JumpTable(_) => pseudo::MAP_VALUE,
                Operand::Kfunc(_) => pseudo::KFUNC_CALL,
                _ => first.src_reg,
            };
            out.push(first);
            if first.is_ldimm64() {
                out.push(second);
            }
        }
        Ok(out)
    }
}

/// What [`AssembleError::Dangling`] calls a jump table.
const TABLE: &str = "a jump table";

/// First half of a 64-bit immediate load.
const LDIMM64: u8 = class::LD | mode::IMM | size::DW;

/// Longest name of a function that BTF may have (`KSYM_NAME_LEN` less the terminator).
const NAME: usize = 511;

/// `name` as a program of an object can be called.
pub fn program_name(name: &str) -> String {
    identifier(name, "p")
}

/// `text` as an identifier of C and of the assembler.
fn identifier(text: &str, fallback: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    let name: String = text.chars().take(NAME).map(plain).collect();
    match name.chars().next() {
        Some(first) if !first.is_ascii_digit() => name,
        _ => format!("{fallback}{name}"),
    }
}

#[cfg(test)]
mod tests;
