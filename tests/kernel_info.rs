//! `livediff kernel info`: the dialect is told from the BTF alone, and a kernel that fits none is refused.
//!
//! The kernels here are the least that passes for a `vmlinux`: BTF, and a release of our choice. With
//! `LIVEDIFF_KERNEL_IMAGES`, a list of `DIALECT=PATH` separated by `:`, the BTF of real images is put into such a
//! shell, whose release says that it is another kernel; without it that test compares nothing, and says so.

#[path = "support/elf.rs"]
mod elf;
#[path = "support/skipped.rs"]
mod skipped;

use elf::vmlinux_of as vmlinux;
use livediff_harness::image::Image;
use skipped::skipped;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// BTF with what tells the dialects from 7.1 on: `frames[frames]`, and a first member of `live_regs` bytes.
fn btf(frames: u32, live_regs: u32) -> Vec<u8> {
    let mut strings = vec![0];
    let mut name = |text: &str| {
        let at = strings.len() as u32;
        strings.extend(text.bytes().chain([0]));
        at
    };
    let (int, array, structure, proto, func) = (1 << 24, 3 << 24, 4 << 24, 13 << 24, 12 << 24);
    let words = [
        vec![name("word"), int, live_regs, live_regs * 8],
        vec![0, array, 0, 1, 1, frames],
        vec![name("func_instance"), structure | 2, 64],
        vec![name("must_write_initialized"), 1, 0, name("frames"), 2, 64],
        vec![name("insn_live_regs"), structure | 1, 8, name("use"), 1, 0],
        vec![name("arg_track"), structure, 8],
        vec![0, proto, 0],
        vec![name("virtio_pci_probe"), func, 6],
        vec![name("bpf_lsm_file_open"), func, 6],
    ]
    .concat();
    elf::btf(&words, &strings)
}

/// `livediff kernel info` on `image`, written to a file.
fn info(image: &[u8], args: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vmlinux");
    fs::write(&path, image).expect("written");
    Command::new(env!("CARGO_BIN_EXE_livediff"))
        .args(["kernel", "info"])
        .arg(&path)
        .args(args)
        .output()
        .expect("the program runs")
}

/// The value of a line.
fn value(output: &Output, heading: &str) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix(heading));
    line.unwrap_or_else(|| panic!("no {heading} in {output:?}")).trim().to_owned()
}

#[test]
fn the_dialect_is_told_from_btf_whatever_the_release_says() {
    for release in ["6.18.1", "7.1.3", "7.3.0-rc1"] {
        for (frames, live_regs, dialect) in [(8, 2, "7.1"), (16, 2, "7.2"), (16, 4, "7.3")] {
            let output = info(&vmlinux(&btf(frames, live_regs), release), &[]);
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            assert_eq!(value(&output, "release"), release);
            assert_eq!(value(&output, "dialect"), dialect);
            let evidence = format!("struct func_instance with must_write_initialized, frames[{frames}]");
            assert_eq!(value(&output, "evidence"), evidence);
            assert_eq!(value(&output, "built in"), "VIRTIO_PCI BPF_LSM");
            assert!(value(&output, "not seen").starts_with("VIRTIO_CONSOLE "));
        }
    }
}

#[test]
fn what_fits_no_dialect_is_refused_with_what_was_seen() {
    let image = vmlinux(&btf(32, 2), "7.2.0");
    let output = info(&image, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(value(&output, "dialect"), "unknown");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("frames[32]") && complaint.contains("--dialect"), "{complaint}");

    let output = info(&image, &["--dialect", "7.1"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(value(&output, "dialect").starts_with("7.1 (forced; "), "{output:?}");
    assert_eq!(value(&output, "evidence"), "struct func_instance with must_write_initialized, frames[32]");

    let output = info(&vmlinux(&btf(8, 2), "7.2.0"), &["--dialect", "7.3"]);
    assert_eq!(value(&output, "dialect"), "7.3 (forced; its BTF says 7.1)");

    let output = info(&image, &["--dialect", "dynamic"]);
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("dynamic-6.18") && complaint.contains("fed53dbcdb"), "{complaint}");
}

#[test]
fn real_kernels_are_told_from_btf_alone() {
    let Some(images) = std::env::var_os("LIVEDIFF_KERNEL_IMAGES") else {
        skipped("no real kernel was looked at. Set LIVEDIFF_KERNEL_IMAGES to DIALECT=PATH:DIALECT=PATH...");
        return;
    };
    for pair in images.to_str().expect("UTF-8").split(':') {
        let (dialect, path) = pair.split_once('=').expect("DIALECT=PATH");
        let image = Image::open(Path::new(path)).expect("an image");
        for release in ["1.0.0", "7.2.99-altered"] {
            let output = info(&vmlinux(&image.btf, release), &[]);
            assert_eq!(output.status.code(), Some(0), "{pair}: {output:?}");
            assert_eq!(value(&output, "release"), release);
            assert_eq!(value(&output, "dialect"), dialect, "{pair}");
        }
    }
}
