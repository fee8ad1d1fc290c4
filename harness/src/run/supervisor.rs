//! Keeps account of every program wanted while guests come and go.
//!
//! Work is a queue of items: an object, or one program of it that must be alone in the guest because it is a
//! suspect. A session is one guest; it ends when the queue is empty, when the guest dies or when a program
//! takes too long. After each the account says what is left. When everything has its outcome, the next batch of
//! objects is asked for, and the guest that is there goes on with it.
//!
//! Guests also die and hang by chance, where they are emulated or their host is busy. So no program is blamed for
//! what happened once: what was in flight is tried once more alone, and to blame if it happens again.

mod prepared;

use super::{
    Accel, Cancel, Event, Object, Options, Outcome, RunError, Work, accel, elf, host_processors, initramfs,
    local,
    preparers::Preparers,
    vm::{self, Ended, FromVm, Machine, Vm},
};
use crate::{
    image::Image,
    memory::MemoryFile,
    protocol::{FromGuest, PlannedProgram, Stop, ToGuest, VERSION},
};
use livediff_capture::Said;
use prepared::{Prepared, Symbols};
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    path::PathBuf,
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a guest may take until its agent answers: emulated, and by a processor that is known to work.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
/// The same where it is not known whether the processor can do it.
const KVM_TRIAL: Duration = Duration::from_secs(6);
/// How often an emulated kernel may die before its agent answers. One that is broken dies every time; a good one can
/// die of the emulation, where a processor runs code that another is patching, and the next start is fine.
const BOOT_TRIALS: usize = 3;
/// How often a guest is started anew before the rest of a batch is given up.
const RESTART_LIMIT: usize = 200;
/// Guests in a row that may die without a program to blame.
const IDLE_DEATH_LIMIT: usize = 3;
/// Bytes of objects that may wait in the guest.
const WAITING_LIMIT: usize = 32 << 20;
/// How many of the smallest objects come before the largest. Some may have nothing that can be loaded.
const SMALL_OBJECTS: usize = 8;
/// How many times the time allowed a program may take where the host leaves the guest too little processor time.
const PATIENCE: u32 = 5;
/// How long a guest without a program in flight may say nothing of use. With programs in flight it has the time that
/// these have at most besides.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);
/// Bytes of an object that a program takes at least: its symbol and an instruction.
const SMALLEST_PROGRAM: usize = 24 + 8;
/// Longest release that is believed; the kernel's own has 64 characters at most.
const RELEASE_LIMIT: usize = 128;

/// The account of one object.
struct Entry {
    object: Object,
    license: String,
    /// All its programs, once the agent has told.
    programs: Option<Vec<Program>>,
    /// Nothing more is to be done about it.
    closed: bool,
    prepared: Prepared,
}

struct Program {
    name: String,
    /// Not wanted, or its outcome is out.
    settled: bool,
}

impl Entry {
    fn settled(&self, program: u32) -> bool {
        let program = self.programs.as_ref().and_then(|programs| programs.get(program as usize));
        program.is_none_or(|program| program.settled)
    }

    fn is_settled(&self) -> bool {
        self.closed || self.programs.as_ref().is_some_and(|programs| programs.iter().all(|p| p.settled))
    }
}

/// A piece of work, and how it is named while it is in flight: an object (its opening), or a program of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Item {
    object: u32,
    program: Option<u32>,
}

/// How a guest's life ended.
enum End {
    /// There is nothing left to do.
    Done,
    /// The guest died while these were in flight, or on their way to it. `idle` if it had done nothing of use.
    Died { reason: String, console: String, in_flight: Vec<Item>, unsent: Vec<Item>, idle: bool },
    /// These took too long.
    Late { console: String, late: Vec<Item>, unsent: Vec<Item> },
}

/// Starts a guest.
type Start<'a> = Box<dyn Fn(Accel) -> Result<Vm, RunError> + 'a>;

