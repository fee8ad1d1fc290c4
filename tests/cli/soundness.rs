//! Is what is called dead never read? Without a kernel.

use super::*;

const UNSOUND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/unsound.bpf.o");
const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/captures/corpus");

/// The JSON report, and the run.
fn judged(folder: &Path, args: &[&str], status: i32) -> serde_json::Value {
    livediff(folder, &[&["soundness", "--json", "out.json"], args].concat()).exits(status);
    serde_json::from_str(&fs::read_to_string(folder.join("out.json")).unwrap()).unwrap()
}

#[test]
fn what_the_kernels_get_wrong_is_found_and_reduced() {
    let folder = folder();
    // What was fetched for others must not be looked at: no types are needed.
    let args = [UNSOUND, "--dialect", "7.2", "-o", "found", "--paths", "32"];
    let report = judged(folder.path(), &args, 1);
    let programs = report["programs"].as_array().unwrap();
    let status = |name: &str| {
        let row = programs.iter().find(|row| row["program"] == name).unwrap();
        (row["status"].as_str().unwrap().to_owned(), row["findings"].as_array().unwrap().len())
    };
    assert_eq!(status("plain"), ("clean".into(), 0));
    for name in [
        "joined_with_no_pointer",
        "one_of_two_maps",
        "asked_of_a_bloom_filter",
        "filled_by_load_acquire",
        "filled_by_exchange",
        "spilled_by_store_release",
        "another_chain_of_that_depth",
    ] {
        // Both halves of fp-8.
        assert_eq!(status(name), ("found".into(), 2), "{name}");
    }
    assert_eq!(report["totals"]["findings"], 14);
    let reduced = report["reduced"].as_array().unwrap();
    assert!(reduced.len() >= 3, "{reduced:?}");
    for small in reduced {
        assert!(small["insns"].as_u64().unwrap() <= 14, "{small}");
        assert!(small["text"].as_str().unwrap().contains("is not live before insn"), "{small}");
    }
    let written = fs::read_dir(folder.path().join("found")).unwrap().count();
    assert_eq!(written, 2 * reduced.len());
    // What is written shows it again.
    let again = judged(folder.path(), &["found", "--dialect", "7.2"], 1);
    assert_eq!(again["totals"]["found"], reduced.len());
}

#[test]
fn captures_are_checked_from_their_instructions_alone() {
    let folder = folder();
    let captures = format!("{CAPTURES}/frames");
    let args = [captures.as_str(), "--replay", "--dialect", "7.2", "--paths", "8"];
    let report = judged(folder.path(), &args, 0);
    let coverage = &report["coverage"];
    assert!(coverage["reads"].as_u64().unwrap() > 1_000, "{coverage}");
    let (executed, reachable) =
        (coverage["executed"].as_u64().unwrap(), coverage["reachable"].as_u64().unwrap());
    assert!(executed * 10 > reachable * 4, "{coverage}");
    // And what observing kernels said is held against the same answers.
    let observed = &report["observed"];
    assert!(observed["reads"].as_u64().unwrap() > 100, "{observed}");
    // The same seed, the same report.
    let twice = judged(folder.path(), &args, 0);
    assert_eq!(report, twice);
}

#[test]
fn random_programs_find_what_the_seed_lacks() {
    let folder = folder();
    let args = ["--random", "48", "--dialect", "fed53dbcdb", "--paths", "4", "--steps", "300", "--seed", "2"];
    let report = judged(folder.path(), &args, 1);
    assert_eq!(report["programs"].as_array().unwrap().len(), 48);
    assert!(report["totals"]["clean"].as_u64().unwrap() > 30, "{}", report["totals"]);
    // One of them again: it depends on those before it, which have no turn of their own.
    let programs = report["programs"].as_array().unwrap();
    let found = programs.iter().find(|program| program["status"] == "found").unwrap();
    let filter = format!("*/{}", found["program"].as_str().unwrap());
    let report = judged(folder.path(), &[&args[..], &["--filter", &filter]].concat(), 1);
    assert_eq!(report["programs"].as_array().unwrap(), std::slice::from_ref(found));
}

#[test]
fn what_decides_nothing_exits_2() {
    let folder = folder();
    let run = |args: &[&str]| livediff(folder.path(), &[&["soundness"], args].concat()).exits(2);
    run(&[]).complains("no PATH given, no --random");
    run(&["--random", "1", "--dialect", "dynamic-7.0"]).complains("nothing was decided");
    run(&["--replay", UNSOUND]).complains("there is no capture");
    run(&["--random", "1", "--shard", "1/2"]).complains("there is no --shard");
    let help = livediff(folder.path(), &["soundness", "--help"]).exits(0);
    assert!(!help.stdout.contains("--shard") && !help.stdout.contains("--costs"), "{}", help.stdout);
    // Where every pod has a part's number, a part is not what is meant.
    let args = ["soundness", "--random", "8", "--dialect", "7.2", "--json", "out.json"];
    livediff_with(folder.path(), &args, &[("JOB_COMPLETION_INDEX", "0")]).exits(0);
    run(&[UNSOUND, "--filter", "none"]).complains("nothing was decided");
    // A kernel was asked for, and there is nothing for it.
    run(&[CAPTURES, "--kernel", "7.2"]).complains("nothing is booted");
    run(&[CAPTURES, UNSOUND, "--kernel", "7.2", "--replay"]).complains("nothing is booted");
    run(&[UNSOUND, "--kernel", "7.2", "--filter", "none"]).complains("--filter leaves no program");
    run(&[CAPTURES, "--replay", "--random", "1"]).complains("cannot be used with");
}

