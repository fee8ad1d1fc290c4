//! The account, with agents that are threads of the test and die, hang or lie where they are told to.

use super::{
    boot::RELEASE_LIMIT,
    session::{Begun, TRACE_LIMIT, WORDS_LIMIT},
    share::Share,
    *,
};
use crate::{
    protocol::{self, FromGuest, Plan, PlannedProgram, ToGuest, VERSION},
    run::{
        OneBatch,
        preparers::{Preparation, Request},
        vm::Usage,
    },
};
use livediff_capture::{Loaded, Map, Verdict};
use std::{
    collections::BTreeMap,
    io::Write,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// What the agent does when it comes to a program, or (by the object's name) to opening an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Die,
    /// The first time only, in whichever guest.
    DieOnce,
    Hang,
    HangOnce,
    Forget,
    /// At length.
    Explain,
    Babble,
    /// What the host has prepared does not do.
    Refuse,
    /// Begins a message that tells of a result, and is gone.
    CutShort,
    /// Announces a message of 4 GiB.
    Announce,
    /// Tells for ever what nobody asked for, and that it begins.
    TellEndlessly,
    /// Tells it faster than it can be heard, in large messages.
    Flood,
}

type Faults = BTreeMap<&'static str, Does>;

/// Two objects with three programs each, named `a0` to `a2` and `b0` to `b2`.
fn objects() -> Vec<Object> {
    ["a", "b"].map(|name| Object { name: name.into(), bytes: [0; 200].into(), only: None }).to_vec()
}

/// An agent that has everything of an object in flight at once.
fn serve(mut port: UnixStream, faults: &Faults, once: &AtomicBool) -> std::io::Result<()> {
    let first = || !once.swap(true, Ordering::Relaxed);
    let hello = FromGuest::Hello { version: VERSION, release: "7.2-test".into() };
    protocol::write(&mut port, &hello, &[])?;
    protocol::read::<ToGuest>(&mut port)?;
    loop {
        let (message, payload) = protocol::read::<ToGuest>(&mut port)?;
        let mut send = |message: &FromGuest| protocol::write(&mut port, message, &[]);
        let (object, name, only, skip) = match message {
            ToGuest::Object { id, name, only, skip, .. } => (id, name, only, skip),
            ToGuest::Prepared { id, skip } => {
                serve_prepared(&mut port, id, &skip, &payload, faults)?;
                continue;
            }
            ToGuest::Symbols => {
                protocol::write(&mut port, &FromGuest::Symbols, b"0 T a_symbol")?;
                continue;
            }
            ToGuest::Hello { .. } => return Ok(()),
        };
        let hang = || std::thread::sleep(Duration::from_secs(3));
        send(&FromGuest::Starting { object, program: None })?;
        match faults.get(name.as_str()) {
            Some(Does::Die) => return Ok(()),
            Some(Does::DieOnce) if first() => return Ok(()),
            Some(Does::Hang) => hang(),
            Some(Does::HangOnce) if first() => hang(),
            _ => {}
        }
        let programs: Vec<String> = (0..3).map(|number| format!("{name}{number}")).collect();
        send(&FromGuest::Opened { object, programs: programs.clone() })?;
        send(&FromGuest::Prepared { object })?;
        let wanted = |(number, name): &(u32, String)| {
            !skip.contains(number) && only.as_ref().is_none_or(|only| only.contains(name))
        };
        let wanted: Vec<(u32, String)> = (0..).zip(programs).filter(wanted).collect();
        for (number, _) in &wanted {
            send(&FromGuest::Starting { object, program: Some(*number) })?;
        }
        for (program, name) in wanted {
            match faults.get(name.as_str()) {
                Some(Does::Die) => return Ok(()),
                Some(Does::DieOnce) if first() => return Ok(()),
                Some(Does::Hang) => hang(),
                Some(Does::HangOnce) if first() => hang(),
                Some(Does::Forget) => continue,
                Some(Does::Explain) => {
                    let reason = "ä".repeat(1 << 20);
                    protocol::write(&mut port, &FromGuest::NotLoadable { object, program, reason }, &[])?;
                    continue;
                }
                Some(Does::Babble) => return port.write_all(&[0xff; 64]),
                Some(Does::CutShort) => {
                    let mut frame = Vec::new();
                    let (loaded, verdict) = (Box::<Loaded>::default(), Verdict::Accepted);
                    let (errno, truncated) = (0, false);
                    let message = FromGuest::Loaded { object, program, loaded, verdict, errno, truncated };
                    protocol::write(&mut frame, &message, b"log")?;
                    return port.write_all(&frame[..frame.len() - 2]);
                }
                Some(Does::Announce) => {
                    port.write_all(&[0xff; 8])?;
                    loop {
                        port.write_all(&[0; 4096])?;
                    }
                }
                Some(Does::TellEndlessly) => loop {
                    let other = FromGuest::Starting { object, program: Some(1_000_000) };
                    for message in [FromGuest::Starting { object, program: Some(program) }, other] {
                        protocol::write(&mut port, &message, &[])?;
                    }
                    protocol::write(&mut port, &FromGuest::Prepared { object }, &[])?;
                    std::thread::sleep(Duration::from_millis(1));
                },
                Some(Does::Flood) => loop {
                    let (object, reason) = (99, "x".repeat(1 << 20));
                    protocol::write(&mut port, &FromGuest::NotOpened { object, reason }, &[0; 1 << 20])?;
                },
                Some(Does::DieOnce | Does::HangOnce | Does::Refuse) | None => {}
            }
            let loaded = Box::<Loaded>::default();
            let (verdict, errno, truncated) = (Verdict::Accepted, 0, false);
            let mut send = |message: &FromGuest| protocol::write(&mut port, message, b"log");
            // Results that nobody asked for are passed over, and the second of two does not count.
            send(&FromGuest::NotLoadable { object: 99, program, reason: String::new() })?;
            send(&FromGuest::NotLoadable { object, program: 99, reason: String::new() })?;
            send(&FromGuest::Loaded { object, program, loaded, verdict, errno, truncated })?;
            send(&FromGuest::NotLoadable { object, program, reason: "again".into() })?;
        }
        let mut send = |message: &FromGuest| protocol::write(&mut port, message, &[]);
        send(&FromGuest::Finished { object })?;
    }
}

