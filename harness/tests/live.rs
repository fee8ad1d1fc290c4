//! With a real kernel in QEMU: loads the corpus, kills QEMU in mid-run, dies itself.
//!
//! Needs QEMU and a kernel: the image that `LIVEDIFF_TEST_KERNEL` names, or a kernel of series 7.2 in the
//! cache. Skips, and says so, where one of them is missing; fetches nothing.
#![allow(missing_docs)]

#[path = "../../tests/support/elf.rs"]
mod elf;
#[path = "../../tests/support/kernel.rs"]
mod kernel;
#[path = "../../tests/support/skipped.rs"]
mod skipped;

use livediff_capture::Verdict;
use livediff_harness::{
    agent,
    image::Image,
    run::{self, Accel, Cancel, Event, Object, Options, Outcome, RunError},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

fn main() {
    if agent::is_guest() {
        agent::main();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return;
    }
    let Some(kernel) = kernel::kernel("every live test of the harness") else { return };
    let image = Image::open(&kernel).expect("a kernel image");
    if arguments.first().is_some_and(|argument| argument == "run-until-killed") {
        return run_until_killed(&image);
    }
    type Test = fn(&Image);
    let tests: [(&str, Test); 13] = [
        ("loads_the_corpus", loads_the_corpus),
        ("one_bad_program_does_not_spoil_the_others", one_bad_program_does_not_spoil_the_others),
        ("a_load_is_stopped_once_it_has_said_enough", a_load_is_stopped_once_it_has_said_enough),
        ("host_and_guest_prepare_alike", host_and_guest_prepare_alike),
        ("tells_what_was_loaded", tells_what_was_loaded),
        (
            "what_is_not_in_the_object_costs_only_who_needs_it",
            what_is_not_in_the_object_costs_only_who_needs_it,
        ),
        (
            "a_killed_guest_costs_nothing_that_can_be_repeated",
            a_killed_guest_costs_nothing_that_can_be_repeated,
        ),
        ("nothing_outlives_a_killed_run", nothing_outlives_a_killed_run),
        ("a_kernel_that_does_not_start_is_an_error", a_kernel_that_does_not_start_is_an_error),
        ("kernel_and_qemu_get_their_own_arguments", kernel_and_qemu_get_their_own_arguments),
        ("the_running_kernel_needs_no_guest", the_running_kernel_needs_no_guest),
        ("a_guest_whose_clock_jumps_loses_nothing", a_guest_whose_clock_jumps_loses_nothing),
        (
            "what_needs_more_memory_than_there_is_costs_itself",
            what_needs_more_memory_than_there_is_costs_itself,
        ),
    ];
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-'));
    for (name, test) in tests {
        if wanted.is_none_or(|wanted| name.contains(wanted.as_str())) {
            let begun = Instant::now();
            eprint!("live test {name} ... ");
            test(&image);
            eprintln!("ok ({:.1} s)", begun.elapsed().as_secs_f32());
        }
    }
}

/// The corpus's objects, by their path in it.
fn corpus() -> Vec<Object> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let mut objects = Vec::new();
    for theme in fs::read_dir(&root).expect("the corpus").flatten() {
        for file in fs::read_dir(theme.path()).into_iter().flatten().flatten() {
            let path = file.path();
            if path.to_string_lossy().ends_with(".bpf.o") {
                let name = path.strip_prefix(&root).expect("below the root").display().to_string();
                objects.push(Object { name, bytes: fs::read(&path).expect("an object").into(), only: None });
            }
        }
    }
    objects.sort_by(|a, b| a.name.cmp(&b.name));
    objects
}

