//! Running programs in a kernel, with the work on each done on all processors while the guest goes on.
//!
//! Whatever happens to the guest, every program that the guest's libbpf lists comes out exactly once, and so does
//! every object that it could not open.

use super::{
    flags::{AccelFlag, GuestFlags, LiveFlags},
    inputs::ObjectFile,
    interrupt,
    kernels::{Kernel, Wanted},
    output::{Output, Task},
    shard::{self, Costs, Extent, Shard, Share, Unit},
};
use anyhow::{Context, Result};
use globset::{GlobBuilder, GlobMatcher};
use livediff::log::LIVE_REGS_HEADER;
use livediff::{
    Dialect,
    bpf::{Callable, btf::Btf},
    diff,
    report::{qualified, terminal::printable_lines},
};
use livediff_capture::{Loaded, Said, Verdict, trace::Records};
use livediff_harness::run::{self, Accel, Cancel, Event, Outcome, Room, RunError};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// Everything that is the same for all kernels of a run.
pub(crate) struct Session {
    /// The kernels that were named, in order.
    pub(crate) kernels: Vec<Wanted>,
    /// Which programs are wanted.
    pub(crate) filter: Filter,
    /// Threads that work on what the guest brings.
    pub(crate) pool: ThreadPool,
    /// Set by Ctrl-C.
    pub(crate) cancel: Cancel,
    /// The dialect that all kernels are taken for, whatever their BTF says.
    pub(crate) dialect: Option<Dialect>,
    /// The part of the programs that is wanted, and what parts are balanced by.
    shard: Option<(Shard, Costs)>,
    options: run::Options,
    /// Processors that guests may use together.
    processors: usize,
}

impl Session {
    /// The configuration that the flags stand for. From here on, Ctrl-C ends the run in good order.
    pub(crate) fn new(flags: &LiveFlags) -> Result<Session> {
        let processors = thread::available_parallelism().map_or(1, |count| count.get());
        let jobs = flags.guest.jobs.map_or(processors, |jobs| jobs as usize);
        let mut options = guest_options(&flags.guest, 1);
        if flags.verdict {
            options.stop = None;
        }
        let shard = flags.shard.part(|name| std::env::var(name).ok())?;
        let cancel = interrupt::cancel();
        Ok(Session {
            kernels: flags.kernels.iter().map(|text| Wanted::parse(text)).collect::<Result<_>>()?,
            filter: Filter::new(flags.filter.as_deref())?,
            pool: ThreadPoolBuilder::new().num_threads(jobs).build()?,
            cancel,
            dialect: flags.guest.dialect,
            shard,
            options,
            processors: jobs.min(processors),
        })
    }

    /// Whether only a part of the programs is wanted.
    pub(crate) fn is_sharded(&self) -> bool {
        self.shard.is_some()
    }

