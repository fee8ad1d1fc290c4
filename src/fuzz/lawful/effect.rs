//! What instructions leave in registers and slots.
//!
//! ```text
//! what may be held before, an instruction -> what may be held behind it
//! ```
//!
//! Calls and jumps have more than one place behind them, or another state there: see the parent.

use super::{
    state::State,
    value::{FRAME, FUNC, MAP, NUM, TABLE, TARGET, UNINIT, VALUE, Value, zeros},
    work::Made,
};
use crate::assemble::Operand;
use crate::interpret::{compute, moved};
use livediff_capture::insn::{alu, atomic, class, mode};

/// What an instruction that goes on to the next one leaves.
pub(super) fn effect(state: &mut State, made: &Made) {
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

/// What an instruction that touches no memory leaves in registers; false if it would be refused.
pub(super) fn put(state: &mut State, (insn, operand): &Made) -> bool {
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