pub(super) struct Supervisor<'a> {
    image: &'a Image,
    start: Start<'a>,
    qemu: PathBuf,
    vcpus: u32,
    memory_mib: u32,
    /// What the guest is given beside what every guest is, for messages; empty for nothing.
    given: String,
    accel: Option<Accel>,
    wanted_accel: Accel,
    timeout: Duration,
    silence: Duration,
    stop: Option<Stop>,
    entries: Vec<Entry>,
    /// To be tried alone, before anything else.
    suspects: VecDeque<Item>,
    /// What was in flight when a guest died, or took too long: it is to blame if that happens again.
    suspected: HashSet<Item>,
    /// Guests that were started anew for this batch.
    restarts: usize,
    /// Guests in a row that died without a program to blame.
    idle_deaths: usize,
    /// Who prepares objects on the host, if anybody does.
    preparers: Option<Preparers>,
    symbols: Symbols,
    /// Some object asks for them.
    symbols_wanted: bool,
    /// Bytes of prepared objects that are kept.
    kept: usize,
    /// Number of the batch.
    batch: usize,
    cancel: &'a Cancel,
    work: &'a mut dyn Work,
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(
        image: &'a Image,
        options: &Options,
        cancel: &'a Cancel,
        work: &'a mut dyn Work,
    ) -> Result<Self, RunError> {
        let vcpus = options.vcpus.clamp(1, host_processors().min(64));
        let memory_mib = memory_mib(options.memory_mib);
        if image.is_running() {
            let start = Box::new(|_| local::start());
            return Ok(Supervisor {
                vcpus,
                memory_mib,
                wanted_accel: Accel::Native,
                ..Self::with_start(start, image, options, cancel, work)
            });
        }
        let qemu = vm::find_qemu()?;
        let io = |action| move |source| RunError::Io { action, source };
        let initramfs = initramfs::build().map_err(|reason| RunError::Initramfs { reason })?;
        let initramfs =
            MemoryFile::new("initramfs", &initramfs).map_err(io("keep the initramfs in memory"))?;
        let kernel = std::path::absolute(image.bootable()).map_err(io("find the kernel image"))?;
        let (kernel_args, qemu_args) = (options.kernel_args.clone(), options.qemu_args.clone());
        let machine =
            Machine { qemu: qemu.clone(), kernel, initramfs, vcpus, memory_mib, kernel_args, qemu_args };
        let start = Box::new(move |accel| machine.start(accel));
        let preparers = options.prepare_on_host.then(|| Preparers::start(image, vcpus)).flatten();
        Ok(Supervisor {
            qemu,
            vcpus,
            memory_mib,
            preparers,
            ..Self::with_start(start, image, options, cancel, work)
        })
    }

    fn with_start(
        start: Start<'a>,
        image: &'a Image,
        options: &Options,
        cancel: &'a Cancel,
        work: &'a mut dyn Work,
    ) -> Self {
        Supervisor {
            image,
            start,
            qemu: PathBuf::new(),
            vcpus: 1,
            memory_mib: 1024,
            given: given(options),
            accel: None,
            wanted_accel: options.accel,
            timeout: options.timeout,
            silence: SILENCE_LIMIT,
            stop: options.stop.clone(),
            entries: Vec::new(),
            suspects: VecDeque::new(),
            suspected: HashSet::new(),
            restarts: 0,
            idle_deaths: 0,
            preparers: None,
            symbols: Symbols::Unknown,
            symbols_wanted: false,
            kept: 0,
            batch: 0,
            cancel,
            work,
        }
    }

    /// Takes the next batch in the place of the one that is done. False if there is none.
    fn take_batch(&mut self) -> bool {
        let has_preparers = self.preparers.is_some();
        let entry = |object: Object| Entry {
            license: elf::license(&object.bytes),
            object,
            programs: None,
            closed: false,
            prepared: if has_preparers { Prepared::Open } else { Prepared::InGuest },
        };
        self.entries = self.work.next().into_iter().map(entry).collect();
        self.suspects.clear();
        self.suspected.clear();
        (self.restarts, self.idle_deaths) = (0, 0);
        self.batch += 1;
        // They have the time that the guest takes to boot.
        self.kept = 0;
        for object in self.unsettled() {
            self.have_prepared(object);
        }
        !self.entries.is_empty()
    }

    /// The objects that have programs without outcome, the largest first: what takes longest is not to be waited for
    /// alone at the end. Before them some of the smallest, so that soon there is something to see.
    fn unsettled(&self) -> Vec<u32> {
        let unsettled = (0..).zip(&self.entries).filter(|(_, entry)| !entry.is_settled());
        let mut unsettled: Vec<(u32, usize)> =
            unsettled.map(|(object, entry)| (object, entry.object.bytes.len())).collect();
        unsettled.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        let smallest = unsettled.len().min(SMALL_OBJECTS);
        unsettled.rotate_right(smallest);
        unsettled.into_iter().map(|(object, _)| object).collect()
    }

    /// Does everything.
    pub(super) fn run(mut self) -> Result<(), RunError> {
        if !self.take_batch() {
            return Ok(());
        }
        loop {
            let vm = self.boot()?;
            let reason = match self.session(vm)? {
                End::Done => return Ok(()),
                End::Died { reason, console, in_flight, unsent, idle } => {
                    self.idle_deaths = if idle { self.idle_deaths + 1 } else { 0 };
                    let reason = match cause(&console) {
                        Some(line) => format!("{reason} ({line})"),
                        None => reason,
                    };
                    let reason = self
                        .held_against(&reason, &in_flight, || Outcome::Crashed { console: console.clone() });
                    self.suspects.extend(unsent);
                    reason
                }
                End::Late { console, late, unsent } => {
                    self.idle_deaths = 0;
                    let reason = format!("no result within {} s", self.timeout.as_secs_f32());
                    let reason =
                        self.held_against(&reason, &late, || Outcome::Timeout { console: console.clone() });
                    self.suspects.extend(unsent);
                    reason
                }
            };
            self.restarts += 1;
            if self.idle_deaths >= IDLE_DEATH_LIMIT || self.restarts >= RESTART_LIMIT {
                self.give_up(&format!(
                    "not loaded: the guest had to be restarted {} times, at last because {reason}",
                    self.restarts
                ));
            }
            if self.entries.iter().all(Entry::is_settled) && !self.take_batch() {
                return Ok(());
            }
            self.work.event(Event::GuestRestarted { reason });
        }
    }

    /// Deals with what was in flight when the guest was lost: blamed is what was alone and suspected already; all
    /// else becomes suspected and is tried again alone. Returns the whole reason of the restart.
    fn held_against(&mut self, reason: &str, items: &[Item], outcome: impl Fn() -> Outcome) -> String {
        let mut names: Vec<String> = items.iter().take(NAMED).map(|item| self.name(*item)).collect();
        if items.len() > NAMED {
            names.push(format!("{} more", items.len() - NAMED));
        }
        let names = names.join(", ");
        match items {
            [] => format!("{reason}, with no program in flight"),
            [alone] if self.suspected.contains(alone) => {
                self.blame(*alone, &outcome);
                format!("{reason}, again with {names} alone in flight")
            }
            several => {
                self.suspected.extend(several);
                self.suspects.extend(several);
                format!("{reason}, with {names} in flight; trying again, each alone")
            }
        }
    }

    /// `object/program`, or `object` for its opening.
    fn name(&self, item: Item) -> String {
        let Some(entry) = self.entries.get(item.object as usize) else { return String::new() };
        let program = |number: u32| entry.programs.as_ref()?.get(number as usize);
        match item.program.and_then(program) {
            Some(program) => format!("{}/{}", entry.object.name, program.name),
            None => entry.object.name.clone(),
        }
    }

    /// Starts a guest and waits until its agent answers.
    fn boot(&mut self) -> Result<Vm, RunError> {
        let trials: Vec<(Accel, Duration)> = match (self.accel, self.wanted_accel) {
            (Some(accel), _) => vec![(accel, BOOT_LIMIT)],
            (None, Accel::Tcg) => vec![(Accel::Tcg, BOOT_LIMIT)],
            (None, Accel::Native) => vec![(Accel::Native, BOOT_LIMIT)],
            (None, Accel::Kvm) => match accel::unusable() {
                Some(reason) => return Err(RunError::NoKvm { reason }),
                None => vec![(Accel::Kvm, BOOT_LIMIT.min(KVM_TRIAL * 2))],
            },
            (None, Accel::Auto) => match (accel::unusable(), accel::remembered(&self.qemu)) {
                (Some(_), _) | (None, Some(false)) => vec![(Accel::Tcg, BOOT_LIMIT)],
                (None, _) => vec![(Accel::Kvm, KVM_TRIAL), (Accel::Tcg, BOOT_LIMIT)],
            },
        };
        let trials = trials.into_iter().flat_map(|(accel, limit)| {
            std::iter::repeat_n((accel, limit), if accel == Accel::Tcg { BOOT_TRIALS } else { 1 })
        });
        let mut failure = (String::new(), Ended { console: String::new(), status: None });
        for (accel, limit) in trials {
            let begun = Instant::now();
            let vm = (self.start)(accel)?;
            match self.greet(&vm, limit)? {
                Ok(release) => {
                    if self.accel.is_none() {
                        if self.wanted_accel == Accel::Auto && accel == Accel::Kvm {
                            accel::remember(&self.qemu, true);
                        }
                        self.accel = Some(accel);
                        self.work.event(Event::Booted { release, accel });
                    }
                    return Ok(vm);
                }
                Err(reason) => failure = (reason, vm.finish(Duration::from_millis(500))),
            }
            // What this guest was given may be to blame, and is nothing to hold against the machine.
            if accel == Accel::Kvm && self.wanted_accel == Accel::Auto && self.given.is_empty() {
                accel::remember(&self.qemu, false);
            }
            if accel == Accel::Tcg && begun.elapsed() >= limit {
                break;
            }
        }
        let (reason, Ended { console, status }) = failure;
        if self.wanted_accel == Accel::Native {
            return Err(RunError::NoAgent { reason, words: console });
        }
        if self.wanted_accel == Accel::Kvm && self.accel.is_none() {
            return Err(RunError::NoKvm {
                reason: format!("{reason}: {}", console.lines().last().unwrap_or_default()),
            });
        }
        // A guest that ends, even by a panic of its kernel, is a success to QEMU.
        if let Some(status) = status.filter(|status| !status.success()) {
            return Err(self.qemu_failed(status, &console));
        }
        Err(RunError::NoBoot {
            release: self.image.release.clone(),
            path: self.image.path.display().to_string(),
            reason: format!("{reason}{}", self.given),
            console: if console.is_empty() { "Its console stayed empty.".to_string() } else { console },
        })
    }

    /// QEMU did not run its guest to an end: the error says what it said, and the way out.
    fn qemu_failed(&self, status: ExitStatus, words: &str) -> RunError {
        use std::os::unix::process::ExitStatusExt;
        let version = vm::version(&self.qemu);
        let way_out = match (&version, status.signal()) {
            (Some((_, true)), _) => "It is too old: 2.12 is the oldest that can do it",
            (_, Some(9)) => {
                "Somebody killed it, as the system does when the machine runs out of memory: --jobs 1 makes the guest the \
                 smallest"
            }
            _ if !self.given.is_empty() => "See whether the arguments are right",
            _ => "See whether `qemu-system-x86_64` on the PATH is a whole and current QEMU",
        };
        RunError::QemuFailed {
            version: version.map(|(version, _)| format!(" {version}")).unwrap_or_default(),
            qemu: self.qemu.display().to_string(),
            status: format!("{status}{}", self.given),
            words: if words.is_empty() { "It said nothing.".to_string() } else { words.to_string() },
            way_out,
        }
    }

    /// The agent's hello and ours. The inner error says why there was none.
    fn greet(&self, vm: &Vm, limit: Duration) -> Result<Result<String, String>, RunError> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            self.check_cancelled()?;
            match vm.receive(TICK) {
                None => {}
                Some(FromVm::Message(message, _)) => match *message {
                    FromGuest::Hello { version: VERSION, mut release } => {
                        if let Some((end, _)) = release.char_indices().nth(RELEASE_LIMIT) {
                            release.truncate(end);
                        }
                        let log_limit = (u64::from(self.memory_mib) << 20) / (4 * u64::from(self.vcpus));
                        let hello = ToGuest::Hello {
                            version: VERSION,
                            threads: self.vcpus,
                            log_limit: u32::try_from(log_limit).unwrap_or(u32::MAX).min(256 << 20),
                            stop: self.stop.clone(),
                        };
                        vm.send(hello, self.image.config.clone().unwrap_or_default());
                        return Ok(Ok(release));
                    }
                    other => {
                        let other: String = format!("{other:?}").chars().take(200).collect();
                        return Ok(Err(format!("its agent says something strange: {other}")));
                    }
                },
                Some(FromVm::Closed(reason)) => return Ok(Err(reason)),
            }
        }
        Ok(Err(format!("its agent did not answer within {} s", limit.as_secs())))
    }

    fn check_cancelled(&self) -> Result<(), RunError> {
        if self.cancel.is_cancelled() { Err(RunError::Cancelled) } else { Ok(()) }
    }

    /// Works with one guest until there is nothing to do or it ends.
    fn session(&mut self, vm: Vm) -> Result<End, RunError> {
        let mut session = Session::new(self);
        // When the guest last said something of use, which it cannot do for ever. What it says else does not count.
        let mut heard = Instant::now();
        let mut of_use_at_all = false;
        let most_silence = self.silence + self.timeout * PATIENCE;
        let ended = loop {
            self.check_cancelled()?;
            session.send_more(self, &vm);
            if session.is_done() {
                if !self.take_batch() {
                    return Ok(End::Done);
                }
                session.fill_queue(self);
                heard = Instant::now();
                continue;
            }
            let (event, behind) = match vm.take() {
                Some(event) => (Some(event), true),
                None => (vm.receive(TICK), false),
            };
            match event {
                Some(FromVm::Message(message, payload)) => {
                    let of_use = session.hear(self, &vm, *message, payload);
                    heard = if of_use { Instant::now() } else { heard };
                    of_use_at_all |= of_use;
                }
                Some(FromVm::Closed(reason)) => break reason,
                None => {}
            }
            let late = session.late(&vm, behind);
            if !late.is_empty() {
                let Ended { console, .. } = vm.finish(Duration::ZERO);
                return Ok(End::Late { console, late, unsent: session.unsent() });
            }
            let silence = heard.elapsed();
            if session.in_flight.is_empty() && silence > self.silence || silence > most_silence {
                break "the guest has gone silent".to_string();
            }
        };
        let Ended { console, status } = vm.finish(Duration::from_secs(1));
        let ended = match status.filter(|status| !status.success()) {
            Some(status) if !self.image.is_running() => format!("{ended} (QEMU ended with {status})"),
            _ => ended,
        };
        let mut in_flight: Vec<Item> = session.in_flight.keys().copied().collect();
        let idle = in_flight.is_empty() && !of_use_at_all;
        if in_flight.is_empty() {
            // It may be too large for the guest to take in.
            in_flight = session.sent.values().map(|(item, ..)| *item).collect();
            in_flight.sort();
        }
        Ok(End::Died { reason: ended, console, in_flight, unsent: session.unsent(), idle })
    }

    /// Gives every program behind the item that has none an outcome.
    fn blame(&mut self, item: Item, outcome: &dyn Fn() -> Outcome) {
        let Some(entry) = self.entries.get_mut(item.object as usize) else { return };
        let Some(programs) = &entry.programs else {
            entry.closed = true;
            let reason = match outcome() {
                Outcome::Crashed { console } => {
                    format!("the guest died of opening it; its last words:\n{console}")
                }
                Outcome::Timeout { console } => {
                    format!("opening it took too long; the console's last words:\n{console}")
                }
                Outcome::NotLoadable { reason } => reason,
                Outcome::Loaded(_) => return,
            };
            self.work.event(Event::NotOpened { object: entry.object.name.clone(), reason });
            return;
        };
        let numbers: Vec<u32> = match item.program {
            Some(program) => vec![program],
            None => (0..).take(programs.len()).collect(),
        };
        for program in numbers {
            if !self.settled(item.object, program) {
                self.settle(item.object, program, outcome());
            }
        }
    }

    fn settled(&self, object: u32, program: u32) -> bool {
        self.entries.get(object as usize).is_none_or(|entry| entry.settled(program))
    }

    /// Sends the program's outcome out, unless it has one; true if it had none.
    fn settle(&mut self, object: u32, program: u32, outcome: Outcome) -> bool {
        let Some(entry) = self.entries.get_mut(object as usize) else { return false };
        let Some(program) = entry.programs.as_mut().and_then(|programs| programs.get_mut(program as usize))
        else {
            return false;
        };
        let news = !std::mem::replace(&mut program.settled, true);
        if news {
            let (object, program) = (entry.object.name.clone(), program.name.clone());
            self.work.event(Event::Program { object, program, outcome });
        }
        news
    }

    fn give_up(&mut self, reason: &str) {
        for object in (0..).take(self.entries.len()) {
            if self.entries.get(object as usize).is_some_and(|entry| !entry.is_settled()) {
                let item = Item { object, program: None };
                self.blame(item, &|| Outcome::NotLoadable { reason: reason.to_string() });
            }
        }
    }
}