/// Runs the objects and returns every outcome by `object/program`; checks that each program has one.
fn outcomes(image: &Image, objects: Vec<Object>, each: &mut dyn FnMut(&Event)) -> BTreeMap<String, Outcome> {
    let mut opened = BTreeSet::new();
    let mut outcomes = BTreeMap::new();
    run::run(image, objects, &Options::default(), &Cancel::new(), &mut |event| {
        each(&event);
        match event {
            Event::Opened { object, programs, .. } => {
                opened.extend(programs.into_iter().map(|program| format!("{object}/{program}")));
            }
            Event::Program { object, program, outcome } => {
                let before = outcomes.insert(format!("{object}/{program}"), outcome);
                assert!(before.is_none(), "two outcomes for {object}/{program}");
            }
            Event::NotOpened { object, outcome } => panic!("{object}: {outcome:?}"),
            Event::GuestRestarted { reason } => eprint!("({reason}) "),
            Event::Booted { .. } | Event::Unfit { .. } | Event::Traced { .. } => {}
        }
    })
    .expect("a run");
    assert_eq!(opened, outcomes.keys().cloned().collect(), "every program opened has an outcome");
    outcomes
}

fn loads_the_corpus(image: &Image) {
    let outcomes = outcomes(image, corpus(), &mut |_| {});
    let mut complete = 0;
    for (program, outcome) in &outcomes {
        let Outcome::Loaded(both) = outcome else { panic!("{program}: {outcome:?}") };
        let (loaded, said) = &**both;
        assert!(!loaded.insns.is_empty(), "{program}");
        assert!(!said.log.is_empty() && !said.truncated, "{program}");
        complete += usize::from(said.log.contains("Live regs before insn:"));
    }
    assert!(complete >= 100, "{complete} programs came as far as liveness");
}

/// Every outcome comes out the same wherever objects are prepared: what was loaded, what was said, or why it was not
/// loadable. `LIVEDIFF_TEST_OBJECTS` names a folder of other objects than the corpus and those of the tests.
fn host_and_guest_prepare_alike(image: &Image) {
    let objects = match std::env::var_os("LIVEDIFF_TEST_OBJECTS") {
        Some(folder) => objects_in(Path::new(&folder)),
        None => [corpus(), objects_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"))].concat(),
    };
    let run = |prepare_on_host: bool| {
        let (mut told, mut on_host, mut in_guest) = (BTreeMap::new(), BTreeSet::new(), 0);
        let mut unfit = Vec::new();
        let stop = run::Stop { marker: "Live regs before insn:".into(), after: Duration::ZERO };
        let options = Options { prepare_on_host, stop: Some(stop), ..Options::default() };
        run::run(image, objects.clone(), &options, &Cancel::new(), &mut |event| match event {
            Event::Program { object, program, outcome } => {
                let words = match outcome {
                    Outcome::Loaded(both) => {
                        format!("{:?} {}", both.0, without_addresses(section(&both.1.log)))
                    }
                    other => format!("{other:?}"),
                };
                assert!(told.insert(format!("{object}/{program}"), words).is_none());
            }
            Event::Opened { object, on_host: true, .. } => assert!(on_host.insert(object)),
            Event::Opened { .. } => in_guest += 1,
            Event::Unfit { object, reason } => unfit.push(format!("{object}: {reason}")),
            Event::NotOpened { object, outcome } => {
                told.insert(object, format!("{outcome:?}"));
            }
            // By chance; what it costs is seen in the time.
            Event::GuestRestarted { reason } => eprint!("({reason}) "),
            Event::Booted { .. } | Event::Traced { .. } => {}
        })
        .expect("a run");
        (told, on_host.len(), in_guest, unfit)
    };
    let (ours, on_host, in_guest, unfit) = run(true);
    let (theirs, none, all, _) = run(false);
    assert_eq!((none, all), (0, on_host + in_guest));
    let different: Vec<_> = theirs.iter().filter(|(name, words)| ours.get(*name) != Some(words)).collect();
    for (name, words) in &different {
        eprintln!(
            "{name}: on the host:\n{:.2000}\nin the guest:\n{words:.2000}",
            ours.get(*name).map_or("", |w| w)
        );
    }
    assert!(different.is_empty(), "{} of {} differ", different.len(), theirs.len());
    assert_eq!(ours.len(), theirs.len());
    // What the guest did after all shows nothing of the host.
    assert!(unfit.len() * 10 < on_host, "{unfit:#?}");
    assert!(on_host > 4 * in_guest, "{on_host} objects were prepared on the host, {in_guest} were not");
    eprint!(
        "({on_host} objects on the host, {} of them in vain, {in_guest} in the guest, {} outcomes alike) ",
        unfit.len(),
        ours.len()
    );
}

fn objects_in(folder: &Path) -> Vec<Object> {
    let files = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.filter(|file| file.to_string_lossy().ends_with(".bpf.o")).collect();
    files.sort();
    let object = |file: PathBuf| Object {
        bytes: fs::read(&file).expect("an object").into(),
        name: file.file_name().expect("a name").to_string_lossy().into_owned(),
        only: None,
    };
    files.into_iter().map(object).collect()
}

/// The log up to the end of the table of live registers; where there is none, all of it.
fn section(log: &str) -> &str {
    let Some(table) = log.find("Live regs before insn:") else { return log };
    let is_row =
        |line: &&str| line.trim_start().split_once(": ").is_some_and(|(at, _)| at.parse::<u32>().is_ok());
    let rows =
        log[table..].split_inclusive('\n').skip(1).take_while(|line| is_row(line) && !line.contains(": R"));
    let heading = log[table..].find('\n').map_or(0, |at| at + 1);
    &log[..table + heading + rows.map(str::len).sum::<usize>()]
}

/// The text with every number replaced that is as long as an address, of the kernel (16 digits) or of the process that
/// maps an arena (12).
fn without_addresses(text: &str) -> String {
    let mut parts = text.split("0x");
    let mut result = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let digits = part.chars().take_while(char::is_ascii_hexdigit).count();
        result += if digits >= 12 { "ADDRESS" } else { "0x" };
        result += if digits >= 12 { &part[digits..] } else { part };
    }
    result
}

