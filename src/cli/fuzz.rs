//! `livediff fuzz`: random programs, a kernel, and the model.

use super::{
    exit::Exit,
    flags::GuestFlags,
    guest::Guest,
    inputs::ObjectFile,
    interrupt,
    kernels::{self, Kernel, Wanted},
    output::{self, Output, Task},
    reduce::{
        self,
        finding::{Finding, Found, Kind},
        oracle::Asker,
    },
    session, verdict,
};
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use livediff::{
    assemble::{self, Program},
    bpf::{Callable, btf::Btf},
    diff::{self, Deep, Status},
    fuzz::{Features, Generator, Material},
    report::terminal::{counted, printable, printable_lines},
};
use livediff_harness::run::{self, Cancel};
use rayon::prelude::*;
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

#[derive(Debug, Args)]
#[command(
    mut_arg("timeout", |flag| flag.default_value("20")),
    group(clap::ArgGroup::new("length").required(true).args(["programs", "time"])),
    after_help = "\
Programs are made to reach the liveness analysis and to do there what others did rarely. The same seed makes the same \
programs for the same kernel. What is compared is what `diff` compares.

Every discrepancy is named by the number of its program. Of each kind a few are reduced, and written as \
DIR/found_SEED_NUMBER.bpf.c and .bpf.o; the whole program as DIR/whole_SEED_NUMBER.bpf.o as soon as it is found. Without -o, the first of each \
kind is shown as it was found. A program that the guest died on or did not answer on in time is named too, and the first \
20 are written as DIR/crashed_SEED_NUMBER.bpf.o and DIR/timeout_SEED_NUMBER.bpf.o.

Exit status: 0 no discrepancy, 1 at least one, 2 nothing was decided (usage, environment or input)."
)]
pub(crate) struct FuzzFlags {
    /// The kernel, named as for `diff` [default: the only target of vmtest.toml, if it is there, else 7.2].
    #[arg(long, value_name = "KERNEL")]
    kernel: Option<String>,

    /// Which programs are made.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// How many programs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    programs: Option<u64>,

    /// Seconds for which programs are made.
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    time: Option<u64>,

    /// Compare also what tracing programs read from the kernel, as `diff --deep` does: masks, constants, postorders and the
    /// answers that the path walk gets. For kernels from 7.1 on. What differs there alone is kept whole, not reduced.
    #[arg(long)]
    deep: bool,

    /// The folder for what is found; made if it is not there.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    #[command(flatten)]
    guest: GuestFlags,
}

/// Programs that go to the guest at a time.
const BATCH: u64 = 384;
/// Batches that are made ahead.
const AHEAD: usize = 2;
/// Discrepancies of one kind that are kept, and of all kinds together; the first of a kind is kept in any case.
const KEPT: (usize, usize) = (2, 20);
/// Programs without an answer that are kept of each status.
const KEPT_UNANSWERED: usize = 20;
/// Reasons for which programs were not compared that are shown.
const REASONS: usize = 5;
/// Time for the reduction of one program.
const REDUCTION: Duration = Duration::from_secs(120);

/// Makes programs, has them judged, and keeps what is found.
pub(crate) fn run(flags: FuzzFlags) -> Result<Exit> {
    let wanted = match &flags.kernel {
        Some(kernel) => Wanted::parse(kernel)?,
        None => Wanted::only_default()?,
    };
    session::limit_threads(&flags.guest)?;
    kernels::check(std::slice::from_ref(&wanted))?;
    let cancel = interrupt::cancel();
    if let Some(folder) = &flags.output {
        prepare(folder)?;
    }
    let output = Output::new(false);
    let task = output.task("kernels");
    let kernel = Kernel::open(&wanted, flags.guest.dialect, &|what| task.notice(what))?;
    if flags.deep {
        diff::deep::check(kernel.dialect)
            .map_err(|reason| anyhow!("kernel {} ({}): {reason}", kernel.name, kernel.image.release))?;
    }
    let btf = Btf::parse(&kernel.image.btf).with_context(|| format!("kernel {}: its BTF", kernel.name))?;
    let options = session::guest_options(&flags.guest, 1);
    output.line(&printable(&format!(
        "Linux {} ({}): random programs, seed {}",
        kernel.image.release,
        kernel.described(),
        flags.seed
    )));
    let mut fuzz = Fuzz {
        flags: &flags,
        kernel: &kernel,
        btf: &btf,
        options: &options,
        cancel: &cancel,
        output: &output,
        tally: Tally::default(),
    };
    let ended = fuzz.judge_all(&task);
    drop(task);
    let tally = std::mem::take(&mut fuzz.tally);
    tally.tell(&output);
    fuzz.keep(&tally);
    if cancel.is_cancelled() {
        verdict::tell_interrupted(true);
    } else if let Err(error) = ended {
        if tally.found.is_empty() {
            return Err(error);
        }
        output::complain(&error);
    }
    tally.exit(cancel.is_cancelled())
}

