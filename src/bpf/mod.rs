//! The BPF instruction set, its text, and the types that describe functions.
mod asker;
pub mod btf;
pub mod disasm;
pub mod helpers;
pub mod kfunc;

use crate::Dialect;
pub(crate) use asker::prog_type;
pub use livediff_capture::{Insn, insn};