fn tells_what_was_loaded(image: &Image) {
    let objects = corpus();
    let theme = |theme: &str| {
        let fits = |object: &&Object| object.name.starts_with(theme);
        objects.iter().filter(fits).cloned().collect::<Vec<_>>()
    };
    let loaded = |outcomes: BTreeMap<String, Outcome>| {
        let both = outcomes.into_iter().filter_map(|(program, outcome)| match outcome {
            Outcome::Loaded(both) => Some((program, both.0)),
            _ => None,
        });
        both.collect::<BTreeMap<_, _>>()
    };
    let objects = ["cfg/", "constants/", "maps/"].into_iter().flat_map(theme).collect();
    let all = loaded(outcomes(image, objects, &mut |_| {}));
    let any = |what: &str, holds: &dyn Fn(&livediff_capture::Loaded) -> bool| {
        assert!(all.values().any(holds), "no program of cfg, constants and maps has {what}");
    };
    any("a jump table", &|loaded| {
        let table = loaded.maps.iter().find_map(|map| map.insn_array.as_ref());
        table.is_some_and(|table| {
            table.len() >= 2 && table.iter().all(|at| (*at as usize) < loaded.insns.len())
        })
    });
    any("frozen read-only data", &|loaded| {
        let value = loaded.maps.iter().find(|map| map.frozen && map.rdonly_value.is_some());
        value
            .is_some_and(|map| map.rdonly_value.as_ref().map(Vec::len) == Some(map.shape.value_size as usize))
    });
    any("a map of maps", &|loaded| loaded.maps.iter().any(|map| map.inner.is_some()));
    any("two functions", &|loaded| loaded.func_info.len() >= 2);
    for (program, loaded) in &all {
        for insn in loaded.insns.iter().filter(|insn| insn.is_map_load()) {
            assert!((insn.imm as usize) < loaded.maps.len(), "{program}: {insn:?}");
        }
    }
}

