//! The smallest program that shows a discrepancy.
//!
//! One test boots a kernel. It needs QEMU and a kernel of series 7.2, the image that `LIVEDIFF_TEST_KERNEL` names or one
//! in the cache, and says so where it is skipped.

use super::*;

const STACK_ARGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/frames/stack_args.bpf.o");
const GOTOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/cfg/gotox.bpf.o");

#[test]
fn what_cannot_be_reduced_exits_2_with_a_way_out() {
    let folder = folder();
    let run = |args: &[&str]| livediff(folder.path(), &[&["reduce"], args].concat()).exits(2);
    fs::copy(STACK_ARGS, folder.path().join("args.bpf.o")).unwrap();
    fs::write(folder.path().join("text.o"), "no object").unwrap();
    run(&["args.bpf.o", "no_such", "-o", "x.bpf.c"])
        .complains("there is no program `no_such`, only immediate_stack_arg");
    run(&["args.bpf.o", "stack_args_and_constants", "-o", "args.bpf.c"])
        .complains("would overwrite an input, args.bpf.o");
    fs::hard_link(folder.path().join("args.bpf.o"), folder.path().join("x.bpf.o")).unwrap();
    run(&["args.bpf.o", "stack_args_and_constants", "-o", "x.c"])
        .complains("x.bpf.o: what is written would overwrite an input, args.bpf.o");
    fs::remove_file(folder.path().join("x.bpf.o")).unwrap();
    run(&["args.bpf.o", "stack_args_and_constants", "-o", "missing/x.bpf.c"]).complains("no folder missing");
    run(&["args.bpf.o", "stack_args_and_constants", "-o", "/proc/x.bpf.c"]).complains("to the folder /proc");
    run(&["text.o", "x", "-o", "x.bpf.c"]).complains("no ELF file");
    run(&["missing.o", "x", "-o", "x.bpf.c"]).complains("missing.o");
    let kernels = ["--kernel", "7.1", "--kernel", "7.2", "--kernel", "7.3"];
    run(&[&["args.bpf.o", "stack_args_and_constants", "-o", "x.bpf.c"][..], &kernels].concat())
        .complains("or two against each other; 3 were given");
    fs::write(folder.path().join("bzImage"), "no kernel").unwrap();
    run(&["args.bpf.o", "stack_args_and_constants", "-o", "x.bpf.c", "--kernel", "./bzImage"])
        .complains("qemu-system-x86");
    assert!(!folder.path().join("x.bpf.c").exists() && !folder.path().join("x.bpf.o").exists());
}

/// What takes one kernel takes the only target where none is named, and asks where there are several.
#[test]
fn of_several_targets_none_is_chosen() {
    let folder = folder();
    fs::copy(STACK_ARGS, folder.path().join("args.bpf.o")).unwrap();
    fs::write(folder.path().join("bzImage"), "no kernel").unwrap();
    let target =
        |name: &str| format!("[[target]]\nname = \"{name}\"\nkernel = \"./bzImage\"\ncommand = \"true\"\n");
    let reduce = ["reduce", "args.bpf.o", "stack_args_and_constants", "-o", "x.bpf.c"];
    let fuzz = ["fuzz", "--programs", "1"];
    fs::write(folder.path().join("vmtest.toml"), target("a") + &target("b")).unwrap();
    for args in [&reduce[..], &fuzz] {
        livediff(folder.path(), args)
            .exits(2)
            .complains("there are 2 targets in vmtest.toml: name the kernel");
    }
    fs::write(folder.path().join("vmtest.toml"), target("a")).unwrap();
    for args in [&reduce[..], &fuzz] {
        livediff(folder.path(), args).exits(2).complains("qemu");
    }
    // That the file is read at all.
    fs::write(folder.path().join("vmtest.toml"), target("a") + "speed = 3\n").unwrap();
    for args in [&reduce[..], &fuzz] {
        livediff(folder.path(), args).exits(2).complains("`speed`");
    }
}

/// A program among many thousands gets less time than one of a corpus.
#[test]
fn every_subcommand_says_its_own_limit_of_time() {
    let folder = folder();
    for (command, seconds) in
        [("diff", 60), ("bisect", 60), ("bisect-step", 60), ("reduce", 20), ("fuzz", 20)]
    {
        let limit = format!("Seconds after which a program counts as hanging [default: {seconds}]");
        livediff(folder.path(), &[command, "-h"]).exits(0).says(&limit);
    }
}

#[test]
fn corpus_build_says_what_is_missing() {
    let folder = folder();
    fs::write(folder.path().join("x.bpf.c"), "not C").unwrap();
    let build = |args: &[&str]| {
        let path = std::env::var("PATH").unwrap_or_default();
        livediff_with(
            folder.path(),
            &[&["corpus", "build"], args].concat(),
            &[("PATH", &path), ("CLANG", "no-clang")],
        )
    };
    build(&["x.bpf.c"]).exits(2).complains("no clang of version 22 or later: apt install clang-22");
    build(&["--check", "x.bpf.c"]).exits(2).complains("SKIPPED: objects were NOT compared");
    // A path without a source is an error, with whatever else is named and whatever compiler is there.
    fs::create_dir(folder.path().join("empty")).unwrap();
    for args in [&["--check", "x.bpf.c", "empty"][..], &["x.bpf.c", "empty"]] {
        build(args).exits(2).complains("no source (*.bpf.c) in empty");
    }
    assert!(!folder.path().join("x.bpf.o").exists());
}

#[test]
fn a_discrepancy_in_a_real_kernel_becomes_small() {
    let Some(kernel) = kernel::kernel("reducing in a real kernel") else { return };
    let kernel = kernel.to_str().expect("UTF-8");
    let folder = folder();
    let path = std::env::var("PATH").unwrap_or_default();
    let run = |args: &[&str]| livediff_with(folder.path(), args, &[("PATH", &path)]);
    let reduce = |more: &[&str]| {
        let args = ["reduce", STACK_ARGS, "stack_args_through_two_levels", "--kernel", kernel, "-o", "small"];
        run(&[&args, more].concat())
    };
    // The model of 7.1 knows no stack arguments.
    reduce(&["--dialect", "7.1"]).exits(1).says("small.bpf.c, small.bpf.o");
    let source = fs::read_to_string(folder.path().join("small.bpf.c")).expect("the source");
    assert!(
        source.contains("livediff diff small.bpf.o --kernel") && source.contains("--dialect 7.1"),
        "{source}"
    );
    let first = fs::read(folder.path().join("small.bpf.o")).expect("the object");
    run(&["diff", "small.bpf.o", "--kernel", kernel, "--dialect", "7.1"]).exits(1).says("1 mismatch");
    run(&["diff", "small.bpf.o", "--kernel", kernel]).exits(0).says("1 match");
    // The same again, and nothing where nothing is to be found.
    reduce(&["--dialect", "7.1"]).exits(1);
    assert_eq!(fs::read(folder.path().join("small.bpf.o")).expect("the object"), first);
    reduce(&[]).exits(0).says("no discrepancy");
    // Nor that an indirect jump may end a subprogram: the jump and its table are kept.
    let args = ["reduce", GOTOX, "gotox_in_subprogram", "--kernel", kernel, "-o", "jump", "--dialect", "7.1"];
    run(&args).exits(1).says("-> 2, ");
    let source = fs::read_to_string(folder.path().join("jump.bpf.c")).expect("the source");
    assert!(source.contains(".jumptables") && source.contains("/* (0d) gotox r"), "{source}");
    run(&["diff", "jump.bpf.o", "--kernel", kernel]).exits(0).says("1 match");
}