    /// If only a part of the programs is wanted: deals the objects and what else there is out, and from then on wants
    /// what is in the part. To be called once, with everything that the run is about.
    pub(crate) fn deal<'o>(
        &mut self,
        objects: impl IntoIterator<Item = &'o ObjectFile>,
        others: impl IntoIterator<Item = Unit>,
    ) {
        let Some((shard, costs)) = &self.shard else { return };
        let has_some =
            |object: &&ObjectFile| self.filter.functions(object).is_none_or(|names| !names.is_empty());
        let units = objects.into_iter().filter(has_some).map(|object| Unit {
            name: object.name.clone(),
            size: object.bytes.len() as u64,
            contents: shard::hash(&object.bytes),
            programs: self.filter.programs(object),
        });
        let units: Vec<Unit> = units.chain(others).collect();
        self.filter.share = Some(Share::deal(*shard, &units, costs));
    }

    /// Has tracing programs read the analysis of every program.
    pub(crate) fn trace(&mut self) {
        self.options.trace = true;
    }

    /// Gives every program that much time for the whole of its verification, so that most have a verdict.
    pub(crate) fn allow_verification(&mut self, time: Duration) {
        if let Some(stop) = &mut self.options.stop {
            stop.after = time;
        }
    }

    /// Does `work` for each of `kernels`, for several at a time where the machine has processors and memory for their
    /// guests. What ends one of them before its time would end those that follow too, and they are not begun.
    pub(crate) fn each_kernel<T: Send>(
        &self,
        kernels: &[Kernel],
        work: &(dyn Fn(&Kernel, &run::Options) -> Turn<T> + Sync),
    ) -> Turns<T> {
        let guests = guests_at_a_time(kernels.len(), self.processors, free_memory_mib());
        let mut options = self.options.clone();
        if guests > 1 {
            limit_vcpus(&mut options, self.processors / guests);
        }
        let next = AtomicUsize::new(0);
        let done: Vec<Mutex<Option<Turn<T>>>> = kernels.iter().map(|_| Mutex::new(None)).collect();
        let worker = || {
            while !self.cancel.is_cancelled() {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let (Some(kernel), Some(place)) = (kernels.get(at), done.get(at)) else { break };
                let result = work(kernel, &kernel.options(&options));
                if !matches!(&result, Ok((_, ran)) if ran.ended_by.is_none()) {
                    next.store(kernels.len(), Ordering::Relaxed);
                }
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
        };
        thread::scope(|threads| {
            for _ in 1..guests {
                threads.spawn(worker);
            }
            worker();
        });
        let done = done.into_iter().map(|place| place.into_inner().unwrap_or_else(PoisonError::into_inner));
        Turns::of(kernels.iter().map(|kernel| kernel.name.as_str()).zip(done))
    }

    /// Runs the wanted programs of `objects` in `kernel`. `work` is called on any thread, once for each program,
    /// and what it returns is passed to `done` as it comes, on one thread.
    ///
    /// Returns what ended the run before its time, if anything did; even then each program has come out once.
    pub(crate) fn run<T: Send>(
        &self,
        kernel: &Kernel,
        objects: &[ObjectFile],
        options: &run::Options,
        (output, task): (&Output, &Task),
        work: &(dyn Fn(Finished) -> T + Sync),
        done: &mut (dyn FnMut(T) + Send),
    ) -> Result<Ran> {
        let btf =
            Btf::parse(&kernel.image.btf).with_context(|| format!("kernel {}: its BTF", kernel.name))?;
        let callable = Callable::new(&btf, kernel.dialect, &kernel.image.btf_ids);
        let wanted = objects.iter().filter_map(|object| {
            let only = self.filter.functions(object);
            (only.as_ref().is_none_or(|names| !names.is_empty())).then(|| run::Object {
                name: object.name.clone(),
                bytes: object.bytes.clone(),
                only,
            })
        });
        let wanted: Vec<_> = wanted.collect();
        let mut ran = Ran::default();
        if wanted.is_empty() {
            return Ok(ran);
        }
        let mut ledger = Ledger::new(wanted.iter().map(|object| object.name.clone()));
        let started = Instant::now();
        let room = Room::of(WAITING_LIMIT);
        // What is traced comes to its end all the same.
        let stopped_at_once =
            !options.trace && options.stop.as_ref().is_some_and(|stop| stop.after.is_zero());

        thread::scope(|threads| {
            let (send, receive) = mpsc::channel::<T>();
            threads.spawn(move || receive.into_iter().for_each(done));
            self.pool.in_place_scope(|pool| {
                let submit = |mut finished: Finished| {
                    let (send, callable, room) = (send.clone(), &callable, &room);
                    let bytes = finished.bytes();
                    // A guest that is faster than the analysis waits for it.
                    room.take(bytes);
                    pool.spawn(move |_| {
                        if let Outcome::Loaded(pair) = &mut finished.outcome {
                            // Whether a verification that is to be stopped comes to its end before that is chance, and
                            // two runs would not report the same.
                            if stopped_at_once && diff::table_is_whole(&pair.0, &pair.1) {
                                pair.1.verdict = Verdict::NotRun;
                            }
                            callable.fill(&mut pair.0);
                        }
                        let done = work(finished);
                        room.give_back(bytes);
                        // The other end lives until the scope ends.
                        let _ = send.send(done);
                    });
                };
                // Comes right before the outcome of the same program.
                let mut records: Option<((String, String), Records)> = None;
                // No guest told, and the run is not whole.
                let lost = |outcome: &Outcome| usize::from(matches!(outcome, Outcome::Lost { .. }));
                let mut sink = |event| match event {
                    Event::Booted { release, accel } => {
                        task.doing(&format!("Linux {release}"));
                        ran.booted.get_or_insert((accel, started.elapsed()));
                    }
                    Event::Opened { object, programs, .. } => {
                        let wanted: Vec<String> = programs
                            .into_iter()
                            .filter(|program| self.filter.wants(&object, program))
                            .collect();
                        task.expect(wanted.len());
                        ledger.opened(object, wanted);
                    }
                    // What comes of it is the same.
                    Event::Unfit { .. } => {}
                    Event::NotOpened { object, outcome } => {
                        if ledger.close(&object) {
                            task.expect(1);
                            ran.missing += lost(&outcome);
                            submit(Finished { object, program: String::new(), outcome, records: None });
                        }
                    }
                    Event::Traced { object, program, records: of_program } => {
                        records = Some(((object, program), of_program));
                    }
                    Event::Program { object, program, outcome } => {
                        if ledger.take(&object, &program) {
                            ran.missing += lost(&outcome);
                            let records =
                                records.take().filter(|(of, _)| *of == (object.clone(), program.clone()));
                            let records = records.map(|(_, records)| records);
                            submit(Finished { object, program, outcome, records });
                        }
                    }
                    Event::GuestRestarted { reason } => {
                        let text = format!("[{}] guest restarted: {reason}", kernel.name);
                        output.line(&printable_lines(&text));
                    }
                };
                let result = run::run(&kernel.image, wanted, options, &self.cancel, &mut sink);
                let reason = match &result {
                    Err(RunError::Cancelled) => "the run was interrupted".to_owned(),
                    Ok(()) => "the guest did not report on it".to_owned(),
                    Err(_) => "the run ended before its turn".to_owned(),
                };
                ran.ended_by = result.err();
                for (object, program) in ledger.missing() {
                    ran.missing += 1;
                    let outcome = Outcome::Lost { reason: reason.clone() };
                    submit(Finished { object, program, outcome, records: None });
                }
            });
            // The last sender: with it gone, the printing thread ends.
            drop(send);
        });
        Ok(ran)
    }
}