/// What the agent does with an object that the host has prepared; its name is the payload.
fn serve_prepared(
    port: &mut UnixStream,
    object: u32,
    skip: &[u32],
    name: &[u8],
    faults: &Faults,
) -> std::io::Result<()> {
    let name = String::from_utf8_lossy(name).into_owned();
    let mut send = |message: &FromGuest| protocol::write(port, message, b"log");
    send(&FromGuest::Starting { object, program: None })?;
    if faults.get(name.as_str()) == Some(&Does::Refuse) {
        return send(&FromGuest::Unfit { object, reason: "it does not fit".into() });
    }
    let map = Map { name: "a map".into(), ..Map::default() };
    send(&FromGuest::Maps { object, maps: vec![vec![Map::default(), map]] })?;
    send(&FromGuest::Prepared { object })?;
    for program in (0..2).filter(|program| !skip.contains(program)) {
        send(&FromGuest::Starting { object, program: Some(program) })?;
        if faults.get(format!("{name}{program}").as_str()) == Some(&Does::Die) {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        let (verdict, errno, truncated) = (Verdict::NotRun, 11, false);
        // The second of two does not count, and neither does one that nobody asked for.
        for program in [program, program, 77] {
            send(&FromGuest::Answered { object, program, verdict, errno, truncated })?;
        }
    }
    send(&FromGuest::Finished { object })
}

/// Guests whose agents have these faults.
fn guests(faults: &Faults) -> Start<'static> {
    let (faults, once) = (faults.clone(), Arc::new(AtomicBool::new(false)));
    Box::new(move |_| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (faults, once) = (faults.clone(), Arc::clone(&once));
        std::thread::spawn(move || serve(theirs, &faults, &once));
        Ok(Vm::over(ours).unwrap())
    })
}

/// `a` and `b` are prepared on the host, the last program of each not; of others the host knows nothing.
fn prepare(request: &Request) -> Preparation {
    match (request.name.as_str(), &request.symbols) {
        ("b", None) => Preparation::WantsSymbols,
        (name @ ("a" | "b"), symbols) => {
            let program =
                |number| PlannedProgram { number, loaded: Loaded::default(), maps: vec![1], part: 0 };
            let plan = Plan {
                names: (0..3).map(|number| format!("{name}{number}")).collect(),
                programs: (0..2).map(program).collect(),
                not_loadable: vec![(2, "the host says so".into())],
                symbols: symbols.is_some(),
            };
            Preparation::Host { plan, parts: name.as_bytes().into() }
        }
        _ => Preparation::Guest,
    }
}