fn one_bad_program_does_not_spoil_the_others(image: &Image) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults.bpf.o");
    let bytes = fs::read(path).expect("the object");
    let named = |name: &str, bytes: &[u8], only: Option<&str>| Object {
        name: name.to_string(),
        bytes: bytes.into(),
        only: only.map(|program| vec![program.to_string()]),
    };
    let objects = vec![
        named("faults", &bytes, None),
        named("alone", &bytes, Some("extension")),
        named("text", b"hello", None),
        named("empty", b"", None),
        named("cut", &bytes[..bytes.len() / 2], None),
    ];
    let (mut found, mut not_opened) = (BTreeMap::new(), Vec::new());
    run::run(image, objects, &Options::default(), &Cancel::new(), &mut |event| match event {
        Event::Program { object, program, outcome } => {
            found.insert(format!("{object}/{program}"), outcome);
        }
        Event::NotOpened { object, .. } => not_opened.push(object),
        _ => {}
    })
    .expect("a run");
    not_opened.sort();
    assert_eq!(not_opened, ["cut", "empty", "text"]);
    let told = |name: &str| match found.get(name) {
        Some(Outcome::Loaded(both)) => format!("{:?}", both.1.verdict),
        Some(Outcome::NotLoadable { reason }) => reason.clone(),
        other => panic!("{name}: {other:?}"),
    };
    let expected = [
        ("faults/uses_good_map", "Accepted"),
        ("faults/optional", "Accepted"),
        ("faults/uses_map_without_size", "Accepted"),
        ("faults/uses_map_with_bad_key", "it uses the map `bad_key`, which cannot be created"),
        ("faults/uses_map_of_no_type", "it uses the map `no_type`, which cannot be created"),
        ("faults/refused", "Rejected"),
        ("faults/extended", "Accepted"),
        ("faults/extension", "Accepted"),
        ("alone/extension", "Accepted"),
        ("faults/extension_of_nothing", "no program of this object has such a function"),
        ("faults/attaches_to_nothing", "does not say what the program attaches to"),
        ("faults/attaches_to_what_is_not_there", "the kernel has no `no_such_function`"),
        ("faults/unknown_section", "knows no program type for the section `whatever`"),
        ("faults/unknown_section_known_context", "Accepted"),
        ("faults/extension_without_target", "Accepted"),
        ("faults/uses_what_is_no_map", "Rejected"),
        ("faults/implements_nothing", "no struct_ops map of the object uses the program"),
        ("faults/says_much", "Accepted"),
    ];
    for (name, words) in expected {
        assert!(told(name).contains(words), "{name}: {}", told(name));
    }
    assert_eq!(found.len(), expected.len());
    let Some(Outcome::Loaded(both)) = found.get("faults/says_much") else { panic!("says_much is not there") };
    let said = &both.1;
    assert!(said.log.len() > 4 << 20 && !said.truncated, "{} bytes", said.log.len());
    assert!(said.log.starts_with("func#0 @0") && said.log.contains("\nprocessed "));
    let Some(Outcome::Loaded(both)) = found.get("alone/extension") else { panic!("extension is not there") };
    let attach = both.0.attach.as_ref().expect("an extension attaches");
    // BPF_PROG_TYPE_SCHED_CLS
    assert_eq!((attach.name.as_str(), attach.target_prog_type), ("replaceable", Some(3)));
}

fn a_load_is_stopped_once_it_has_said_enough(image: &Image) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults.bpf.o");
    let bytes: std::sync::Arc<[u8]> = fs::read(path).expect("the object").into();
    let run = |marker: &str, after: Duration| {
        let mut found = BTreeMap::new();
        let only = ["says_much", "refused"].map(String::from).to_vec();
        let object = Object { name: "faults".into(), bytes: bytes.clone(), only: Some(only) };
        let options =
            Options { stop: Some(run::Stop { marker: marker.into(), after }), ..Options::default() };
        run::run(image, vec![object], &options, &Cancel::new(), &mut |event| {
            if let Event::Program { program, outcome: Outcome::Loaded(both), .. } = event {
                found.insert(program, both.1);
            }
        })
        .expect("a run");
        found
    };
    let marker = "Live regs before insn:";
    let stopped = run(marker, Duration::ZERO);
    let said = &stopped["says_much"];
    assert_eq!((said.verdict, said.errno), (Verdict::NotRun, 11), "{:.200}", said.log);
    let whole = run(marker, Duration::from_secs(50));
    let log = &whole["says_much"].log;
    assert_eq!(whole["says_much"].verdict, Verdict::Accepted);
    // What is wanted is the same, whole, and little follows.
    let end = log.find(marker).expect("the table") + 1000;
    let table = log.get(..end).and_then(|text| text.rsplit_once("\n")).expect("lines").0;
    assert!(said.log.starts_with(table), "{}", said.log);
    assert!(said.log.len() < 1 << 20 && log.len() > 64 << 10);
    // A log that never has what is wanted is let run to its end.
    let unknown = run("No line of any log", Duration::ZERO);
    assert_eq!(unknown["says_much"].verdict, Verdict::Accepted);
    assert!(unknown["says_much"].log.len() > 4 << 20);
}