/// What the options give the guest of its own, as the end of a sentence.
fn given(options: &Options) -> String {
    match (options.kernel_args.as_str(), options.qemu_args.as_slice()) {
        ("", []) => String::new(),
        (kernel, []) => format!(", with the arguments `{kernel}` of its own"),
        (kernel, qemu) => {
            format!(", with the arguments `{kernel}` of its own and `{}` for QEMU", qemu.join(" "))
        }
    }
}

/// How often the account is looked at while nothing comes.
const TICK: Duration = Duration::from_millis(50);

/// How many of the programs in flight are named.
const NAMED: usize = 3;

/// The line of the console that says what ended the guest.
fn cause(console: &str) -> Option<&str> {
    let tells = |line: &&str| {
        ["segfault at", "BUG:", "Oops:", "Kernel panic", "Out of memory:", "livediff agent:", "panicked at"]
            .iter()
            .any(|word| line.contains(word))
    };
    let line = console.lines().find(tells)?;
    Some(
        line.trim_start().split_once("] ").filter(|(time, _)| time.starts_with('[')).map_or(line, |(_, l)| l),
    )
}

/// Memory for the guest within what the host has.
fn memory_mib(wanted: u32) -> u32 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text.lines().find_map(|line| {
        let kib = line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?;
        Some(u32::try_from(kib.parse::<u64>().ok()? / 1024 / 4 * 3).unwrap_or(u32::MAX))
    });
    wanted.min(available.unwrap_or(u32::MAX)).max(256)
}