#[test]
fn what_the_host_has_prepared_is_not_prepared_in_the_guest() {
    let [a, b] = objects().try_into().unwrap();
    let objects = || vec![a.clone(), b.clone(), Object { name: "c".into(), ..a.clone() }];
    let run = |faults: &[(&'static str, Does)]| {
        let report = run_prepared(objects(), &faults.iter().copied().collect(), Some(prepare));
        assert!(report.error.is_none(), "{:?}", report.error);
        report
    };
    let report = run(&[]);
    assert_eq!(outcomes(&report), "a0H a1H a2N b0H b1H b2N c0L c1L c2L ");
    assert!(report.restarts.is_empty());
    // The guest's kernel does not like it: the guest prepares it, and what is settled stays so.
    let refused = run(&[("a", Does::Refuse)]);
    assert_eq!(outcomes(&refused), "a0L a1L a2N b0H b1H b2N c0L c1L c2L ");
    assert_eq!(refused.unfit, ["a"]);
    // A program that kills the guest is tried again as the guest prepares it, and so is what needs the symbols of the
    // guest that died.
    let report = run(&[("a1", Does::Die)]);
    let told = outcomes(&report);
    // Whether the host comes to prepare `b` depends on whether the guest tells the symbols before it dies.
    assert!(told.starts_with("a0H a1C a2N b0") && told.ends_with(" c0L c1L c2L "), "{told}");
    assert!(report.restarts.len() >= 2);
}

#[derive(Default)]
struct Report {
    error: Option<RunError>,
    /// Outcome by program, in one letter: loaded (here, or prepared by the host), not loadable, crashed, timeout, unknown.
    /// One letter per outcome.
    programs: BTreeMap<String, String>,
    /// The same of objects that were not opened.
    not_opened: Vec<String>,
    /// Objects for which the host had prepared in vain.
    unfit: Vec<String>,
    /// The reasons.
    restarts: Vec<String>,
}

fn letter(outcome: &Outcome) -> char {
    match outcome {
        // Only of what the host has prepared does this agent tell a map.
        Outcome::Loaded(both) if both.0.maps.iter().any(|map| map.name == "a map") => 'H',
        Outcome::Loaded(_) => 'L',
        Outcome::NotLoadable { reason } => {
            assert!(reason.len() <= WORDS_LIMIT && !reason.is_empty());
            'N'
        }
        Outcome::Crashed { .. } => 'C',
        Outcome::Timeout { .. } => 'T',
        Outcome::Lost { .. } => 'U',
    }
}

fn run_with(objects: Vec<Object>, faults: &Faults) -> Report {
    run_prepared(objects, faults, None)
}

/// With somebody who prepares objects on the host.
fn run_prepared(
    objects: Vec<Object>,
    faults: &Faults,
    prepare: Option<fn(&Request) -> Preparation>,
) -> Report {
    let image = Image::for_tests();
    let options = Options { accel: Accel::Tcg, timeout: Duration::from_millis(300), ..Options::default() };
    let mut report = Report::default();
    let Report { programs, not_opened, unfit, restarts, .. } = &mut report;
    let mut sink = |event| match event {
        Event::Program { program, outcome, .. } => {
            programs.entry(program).or_default().push(letter(&outcome));
        }
        Event::NotOpened { object, outcome } => not_opened.push(format!("{object}{}", letter(&outcome))),
        Event::GuestRestarted { reason } => restarts.push(reason),
        Event::Unfit { object, .. } => unfit.push(object),
        Event::Booted { .. } | Event::Opened { .. } | Event::Traced { .. } => {}
    };
    let cancel = Cancel::new();
    let mut work = OneBatch { objects, sink: &mut sink };
    let mut supervisor = Supervisor::with_start(guests(faults), &image, &options, &cancel, &mut work);
    supervisor.preparers = prepare.map(Preparers::for_tests);
    report.error = supervisor.run().err();
    report
}

fn run(faults: &[(&'static str, Does)]) -> Report {
    let report = run_with(objects(), &faults.iter().copied().collect());
    assert!(report.error.is_none(), "{:?}", report.error);
    report
}

fn outcomes(report: &Report) -> String {
    report.programs.iter().map(|(program, letters)| format!("{program}{letters} ")).collect()
}

#[test]
fn every_program_gets_its_result() {
    let report = run(&[]);
    assert_eq!(outcomes(&report), "a0L a1L a2L b0L b1L b2L ");
    assert!(report.restarts.is_empty(), "{:?}", report.restarts);
}

#[test]
fn a_program_that_kills_the_guest_costs_itself_only() {
    let report = run(&[("a1", Does::Die)]);
    assert_eq!(outcomes(&report), "a0L a1C a2L b0L b1L b2L ");
    let reasons = report.restarts.join("\n");
    assert!(reasons.contains("the guest died, with a/a1, a/a2 in flight"), "{reasons}");
    assert!(reasons.contains("the guest died, again with a/a1 alone in flight"), "{reasons}");
}

#[test]
fn a_guest_that_dies_by_chance_costs_nothing() {
    // With one program in flight, with several, and at an object's opening.
    for fault in ["b2", "a0", "b"] {
        let report = run(&[(fault, Does::DieOnce)]);
        assert_eq!(outcomes(&report), "a0L a1L a2L b0L b1L b2L ", "{fault}");
        assert!(report.not_opened.is_empty(), "{fault}");
        assert_eq!(report.restarts.len(), 1, "{:?}", report.restarts);
        assert!(report.restarts[0].contains("trying again, each alone"), "{:?}", report.restarts);
    }
}

#[test]
fn a_guest_that_hangs_by_chance_costs_nothing() {
    for fault in ["b2", "a1", "a"] {
        let report = run(&[(fault, Does::HangOnce)]);
        assert_eq!(outcomes(&report), "a0L a1L a2L b0L b1L b2L ", "{fault}");
        assert!(report.not_opened.is_empty(), "{fault}");
        assert!(report.restarts[0].starts_with("no result within 0.3 s, with "), "{:?}", report.restarts);
    }
}

#[test]
fn several_that_kill_it_are_told_apart() {
    let report = run(&[("a0", Does::Die), ("a2", Does::Die), ("b1", Does::Die)]);
    assert_eq!(outcomes(&report), "a0C a1L a2C b0L b1C b2L ");
}

#[test]
fn the_last_program_may_be_the_one() {
    assert_eq!(outcomes(&run(&[("b2", Does::Die)])), "a0L a1L a2L b0L b1L b2C ");
}

#[test]
fn an_object_that_kills_the_guest_when_it_is_opened_costs_itself_only() {
    let report = run(&[("a", Does::Die)]);
    assert_eq!(outcomes(&report), "b0L b1L b2L ");
    assert_eq!(report.not_opened, ["aC"]);
}

#[test]
fn what_hangs_is_late() {
    let report = run(&[("b2", Does::Hang)]);
    assert_eq!(outcomes(&report), "a0L a1L a2L b0L b1L b2T ");
    // The agent of this test does one after the other, so what waits behind the hanging one is late too; but it
    // is not when it is tried alone.
    let report = run(&[("a0", Does::Hang), ("b1", Does::Die)]);
    assert_eq!(outcomes(&report), "a0T a1L a2L b0L b1C b2L ");
    assert_eq!(run(&[("b", Does::Hang)]).not_opened, ["bT"]);
}

#[test]
fn of_a_program_without_a_result_nothing_is_known() {
    assert_eq!(outcomes(&run(&[("a1", Does::Forget)])), "a0L a1U a2L b0L b1L b2L ");
}

#[test]
fn a_reason_is_kept_up_to_a_length() {
    assert_eq!(outcomes(&run(&[("a1", Does::Explain)])), "a0L a1N a2L b0L b1L b2L ");
}

#[test]
fn an_agent_that_talks_nonsense_is_as_good_as_dead() {
    assert_eq!(outcomes(&run(&[("b0", Does::Babble)])), "a0L a1L a2L b0C b1L b2L ");
}

#[test]
fn a_port_that_closes_in_the_middle_of_a_message_costs_that_program_only() {
    assert_eq!(outcomes(&run(&[("b0", Does::CutShort)])), "a0L a1L a2L b0C b1L b2L ");
    assert_eq!(outcomes(&run(&[("a2", Does::Announce)])), "a0L a1L a2C b0L b1L b2L ");
}

#[test]
fn a_guest_that_never_stops_talking_is_late_all_the_same() {
    assert_eq!(outcomes(&run(&[("b0", Does::TellEndlessly)])), "a0L a1L a2L b0T b1L b2L ");
    assert_eq!(outcomes(&run(&[("b1", Does::Flood)])), "a0L a1L a2L b0L b1T b2L ");
}

/// Talking of nothing that is asked for is silence.
#[test]
fn a_guest_that_says_nothing_of_use_is_given_up() {
    let image = Image::for_tests();
    let start: Start<'_> = Box::new(|_| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || -> std::io::Result<()> {
            loop {
                let hello = FromGuest::Hello { version: VERSION, release: "7.2-test".repeat(1000) };
                protocol::write(&mut theirs, &hello, &[])?;
                let programs = vec![String::new(); 100];
                protocol::write(&mut theirs, &FromGuest::Opened { object: 0, programs }, &[])?;
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Ok(Vm::over(ours).unwrap())
    });
    let (mut programs, mut restarts) = (Vec::new(), Vec::new());
    let mut sink = |event| match event {
        Event::NotOpened { object, outcome } => programs.push(format!("{object}{}", letter(&outcome))),
        Event::Booted { release, .. } => assert_eq!(release.len(), RELEASE_LIMIT),
        Event::GuestRestarted { reason } => restarts.push(reason),
        other => panic!("{other:?}"),
    };
    let (options, cancel) = (Options { accel: Accel::Tcg, ..Options::default() }, Cancel::new());
    let mut work = OneBatch { objects: objects(), sink: &mut sink };
    let mut supervisor = Supervisor::with_start(start, &image, &options, &cancel, &mut work);
    supervisor.silence = Duration::from_millis(200);
    supervisor.run().unwrap();
    programs.sort();
    assert_eq!(programs, ["aU", "bU"]);
    assert!(restarts.iter().all(|reason| reason.starts_with("the guest has gone silent")), "{restarts:?}");
}

/// One object with the programs `p0` and `p1`, of which the agent tells with `tell` when both are in flight.
fn run_traced(
    trace: bool,
    tell: fn(&mut UnixStream) -> std::io::Result<()>,
) -> (Result<(), RunError>, Vec<String>) {
    let image = Image::for_tests();
    let start: Start<'_> = Box::new(move |_| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || -> std::io::Result<()> {
            let hello = FromGuest::Hello { version: VERSION, release: "7.2-test".into() };
            protocol::write(&mut theirs, &hello, &[])?;
            let (ToGuest::Hello { trace: asked, .. }, _) = protocol::read::<ToGuest>(&mut theirs)? else {
                return Ok(());
            };
            assert_eq!(asked, trace);
            protocol::read::<ToGuest>(&mut theirs)?;
            let programs = vec!["p0".to_string(), "p1".to_string()];
            protocol::write(&mut theirs, &FromGuest::Opened { object: 0, programs }, &[])?;
            for program in 0..2 {
                protocol::write(
                    &mut theirs,
                    &FromGuest::Starting { object: 0, program: Some(program) },
                    &[],
                )?;
            }
            tell(&mut theirs)?;
            protocol::write(&mut theirs, &FromGuest::Finished { object: 0 }, &[])?;
            std::thread::sleep(Duration::from_secs(3));
            Ok(())
        });
        Ok(Vm::over(ours).unwrap())
    });
    let mut events = Vec::new();
    let mut sink = |event| match event {
        Event::Traced { program, records, .. } => {
            events.push(format!("{program} {} {:?}", records.hooks.lost, records.bytes));
        }
        Event::Program { program, outcome, .. } => {
            let outcome = if matches!(outcome, Outcome::Loaded(_)) { "loaded" } else { "not loadable" };
            events.push(format!("{program} {outcome}"));
        }
        _ => {}
    };
    let options = Options { accel: Accel::Tcg, vcpus: 1, trace, ..Options::default() };
    let cancel = Cancel::new();
    let mut work = OneBatch { objects: objects().into_iter().take(1).collect(), sink: &mut sink };
    let result = Supervisor::with_start(start, &image, &options, &cancel, &mut work).run();
    (result, events)
}

