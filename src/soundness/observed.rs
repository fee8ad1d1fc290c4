//! What a kernel that observes says (Linux 6.18 to 7.0), held against static answers.
//!
//! Such a kernel keeps, for every chain of calls, frame and instruction, the slots that are live before it, as far as the
//! paths that it walks tell, and prints each change:
//!
//! ```text
//! (12,148) frame 0 insn 150 +live -8,-16
//! (12,148) frame 0 insn 150 +written -8
//! (12,148) live stack update done in 2 iterations
//! ```
//! A change is printed at the start of a subprogram, where states are compared, and at an instruction that is known by
//! then to read or write a slot of the frame. What an instruction had before it was first printed remains untold.
//!
//! Its slots have 8 bytes: a read of any byte makes the whole slot live, and only a write of all eight bytes ends that. A
//! static answer agrees with it if it calls either half of the slot live; which half was read, is not told. Where it calls
//! both dead, the kernel that observes may simply know less. A slot that is live before an instruction and before none of its successors is read by
//! the instruction itself: of that nothing can be said but that the static answer must know it, or that the read is the
//! check of an argument, which the later kernels leave out ([`Why::ArgumentCheck`]). Of the rest the reason is looked for
//! among the known differences ([`Why`]), by finding what would be live with each of them, from the static answer's own
//! reads. What no difference explains is a [`Missed`] without a reason.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use livediff_capture::{
    KfuncPrototype,
    insn::{REG_FP, class, mode, size},
};

use super::Answers;
use crate::bpf::helpers;
use crate::verifier::{Analysis, CallFrame, Instance, Program, Stack};

/// Longest list of slots that a kernel prints whole is shorter than this (`TMP_STR_BUF_LEN`).
const CUT: usize = 310;

/// What is said when a path has ended and what is live is known anew.
const UPDATED: &str = " live stack update done in ";

/// What was printed of the slots of a frame before an instruction: bit `s` is fp-8(s+1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// They are live.
    pub live: u64,
    /// They were said to be live, or to be live no more. Of the others nothing is known.
    pub told: u64,
    /// They were said to be written from there on.
    pub written: u64,
}

/// What a kernel observed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// By chain of calls (the call instructions, then the first instruction of the subprogram), frame and instruction.
    pub slots: BTreeMap<(Vec<u32>, usize, u32), Slots>,
    /// Instructions that the path walk came to before it last looked at what is live: it does so at the end of a path,
    /// and not at the one where it refuses the program.
    pub visited: BTreeSet<u32>,
    /// Lines that tell a change.
    pub lines: usize,
}

/// Why a slot that was observed to be live may be called dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The observing kernel counts the check of a call's argument as a read: that of a global subprogram, or of a helper
    /// or kernel function that writes, but not for certain, since place or size is not known. Nothing is read.
    ArgumentCheck,
    /// Half a slot was written, or it was written by a call, an atomic instruction or through a pointer that leads to
    /// several places: the observing kernel does not count that as a write of the slot.
    NarrowWrite,
    /// The way to the read leads through a branch that later kernels decide before.
    DecidedBranch,
    /// The way to the read leads through a write that the path walk did not come to in this chain of calls, or only on
    /// the path on which it refused the program, so that the observing kernel does not know of it.
    NotVisited,
    /// The slot was taken for live around a loop before the path walk came to the write that ends it. The observing
    /// kernel starts from what it had: in the loop each instruction finds the slot live behind it, for ever.
    Loop,
}

impl Why {
    /// Every reason.
    pub const ALL: [Why; 5] =
        [Why::ArgumentCheck, Why::NarrowWrite, Why::DecidedBranch, Why::NotVisited, Why::Loop];

    /// The reason in words.
    pub fn text(self) -> &'static str {
        match self {
            Why::ArgumentCheck => "the check of an argument, counted as a read",
            Why::NarrowWrite => {
                "a write that is not counted, because it is not one of a whole slot by a store"
            }
            Why::DecidedBranch => "a branch that is decided before",
            Why::NotVisited => "a write that the path walk did not come to",
            Why::Loop => "a loop that keeps live what was live before a write was seen",
        }
    }
}

