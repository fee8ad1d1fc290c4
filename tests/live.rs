//! The program with a real kernel in QEMU, and signals.
//!
//! Needs what `harness/tests/live.rs` needs, and skips as that does.
#![allow(missing_docs)]
#![forbid(unsafe_code)]

#[path = "support/kernel.rs"]
mod kernel;
#[path = "support/skipped.rs"]
mod skipped;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Command lines of processes that have something of the process `pid`, as QEMU has its files.
fn processes_of(pid: u32) -> Vec<String> {
    let lines = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        entry.file_name().to_str()?.parse::<u32>().ok()?;
        fs::read_to_string(entry.path().join("cmdline")).ok()
    });
    lines.filter(|line| line.contains(&format!("/proc/{pid}/fd/"))).collect()
}

/// Masks and answers are read from the kernel, of every program, and are the model's.
#[test]
fn deep_reads_the_kernel_and_finds_the_same() {
    let Some(kernel) = kernel::kernel("the live test of --deep") else { return };
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("out.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_livediff"));
    command.args(["diff", "--deep", "--strict", "corpus/frames", "corpus/callbacks", "--kernel"]);
    let output = command.arg(&kernel).arg("--json").arg(&report).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("Beyond the logs"), "{text}");
    let json: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    let programs = json["kernels"][0]["programs"].as_array().unwrap();
    // Not one program was compared by its log alone.
    assert!(programs.len() > 30);
    let refused: Vec<&Value> = programs.iter().filter(|program| program["deep"].is_null()).collect();
    assert!(
        refused
            .iter()
            .all(|program| program["reason"].as_str().is_some_and(|why| why.contains("refused by both")))
    );
    assert_eq!(
        refused.len(),
        2,
        "callback_recursion_reaches_frame_limit and chain_of_seventeen_frames: {refused:?}"
    );
    let masks =
        programs.iter().filter(|program| program["deep"]["masks"].as_u64().is_some_and(|masks| masks > 0));
    assert_eq!(masks.count(), programs.len() - refused.len());
    let total = |what: &str| json["totals"]["deep"][what].as_u64().unwrap();
    for (what, least) in
        [("instances", 50), ("masks", 5_000), ("constants", 500), ("postorder", 1_000), ("answers", 500)]
    {
        assert!(total(what) >= least, "{what}: {}", total(what));
    }
    assert_eq!(total("differing"), 0);
}

/// What `soundness` calls wrong is wrong in a kernel too, and what it calls right is right: there the kernel goes by its
/// own analysis, finds a read of what it took for dead, and refuses the program.
#[test]
fn a_kernel_refuses_what_soundness_finds() {
    let Some(kernel) = kernel::kernel("the live test of soundness") else { return };
    let objects = "tests/data/unsound.bpf.o";
    let folder = tempfile::tempdir().unwrap();
    let json = |args: &[&str]| -> Value {
        let report = folder.path().join("out.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_livediff"));
        let output = command.args(args).arg(objects).arg("--json").arg(&report).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&fs::read(&report).unwrap_or_default()).unwrap_or_else(|_| panic!("{error}"))
    };
    let ran = json(&["diff", "--verdict", "--kernel", &kernel.display().to_string()]);
    let programs = ran["kernels"][0]["programs"].as_array().unwrap();
    assert!(programs.iter().all(|program| program["status"] == "match"), "{programs:?}");
    let having = |programs: &[Value], key: &str, value: &str| -> BTreeSet<String> {
        let programs = programs.iter().filter(|program| program[key] == value);
        programs.map(|program| program["program"].as_str().unwrap().to_owned()).collect()
    };
    let accepted = having(programs, "verdict", "accepted");
    assert_eq!(accepted, BTreeSet::from(["plain".to_owned()]));
    let rejected = having(programs, "verdict", "rejected");
    assert_eq!(rejected.len(), programs.len() - 1);
    let judged = json(&["soundness", "--dialect", "7.2"]);
    let judged = judged["programs"].as_array().unwrap();
    assert_eq!(having(judged, "status", "clean"), accepted);
    assert_eq!(having(judged, "status", "found"), rejected);
}

