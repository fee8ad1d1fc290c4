//! The verifier's passes up to and including liveness, one file per pass, in the kernel's order.
mod dialect;

pub use dialect::Dialect;
