//! The kernel that tests with a guest run.
#![allow(missing_docs, unreachable_pub)]

use super::skipped::skipped;
use livediff_harness::packages::Store;
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// A kernel of series 7.2; nothing, and a word on what then is not tested, where there is none or no QEMU.
pub fn kernel(what: &str) -> Option<PathBuf> {
    if Command::new("qemu-system-x86_64").arg("--version").stdout(Stdio::null()).status().is_err() {
        skipped(&format!("{what} needs qemu-system-x86_64, which is not installed"));
        return None;
    }
    if let Some(path) = std::env::var_os("LIVEDIFF_TEST_KERNEL") {
        return Some(path.into());
    }
    let cached = Store::open().and_then(|store| store.cached()).unwrap_or_default();
    let fits = |version: &str| version == "7.2" || version.starts_with("7.2.");
    let kernel =
        cached.into_iter().rev().find(|kernel| fits(&kernel.version)).and_then(|kernel| kernel.cached);
    if kernel.is_none() {
        skipped(&format!("{what} needs a kernel of series 7.2: `livediff kernel fetch 7.2`"));
    }
    kernel
}
