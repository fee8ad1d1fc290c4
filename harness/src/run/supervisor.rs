//! Keeps account of every program wanted while guests come and go.
//!
//! Work is a queue of items: an object, or one program of it that must be alone in the guest because it is a
//! suspect. A session is one guest; it ends when the queue is empty, when the guest dies or when a program
//! takes too long. After each the account says what is left. When everything has its outcome, the next batch of
//! objects is asked for, and the guest that is there goes on with it.
//!
//! Guests also die and hang by chance, where they are emulated or their host is busy. So no program is blamed for
//! what happened once: what was in flight is tried once more alone, and to blame if it happens again.

mod boot;
mod prepared;
mod session;
mod share;

use super::{
    Accel, Cancel, Event, Object, Options, Outcome, RunError, Work, elf, host_processors, initramfs, local,
    preparers::Preparers,
    vm::{self, Machine, Vm},
};
use crate::{image::Image, memory::MemoryFile, protocol::Stop};
use boot::BOOT_LIMIT;
use livediff_capture::{Loaded, Said, trace::Records};
use prepared::{Prepared, Symbols};
use session::End;
use std::{
    collections::{HashSet, VecDeque},
    path::PathBuf,
    time::Duration,
};

/// How often a guest is started anew before the rest of a batch is given up.
const RESTART_LIMIT: usize = 200;
/// Guests in a row that may die without a program to blame.
const IDLE_DEATH_LIMIT: usize = 3;
/// How many of the smallest objects come before the largest. Some may have nothing that can be loaded.
const SMALL_OBJECTS: usize = 8;
/// How long a guest without a program in flight may say nothing of use. With programs in flight it has the time that
/// these have at most besides.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);

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
    /// How long a guest may take until its agent answers.
    boot_limit: Duration,
    timeout: Duration,
    silence: Duration,
    stop: Option<Stop>,
    /// Tracing programs read the analysis.
    trace: bool,
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
            boot_limit: BOOT_LIMIT,
            timeout: options.timeout,
            silence: SILENCE_LIMIT,
            stop: options.stop.clone(),
            trace: options.trace,
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
                End::Died { reason, console, in_flight, begun, unsent, idle } => {
                    self.idle_deaths = if idle { self.idle_deaths + 1 } else { 0 };
                    let reason = match cause(&console) {
                        Some(line) => format!("{reason} ({line})"),
                        None => reason,
                    };
                    // It may be too large for the guest, or the guest dies of whatever it is given.
                    let lost = || format!("before the guest began with it, {reason}\n{console}");
                    let outcome = match begun {
                        true => Outcome::Crashed { console },
                        false => Outcome::Lost { reason: lost() },
                    };
                    let reason = self.held_against(&reason, &in_flight, || outcome.clone());
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

    fn no_trace(&self, reason: &str) -> RunError {
        RunError::NoTrace {
            release: self.image.release.clone(),
            path: self.image.path.display().to_string(),
            reason: reason.chars().take(2000).collect(),
        }
    }

    fn check_cancelled(&self) -> Result<(), RunError> {
        if self.cancel.is_cancelled() { Err(RunError::Cancelled) } else { Ok(()) }
    }

    /// Gives every program behind the item that has none an outcome.
    fn blame(&mut self, item: Item, outcome: &dyn Fn() -> Outcome) {
        let Some(entry) = self.entries.get_mut(item.object as usize) else { return };
        let Some(programs) = &entry.programs else {
            entry.closed = true;
            self.work.event(Event::NotOpened { object: entry.object.name.clone(), outcome: outcome() });
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

    /// Sends the outcome of a program that was loaded, and before it what was traced of the load.
    fn settle_loaded(
        &mut self,
        object: u32,
        program: u32,
        loaded: (Loaded, Said),
        records: Option<Records>,
    ) -> bool {
        if let (Some(records), false) = (records, self.settled(object, program))
            && let Some(entry) = self.entries.get(object as usize)
            && let Some(name) = entry.programs.as_ref().and_then(|programs| programs.get(program as usize))
        {
            let (object, program) = (entry.object.name.clone(), name.name.clone());
            self.work.event(Event::Traced { object, program, records });
        }
        self.settle(object, program, Outcome::Loaded(Box::new(loaded)))
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
                self.blame(item, &|| Outcome::Lost { reason: reason.to_string() });
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

#[cfg(test)]
mod tests;
