//! The generations of `liveness.c`: what differs between kernels is chosen here, once.

use std::fmt;

/// A generation of the kernel's liveness analysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Linux 7.2: 16 call frames, stack arguments.
    V7_2,
}

impl Dialect {
    /// Frames in the longest call chain (`MAX_CALL_FRAMES`).
    pub fn max_call_frames(self) -> u8 {
        match self {
            Dialect::V7_2 => 16,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dialect::V7_2 => "7.2",
        })
    }
}
