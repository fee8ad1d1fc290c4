//! What the registers of a function under construction were last given, in the order of its text.
//!
//! Most of what the analysis does, it does to operands of one kind: the sign of a constant is extended, a map has sizes,
//! a pointer is moved. A register chosen blindly seldom holds such. Paths that meet are not followed: an action that asks
//! for a constant mostly gets one, and sometimes something else, which is wanted as well.

use crate::assemble::Operand;
use livediff_capture::{
    Insn,
    insn::{REG_FP, alu, class, jmp, mode, size},
};

/// A kind of value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Content {
    /// None of the others.
    #[default]
    Other,
    /// A pointer into a frame, or a parameter, which may be one.
    Pointer,
    /// A number that constant folding may know.
    Constant,
    /// The address of a map.
    Map,
    /// An address in a map's value.
    MapValue,
}

/// What r0 to r9 hold, and where in the frame something stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    regs: [Content; 10],
    /// Offsets from the frame pointer that loads and stores have used.
    used: Vec<i16>,
    /// Those at which a pointer was spilled.
    spilled: Vec<i16>,
}

impl Contents {
    /// At the entry of a function: only parameters hold something.
    pub(super) fn at_entry(is_main: bool) -> Contents {
        let mut contents = Contents::default();
        if !is_main {
            contents.regs[1..=5].fill(Content::Pointer);
        }
        contents
    }

    fn of(&self, reg: u8) -> Content {
        match reg {
            REG_FP => Content::Pointer,
            reg => self.regs.get(usize::from(reg)).copied().unwrap_or_default(),
        }
    }

    /// The registers that hold `content`, or, if they are the ones wanted, those that hold something else.
    pub(super) fn holding(&self, content: Content, wanted: bool) -> Vec<u8> {
        (0..10).filter(|reg| (self.of(*reg) == content) == wanted).collect()
    }

    /// Offsets from the frame pointer that loads and stores have used.
    pub(super) fn used(&self) -> &[i16] {
        &self.used
    }

    /// Offsets from the frame pointer at which a pointer was spilled.
    pub(super) fn spilled(&self) -> &[i16] {
        &self.spilled
    }

    /// Takes notice of the next instruction.
    pub(super) fn note(&mut self, insn: &Insn, operand: Operand) {
        let given = match insn.class() {
            class::ALU | class::ALU64 => self.computed(insn),
            class::LDX => {
                self.access(insn.src_reg, insn);
                self.loaded(insn)
            }
            class::LD if insn.is_ldimm64() => match operand {
                Operand::Map(_) => Content::Map,
                Operand::MapValue(..) => Content::MapValue,
                Operand::None | Operand::High(_) => Content::Constant,
                _ => Content::Other,
            },
            class::ST | class::STX => {
                self.access(insn.dst_reg, insn);
                return self.stored(insn);
            }
            class::LD => return self.regs[..=5].fill(Content::Other),
            class::JMP if insn.op() == jmp::CALL => return self.regs[..=5].fill(Content::Other),
            _ => return,
        };
        if let Some(reg) = self.regs.get_mut(usize::from(insn.dst_reg)) {
            *reg = given;
        }
    }

    /// What an ALU instruction leaves in its destination.
    fn computed(&self, insn: &Insn) -> Content {
        use Content::{Constant, Other, Pointer};
        let (dst, src) = (self.of(insn.dst_reg), self.of(insn.src_reg));
        let wide = insn.class() == class::ALU64;
        match (insn.op(), insn.is_src_x()) {
            (alu::MOV, false) => Constant,
            (alu::MOV, true) if src == Constant && insn.off != 1 => Constant,
            (alu::MOV, true) if wide && insn.off == 0 => src,
            (alu::AND, false) if dst == Constant || insn.imm == 0 => Constant,
            (alu::AND, true) if dst == Constant && src == Constant => Constant,
            (alu::ADD | alu::SUB, false) if wide || dst == Constant => dst,
            (alu::ADD | alu::SUB, true) if wide && dst == Pointer => Pointer,
            _ => Other,
        }
    }