fn traced(port: &mut UnixStream, object: u32, program: u32, lost: u64, bytes: &[u8]) -> std::io::Result<()> {
    let hooks = livediff_capture::trace::Hooks { lost, ..Default::default() };
    protocol::write(port, &FromGuest::Traced { object, program, hooks }, bytes)
}

fn loaded_program(port: &mut UnixStream, program: u32) -> std::io::Result<()> {
    let (loaded, verdict) = (Box::<Loaded>::default(), Verdict::Accepted);
    let message = FromGuest::Loaded { object: 0, program, loaded, verdict, errno: 0, truncated: false };
    protocol::write(port, &message, b"log")
}

#[test]
fn what_was_traced_comes_right_before_its_program_and_is_no_others() {
    let tell = |port: &mut UnixStream| {
        // Of nobody, of one in flight twice, then its result, and once more.
        traced(port, 0, 7, 1, b"x")?;
        traced(port, 9, 0, 1, b"x")?;
        traced(port, 0, 1, 1, b"first")?;
        traced(port, 0, 1, 2, &[3])?;
        loaded_program(port, 1)?;
        traced(port, 0, 1, 3, b"late")?;
        loaded_program(port, 1)?;
        loaded_program(port, 0)
    };
    let (result, events) = run_traced(true, tell);
    result.unwrap();
    assert_eq!(events, ["p1 2 [3]", "p1 loaded", "p0 loaded"]);
    // Nobody asked for it.
    let (result, events) = run_traced(false, tell);
    result.unwrap();
    assert_eq!(events, ["p1 loaded", "p0 loaded"]);
}

