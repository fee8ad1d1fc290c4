//! A function at work: its instructions by place, and what is known of each.
//!
//! ```text
//! function -> something in its registers, its instructions, jumps to places -> repairs before each -> function
//! ```

use super::{rules::Rules, state::State};
use crate::assemble::{Function, Instruction, Operand, mov_imm};
use crate::random::Random;
use livediff_capture::{
    Insn,
    insn::{MAY_GOTO, REG_FP, SRC_X, alu, class, jmp, mode},
};

/// Jumps back of a program: more of them can take a verifier longer than anybody waits.
const LOOPS: usize = 2;
/// Labels for an instruction and those before it.
const STRIDE: u32 = 64;

pub(super) type Made = (Insn, Operand);

pub(super) fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst_reg, src_reg, off, imm }
}

/// `dst = src`
pub(super) fn copy(dst: u8, src: u8) -> Insn {
    insn(class::ALU64 | alu::MOV | SRC_X, dst, src, 0, 0)
}

/// `reg += by`
pub(super) fn add_imm(reg: u8, by: i32) -> Insn {
    insn(class::ALU64 | alu::ADD, reg, 0, 0, by)
}

pub(super) struct Work {
    pub(super) label: u32,
    pub(super) places: Vec<Place>,
    /// What may be held where it is left.
    pub(super) exit: Option<State>,
    /// Places, by jump table.
    pub(super) tables: Vec<Vec<usize>>,
}

/// An instruction.
pub(super) struct Place {
    /// Its operand names places, not labels.
    pub(super) made: Made,
    /// What sets its operands right.
    pub(super) before: Vec<Made>,
    /// What may be held before all that; nothing if it is not reached.
    pub(super) state: Option<State>,
    pub(super) visits: u32,
}

impl Work {
    /// Something is in its registers at its entry, and jumps back are counted: `loops` of the program so far.
    pub(super) fn new(function: &Function, rules: &Rules, random: &mut Random, loops: &mut usize) -> Work {
        let mut insns = entry(function.label == 0, rules, random);
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
            let mut operand = made.operand;
            if let Operand::Jump(label) = operand {
                operand = Operand::Jump(place(label) as u32);
            }
            if back(at, made) && *loops >= LOOPS {
                operand = Operand::Jump(last as u32);
                insns.push((mov_imm(0, 0), Operand::None));
            } else if back(at, made) {
                *loops += 1;
                // What is counted is not to go on behind it.
                let behind = Operand::Jump(insns.len() as u32 + 2);
                insns.push((insn(class::JMP | jmp::JCOND, 0, MAY_GOTO, 0, 0), behind));
            }
            insns.push((made.insn, operand));
        }
        let target = |label: &u32| if place(*label) <= indirect { last } else { place(*label) };
        let tables = function.jump_tables.iter().map(|table| table.iter().map(target).collect()).collect();
        let place = |made| Place { made, before: Vec::new(), state: None, visits: 0 };
        Work { label: function.label, places: insns.into_iter().map(place).collect(), exit: None, tables }
    }

    /// Puts into a function what it has become.
    pub(super) fn write(self, function: &mut Function) {
        let label = |place: &usize| *place as u32 * STRIDE;
        function.global = function.label == 0;
        function.jump_tables = self.tables.iter().map(|table| table.iter().map(label).collect()).collect();
        function.insns.clear();
        for (at, Place { made: (insn, operand), before, .. }) in self.places.into_iter().enumerate() {
            let begin = label(&at);
            for (number, (insn, operand)) in before.into_iter().enumerate() {
                function.insns.push(Instruction { label: begin + number as u32, insn, operand });
            }
            let operand = match operand {
                Operand::Jump(place) => Operand::Jump(place * STRIDE),
                operand => operand,
            };
            function.insns.push(Instruction { label: begin + STRIDE - 1, insn, operand });
        }
    }
}

/// What a function begins with: its arguments are kept, and there is a pointer into its frame.
fn entry(program: bool, rules: &Rules, random: &mut Random) -> Vec<Made> {
    let off = -8 * random.range(1, rules.slots() as i32);
    let (offset, size) = rules.field;
    let load = insn(class::LDX | mode::MEM | size, 7, 1, offset, 0);
    let insns = match program {
        true => [copy(6, 1), load, copy(8, REG_FP), add_imm(8, off), copy(9, 7)],
        false => [copy(6, 1), copy(7, 2), mov_imm(8, 0), copy(9, REG_FP), add_imm(9, off)],
    };
    insns.map(|insn| (insn, Operand::None)).to_vec()
}