/// What is going on in one guest.
struct Session {
    /// What is to be sent, suspects first.
    queue: VecDeque<(Item, bool)>,
    /// What was sent and is not finished: the suspect if it was one, and the size.
    sent: HashMap<u32, (Item, bool, usize)>,
    in_flight: BTreeMap<Item, Begun>,
    /// What the agent has begun with since it was sent.
    started: HashSet<Item>,
    timeout: Duration,
    vcpus: usize,
    window: usize,
    /// Objects that were sent.
    begun: usize,
}

impl Session {
    fn new(supervisor: &mut Supervisor<'_>) -> Session {
        if !matches!(supervisor.symbols, Symbols::Unknown) {
            supervisor.set_symbols(Symbols::Gone);
        }
        let mut session = Session {
            queue: VecDeque::new(),
            sent: HashMap::new(),
            in_flight: BTreeMap::new(),
            started: HashSet::new(),
            timeout: supervisor.timeout,
            vcpus: supervisor.vcpus as usize,
            window: 2 * supervisor.vcpus as usize + 2,
            begun: 0,
        };
        session.fill_queue(supervisor);
        session
    }

    /// Puts everything that has no outcome into the queue, which is empty.
    fn fill_queue(&mut self, supervisor: &mut Supervisor<'_>) {
        let mut seen = HashSet::new();
        for item in std::mem::take(&mut supervisor.suspects) {
            let settled = match item.program {
                Some(program) => supervisor.settled(item.object, program),
                None => supervisor.entries.get(item.object as usize).is_none_or(Entry::is_settled),
            };
            if !settled && seen.insert(item) {
                self.queue.push_back((item, true));
            }
        }
        let unsettled = supervisor.unsettled().into_iter();
        self.queue.extend(unsettled.map(|object| (Item { object, program: None }, false)));
    }

