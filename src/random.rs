//! Pseudo-random numbers that are the same everywhere for the same seed, and hashes that are so for the same values.

use std::hash::Hasher;

/// FNV-1a with 64 bits: the same on every machine and with every version of Rust, which the hashers of the standard
/// library do not promise.
#[derive(Clone, Debug)]
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    }

    fn write_u16(&mut self, value: u16) {
        self.write(&value.to_le_bytes());
    }

    fn write_u32(&mut self, value: u32) {
        self.write(&value.to_le_bytes());
    }

    fn write_u64(&mut self, value: u64) {
        self.write(&value.to_le_bytes());
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// One of `0..end`; 0 if there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    /// One of `low..=high`.
    pub(crate) fn range(&mut self, low: i32, high: i32) -> i32 {
        let span = usize::try_from(i64::from(high) - i64::from(low) + 1).unwrap_or(1);
        low.wrapping_add(self.below(span) as i32)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `from`, which is not empty.
    pub(crate) fn of<T: Copy>(&mut self, from: &[T], otherwise: T) -> T {
        from.get(self.below(from.len())).copied().unwrap_or(otherwise)
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            let other = self.below(at + 1);
            items.swap(at, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::Hash;

    #[test]
    fn hashes_are_those_of_fnv_1a() {
        let of = |what: &dyn Fn(&mut Fnv)| {
            let mut hasher = Fnv::default();
            what(&mut hasher);
            hasher.finish()
        };
        assert_eq!(of(&|_| {}), 0xcbf2_9ce4_8422_2325);
        assert_eq!(of(&|hasher| hasher.write(b"a")), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(of(&|hasher| hasher.write(b"foobar")), 0x8594_4171_f739_67e8);
        // Numbers are hashed by value, not as they lie in memory; signed ones go by their bits.
        let bytes = of(&|hasher| hasher.write(&[0x34, 0x12, 0xff, 0xff, 0xff, 0xff]));
        assert_eq!(of(&|hasher| (0x1234_u16, -1_i32).hash(hasher)), bytes);
    }
}
