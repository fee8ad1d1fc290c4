//! Random paths, and what is demanded of the answers on them.

use std::collections::{BTreeSet, HashMap};

use super::{Answers, Finding, Step};
use crate::interpret::{End, Machine, STACK_SIZE, Seen, Watch};
use crate::random::Random;
use crate::verifier::{CallFrame, Program};

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// What the paths depend on.
    pub seed: u64,
    /// Paths for each entry.
    pub paths: u32,
    /// Instructions of a path.
    pub steps: u32,
    /// Findings of a program that are kept.
    pub findings: usize,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Paths.
    pub paths: u64,
    /// Instructions executed.
    pub steps: u64,
    /// Half-slots that were read and looked into.
    pub reads: u64,
    /// Answers that were asked for.
    pub answers: u64,
    /// Instructions that were executed at least once.
    pub executed: u32,
    /// Instructions that the analysis takes for reachable.
    pub reachable: u32,
    /// How paths ended, and how many.
    pub ends: Vec<(End, u64)>,
}

impl Coverage {
    /// Adds another program's.
    pub fn add(&mut self, other: &Coverage) {
        self.paths += other.paths;
        self.steps += other.steps;
        self.reads += other.reads;
        self.answers += other.answers;
        self.executed += other.executed;
        self.reachable += other.reachable;
        for (end, count) in &other.ends {
            match self.ends.iter_mut().find(|(known, _)| known == end) {
                Some((_, sum)) => *sum += count,
                None => self.ends.push((*end, *count)),
            }
        }
    }
}

/// Executes paths from every entry of a program: the program itself, global subprograms, the exception callback, and what
/// it hands to the kernel to be run later. `answers` are held against them.
pub fn check_paths(
    program: &Program<'_>,
    answers: &dyn Answers,
    limits: &Limits,
) -> (Vec<Finding>, Coverage) {
    let mut random = Random::new(limits.seed);
    let mut seen = Seen::default();
    let mut watcher = Watcher::new(program, answers, limits.findings);
    let mut ends: HashMap<End, u64> = HashMap::new();
    let globals = (1..program.subprogs.len()).filter(|subprog| program.subprog_is_global(*subprog));
    let mut entries: Vec<u32> = std::iter::once(0).chain(globals.map(|subprog| subprog as u32)).collect();
    let exception = program.loaded.exception_callback.and_then(|start| program.find_subprog(start.into()));
    entries.extend(exception.map(|subprog| subprog as u32).filter(|subprog| !entries.contains(subprog)));
    let mut at = 0;
    while let Some(&entry) = entries.get(at) {
        at += 1;
        for _ in 0..limits.paths {
            watcher.begin(entry);
            let machine = Machine::new(program, random.next(), &mut seen, &mut watcher);
            *ends.entry(machine.run(entry, limits.steps)).or_default() += 1;
            watcher.coverage.paths += 1;
        }
        entries
            .extend(seen.later.iter().filter(|later| !entries.contains(later)).copied().collect::<Vec<_>>());
    }
    let mut coverage = watcher.coverage;
    coverage.ends = ends.into_iter().collect();
    coverage.ends.sort_unstable();
    let reachable: BTreeSet<u32> = program.postorder.iter().copied().collect();
    coverage.reachable = reachable.len() as u32;
    coverage.executed =
        reachable.iter().filter(|insn| watcher.executed.get(**insn as usize) == Some(&true)).count() as u32;
    (watcher.findings, coverage)
}

/// Half-slots of a frame.
const HALF_SLOTS: usize = STACK_SIZE / 4;
/// Steps at the beginning and at the end of a path that a finding keeps.
pub(super) const KEPT: (usize, usize) = (8, 24);

/// A frame of the path at work.
struct Frame {
    /// The first step that it was there.
    born: u32,
    /// By byte, from the bottom: the first step before which it has to be live if it is read.
    since: Box<[u32; STACK_SIZE]>,
    /// By half-slot: steps of which it is known that it is live before them, first and last + 1.
    sure: Box<[(u32, u32); HALF_SLOTS]>,
}