/// How guests are run of which as many are at work at the same time as `guests`, and whose loads end with the table.
pub(crate) fn guest_options(flags: &GuestFlags, guests: usize) -> run::Options {
    let mut options = run::Options {
        accel: match flags.accel {
            AccelFlag::Auto => Accel::Auto,
            AccelFlag::Kvm => Accel::Kvm,
            AccelFlag::Tcg => Accel::Tcg,
        },
        timeout: Duration::from_secs(flags.timeout),
        // What follows the table is the path walk.
        stop: Some(run::Stop { marker: LIVE_REGS_HEADER.to_owned(), after: Duration::ZERO }),
        ..run::Options::default()
    };
    let vcpus = flags.jobs.map_or(options.vcpus, |jobs| jobs.min(options.vcpus)) as usize;
    limit_vcpus(&mut options, vcpus / guests.max(1));
    options
}

/// Gives a guest at most so many processors, and at least one, and no more memory than they need.
pub(crate) fn limit_vcpus(options: &mut run::Options, most: usize) {
    let most = u32::try_from(most).unwrap_or(u32::MAX).max(1);
    if most < options.vcpus {
        options.vcpus = most;
        options.memory_mib = run::Options::memory_for(most);
    }
}

/// Has what is computed outside of a [`Session`] on all processors take as many threads as `--jobs` says. To be called
/// before anything is.
pub(crate) fn limit_threads(flags: &GuestFlags) -> Result<()> {
    match flags.jobs {
        Some(jobs) => Ok(ThreadPoolBuilder::new().num_threads(jobs as usize).build_global()?),
        None => Ok(()),
    }
}

/// Bytes of what guests told that may wait for being worked on.
const WAITING_LIMIT: usize = 256 << 20;

/// Fewest processors for a guest when several run at a time: with one alone, the guest would wait for itself.
const PROCESSORS_PER_GUEST: usize = 2;

/// How many guests run at a time: as many as there are processors for, and memory that is twice what they are given,
/// because the emulator, the analysis and the machine's other work need some too.
fn guests_at_a_time(kernels: usize, processors: usize, free_memory_mib: u64) -> usize {
    let by_processors = processors / PROCESSORS_PER_GUEST;
    let one = u64::from(run::Options::memory_for(PROCESSORS_PER_GUEST as u32)) * 2;
    let by_memory = usize::try_from(free_memory_mib / one).unwrap_or(usize::MAX);
    kernels.min(by_processors).min(by_memory).max(1)
}

