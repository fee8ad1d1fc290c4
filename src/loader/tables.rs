//! Jump tables, as libbpf gives them to the kernel (`create_jt_map`): of each table that a program uses an instruction
//! array, whose entries are counted from the program's first instruction.

use livediff_capture::{Map, MapShape};

/// The section that holds the tables: 64-bit offsets, in bytes, in the section of the function that jumps.
pub(crate) const SECTION: &str = ".jumptables";
/// `BPF_MAP_TYPE_INSN_ARRAY`.
const INSN_ARRAY: u32 = 34;
/// Bytes of an entry in the section.
pub(crate) const ENTRY: u64 = 8;
/// Most entries of all tables of a program. It has no more instructions.
pub(super) const MAX_ENTRIES: usize = 1 << 20;

/// An instruction that loads the address of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// Where the table begins in its section; what tells tables of a program apart.
    pub(super) start: u64,
    /// Bytes of the table.
    pub(super) size: u64,
    /// The instruction's number in its section.
    pub(super) insn: u64,
}

impl Use {
    /// The map for a program in which the instruction is the one with the number `at`. `data` is the section's.
    pub(super) fn map(&self, data: &[u8], at: usize) -> Result<Map, String> {
        let Use { start, size, insn } = *self;
        if start % ENTRY != 0 || size % ENTRY != 0 || size == 0 {
            return Err(format!(
                "its jump table at {start:#x} of {size} bytes does not consist of entries of {ENTRY}"
            ));
        }
        let whole = || {
            let start = usize::try_from(start).ok()?;
            data.get(start..start.checked_add(usize::try_from(size).ok()?)?)
        };
        let whole = whole().ok_or_else(|| format!("its jump table at {start:#x} ends behind {SECTION}"))?;
        let mut entries = Vec::new();
        for entry in whole.as_chunks().0.iter().map(|entry| u64::from_le_bytes(*entry)) {
            // Function and program begin at other instructions; the one that uses the table tells how far apart they are.
            let target = (entry / ENTRY).wrapping_sub(insn).wrapping_add(at as u64);
            let target = u32::try_from(target)
                .map_err(|_| format!("its jump table at {start:#x} leads out of the program"))?;
            entries.push(target);
        }
        insn_array(entries).ok_or_else(|| "its jump table is too long".into())
    }
}

/// The map of a table with these entries, each an instruction of the program; none if they are too many for a map.
pub(crate) fn insn_array(entries: Vec<u32>) -> Option<Map> {
    Some(Map {
        name: SECTION.to_owned(),
        map_type: INSN_ARRAY,
        shape: MapShape { key_size: 4, value_size: 16 },
        max_entries: u32::try_from(entries.len()).ok()?,
        map_flags: super::F_RDONLY_PROG,
        frozen: true,
        insn_array: Some(entries),
        ..Map::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_counted_from_the_program() {
        let data: Vec<u8> = [80u64, 64, 72].into_iter().flat_map(u64::to_le_bytes).collect();
        // The function begins at instruction 8 of its section and 20 of the program, and uses the table in its second.
        let used = Use { start: 8, size: 16, insn: 9 };
        let map = used.map(&data, 21).unwrap();
        assert_eq!((map.insn_array, map.max_entries), (Some(vec![20, 21]), 2));
        for (used, words) in [
            (Use { start: 4, ..used }, "does not consist"),
            (Use { size: 12, ..used }, "does not consist"),
            (Use { size: 0, ..used }, "does not consist"),
            (Use { size: 24, ..used }, "ends behind"),
            (Use { start: u64::MAX - 7, ..used }, "ends behind"),
            (Use { insn: 40, ..used }, "leads out"),
        ] {
            assert!(used.map(&data, 21).unwrap_err().contains(words), "{used:?}");
        }
    }
}
