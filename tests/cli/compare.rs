//! Kernel against kernel, from captures.

use super::*;

const A: &str = "7.2.12+test";
const B: &str = "7.2.13+test";

/// A capture of the program from that kernel, with what it is to have said.
fn from(release: &str, program: &str, section: &str) -> Capture {
    let mut capture = capture(program, Verdict::Accepted, 0, log_of(section));
    capture.kernel.release = release.into();
    capture
}

fn compare(folder: &Path, more: &[&str]) -> Done {
    let args = ["compare", "--replay", "--kernel", "7.2.12", "--kernel", "7.2.13", "."];
    livediff(folder, &[&args, more].concat())
}

#[test]
fn kernels_that_say_the_same_exit_0() {
    let folder = folder();
    // Neither says what the model says, and nobody asks the model.
    let section = section().text.replace("func#1", "func#7");
    put(folder.path(), &from(A, "one", &section));
    let mut other = from(B, "one", &section);
    other.said.log = other.said.log.replace("0xff54af7fc013a000", "0xffff888000000001");
    put(folder.path(), &other);
    compare(folder.path(), &[]).exits(0).says("1 program: 1 same, 0 explained");
    livediff(folder.path(), &["compare", "--replay", A, B]).exits(0).says("1 same");
}

#[test]
fn a_changed_program_exits_1_and_says_what_changed() {
    let folder = folder();
    let section = section().text;
    let changed = section.replacen("; use: fp0-8 fp0-16", "; use: fp0-8", 1);
    assert_ne!(section, changed);
    for (program, in_b) in [("one", &changed), ("two", &changed), ("three", &section)] {
        put(folder.path(), &from(A, program, &section));
        put(folder.path(), &from(B, program, in_b));
    }
    let done = compare(folder.path(), &["--json", "report.json", "--junit", "report.xml"])
        .exits(1)
        .says("    2 `use:` of the own frame: shrank, at calls of subprograms")
        .says("CHANGED stack/spill.bpf.o/one")
        .says("insn 8 `use:` of the own frame: -fp0-16")
        .says("--- A: kernel 7.2.12+test\n+++ B: kernel 7.2.13+test\n@@ -")
        .says("1 same, 0 explained, 0 loaded differently, 2 changed");
    assert!(!done.stdout.contains("three\n"), "{}", done.stdout);
    let json: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("report.json")).unwrap()).unwrap();
    assert_eq!(json["kernels"][1]["release"], B);
    assert_eq!(json["totals"]["changed"], 2);
    assert_eq!(json["causes"][0]["what"], "use");
    assert_eq!(json["causes"][0]["count"], 2);
    let names: Vec<_> =
        json["programs"].as_array().unwrap().iter().map(|row| row["class"].as_str().unwrap()).collect();
    assert_eq!(names, ["changed", "same", "changed"]);
    let junit = fs::read_to_string(folder.path().join("report.xml")).unwrap();
    assert!(junit.contains(r#"failures="2""#), "{junit}");
    compare(folder.path(), &["--filter", "*/three"]).exits(0);
    // The other way round it grew.
    let args = ["compare", "--replay", "--kernel", B, "--kernel", A, "."];
    livediff(folder.path(), &args).exits(1).says("own frame: grew");
    compare(folder.path(), &["--json", "-"]).exits(1).says("\"version\": 1");
}

#[test]
fn a_program_that_one_kernel_refuses_exits_1() {
    let folder = folder();
    put(folder.path(), &from(A, "one", &section().text));
    put(folder.path(), &from(B, "one", &section().text));
    let mut refused = from(B, "two", "");
    refused.said = Said {
        verdict: Verdict::Rejected,
        errno: 22,
        log: "func#0 @0\nR11 is invalid\n".into(),
        truncated: false,
    };
    put(folder.path(), &from(A, "two", &section().text));
    put(folder.path(), &refused);
    compare(folder.path(), &[])
        .exits(1)
        .says("Analysed in A only\n    1 B refuses it before its liveness analysis: R11 is invalid (EINVAL)")
        .says("1 only in A, 0 only in B");
    // What neither analyses is not compared, and not forgotten.
    refused.kernel.release = A.into();
    put(folder.path(), &refused);
    compare(folder.path(), &[]).exits(0).says("Not compared\n    1 both refuse it");
    compare(folder.path(), &["--strict"]).exits(2).complains("--strict: 1 program not compared");
    compare(folder.path(), &["--filter", "*/two"]).exits(2).complains("nothing was compared");
}

#[test]
fn a_capture_that_is_missing_is_no_difference() {
    let folder = folder();
    put(folder.path(), &from(A, "one", &section().text));
    put(folder.path(), &from(B, "one", &section().text));
    put(folder.path(), &from(B, "two", &section().text));
    compare(folder.path(), &[]).exits(0).says("1 A: there is nothing of this program from this kernel");
    compare(folder.path(), &["--strict"]).exits(2);
}

#[test]
fn two_captures_of_one_program_and_kernel_exit_2() {
    let folder = folder();
    put(folder.path(), &from(A, "one", &section().text));
    put(folder.path(), &from(B, "one", &section().text));
    put(&folder.path().join("older"), &from(A, "one", &section().text.replace("func#1", "func#7")));
    let again = folder.path().join("older/again.capture");
    file::write(&again, &[from(B, "two", &section().text)]).unwrap();
    compare(folder.path(), &[])
        .exits(2)
        .complains("two captures of stack/spill.bpf.o/one from kernel 7.2.12+test: ")
        .complains("/7.2.12+test/stack/spill.bpf.o/one.capture and ./older/");
    compare(folder.path(), &["--filter", "*/two"]).exits(2).complains("no capture is of a kernel 7.2.12");
}

/// The reports of parts could not be put together, and where every pod has a part's number, a part is not what is meant.
#[test]
fn there_are_no_parts() {
    let folder = folder();
    for program in ["one", "two", "three"] {
        put(folder.path(), &from(A, program, &section().text));
        put(folder.path(), &from(B, program, &section().text));
    }
    compare(folder.path(), &["--shard", "1/2"]).exits(2).complains("there is no --shard");
    compare(folder.path(), &["--costs", "report.json"]).exits(2).complains("there is no --shard");
    let args = ["compare", "--replay", A, B];
    for environment in
        [&[("JOB_COMPLETION_INDEX", "0")][..], &[("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETIONS", "2")]]
    {
        livediff_with(folder.path(), &args, environment).exits(0).says("3 programs: 3 same");
    }
    let live = ["compare", "--kernel", "7.1", "--kernel", "7.2", "--shard", "1/2", "."];
    livediff(folder.path(), &live).exits(2).complains("there is no --shard");
    let help = livediff(folder.path(), &["compare", "--help"]).exits(0);
    assert!(!help.stdout.contains("--shard") && !help.stdout.contains("--costs"), "{}", help.stdout);
}

#[test]
fn dialects_explain_what_they_differ_in() {
    let folder = folder();
    let of = |release: &str, dialect: Dialect| {
        let mut capture = from(release, "one", &log::section(&program(), dialect).text);
        capture.kernel.dialect = dialect.id().into();
        capture
    };
    put(folder.path(), &of(A, Dialect::Dynamic7_0));
    put(folder.path(), &of(B, Dialect::V7_2));
    compare(folder.path(), &[]).exits(0).says("Explained by the dialects, dynamic-7.0 and 7.2: 1 program");
    let mut wrong = of(B, Dialect::V7_2);
    wrong.said.log = wrong.said.log.replacen("subprog#1 callee:", "subprog#1 other:", 1);
    put(folder.path(), &wrong);
    compare(folder.path(), &[]).exits(1).says("A says what the model of its dialect says, B does not");
}

#[test]
fn other_instructions_are_told() {
    let folder = folder();
    put(folder.path(), &from(A, "one", &section().text));
    let mut other = from(B, "one", "");
    other.loaded.insns[9].imm = 4;
    other.said.log = log_of(&log::section(&other.loaded, Dialect::V7_2).text);
    put(folder.path(), &other);
    compare(folder.path(), &[])
        .exits(0)
        .says("Not given the same, and different only in what follows from that, by what differed")
        .says("1 instructions (CO-RE relocations, weak symbols)\n      stack/spill.bpf.o/one")
        .says("1 loaded differently");
}

#[test]
fn what_is_not_two_kernels_exits_2() {
    let folder = folder();
    put(folder.path(), &from(A, "one", &section().text));
    put(folder.path(), &from(B, "one", &section().text));
    let exits_2 = |args: &[&str], why: &str| {
        livediff(folder.path(), args).exits(2).complains(why);
    };
    exits_2(&["compare", "--replay", "."], "compares two kernels");
    exits_2(&["compare", "--replay", "--kernel", A, "."], "one is named");
    exits_2(
        &["compare", "--replay", "--kernel", "7.2", "--kernel", B, "."],
        "captures of several kernels, 7.2.12+test, 7.2.13+test",
    );
    exits_2(
        &["compare", "--replay", "--kernel", "7.1", "--kernel", B, "."],
        "no capture is of a kernel 7.1; there are",
    );
    exits_2(
        &["compare", "--replay", "--kernel", A, "--kernel", B, "--filter", "x", "."],
        "no capture matches --filter",
    );
    exits_2(&["compare", "."], "two kernels, A and B: --kernel A --kernel B; none is named");
    exits_2(&["compare", "--kernel", "7.2", "."], "one is named");
    exits_2(&["compare", "--kernel", "7.1", "--kernel", "7.2", "."], "--replay compares captures");
    exits_2(&["compare", "--kernel", "7.1", "--kernel", "7.2", "--json", "no/x", "."], "no folder no");
    fs::write(folder.path().join("a.bpf.o"), object()).unwrap();
    exits_2(&["compare", "--kernel", "7.1", "--kernel", "7.2", "a.bpf.o"], "qemu");
}
