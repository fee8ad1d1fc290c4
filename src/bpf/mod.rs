//! The BPF instruction set, its text, and the types that describe functions.
mod asker;
pub mod btf;
mod callable;
pub mod disasm;
pub mod helpers;
pub mod kfunc;

use crate::Dialect;
pub use asker::prog_type;
pub use callable::Callable;
pub use livediff_capture::{Insn, insn};