/// MiB that can be had without taking them from anybody; 0 if that cannot be told.
fn free_memory_mib() -> u64 {
    let about = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = about.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = available.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// One program and what the guest says of it; `program` is empty for an object that could not be opened.
pub(crate) struct Finished {
    /// The object.
    pub(crate) object: String,
    /// The program.
    pub(crate) program: String,
    /// What became of it. Kfuncs are filled in.
    pub(crate) outcome: Outcome,
    /// What was traced of it.
    pub(crate) records: Option<Records>,
}

impl Finished {
    /// A guest said so; else none lived to say anything, and nothing may be concluded.
    pub(crate) fn is_reported(&self) -> bool {
        !matches!(self.outcome, Outcome::Lost { .. })
    }

    /// About how much memory it takes.
    fn bytes(&self) -> usize {
        let traced = self.records.as_ref().map_or(0, |records| records.bytes.len());
        match &self.outcome {
            Outcome::Loaded(pair) => pair.1.log.len() + size_of_val(pair.0.insns.as_slice()) + traced,
            _ => traced,
        }
    }

    /// What was loaded and said, or why not: the status and its reason.
    pub(crate) fn into_loaded(self) -> Result<Box<(Loaded, Said)>, (livediff::diff::Status, String)> {
        use livediff::diff::Status;
        match self.outcome {
            Outcome::Loaded(pair) => Ok(pair),
            Outcome::NotLoadable { reason } | Outcome::Lost { reason } => Err((Status::NotLoadable, reason)),
            Outcome::Crashed { console } => {
                Err((Status::Crashed, format!("the guest died on it\n{console}")))
            }
            Outcome::Timeout { console } => {
                Err((Status::Timeout, format!("no answer within the time limit (--timeout)\n{console}")))
            }
        }
    }
}

/// How a run went.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    /// How the guest was run, and how long it took to answer.
    pub(crate) booted: Option<(Accel, Duration)>,
    /// What ended it before its time.
    pub(crate) ended_by: Option<RunError>,
    /// Programs and objects on which the guest never reported.
    pub(crate) missing: usize,
}

/// What came of one kernel, and how its run went.
pub(crate) type Turn<T> = Result<(T, Ran)>;

/// How the runs of several kernels went.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    /// What came of each, in the order of the kernels; nothing for one that had no turn.
    pub(crate) done: Vec<Option<T>>,
    /// What ended one before its time, of several the first. A signal is no such thing.
    pub(crate) ended_by: Option<anyhow::Error>,
    /// Why not every program had its turn, by kernel; empty if every one had.
    pub(crate) incomplete: Vec<String>,
}

impl<T> Turns<T> {
    /// From the name of each kernel, and how its run went if it was begun.
    fn of<'k>(runs: impl Iterator<Item = (&'k str, Option<Turn<T>>)>) -> Turns<T> {
        let mut turns = Turns { done: Vec::new(), ended_by: None, incomplete: Vec::new() };
        for (name, run) in runs {
            let named = || format!("kernel {name}");
            let (done, error) = match run {
                None => {
                    turns.incomplete.push(format!("{}: not begun", named()));
                    (None, None)
                }
                Some(Err(error)) => (None, Some(error.context(named()))),
                Some(Ok((done, ran))) => {
                    let why = match (&ran.ended_by, ran.missing) {
                        (Some(RunError::Cancelled), _) => Some("the run was interrupted"),
                        (None, 1..) => Some("the guest did not report on every program"),
                        (Some(_), _) | (None, 0) => None,
                    };
                    turns.incomplete.extend(why.map(|why| format!("{}: {why}", named())));
                    let error = ran.ended_by.filter(|error| !matches!(error, RunError::Cancelled));
                    (Some(done), error.map(|error| anyhow::Error::new(error).context(named())))
                }
            };
            turns.done.push(done);
            if let Some(error) = error {
                turns.incomplete.push(format!("{error:#}"));
                turns.ended_by.get_or_insert(error);
            }
        }
        turns
    }
}

/// Which programs have come out and which have not.
#[derive(Debug, Default)]
struct Ledger {
    /// For each object not done yet: its programs that have not come out, or nothing if it has not been opened.
    open: BTreeMap<String, Option<BTreeSet<String>>>,
}

impl Ledger {
    fn new(objects: impl IntoIterator<Item = String>) -> Ledger {
        Ledger { open: objects.into_iter().map(|object| (object, None)).collect() }
    }

    /// The object lists these programs. Said again after a restart of the guest, it counts only once.
    fn opened(&mut self, object: String, programs: Vec<String>) {
        if let Some(state @ None) = self.open.get_mut(&object) {
            *state = Some(programs.into_iter().collect());
        }
    }