#[test]
fn a_guest_cannot_fill_the_host_with_what_it_traced() {
    let tell = |port: &mut UnixStream| {
        // Of as many programs as are loaded at a time, and no more than there is room for.
        traced(port, 0, 0, 1, &[1])?;
        traced(port, 0, 1, 2, &[2])?;
        loaded_program(port, 1)?;
        traced(port, 0, 0, 3, &vec![3; TRACE_LIMIT + 1])?;
        loaded_program(port, 0)
    };
    let (result, events) = run_traced(true, tell);
    result.unwrap();
    assert_eq!(events, ["p1 loaded", "p0 loaded"]);
    let tell = |port: &mut UnixStream| {
        traced(port, 0, 0, 1, &[1])?;
        // The trace of a program that is not loaded takes no other's room.
        let reason = "no".to_string();
        protocol::write(port, &FromGuest::NotLoadable { object: 0, program: 0, reason }, &[])?;
        traced(port, 0, 1, 2, &[2])?;
        loaded_program(port, 1)
    };
    let (result, events) = run_traced(true, tell);
    result.unwrap();
    assert_eq!(events, ["p0 not loadable", "p1 2 [2]", "p1 loaded"]);
}

#[test]
fn a_kernel_that_cannot_be_traced_ends_the_run() {
    let tell = |port: &mut UnixStream| {
        let reason = "no BTF of bpf_stack_slot_alive".to_string();
        protocol::write(port, &FromGuest::NoTrace { reason }, &[])?;
        loaded_program(port, 0)
    };
    let (result, events) = run_traced(true, tell);
    let message = result.unwrap_err().to_string();
    assert!(message.contains("7.2-test") && message.contains("no BTF of bpf_stack_slot_alive"), "{message}");
    assert!(message.contains("CONFIG_FUNCTION_TRACER"), "{message}");
    assert!(events.is_empty(), "{events:?}");
    // Said by one that was not asked, it means nothing.
    assert_eq!(run_traced(false, tell).1, ["p0 loaded", "p1 not loadable"]);
}