/// A slot that was observed to be live, and is called dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The frames, outermost first.
    pub frames: Vec<CallFrame>,
    /// The instruction before which it was live.
    pub insn: u32,
    /// The frame that the slot is in.
    pub frame: usize,
    /// The slot, 0 to 63.
    pub slot: u32,
    /// The instruction itself reads it.
    pub read_here: bool,
    /// The difference between the kernels that explains it; nothing if none does.
    pub why: Option<Why>,
}

/// What was held against each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Slots observed to be live before instructions, as many answers were asked for.
    pub slots: u64,
    /// Of them, those that the instruction itself was seen to read.
    pub reads: u64,
    /// Slots observed before instructions that the analysis takes for unreachable, and that the path walk did not come to.
    pub unreachable: u64,
    /// What is called dead.
    pub missed: Vec<Missed>,
}

/// Reads the log of an observing kernel. Nothing if lists in it are cut.
pub fn parse(log: &str) -> Option<Observed> {
    let mut observed = Observed::default();
    let mut since_update = Vec::new();
    for line in log.lines() {
        if let Some(insn) = visited(line) {
            since_update.push(insn);
        } else if line.contains(UPDATED) {
            observed.visited.extend(since_update.drain(..));
        }
        let Some((chain, rest)) = line.strip_prefix('(').and_then(|rest| rest.split_once(") frame ")) else {
            continue;
        };
        let chain: Option<Vec<u32>> = chain.split(',').map(|site| site.parse().ok()).collect();
        let mut words = rest.split_whitespace();
        let frame: Option<usize> = words.next().and_then(|word| word.parse().ok());
        let insn = words.next().filter(|word| *word == "insn").and_then(|_| words.next()?.parse().ok());
        let (Some(chain), Some(frame), Some(insn)) = (chain, frame, insn) else { continue };
        observed.lines += 1;
        let known = observed.slots.entry((chain, frame, insn)).or_default();
        while let (Some(what), Some(list)) = (words.next(), words.next()) {
            if list.len() >= CUT {
                return None;
            }
            let slot = |off: &str| off.parse::<i32>().ok().filter(|off| (-512..=-8).contains(off));
            let slots = list.split(',').filter_map(slot).fold(0, |mask, off| mask | 1u64 << (-off / 8 - 1));
            match what {
                "+live" => known.live |= slots,
                "-live" => known.live &= !slots,
                "+written" => known.written |= slots,
                _ => {}
            }
            if matches!(what, "+live" | "-live") {
                known.told |= slots;
            }
        }
    }
    Some(observed)
}

/// The instruction that a line of the path walk shows: `12: (bf) r1 = r2`.
fn visited(line: &str) -> Option<u32> {
    let (number, rest) = line.split_once(": (")?;
    (rest.as_bytes().get(2) == Some(&b')')).then_some(())?;
    number.parse().ok()
}