#[test]
fn what_cannot_be_written_hides_no_finding() {
    let folder = folder();
    // A folder lies where the source would be written.
    fs::create_dir_all(folder.path().join("found/unsound_0_0.bpf.c")).unwrap();
    let only = ["--filter", "*joined_with_no_pointer", "--paths", "32"];
    let args = [&[UNSOUND, "--dialect", "7.2", "-o", "found"], &only[..]].concat();
    let report = judged(folder.path(), &args, 1);
    assert_eq!(report["totals"]["findings"], 2);
    assert_eq!(report["reduced"].as_array().unwrap().len(), 1);
}

/// A pointer that comes back by an atomic instruction is lost, where a function of a module does not return 0: what is
/// taken apart has 0 in the place of the call, and nothing behind it.
#[test]
fn a_finding_that_is_not_reduced_is_printed_and_written_whole() {
    use livediff_capture::{
        Capture, Insn, Kernel, Kfunc, KfuncPrototype, Loaded, Said, Verdict, file,
        insn::{SRC_X, alu, atomic, class, jmp, mode, pseudo, size},
    };
    let insn = |code, dst_reg, src_reg, off, imm| Insn { code, dst_reg, src_reg, off, imm };
    let insns = vec![
        insn(class::JMP | jmp::CALL, 0, pseudo::KFUNC_CALL, 1, 7),
        insn(class::JMP | jmp::JEQ, 0, 0, 6, 0),
        insn(class::ST | mode::MEM | size::DW, 10, 0, -8, 0),
        insn(class::ALU64 | alu::MOV | SRC_X, 1, 10, 0, 0),
        insn(class::ALU64 | alu::ADD, 1, 0, 0, -8),
        insn(class::STX | mode::MEM | size::DW, 10, 1, -16, 0),
        insn(class::STX | mode::ATOMIC | size::DW, 2, 10, -16, atomic::LOAD_ACQ),
        insn(class::LDX | mode::MEM | size::DW, 0, 2, 0, 0),
        insn(class::JMP | jmp::EXIT, 0, 0, 0, 0),
    ];
    let prototype = Some(KfuncPrototype::default());
    let kfunc = Kfunc { btf_id: 7, offset: 1, name: "of_a_module".into(), prototype, ..Kfunc::default() };
    let loaded = Loaded { insns, prog_type: 1, kfuncs: vec![kfunc], ..Loaded::default() };
    let kernel = Kernel { release: "7.1.0".into(), dialect: "7.1".into(), dialect_forced: false };
    let (object, program) = ("module.bpf.o".into(), "p".into());
    let said = Said { verdict: Verdict::NotRun, errno: 0, log: String::new(), truncated: false };
    let folder = folder();
    let capture = Capture { object, program, kernel, loaded, said };
    file::write(&folder.path().join("p.capture"), &[capture]).unwrap();
    let args = ["soundness", "p.capture", "--replay", "--dialect", "7.2", "-o", "found"];
    let run = livediff(folder.path(), &args).exits(1);
    for words in [
        "module.bpf.o/p: not reduced: what was taken apart and linked again does not show it: found/unsound_0_0.bpf.c",
        "is not live before insn 7, and insn 7 reads it later",
    ] {
        assert!(run.stdout.contains(words), "{words}:\n{}", run.stdout);
    }
    let source = fs::read_to_string(folder.path().join("found/unsound_0_0.bpf.c")).unwrap();
    assert!(source.contains("load_acquire") && source.contains("is not live before insn 7"), "{source}");
    assert!(folder.path().join("found/unsound_0_0.bpf.o").exists());
}

/// A kernel's word alone: no path shows that the program is wrong, and it is not.
#[test]
fn a_program_that_a_kernel_alone_finds_is_written_whole() {
    use livediff_capture::{Capture, Insn, Kernel, Loaded, Said, Verdict, file};
    let insn = |code, dst_reg, off, imm| Insn { code, dst_reg, src_reg: 0, off, imm };
    let insns = vec![insn(0x7a, 10, -8, 0), insn(0xb7, 0, 0, 0), insn(0x95, 0, 0, 0)];
    let log = "reading from stack R2 off -8+0 size 8, slot poisoned by dead code elimination\n".into();
    let said = Said { verdict: Verdict::Rejected, errno: 13, log, truncated: false };
    let kernel = Kernel { release: "7.2.0".into(), dialect: "7.2".into(), dialect_forced: false };
    let loaded = Loaded { insns, prog_type: 3, ..Loaded::default() };
    let folder = folder();
    let capture = Capture { object: "o.bpf.o".into(), program: "p".into(), kernel, loaded, said };
    file::write(&folder.path().join("p.capture"), &[capture]).unwrap();
    let run = livediff(folder.path(), &["soundness", "p.capture", "--replay", "-o", "found"]).exits(1);
    assert!(run.stdout.contains("o.bpf.o/p: found/unsound_0_0.bpf.c\n"), "{}", run.stdout);
    let source = fs::read_to_string(folder.path().join("found/unsound_0_0.bpf.c")).unwrap();
    assert!(source.contains("slot poisoned") && source.contains("PROG(\"tc\", p)"), "{source}");
    assert!(folder.path().join("found/unsound_0_0.bpf.o").exists());
}

#[test]
fn a_folder_without_programs_is_said_to_have_none() {
    let folder = folder();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let run = |more: &[&str]| livediff(folder.path(), &[&["soundness", "empty"], more].concat());
    run(&[]).exits(2).complains("no BPF object (*.o) and no capture (*.capture) in empty; `clang");
    run(&["--replay"]).exits(2).complains("there is no capture (*.capture) in the given paths");
    run(&["--random", "8", "--dialect", "7.2"]).exits(0);
}
