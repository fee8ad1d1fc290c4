//! The `livediff` program: says whether a kernel's BPF liveness analysis and the model agree.
//!
//! The same binary is the agent inside the guest, where it runs as the first process.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    if livediff_harness::agent::is_guest() {
        livediff_harness::agent::main()
    }
    cli::main()
}