/// Holds the answers of an analysis against what was observed of the same program.
pub fn check(analysis: &Analysis<'_>, answers: &dyn Answers, observed: &Observed) -> Checked {
    let program = &analysis.program;
    // The observing kernel decides no branch before.
    let mut plain = program.clone();
    plain.insns.clone_from(&program.loaded.insns);
    let reachable: BTreeSet<u32> = program.postorder.iter().copied().collect();
    let mut checked = Checked::default();
    let mut open: Vec<(&[u32], Missed)> = Vec::new();
    let mut by_frame: BTreeMap<(&[u32], usize), BTreeMap<u32, Slots>> = BTreeMap::new();
    for ((chain, frame, insn), slots) in &observed.slots {
        by_frame.entry((chain, *frame)).or_default().insert(*insn, *slots);
    }
    for ((chain, frame), slots) in by_frame {
        let Some(frames) = frames_of(program, chain) else { continue };
        let after = Printed { plain: &plain, slots: &slots, own: frame + 1 == chain.len() }.after();
        for (&insn, &Slots { live: mask, .. }) in &slots {
            let read = mask & !after.get(&insn).copied().unwrap_or_default();
            for slot in (0..64u32).filter(|slot| mask >> slot & 1 == 1) {
                // Where the path walk did come, nothing is excused.
                if !reachable.contains(&insn) && !observed.visited.contains(&insn) {
                    checked.unreachable += 1;
                    continue;
                }
                // What a callee reads is looked for there.
                let read_here = read >> slot & 1 == 1 && !descends(program, insn);
                checked.slots += 1;
                checked.reads += u64::from(read_here);
                let alive = |half: u32| answers.alive(&frames, insn, frame, 2 * slot + half);
                if !alive(0) && !alive(1) {
                    // That it is written there for certain is no excuse for a read.
                    let check = read_here
                        && checks_arguments(program, insn)
                        && !writes(analysis, &frames, insn, frame, slot);
                    let why = check.then_some(Why::ArgumentCheck);
                    open.push((chain, Missed { frames: frames.clone(), insn, frame, slot, read_here, why }));
                }
            }
        }
    }
    explain(analysis, &plain, observed, &mut open);
    checked.missed = open.into_iter().map(|(_, missed)| missed).collect();
    checked
}

/// The frames of a chain; nothing if there is no such chain in the program.
fn frames_of(program: &Program<'_>, chain: &[u32]) -> Option<Vec<CallFrame>> {
    let (start, callsites) = chain.split_last()?;
    let mut subprogs: Vec<usize> = Vec::new();
    for callsite in callsites {
        subprogs.push(program.containing_subprog(*callsite)?);
    }
    subprogs.push(program.find_subprog(i64::from(*start))?);
    let sites = std::iter::once(*start).chain(callsites.iter().copied());
    let frame = |(subprog, callsite): (usize, u32)| CallFrame { subprog: subprog as u32, callsite };
    Some(subprogs.into_iter().zip(sites).map(frame).collect())
}

/// The path walk goes on from a call in the subprogram that it calls.
fn descends(program: &Program<'_>, idx: u32) -> bool {
    let calls = program.insn(idx).is_pseudo_call() && !calls_global(program, idx);
    calls || program.calls_callback(idx)
}

fn calls_global(program: &Program<'_>, idx: u32) -> bool {
    program.insn(idx).is_pseudo_call()
        && program.callee(idx).is_some_and(|callee| program.subprog_is_global(callee))
}

/// A call of which the path walk checks arguments as if they were read, although nothing is: of a global subprogram, or
/// one that writes.
fn checks_arguments(program: &Program<'_>, idx: u32) -> bool {
    let insn = program.insn(idx);
    if insn.is_helper_call() {
        let prototype = helpers::prototype(program.dialect, program.loaded, insn.imm);
        return prototype.is_some_and(|prototype| prototype.args.iter().any(|arg| arg.uninit));
    }
    if insn.is_kfunc_call() {
        let prototype = program.kfunc(&insn).and_then(|kfunc| kfunc.prototype.as_ref());
        let writes = |prototype: &KfuncPrototype| {
            prototype.iter_new || prototype.params.iter().any(|param| param.uninit)
        };
        return prototype.is_some_and(writes);
    }
    calls_global(program, idx)
}

/// The analysis has it that the instruction certainly writes a part of the slot.
fn writes(analysis: &Analysis<'_>, frames: &[CallFrame], insn: u32, frame: usize, slot: u32) -> bool {
    let Stack::ByCallsite(instances) = &analysis.stack else { return false };
    let Some(current) = frames.len().checked_sub(1) else { return false };
    let instance = analysis.lookup_instance(instances, frames, current);
    let masks = instance.and_then(|instance| {
        let index = (frame + usize::from(instance.depth)).checked_sub(current)?;
        instance.masks(u8::try_from(index).ok()?, insn)
    });
    masks.is_some_and(|masks| masks.must_write.bits() >> (2 * slot) & 0b11 != 0)
}