    fn loaded(&self, insn: &Insn) -> Content {
        match self.of(insn.src_reg) {
            Content::MapValue => Content::Constant,
            Content::Pointer if insn.src_reg == REG_FP && self.spilled.contains(&insn.off) => {
                Content::Pointer
            }
            _ => Content::Other,
        }
    }

    fn stored(&mut self, insn: &Insn) {
        if insn.mode() == mode::ATOMIC {
            if let Some(reg) = insn.atomic_load_reg().and_then(|reg| self.regs.get_mut(usize::from(reg))) {
                *reg = Content::Other;
            }
        } else if insn.dst_reg == REG_FP {
            self.spilled.retain(|off| *off != insn.off);
            let spills = insn.code == class::STX | mode::MEM | size::DW;
            if spills && self.of(insn.src_reg) == Content::Pointer {
                self.spilled.push(insn.off);
            }
        }
    }

    fn access(&mut self, base: u8, insn: &Insn) {
        if base == REG_FP && !self.used.contains(&insn.off) {
            self.used.push(insn.off);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livediff_capture::insn::SRC_X;

    fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
        Insn { code, dst_reg, src_reg, off, imm }
    }

    fn after(insns: &[(Insn, Operand)]) -> Contents {
        let mut contents = Contents::at_entry(false);
        insns.iter().for_each(|(insn, operand)| contents.note(insn, *operand));
        contents
    }

    #[test]
    fn registers_are_known_by_what_they_were_given() {
        let mov = class::ALU64 | alu::MOV;
        let address = insn(class::LD | mode::IMM | size::DW, 7, 0, 0, 0);
        let contents = after(&[
            (insn(mov, 0, 0, 0, -1), Operand::None),
            // Its sign is extended: still a constant. That of a pointer is no pointer any more.
            (insn(mov | SRC_X, 1, 0, 8, 0), Operand::None),
            (insn(mov | SRC_X, 2, 3, 8, 0), Operand::None),
            (insn(mov | SRC_X, 6, 3, 0, 0), Operand::None),
            (address, Operand::Map(1)),
            (Insn { dst_reg: 8, ..address }, Operand::MapValue(1, 8)),
            (insn(class::LDX | mode::MEMSX | size::B, 9, 8, 0, 0), Operand::None),
        ]);
        assert_eq!(contents.holding(Content::Constant, true), [0, 1, 9]);
        assert_eq!(contents.holding(Content::Pointer, true), [3, 4, 5, 6]);
        assert_eq!(contents.holding(Content::Map, true), [7]);
        assert_eq!(contents.holding(Content::MapValue, true), [8]);
        assert_eq!(contents.holding(Content::Constant, false), [2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_call_leaves_nothing_in_r0_to_r5() {
        let call = (insn(class::JMP | jmp::CALL, 0, 0, 0, 1), Operand::None);
        assert_eq!(after(&[]).holding(Content::Pointer, true), [1, 2, 3, 4, 5]);
        assert_eq!(after(&[call]).holding(Content::Pointer, true), [0u8; 0]);
    }

    #[test]
    fn a_spilled_pointer_is_filled_where_it_stands() {
        let spill = (insn(class::STX | mode::MEM | size::DW, REG_FP, 1, -8, 0), Operand::None);
        let fill = |off| (insn(class::LDX | mode::MEM | size::DW, 6, REG_FP, off, 0), Operand::None);
        let over = (insn(class::ST | mode::MEM | size::B, REG_FP, 0, -8, 0), Operand::None);
        let pointer = |contents: &Contents| contents.of(6) == Content::Pointer;
        assert!(pointer(&after(&[spill, fill(-8)])));
        assert!(!pointer(&after(&[spill, fill(-16)])) && !pointer(&after(&[spill, over, fill(-8)])));
        assert_eq!(after(&[spill, fill(-16)]).used(), [-8, -16]);
    }
}