/// Makes the folder, and sees to it now that it can be written to: what is found may take hours.
fn prepare(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    output::check_folder_of(&folder.join("found"))
}

/// What is worked with.
struct Fuzz<'a> {
    flags: &'a FuzzFlags,
    kernel: &'a Kernel,
    btf: &'a Btf<'a>,
    options: &'a run::Options,
    cancel: &'a Cancel,
    output: &'a Output,
    tally: Tally,
}

/// A discrepancy, and the program that shows it.
struct Discrepancy {
    number: u64,
    program: Program,
    found: Found,
    /// The whole program, where it was written.
    whole: Option<ObjectFile>,
}

/// A program that the guest died on or did not answer on in time.
struct Unanswered {
    number: u64,
    program: Program,
    status: Status,
}

/// What has come out so far.
#[derive(Default)]
struct Tally {
    programs: u64,
    compared: u64,
    lines: usize,
    /// What was compared beyond them.
    deep: Option<Deep>,
    /// Why programs were not compared, numbers left out, and how many.
    reasons: HashMap<String, u64>,
    found: Vec<Discrepancy>,
    /// Discrepancies that are not in `found`, because there are enough of their kind.
    more: usize,
    /// Programs that the guest died on, and those that it did not answer on in time.
    crashed: u64,
    timeouts: u64,
    /// The first of them.
    unanswered: Vec<Unanswered>,
    /// Of `found` and `unanswered`, how many were written, or could not be.
    written: (usize, usize),
    /// Something could not be written.
    unwritten: bool,
    /// Programs that no guest told of: they had no turn.
    lost: u64,
    /// Classes of events that the analyses of the programs made so far had.
    classes: usize,
    took: Duration,
}