    /// Suspects that have not been tried.
    fn unsent(&self) -> Vec<Item> {
        self.queue.iter().filter(|(_, alone)| *alone).map(|(item, _)| *item).collect()
    }

    fn is_done(&self) -> bool {
        self.queue.is_empty() && self.sent.is_empty()
    }

    /// Keeps the guest busy, but never a suspect together with anything else.
    fn send_more(&mut self, supervisor: &mut Supervisor<'_>, vm: &Vm) {
        loop {
            supervisor.take_prepared(Duration::ZERO);
            if supervisor.symbols_wanted && matches!(supervisor.symbols, Symbols::Unknown) {
                supervisor.symbols = Symbols::Asked;
                vm.send(ToGuest::Symbols, Arc::default());
            }
            let waiting: usize = self.sent.values().map(|(.., size)| size).sum();
            let watched = self.sent.values().any(|(_, alone, _)| *alone);
            let full = watched || self.sent.len() >= self.window || waiting >= WAITING_LIMIT;
            if !self.sent.is_empty() && full {
                return;
            }
            let mut next = self.next(supervisor);
            if next.is_none() && self.sent.is_empty() && !self.queue.is_empty() {
                // The guest has nothing to do, and waits for the host.
                supervisor.take_prepared(TICK);
                next = self.next(supervisor);
            }
            let Some((place, (item, alone))) = next.and_then(|place| Some((place, *self.queue.get(place)?)))
            else {
                return;
            };
            if !self.sent.is_empty() && (alone || self.sent.contains_key(&item.object)) {
                return;
            }
            self.queue.remove(place);
            if !alone {
                self.plan(supervisor, item.object);
            }
            let Some(entry) = supervisor.entries.get(item.object as usize) else { continue };
            if entry.is_settled() {
                supervisor.set_prepared(item.object, Prepared::InGuest);
                continue;
            }
            let leave_out =
                |number: &u32| entry.settled(*number) || item.program.is_some_and(|p| p != *number);
            let programs = entry.programs.as_ref().map_or(0, Vec::len);
            let skip = (0..).take(programs).filter(leave_out).collect();
            let (message, bytes) = match &entry.prepared {
                // A suspect is given whole, lest what the host did is to blame.
                Prepared::OnHost(prepared) if !alone => {
                    (ToGuest::Prepared { id: item.object, skip }, &prepared.parts)
                }
                _ => {
                    let message = ToGuest::Object {
                        id: item.object,
                        name: entry.object.name.clone(),
                        license: entry.license.clone(),
                        only: entry.object.only.clone(),
                        skip,
                    };
                    (message, &entry.object.bytes)
                }
            };
            vm.send(message, Arc::clone(bytes));
            self.started.retain(|started| started.object != item.object);
            self.begun += 1;
            self.sent.insert(item.object, (item, alone, bytes.len()));
        }
    }