fn what_is_not_in_the_object_costs_only_who_needs_it(image: &Image) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/externs.bpf.o");
    let object =
        Object { name: "externs".into(), bytes: fs::read(path).expect("the object").into(), only: None };
    let mut image = image.clone();
    let mut told = |config: Option<&str>| {
        image.config = config.map(|text| text.as_bytes().into());
        let outcomes = outcomes(&image, vec![object.clone()], &mut |_| {});
        let words = |outcome: &Outcome| match outcome {
            Outcome::Loaded(both) => format!("{:?}", both.1.verdict),
            Outcome::NotLoadable { reason } => reason.clone(),
            other => panic!("{other:?}"),
        };
        outcomes.iter().map(|(name, outcome)| (name.clone(), words(outcome))).collect::<BTreeMap<_, _>>()
    };
    let without = told(None);
    assert_eq!(without.len(), 5);
    for reason in without.values() {
        assert!(reason.contains("values of the kernel's configuration"), "{reason}");
    }
    let with = told(Some("CONFIG_HZ=250\n"));
    let expected = [
        ("externs/reads_the_configuration", "Accepted"),
        ("externs/calls_nothing", "Accepted"),
        ("externs/calls_what_may_be_missing", "Accepted"),
        ("externs/calls_what_is_missing", "it calls `a_function_that_is_missing`"),
        ("externs/calls_what_is_missing_too", "it calls `no_function_either`"),
    ];
    for (name, words) in expected {
        assert!(with[name].contains(words), "{name}: {}", with[name]);
    }
    // A configuration that does not set the value is not the same as none.
    for reason in told(Some("CONFIG_X=y\n")).values() {
        assert!(reason.contains("CONFIG_HZ"), "{reason}");
    }
}

/// QEMU processes that this process or `parent` has started.
fn guests_of(parent: u32) -> Vec<u32> {
    let guests = children_of(parent).into_iter().filter(|(_, name)| name.starts_with("qemu"));
    guests.map(|(pid, _)| pid).collect()
}

/// Processes that `parent` has started, and their names.
fn children_of(parent: u32) -> Vec<(u32, String)> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let child = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = stat.rsplit_once(')')?;
        let parent_of = rest.split_whitespace().nth(1)?.parse::<u32>().ok()?;
        (parent_of == parent).then(|| (pid, name.split_once('(').map_or("", |(_, name)| name).to_owned()))
    };
    numbers.filter_map(child).collect()
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn kill(pid: u32) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "cannot kill {pid}");
}

fn a_killed_guest_costs_nothing_that_can_be_repeated(image: &Image) {
    let (mut restarts, mut results, mut killed) = (0, 0, false);
    let outcomes = outcomes(image, corpus(), &mut |event| match event {
        Event::Program { .. } => {
            results += 1;
            if results == 20 && !killed {
                killed = true;
                let guests = guests_of(std::process::id());
                assert_eq!(guests.len(), 1, "{guests:?}");
                kill(guests[0]);
            }
        }
        Event::GuestRestarted { .. } => restarts += 1,
        _ => {}
    });
    assert!(killed && restarts >= 1);
    // What was in flight is tried again and found innocent.
    let loaded = outcomes.values().filter(|outcome| matches!(outcome, Outcome::Loaded(_))).count();
    assert_eq!(loaded, outcomes.len());
    assert!(guests_of(std::process::id()).is_empty());
}

/// For the test below: a run that stops in the middle, having said so.
fn run_until_killed(image: &Image) {
    let _ = run::run(image, corpus(), &Options::default(), &Cancel::new(), &mut |event| {
        if let Event::Program { .. } = event {
            println!("running");
            let _ = std::io::stdout().flush();
            std::thread::sleep(Duration::from_secs(60));
        }
    });
}

