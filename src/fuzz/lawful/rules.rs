//! What a type of program, and its maps, allow.

use crate::random::Random;
use livediff_capture::{
    Map, MapShape,
    insn::{func, size},
};
use std::sync::Arc;

/// `BPF_F_RDONLY_PROG`.
const RDONLY_PROG: u32 = 1 << 7;
/// `BPF_MAP_TYPE_BLOOM_FILTER`.
const BLOOM: u32 = 30;

pub(super) struct Rules {
    pub(super) maps: Arc<Vec<Map>>,
    /// Field of the context that is loaded as a number: offset and size.
    pub(super) field: (i16, u8),
    /// The context is a packet, from which instructions load.
    pub(super) packets: bool,
    /// The program may sleep: it has maps with keys alone.
    sleeps: bool,
    /// A Bloom filter may be asked: what this shows hides everything else.
    bloom: bool,
    /// Bytes of a frame.
    pub(super) limit: i64,
}

impl Rules {
    /// Those of programs of a section with so many functions.
    pub(super) fn new(section: &str, functions: usize, maps: &[Map]) -> Rules {
        let (field, packets) = match section {
            "xdp" => ((12, size::W), false),
            "sk_msg" => ((16, size::W), false),
            "sk_lookup" => ((8, size::W), false),
            "kprobe" | "perf_event" | "raw_tp" => ((0, size::DW), false),
            "socket" | "tc" => ((0, size::W), true),
            _ => ((0, size::W), false),
        };
        // Frames of a chain of calls have 512 bytes together.
        let limit = match functions.max(1) as i64 {
            1 => 480,
            count => (512 / count / 32 * 32).max(32),
        };
        let sleeps = section == "syscall";
        let maps = match sleeps {
            true => maps.to_vec(),
            false => [maps, &queues()].concat(),
        };
        Rules { maps: Arc::new(maps), field, packets, sleeps, bloom: false, limit }
    }

    /// Whether a Bloom filter may be asked is drawn.
    pub(super) fn draw(&mut self, random: &mut Random) {
        self.bloom = random.percent(10);
    }

    /// Slots of a frame that are pointed to.
    pub(super) fn slots(&self) -> i64 {
        (self.limit / 8).min(12)
    }

    fn of(&self, refs: u64) -> impl Iterator<Item = &Map> {
        self.maps.iter().enumerate().filter(move |(at, _)| refs >> at & 1 == 1).map(|(_, map)| map)
    }

    /// Helpers that take the place of those that are not known.
    pub(super) fn helpers(&self) -> &'static [i32] {
        match self.sleeps {
            true => &[1, 2, 3, 6, 6, 6, 7, 113, 113, 113],
            false => &[1, 2, 3, 6, 6, 6, 7, 88, 89, 87, 113, 113, 113],
        }
    }

    /// The helper is one whose arguments are known, and there is a map for it.
    pub(super) fn knows(&self, helper: i32) -> bool {
        match helper {
            87..=89 => !self.sleeps,
            _ => matches!(helper, 1..=3 | 5..=7 | 113 | func::LOOP | func::FOR_EACH_MAP_ELEM),
        }
    }

    /// The maps can be written.
    pub(super) fn writable(&self, refs: u64) -> bool {
        self.of(refs).all(|map| map.map_flags & RDONLY_PROG == 0)
    }

    /// Bytes of a value that each of the maps has.
    pub(super) fn least_value(&self, refs: u64) -> i64 {
        self.of(refs).map(|map| map.shape.value_size.into()).min().unwrap_or(0)
    }

    /// Bytes of the largest value of the maps.
    pub(super) fn largest_value(&self, refs: u64) -> i64 {
        self.of(refs).map(|map| map.shape.value_size.into()).max().unwrap_or(0)
    }

    /// Bytes of the largest key of the maps.
    pub(super) fn largest_key(&self, refs: u64) -> i64 {
        self.of(refs).map(|map| map.shape.key_size.into()).max().unwrap_or(0)
    }

    fn maps_of(&self, wanted: impl Fn(&Map) -> bool) -> u64 {
        let wanted = self.maps.iter().enumerate().filter(|(_, map)| wanted(map));
        wanted.fold(0, |all, (at, _)| all | 1 << at)
    }

    /// Maps with keys.
    pub(super) fn keyed(&self) -> u64 {
        self.maps_of(|map| map.shape.key_size > 0)
    }

    /// Maps with keys that can be written.
    pub(super) fn keyed_and_writable(&self) -> u64 {
        self.maps_of(|map| map.shape.key_size > 0 && map.map_flags == 0)
    }

    /// Maps that a helper gives values to, or asks for them, without keys. A Bloom filter takes values, and is asked for
    /// them, but gives none.
    pub(super) fn keyless(&self, helper: i32) -> u64 {
        let bloom = helper == 87 || helper == 89 && self.bloom;
        self.maps_of(|map| map.shape.key_size == 0 && (bloom || map.map_type != BLOOM))
    }
}

/// Maps that are asked for values without keys.
fn queues() -> [Map; 3] {
    let map = |name: &str, map_type, value_size| Map {
        name: name.into(),
        map_type,
        shape: MapShape { key_size: 0, value_size },
        max_entries: 4,
        ..Map::default()
    };
    [map("queue", 22, 8), map("stack", 23, 16), map("bloom", BLOOM, 8)]
}