    /// The place in the queue of what is to be sent next: what does not wait for the host, and of that what the guest
    /// has to prepare, which takes long.
    fn next(&self, supervisor: &Supervisor<'_>) -> Option<usize> {
        // Nothing overtakes a suspect.
        if self.queue.front().is_some_and(|(_, alone)| *alone) {
            return Some(0);
        }
        let mut ready = None;
        for (place, (item, _)) in self.queue.iter().enumerate().filter(|(_, (_, alone))| !alone) {
            match supervisor.entries.get(item.object as usize).map(|entry| &entry.prepared) {
                Some(Prepared::Open | Prepared::Asked | Prepared::WantsSymbols) => {}
                Some(Prepared::OnHost(_)) if self.begun >= SMALL_OBJECTS => ready = ready.or(Some(place)),
                _ => return Some(place),
            }
        }
        ready
    }

    /// Takes in what the host knows of an object that it has prepared.
    fn plan(&mut self, supervisor: &mut Supervisor<'_>, object: u32) {
        let Some(entry) = supervisor.entries.get_mut(object as usize) else { return };
        let Prepared::OnHost(prepared) = &mut entry.prepared else { return };
        let (names, not_loadable) = (prepared.names.take(), std::mem::take(&mut prepared.not_loadable));
        if let Some(names) = names {
            opened(supervisor, object, names, true);
        }
        for (program, reason) in not_loadable {
            supervisor.settle(object, program, Outcome::NotLoadable { reason });
        }
    }

