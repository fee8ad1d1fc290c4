//! What is going on in one guest: what it is given, what it says of that, and what takes too long.

use super::{
    Entry, Item, Program, SMALL_OBJECTS, Supervisor, TICK,
    prepared::{Prepared, Symbols},
    share::{Given, Share},
};
use crate::{
    protocol::{FromGuest, PlannedProgram, ToGuest},
    run::{
        Event, Outcome, RunError,
        vm::{Ended, FromVm, Vm},
    },
};
use livediff_capture::{Said, trace::Records};
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

/// Bytes of objects that may wait in the guest.
const WAITING_LIMIT: usize = 32 << 20;
/// How many times the time allowed a program may take where the host leaves the guest too little processor time.
const PATIENCE: u32 = 5;
/// Bytes that are kept of a reason that a guest gives.
pub(super) const WORDS_LIMIT: usize = 16 << 10;
/// Bytes of a trace that are kept: the agent has no room for more.
pub(super) const TRACE_LIMIT: usize = 34 << 20;
/// Bytes of an object that a program takes at least: its symbol and an instruction.
const SMALLEST_PROGRAM: usize = 24 + 8;

/// How a guest's life ended.
pub(super) enum End {
    /// There is nothing left to do.
    Done,
    /// The guest died while these were in flight, or on their way to it if it had `begun` with none. `idle` if it had
    /// done nothing of use.
    Died { reason: String, console: String, in_flight: Vec<Item>, begun: bool, unsent: Vec<Item>, idle: bool },
    /// These took too long.
    Late { console: String, late: Vec<Item>, unsent: Vec<Item> },
}

impl Supervisor<'_> {
    /// Works with one guest until there is nothing to do or it ends.
    pub(super) fn session(&mut self, vm: Vm) -> Result<End, RunError> {
        let mut session = Session::new(self);
        // When the guest last said something of use, which it cannot do for ever. What it says else does not count.
        let mut heard = Instant::now();
        let mut of_use_at_all = false;
        let most_silence = self.silence + self.timeout * PATIENCE;
        let ended = loop {
            self.check_cancelled()?;
            let busy = Instant::now();
            session.send_more(self, &vm);
            heard += session.excuse(busy.elapsed());
            if session.is_done() {
                if !self.take_batch() {
                    return Ok(End::Done);
                }
                session.fill_queue(self);
                heard = Instant::now();
                continue;
            }
            session.note_share(&vm);
            let (event, behind) = match vm.take() {
                Some(event) => (Some(event), true),
                None => (vm.receive(TICK), false),
            };
            match event {
                Some(FromVm::Message(message, payload)) => {
                    if let (FromGuest::NoTrace { reason }, true) = (&*message, self.trace) {
                        return Err(self.no_trace(reason));
                    }
                    let busy = Instant::now();
                    let of_use = session.hear(self, *message, payload);
                    session.excuse(busy.elapsed());
                    heard = if of_use { Instant::now() } else { heard };
                    of_use_at_all |= of_use;
                }
                Some(FromVm::Closed(reason)) => break reason,
                None => {}
            }
            let late = session.late(behind);
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
        let begun = !in_flight.is_empty();
        if !begun {
            in_flight = session.sent.values().map(|(item, ..)| *item).collect();
            in_flight.sort();
        }
        let idle = !begun && !of_use_at_all;
        Ok(End::Died { reason: ended, console, in_flight, begun, unsent: session.unsent(), idle })
    }
}