fn nothing_outlives_a_killed_run(_: &Image) {
    let this = std::env::current_exe().expect("this program");
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(this)
        .arg("run-until-killed")
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a second run");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    assert_eq!(line, "running\n");
    assert_eq!(guests_of(child.id()).len(), 1);
    // Beside it, those that prepare objects.
    let started = children_of(child.id());
    assert!(started.len() >= 2, "{started:?}");
    child.kill().expect("killed");
    child.wait().expect("ended");
    let end = Instant::now() + Duration::from_secs(5);
    while let Some((pid, name)) = started.iter().find(|(pid, _)| is_alive(*pid)) {
        assert!(Instant::now() < end, "{pid} {name} outlives the run");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0, "temporary files are left");
}

fn a_kernel_that_does_not_start_is_an_error(image: &Image) {
    // Its set-up code is there and says nothing good.
    let mut bytes = fs::read(&image.path).expect("the kernel");
    if bytes.starts_with(b"\x7fELF") {
        return eprint!("(SKIPPED: the kernel under test is no bzImage) ");
    }
    let broken = tempfile::NamedTempFile::new().expect("a file");
    let end = bytes.len();
    bytes[end / 2..].fill(0xcc);
    fs::write(broken.path(), &bytes).expect("written");
    let error = Image::open(broken.path()).expect_err("it is damaged").to_string();
    assert!(error.contains("cannot be unpacked"), "{error}");
    // An image that can be read and cannot be booted.
    let mut unbootable = image.clone();
    unbootable.path = broken.path().to_path_buf();
    unbootable.boot_as_it_is();
    let options = Options { accel: Accel::Tcg, ..Options::default() };
    let begun = Instant::now();
    let result = run::run(&unbootable, corpus(), &options, &Cancel::new(), &mut |event| {
        assert!(matches!(event, Event::GuestRestarted { .. }), "{event:?}");
    });
    assert!(matches!(&result, Err(RunError::NoBoot { .. })), "{result:?}");
    // Once more, where it hangs without a word.
    assert!(begun.elapsed() < Duration::from_secs(140));
    assert!(guests_of(std::process::id()).is_empty());
}