    /// Takes in what the agent says; true if that brings the work forward, which can be only so often. What makes no
    /// sense is passed over: a program that it leaves without a result is noticed when its object is finished.
    fn hear(
        &mut self,
        supervisor: &mut Supervisor<'_>,
        vm: &Vm,
        message: FromGuest,
        payload: Vec<u8>,
    ) -> bool {
        match message {
            FromGuest::Hello { .. } => false,
            FromGuest::Starting { object, program } => {
                let known = program.is_none_or(|program| !supervisor.settled(object, program));
                let item = Item { object, program };
                // Once: what begins again and again would never be late.
                let news = known && self.sent.contains_key(&object) && self.started.insert(item);
                if news {
                    let begun = Begun { at: Instant::now(), processor_time: vm.processor_time() };
                    self.in_flight.insert(item, begun);
                }
                news
            }
            FromGuest::Opened { object, programs } => {
                self.sent.contains_key(&object) && opened(supervisor, object, programs, false)
            }
            FromGuest::NotOpened { object, reason } => {
                self.in_flight.remove(&Item { object, program: None });
                let news = self.sent.remove(&object).is_some();
                if news {
                    supervisor.blame(Item { object, program: None }, &|| Outcome::NotLoadable {
                        reason: reason.clone(),
                    });
                }
                news
            }
            FromGuest::Prepared { object } => {
                self.in_flight.remove(&Item { object, program: None }).is_some()
            }
            FromGuest::Loaded { object, program, loaded, verdict, errno, truncated } => {
                self.in_flight.remove(&Item { object, program: Some(program) });
                let said = Said { verdict, errno, log: text(payload), truncated };
                supervisor.settle(object, program, Outcome::Loaded(Box::new((*loaded, said))))
            }
            FromGuest::Symbols => {
                let news = matches!(supervisor.symbols, Symbols::Asked);
                if news {
                    let none = payload.is_empty();
                    supervisor.set_symbols(if none { Symbols::Gone } else { Symbols::Known(payload.into()) });
                }
                news
            }
            FromGuest::Maps { object, maps } => {
                let Some(prepared) = supervisor.on_host(object) else { return false };
                let news = prepared.maps.is_empty() && !maps.is_empty();
                prepared.maps = maps;
                news
            }
            FromGuest::Unfit { object, .. } => {
                // What the guest has to prepare anyhow cannot be handed back to it.
                if supervisor.on_host(object).is_none() {
                    return false;
                }
                self.in_flight.remove(&Item { object, program: None });
                let Some((item, alone, _)) = self.sent.remove(&object) else { return false };
                supervisor.set_prepared(object, Prepared::InGuest);
                self.queue.push_front((item, alone));
                true
            }
            FromGuest::Answered { object, program, verdict, errno, truncated } => {
                self.in_flight.remove(&Item { object, program: Some(program) });
                let Some(prepared) = supervisor.on_host(object) else { return false };
                let Some(PlannedProgram { mut loaded, maps, part, .. }) = prepared.programs.remove(&program)
                else {
                    return false;
                };
                let known = prepared.maps.get(part as usize).map(Vec::as_slice).unwrap_or_default();
                loaded.maps = maps.iter().filter_map(|place| known.get(*place as usize).cloned()).collect();
                if loaded.maps.len() != maps.len() {
                    return false;
                }
                let said = Said { verdict, errno, log: text(payload), truncated };
                supervisor.settle(object, program, Outcome::Loaded(Box::new((loaded, said))))
            }
            FromGuest::NotLoadable { object, program, reason } => {
                self.in_flight.remove(&Item { object, program: Some(program) });
                supervisor.settle(object, program, Outcome::NotLoadable { reason })
            }
            FromGuest::Finished { object } => {
                let Some((item, ..)) = self.sent.remove(&object) else { return false };
                self.in_flight.retain(|item, _| item.object != object);
                let reason = "the agent gave no result for it".to_string();
                supervisor.blame(item, &|| Outcome::NotLoadable { reason: reason.clone() });
                // What it was made into is not needed any more.
                supervisor.set_prepared(object, Prepared::InGuest);
                true
            }
        }
    }

