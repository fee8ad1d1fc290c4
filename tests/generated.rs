//! The tables that are checked in are what the scripts make of the kernel's source.
//!
//! `LIVEDIFF_LINUX_SOURCE` names an unpacked source tree of Linux 7.2, `LIVEDIFF_LINUX_SOURCE_6_18`, `_7_1` and
//! `_7_3` those of the others. Without the first nothing can be compared, and without one of the others not its differences; the
//! tests say so.
#[path = "support/skipped.rs"]
mod skipped;

use skipped::skipped;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// The variable that names the tree of 7.2, of which the other tables say what differs.
const BASE: &str = "LIVEDIFF_LINUX_SOURCE";

/// The tree that a variable names.
fn tree(variable: &str, script: &str) -> Option<OsString> {
    let tree = std::env::var_os(variable);
    if tree.is_none() {
        skipped(&format!("{script} was not run. Set {variable} to an unpacked Linux source tree."));
    }
    tree
}

/// Compares what the script writes with what is checked in; `variable` is that of another kernel than 7.2.
fn agrees(script: &str, variable: Option<&str>, checked_in: &str) {
    let Some(base) = tree(BASE, script) else { return };
    let arguments = match variable {
        None => vec![base],
        Some(variable) => {
            let Some(tree) = tree(variable, script) else { return };
            vec![tree, "--base".into(), base]
        }
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join(script)).args(arguments).output().expect("the script runs");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    let made = String::from_utf8(output.stdout).expect("the script writes UTF-8");
    let kept = std::fs::read_to_string(root.join(checked_in)).expect("the table is there");
    for (number, (made, kept)) in made.lines().zip(kept.lines()).enumerate() {
        assert_eq!(made, kept, "{checked_in}:{}: {script} writes otherwise", number + 1);
    }
    assert_eq!(made.len(), kept.len(), "{checked_in}: {script} writes more or less");
}

#[test]
fn helpers() {
    agrees("scripts/gen-helpers", None, "src/bpf/helpers/v7_2.rs");
}

#[test]
fn helpers_of_6_18() {
    agrees("scripts/gen-helpers", Some("LIVEDIFF_LINUX_SOURCE_6_18"), "src/bpf/helpers/v6_18.rs");
}

#[test]
fn helpers_of_7_1() {
    agrees("scripts/gen-helpers", Some("LIVEDIFF_LINUX_SOURCE_7_1"), "src/bpf/helpers/v7_1.rs");
}

#[test]
fn helpers_of_7_3() {
    agrees("scripts/gen-helpers", Some("LIVEDIFF_LINUX_SOURCE_7_3"), "src/bpf/helpers/v7_3.rs");
}

#[test]
fn kfuncs() {
    agrees("scripts/gen-kfuncs", None, "src/bpf/kfunc/v7_2.rs");
}

#[test]
fn kfuncs_of_6_18() {
    agrees("scripts/gen-kfuncs", Some("LIVEDIFF_LINUX_SOURCE_6_18"), "src/bpf/kfunc/v6_18.rs");
}

#[test]
fn kfuncs_of_7_1() {
    agrees("scripts/gen-kfuncs", Some("LIVEDIFF_LINUX_SOURCE_7_1"), "src/bpf/kfunc/v7_1.rs");
}

#[test]
fn kfuncs_of_7_3() {
    agrees("scripts/gen-kfuncs", Some("LIVEDIFF_LINUX_SOURCE_7_3"), "src/bpf/kfunc/v7_3.rs");
}