    /// The object could not be opened. False if that is no news.
    fn close(&mut self, object: &str) -> bool {
        matches!(self.open.get(object), Some(None)) && self.open.remove(object).is_some()
    }

    /// The program has come out. False if it is not wanted, or has come out before.
    fn take(&mut self, object: &str, program: &str) -> bool {
        self.open.get_mut(object).and_then(Option::as_mut).is_some_and(|programs| programs.remove(program))
    }

    /// What has not come out: programs, and with an empty name objects that were never opened.
    fn missing(self) -> impl Iterator<Item = (String, String)> {
        self.open.into_iter().flat_map(|(object, programs)| {
            let programs = programs.unwrap_or_else(|| BTreeSet::from([String::new()]));
            programs.into_iter().map(move |program| (object.clone(), program))
        })
    }
}

/// `--filter` and `--shard`.
pub(crate) struct Filter {
    glob: Option<GlobMatcher>,
    share: Option<Share>,
}

impl Filter {
    /// A filter that lets everything pass where there is no glob.
    pub(crate) fn new(glob: Option<&str>) -> Result<Filter> {
        let matcher = |glob| -> Result<GlobMatcher> {
            let glob = GlobBuilder::new(glob).literal_separator(false).build();
            Ok(glob.context("--filter takes a glob, such as '*/spill*'")?.compile_matcher())
        };
        Ok(Filter { glob: glob.map(matcher).transpose()?, share: None })
    }

    /// The program is wanted: `--filter` takes it, and it is in the part of `--shard`.
    pub(crate) fn wants(&self, object: &str, program: &str) -> bool {
        self.matches(object, program) && self.share.as_ref().is_none_or(|share| share.has(object, program))
    }

    /// `--filter` takes the program.
    pub(crate) fn matches(&self, object: &str, program: &str) -> bool {
        self.glob.as_ref().is_none_or(|glob| glob.is_match(qualified(object, program)))
    }

