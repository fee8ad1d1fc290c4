//! Searches for the kernel, or the commit, that changed something. Nothing is fetched, built or booted here.

use super::*;

/// git takes every status from 1 to 127 but 125 for a bad commit, so that what keeps a step from being judged must be 125.
#[test]
fn a_step_that_cannot_be_judged_exits_125() {
    let folder = folder();
    fs::write(folder.path().join("a.bpf.o"), object()).unwrap();
    fs::write(folder.path().join("no.o"), b"text").unwrap();
    fs::create_dir(folder.path().join("tree")).unwrap();
    let step = |args: &[&str]| livediff(folder.path(), &[&["bisect-step"], args].concat()).exits(125);
    step(&["--tree", "tree", "a.bpf.o"]).complains("qemu").complains("this commit cannot be judged");
    step(&["--tree", "missing", "missing.o"]).complains("missing.o");
    step(&["--tree", "tree", "no.o"]).complains("no ELF file");
    step(&["--tree", "tree", "."]).complains("a folder");
    step(&["--tree", "tree", "a.bpf.o", "--against", "7.2"]).complains("qemu");
    // A command line that is wrong is another matter.
    livediff(folder.path(), &["bisect-step", "a.bpf.o"]).exits(2).complains("--tree");
}

/// What stands for QEMU is there, and the tree is none.
#[test]
fn a_tree_that_is_none_exits_125() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    fs::write(folder.path().join("a.bpf.o"), object()).unwrap();
    fs::create_dir(folder.path().join("tree")).unwrap();
    let qemu = folder.path().join("qemu-system-x86_64");
    fs::write(&qemu, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();
    livediff(folder.path(), &["bisect-step", "--tree", "tree", "a.bpf.o"])
        .exits(125)
        .complains("no kernel could be built")
        .complains("not a Linux source tree");
    livediff(folder.path(), &["bisect-step", "--tree", "tree", "a.bpf.o", "--against", "none"])
        .exits(125)
        .complains("none: neither a version");
}

#[test]
fn a_bisection_without_ends_exits_2() {
    let folder = folder();
    fs::write(folder.path().join("a.bpf.o"), object()).unwrap();
    let bisect = |args: &[&str]| livediff(folder.path(), &[&["bisect"], args].concat()).exits(2);
    bisect(&["--good", "7.1", "a.bpf.o"]).complains("--bad");
    bisect(&["--good", "7.1", "--bad", "7.2", "missing.o"]).complains("missing.o");
    bisect(&["--good", "7.1", "--bad", "7.2", "."]).complains("a folder");
}

/// Kernels that are in the cache are known without asking anybody.
#[test]
fn the_ends_are_looked_up_before_anything_is_run() {
    let folder = folder();
    fs::write(folder.path().join("a.bpf.o"), object()).unwrap();
    for release in ["7.1.13+deb13-cloud-amd64", "7.2.12+deb13-cloud-amd64"] {
        let entry = folder.path().join(".cache/livediff/kernels").join(release);
        fs::create_dir_all(&entry).unwrap();
        let version = release.split('+').next().unwrap();
        let note = format!(r#"{{"package": "linux-binary-{release}", "package_version": "{version}-1"}}"#);
        fs::write(entry.join("package.json"), note).unwrap();
        fs::write(entry.join("vmlinuz"), b"no kernel").unwrap();
    }
    let bisect = |good: &str, bad: &str| {
        livediff(folder.path(), &["bisect", "--good", good, "--bad", bad, "a.bpf.o"]).exits(2)
    };
    bisect("7.0", "7.2").complains("no packaged kernel is 7.0; there are 7.1.13, 7.2.12");
    bisect("7.2", "7.2.12").complains("the same kernel, 7.2.12");
    bisect("a.bpf.o", "7.2").complains("the ends of a bisection are packaged kernels");
    bisect("7.1", "7.2").complains("qemu");
}
