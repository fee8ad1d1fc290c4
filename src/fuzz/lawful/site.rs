//! An instruction and what is put before it, such that a verifier lets it pass.
//!
//! ```text
//! what may be held before it -> operands that are set right before it, other operands, a wider access; or not at all
//! ```

use super::{
    effect::put,
    rules::Rules,
    state::State,
    value::{CTX, FRAME, Hull, NUM, TABLE, TARGET, UNINIT, VALUE, Value},
    work::{Made, add_imm, copy, insn},
};
use crate::assemble::{Operand, mov_imm};
use crate::random::Random;
use livediff_capture::{
    Insn,
    insn::{REG_FP, REG_PARAMS, alu, atomic, class, jmp, mode, size},
};

/// Pointers that are followed.
const POINTER: u16 = FRAME | VALUE | TABLE;

pub(super) struct Site<'a> {
    pub(super) rules: &'a Rules,
    pub(super) random: &'a mut Random,
    /// The function's.
    pub(super) label: u32,
    pub(super) tables: &'a [Vec<usize>],
    /// Behind what is before the instruction.
    pub(super) state: State,
    pub(super) before: Vec<Made>,
}

impl Site<'_> {
    /// Makes an instruction right; false if it cannot be.
    pub(super) fn mend(&mut self, made: &mut Made) -> bool {
        let insn = &mut made.0;
        if insn.dst_reg == REG_PARAMS || insn.src_reg == REG_PARAMS {
            return false;
        }
        match insn.class() {
            class::ALU | class::ALU64 => self.mend_alu(insn),
            class::LD if insn.is_ld_abs_ind() => {
                let allowed = self.rules.packets && insn.mode() == mode::ABS && self.label == 0;
                allowed && self.state.reg(6).is(CTX)
            }
            class::LD => insn.dst_reg < 10,
            class::LDX => self.mend_load(insn),
            class::ST | class::STX => self.mend_store(insn),
            _ => self.mend_jump(made),
        }
    }

    /// What takes the place of an instruction that cannot be.
    pub(super) fn harmless(&mut self, instead_of: &Insn) -> Insn {
        match instead_of.class() {
            class::ST | class::STX => {
                let off = -8 * self.random.range(1, self.rules.slots() as i32);
                insn(class::ST | mode::MEM | size::DW, REG_FP, 0, off as i16, 1)
            }
            class::JMP | class::JMP32 => mov_imm(0, 0),
            _ if instead_of.dst_reg < 10 => mov_imm(instead_of.dst_reg, 8),
            _ => mov_imm(0, 0),
        }
    }

    pub(super) fn fix(&mut self, insn: Insn, operand: Operand) {
        let made = (insn, operand);
        put(&mut self.state, &made);
        self.before.push(made);
    }

    pub(super) fn set(&mut self, reg: u8, imm: i32) {
        self.fix(mov_imm(reg, imm), Operand::None);
    }

    /// A pointer into the frame whose next `size` bytes lie in it.
    pub(super) fn point(&mut self, reg: u8, size: i64) {
        let beyond = (size - 1) / 8;
        let slots = (self.rules.slots() - beyond).max(1) as i32;
        let off = -8 * self.random.range(1, slots) - 8 * beyond as i32;
        self.fix(copy(reg, REG_FP), Operand::None);
        self.fix(add_imm(reg, off), Operand::None);
    }

    /// Something is in the register.
    fn written(&mut self, reg: u8) {
        if self.state.reg(reg).kinds & UNINIT == 0 {
            return;
        }
        match self.random.below(3) {
            0 => self.point(reg, 8),
            _ => {
                let imm = self.random.of(&[0, 0, 1, 8, 16, -1], 0);
                self.set(reg, imm);
            }
        }
    }

    /// An offset at which an access through the pointer is right.
    fn fit(&mut self, pointer: &Value, off: i16, size: i64, writes: bool) -> Option<i16> {
        let (to_frame, to_value) = (pointer.kinds & FRAME != 0, pointer.kinds & VALUE != 0);
        if !pointer.is(FRAME | VALUE) || to_value && writes && !self.rules.writable(pointer.refs) {
            return None;
        }
        let (low, high) = pointer.frame;
        let certain = low == high;
        let value_size = self.rules.least_value(pointer.refs);
        let limit = self.rules.limit;
        let inside =
            |(low, high): Hull, off: i64, from: i64, to: i64| low + off >= from && high + off + size <= to;
        let right = |off: i64| {
            let aligned = match certain {
                true => (low + off).rem_euclid(size) == 0,
                false => 1i64 << pointer.frame_align.min(3) >= size && off.rem_euclid(size) == 0,
            };
            (!to_frame || aligned && inside(pointer.frame, off, -limit, 0))
                && (!to_value || inside(pointer.value, off, 0, value_size))
        };
        let off = i64::from(off);
        let mut tries = vec![off];
        if to_frame && certain {
            let slot = i64::from(self.random.range(1, self.rules.slots() as i32));
            tries.extend([off - (low + off).rem_euclid(size), -low - 8 * slot]);
        }
        if to_frame {
            tries.extend([off - off.rem_euclid(size), (-high - size).div_euclid(8) * 8]);
        }
        if to_value {
            tries.extend([off - (pointer.value.0 + off).rem_euclid(size), -pointer.value.0]);
        }
        tries.into_iter().find(|off| right(*off)).and_then(|off| i16::try_from(off).ok())
    }

    /// Base and offset of an access that is right: through `base`, or else to the frame.
    fn access(&mut self, base: u8, off: i16, size: i64, writes: bool) -> (u8, i16) {
        if let Some(off) = self.fit(&self.state.reg(base), off, size, writes) {
            return (base, off);
        }
        (REG_FP, self.fit(&Value::frame(0), off, size, writes).unwrap_or(-8))
    }

    fn mend_alu(&mut self, insn: &mut Insn) -> bool {
        let wide = insn.class() == class::ALU64;
        if insn.dst_reg >= 10 {
            return false;
        }
        let takes_src = insn.is_src_x() && !matches!(insn.op(), alu::END | alu::NEG);
        if takes_src {
            self.written(insn.src_reg);
        }
        if insn.op() == alu::MOV {
            if wide && insn.is_src_x() && insn.off == 1 {
                (insn.off, insn.imm) = (0, 0);
            }
            return true;
        }
        self.written(insn.dst_reg);
        if wide && insn.op() == alu::SUB && self.state.reg(insn.dst_reg).kinds & FRAME != 0 {
            // Nothing is subtracted from a pointer into a frame.
            insn.code = insn.code & !alu::SUB | alu::ADD;
            insn.imm = insn.imm.wrapping_neg();
        }
        let a = self.state.reg(insn.dst_reg);
        let b = if takes_src { self.state.reg(insn.src_reg) } else { Value::number(insn.imm.into()) };
        match insn.op() {
            _ if takes_src => {}
            alu::DIV | alu::MOD if insn.imm == 0 => insn.imm = 3,
            alu::LSH | alu::RSH | alu::ARSH => insn.imm &= if wide { 63 } else { 31 },
            _ => {}
        }
        a.is(NUM) && b.is(NUM) || wide && self.mend_distance(insn, a, b)
    }

    /// A pointer and a number are added, or one of them is subtracted from the other.
    fn mend_distance(&mut self, insn: &mut Insn, a: Value, mut b: Value) -> bool {
        let bound = |value: &Value| value.number.0 >= -512 && value.number.1 <= 512;
        let minus = match insn.op() {
            alu::ADD => false,
            alu::SUB => true,
            _ => return false,
        };
        let moved = if a.is(POINTER | NUM) && b.is(NUM) {
            if !bound(&b) && !insn.is_src_x() {
                insn.imm = insn.imm % 8 * 8;
                b = Value::number(insn.imm.into());
            } else if !bound(&b) {
                if insn.src_reg >= 10 || insn.src_reg == insn.dst_reg {
                    return false;
                }
                let mask = self.random.of(&[8, 8, 24, 4], 8);
                let and = Insn {
                    code: class::ALU64 | alu::AND,
                    dst_reg: insn.src_reg,
                    imm: mask,
                    ..Insn::default()
                };
                self.fix(and, Operand::None);
                b = self.state.reg(insn.src_reg);
            }
            if a.kinds & TABLE != 0 && minus {
                return false;
            }
            a.moved(b.number, b.number_align, minus)
        } else if !minus && a.is(NUM) && b.is(FRAME | VALUE) && bound(&a) {
            b.moved(a.number, a.number_align, false)
        } else {
            return false;
        };
        if !moved.is_near() {
            *insn = copy(insn.dst_reg, REG_FP);
        }
        true
    }

    fn mend_load(&mut self, insn: &mut Insn) -> bool {
        if insn.dst_reg >= 10 {
            return false;
        }
        let base = self.state.reg(insn.src_reg);
        if base.is(CTX) {
            let (off, size) = self.rules.field;
            (insn.code, insn.off) = (class::LDX | mode::MEM | size, off);
            return true;
        }
        if base.is(TABLE) {
            let tables = self.tables.iter().enumerate().filter(|(at, _)| base.refs >> at & 1 == 1);
            let targets = tables.map(|(_, table)| table.len()).min().unwrap_or(0) as i64;
            let at = base.value.0 + i64::from(insn.off);
            return insn.size_bytes() == 8
                && insn.mode() == mode::MEM
                && base.value.0 == base.value.1
                && at >= 0
                && at + 8 <= 8 * targets
                && at % 8 == 0;
        }
        self.mend_read(insn, false)
    }

    /// A read of memory through `src_reg`, or of an atomic operation through `dst_reg`.
    fn mend_read(&mut self, insn: &mut Insn, writes: bool) -> bool {
        let atomic = insn.class() == class::STX;
        for _ in 0..3 {
            let size = i64::from(insn.size_bytes());
            let base = match atomic && insn.imm != atomic::LOAD_ACQ {
                true => &mut insn.dst_reg,
                false => &mut insn.src_reg,
            };
            (*base, insn.off) = self.access(*base, insn.off, size, writes);
            let pointer = self.state.reg(*base);
            if size == 8 || self.state.numbers_alone(&pointer, insn.off.into(), size) {
                return true;
            }
            // A part of a pointer cannot be read.
            let mode = if atomic { mode::ATOMIC } else { mode::MEM };
            insn.code = insn.class() | mode | size::DW;
        }
        false
    }

    fn mend_store(&mut self, insn: &mut Insn) -> bool {
        let atomic = insn.class() == class::STX && insn.mode() == mode::ATOMIC;
        if atomic && insn.imm == atomic::LOAD_ACQ {
            return insn.dst_reg < 10 && self.mend_read(insn, false);
        }
        if insn.class() == class::STX {
            self.written(insn.src_reg);
        }
        if atomic && insn.imm != atomic::STORE_REL {
            if insn.imm == atomic::CMPXCHG {
                self.written(0);
            }
            return (insn.atomic_load_reg().is_none() || insn.src_reg < 10) && self.mend_read(insn, true);
        }
        let size = i64::from(insn.size_bytes());
        (insn.dst_reg, insn.off) = self.access(insn.dst_reg, insn.off, size, true);
        if insn.class() == class::STX {
            let (target, value) = (self.state.reg(insn.dst_reg), self.state.reg(insn.src_reg));
            let upwards = value.kinds & FRAME != 0 && target.kinds & FRAME != 0 && target.depths != 1;
            if upwards || size < 8 && !value.is(NUM) {
                let code = class::ST | mode::MEM | insn.size();
                *insn = Insn { code, src_reg: 0, imm: 1, ..*insn };
            }
        }
        true
    }

    fn mend_jump(&mut self, made: &mut Made) -> bool {
        let jump = made.0;
        match jump.op() {
            jmp::EXIT => {
                if self.state.reg(0).constant() != Some(0) {
                    self.set(0, 0);
                }
                true
            }
            jmp::CALL => self.mend_call(made),
            jmp::JA if jump.is_gotox() => self.state.reg(jump.dst_reg).is(TARGET),
            jmp::JA | jmp::JCOND => true,
            _ => {
                self.written(jump.dst_reg);
                if jump.is_src_x() {
                    self.written(jump.src_reg);
                }
                true
            }
        }
    }
}