#[test]
fn only_the_programs_wanted_are_reported() {
    let mut objects = objects();
    objects[0].only = Some(vec!["a1".into(), "no_such_program".into()]);
    objects[1].only = Some(Vec::new());
    let report = run_with(objects, &Faults::new());
    assert_eq!(outcomes(&report), "a1L ");
}

#[test]
fn a_guest_that_gets_no_processor_is_given_time() {
    let given = |used| {
        let (mut share, used) = (Share::default(), Duration::from_secs(used));
        share.note(Instant::now(), Some(Usage { used, waited: None, is_stopped: false }), 1);
        share.given()
    };
    let begun = Begun { at: Instant::now(), given: given(7) };
    let limit = Duration::from_secs(60);
    assert!(!begun.had_its_share(given(51), limit));
    assert!(begun.had_its_share(given(52), limit));
    // Where it is not known, the time of the clock counts.
    assert!(begun.had_its_share(None, limit));
}

/// A guest that hangs idle uses as little of the processors as one whose host is busy. It has no more time for that.
#[test]
fn a_guest_that_hangs_idle_is_late_in_time() {
    if !std::path::Path::new("/proc/thread-self/schedstat").exists() {
        eprintln!("SKIPPED: the kernel does not tell how long a process waits for a processor");
        return;
    }
    let image = Image::for_tests();
    let start: Start<'_> = Box::new(|_| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || -> std::io::Result<()> {
            let hello = FromGuest::Hello { version: VERSION, release: "7.2-test".into() };
            protocol::write(&mut theirs, &hello, &[])?;
            protocol::read::<ToGuest>(&mut theirs)?;
            protocol::read::<ToGuest>(&mut theirs)?;
            protocol::write(&mut theirs, &FromGuest::Starting { object: 0, program: None }, &[])?;
            // Until the port is closed.
            protocol::read::<ToGuest>(&mut theirs).map(drop)
        });
        let idle = std::process::Command::new("sleep").arg("300").spawn().unwrap();
        Ok(Vm::over_beside(ours, idle).unwrap())
    });
    let mut restarts = Vec::new();
    let mut sink = |event| {
        if let Event::GuestRestarted { reason } = event {
            restarts.push(reason);
        }
    };
    let timeout = Duration::from_secs(4);
    let (options, cancel) = (Options { accel: Accel::Tcg, timeout, ..Options::default() }, Cancel::new());
    let mut work = OneBatch { objects: objects().into_iter().take(1).collect(), sink: &mut sink };
    let begun = Instant::now();
    Supervisor::with_start(start, &image, &options, &cancel, &mut work).run().unwrap();
    // Twice, and a busy host would have had five times as much.
    assert!(begun.elapsed() < timeout * 4, "{:?}", begun.elapsed());
    assert!(restarts[0].starts_with("no result within 4 s, with a in flight"), "{restarts:?}");
}

