//! The BPF verifier's stack and register liveness analysis, as Linux computes it.
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
pub mod loader;
pub mod log;
#[cfg(feature = "cli")]
mod random;
#[cfg(feature = "cli")]
pub mod reduce;
#[cfg(feature = "cli")]
pub mod report;
pub mod verifier;

pub use verifier::Dialect;

/// The version, and in parentheses the commit that it was built from, or why that is not known:
/// `0.1.0 (1f2e3d4c5b6a 2026-11-20)`.
pub const VERSION: &str = env!("LIVEDIFF_VERSION");
