//! The BPF verifier's stack and register liveness analysis, as Linux computes it.
//!
//! | to | use |
//! | --- | --- |
//! | analyse a program | [`verifier::analyze`], which gives masks, constants, postorder and live registers |
//! | have the kernel's text of it | [`log::section`], or a [`log::Listener`] for the steps as types |
//! | ask what the path walk asks | [`verifier::Analysis::stack_slot_alive`] |
//! | hold a verifier's log against it | [`diff::judge`] |
//! | hold two verifiers' logs against each other | [`diff::between()`] |
//! | tell a kernel's generation from its BTF | [`Dialect::detect`] |
//!
//! What a program is, as the verifier sees it, is a [`capture::Loaded`]. With the feature `cli`, which is on by default,
//! `capture::file` reads one from a capture and `loader` from a BPF object. Without it the library has no native
//! dependency and does no I/O.
//!
//! ```
//! use livediff::{
//!     Dialect,
//!     capture::{Insn, Loaded},
//!     log,
//! };
//!
//! let insns = vec![
//!     Insn { code: 0x7a, dst_reg: 10, off: -8, imm: 1, ..Insn::default() }, // *(u64 *)(r10 -8) = 1
//!     Insn { code: 0x61, dst_reg: 0, src_reg: 10, off: -4, imm: 0 },        // r0 = *(u32 *)(r10 -4)
//!     Insn { code: 0x95, ..Insn::default() },                               // exit
//! ];
//! let section = log::section(&Loaded { insns, ..Loaded::default() }, Dialect::V7_2);
//! let listing: Vec<&str> = section.text.lines().filter(|line| line.contains("; ")).collect();
//! assert_eq!(
//!     listing,
//!     [
//!         "  0: (7a) *(u64 *)(r10 -8) = 1         ; def: fp0-8",
//!         "  1: (61) r0 = *(u32 *)(r10 -4)        ; use: fp0-4h",
//!     ]
//! );
//! ```
//!
//! The algorithm is told in the book (`book/src`), and two programs that use the library are in `examples/`.
#![forbid(unsafe_code)]
#[cfg(feature = "cli")]
pub mod assemble;
pub mod bpf;
#[cfg(feature = "cli")]
pub mod corpus;
pub mod diff;
#[cfg(test)]
#[path = "../tests/support/elf.rs"]
mod elf;
#[cfg(feature = "cli")]
pub mod fuzz;
pub mod guard;
#[cfg(feature = "cli")]
pub mod interpret;
#[cfg(feature = "cli")]
pub mod loader;
pub mod log;
#[cfg(feature = "cli")]
mod random;
#[cfg(feature = "cli")]
pub mod reduce;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "cli")]
pub mod soundness;
pub mod verifier;

/// What a verifier saw of a program and what it said: the types that everything here works on.
pub use livediff_capture as capture;
pub use verifier::Dialect;

/// The Rust of the book, as documentation tests.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../book/src/library.md")]
struct Book;

/// The version, and in parentheses the commit that it was built from, or why that is not known:
/// `0.1.0 (1f2e3d4c5b6a 2026-11-20)`.
pub const VERSION: &str = env!("LIVEDIFF_VERSION");