impl Fuzz<'_> {
    /// Has one batch judged after the other, while the next ones are being made.
    fn judge_all(&mut self, task: &Task) -> Result<()> {
        let started = Instant::now();
        let time = self.flags.time.map(Duration::from_secs);
        let wanted = self.flags.programs.unwrap_or(u64::MAX);
        let deadline = started + time.unwrap_or(Duration::from_secs(31_536_000));
        let callable = Callable::new(self.btf, self.kernel.dialect, &self.kernel.image.btf_ids);
        let material = Material::of(self.btf).with_facts(self.btf, &callable);
        let mut generator = Generator::new(self.flags.seed, self.kernel.dialect, material);
        task.expect(usize::try_from(self.flags.programs.unwrap_or(0)).unwrap_or(usize::MAX));
        let (cancel, output, kernel) = (self.cancel, self.output, self.kernel);
        let options = run::Options { trace: self.flags.deep, ..kernel.options(self.options) };
        let deep = self.flags.deep;
        thread::scope(|scope| {
            let (send, receive) = mpsc::sync_channel(AHEAD);
            scope.spawn(move || {
                let mut from = 0;
                while from < wanted && !cancel.is_cancelled() && Instant::now() < deadline {
                    let numbers = from..from.saturating_add(BATCH).min(wanted);
                    from = numbers.end;
                    let first = numbers.start;
                    let made =
                        generator.batch(numbers, |numbers, make| numbers.into_par_iter().map(make).collect());
                    if send.send((first, made, generator.seen().len())).is_err() {
                        break;
                    }
                }
            });
            let guest = Guest::start(scope, kernel, self.btf, options, cancel);
            let mut asker = Asker::new(vec![guest], output, cancel, deadline).deep(deep);
            for (first, made, classes) in receive {
                if cancel.is_cancelled() || Instant::now() >= deadline {
                    break;
                }
                let (programs, features): (Vec<Program>, Vec<Features>) = made.into_iter().unzip();
                let findings = match asker.findings(&programs) {
                    Ok(findings) => findings,
                    Err(_) if cancel.is_cancelled() => break,
                    Err(error) => return Err(error),
                };
                self.tally.classes = classes;
                let findings = findings
                    .into_iter()
                    .zip(&features)
                    .map(|(finding, features)| with(finding, features.broken()));
                for ((number, program), finding) in (first..).zip(programs).zip(findings) {
                    if let Some(line) = self.tally.add(number, program, finding) {
                        output.line(&printable(&line));
                        if let Some(folder) = &self.flags.output {
                            self.tally.write_new(folder, self.flags.seed, output);
                        }
                    }
                    task.advance();
                }
                self.tally.took = started.elapsed();
                task.doing(&self.tally.line());
            }
            Ok(())
        })
    }

    /// Reduces what was found and written. The first of each kind is shown where there is no folder, and each that could
    /// not be written.
    fn keep(&self, tally: &Tally) {
        let mut shown: Vec<Kind> = Vec::new();
        for Discrepancy { number, found, program, whole } in &tally.found {
            match (&self.flags.output, whole) {
                (Some(folder), Some(whole)) => self.reduce(*number, found, program, whole.clone(), folder),
                (None, _) if shown.contains(&found.kind) => {}
                _ => {
                    shown.push(found.kind);
                    let text = format!("program {number}: {}\n{}", found.kind, found.unified);
                    self.output.line(&printable_lines(&text));
                }
            }
        }
    }

    /// That a program cannot be reduced is told, and is no failure: it is kept whole.
    fn reduce(&self, number: u64, found: &Found, program: &Program, object: ObjectFile, folder: &Path) {
        let whole = object.name.clone();
        if self.cancel.is_cancelled() {
            return self.output.line(&printable(&format!("{whole}: {}", found.kind)));
        }
        if found.kind == Kind::Deep {
            let text = format!("{whole}: {}: not reduced, as only the log is\n{}", found.kind, found.unified);
            return self.output.line(&printable_lines(&text));
        }
        let reduced = reduce::of_kernel(reduce::Task {
            kernel: self.kernel,
            btf: self.btf,
            dialect: self.flags.guest.dialect,
            object,
            program: &program.name,
            section: &program.section,
            output: &folder.join(format!("found_{}_{number}", self.flags.seed)),
            seed: self.flags.seed,
            time: REDUCTION,
            options: self.options,
            cancel: self.cancel,
            terminal: self.output,
        });
        if let Err(error) = reduced {
            let text = format!("{whole}: {}: not reduced: {error:#}\n{}", found.kind, found.unified);
            self.output.line(&printable_lines(&text));
        }
    }
}

/// Writes a program as an object of its own.
fn write(program: &Program, stem: &str, folder: &Path) -> Result<ObjectFile> {
    let path = folder.join(format!("{stem}.bpf.o"));
    let name = path.display().to_string();
    let bytes = assemble::object(std::slice::from_ref(program)).with_context(|| name.clone())?;
    output::write_report(&path, |out| out.write_all(&bytes))?;
    Ok(ObjectFile { name, bytes: bytes.into() })
}

/// What is found of a program, given whether the model broke down on it before any kernel was asked: that is a
/// discrepancy, whatever becomes of the program in the kernel.
fn with(finding: Finding, model_broke_down: bool) -> Finding {
    match finding {
        Finding::Differs(..) => finding,
        _ if model_broke_down => {
            Finding::Differs(Box::default(), Found { kind: Kind::Broken, unified: String::new() })
        }
        _ => finding,
    }
}

fn without_answer(status: Status) -> &'static str {
    match status {
        Status::Crashed => "the guest died on it",
        _ => "no answer within the time limit (--timeout)",
    }
}

