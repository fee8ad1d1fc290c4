//! The program as scripts use it: exit statuses, reports, and what it says. Nothing here needs a network, QEMU or
//! root: what kernels said comes from captures, made here from the model's own words and then altered.

use livediff::{
    Dialect,
    log::{self, LineKind, Section},
};
use livediff_capture::{Capture, Kernel, Said, Verdict, file};
use serde_json::Value;

#[path = "cli/bisect.rs"]
mod bisect;
#[path = "cli/ci.rs"]
mod ci;
#[path = "cli/compare.rs"]
mod compare;
#[path = "support/elf.rs"]
mod elf;
#[path = "cli/faults.rs"]
mod faults;
#[path = "cli/formats.rs"]
mod formats;
#[path = "cli/html.rs"]
mod html;
#[path = "support/kernel.rs"]
mod kernel;
#[path = "cli/kernels.rs"]
mod kernels;
#[path = "support/program.rs"]
mod program;
#[path = "cli/reduce.rs"]
mod reduce;
#[path = "support/skipped.rs"]
mod skipped;
#[path = "cli/soundness.rs"]
mod soundness;

use program::program;
use skipped::skipped;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A finished run of the program.
struct Done {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Done {
    /// The exit status is `status`, and nothing looks like a breakdown.
    #[track_caller]
    fn exits(self, status: i32) -> Done {
        assert_eq!(self.status, Some(status), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        for word in ["panicked", "backtrace", "RUST_BACKTRACE"] {
            assert!(!self.stderr.contains(word) && !self.stdout.contains(word), "{}", self.stderr);
        }
        self
    }

    /// Standard error has this text.
    #[track_caller]
    fn complains(self, text: &str) -> Done {
        assert!(self.stderr.contains(text), "no `{text}` in:\n{}", self.stderr);
        self
    }

    /// Standard output has this text.
    #[track_caller]
    fn says(self, text: &str) -> Done {
        assert!(self.stdout.contains(text), "no `{text}` in:\n{}", self.stdout);
        self
    }
}

/// What CI systems say to the program. The tests may themselves be run by one.
const OF_CI: [&str; 4] = ["GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"];

/// Runs the program in `folder`, with a cache there and, so that no test boots anything, without QEMU.
fn livediff(folder: &Path, args: &[&str]) -> Done {
    livediff_with(folder, args, &[])
}

/// [`livediff`] with more in the environment.
fn livediff_with(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_livediff"));
    for name in OF_CI {
        command.env_remove(name);
    }
    let output = command
        .args(args)
        .current_dir(folder)
        .env("PATH", folder)
        .env("XDG_CACHE_HOME", folder.join(".cache"))
        .envs(environment.iter().copied())
        .output()
        .expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Done { status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn section() -> Section {
    log::section(&program(), Dialect::V7_2)
}

/// What a kernel would have said, had it said `section`.
fn log_of(section: &str) -> String {
    section.replace("<address>", "0xff54af7fc013a000")
        + "0: R1=ctx() R10=fp0\nprocessed 13 insns (limit 1000000)\n"
}

fn capture(program: &str, verdict: Verdict, errno: i32, log: String) -> Capture {
    Capture {
        object: "stack/spill.bpf.o".into(),
        program: program.into(),
        kernel: Kernel { release: "7.2.12+test".into(), dialect: "7.2".into(), dialect_forced: false },
        loaded: program::program(),
        said: Said { verdict, errno, log, truncated: false },
    }
}

fn put(folder: &Path, capture: &Capture) -> PathBuf {
    let path =
        folder.join(file::relative_path(Some(&capture.kernel.release), &capture.object, &capture.program));
    file::write(&path, std::slice::from_ref(capture)).expect("the capture is written");
    path
}

fn put_match(folder: &Path, program: &str) -> PathBuf {
    put(folder, &capture(program, Verdict::Accepted, 0, log_of(&section().text)))
}

/// The least that passes for a BPF object.
fn object() -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[18..20].copy_from_slice(&247u16.to_le_bytes());
    bytes
}

#[test]
fn captures_that_match_exit_0() {
    let folder = folder();
    put_match(folder.path(), "one");
    put_match(folder.path(), "two");
    put(folder.path(), &capture("early", Verdict::Rejected, 22, "func#0 @0\nunreachable insn 3\n".into()));
    let done =
        livediff(folder.path(), &["diff", "--replay", ".", "--json", "out.json", "--junit", "out.xml"])
            .exits(0)
            .says("Summary")
            .says("3 programs: 2 match, 0 mismatch, 1 not compared")
            .says("rejected_early: unreachable insn 3 (EINVAL)");
    assert_eq!(done.stderr, "");
    let json: Value = serde_json::from_slice(&fs::read(folder.path().join("out.json")).unwrap()).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["totals"], serde_json::json!({"match": 2, "mismatch": 0, "not_compared": 1}));
    let kernel = &json["kernels"][0];
    assert_eq!((&kernel["release"], &kernel["dialect"]), (&"7.2.12+test".into(), &"7.2".into()));
    let programs = kernel["programs"].as_array().unwrap();
    let names: Vec<_> = programs.iter().map(|program| program["program"].as_str().unwrap()).collect();
    assert_eq!(names, ["early", "one", "two"]);
    assert_eq!(programs[1]["lines"], section().origins.len());
    assert_eq!(programs[1]["insns"], 13);
    assert!(fs::read_to_string(folder.path().join("out.xml")).unwrap().contains("tests=\"3\""));

    livediff(folder.path(), &["diff", "--replay", ".", "--strict"])
        .exits(2)
        .complains("--strict: 1 program not compared");
    livediff(folder.path(), &["diff", "--replay", ".", "--strict", "--filter", "*/one"]).exits(0);
    // A report on standard output is alone there.
    let done =
        livediff(folder.path(), &["diff", "--replay", ".", "--json", "-"]).exits(0).complains("Summary");
    assert_eq!(serde_json::from_str::<Value>(&done.stdout).unwrap(), json);
}

/// One file holds what two kernels said; one of them is contradicted.
#[test]
fn captures_of_several_kernels_are_compared_each() {
    let folder = folder();
    let good = capture("one", Verdict::Accepted, 0, log_of(&section().text));
    let mut bad = capture("one", Verdict::Accepted, 0, log_of(&section().text.replace("func#1", "func#7")));
    bad.kernel.release = "7.2.13+test".into();
    file::write(&folder.path().join("one.capture"), &[good, bad]).unwrap();
    put_match(folder.path(), "two");
    let done = livediff(folder.path(), &["diff", "--replay", ".", "--json", "out.json"])
        .exits(1)
        .says("    1 match in 7.2.12+test; mismatch in 7.2.13+test\n      stack/spill.bpf.o/one\n")
        .says("    1 not there in 7.2.13+test; match in 7.2.12+test\n      stack/spill.bpf.o/two\n");
    assert_eq!(done.stdout.matches("MISMATCH").count(), 1, "{}", done.stdout);
    let json: Value = serde_json::from_slice(&fs::read(folder.path().join("out.json")).unwrap()).unwrap();
    let count = |at: usize| json["kernels"][at]["programs"].as_array().unwrap().len();
    assert_eq!((json["totals"]["match"].as_u64(), json["totals"]["mismatch"].as_u64()), (Some(2), Some(1)));
    assert_eq!((count(0), count(1)), (2, 1));
}

/// Nobody could tell which of them counts, and the report would have a program twice.
#[test]
fn two_captures_of_one_program_and_kernel_exit_2() {
    let folder = folder();
    for place in ["x", "y"] {
        put_match(&folder.path().join(place), "one");
    }
    put_match(&folder.path().join("y"), "two");
    let one = |place: &str| format!("{place}/7.2.12+test/stack/spill.bpf.o/one.capture");
    let diff = |args: &[&str]| livediff(folder.path(), &[&["diff", "--replay"], args].concat());
    for paths in [["x", "y"], ["y", "x"]] {
        diff(&[&paths[..], &["--json", "out.json"]].concat())
            .exits(2)
            .complains("two captures of stack/spill.bpf.o/one from kernel 7.2.12+test: ")
            .complains(&format!("{} and {}", one("x"), one("y")))
            .says("2 programs: 2 match");
        let json: Value = serde_json::from_slice(&fs::read(folder.path().join("out.json")).unwrap()).unwrap();
        assert!(json["incomplete"].as_str().is_some_and(|why| why.contains("two captures")), "{json}");
    }
    diff(&["x", "y", "--filter", "*/two"]).exits(0);
    // One that is wrong is found whichever of them it is, and what cannot be read is told beside it.
    let wrong = log_of(&section().text.replace("func#1", "func#7"));
    put(&folder.path().join("y"), &capture("three", Verdict::Accepted, 0, wrong));
    fs::write(folder.path().join("y/cut.capture"), "livediff capture 2\n").unwrap();
    diff(&["x", "y"]).exits(1).complains("two captures of").complains("captures could not be read");
}

/// What a file holds beside a capture that cannot be judged is judged.
#[test]
fn a_dialect_that_is_not_known_costs_its_own_capture_only() {
    let folder = folder();
    let text = section().text;
    for (section, status) in [(text.clone(), 2), (text.replace("func#1", "func#7"), 1)] {
        let good = capture("one", Verdict::Accepted, 0, log_of(&section));
        let of = |release: &str, dialect: &str| Capture {
            kernel: Kernel { release: release.into(), dialect: dialect.into(), dialect_forced: false },
            ..good.clone()
        };
        file::write(
            &folder.path().join("one.capture"),
            &[good.clone(), of("9.9", "9.9"), of("7.2.13", "7.2")],
        )
        .unwrap();
        livediff(folder.path(), &["diff", "--replay", "."])
            .exits(status)
            .says("recorded for dialect `9.9`")
            .says("2 programs: ")
            .complains("1 of 1 captures could not be read");
    }
}

#[test]
fn a_forced_dialect_is_said_to_be_forced() {
    let folder = folder();
    let path = put_match(folder.path(), "one");
    let args = ["diff", path.to_str().unwrap(), "--dialect", "7.1", "--json", "out.json"];
    livediff(folder.path(), &args).exits(0).says("  7.1*  ").says("* forced with --dialect");
    let json: Value = serde_json::from_slice(&fs::read(folder.path().join("out.json")).unwrap()).unwrap();
    let kernel = &json["kernels"][0];
    assert_eq!((&kernel["dialect"], &kernel["dialect_forced"]), (&"7.1".into(), &true.into()));
    let args = ["diff", path.to_str().unwrap(), "--dialect", "7.9"];
    livediff(folder.path(), &args).exits(2).complains("the dialects are dynamic-6.18, ");
}

/// The comparison can fail: one line of a kernel's log altered, for each kind of line.
#[test]
fn an_altered_line_of_each_kind_exits_1_and_is_pointed_at() {
    let section = section();
    let lines: Vec<&str> = section.text.split_inclusive('\n').collect();
    let kinds = [
        LineKind::Subprog,
        LineKind::TopoOrder,
        LineKind::Analyzing,
        LineKind::Transfer,
        LineKind::Join,
        LineKind::ListingHeader,
        LineKind::Listing,
        LineKind::InstanceHeader,
        LineKind::UseDef,
        LineKind::LiveRegsHeader,
        LineKind::LiveRegs,
    ];
    let folder = folder();
    for kind in kinds {
        let of_kind = |at: &usize| section.origins[*at].kind == kind;
        // The last of its kind: nearer to the section's end, where a cut could hide it.
        let at = (0..lines.len()).rfind(of_kind).unwrap_or_else(|| panic!("no line of kind {kind:?}"));
        let line = lines[at];
        let digit = line.char_indices().rfind(|(_, c)| c.is_ascii_digit());
        let mut altered = vec![String::new(), line.repeat(2), line.replace('\n', " \n")];
        if let Some((at, c)) = digit {
            let mut changed = line.to_owned();
            changed.replace_range(at..=at, if c == '7' { "3" } else { "7" });
            altered.push(changed);
        } else {
            altered.push(line.to_uppercase());
        }
        let origin = section.origins[at];
        let insn = origin.insn.unwrap_or(if origin.subprog == Some(1) { 11 } else { 0 });
        for altered in altered {
            let text = [&lines[..at], &[altered.as_str()], &lines[at + 1..]].concat().concat();
            let path = put(folder.path(), &capture("altered", Verdict::Accepted, 0, log_of(&text)));
            livediff(folder.path(), &["diff", "--replay", path.to_str().unwrap(), "--json", "out.json"])
                .exits(1)
                .says("MISMATCH [7.2.12+test] stack/spill.bpf.o/altered")
                .says("\n--- kernel 7.2.12+test\n+++ model, dialect 7.2\n@@ -")
                .says(&format!(", insn {insn}: ("));
            let json: Value =
                serde_json::from_slice(&fs::read(folder.path().join("out.json")).unwrap()).unwrap();
            let program = &json["kernels"][0]["programs"][0];
            assert_eq!(program["status"], "mismatch");
            assert_eq!(program["first"]["insn"], insn, "{kind:?} {altered:?}");
            assert!(program["diff"].as_str().is_some_and(|diff| diff.starts_with("@@ -")), "{program}");
        }
    }
}

#[test]
fn a_run_that_compared_nothing_is_never_0() {
    let folder = folder();
    let path = put(folder.path(), &capture("early", Verdict::Rejected, 22, "unreachable insn 3\n".into()));
    livediff(folder.path(), &["diff", path.to_str().unwrap()])
        .exits(2)
        .complains("nothing was compared: stack/spill.bpf.o/early: rejected_early: unreachable insn 3");
    let cut = Said { truncated: true, ..capture("x", Verdict::Rejected, 28, section().text).said };
    let cut = Said { log: cut.log.lines().take(20).map(|line| format!("{line}\n")).collect(), ..cut };
    let path =
        put(folder.path(), &Capture { said: cut, ..capture("cut", Verdict::Rejected, 28, String::new()) });
    livediff(folder.path(), &["diff", path.to_str().unwrap()]).exits(2).says("the log was cut");
    livediff(folder.path(), &["diff", "--replay", ".", "--filter", "other"]).exits(2).complains("--filter");
    livediff(folder.path(), &["diff", "--replay", "."])
        .exits(2)
        .complains("nothing was compared, in any of 2 programs, such as ");
}

#[test]
fn damaged_captures_are_errors() {
    let folder = folder();
    put_match(folder.path(), "good");
    let path = put_match(folder.path(), "damaged");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    livediff(folder.path(), &["diff", "--replay", "."])
        .exits(2)
        .says("damaged.capture: damaged or cut short")
        .says("1 match")
        .complains("1 of 2 captures could not be read");
    let mut wrong = section().text;
    wrong.replace_range(0..1, "F");
    put(folder.path(), &capture("wrong", Verdict::Accepted, 0, log_of(&wrong)));
    livediff(folder.path(), &["diff", "--replay", "."])
        .exits(1)
        .complains("1 of 3 captures could not be read");
    let unknown = Kernel { release: "9.9".into(), dialect: "9.9".into(), dialect_forced: false };
    fs::remove_dir_all(folder.path().join("7.2.12+test")).unwrap();
    put(folder.path(), &Capture { kernel: unknown, ..capture("new", Verdict::Accepted, 0, log_of(&wrong)) });
    livediff(folder.path(), &["diff", "--replay", "."]).exits(2).says("`9.9`");
}

#[test]
fn what_is_not_there_or_no_object_exits_2_with_a_way_out() {
    let folder = folder();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    write("notes.txt", b"no object\n");
    write("notes.o", b"no object either\n");
    fs::create_dir(folder.path().join("strange")).unwrap();
    write("strange/notes.o", b"no object either\n");
    write("cut.bpf.o", &object()[..63]);
    write("whole.bpf.o", &object());
    let run = |args: &[&str]| livediff(folder.path(), args).exits(2);
    run(&["diff"]).complains("no PATH given").complains("name objects, captures or folders");
    run(&["diff", "empty"]).complains("no BPF object (*.o) and no capture").complains("clang");
    run(&["diff", "missing"]).complains("missing: No such file");
    run(&["diff", "notes.txt"]).complains("notes.txt: no ELF file").complains("takes BPF objects");
    run(&["diff", "notes.o"]).complains("notes.o: no ELF file");
    run(&["diff", "cut.bpf.o"]).complains("cut short").complains("build or copy the object again");
    run(&["diff", "--replay", "empty"]).complains("no capture").complains("livediff record");
    run(&["diff", "--replay", "whole.bpf.o"]).complains("no capture");
    run(&["diff", "whole.bpf.o"]).complains("qemu-system-x86");
    run(&["diff", "whole.bpf.o", "--kernel", "seven"])
        .complains("seven: neither a version")
        .complains("kernel list");
    run(&["diff", "whole.bpf.o", "--kernel", "empty"]).complains("empty: a folder");
    run(&["diff", "whole.bpf.o", "--filter", "["]).complains("--filter");
    run(&["diff", "whole.bpf.o", "--json", "none/out.json"]).complains("no folder none");
    run(&["diff", "whole.bpf.o", "--json", "-", "--junit", "-"]).complains("standard output");
    // Before anything is run.
    run(&["diff", "whole.bpf.o", "--json", "empty"]).complains("empty: a folder");
    run(&["diff", "whole.bpf.o", "--json", "/proc/out.json"]).complains("to the folder /proc");
    run(&["diff", "whole.bpf.o", "--json", "out", "--html", "out"]).complains("two reports");
    run(&["record", "notes.o", "-o", "out"]).complains("notes.o: no ELF file");
    run(&["diff", "whole.bpf.o", "--timeout", "0"]).complains("--timeout");
    run(&["record", "empty", "-o", "out"]).complains("nothing to record");
    fs::create_dir(folder.path().join("strange/cut")).unwrap();
    write("strange/cut/cut.o", &object()[..63]);
    run(&["record", "strange/cut", "-o", "out"])
        .complains("is whole; strange/cut/cut.o: an ELF file cut short");
    fs::remove_dir_all(folder.path().join("strange/cut")).unwrap();
    run(&["record", "strange", "-o", "out"]).complains("strange/notes.o: no ELF file");
    run(&["compare", "--kernel", "7.1", "--kernel", "7.2", "strange"])
        .complains("strange/notes.o: no ELF file");
    run(&["kernel", "info", "notes.txt"]).complains("notes.txt");
    run(&["kernel", "build"]).complains("--tree").complains("--package");
    run(&["kernel", "build", "--tree", "empty", "--package", "7.2"]).complains("cannot be used with");
    run(&["kernel", "build", "--tree", "missing"]).complains("missing is not a Linux source tree");
    run(&["kernel", "build", "--tree", "empty"]).complains("there is no Makefile in it");
    run(&["kernel", "build", "--package", "7.2", "--name", "a/b"]).complains("cannot name a kernel");
    run(&["kernel", "build", "--package", "7.2", "--patch", "none.patch"]).complains("none.patch");
    // All that is missing is named at once.
    run(&["kernel", "build", "--package", "7.2"])
        .complains("bison")
        .complains("apt-get install")
        .complains("flex");
    run(&["fuzz", "--kernel", "7.2"]).complains("--programs").complains("--time");
    run(&["fuzz", "--programs", "1", "-o", "found"]).complains("qemu-system-x86");
    run(&["frobnicate"]).complains("unrecognized subcommand");
    // Nothing was left behind.
    let mut left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    left.retain(|name| name != ".cache");
    assert_eq!(left, ["cut.bpf.o", "empty", "notes.o", "notes.txt", "strange", "whole.bpf.o"]);
}

/// Where no guest can be run and no kernel was asked for, the recorded captures take its place, and the first line
/// says so.
#[test]
fn without_qemu_the_recorded_captures_are_compared() {
    let folder = folder();
    put_match(&folder.path().join("corpus"), "one");
    fs::write(folder.path().join("corpus/spill.bpf.o"), object()).unwrap();
    let done = livediff(folder.path(), &["diff"]).exits(0);
    let first = done.stdout.lines().next().unwrap_or_default();
    assert!(first.starts_with("No kernel can be run here") && first.contains("recorded captures"), "{first}");
    done.says("1 program: 1 match");
    // A kernel that was asked for is not replaced.
    let image = folder.path().join("bzImage");
    fs::write(&image, b"no kernel").unwrap();
    livediff(folder.path(), &["diff", "corpus", "--kernel", "bzImage"]).exits(2);
    // Nor is any under --strict.
    let done = livediff(folder.path(), &["diff", "--strict"]).exits(2).complains("qemu-system-x86");
    assert!(!done.stdout.contains("match"), "{}", done.stdout);
}

#[test]
fn corpus_carve_finds_what_other_files_embed() {
    let place = tempfile::tempdir().unwrap();
    let object = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/stack/access.bpf.o")).unwrap();
    fs::create_dir(place.path().join("bin")).unwrap();
    let program = [b"some code".as_slice(), &object, b"more", &object[..100]].concat();
    fs::write(place.path().join("bin/tool"), &program).unwrap();
    let names = || {
        let list = fs::read_dir(place.path().join("out")).unwrap();
        list.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };

    let carve = ["corpus", "carve", "bin", "-o", "out"];
    livediff(place.path(), &carve)
        .exits(0)
        .says("from bin/tool")
        .complains("1 objects in 1 files, 1 damaged");
    let [carved]: [PathBuf; 1] = names().try_into().unwrap();
    assert_eq!(fs::read(&carved).unwrap(), object);
    assert!(carved.to_str().unwrap().contains("out/tool-"), "{carved:?}");

    livediff(place.path(), &carve).exits(0).complains("1 there already");
    assert_eq!(names(), [carved]);

    // Nothing found is nothing decided.
    fs::write(place.path().join("bin/tool"), "no object").unwrap();
    livediff(place.path(), &carve).exits(2).complains("no BPF object found");
    livediff(place.path(), &["corpus", "carve", "missing", "-o", "out"]).exits(2).complains("missing");
}
