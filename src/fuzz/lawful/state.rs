//! What registers and the slots of frames may hold before an instruction.
//!
//! ```text
//! write through a pointer to one place -> the slot holds the value, or a number if less than 8 bytes were written
//! write through any other              -> every slot that may be meant holds what it held, the value, or a number
//! ```
//!
//! Slots have 8 bytes. Frames are counted from that of the function at work up the chain of those who called it.

use super::value::{FRAME, NOTHING, NUM, UNINIT, Value};
use livediff_capture::insn::REG_FP;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) regs: [Value; 10],
    /// Slots of frames, by how far up the chain, each from its top.
    pub(super) slots: Vec<Vec<Value>>,
}

impl State {
    pub(super) fn reg(&self, reg: u8) -> Value {
        match reg {
            REG_FP => Value::frame(0),
            reg => self.regs.get(usize::from(reg)).copied().unwrap_or(Value::of(UNINIT)),
        }
    }

    pub(super) fn set(&mut self, reg: u8, value: Value) {
        if let Some(place) = self.regs.get_mut(usize::from(reg)) {
            *place = value;
        }
    }

    /// r1 to r5.
    pub(super) fn args(&self) -> [Value; 5] {
        std::array::from_fn(|arg| self.reg(arg as u8 + 1))
    }

    pub(super) fn join(&mut self, other: &State, widen: bool) -> bool {
        let before = self.clone();
        let slots = self.slots.iter_mut().flatten().zip(other.slots.iter().flatten());
        for (value, other) in self.regs.iter_mut().zip(&other.regs).chain(slots) {
            *value = value.join(other, widen);
        }
        before != *self
    }

    /// The slots that an access may touch: depth and place; and whether it is this one for certain.
    pub(super) fn touched(&self, pointer: &Value, off: i64, size: i64) -> (Vec<(usize, usize)>, bool) {
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

    pub(super) fn slot(&mut self, (depth, place): (usize, usize)) -> Option<&mut Value> {
        self.slots.get_mut(depth)?.get_mut(place)
    }

    pub(super) fn write(&mut self, pointer: &Value, off: i64, size: i64, value: Value) {
        let (touched, certain) = self.touched(pointer, off, size);
        for place in touched {
            if let Some(slot) = self.slot(place) {
                let whole = size == 8;
                let new = if whole { value } else { Value::any_number() };
                *slot = if certain { new } else { slot.join(&new, false).join(&Value::any_number(), false) };
            }
        }
    }

    pub(super) fn read(&mut self, pointer: &Value, off: i64, size: i64) -> Value {
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
    pub(super) fn numbers_alone(&mut self, pointer: &Value, off: i64, size: i64) -> bool {
        let (touched, _) = self.touched(pointer, off, size);
        touched.into_iter().all(|place| self.slot(place).is_none_or(|slot| slot.is(NUM)))
    }

    pub(super) fn called(&mut self, result: Value) {
        (1..=5).for_each(|reg| self.set(reg, Value::of(UNINIT)));
        self.set(0, result);
    }

    /// What a function finds that is called in this state.
    pub(super) fn entered(&self, args: [Value; 5]) -> State {
        let mut slots = vec![vec![Value::any_number(); self.slots.first().map_or(0, Vec::len)]];
        slots.extend(self.slots.iter().cloned());
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
    pub(super) fn left(&mut self, exit: &State, join: bool) {
        for (slots, after) in self.slots.iter_mut().zip(exit.slots.iter().skip(1)) {
            for (slot, after) in slots.iter_mut().zip(after) {
                let after = after.seen_from(false);
                *slot = if join { slot.join(&after, false) } else { after };
            }
        }
    }
}