impl Tally {
    /// Counts a program. Returns a line on it, if there is something to tell.
    fn add(&mut self, number: u64, program: Program, finding: Finding) -> Option<String> {
        self.programs += 1;
        match finding {
            Finding::Same { lines, deep } => {
                self.compared += 1;
                self.lines += lines;
                if let Some(deep) = deep {
                    self.deep.get_or_insert_default().add(&deep);
                }
                None
            }
            Finding::Differs(_, found) => {
                self.compared += 1;
                let line = format!("program {number}: {}", found.kind);
                let alike = self.found.iter().filter(|other| other.found.kind == found.kind).count();
                if alike == 0 || alike < KEPT.0 && self.found.len() < KEPT.1 {
                    self.found.push(Discrepancy { number, program, found, whole: None });
                    return Some(line);
                }
                self.more += 1;
                Some(format!("{line} (not kept: one of its kind is)"))
            }
            Finding::NoAnswer(status, reason) => {
                *(if status == Status::Crashed { &mut self.crashed } else { &mut self.timeouts }) += 1;
                let line = format!("program {number}: {reason}");
                let alike = self.unanswered.iter().filter(|other| other.status == status).count();
                if alike < KEPT_UNANSWERED {
                    self.unanswered.push(Unanswered { number, program, status });
                    return Some(line);
                }
                Some(format!("{line} (not kept: {alike} others are)"))
            }
            Finding::Lost(reason) => {
                self.lost += 1;
                *self.reasons.entry(without_numbers(&reason)).or_default() += 1;
                None
            }
            Finding::NotCompared(reason) => {
                *self.reasons.entry(without_numbers(&reason)).or_default() += 1;
                None
            }
        }
    }

    /// Writes the programs that were kept since the last time, at once, so that nothing is lost whatever happens to the
    /// run. What cannot be written is told.
    fn write_new(&mut self, folder: &Path, seed: u64, output: &Output) {
        let (found, unanswered) = self.written;
        for discrepancy in self.found.iter_mut().skip(found) {
            let stem = format!("whole_{}_{}", seed, discrepancy.number);
            match write(&discrepancy.program, &stem, folder) {
                Ok(object) => discrepancy.whole = Some(object),
                Err(error) => {
                    output::complain(&error);
                    self.unwritten = true;
                }
            }
        }
        for Unanswered { number, program, status } in self.unanswered.iter().skip(unanswered) {
            let stem = format!("{}_{}_{number}", status.name(), seed);
            match write(program, &stem, folder) {
                Ok(object) => {
                    let text = format!("{}: {}", object.name, without_answer(*status));
                    output.line(&printable(&text));
                }
                Err(error) => {
                    output::complain(&error);
                    self.unwritten = true;
                }
            }
        }
        self.written = (self.found.len(), self.unanswered.len());
    }

    fn line(&self) -> String {
        let seconds = self.took.as_secs_f64().max(0.001);
        format!(
            "{} programs, {:.1} % of them analysed, {:.0} per second, {} classes of events, {} found",
            self.programs,
            100.0 * self.compared as f64 / (self.programs as f64).max(1.0),
            self.programs as f64 / seconds,
            self.classes,
            self.found.len() + self.more
        )
    }

    /// How the run ends.
    fn exit(&self, cancelled: bool) -> Result<Exit> {
        Ok(match (self.found.is_empty(), self.compared) {
            (false, _) => Exit::Discrepancy,
            (true, 0) if cancelled => Exit::Error,
            (true, 0) if self.programs == 0 => {
                bail!(
                    "nothing was compared: the time (--time) was over before the first programs were answered"
                )
            }
            (true, 0) => bail!("nothing was compared: no program came as far as the liveness analysis"),
            (true, _) if self.lost > 0 => {
                bail!("not every program had its turn: of {} no guest told", self.lost)
            }
            (true, _) if cancelled || self.unwritten => Exit::Error,
            (true, _) => Exit::Clean,
        })
    }

