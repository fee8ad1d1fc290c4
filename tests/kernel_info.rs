//! `livediff kernel info`: the dialect is told from the BTF alone, and a kernel that fits none is refused.
//!
//! The kernels here are the least that passes for a `vmlinux`: BTF, and a release of our choice. With
//! `LIVEDIFF_KERNEL_IMAGES`, a list of `DIALECT=PATH` separated by `:`, the BTF of real images is put into such a
//! shell, whose release says that it is another kernel; without it that test compares nothing, and says so.

use livediff_harness::image::Image;
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output},
};

/// An ELF file for x86-64 with the sections that a kernel is known by.
fn vmlinux(btf: &[u8], release: &str) -> Vec<u8> {
    let banner = format!("Linux version {release} (builder@host) #1\n\0");
    let names = b"\0.BTF\0.rodata\0.shstrtab\0";
    let contents: [&[u8]; 3] = [btf, banner.as_bytes(), names];
    let mut file = vec![0; 64];
    let mut headers = vec![[0; 64]];
    for (bytes, (name, kind)) in contents.iter().zip([(1u32, 1u32), (6, 1), (14, 3)]) {
        let mut header = [0; 64];
        header[0..4].copy_from_slice(&name.to_le_bytes());
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        header[24..32].copy_from_slice(&(file.len() as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        headers.push(header);
        file.extend_from_slice(bytes);
    }
    file.resize(file.len().next_multiple_of(8), 0);
    let section_headers = file.len() as u64;
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    file[16..18].copy_from_slice(&2u16.to_le_bytes());
    file[18..20].copy_from_slice(&62u16.to_le_bytes());
    file[20..24].copy_from_slice(&1u32.to_le_bytes());
    file[40..48].copy_from_slice(&section_headers.to_le_bytes());
    for (at, value) in [(52, 64u16), (58, 64), (60, 4), (62, 3)] {
        file[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    file.extend(headers.concat());
    file
}

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
    let types: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let (types_len, strings_len) = (types.len() as u32, strings.len() as u32);
    let header = [0x0001_eb9f, 24, 0, types_len, types_len, strings_len].map(u32::to_le_bytes).concat();
    [header, types, strings].concat()
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
        // Not eprintln!, which the test harness keeps to itself.
        let notice =
            "no real kernel was looked at. Set LIVEDIFF_KERNEL_IMAGES to DIALECT=PATH:DIALECT=PATH...";
        let _ = writeln!(std::io::stderr(), "SKIPPED: {notice}");
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
