//! The BPF verifier's stack and register liveness analysis, as Linux computes it.
#![forbid(unsafe_code)]
pub mod bpf;
pub mod log;
pub mod verifier;

pub use verifier::Dialect;