#[test]
fn the_console_tells_what_ended_a_guest() {
    let console = "[    3.1] BUG: unable to handle page fault\n[    3.2] Kernel panic - not syncing: Fatal\n";
    assert_eq!(cause(console), Some("BUG: unable to handle page fault"));
    assert_eq!(cause("livediff agent: out of files\n[ 1.0] x"), Some("livediff agent: out of files"));
    assert_eq!(cause("nothing of interest\n"), None);
}

#[test]
fn guests_that_die_of_nothing_are_given_up_and_every_program_reported() {
    let image = Image::for_tests();
    let (mut programs, mut last) = (Vec::new(), None);
    let mut sink = |event| match event {
        Event::NotOpened { object, outcome } => {
            programs.push(format!("{object}{}", letter(&outcome)));
            last = Some(outcome);
        }
        Event::Booted { .. } | Event::GuestRestarted { .. } => {}
        other => panic!("{other:?}"),
    };
    let start: Start<'_> = Box::new(|_| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            let hello = FromGuest::Hello { version: VERSION, release: "7.2-test".into() };
            protocol::write(&mut theirs, &hello, &[]).unwrap();
        });
        Ok(Vm::over(ours).unwrap())
    });
    let (options, cancel) = (Options { accel: Accel::Tcg, ..Options::default() }, Cancel::new());
    let more = ["c", "d"].map(|name| Object { name: name.into(), ..objects()[0].clone() });
    let mut work = OneBatch { objects: [objects(), more.to_vec()].concat(), sink: &mut sink };
    Supervisor::with_start(start, &image, &options, &cancel, &mut work).run().unwrap();
    assert_eq!(programs, ["aU", "bU", "cU", "dU"]);
    // The first two had their trial, each alone; of the others there was none any more.
    let Some(Outcome::Lost { reason }) = last else { panic!("{last:?}") };
    assert!(reason.contains("the guest had to be restarted 3 times"), "{reason}");
}

#[test]
fn a_guest_that_never_answers_is_an_error() {
    let image = Image::for_tests();
    let start: Start<'_> = Box::new(|_| Ok(Vm::over(UnixStream::pair().unwrap().0).unwrap()));
    let (options, cancel) = (Options { accel: Accel::Tcg, ..Options::default() }, Cancel::new());
    let mut restarts = 0;
    let mut sink = |event| match event {
        Event::GuestRestarted { .. } => restarts += 1,
        other => panic!("{other:?}"),
    };
    let mut work = OneBatch { objects: objects(), sink: &mut sink };
    let result = Supervisor::with_start(start, &image, &options, &cancel, &mut work).run();
    let message = result.unwrap_err().to_string();
    assert!(message.contains("7.2-test") && message.contains("did not start"), "{message}");
    // Those that die are followed by others.
    assert_eq!(restarts, 2);
}

/// Runs with guests of which the first ones hang as they start. Tells what came of it, and why guests were restarted.
fn run_after(hanging: Vec<Vm>) -> (Result<(), RunError>, Vec<String>) {
    let (image, good) = (Image::for_tests(), guests(&Faults::new()));
    let hanging = std::cell::RefCell::new(hanging);
    let start: Start<'_> = Box::new(|accel| match hanging.borrow_mut().pop() {
        Some(vm) => Ok(vm),
        None => good(accel),
    });
    let mut restarts = Vec::new();
    let mut sink = |event| match event {
        Event::GuestRestarted { reason } => restarts.push(reason),
        Event::Program { outcome, .. } => assert_eq!(letter(&outcome), 'L'),
        _ => {}
    };
    let (options, cancel) = (Options { accel: Accel::Tcg, ..Options::default() }, Cancel::new());
    let mut work = OneBatch { objects: objects(), sink: &mut sink };
    let mut supervisor = Supervisor::with_start(start, &image, &options, &cancel, &mut work);
    supervisor.boot_limit = Duration::from_millis(500);
    let result = supervisor.run();
    (result, restarts)
}