fn kernel_and_qemu_get_their_own_arguments(image: &Image) {
    let given = |kernel_args: &str, qemu_args: &[&str]| Options {
        accel: Accel::Tcg,
        kernel_args: kernel_args.into(),
        qemu_args: qemu_args.iter().map(ToString::to_string).collect(),
        ..Options::default()
    };
    let text = || vec![Object { name: "text".into(), bytes: b"hello"[..].into(), only: None }];
    let started = |options: &Options| {
        let mut answered = 0;
        run::run(image, text(), options, &Cancel::new(), &mut |event| {
            answered += usize::from(matches!(event, Event::NotOpened { .. }));
        })
        .map(|()| answered)
    };
    let options = given("audit=0 nokaslr", &["-device", "virtio-rng-pci", "-name", "guest"]);
    assert_eq!(started(&options).expect("a run"), 1);
    // The kernel sees them: without its first process it panics. So does QEMU.
    for (options, words) in [
        (given("rdinit=/there/is/none", &[]), "with the arguments `rdinit=/there/is/none` of its own"),
        (given("", &["-device", "no-such-device"]), "'no-such-device' is not a valid device model name"),
    ] {
        let error = started(&options).expect_err("it cannot start").to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// Nothing is loaded into the machine's own kernel here: what is sent is no object.
fn the_running_kernel_needs_no_guest(_: &Image) {
    let image = match Image::running(&[]) {
        Ok(image) => image,
        Err(error) => return eprint!("(SKIPPED: {error}) "),
    };
    let objects =
        ["one", "two"].map(|name| Object { name: name.into(), bytes: b"hello"[..].into(), only: None });
    let (mut booted, mut not_opened, mut restarts) = (None, Vec::new(), 0);
    run::run(&image, objects.to_vec(), &Options::default(), &Cancel::new(), &mut |event| match event {
        Event::Booted { release, accel } => {
            booted = Some((release, accel));
            // An agent that dies is replaced, as a guest is.
            let agents = children_of(std::process::id());
            assert_eq!(agents.len(), 1, "{agents:?}");
            kill(agents[0].0);
        }
        Event::NotOpened { object, outcome } => not_opened.push((object, outcome)),
        Event::GuestRestarted { .. } => restarts += 1,
        other => panic!("{other:?}"),
    })
    .expect("a run");
    not_opened.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert_eq!(booted, Some((image.release, Accel::Native)));
    assert_eq!(restarts, 1);
    let names: Vec<&str> = not_opened.iter().map(|(object, _)| object.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    let refused = |outcome: &Outcome| matches!(outcome, Outcome::NotLoadable { .. });
    assert!(not_opened.iter().all(|(_, outcome)| refused(outcome)), "{not_opened:?}");
    assert!(children_of(std::process::id()).is_empty());
}

/// Its calendar before and after what 32 bits hold, and time that goes by while it stands still.
fn a_guest_whose_clock_jumps_loses_nothing(image: &Image) {
    let objects = || corpus().into_iter().filter(|object| object.name.starts_with("stack/")).collect();
    for base in ["1970-01-01T00:00:00", "2038-01-19T03:14:06"] {
        let options = Options {
            qemu_args: vec!["-rtc".into(), format!("base={base}")],
            stop: Some(run::Stop { marker: "Live regs before insn:".into(), after: Duration::ZERO }),
            timeout: Duration::from_secs(3),
            ..Options::default()
        };
        let (mut loaded, mut stopped) = (0, base.starts_with("1970"));
        run::run(image, objects(), &options, &Cancel::new(), &mut |event| match event {
            Event::Program { program, outcome, .. } => {
                let Outcome::Loaded(both) = outcome else { panic!("{program}: {outcome:?}") };
                assert!(both.1.log.contains("Live regs before insn:"), "{program}");
                loaded += 1;
                if !std::mem::replace(&mut stopped, true) {
                    // Longer than a program may take.
                    let guest = guests_of(std::process::id())[0].to_string();
                    for (signal, time) in [("-STOP", 4), ("-CONT", 0)] {
                        assert!(
                            Command::new("kill").args([signal, &guest]).status().is_ok_and(|s| s.success())
                        );
                        std::thread::sleep(Duration::from_secs(time));
                    }
                }
            }
            // An emulated guest may die while it boots, whatever its clock says: then nothing is in flight.
            Event::GuestRestarted { reason } => assert!(!reason.contains("in flight"), "{reason}"),
            _ => {}
        })
        .expect("a run");
        assert!(loaded >= 10, "{loaded} programs");
    }
}

fn what_needs_more_memory_than_there_is_costs_itself(image: &Image) {
    let wanted =
        |object: &Object| ["stack/", "spills/", "cfg/"].iter().any(|theme| object.name.starts_with(theme));
    let mut objects: Vec<Object> = corpus().into_iter().filter(wanted).collect();
    assert!(objects.len() >= 3);
    let mut large = elf::Elf::new(elf::BPF);
    let program = large.section("socket", elf::EXECUTABLE, vec![0x95, 0, 0, 0, 0, 0, 0, 0]);
    large.function("program", program, 0, 8);
    // More than the guest has.
    large.section(".junk", 0, vec![0; 220 << 20]);
    objects.push(Object { name: "large".into(), bytes: large.bytes().into(), only: None });
    let options = Options { memory_mib: 256, vcpus: 1, prepare_on_host: false, ..Options::default() };
    let (mut loaded, mut outcomes, mut restarts) = (0, Vec::new(), 0);
    run::run(image, objects, &options, &Cancel::new(), &mut |event| match event {
        Event::Program { outcome: Outcome::Loaded(_), .. } => loaded += 1,
        Event::NotOpened { object, outcome } => outcomes.push((object, outcome)),
        Event::Program { program, outcome, .. } => panic!("{program}: {outcome:?}"),
        Event::GuestRestarted { reason } => {
            eprint!("({reason}) ");
            restarts += 1;
        }
        _ => {}
    })
    .expect("a run");
    assert!(loaded >= 20 && restarts >= 1, "{loaded} programs, {restarts} restarts");
    let [(object, outcome)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert_eq!(object, "large");
    // There is no memory to open it, or none to receive it.
    assert!(matches!(outcome, Outcome::Crashed { .. } | Outcome::NotLoadable { .. } | Outcome::Lost { .. }));
    assert!(guests_of(std::process::id()).is_empty());
}
