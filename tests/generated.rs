//! The tables that are checked in are what the scripts make of the kernel's source.
//!
//! `LIVEDIFF_LINUX_SOURCE` names an unpacked source tree of Linux 7.2; without it nothing can be compared, and the
//! test says so.
use std::io::Write;
use std::path::Path;
use std::process::Command;

fn agrees(script: &str, checked_in: &str) {
    let Some(tree) = std::env::var_os("LIVEDIFF_LINUX_SOURCE") else {
        // Not eprintln!, which the test harness keeps to itself.
        let notice = "was not run. Set LIVEDIFF_LINUX_SOURCE to an unpacked Linux 7.2 source tree.";
        let _ = writeln!(std::io::stderr(), "SKIPPED: {script} {notice}");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join(script)).arg(&tree).output().expect("the script runs");
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
    agrees("scripts/gen-helpers", "src/bpf/helpers/v7_2.rs");
}

#[test]
fn kfuncs() {
    agrees("scripts/gen-kfuncs", "src/bpf/kfunc/v7_2.rs");
}
