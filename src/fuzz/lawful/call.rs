//! Calls whose arguments are such that a verifier lets them pass, and what they leave.
//!
//! ```text
//! call                           -> one of a helper that is known, its arguments set right; calls go to later functions
//! helper, what may be held there -> what may be held behind it, and by whom it calls
//! ```

use super::{
    rules::Rules,
    site::Site,
    state::State,
    value::{FRAME, FUNC, MAP, NUM, OPAQUE, UNINIT, VALUE, Value},
    work::{Made, copy, insn},
};
use crate::assemble::Operand;
use livediff_capture::insn::{class, func, jmp, mode, size};

impl Site<'_> {
    pub(super) fn mend_call(&mut self, made: &mut Made) -> bool {
        if let Operand::Call(callee) = made.1 {
            return callee > self.label;
        }
        if !made.0.is_helper_call() {
            let helper = if self.random.percent(50) { 113 } else { 6 };
            *made = (insn(class::JMP | jmp::CALL, 0, 0, 0, helper), Operand::None);
        }
        made.0.imm = self.known(made.0.imm);
        match made.0.imm {
            1 => {
                let map = self.map(self.rules.keyed());
                self.bytes(2, self.rules.largest_key(map));
            }
            id @ (2 | 3) => {
                let map = self.map(self.rules.keyed_and_writable());
                self.bytes(2, self.rules.largest_key(map));
                if id == 2 {
                    self.bytes(3, self.rules.largest_value(map));
                    self.any_number(4);
                }
            }
            id @ 87..=89 => {
                let map = self.map(self.rules.keyless(id));
                self.bytes(2, self.rules.largest_value(map));
                if id == 87 {
                    self.any_number(3);
                }
            }
            id @ (6 | 113) => {
                self.bytes(1, 1);
                let most = -self.state.reg(1).frame.1;
                self.number(2, 1, most);
                if id == 113 {
                    self.any_number(3);
                }
            }
            id @ (func::LOOP | func::FOR_EACH_MAP_ELEM) => {
                let callback = self.state.reg(2);
                if !callback.is(FUNC) || callback.labels().any(|label| label <= self.label) {
                    return false;
                }
                if id == func::LOOP {
                    self.any_number(1);
                    self.any_number(4);
                } else {
                    self.map(self.rules.keyed_and_writable());
                    if self.state.reg(4).constant() != Some(0) {
                        self.set(4, 0);
                    }
                }
                if !self.state.reg(3).is(FRAME) && self.state.reg(3).constant() != Some(0) {
                    self.point(3, 8);
                }
            }
            _ => {}
        }
        true
    }

    /// The helper if it is known, or one that takes its place.
    fn known(&mut self, helper: i32) -> i32 {
        match helper {
            _ if self.rules.knows(helper) => helper,
            func::FIND_VMA | func::USER_RINGBUF_DRAIN => {
                if self.state.reg(3).is(FUNC) {
                    self.fix(copy(2, 3), Operand::None);
                }
                func::LOOP
            }
            _ => self.random.of(self.rules.helpers(), 7),
        }
    }

    /// A number is in the register, none but these.
    fn number(&mut self, reg: u8, least: i64, most: i64) {
        let value = self.state.reg(reg);
        if !value.is(NUM) || value.number.0 < least || value.number.1 > most {
            let least = i32::try_from(least).unwrap_or(0);
            let wanted = self.random.of(&[0, 1, 4, 8, 8, 12, 16], 8);
            self.set(reg, wanted.max(least).min(i32::try_from(most).unwrap_or(i32::MAX)));
        }
    }

    fn any_number(&mut self, reg: u8) {
        self.number(reg, i64::MIN, i64::MAX);
    }

    /// A pointer to so many bytes of a frame is in the register.
    fn bytes(&mut self, reg: u8, size: i64) {
        let value = self.state.reg(reg);
        let fits = value.is(FRAME) && value.frame.0 >= -self.rules.limit && value.frame.1 + size <= 0;
        if !fits {
            self.point(reg, size);
        }
    }

    /// A map of these is in r1.
    fn map(&mut self, allowed: u64) -> u64 {
        let value = self.state.reg(1);
        if !value.is(MAP) || value.refs & !allowed != 0 {
            let places: Vec<usize> = (0..64).filter(|at| allowed >> at & 1 == 1).collect();
            let place = self.random.of(&places, 0);
            let load = insn(class::LD | mode::IMM | size::DW, 1, 0, 0, 0);
            self.fix(load, Operand::Map(place));
        }
        self.state.reg(1).refs
    }
}

/// The arguments that a helper gives to the callback that it calls; nothing if it calls none.
pub(super) fn given(helper: i32, state: &State) -> Option<[Value; 5]> {
    let (none, context) = (Value::of(UNINIT), state.reg(3));
    match helper {
        func::LOOP => Some([Value::any_number(), context, none, none, none]),
        func::FOR_EACH_MAP_ELEM => {
            let map = state.reg(1);
            let value = Value { value: (0, 0), refs: map.refs, ..Value::of(VALUE) };
            Some([map, Value::of(OPAQUE), value, context, none])
        }
        _ => None,
    }
}

/// What a helper that calls nobody leaves.
pub(super) fn helped(rules: &Rules, helper: i32, state: &mut State) {
    let written = match helper {
        113 => Some((1, state.reg(2).number.1)),
        88 | 89 => Some((2, rules.largest_value(state.reg(1).refs))),
        _ => None,
    };
    if let Some((reg, size)) = written {
        let pointer = state.reg(reg);
        for place in state.touched(&pointer, 0, size).0 {
            if let Some(slot) = state.slot(place) {
                *slot = slot.join(&Value::any_number(), false);
            }
        }
    }
    state.called(if helper == 1 { Value::of(OPAQUE) } else { Value::any_number() });
}