/// What was printed of one chain and frame.
struct Printed<'a> {
    plain: &'a Program<'a>,
    slots: &'a BTreeMap<u32, Slots>,
    /// The frame is that of the subprogram at the end of the chain.
    own: bool,
}

impl Printed<'_> {
    /// The slots that may be live behind each instruction of which something was printed. A slot of which nothing was
    /// printed before an instruction is as it is behind it, unless a store of the whole slot was seen: more may be live
    /// behind an instruction then than was observed, and fewer reads are told from it.
    fn after(&self) -> HashMap<u32, u64> {
        let Some(subprog) = self.slots.keys().next().and_then(|insn| self.plain.containing_subprog(*insn))
        else {
            return HashMap::new();
        };
        let range = self.plain.subprogs.get(subprog).map_or(0..0, |subprog| subprog.start..subprog.end);
        let mut before = vec![0u64; (range.end - range.start) as usize];
        let after = |before: &[u64], insn: u32| {
            let successors = self.plain.successors(insn);
            let live = successors
                .as_slice()
                .iter()
                .filter_map(|successor| before.get(successor.checked_sub(range.start)? as usize).copied());
            live.fold(0, |all, live| all | live)
        };
        let mut changed = true;
        while std::mem::take(&mut changed) {
            for insn in range.clone().rev() {
                let slots = self.slots.get(&insn).copied().unwrap_or_default();
                let untold = !slots.told & !(slots.written & self.stored(insn));
                let live = slots.live | after(&before, insn) & untold;
                if let Some(place) = before.get_mut((insn - range.start) as usize)
                    && *place != live
                {
                    *place = live;
                    changed = true;
                }
            }
        }
        self.slots.keys().map(|insn| (*insn, after(&before, *insn))).collect()
    }

    /// The slot of the own frame that an instruction stores whole, if its place is plain to see.
    fn stored(&self, insn: u32) -> u64 {
        let insn = self.plain.insn(insn);
        let whole = matches!(insn.class(), class::ST | class::STX)
            && insn.mode() == mode::MEM
            && insn.size() == size::DW
            && insn.dst_reg == REG_FP;
        let slot = -(i32::from(insn.off)) / 8 - 1;
        let plain = self.own && whole && insn.off % 8 == 0 && (0..64).contains(&slot);
        if plain { 1 << slot } else { 0 }
    }
}

/// How much less is known than the static analysis knows.
#[derive(Clone, Copy)]
struct Less<'a> {
    /// Only stores of whole slots to one place are writes.
    narrow: bool,
    /// Nothing is decided before.
    plain: Option<&'a Program<'a>>,
    /// Instructions that are not in here write nothing.
    visited: Option<&'a BTreeSet<u32>>,
}

