//! The BPF instruction set, its text, and the types that describe functions.
pub mod disasm;
pub mod helpers;

use crate::Dialect;
pub use livediff_capture::{Insn, insn};
