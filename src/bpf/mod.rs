//! The BPF instruction set, its text, and the types that describe functions.
pub use livediff_capture::{Insn, insn};
