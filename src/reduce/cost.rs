//! What makes one program simpler than another.

use super::edit::SECTIONS;
use crate::assemble::{Instruction, Operand, Program};
use livediff_capture::{
    Insn, Map,
    insn::{REG_FP, alu, class, jmp, mode, size},
};

/// Compared from left to right: slots, functions, and how much there is to say about the rest.
pub type Cost = (usize, usize, usize);

/// What a program costs. An edit is worth its while only if it lowers this, so every search ends.
pub fn cost(program: &Program) -> Cost {
    let insns: usize = program.insns().map(instruction).sum();
    let globals = program.functions.iter().filter(|function| function.global).count();
    let mut used: Vec<usize> = program.insns().filter_map(map_of).collect();
    used.sort_unstable();
    used.dedup();
    let maps: usize = used.iter().filter_map(|number| program.maps.get(*number)).map(map).sum();
    let section = SECTIONS.iter().position(|section| *section == program.section);
    let rest = insns + globals + maps + section.unwrap_or(SECTIONS.len());
    (program.slots(), program.functions.len(), rest)
}

/// The map that an instruction refers to.
pub(super) fn map_of(insn: &Instruction) -> Option<usize> {
    match insn.operand {
        Operand::Map(number) | Operand::MapValue(number, _) => Some(number),
        _ => None,
    }
}

fn map(map: &Map) -> usize {
    let contents = map.rdonly_value.iter().flatten().filter(|byte| **byte != 0).count();
    let known = [map.max_entries != 1, map.map_flags != 0, map.inner.is_some(), map.map_type != 2];
    let size = map.shape.value_size.next_power_of_two().trailing_zeros() + map.shape.key_size / 4;
    10 + contents.min(1000) + known.iter().filter(|known| **known).count() + size as usize
}

/// How much there is to say about an instruction.
pub(super) fn instruction(insn: &Instruction) -> usize {
    let Instruction { insn, operand, .. } = insn;
    let kind = match operand {
        Operand::Jump(_) if insn.is_cond_jump() => 5 + usize::from(insn.op() != jmp::JEQ),
        Operand::Jump(_) => 2,
        Operand::High(_) => 3,
        Operand::Call(_) => 6,
        Operand::Address(_) => 6,
        Operand::Map(_) => 7,
        Operand::MapValue(..) | Operand::JumpTable(_) => 8,
        Operand::Kfunc(_) => 10,
        Operand::None => plain(insn),
    };
    let registers =
        usize::from((6..REG_FP).contains(&insn.dst_reg)) + usize::from((6..REG_FP).contains(&insn.src_reg));
    let narrow = match insn.class() {
        class::ALU | class::JMP32 => true,
        class::LDX | class::ST | class::STX => insn.size() != size::DW,
        _ => false,
    };
    let offset = match insn.off {
        0 => 0,
        -8 => 1,
        off if off % 8 == 0 => 2,
        _ => 3,
    };
    let call = insn.is_helper_call() || matches!(operand, Operand::Kfunc(_));
    let immediate = match insn.imm {
        _ if call => 0,
        0 => 0,
        -8 | 1 => 1,
        _ => 2,
    };
    kind + registers + usize::from(narrow) + offset + immediate
}

fn plain(insn: &Insn) -> usize {
    match insn.class() {
        class::JMP if insn.op() == jmp::EXIT => 0,
        class::JMP => 6,
        class::ALU | class::ALU64 => {
            let source = 2 * usize::from(insn.is_src_x());
            match insn.op() {
                alu::MOV => 1 + source,
                alu::ADD => 3 + source,
                _ => 4 + source,
            }
        }
        class::LDX if insn.mode() == mode::MEM => 4,
        class::ST if insn.mode() == mode::MEM => 4,
        class::STX if insn.mode() == mode::MEM => 5,
        _ => 9,
    }
}