/// A kernel that refuses what is made for it tells nothing of its answers.
#[test]
fn a_kernel_accepts_random_programs() {
    let Some(kernel) = kernel::kernel("the live test of random programs") else { return };
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("out.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_livediff"));
    command.args(["soundness", "--random", "64", "--seed", "2", "--paths", "2", "--steps", "300"]);
    let output = command.arg("--kernel").arg(&kernel).arg("--json").arg(&report).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("of 64 random programs"), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    let programs = json["programs"].as_array().unwrap();
    let accepted: Vec<_> = programs.iter().filter(|program| program["verdict"] == "accepted").collect();
    let read = accepted.iter().filter(|program| {
        program["observed"]["reads"]
            .as_u64()
            .or(program["coverage"]["reads"].as_u64())
            .is_some_and(|reads| reads > 0)
    });
    let counts = (programs.len(), accepted.len(), read.count());
    assert!(counts.0 == 64 && counts.1 >= 32 && counts.2 >= 28, "{counts:?}");
}

/// At every moment of a run, from before its first line to after its last.
#[test]
fn signals_at_any_moment_leave_nothing() {
    let Some(kernel) = kernel::kernel("the live test") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (temporary, report) = (folder.path().join("tmp"), folder.path().join("out.json"));
    fs::create_dir(&temporary).unwrap();
    let run = |signal: Option<(Signal, Duration)>| -> (Output, Duration) {
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_livediff"));
        command
            .args(["diff", "corpus/stack", "corpus/spills", "corpus/joins", "--kernel"])
            .arg(&kernel)
            .arg("--json")
            .arg(&report);
        command.env("TMPDIR", &temporary).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let pid = child.id();
        let mut signalled = None;
        if let Some((signal, delay)) = signal {
            thread::sleep(delay);
            // It may have ended; it is not waited for yet.
            let _ = kill(Pid::from_raw(pid as i32), signal);
            signalled = Some(Instant::now());
        }
        let output = child.wait_with_output().unwrap();
        if let Some(signalled) = signalled {
            assert!(signalled.elapsed() < Duration::from_secs(10), "{:?}", signalled.elapsed());
        }
        let end = Instant::now() + Duration::from_secs(10);
        while let [left, ..] = processes_of(pid).as_slice() {
            assert!(Instant::now() < end, "left behind: {left}");
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "temporary files are left");
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.retain(|name| name != "tmp" && name != "out.json");
        assert!(names.is_empty(), "{names:?}");
        (output, begun.elapsed())
    };
    let json = || serde_json::from_slice::<Value>(&fs::read(&report).unwrap()).unwrap();
    let (output, whole) = run(None);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let all = json()["totals"]["match"].as_u64().unwrap();
    let (mut seen, mut matches) = (BTreeSet::new(), BTreeSet::new());
    // Hundredths of the time of a whole run; most of it is the boot.
    let moments = [0, 30, 70, 80, 88, 95];
    for (step, moment) in moments.into_iter().enumerate() {
        let _ = fs::remove_file(&report);
        let signal = if step % 2 == 0 { Signal::SIGINT } else { Signal::SIGTERM };
        let (output, _) = run(Some((signal, whole * moment / 100)));
        let errors = String::from_utf8_lossy(&output.stderr);
        seen.insert(output.status.code());
        match output.status.code() {
            // Before it could watch for signals.
            None => assert!(!report.exists()),
            Some(0) => assert_eq!(json()["totals"]["match"], all),
            Some(2) => {
                assert!(errors.contains("interrupted"), "{errors}");
                if report.exists() {
                    let json = json();
                    assert_eq!(json["incomplete"], "the run was interrupted");
                    matches.insert(json["totals"]["match"].as_u64());
                }
            }
            status => panic!("{status:?}: {errors}"),
        }
    }
    assert!(seen.contains(&Some(2)) && !matches.is_empty(), "{seen:?}");
    eprintln!("exit statuses {seen:?}, programs compared before the signal {matches:?} of {all}");
}