    /// What is in flight for too long. If the host is behind with listening, its result may be waiting here.
    fn late(&self, vm: &Vm, behind: bool) -> Vec<Item> {
        let busy = u32::try_from(self.in_flight.len().min(self.vcpus)).unwrap_or(u32::MAX);
        let late = self.in_flight.iter().filter(|(_, begun)| {
            let elapsed = begun.at.elapsed();
            let patient = || elapsed <= self.timeout * PATIENCE;
            let had_its_share = || !behind && begun.had_its_share(vm.processor_time(), self.timeout * busy);
            elapsed > self.timeout && (had_its_share() || !patient())
        });
        late.map(|(item, _)| *item).collect()
    }
}

/// The text of a log; what is no UTF-8 in it is replaced.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Notes the programs of an object, the first time that they are told; true if it is.
fn opened(supervisor: &mut Supervisor<'_>, object: u32, names: Vec<String>, on_host: bool) -> bool {
    let Some(entry) = supervisor.entries.get_mut(object as usize) else { return false };
    // Each program has a symbol and an instruction at least.
    let most = entry.object.bytes.len() / SMALLEST_PROGRAM;
    if entry.programs.is_some() || names.len() > most {
        return false;
    }
    let only = entry.object.only.as_ref();
    let unwanted = |name: &String| only.is_some_and(|only| !only.contains(name));
    let programs = names.iter().map(|name| Program { name: name.clone(), settled: unwanted(name) }).collect();
    entry.programs = Some(programs);
    let object = entry.object.name.clone();
    supervisor.work.event(Event::Opened { object, programs: names, on_host });
    true
}

/// When something began, and the processor time that the guest had had by then.
struct Begun {
    at: Instant,
    processor_time: Option<Duration>,
}

impl Begun {
    /// Whether the guest has had three quarters of `full`, the processor time that what is in flight can use in the
    /// time allowed. A program is not slow because the host is busy with something else.
    fn had_its_share(&self, now: Option<Duration>, full: Duration) -> bool {
        let had = now.zip(self.processor_time).map(|(now, then)| now.saturating_sub(then));
        had.is_none_or(|had| had >= full / 4 * 3)
    }
}

#[cfg(test)]
mod tests;
