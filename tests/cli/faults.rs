//! What goes wrong around a run: disks and caches ([`disks`]), a QEMU that is too old, dies or lies, signals. What
//! stands for QEMU is a shell script, and so is apt; the guest's words are written by the test.

mod disks;

use super::*;
use crate::elf;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Serialize;
use std::{
    os::unix::fs::PermissionsExt,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The version of the agent's messages.
const VERSION: u32 = 6;
const RELEASE: &str = "7.2.99-cloud-amd64";
/// How long anything may take that should take no time.
const LIMIT: Duration = Duration::from_secs(60);

/// A message of the agent: its number, its fields, and what is behind it.
fn frame(number: u32, fields: impl Serialize, payload: &str) -> Vec<u8> {
    let message = postcard::to_stdvec(&(number, fields)).unwrap();
    let lengths = [message.len() as u32, payload.len() as u32];
    let lengths = lengths.into_iter().flat_map(u32::to_le_bytes);
    lengths.chain(message.iter().copied()).chain(payload.bytes()).collect()
}

fn hello() -> Vec<u8> {
    frame(0, (VERSION, RELEASE), "")
}

/// The object, number 0, has these programs, and the first is about to be loaded.
fn opened(programs: &[&str]) -> Vec<u8> {
    let parts = [
        frame(3, (0u32, None::<u32>), ""),
        frame(1, (0u32, programs), ""),
        frame(4, 0u32, ""),
        frame(3, (0u32, Some(0u32)), ""),
    ];
    parts.concat()
}

/// The log of a program.
fn told(program: u32, section: &str) -> Vec<u8> {
    frame(5, (0u32, program, crate::program::program(), Verdict::Accepted, 0i32, false), &log_of(section))
}

/// What the model says of the program of [`told`].
fn right() -> String {
    section().text
}

fn wrong() -> String {
    right().replace("func#1", "func#7")
}

/// A folder with an object, a kernel, and what stands for other programs.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(folder());
        fs::write(place.path("a.o"), [object(), vec![0; 1000]].concat()).unwrap();
        fs::write(place.path("kernel"), elf::vmlinux(RELEASE)).unwrap();
        fs::create_dir(place.path("tmp")).unwrap();
        fs::create_dir(place.path("bin")).unwrap();
        place
    }

    /// With a QEMU that says `words` on the port and then does what the script says.
    fn with_guest(words: &[Vec<u8>], then: &str) -> Place {
        let place = Place::new();
        fs::write(place.path("words"), words.concat()).unwrap();
        let words = place.path("words");
        let started = place.path("tmp-started");
        place.program(
            "qemu-system-x86_64",
            &format!(
                "[ \"$1\" = --version ] && echo 'QEMU emulator version 7.2.0' && exit 0\n\
                 /bin/cat {} >&0\n: > {}\n{then}\n",
                words.display(),
                started.display()
            ),
        );
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for name in OF_CI {
            command.env_remove(name);
        }
        command
            .current_dir(self.0.path())
            .env("PATH", self.path("bin"))
            .env("TMPDIR", self.path("tmp"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("LD_LIBRARY_PATH", std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default());
        command
    }

    fn spawn(&self, args: &[&str]) -> Running<'_> {
        let mut command = self.command(env!("CARGO_BIN_EXE_livediff"));
        let command = command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running { child: command.spawn().unwrap(), place: self, begun: Instant::now() }
    }

    fn run(&self, args: &[&str]) -> Done {
        self.spawn(args).done()
    }

    /// `diff` of the object with the kernel.
    fn diff(&self, more: &[&str]) -> Running<'_> {
        self.spawn(&[DIFF, more].concat())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("out.json")).unwrap()).unwrap()
    }

    /// Statuses by program.
    fn statuses(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let json = self.json();
        let programs = json["kernels"][0]["programs"].as_array().unwrap();
        programs.iter().map(|program| (text(&program["program"]), text(&program["status"]))).collect()
    }

    /// No process of this folder is there, and no file but those that a test made and these.
    #[track_caller]
    fn left_are_only(&self, files: &[&str]) {
        assert_eq!(names_in(&self.path("tmp")), Vec::<String>::new());
        let mut names = names_in(self.0.path());
        let made = ["a.o", "kernel", "tmp", "bin", "words", "tmp-started", "cache"];
        names.retain(|name| !made.contains(&name.as_str()));
        assert_eq!(names, files);
        let folder = self.0.path().to_str().unwrap();
        let end = Instant::now() + LIMIT;
        while let Some(process) = processes().into_iter().find(|(_, line)| line.contains(folder)) {
            assert!(Instant::now() < end, "left behind: {process:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

const DIFF: &[&str] =
    &["diff", "a.o", "--kernel", "kernel", "--dialect", "7.2", "--accel", "tcg", "--json", "out.json"];

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every process that runs something, and its command line.
fn processes() -> Vec<(u32, String)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let line = |pid: u32| Some((pid, fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?));
    numbers.filter_map(line).filter(|(_, line)| !line.is_empty()).collect()
}

struct Running<'p> {
    child: Child,
    place: &'p Place,
    begun: Instant,
}

impl Running<'_> {
    /// Waits until a file is there.
    fn wait_for(&self, file: &str) {
        while !self.place.path(file).exists() {
            assert!(self.begun.elapsed() < LIMIT, "no {file}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    #[track_caller]
    fn done(self) -> Done {
        let begun = self.begun;
        let output = self.child.wait_with_output().unwrap();
        assert!(begun.elapsed() < LIMIT, "it took {:?}", begun.elapsed());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Done { status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// The words on which the other tests rely.
#[test]
fn a_guest_of_this_test_is_believed() {
    for (section, status) in [(right(), 0), (wrong(), 1)] {
        let words = [hello(), opened(&["one"]), told(0, &section), frame(11, 0u32, "")];
        let place = Place::with_guest(&words, "exec /bin/sleep 300");
        place.diff(&[]).done().exits(status);
        place.left_are_only(&["out.json"]);
    }
}

/// What tracing programs read of the program of [`told`], with that many records lost; the first byte of the records is
/// altered where `sense` is false, and one mask where `right` is.
fn traced(lost: u64, sense: bool, right: bool) -> Vec<u8> {
    use livediff::{diff::deep, log::Silent, verifier};
    use livediff_capture::trace::{self, Hooks};
    let loaded = crate::program::program();
    let analysis = verifier::analyze(&loaded, Dialect::V7_2, &mut Silent).unwrap();
    let main = vec![verifier::CallFrame { subprog: 0, callsite: 0 }];
    let mut trace = deep::expected(&analysis, &[(main, 2)]);
    if !right {
        trace.instances[0].frames[0].1[3].live_before ^= 2;
    }
    let hooks = Hooks {
        lost,
        const_regs: 1,
        arg_access: 1,
        query_init: 1,
        slot_alive: 128,
        queries: 1,
        ..Hooks::default()
    };
    let mut records = trace::write(&trace);
    records[0] ^= u8::from(!sense) << 6;
    // The payload of a frame is text elsewhere.
    let message = postcard::to_stdvec(&(13u32, (0u32, 0u32, hooks))).unwrap();
    let lengths = [message.len() as u32, records.len() as u32];
    [lengths.into_iter().flat_map(u32::to_le_bytes).collect(), message, records].concat()
}

#[test]
fn deep_is_a_match_only_with_everything_that_was_to_come() {
    let run = |trace: Vec<u8>, more: &[&str]| {
        let words = [hello(), opened(&["one"]), trace, told(0, &right()), frame(11, 0u32, "")];
        let place = Place::with_guest(&words, "exec /bin/sleep 300");
        let done = place.diff(&[&["--deep", "--junit", "out.xml"], more].concat()).done();
        place.left_are_only(&["out.json", "out.xml"]);
        let junit = fs::read_to_string(place.path("out.xml")).unwrap();
        (done, place.json(), junit)
    };
    let (done, json, _) = run(traced(0, true, true), &[]);
    let done = done.exits(0).says("masks of").says("128 answers to the path walk");
    assert!(done.stdout.contains("1 match"), "{}", done.stdout);
    let (program, totals) = (&json["kernels"][0]["programs"][0], &json["totals"]);
    assert_eq!(program["deep"], totals["deep"]);
    assert_eq!((&totals["deep"]["answers"], &totals["deep"]["differing"]), (&128.into(), &0.into()));
    // One half-slot of one mask.
    let (done, json, junit) = run(traced(0, true, false), &[]);
    done.exits(1).says("live_before").says("the log agrees").says("fp0-8h");
    let program = &json["kernels"][0]["programs"][0];
    assert_eq!((&program["status"], &program["deep"]["differing"]), (&"mismatch".into(), &1.into()));
    assert!(program["diff"].as_str().is_some_and(|diff| diff.contains("fp0-8h")), "{program}");
    assert_eq!(program["first"]["insn"], 3);
    assert!(junit.contains("failures=\"1\"") && junit.contains("fp0-8h"), "{junit}");
    // Lost, senseless, not there: the only program is not compared, and so nothing is.
    for (trace, why) in [
        (traced(1, true, true), "1 records found no room"),
        (traced(0, false, true), "what was traced makes no sense"),
        (Vec::new(), "nothing was traced"),
    ] {
        let (done, json, _) = run(trace, &[]);
        done.exits(2).says(why).says("not compared deep, though the log agrees");
        let program = &json["kernels"][0]["programs"][0];
        assert_eq!(program["status"], "not_loadable");
        assert!(program["deep"].is_null());
    }
    // Lost and wrong.
    run(traced(1, true, false), &[]).0.exits(1).says("fp0-8h");
    // A kernel without the hooks, and a dialect without what is compared.
    let (done, ..) = run(frame(12, "no such function", ""), &[]);
    done.exits(2).complains("cannot be traced").complains("no such function");
    let place = Place::new();
    place.program("qemu-system-x86_64", "exit 1");
    for dialect in ["dynamic-7.0", "fed53dbcdb"] {
        let args = ["diff", "a.o", "--deep", "--kernel", "kernel", "--dialect", dialect];
        place.run(&args).exits(2).complains("--deep compares function instances").complains("7.2.99");
    }
    place.run(&["diff", "a.o", "--deep", "--replay"]).exits(2).complains("--replay");
}

#[test]
fn qemu_that_is_missing_or_too_old_or_dies_is_an_error_that_says_so() {
    let place = Place::new();
    place.diff(&[]).done().exits(2).complains("qemu-system-x86_64 is not installed");
    place.left_are_only(&[]);
    let old = "[ \"$1\" = --version ] && echo 'QEMU emulator version 2.5.0, Copyright' && exit 0\n\
               echo \"qemu: -chardev socket,id=port,fd=0: Invalid parameter 'fd'\" >&2; exit 1\n";
    place.program("qemu-system-x86_64", old);
    place
        .diff(&[])
        .done()
        .exits(2)
        .complains("QEMU 2.5.0 (")
        .complains("Invalid parameter 'fd'")
        .complains("It is too old: 2.12");
    assert!(place.json()["incomplete"].as_str().is_some_and(|why| why.contains("It is too old")));
    place.left_are_only(&["out.json"]);
    // Out of memory on the host.
    place.program("qemu-system-x86_64", "[ \"$1\" = --version ] && exit 1\nkill -9 $$\n");
    place.diff(&[]).done().exits(2).complains("signal: 9").complains("--jobs 1");
    place.program("qemu-system-x86_64", "exit 0\n");
    place.diff(&[]).done().exits(2).complains("did not start").complains("console stayed empty");
    fs::write(place.path("bin/qemu-system-x86_64"), "no program").unwrap();
    place.diff(&[]).done().exits(2).complains("on the PATH is a whole and current QEMU");
    place.left_are_only(&["out.json"]);
}

#[test]
fn a_port_that_closes_in_the_middle_of_a_record_costs_one_program() {
    let two = told(1, &right());
    let begun = frame(3, (0u32, Some(1u32)), "");
    for end in [two[..two.len() / 2].to_vec(), two[..7].to_vec(), vec![0xff; 64]] {
        let words =
            [hello(), opened(&["one", "two"]), told(0, &right()), begun.clone(), end, b"\xff\xff".into()];
        let place = Place::with_guest(&words, "exit 0");
        let done =
            place.diff(&["--junit", "out.xml"]).done().exits(0).says("1 match, 0 mismatch, 1 not compared");
        assert!(done.stdout.contains("guest restarted"), "{}", done.stdout);
        let pair = |program: &str, status: &str| (program.to_owned(), status.to_owned());
        assert_eq!(place.statuses(), [pair("one", "match"), pair("two", "crashed")]);
        assert!(place.json()["incomplete"].is_null());
        place.left_are_only(&["out.json", "out.xml"]);
        place.diff(&["--strict"]).done().exits(2);
    }
}

/// That the processor cannot run guests is only known from an image that starts without it.
#[test]
fn an_image_that_never_starts_says_nothing_of_the_machine() {
    if fs::File::options().read(true).write(true).open("/dev/kvm").is_err() {
        return skipped("/dev/kvm cannot be opened here");
    }
    let place = Place::new();
    let script = "[ \"$1\" = --version ] && echo 'QEMU emulator version 7.2.0' && exit 0\n\
                  case \"$*\" in *tcg*) [ -e words ] && /bin/cat words >&0 && exec /bin/sleep 300;; esac; exit 0\n";
    place.program("qemu-system-x86_64", script);
    let auto = DIFF.join(" ").replace("--accel tcg", "--accel auto");
    let auto: Vec<&str> = auto.split(' ').collect();
    let kept = place.path("cache/livediff/accel.json");
    place.run(&auto).exits(2).complains("did not start");
    assert!(!kept.exists(), "{}", fs::read_to_string(&kept).unwrap());
    fs::write(
        place.path("words"),
        [hello(), opened(&["one"]), told(0, &right()), frame(11, 0u32, "")].concat(),
    )
    .unwrap();
    place.run(&auto).exits(0);
    assert!(fs::read_to_string(&kept).unwrap().contains("\"kvm\":false"));
}

/// Of what the guest leaves out nothing is known: that is no difference, no answer, and no reason to forget anything.
#[test]
fn a_guest_that_leaves_a_program_out_decides_nothing() {
    let finished = || frame(11, 0u32, "");
    let honest = [hello(), opened(&["one", "two"]), told(0, &right()), told(1, &right()), finished()];
    let mut lying = honest.to_vec();
    lying.remove(3);
    let place = Place::with_guest(&honest, "exec /bin/sleep 300");
    let record = ["record", "a.o", "--kernel", "kernel", "--dialect", "7.2", "--accel", "tcg", "-o", "c"];
    place.run(&record).exits(0);
    let captures = place.path("c").join(RELEASE).join("a.o");
    assert_eq!(names_in(&captures), ["one.capture", "two.capture"]);
    let compare = [
        &["compare", "a.o", "--kernel", "kernel", "--kernel", "other", "--dialect", "7.2", "--accel", "tcg"]
            [..],
        &["--json", "out.json"],
    ]
    .concat();
    fs::copy(place.path("kernel"), place.path("other")).unwrap();
    place.run(&compare).exits(0).says("2 same");

    fs::write(place.path("words"), lying.concat()).unwrap();
    let why = "the agent gave no result for it";
    place
        .diff(&["--junit", "out.xml"])
        .done()
        .exits(2)
        .says("1 match, 0 mismatch, 1 not compared")
        .says(why)
        .complains("not every program had its turn");
    // Nor does it look like a success to those who read JUnit only.
    let junit = fs::read_to_string(place.path("out.xml")).unwrap();
    assert!(junit.contains(r#"tests="3" skipped="1" failures="0" errors="1""#), "{junit}");
    fs::remove_file(place.path("out.xml")).unwrap();
    let pair = |program: &str, status: &str| (program.to_owned(), status.to_owned());
    assert_eq!(place.statuses(), [pair("one", "match"), pair("two", "not_loadable")]);
    assert_eq!(place.json()["kernels"][0]["programs"][1]["reason"], why);
    assert_eq!(place.json()["incomplete"], "the guest did not report on every program");
    place.run(&record).exits(2).says(why).complains("the guest did not report on every program");
    let soundness = ["soundness", "a.o", "--kernel", "kernel", "--dialect", "7.2", "--accel", "tcg"];
    place
        .run(&soundness)
        .exits(2)
        .says("1 clean")
        .complains("not every program had its turn: kernel kernel: ");
    assert_eq!(names_in(&captures), ["one.capture", "two.capture"]);

    // Only the other kernel's guest is honest.
    let script = place.path("bin/qemu-system-x86_64");
    fs::write(place.path("words-of-other"), honest.concat()).unwrap();
    let [here, there] = ["words", "words-of-other"].map(|name| place.path(name).display().to_string());
    let case = format!(
        "case \"$*\" in *{}*) /bin/cat {there};; *) /bin/cat {here};; esac",
        place.path("other").display()
    );
    let changed = fs::read_to_string(&script).unwrap().replace(&format!("/bin/cat {here}"), &case);
    fs::write(&script, changed).unwrap();
    place.run(&compare).exits(2).says("1 same").says(why);
    assert_eq!(place.json()["totals"]["only_in_b"], 0, "{}", place.json());
    place.left_are_only(&["c", "other", "out.json", "words-of-other"]);
}

#[test]
fn signals_end_a_run_whatever_the_guest_does() {
    let silent = (vec![vec![]], "exec /bin/sleep 300", None);
    let words = vec![hello(), opened(&["one", "two"]), told(0, &right()), frame(3, (0u32, Some(1u32)), "")];
    let hanging = (words.clone(), "exec /bin/sleep 300", Some("match"));
    // Not QEMU itself but a script around it, whose child would be left.
    let wrapped = (words.clone(), "/bin/sleep 300 & wait", Some("match"));
    let babbling = (words.clone(), "while :; do echo words without end; done", Some("match"));
    let mut bad = words;
    bad[2] = told(0, &wrong());
    let lying = (bad, "exec /bin/sleep 300", Some("mismatch"));
    for (words, then, status) in [silent, hanging, wrapped, babbling, lying] {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let place = Place::with_guest(&words, then);
            let running = place.diff(&[]);
            running.wait_for("tmp-started");
            // What was said is to be heard.
            thread::sleep(Duration::from_millis(if status.is_some() { 700 } else { 50 }));
            running.signal(signal);
            let signalled = Instant::now();
            let done = running.done().exits(if status == Some("mismatch") { 1 } else { 2 });
            assert!(signalled.elapsed() < Duration::from_secs(10), "{:?}", signalled.elapsed());
            let done = done.complains("interrupted");
            assert_eq!(place.json()["incomplete"], "the run was interrupted", "{}", done.stderr);
            if let Some(status) = status {
                let statuses = place.statuses();
                assert_eq!(statuses[0], ("one".to_owned(), status.to_owned()), "{}", done.stdout);
                assert_eq!(statuses[1], ("two".to_owned(), "not_loadable".to_owned()));
            }
            place.left_are_only(&["out.json"]);
        }
    }
}

impl Place {
    fn pipe(&self, name: &str) {
        assert!(Command::new("mkfifo").arg(self.path(name)).status().unwrap().success());
    }
}

/// What would be waited for has no end.
#[test]
fn pipes_in_folders_are_not_looked_at() {
    let place = Place::new();
    fs::create_dir(place.path("d")).unwrap();
    place.pipe("d/a.o");
    std::os::unix::net::UnixListener::bind(place.path("d/b.o")).unwrap();
    let ignored = "(ignored: 2 files *.o, such as d/a.o: a pipe, and no file)";
    for args in [&["diff", "d"][..], &["diff", "--replay", "d"], &["soundness", "d"]] {
        place.run(args).exits(2).complains(ignored);
    }
    put_match(&place.path("d"), "one");
    place.pipe("d/0.capture");
    let ignored = "Not looked at (ignored: 3 files, such as d/0.capture: a pipe, and no file).";
    place.run(&["diff", "--replay", "d"]).exits(0).says(ignored).says("1 match");
    let compare = ["compare", "--replay", "d", "--kernel", "7.2", "--kernel", "7.2"];
    place.run(&compare).exits(0).says(ignored);
}

#[test]
fn an_object_may_come_through_a_pipe() {
    let words = [hello(), opened(&["one"]), told(0, &right()), frame(11, 0u32, "")];
    let place = Place::with_guest(&words, "exec /bin/sleep 300");
    place.pipe("pipe");
    let run = |from: PathBuf, args: &[&str]| {
        let running = place.spawn(args);
        let copied = fs::copy(from, place.path("pipe"));
        let done = running.done();
        copied.unwrap();
        done
    };
    let diff = [&["diff", "pipe"], &DIFF[2..]].concat();
    run(place.path("a.o"), &diff).exits(0).says("1 match");
    // Of captures the second reading would find nothing, or nobody.
    let capture = put_match(&place.path("captures"), "one");
    let why = "pipe: a capture in a pipe, and captures are read more than once: name a file";
    run(capture, &["diff", "--replay", "pipe"]).exits(2).complains(why);
}

#[test]
fn a_signal_ends_what_waits_for_the_other_end_of_a_pipe() {
    let place = Place::new();
    put_match(&place.path("captures"), "one");
    place.pipe("pipe");
    let wait = || thread::sleep(Duration::from_millis(700));
    let diff = [&["diff", "pipe"], &DIFF[2..]].concat();
    for args in [&diff[..], &["diff", "--replay", "pipe"], &["merge", "pipe"], &["analyze", "pipe"]] {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let running = place.spawn(args);
            wait();
            running.signal(signal);
            running.done().exits(2).complains("interrupted");
        }
    }
    // The report, when everything has been done. A signal that comes before ends the work, and another the waiting.
    let mut running = place.spawn(&["diff", "--replay", "captures", "--json", "pipe"]);
    for _ in 0..2 {
        wait();
        if running.child.try_wait().unwrap().is_none() {
            running.signal(Signal::SIGINT);
        }
    }
    running.done().exits(2).complains("interrupted");
    place.left_are_only(&["captures", "pipe"]);
}

/// Whatever it is that the first was of no use for.
#[test]
fn the_third_signal_ends_a_run_at_once() {
    let place = Place::new();
    place.pipe("pipe");
    place.program("qemu-system-x86_64", "echo 'QEMU emulator version 7.2.0'\n");
    let mut running = place.spawn(&["diff", "a.o", "--kernel", "pipe", "--dialect", "7.2"]);
    for _ in 0..2 {
        thread::sleep(Duration::from_millis(700));
        assert!(running.child.try_wait().unwrap().is_none(), "it has ended");
        running.signal(Signal::SIGINT);
    }
    thread::sleep(Duration::from_millis(300));
    assert!(running.child.try_wait().unwrap().is_none(), "it has ended");
    running.signal(Signal::SIGTERM);
    running.done().exits(2).complains("interrupted");
    place.left_are_only(&["pipe"]);
}

/// A terminal that is closed ends a run, but not one that was started with `nohup`.
#[test]
fn nohup_is_heeded() {
    let words = [hello(), opened(&["one"]), frame(3, (0u32, Some(0u32)), "")];
    for (trap, ends) in [("", true), ("trap '' HUP; ", false)] {
        let place = Place::with_guest(&words, "exec /bin/sleep 300");
        let script = format!("{trap}exec {} {}", env!("CARGO_BIN_EXE_livediff"), DIFF.join(" "));
        // The tests themselves may have been started with it.
        let mut command = place.command("/usr/bin/env");
        let command = command.args(["--default-signal=HUP", "/bin/sh", "-c", &script]).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut running = Running { child, place: &place, begun: Instant::now() };
        running.wait_for("tmp-started");
        running.signal(Signal::SIGHUP);
        if !ends {
            thread::sleep(Duration::from_secs(2));
            assert!(running.child.try_wait().unwrap().is_none(), "it has ended");
            running.signal(Signal::SIGTERM);
        }
        running.done().exits(2).complains("interrupted");
        place.left_are_only(&["out.json"]);
    }
}

/// At whatever moment the signal comes, from the first.
#[test]
fn signals_at_any_moment_leave_nothing() {
    let words = [hello(), opened(&["one"]), told(0, &right()), frame(11, 0u32, "")];
    let place = Place::with_guest(&words, "exec /bin/sleep 300");
    let whole = place.diff(&[]).done().exits(0);
    let mut seen = std::collections::BTreeSet::new();
    for step in 0..24 {
        let _ = fs::remove_file(place.path("out.json"));
        let running = place.diff(&[]);
        thread::sleep(Duration::from_millis(step * step * 3 / 2));
        let signal = if step % 2 == 0 { Signal::SIGINT } else { Signal::SIGTERM };
        // It may have ended.
        let _ = kill(Pid::from_raw(running.child.id() as i32), signal);
        let done = running.done();
        seen.insert(done.status);
        match done.status {
            // Before the first line of it ran: there was nothing to be done in good order.
            None => assert!(done.stdout.is_empty() && !place.path("out.json").exists()),
            Some(0) => assert_eq!(place.statuses().len(), 1, "{}", whole.stdout),
            Some(2) => {
                assert!(done.stderr.contains("interrupted"), "{}", done.stderr);
                if place.path("out.json").exists() {
                    assert_eq!(place.json()["incomplete"], "the run was interrupted");
                }
            }
            status => panic!("{status:?}: {}", done.stderr),
        }
        let report: &[&str] = if place.path("out.json").exists() { &["out.json"] } else { &[] };
        place.left_are_only(report);
    }
    assert!(seen.contains(&Some(2)), "{seen:?}");
}

/// What strangers made may have any length.
#[test]
fn of_a_file_without_end_the_beginning_is_read() {
    let folder = folder();
    put_match(&folder.path().join("c"), "one");
    fs::create_dir(folder.path().join("long")).unwrap();
    // A hole, which takes no place on the disk.
    for name in ["long.json", "long.o", "long/0.capture"] {
        fs::File::create(folder.path().join(name)).unwrap().set_len((256 << 20) + 1).unwrap();
    }
    let why = |name: &str| format!("{name}: longer than 268435456 bytes, the most that is read of a file");
    for (args, name) in [
        (&["merge", "long.json"][..], "long.json"),
        (&["diff", "--replay", "c", "--shard", "1/2", "--costs", "long.json"], "--costs long.json"),
        (&["diff", "--replay", "long", "--shard", "1/2"], "long/0.capture"),
        (&["diff", "long.o"], "long.o"),
        (&["analyze", "long.o"], "long.o"),
    ] {
        livediff(folder.path(), args).exits(2).complains(&why(name));
    }
}

/// By whatever name.
#[test]
fn reports_overwrite_neither_inputs_nor_each_other() {
    use std::os::unix::fs::symlink;
    let folder = folder();
    let path = folder.path();
    let capture = put_match(&path.join("c"), "one");
    let object = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/stack/access.bpf.o");
    fs::copy(object, path.join("a.o")).unwrap();
    symlink("c", path.join("folder")).unwrap();
    symlink(&capture, path.join("link")).unwrap();
    fs::hard_link(path.join("a.o"), path.join("second.o")).unwrap();
    livediff(path, &["diff", "--replay", "c", "--shard", "1/1", "--json", "part.json"]).exits(0);
    let kept = || {
        let read = |name: &Path| fs::read(path.join(name)).unwrap();
        [read(&capture), read("a.o".as_ref()), read("part.json".as_ref())]
    };
    let before = kept();
    let same = path.join("c/../part.json");
    let same = same.to_str().unwrap();
    for (args, other) in [
        (&["diff", "--replay", "c", "--json", "link"][..], "link: what is written would overwrite an input"),
        (&["diff", "a.o", "--html", "second.o"], "overwrite an input, a.o"),
        (&["diff", ".", "--html", "a.o"], "overwrite an input, ./a.o"),
        (&["compare", "--replay", "c", "--kernel", "7", "--kernel", "7", "--sarif", "link"], "an input, c/"),
        (&["compare", "--replay", "c", "c", "--sarif", "link"], "an input, c/"),
        (&["compare", "a.o", "--kernel", "7.1", "--kernel", "7.2", "--json", "./a.o"], "an input, a.o"),
        (&["analyze", "a.o", "--dialect", "7.2", "--json", "second.o"], "overwrite an input, a.o"),
        (&["soundness", "a.o", "--dialect", "7.2", "--json", "folder/../a.o"], "overwrite an input, a.o"),
        (&["merge", "part.json", "--junit", same], "overwrite an input, part.json"),
        (
            &["diff", "--replay", "c", "--json", "c/out", "--html", "folder/out"],
            "two reports cannot be written",
        ),
        (&["diff", "--replay", "c", "--json", "out", "--html", "./out"], "two reports cannot be written"),
        (&["diff", "--replay", "c", "--json", same, "--html", "part.json"], "two reports cannot be written"),
    ] {
        let done = livediff(path, args).exits(2).complains(other);
        assert!(!done.stdout.contains("match"), "{args:?}: {}", done.stdout);
        assert!(kept() == before, "{args:?}");
    }
    // What is no file keeps nothing.
    let null = ["--json", "/dev/null", "--html", "/dev/null"];
    livediff(path, &[&["diff", "--replay", "c"][..], &null].concat()).exits(0);
    livediff(path, &["diff", "--replay", "c", "--json", "c/out.json", "--html", "c/out.html"]).exits(0);
    livediff(path, &["diff", "--replay", "c", "--json", "c/out.json", "--html", "c/out.html"]).exits(0);
}

/// A discrepancy is not hidden by a report that cannot be written, nor is one report by another.
#[test]
fn reports_on_a_full_disk_are_errors() {
    let folder = folder();
    let path = folder.path();
    put_match(path, "one");
    let diff = |more: &[&str]| livediff(path, &[&["diff", "--replay", "."], more].concat());
    let full = ["--json", "/dev/full", "--junit", "out.xml"];
    diff(&full).exits(2).complains("the report cannot be written to /dev/full").complains("No space left");
    assert!(fs::read_to_string(path.join("out.xml")).unwrap().contains("tests=\"1\""));
    put(path, &capture("two", Verdict::Accepted, 0, log_of(&section().text.replace("func#1", "func#7"))));
    diff(&full).exits(1).complains("the report cannot be written to /dev/full");
    // Of an analysis likewise.
    let object = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/stack/access.bpf.o");
    let args = ["analyze", object, "--dialect", "7.2", "--html", "/dev/full", "--json", "analyzed.json"];
    livediff(path, &args).exits(2).complains("the report cannot be written to /dev/full");
    assert!(fs::read_to_string(path.join("analyzed.json")).unwrap().contains("\"version\": 1"));
    // Of a merge likewise.
    let merge = || livediff(path, &["merge", "part.json", "--json", "/dev/full"]);
    diff(&["--shard", "1/1", "--json", "part.json"]).exits(1);
    merge().exits(1).complains("the report cannot be written to /dev/full");
    diff(&["--filter", "*/one", "--shard", "1/1", "--json", "part.json"]).exits(0);
    livediff(path, &["merge", "part.json"]).exits(0);
    merge().exits(2).complains("the report cannot be written to /dev/full");
}

/// Where nobody hears the complaints, the exit status has to do.
#[test]
fn complaints_that_cannot_be_told_change_nothing() {
    let place = Place::new();
    put_match(&place.path("captures"), "one");
    fs::write(place.path("vmtest.toml"), "[[target]]\nname = \"t\"\nkernel = \"none\"\n").unwrap();
    let run = |args: &[&str]| {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = place.command(env!("CARGO_BIN_EXE_livediff"));
        let status = command.args(args).stdout(Stdio::null()).stderr(full).status().unwrap();
        status.code()
    };
    assert_eq!(run(&["diff", "--replay", "missing"]), Some(2));
    assert_eq!(run(&["diff", "--replay", "captures"]), Some(0));
    assert_eq!(run(&["diff", "a.o"]), Some(2));
    assert_eq!(run(&["compare", "--replay", "captures"]), Some(2));
    let bad = log_of(&section().text.replace("func#1", "func#7"));
    put(&place.path("captures"), &capture("two", Verdict::Accepted, 0, bad));
    fs::write(place.path("captures/cut.capture"), "livediff capture 2\n").unwrap();
    assert_eq!(run(&["diff", "--replay", "captures"]), Some(1));
}

/// A verification is stopped where its section is whole, at which moment is chance; what ended before has its verdict.
#[test]
fn a_verdict_that_is_chance_is_not_told() {
    let refused = {
        let text = right();
        let begun = &text[..text.find("subprog#1 callee:").unwrap()];
        let log = format!("{begun}liveness analysis exceeded complexity limit (10001 calls)\n");
        frame(5, (0u32, 1u32, crate::program::program(), Verdict::Rejected, 7i32, false), &log)
    };
    let words = [
        hello(),
        opened(&["one", "two"]),
        told(0, &right()),
        frame(3, (0u32, Some(1u32)), ""),
        refused,
        frame(11, 0u32, ""),
    ];
    let place = Place::with_guest(&words, "exec /bin/sleep 300");
    let verdicts = || {
        let json = place.json();
        let programs = json["kernels"][0]["programs"].as_array().unwrap().clone();
        programs.iter().map(|program| program["verdict"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    place.diff(&[]).done().exits(1);
    assert_eq!(verdicts(), ["not_run", "rejected"]);
    place.diff(&["--verdict"]).done().exits(1);
    assert_eq!(verdicts(), ["accepted", "rejected"]);
    let kernels = ["compare", "a.o", "--kernel", "kernel", "--kernel", "kernel", "--dialect", "7.2"];
    place.run(&[&kernels[..], &["--accel", "tcg", "--json", "out.json"]].concat()).exits(0);
    let programs = place.json()["programs"].clone();
    assert_eq!(programs[0]["verdicts"], serde_json::json!(["not_run", "not_run"]));
    assert_eq!(programs[1]["verdicts"], serde_json::json!(["rejected", "rejected"]));
}

/// What nobody asked for by name may be left out, and not under --strict.
#[test]
fn a_target_that_is_left_out_is_an_error_under_strict() {
    let words = [hello(), opened(&["one"]), told(0, &right()), frame(11, 0u32, "")];
    let place = Place::with_guest(&words, "exec /bin/sleep 300");
    let target = |name: &str, kernel: &str| format!("[[target]]\nname = \"{name}\"\nkernel = \"{kernel}\"\n");
    let targets = target("here", "kernel") + &target("gone", "built/gone/bzImage");
    fs::write(place.path("vmtest.toml"), targets).unwrap();
    let diff = |more: &[&str]| {
        let args = ["diff", "a.o", "--dialect", "7.2", "--accel", "tcg", "--json", "out.json"];
        place.run(&[&args[..], more].concat())
    };
    let warning =
        "warning: vmtest.toml: left out: target gone: its kernel built/gone/bzImage has not been built";
    diff(&[]).exits(0).complains(warning);
    assert!(place.json()["incomplete"].is_null());
    let why = "--strict, and vmtest.toml left out: target gone: ";
    diff(&["--strict"]).exits(2).complains(why).says("1 program: 1 match");
    assert!(place.json()["incomplete"].as_str().is_some_and(|told| told.starts_with(why)));
    diff(&["--strict", "--kernel", "target:here"]).exits(0);
    place.left_are_only(&["out.json", "vmtest.toml"]);
}

/// A kernel whose turn never came is in the reports, with nothing.
#[test]
fn kernels_without_a_turn_are_in_the_reports() {
    let words = [hello(), opened(&["one", "two"]), told(0, &right()), frame(3, (0u32, Some(1u32)), "")];
    let place = Place::with_guest(&words, "exec /bin/sleep 300");
    fs::write(place.path("other"), elf::vmlinux("7.2.100-cloud-amd64")).unwrap();
    let common = ["a.o", "--kernel", "kernel", "--kernel", "other", "--dialect", "7.2", "--accel", "tcg"];
    let interrupted = |subcommand: &str| {
        let _ = fs::remove_file(place.path("tmp-started"));
        let reports = ["--jobs", "1", "--json", "out.json", "--junit", "out.xml"];
        let running = place.spawn(&[&[subcommand][..], &common, &reports].concat());
        running.wait_for("tmp-started");
        thread::sleep(Duration::from_millis(700));
        running.signal(Signal::SIGINT);
        let done = running.done().exits(2);
        assert_eq!(place.json()["incomplete"], "the run was interrupted", "{}", done.stderr);
        done
    };
    let done = interrupted("diff").complains("interrupted: the totals are those of the part that was done");
    let json = place.json();
    assert_eq!(json["kernels"][0]["programs"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["kernels"][1]["release"], "7.2.100-cloud-amd64");
    assert_eq!(json["kernels"][1]["programs"], serde_json::json!([]));
    assert!(fs::read_to_string(place.path("out.xml")).unwrap().contains("<testsuite name=\"other\""));
    done.says("\n7.2.100-cloud-amd64  7.2*     - ");
    // What is held against nothing is not listed as if it differed.
    let done = interrupted("compare").complains("interrupted: nothing was compared");
    let json = place.json();
    assert_eq!(json["kernels"][1]["release"], "7.2.100-cloud-amd64");
    assert_eq!(json["programs"], serde_json::json!([]), "{}", done.stdout);
    place.left_are_only(&["other", "out.json", "out.xml"]);
}

#[test]
fn a_part_with_nothing_to_record_says_so() {
    let words = [hello(), opened(&["one"]), told(0, &right()), frame(11, 0u32, "")];
    let place = Place::with_guest(&words, "exec /bin/sleep 300");
    let record = |shard: &str| {
        let args =
            ["record", "a.o", "--kernel", "kernel", "--dialect", "7.2", "--accel", "tcg", "-o", "captures"];
        place.run(&[&args[..], &["--shard", shard]].concat())
    };
    record("1/2").exits(0).says("Part 1/2 of the programs").says("1 capture in captures");
    record("2/2").exits(2).complains("nothing was recorded: part 2/2 is empty");
}

#[test]
fn results_that_cannot_be_written_out_are_an_error() {
    let place = Place::new();
    put_match(&place.path("captures"), "one");
    let run = |args: &[&str]| {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = place.command(env!("CARGO_BIN_EXE_livediff")).args(args).stdout(full).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Done { status: output.status.code(), stdout: String::new(), stderr: text(&output.stderr) }
    };
    let diff = ["diff", "--replay", "captures"];
    run(&diff).exits(2).complains("could not be written out whole: No space left");
    run(&[&diff[..], &["--json", "-"]].concat()).exits(2).complains("the report cannot be written to -");
    run(&["kernel", "info", "kernel", "--dialect", "7.2"]).exits(2).complains("No space left");
    let bad = log_of(&section().text.replace("func#1", "func#7"));
    put(&place.path("captures"), &capture("two", Verdict::Accepted, 0, bad));
    run(&diff).exits(1).complains("could not be written out whole");
}

/// A reader that has seen enough (`| head`) is no error.
#[test]
fn a_reader_that_went_away_is_no_reason_to_complain() {
    let place = Place::new();
    put_match(&place.path("captures"), "one");
    for args in [&["kernel", "info", "kernel", "--dialect", "7.2"][..], &["diff", "--replay", "captures"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = place.command(env!("CARGO_BIN_EXE_livediff"));
        let output = command.args(args).stdout(writer).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
        assert!(!stderr.contains("roken pipe"), "{args:?}: {stderr}");
    }
}