/// Looks for the reason of what is called dead, each with its chain of calls.
fn explain(analysis: &Analysis<'_>, plain: &Program<'_>, observed: &Observed, open: &mut [(&[u32], Missed)]) {
    let Stack::ByCallsite(instances) = &analysis.stack else { return };
    if open.iter().all(|(_, missed)| missed.why.is_some()) {
        return;
    }
    // What is read by the check of an argument is read for what comes before it, too.
    let checks: Vec<(u32, u32)> = open
        .iter()
        .filter(|(_, missed)| missed.why == Some(Why::ArgumentCheck))
        .map(|(_, missed)| (missed.insn, missed.slot))
        .collect();
    let none: &[(u32, u32)] = &[];
    let exact = Less { narrow: false, plain: None, visited: None };
    let narrow = Less { narrow: true, ..exact };
    let undecided = Less { plain: Some(plain), ..narrow };
    // What the analysis's own reads and writes make live must be live, whatever the differences.
    let own = Live::new(analysis, instances, exact, none);
    let steps = [
        (Live::new(analysis, instances, exact, &checks), Why::ArgumentCheck),
        (Live::new(analysis, instances, narrow, &checks), Why::NarrowWrite),
        (Live::new(analysis, instances, undecided, &checks), Why::DecidedBranch),
    ];
    let first = |steps: &[(Live<'_>, Why)], missed: &Missed| {
        steps.iter().find(|(live, _)| live.contains(missed)).map(|(_, why)| *why)
    };
    let mut unexplained: BTreeMap<&[u32], Vec<&mut Missed>> = BTreeMap::new();
    for (chain, missed) in open {
        if missed.why.is_none() && !missed.read_here && !own.contains(missed) {
            missed.why = first(&steps, missed);
            if missed.why.is_none() {
                unexplained.entry(chain).or_default().push(missed);
            }
        }
    }
    for (chain, missed) in unexplained {
        let visited = writes_seen(observed, chain);
        let unvisited = Less { visited: Some(&visited), ..undecided };
        let steps = [
            (Live::new(analysis, instances, unvisited, &checks), Why::NotVisited),
            (Live::kept(analysis, instances, unvisited, &checks), Why::Loop),
        ];
        for missed in missed {
            missed.why = first(&steps, missed);
        }
    }
}

/// The instructions that the path walk came to and of which it was said, in this chain of calls or one that goes on from
/// it or leads to it, that there is a write from there on. Where states are compared the latter alone may be the word of
/// what follows.
fn writes_seen(observed: &Observed, chain: &[u32]) -> BTreeSet<u32> {
    let callsites = |chain: &[u32]| chain.split_last().map(|(_, callsites)| callsites.to_vec());
    let own = callsites(chain).unwrap_or_default();
    let seen = observed.slots.iter().filter(|((chain, _, insn), slots)| {
        let other = callsites(chain).unwrap_or_default();
        let related = other.starts_with(&own) || own.starts_with(&other);
        slots.written != 0 && related && observed.visited.contains(insn)
    });
    seen.map(|((.., insn), _)| *insn).collect()
}

/// What is live before each instruction, by half-slot, from the reads and writes of every instance.
struct Live<'a> {
    analysis: &'a Analysis<'a>,
    instances: &'a [Instance],
    /// By instance, frame and instruction.
    live: Vec<Vec<Vec<u128>>>,
}

