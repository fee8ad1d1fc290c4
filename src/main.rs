//! The `livediff` program.
#![forbid(unsafe_code)]
fn main() {}
