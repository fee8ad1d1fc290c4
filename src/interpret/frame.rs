//! Stack frames: 512 bytes each, which remember pointers that were stored whole.

use super::value::Value;

/// Bytes of a stack frame (`MAX_BPF_STACK`).
pub const STACK_SIZE: usize = 512;

/// A byte of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    /// Whatever was there before, or a part of something that is no number.
    Unknown,
    /// A byte of a number.
    Byte { byte: u8, known: bool },
    /// A byte of a value that was stored whole, in the store of this number.
    Part { value: Value, part: u8, store: u32 },
}

/// The memory of a frame.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    cells: Box<[Cell]>,
    stores: u32,
}

/// Where bytes lie in a frame: `off..off + size` below the frame pointer. None if not all of them do.
pub(super) fn place(off: i64, size: usize) -> Option<usize> {
    let start = usize::try_from(off.checked_add(STACK_SIZE as i64)?).ok()?;
    (start.checked_add(size)? <= STACK_SIZE).then_some(start)
}

impl Memory {
    pub(super) fn new() -> Memory {
        Memory { cells: vec![Cell::Unknown; STACK_SIZE].into(), stores: 0 }
    }

    /// Stores the lowest bytes of a value. What is no number stays itself only if it is stored whole, in a slot of its
    /// own; `fixed` if the verifier may know the place, without which it does not remember such values either.
    pub(super) fn store(&mut self, start: usize, size: usize, value: Value, fixed: bool) {
        let Some(cells) = self.cells.get_mut(start..start + size) else { return };
        self.stores += 1;
        let whole = size == 8 && start.is_multiple_of(8) && fixed;
        for (part, cell) in cells.iter_mut().enumerate() {
            *cell = match value {
                Value::Scalar { bits, known } => {
                    Cell::Byte { byte: (bits >> (8 * part)) as u8, known: known && fixed }
                }
                value if whole => Cell::Part { value, part: part as u8, store: self.stores },
                _ => Cell::Unknown,
            };
        }
    }

    /// What was there is there no more.
    pub(super) fn forget(&mut self, start: usize, size: usize) {
        if let Some(cells) = self.cells.get_mut(start..start + size) {
            cells.fill(Cell::Unknown);
        }
    }

    /// The value of these bytes, if it is known to be a number or something that was stored whole.
    pub(super) fn load(&self, start: usize, size: usize, fixed: bool) -> Option<Value> {
        let cells = self.cells.get(start..start + size)?;
        if let Some(Cell::Part { value, part: 0, store }) = cells.first() {
            let same = |(at, cell): (usize, &Cell)| matches!(cell, Cell::Part { part, store: other, .. } if usize::from(*part) == at && other == store);
            return (size == 8 && fixed && cells.iter().enumerate().all(same)).then_some(*value);
        }
        let (mut bits, mut all_known) = (0, fixed);
        for (at, cell) in cells.iter().enumerate() {
            let Cell::Byte { byte, known } = cell else { return None };
            bits |= u64::from(*byte) << (8 * at);
            all_known &= known;
        }
        Some(Value::Scalar { bits, known: all_known })
    }
}