impl<'a> Live<'a> {
    fn new(
        analysis: &'a Analysis<'a>,
        instances: &'a [Instance],
        less: Less<'_>,
        checks: &[(u32, u32)],
    ) -> Live<'a> {
        let sized =
            |instance: &Instance| vec![vec![0; instance.insn_cnt as usize]; usize::from(instance.depth) + 1];
        let mut live = Live { analysis, instances, live: instances.iter().map(sized).collect() };
        live.settle(less, checks);
        live
    }

    /// The same from above: what stays live where all that could be read was live at first.
    fn kept(
        analysis: &'a Analysis<'a>,
        instances: &'a [Instance],
        less: Less<'_>,
        checks: &[(u32, u32)],
    ) -> Live<'a> {
        let mut live =
            Live::new(analysis, instances, Less { visited: Some(&BTreeSet::new()), ..less }, checks);
        live.settle(less, checks);
        live
    }

    /// To the nearest solution.
    fn settle(&mut self, less: Less<'_>, checks: &[(u32, u32)]) {
        let mut changed = true;
        while std::mem::take(&mut changed) {
            for place in 0..self.instances.len() {
                changed |= self.update(place, less, checks);
            }
        }
    }

    /// One pass over an instance; true if something changed.
    fn update(&mut self, place: usize, less: Less<'_>, checks: &[(u32, u32)]) -> bool {
        let Some(instance) = self.instances.get(place) else { return false };
        let program = less.plain.unwrap_or(&self.analysis.program);
        let mut changed = false;
        for at in (0..instance.insn_cnt).rev() {
            let insn = instance.start + at;
            let successors = program.successors(insn);
            let successors = successors.as_slice();
            if successors.is_empty() {
                continue;
            }
            let callee = self.callee(instance, insn);
            for frame in 0..=instance.depth {
                let index = usize::from(frame);
                let before = |live: &[Vec<Vec<u128>>], place: usize, insn: u32| -> u128 {
                    let frames = live.get(place).and_then(|frames| frames.get(index));
                    frames.and_then(|insns| insns.get(insn as usize)).copied().unwrap_or_default()
                };
                let after = successors.iter().filter_map(|successor| {
                    Some(before(&self.live, place, successor.checked_sub(instance.start)?))
                });
                let after = after.fold(0, |all, live| all | live);
                let (mut read, write) = self.masks(instance, frame, insn, less);
                if let Some(callee) = callee {
                    read |= before(&self.live, callee, 0);
                }
                for (_, slot) in checks.iter().filter(|(check, _)| *check == insn) {
                    read |= 0b11 << (2 * slot);
                }
                let new = after & !write | read;
                let known = self.live.get_mut(place).and_then(|frames| frames.get_mut(index));
                if let Some(known) = known.and_then(|insns| insns.get_mut(at as usize))
                    && *known != new
                {
                    *known = new;
                    changed = true;
                }
            }
        }
        changed
    }

    /// The half-slots that an instruction reads, and those that it writes, as far as that is known.
    fn masks(&self, instance: &Instance, frame: u8, idx: u32, less: Less<'_>) -> (u128, u128) {
        let Some(masks) = instance.masks(frame, idx) else { return (0, 0) };
        let (read, write) = (masks.may_read.bits(), masks.must_write.bits());
        if !less.narrow {
            return (read, write);
        }
        // Whole slots: those of which any half is read, and those of which both are written.
        let upper = u128::MAX / 3;
        let (any, both) = ((read | read >> 1) & upper, write & write >> 1 & upper);
        let insn = self.analysis.program.loaded.insns.get(idx as usize).copied().unwrap_or_default();
        let stores = matches!(insn.class(), class::ST | class::STX)
            && insn.mode() == mode::MEM
            && insn.size() == size::DW;
        let counted = stores && less.visited.is_none_or(|visited| visited.contains(&idx));
        (any | any << 1, if counted { both | both << 1 } else { 0 })
    }

    /// The instance that a call of this one makes.
    fn callee(&self, instance: &Instance, callsite: u32) -> Option<usize> {
        let key = (callsite, instance.depth.checked_add(1)?);
        self.instances.binary_search_by_key(&key, |other| (other.callsite, other.depth)).ok()
    }

    /// Whether the slot is live here: before the instruction, or in an outer frame behind the call.
    fn contains(&self, missed: &Missed) -> bool {
        let Some(current) = missed.frames.len().checked_sub(1) else { return false };
        let program = &self.analysis.program;
        (missed.frame..=current).any(|of| {
            let Some(instance) = self.analysis.lookup_instance(self.instances, &missed.frames, of) else {
                return true;
            };
            let insn = match missed.frames.get(of + 1) {
                None => missed.insn,
                Some(CallFrame { callsite, .. }) if program.calls_callback(*callsite) => *callsite,
                Some(CallFrame { callsite, .. }) => callsite.saturating_add(1),
            };
            let place = self.instances.iter().position(|other| std::ptr::eq(other, instance));
            let index = (missed.frame + usize::from(instance.depth)).checked_sub(of);
            let (Some(place), Some(index)) = (place, index) else { return true };
            let frames = self.live.get(place).and_then(|frames| frames.get(index));
            let at = insn.checked_sub(instance.start);
            let live = frames.zip(at).and_then(|(insns, at)| insns.get(at as usize).copied());
            live.unwrap_or_default() >> (2 * missed.slot) & 0b11 != 0
        })
    }
}
