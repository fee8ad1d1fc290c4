//! What is said where something cannot be tested.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::io::Write;

/// Says that something was not tested, and why.
///
/// Not through eprintln!, which the test harness keeps to itself where a test passes.
pub fn skipped(notice: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {notice}");
}