/// The answers of one place, as far as they were asked for: by frame, those that are known and those that are "yes".
type Known = Vec<(u128, u128)>;

struct Watcher<'a> {
    answers: &'a dyn Answers,
    entry: u32,
    chain: Vec<CallFrame>,
    /// Chains by number.
    chains: Vec<Vec<CallFrame>>,
    numbers: HashMap<Vec<CallFrame>, u32>,
    /// The number of the chain at work, and of those that it grew from.
    current: Vec<u32>,
    /// Places, which are chains and instructions, by number.
    places: Vec<(u32, u32)>,
    place_numbers: HashMap<(u32, u32), u32>,
    known: Vec<Known>,
    frames: Vec<Frame>,
    /// The places of the path.
    trace: Vec<u32>,
    executed: Vec<bool>,
    findings: Vec<Finding>,
    /// Dead place, frame, half-slot and reader of each finding: one suffices.
    found: BTreeSet<(u32, usize, u32, u32)>,
    most: usize,
    coverage: Coverage,
}

impl<'a> Watcher<'a> {
    fn new(program: &Program<'_>, answers: &'a dyn Answers, most: usize) -> Watcher<'a> {
        Watcher {
            answers,
            entry: 0,
            chain: Vec::new(),
            chains: Vec::new(),
            numbers: HashMap::new(),
            current: Vec::new(),
            places: Vec::new(),
            place_numbers: HashMap::new(),
            known: Vec::new(),
            frames: Vec::new(),
            trace: Vec::new(),
            executed: vec![false; program.loaded.insns.len()],
            findings: Vec::new(),
            found: BTreeSet::new(),
            most,
            coverage: Coverage::default(),
        }
    }

    fn begin(&mut self, entry: u32) {
        self.entry = entry;
        self.chain.clear();
        self.current.clear();
        self.frames.clear();
        self.trace.clear();
    }

    /// Whether a half-slot of a frame is called live at a place.
    fn alive(&mut self, place: u32, frame: usize, half_slot: u32) -> bool {
        let Some(known) = self.known.get_mut(place as usize) else { return true };
        if known.len() <= frame {
            known.resize(frame + 1, (0, 0));
        }
        let Some((asked, alive)) = known.get_mut(frame) else { return true };
        let bit = 1u128 << (half_slot & 127);
        if *asked & bit == 0 {
            *asked |= bit;
            self.coverage.answers += 1;
            let at = self.places.get(place as usize).copied();
            let chain = at.and_then(|(chain, _)| self.chains.get(chain as usize));
            if let (Some(chain), Some((_, insn))) = (chain, at)
                && self.answers.alive(chain, insn, frame, half_slot)
            {
                *alive |= bit;
            }
        }
        *alive & bit != 0
    }

    /// The half-slot of a frame is read, by the last step; its bytes are older than step `since`.
    fn demand(&mut self, depth: usize, half_slot: u32, since: u32) {
        self.coverage.reads += 1;
        let Some(last) = self.trace.len().checked_sub(1).map(|last| last as u32) else { return };
        let sure = self.frames.get(depth).and_then(|frame| frame.sure.get(half_slot as usize).copied());
        let (sure_from, sure_to) = sure.unwrap_or_default();
        let mut step = last;
        loop {
            if (sure_from..sure_to).contains(&step) {
                // All that is known to be live is one range: go on in front of it.
                if sure_from <= since {
                    break;
                }
                step = sure_from - 1;
            }
            let Some(&place) = self.trace.get(step as usize) else { break };
            if !self.alive(place, depth, half_slot) {
                self.find(depth, half_slot, since, step, last);
                break;
            }
            if step <= since {
                break;
            }
            step -= 1;
        }
        // After a finding, too: one suffices.
        let from = if sure_to > since && sure_from < sure_to { since.min(sure_from) } else { since };
        if let Some(sure) = self.frames.get_mut(depth).and_then(|f| f.sure.get_mut(half_slot as usize)) {
            *sure = (from, last + 1);
        }
    }

    fn step_at(&self, step: u32) -> Option<Step> {
        let (chain, insn) = *self.places.get(*self.trace.get(step as usize)? as usize)?;
        Some(Step { frames: self.chains.get(chain as usize)?.clone(), insn })
    }

    fn find(&mut self, frame: usize, half_slot: u32, since: u32, dead: u32, last: u32) {
        let place = |step: u32| self.trace.get(step as usize).copied().unwrap_or_default();
        if self.findings.len() >= self.most
            || !self.found.insert((place(dead), frame, half_slot, place(last)))
        {
            return;
        }
        let (Some(dead), Some(read)) = (self.step_at(dead), self.step_at(last)) else { return };
        let made = self.frames.get(frame).is_some_and(|frame| frame.born == since);
        let written = if made { None } else { since.checked_sub(1).and_then(|step| self.step_at(step)) };
        let first = if written.is_some() { since.saturating_sub(1) } else { since };
        let length = (last - first + 1) as usize;
        let whole = length <= KEPT.0 + KEPT.1;
        let kept =
            (first..=last).enumerate().filter(|(at, _)| whole || *at < KEPT.0 || *at >= length - KEPT.1);
        let path: Vec<Step> = kept.filter_map(|(_, step)| self.step_at(step)).collect();
        let left_out = length - path.len();
        let entry = self.entry;
        self.findings.push(Finding { entry, frame, half_slot, written, dead, read, path, left_out });
    }

    fn chain_changed(&mut self) {
        let number = match self.numbers.get(&self.chain) {
            Some(number) => *number,
            None => {
                let number = self.chains.len() as u32;
                self.chains.push(self.chain.clone());
                self.numbers.insert(self.chain.clone(), number);
                number
            }
        };
        self.current.push(number);
    }
}