    fn tell(&self, output: &Output) {
        let mut reasons: Vec<(&String, &u64)> = self.reasons.iter().collect();
        reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), (*reason).clone()));
        for (reason, count) in reasons.iter().take(REASONS) {
            output.line(&printable(&format!("  {count:>7} not compared: {reason}")));
        }
        if let Some(more @ 1..) = reasons.len().checked_sub(REASONS) {
            output.line(&format!("          and for {}", counted(more, "other reason")));
        }
        if self.crashed + self.timeouts > 0 {
            output.line(&format!(
                "  {:>7} without an answer: the guest died on {}, {} within the time limit (--timeout)",
                self.crashed + self.timeouts,
                self.crashed,
                match self.timeouts {
                    0 => "all others answered".to_owned(),
                    count => format!("no answer on {count}"),
                }
            ));
        }
        if let Some(Deep { instances, masks, constants, postorder, answers, .. }) = self.deep {
            output.line(&format!(
                "Beyond the logs: {masks} masks of {instances} function instances, {constants} constants, {postorder} \
                 instructions in postorder, {answers} answers of the path walk"
            ));
        }
        output.line(&format!(
            "Summary [{:.1} s] {}; {} compared, {} discrepancies",
            self.took.as_secs_f32(),
            self.line(),
            counted(self.lines, "log line"),
            self.found.len() + self.more
        ));
    }
}

