//! What a register or slot may hold.
//!
//! ```text
//! value = kinds of thing, and of each kind a hull of its distances or numbers, and what power of two divides them
//! join  = union of the kinds, hull of the hulls; what grows for too long becomes all that there is
//! ```

/// Nothing was written to it.
pub(super) const UNINIT: u16 = 1;
pub(super) const NUM: u16 = 1 << 1;
/// A place in a frame.
pub(super) const FRAME: u16 = 1 << 2;
pub(super) const CTX: u16 = 1 << 3;
pub(super) const MAP: u16 = 1 << 4;
/// A place in the value of a map.
pub(super) const VALUE: u16 = 1 << 5;
/// The address of a function.
pub(super) const FUNC: u16 = 1 << 6;
/// A place in a jump table.
pub(super) const TABLE: u16 = 1 << 7;
/// What is loaded from there.
pub(super) const TARGET: u16 = 1 << 8;
/// Something that can be kept and compared alone: a value or null, a key.
pub(super) const OPAQUE: u16 = 1 << 9;

pub(super) type Hull = (i64, i64);
const ALL: Hull = (i64::MIN, i64::MAX);
/// Distances of pointers that are followed.
const FAR: i64 = 4096;

/// What a register or slot may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) kinds: u16,
    /// Frames, by how far up the chain of calls.
    pub(super) depths: u64,
    /// Distances from frame pointers, and the power of two that all are multiples of.
    pub(super) frame: Hull,
    pub(super) frame_align: u32,
    /// Offsets in maps' values and in jump tables.
    pub(super) value: Hull,
    pub(super) number: Hull,
    pub(super) number_align: u32,
    /// Maps, functions or jump tables.
    pub(super) refs: u64,
}

pub(super) const NOTHING: Value = Value {
    kinds: 0,
    depths: 0,
    frame: (i64::MAX, i64::MIN),
    frame_align: 63,
    value: (i64::MAX, i64::MIN),
    number: (i64::MAX, i64::MIN),
    number_align: 63,
    refs: 0,
};

/// The power of two that a number is a multiple of.
pub(super) fn zeros(number: i64) -> u32 {
    number.trailing_zeros().min(63)
}

impl Value {
    pub(super) const fn of(kinds: u16) -> Value {
        Value { kinds, ..NOTHING }
    }

    pub(super) const fn any_number() -> Value {
        Value { kinds: NUM, number: ALL, number_align: 0, ..NOTHING }
    }

    pub(super) fn number(number: i64) -> Value {
        Value { kinds: NUM, number: (number, number), number_align: zeros(number), ..NOTHING }
    }

    pub(super) fn frame(off: i64) -> Value {
        Value { kinds: FRAME, depths: 1, frame: (off, off), frame_align: zeros(off), ..NOTHING }
    }

    pub(super) fn is(&self, kinds: u16) -> bool {
        self.kinds != 0 && self.kinds & !kinds == 0
    }

    pub(super) fn constant(&self) -> Option<i64> {
        (self.kinds == NUM && self.number.0 == self.number.1).then_some(self.number.0)
    }

    /// The functions that it may be.
    pub(super) fn labels(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |label| self.refs >> label & 1 == 1)
    }

    pub(super) fn join(&self, other: &Value, widen: bool) -> Value {
        let hull = |a: Hull, b: Hull, most: Hull| {
            let sum = (a.0.min(b.0), a.1.max(b.1));
            if widen && sum != a { most } else { sum }
        };
        Value {
            kinds: self.kinds | other.kinds,
            depths: self.depths | other.depths,
            frame: hull(self.frame, other.frame, (-2 * FAR, 2 * FAR)),
            frame_align: self.frame_align.min(other.frame_align),
            value: hull(self.value, other.value, (-2 * FAR, 2 * FAR)),
            number: hull(self.number, other.number, ALL),
            number_align: self.number_align.min(other.number_align),
            refs: self.refs | other.refs,
        }
    }

    /// The same seen from one frame further down, or up.
    pub(super) fn seen_from(&self, down: bool) -> Value {
        Value { depths: if down { self.depths << 1 } else { self.depths >> 1 }, ..*self }
    }

    pub(super) fn moved(&self, by: Hull, by_align: u32, minus: bool) -> Value {
        let add = |hull: Hull| {
            let (low, high) = if minus { (by.1.saturating_neg(), by.0.saturating_neg()) } else { by };
            (hull.0.saturating_add(low), hull.1.saturating_add(high))
        };
        let mut moved = *self;
        if self.kinds & FRAME != 0 {
            moved.frame = add(self.frame);
            moved.frame_align = match moved.frame {
                (a, b) if a == b => zeros(a),
                _ => self.frame_align.min(by_align),
            };
        }
        if self.kinds & (VALUE | TABLE) != 0 {
            moved.value = add(self.value);
        }
        if self.kinds & NUM != 0 {
            moved.number = add(self.number);
            moved.number_align = self.number_align.min(by_align);
            if moved.number.0 < -FAR || moved.number.1 > FAR {
                (moved.number, moved.number_align) = (ALL, 0);
            }
        }
        moved
    }

    pub(super) fn is_near(&self) -> bool {
        let near = |hull: Hull| hull.0 > hull.1 || hull.0 >= -FAR && hull.1 <= FAR;
        near(self.frame) && near(self.value)
    }
}