/// Bytes by half-slot: the half-slot that a byte, counted from the bottom of the frame, is in.
fn half_slot_of(byte: usize) -> u32 {
    ((STACK_SIZE - 1).saturating_sub(byte) / 4) as u32
}

fn bytes(off: i64, size: usize) -> std::ops::Range<usize> {
    let start = usize::try_from(off + STACK_SIZE as i64).unwrap_or(STACK_SIZE);
    start..start.saturating_add(size).min(STACK_SIZE)
}

impl Watch for Watcher<'_> {
    fn entered(&mut self, subprog: u32, callsite: u32) {
        let since = self.trace.len() as u32;
        self.chain.push(CallFrame { subprog, callsite });
        self.chain_changed();
        let (bytes, sure) = (Box::new([since; STACK_SIZE]), Box::new([(0, 0); HALF_SLOTS]));
        self.frames.push(Frame { born: since, since: bytes, sure });
    }

    fn left(&mut self) {
        self.chain.pop();
        self.current.pop();
        self.frames.pop();
    }

    fn step(&mut self, insn: u32) {
        let key = (self.current.last().copied().unwrap_or_default(), insn);
        let place = match self.place_numbers.get(&key) {
            Some(place) => *place,
            None => {
                let place = self.places.len() as u32;
                self.places.push(key);
                self.known.push(Vec::new());
                self.place_numbers.insert(key, place);
                place
            }
        };
        self.trace.push(place);
        self.coverage.steps += 1;
        if let Some(executed) = self.executed.get_mut(insn as usize) {
            *executed = true;
        }
    }

    fn read(&mut self, depth: usize, off: i64, size: usize) {
        let mut bytes = bytes(off, size).peekable();
        while let Some(byte) = bytes.next() {
            let half_slot = half_slot_of(byte);
            let since_of = |watcher: &Self, byte: usize| {
                watcher.frames.get(depth).and_then(|frame| frame.since.get(byte).copied()).unwrap_or_default()
            };
            let mut since = since_of(self, byte);
            while let Some(next) = bytes.next_if(|next| half_slot_of(*next) == half_slot) {
                since = since.min(since_of(self, next));
            }
            self.demand(depth, half_slot, since);
        }
    }

    fn wrote(&mut self, depth: usize, off: i64, size: usize) {
        let next = self.trace.len() as u32;
        if let Some(bytes) = self.frames.get_mut(depth).and_then(|f| f.since.get_mut(bytes(off, size))) {
            bytes.fill(next);
        }
    }
}