/// What is going on in one guest.
struct Session {
    /// What is to be sent, suspects first.
    queue: VecDeque<(Item, bool)>,
    /// What was sent and is not finished: the suspect if it was one, and the size.
    sent: HashMap<u32, (Item, bool, usize)>,
    in_flight: BTreeMap<Item, Begun>,
    share: Share,
    /// What was traced of programs in flight: of as many as the guest loads at a time.
    traces: HashMap<Item, Records>,
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
            share: Share::default(),
            traces: HashMap::new(),
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
    fn hear(&mut self, supervisor: &mut Supervisor<'_>, message: FromGuest, payload: Vec<u8>) -> bool {
        match message {
            FromGuest::Hello { .. } => false,
            FromGuest::Starting { object, program } => {
                let known = program.is_none_or(|program| !supervisor.settled(object, program));
                let item = Item { object, program };
                // Once: what begins again and again would never be late.
                let news = known && self.sent.contains_key(&object) && self.started.insert(item);
                if news {
                    let begun = Begun { at: Instant::now(), given: self.share.given() };
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
                let reason = bounded(reason);
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
                let records = self.traces.remove(&Item { object, program: Some(program) });
                supervisor.settle_loaded(object, program, (*loaded, said), records)
            }
            FromGuest::NoTrace { .. } => false,
            FromGuest::Traced { object, program, hooks } => {
                let item = Item { object, program: Some(program) };
                // A guest can say that every program is in flight. Of what is not kept, nothing was traced.
                self.traces.remove(&item);
                let room = self.traces.len() < self.vcpus && payload.len() <= TRACE_LIMIT;
                if supervisor.trace && room && self.in_flight.contains_key(&item) {
                    self.traces.insert(item, Records { hooks, bytes: payload });
                }
                false
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
            FromGuest::Unfit { object, reason } => {
                // What the guest has to prepare anyhow cannot be handed back to it.
                if supervisor.on_host(object).is_none() {
                    return false;
                }
                self.in_flight.remove(&Item { object, program: None });
                let Some((item, alone, _)) = self.sent.remove(&object) else { return false };
                supervisor.set_prepared(object, Prepared::InGuest);
                self.queue.push_front((item, alone));
                if let Some(entry) = supervisor.entries.get(object as usize) {
                    let (object, reason) = (entry.object.name.clone(), bounded(reason));
                    supervisor.work.event(Event::Unfit { object, reason });
                }
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
                let records = self.traces.remove(&Item { object, program: Some(program) });
                supervisor.settle_loaded(object, program, (loaded, said), records)
            }
            FromGuest::NotLoadable { object, program, reason } => {
                self.in_flight.remove(&Item { object, program: Some(program) });
                self.traces.remove(&Item { object, program: Some(program) });
                supervisor.settle(object, program, Outcome::NotLoadable { reason: bounded(reason) })
            }
            FromGuest::Finished { object } => {
                let Some((item, ..)) = self.sent.remove(&object) else { return false };
                self.in_flight.retain(|item, _| item.object != object);
                self.traces.retain(|item, _| item.object != object);
                let reason = "the agent gave no result for it".to_string();
                supervisor.blame(item, &|| Outcome::Lost { reason: reason.clone() });
                // What it was made into is not needed any more.
                supervisor.set_prepared(object, Prepared::InGuest);
                true
            }
        }
    }

    /// Time in which nobody listened to the guest, because whoever is told of results was not done with them, is not
    /// the programs': their results may be waiting. Returns that time.
    fn excuse(&mut self, time: Duration) -> Duration {
        for begun in self.in_flight.values_mut() {
            begun.at += time;
        }
        time
    }

    /// How many processors the guest has work for.
    fn busy(&self) -> u32 {
        u32::try_from(self.in_flight.len().min(self.vcpus)).unwrap_or(u32::MAX)
    }

    /// Notes now and then what the guest has had of the processors.
    fn note_share(&mut self, vm: &Vm) {
        if self.share.is_older_than(TICK) {
            let busy = self.busy();
            self.share.note(Instant::now(), vm.usage(), busy);
        }
    }

    /// What is in flight for too long. If the host is behind with listening, its result may be waiting here.
    fn late(&self, behind: bool) -> Vec<Item> {
        let full = self.timeout * self.busy();
        let late = self.in_flight.iter().filter(|(_, begun)| {
            let elapsed = begun.at.elapsed();
            let patient = || elapsed <= self.timeout * PATIENCE;
            let had_its_share = || !behind && begun.had_its_share(self.share.given(), full);
            elapsed > self.timeout && (had_its_share() || !patient())
        });
        late.map(|(item, _)| *item).collect()
    }
}

/// The text of a log; what is no UTF-8 in it is replaced.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The beginning of a guest's words that are kept for the report.
fn bounded(mut words: String) -> String {
    words.truncate(words.floor_char_boundary(WORDS_LIMIT));
    words
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

/// When something began, later by the time in which nobody listened, and what the guest had been given by then.
pub(super) struct Begun {
    pub(super) at: Instant,
    pub(super) given: Option<Given>,
}

impl Begun {
    /// Whether the guest has had three quarters of `full`, the processor time that what is in flight can use in the
    /// time allowed, or could have had them. A program is not slow because the host is busy with something else.
    pub(super) fn had_its_share(&self, now: Option<Given>, full: Duration) -> bool {
        let had = now.zip(self.given).map(|(now, then)| now.since(&then));
        had.is_none_or(|had| had >= full / 4 * 3)
    }
}