/// An emulated guest can, once in a great while.
#[test]
fn a_guest_that_hangs_before_its_first_word_is_started_again_once() {
    let mut theirs = Vec::new();
    let mut silent = || {
        let (ours, other) = UnixStream::pair().unwrap();
        theirs.push(other);
        Vm::over(ours).unwrap()
    };
    let (result, restarts) = run_after(vec![silent()]);
    result.unwrap();
    let why = "its agent did not answer within 0.5 s, and its console stayed empty; trying again";
    assert_eq!(restarts, [why]);
    let (result, restarts) = run_after(vec![silent(), silent()]);
    assert!(matches!(result, Err(RunError::NoBoot { .. })), "{result:?}");
    assert_eq!(restarts.len(), 1);
    // One that says something hangs of what it says.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "echo words; exec sleep 300"]);
    let (result, restarts) = run_after(vec![vm::start(command, "start a shell").unwrap()]);
    assert!(matches!(&result, Err(RunError::NoBoot { console, .. }) if console == "words"), "{result:?}");
    assert!(restarts.is_empty(), "{restarts:?}");
}

/// The guest is not slow because the host is.
#[test]
fn time_in_which_nobody_listens_is_not_the_programs() {
    let image = Image::for_tests();
    let timeout = Duration::from_millis(300);
    let (options, cancel) = (Options { accel: Accel::Tcg, timeout, ..Options::default() }, Cancel::new());
    let (mut told, mut slept) = (String::new(), false);
    let mut sink = |event| match event {
        Event::Program { outcome, .. } => {
            told.push(letter(&outcome));
            // Longer than even a host without time for its guest is given.
            let time = if std::mem::replace(&mut slept, true) { Duration::ZERO } else { timeout * 6 };
            std::thread::sleep(time);
        }
        Event::GuestRestarted { reason } => panic!("{reason}"),
        _ => {}
    };
    let mut work = OneBatch { objects: objects(), sink: &mut sink };
    Supervisor::with_start(guests(&Faults::new()), &image, &options, &cancel, &mut work).run().unwrap();
    assert_eq!(told, "LLLLLL");
}

#[test]
fn a_cancelled_run_ends_at_once() {
    let image = Image::for_tests();
    let keep = std::cell::RefCell::new(Vec::new());
    let start: Start<'_> = Box::new(|_| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        keep.borrow_mut().push(theirs);
        Ok(Vm::over(ours).unwrap())
    });
    let (options, cancel) = (Options { accel: Accel::Tcg, ..Options::default() }, Cancel::new());
    cancel.cancel();
    let begun = Instant::now();
    let mut work = OneBatch { objects: objects(), sink: &mut |_| {} };
    let result = Supervisor::with_start(start, &image, &options, &cancel, &mut work).run();
    assert!(matches!(result, Err(RunError::Cancelled)));
    assert!(begun.elapsed() < Duration::from_secs(2));
}

/// Gives the same two objects a number of times, and notes the outcomes of each batch.
struct Batches {
    left: usize,
    guests: usize,
    programs: Vec<BTreeMap<String, &'static str>>,
}

impl Work for Batches {
    fn next(&mut self) -> Vec<Object> {
        if self.left == 0 {
            return Vec::new();
        }
        self.left -= 1;
        self.programs.push(BTreeMap::new());
        objects()
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Program { program, outcome, .. } => {
                let outcome = if matches!(outcome, Outcome::Loaded(_)) { "loaded" } else { "lost" };
                let before = self.programs.last_mut().unwrap().insert(program, outcome);
                assert!(before.is_none(), "a program came out twice");
            }
            Event::Booted { .. } | Event::GuestRestarted { .. } => self.guests += 1,
            Event::Opened { .. } | Event::Unfit { .. } | Event::Traced { .. } => {}
            Event::NotOpened { object, outcome } => panic!("{object}: {outcome:?}"),
        }
    }
}

fn run_three_batches(faults: Faults) -> Batches {
    let image = Image::for_tests();
    let (options, cancel) = (Options { accel: Accel::Tcg, ..Options::default() }, Cancel::new());
    let mut batches = Batches { left: 3, guests: 0, programs: Vec::new() };
    Supervisor::with_start(guests(&faults), &image, &options, &cancel, &mut batches).run().unwrap();
    batches
}

#[test]
fn one_guest_does_batch_after_batch() {
    let batches = run_three_batches(Faults::new());
    assert_eq!(batches.programs.len(), 3);
    assert_eq!(batches.guests, 1);
    for programs in &batches.programs {
        assert_eq!(programs.len(), 6);
        assert!(programs.values().all(|outcome| *outcome == "loaded"), "{programs:?}");
    }
}

#[test]
fn a_guest_that_dies_between_batches_is_replaced() {
    let batches = run_three_batches(Faults::from([("b2", Does::Die)]));
    assert_eq!(batches.programs.len(), 3);
    for programs in &batches.programs {
        let lost: Vec<&str> =
            programs.iter().filter(|(_, outcome)| **outcome == "lost").map(|(name, _)| &**name).collect();
        assert_eq!((programs.len(), lost), (6, vec!["b2"]));
    }
}
