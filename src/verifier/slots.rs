//! Sets of stack slots of one frame, at half-slot granularity.
//!
//! A frame has 64 slots of 8 bytes, fp-8 down to fp-512. Half-slot `2 * s` is the upper half of slot `s`
//! (bytes fp-8s-4 to fp-8s-1), half-slot `2 * s + 1` the lower half (bytes fp-8s-8 to fp-8s-5).

use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Not};

/// Half-slots in a frame (`STACK_SLOTS`).
pub const HALF_SLOTS: u32 = 128;
/// Bytes in a half-slot (`STACK_SLOT_SZ`).
pub const HALF_SLOT_SIZE: i64 = 4;
/// Slots in a frame.
pub const SLOTS: usize = 64;

/// A set of half-slots of one frame (`spis_t`).
///
/// ```
/// use livediff::verifier::SlotMask;
///
/// let slot = SlotMask::range(2, 3); // fp-16, both halves
/// assert!(slot.contains(3) && !slot.contains(4));
/// assert_eq!((slot & !SlotMask::range(3, 9)).bits(), 0b100);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SlotMask(u128);

impl SlotMask {
    /// The empty set (`SPIS_ZERO`).
    pub const EMPTY: SlotMask = SlotMask(0);
    /// Every half-slot of the frame (`SPIS_ALL`).
    pub const ALL: SlotMask = SlotMask(u128::MAX);

    /// The half-slots `lo..=hi` that lie in the frame; empty if `lo > hi` (`spis_or_range`).
    pub fn range(lo: i64, hi: i64) -> SlotMask {
        let lo = lo.max(0);
        let hi = hi.min(i64::from(HALF_SLOTS) - 1);
        if lo > hi {
            return SlotMask::EMPTY;
        }
        // Both lie in 0..128 here.
        SlotMask((u128::MAX >> (127 - (hi - lo))) << lo)
    }

    /// The half-slot is in the set; false outside of 0..128.
    pub fn contains(self, half_slot: u32) -> bool {
        half_slot < HALF_SLOTS && self.0 >> half_slot & 1 == 1
    }

    /// No half-slot is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Bit `i` is half-slot `i`.
    pub fn bits(self) -> u128 {
        self.0
    }
}

impl From<u128> for SlotMask {
    fn from(bits: u128) -> SlotMask {
        SlotMask(bits)
    }
}

impl BitOr for SlotMask {
    type Output = SlotMask;
    fn bitor(self, other: SlotMask) -> SlotMask {
        SlotMask(self.0 | other.0)
    }
}

impl BitOrAssign for SlotMask {
    fn bitor_assign(&mut self, other: SlotMask) {
        self.0 |= other.0;
    }
}

impl BitAnd for SlotMask {
    type Output = SlotMask;
    fn bitand(self, other: SlotMask) -> SlotMask {
        SlotMask(self.0 & other.0)
    }
}

impl BitAndAssign for SlotMask {
    fn bitand_assign(&mut self, other: SlotMask) {
        self.0 &= other.0;
    }
}

impl Not for SlotMask {
    type Output = SlotMask;
    fn not(self) -> SlotMask {
        SlotMask(!self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clipped_to_the_frame() {
        assert_eq!(SlotMask::range(0, 0).bits(), 1);
        assert_eq!(SlotMask::range(1, 3).bits(), 0b1110);
        assert_eq!(SlotMask::range(0, 127), SlotMask::ALL);
        assert_eq!(SlotMask::range(126, 8000).bits(), 0b11 << 126);
        assert_eq!(SlotMask::range(128, 200), SlotMask::EMPTY);
        assert_eq!(SlotMask::range(5, 4), SlotMask::EMPTY);
        assert_eq!(SlotMask::range(-3, 1).bits(), 0b11);
    }

    /// The half-slots of a set, one by one.
    fn members(mask: SlotMask) -> Vec<u32> {
        (0..HALF_SLOTS).filter(|half_slot| mask.contains(*half_slot)).collect()
    }

    #[test]
    fn a_range_holds_what_lies_in_it_and_nothing_else() {
        for lo in -3..132 {
            for hi in -3..132 {
                let expected: Vec<u32> =
                    (0..HALF_SLOTS).filter(|i| (lo..=hi).contains(&i64::from(*i))).collect();
                let mask = SlotMask::range(lo, hi);
                assert_eq!(members(mask), expected, "{lo}..={hi}");
                assert_eq!(mask.is_empty(), expected.is_empty());
            }
        }
        assert!(!SlotMask::ALL.contains(HALF_SLOTS) && !SlotMask::ALL.contains(u32::MAX));
    }

    proptest::proptest! {
        /// The laws of sets, and each operation half-slot by half-slot.
        #[test]
        fn operations_are_those_of_sets(a: u128, b: u128, c: u128) {
            let (a, b, c) = (SlotMask::from(a), SlotMask::from(b), SlotMask::from(c));
            for i in 0..HALF_SLOTS {
                let (in_a, in_b) = (a.contains(i), b.contains(i));
                assert_eq!((a | b).contains(i), in_a || in_b);
                assert_eq!((a & b).contains(i), in_a && in_b);
                assert_eq!((!a).contains(i), !in_a);
            }
            assert_eq!((a | a, a & a), (a, a));
            assert_eq!((a | b, a & b), (b | a, b & a));
            assert_eq!(((a | b) | c, (a & b) & c), (a | (b | c), a & (b & c)));
            assert_eq!(a & (b | c), a & b | a & c);
            assert_eq!((!(a | b), !!a), (!a & !b, a));
            assert_eq!((a | SlotMask::EMPTY, a & SlotMask::ALL), (a, a));
            let (mut joined, mut met) = (a, a);
            joined |= b;
            met &= b;
            assert_eq!((joined, met), (a | b, a & b));
            assert_eq!(SlotMask::from(a.bits()), a);
        }
    }
}
