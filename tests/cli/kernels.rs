//! Naming kernels: targets of `vmtest.toml`, and the running one. Nothing is booted, and nothing loaded anywhere.

use super::*;

const TARGETS: &str = r#"
[[target]]
name = "mine"
kernel = "bzImage"
command = "true"
[[target]]
name = "source"
kernel = "kernels/built/linux-source-0.1/bzImage"
command = "true"
[[target]]
name = "disk"
image = "disk.img"
command = "true"
"#;

#[test]
fn targets_are_those_of_vmtest_toml() {
    let folder = folder();
    fs::write(folder.path().join("a.o"), object()).unwrap();
    let diff = |more: &[&str]| livediff(folder.path(), &[&["diff", "a.o"], more].concat()).exits(2);
    diff(&["--kernel", "target:mine"]).complains("there is no vmtest.toml in this folder");

    let write = |text: &str| fs::write(folder.path().join("vmtest.toml"), text).unwrap();
    write(TARGETS);
    diff(&["--kernel", "target:other"])
        .complains("vmtest.toml has no target other; it has mine, source, disk");
    diff(&["--kernel", "target:disk"]).complains("vmtest.toml: target disk: `image` cannot be honoured");
    // What may be run by default is all that is there.
    diff(&[]).complains("vmtest.toml: target disk: `image` cannot be honoured");
    let info = |target: &str| livediff(folder.path(), &["kernel", "info", target]).exits(2);
    info("target:mine").complains("its kernel bzImage is not there");
    info("target:source").complains("`livediff kernel build --package linux-source-0.1` builds it");
    fs::write(folder.path().join("bzImage"), b"no kernel").unwrap();
    info("target:mine").complains("bzImage is no kernel image");

    // Kernels that are not there are left out by default, and it is an error if none is left.
    let two = TARGETS.split("[[target]]\nname = \"disk\"").next().unwrap();
    write(two);
    diff(&[])
        .complains("warning: vmtest.toml: left out: target source: its kernel")
        .complains("linux-source-0.1");
    fs::remove_file(folder.path().join("bzImage")).unwrap();
    diff(&[]).complains("no target can be run: target mine: its kernel bzImage is not there; target source");

    // A file that is wrong is not a machine without kernels: no captures take their place.
    put_match(&folder.path().join("captures"), "one");
    write("[[target]]\nname = 3\n");
    let done = livediff(folder.path(), &["diff", "a.o", "captures"]).exits(2);
    done.complains("vmtest.toml: target number 1 has no name");
    write("[[target]\n");
    livediff(folder.path(), &["diff", "a.o", "captures"])
        .exits(2)
        .complains("vmtest.toml: TOML parse error at line 1");
    // Where nothing is booted it is not looked into.
    livediff(folder.path(), &["diff", "--replay", "captures"]).exits(0);
}

/// The targets that this repository comes with are good, and are those of its cache.
#[test]
fn our_own_targets_can_be_read() {
    let folder = folder();
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/vmtest.toml"), folder.path().join("vmtest.toml")).unwrap();
    let built = folder.path().join(".cache/livediff/builds/images/linux-source-7.2");
    fs::create_dir_all(&built).unwrap();
    let info = || livediff(folder.path(), &["kernel", "info", "target:linux-source-7.2"]).exits(2);
    info().complains("has not been built");
    fs::write(built.join("bzImage"), "no kernel").unwrap();
    info().complains("bzImage is no kernel image");
    let link = folder.path().join("kernels/built/linux-source-7.2/bzImage");
    assert_eq!(fs::read_link(link).unwrap(), built.join("bzImage"), "so that vmtest finds it");
}

/// The object is none, so that nothing would be loaded if the capabilities were there after all.
#[test]
fn the_running_kernel_takes_capabilities() {
    let folder = folder();
    fs::write(folder.path().join("a.o"), object()).unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let capable =
        status.lines().any(|line| line.starts_with("CapEff:") && !line.ends_with("\t0000000000000000"));
    let program = env!("CARGO_BIN_EXE_livediff");
    let args = ["diff", "a.o", "--kernel", "local"];
    let mut command = match (capable, Path::new("/usr/bin/setpriv").exists()) {
        (false, _) => Command::new(program),
        (true, true) => {
            let mut command = Command::new("/usr/bin/setpriv");
            command.args(["--inh-caps=-all", "--bounding-set=-all", program]);
            command
        }
        (true, false) => return skipped("giving capabilities up takes setpriv, of util-linux"),
    };
    let output = command.args(args).current_dir(folder.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("kernel local: programs cannot be loaded into the running kernel: this process lacks CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN"),
        "{stderr}"
    );
    assert!(stderr.contains("Run this as root"), "{stderr}");
    livediff(folder.path(), &["kernel", "fetch", "local"]).exits(2).complains("local is in no package");
}

/// What the cache has is listed where nobody can be asked what else there is, and that is said.
#[test]
fn a_list_of_the_cache_alone_says_that_it_is_one() {
    let folder = folder();
    let release = "7.2.12+deb13-cloud-amd64";
    let entry = folder.path().join(".cache/livediff/kernels").join(release);
    fs::create_dir_all(&entry).unwrap();
    let note = format!(r#"{{"package": "linux-binary-{release}", "package_version": "7.2.12-1"}}"#);
    fs::write(entry.join("package.json"), note).unwrap();
    fs::write(entry.join("vmlinuz"), elf::vmlinux(release)).unwrap();
    livediff(folder.path(), &["kernel", "list"])
        .exits(0)
        .says(release)
        .complains("warning: only kernels in the cache are known: ");
}