/// A reason with each number as `N`, so that equal reasons can be counted.
fn without_numbers(reason: &str) -> String {
    let mut text = String::new();
    for letter in reason.chars().take(160) {
        match letter {
            '0'..='9' if text.ends_with('N') => {}
            '0'..='9' => text.push('N'),
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Program {
        let insns = Vec::new();
        Program {
            name: "p".into(),
            section: "socket".into(),
            functions: vec![assemble::Function {
                label: 0,
                name: "p".into(),
                global: true,
                insns,
                jump_tables: Vec::new(),
            }],
            maps: Default::default(),
            kfuncs: Default::default(),
            exception_callback: None,
        }
    }

    fn differs(kind: Kind) -> Finding {
        Finding::Differs(Box::default(), Found { kind, unified: String::new() })
    }

    #[test]
    fn every_discrepancy_is_told_and_the_first_of_each_kind_is_kept() {
        let mut tally = Tally::default();
        let mut number = 0;
        let mut add = |tally: &mut Tally, kind| {
            number += 1;
            let line = tally.add(number, program(), differs(kind)).expect("a line");
            assert!(line.starts_with(&format!("program {number}: {kind}")), "{line}");
            !line.contains("not kept")
        };
        assert_eq!([(); 4].map(|()| add(&mut tally, Kind::End)), [true, true, false, false]);
        // As many as there is room for, of whatever kinds.
        while tally.found.len() < KEPT.1 {
            let other = tally.found.first().map(|first| first.found.clone()).unwrap();
            tally.found.push(Discrepancy { number: 0, program: program(), found: other, whole: None });
        }
        assert_eq!([(); 2].map(|()| add(&mut tally, Kind::Broken)), [true, false]);
        assert_eq!((tally.found.len(), tally.more, tally.compared), (KEPT.1 + 1, 3, 6));
        assert!(tally.line().ends_with(&format!("{} found", KEPT.1 + 4)), "{}", tally.line());
    }

    #[test]
    fn a_model_that_breaks_down_is_a_discrepancy_whatever_the_kernel_says() {
        let refused = || Finding::NotCompared("refused".into());
        assert!(matches!(with(refused(), false), Finding::NotCompared(_)));
        let of = |finding| match with(finding, true) {
            Finding::Differs(_, found) => Some(found.kind),
            _ => None,
        };
        assert_eq!(of(refused()), Some(Kind::Broken));
        assert_eq!(of(Finding::Same { lines: 1, deep: None }), Some(Kind::Broken));
        assert_eq!(of(differs(Kind::End)), Some(Kind::End));
    }

    #[test]
    fn a_program_without_an_answer_is_named_kept_and_counted() {
        let mut tally = Tally::default();
        let kept = KEPT_UNANSWERED as u64;
        for number in 0..kept + 2 {
            let finding = Finding::NoAnswer(Status::Timeout, "no answer".into());
            let line = tally.add(number, program(), finding).expect("a line");
            assert!(line.starts_with(&format!("program {number}: no answer")), "{line}");
            assert_eq!(line.contains("not kept"), number >= kept);
        }
        // Those that are many leave room for the other.
        let died = Finding::NoAnswer(Status::Crashed, "the guest died on it".into());
        assert_eq!(tally.add(99, program(), died).as_deref(), Some("program 99: the guest died on it"));
        assert_eq!((tally.crashed, tally.timeouts, tally.compared), (1, kept + 2, 0));
        assert_eq!(tally.unanswered.len() as u64, kept + 1);
        assert!(tally.reasons.is_empty() && tally.found.is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_told_before_anything_is_made() {
        let error = prepare(Path::new("/proc")).expect_err("nothing can be written to /proc");
        assert!(format!("{error:#}").contains("no file can be written to the folder /proc"), "{error:#}");
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("a/b");
        prepare(&made).unwrap();
        assert_eq!(fs::read_dir(&made).unwrap().count(), 0);
    }

    /// Whatever becomes of the run later, what was found is there.
    #[test]
    fn what_is_found_is_written_at_once_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::new(true);
        let mut tally = Tally::default();
        let names = || {
            let names = fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        tally.add(3, program(), differs(Kind::End));
        tally.write_new(folder.path(), 7, &output);
        assert_eq!(names(), ["whole_7_3.bpf.o"]);
        fs::remove_file(folder.path().join("whole_7_3.bpf.o")).unwrap();
        tally.add(4, program(), Finding::NoAnswer(Status::Crashed, "the guest died on it".into()));
        tally.add(5, program(), differs(Kind::End));
        tally.write_new(folder.path(), 7, &output);
        assert_eq!(names(), ["crashed_7_4.bpf.o", "whole_7_5.bpf.o"]);
        assert!(tally.found.iter().all(|found| found.whole.is_some()) && !tally.unwritten);
        // One that cannot be written stays one that was found.
        tally.add(6, program(), differs(Kind::Broken));
        tally.write_new(&folder.path().join("gone"), 7, &output);
        assert!(tally.unwritten && tally.found.last().is_some_and(|found| found.whole.is_none()));
        assert_eq!(tally.exit(false).ok(), Some(Exit::Discrepancy));
    }

    #[test]
    fn only_a_run_that_came_to_its_end_is_a_success() {
        let of = |findings: Vec<Finding>, cancelled, all_kept: bool| {
            let mut tally = Tally::default();
            for finding in findings {
                tally.add(0, program(), finding);
            }
            tally.unwritten = !all_kept;
            tally.exit(cancelled).ok()
        };
        let same = || Finding::Same { lines: 1, deep: None };
        let lost = || Finding::Lost("guests died too often".into());
        assert_eq!(of(vec![same()], false, true), Some(Exit::Clean));
        assert_eq!(of(vec![same()], true, true), Some(Exit::Error));
        assert_eq!(of(vec![same()], false, false), Some(Exit::Error));
        assert_eq!(of(vec![same(), Finding::NotCompared("refused".into())], false, true), Some(Exit::Clean));
        assert_eq!(of(vec![same(), lost()], false, true), None);
        assert_eq!(of(vec![lost(), differs(Kind::End)], false, true), Some(Exit::Discrepancy));
        assert_eq!(of(vec![], true, true), Some(Exit::Error));
        for none in [vec![], vec![Finding::NotCompared("refused".into())]] {
            assert_eq!(of(none, false, true), None);
        }
    }

    #[test]
    fn reasons_are_counted_without_their_numbers() {
        assert_eq!(without_numbers("unreachable insn 12 (EINVAL)"), "unreachable insn N (EINVAL)");
        let mut tally = Tally::default();
        for number in 1..=3 {
            tally.add(
                number,
                program(),
                Finding::NotCompared(format!("jump out of range from insn {number}")),
            );
        }
        tally.add(4, program(), Finding::Same { lines: 9, deep: None });
        assert_eq!(tally.reasons.values().copied().collect::<Vec<_>>(), [3]);
        assert_eq!((tally.programs, tally.compared, tally.lines), (4, 1, 9));
    }
}