    /// In words that there is no program to work on.
    pub(crate) fn no_program(&self) -> &'static str {
        match self.glob {
            Some(_) => "no program matches --filter",
            None => "there is no program in what was given",
        }
    }

    /// The part of `--shard`.
    pub(crate) fn share(&self) -> Option<&Share> {
        self.share.as_ref()
    }

    /// The functions of an object that `--filter` takes and that may be programs, with their sizes. None where they
    /// cannot be told; then the object cannot be split.
    fn programs(&self, file: &ObjectFile) -> Vec<(String, u64)> {
        let Ok(object) = object::File::parse(&*file.bytes) else { return Vec::new() };
        let mut programs = BTreeMap::new();
        for symbol in object.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
            let Ok(name) = symbol.name() else { return Vec::new() };
            // What is in `.text` is called by programs, and loaded with each that does.
            let section = symbol.section_index().and_then(|index| object.section_by_index(index).ok());
            let subprogram = section.is_none_or(|section| section.name() == Ok(".text"));
            if !subprogram && self.matches(&file.name, name) {
                programs.insert(name.to_owned(), symbol.size());
            }
        }
        programs.into_iter().collect()
    }

    /// The names of the object's functions that are wanted, programs among them; nothing if that cannot be told
    /// from outside, or if everything is wanted.
    pub(crate) fn functions(&self, file: &ObjectFile) -> Option<Vec<String>> {
        match self.share.as_ref().map(|share| share.extent(&file.name)) {
            Some(Extent::Nothing) => return Some(Vec::new()),
            Some(Extent::Some) => {}
            Some(Extent::All) | None => {
                self.glob.as_ref()?;
            }
        }
        let object = object::File::parse(&*file.bytes).ok()?;
        let names = object.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
        let names =
            names.map(|symbol| symbol.name().map(str::to_owned)).collect::<Result<Vec<_>, _>>().ok()?;
        Some(names.into_iter().filter(|name| self.wants(&file.name, name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_share_the_machine() {
        // Processors decide, then memory, then how many there are; there is always one.
        assert_eq!(guests_at_a_time(3, 2, 1 << 20), 1);
        assert_eq!(guests_at_a_time(3, 4, 1 << 20), 2);
        assert_eq!(guests_at_a_time(3, 64, 1 << 20), 3);
        assert_eq!(guests_at_a_time(3, 64, 7_000), 2);
        assert_eq!(guests_at_a_time(3, 64, 0), 1);
        assert_eq!(guests_at_a_time(1, 1, 0), 1);
    }

    #[test]
    fn what_kept_a_kernel_from_its_end_is_told_and_loses_nothing_of_the_others() {
        let ran = |ended_by, missing| Ran { ended_by, missing, ..Ran::default() };
        let turns = |runs: Vec<Option<Result<(u32, Ran)>>>| Turns::of(["a", "b", "c"].into_iter().zip(runs));
        let whole = |value| Some(Ok((value, ran(None, 0))));
        let all = turns(vec![whole(1), whole(2), whole(3)]);
        assert_eq!((all.done, all.incomplete), (vec![Some(1), Some(2), Some(3)], Vec::new()));
        assert!(all.ended_by.is_none());

        let some = turns(vec![Some(Ok((1, ran(None, 1)))), Some(Err(anyhow::anyhow!("no types"))), None]);
        assert_eq!(some.done, [Some(1), None, None]);
        assert_eq!(
            some.incomplete,
            [
                "kernel a: the guest did not report on every program",
                "kernel b: no types",
                "kernel c: not begun"
            ]
        );
        assert_eq!(format!("{:#}", some.ended_by.unwrap()), "kernel b: no types");

        // A signal is nobody's fault, and leaves nothing whole.
        let some = turns(vec![whole(1), Some(Ok((2, ran(Some(RunError::Cancelled), 7)))), None]);
        assert_eq!(some.done, [Some(1), Some(2), None]);
        assert_eq!(some.incomplete, ["kernel b: the run was interrupted", "kernel c: not begun"]);
        assert!(some.ended_by.is_none());
    }

    #[test]
    fn jobs_limit_a_guest_and_guests_share_what_is_left() {
        let flags = |jobs| GuestFlags { dialect: None, jobs, accel: AccelFlag::Tcg, timeout: 20 };
        let of = |jobs, guests| {
            let options = guest_options(&flags(jobs), guests);
            assert_eq!(options.memory_mib, run::Options::memory_for(options.vcpus));
            options.vcpus
        };
        let all = run::Options::default().vcpus;
        assert_eq!([of(None, 1), of(Some(255), 1), of(Some(1), 1), of(None, 1000)], [all, all, 1, 1]);
        let mut options = run::Options { vcpus: 8, memory_mib: 1, ..run::Options::default() };
        limit_vcpus(&mut options, 9);
        assert_eq!((options.vcpus, options.memory_mib), (8, 1));
        limit_vcpus(&mut options, 3);
        assert_eq!((options.vcpus, options.memory_mib), (3, run::Options::memory_for(3)));
    }

    #[test]
    fn every_program_comes_out_once() {
        let mut ledger = Ledger::new(["a.o", "b.o", "c.o"].map(String::from));
        assert!(!ledger.take("a.o", "p"), "not opened yet");
        ledger.opened("a.o".into(), vec!["p".into(), "q".into(), "r".into()]);
        assert!(ledger.take("a.o", "p"));
        assert!(!ledger.take("a.o", "p"), "twice");
        assert!(!ledger.take("a.o", "unwanted"));
        ledger.opened("a.o".into(), vec!["p".into(), "q".into(), "r".into()]);
        assert!(!ledger.take("a.o", "p"), "twice, after a restart");
        assert!(ledger.take("a.o", "q"));
        assert!(!ledger.close("a.o"), "it was opened");
        assert!(ledger.close("b.o"));
        assert!(!ledger.close("b.o"), "twice");
        let missing: Vec<_> = ledger.missing().collect();
        assert_eq!(missing, [("a.o".into(), "r".into()), ("c.o".into(), String::new())]);
    }

    #[test]
    fn a_star_matches_slashes() {
        let wants = |glob| Filter::new(glob).unwrap().wants("corpus/stack/spill.bpf.o", "spill_fill");
        for glob in [
            None,
            Some("*"),
            Some("*spill_fill"),
            Some("corpus/**"),
            Some("*/stack/*/spill_*"),
            Some("*.o/{x,spill}*"),
        ] {
            assert!(wants(glob), "{glob:?}");
        }
        for glob in ["spill_fill", "corpus/stack/spill.bpf.o", "*.o"] {
            assert!(!wants(Some(glob)), "{glob}");
        }
        assert!(Filter::new(Some("[")).is_err());
    }
}
