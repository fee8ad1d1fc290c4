//! Which stack slots are live, as commit fed53dbcdb keeps it: by whole call chain, with marks that may still come
//! after the first answer.
//!
//! A call chain is the list of the calls that lead to a subprogram, and the subprogram's first instruction. For each
//! call chain, each frame of it and each instruction i of its subprogram
//!
//! ```text
//! may_read[i]       = half-slots that some visit of i may read: it only grows
//! must_write[i]     = half-slots that every visit of i writes: after the first visit it only shrinks
//! live_before[i]    = (U live_before[s] over the successors s of i, less must_write[i]) u may_read[i]
//! must_write_acc[i] = (the intersection of must_write_acc[s] over the successors s of i) u must_write[i]
//! ```
//! When the fixed point of a chain is reached, the call that made it takes over what is live before its first
//! instruction as may_read, and what is certainly written from there as must_write.
//!
//! Marks are made in two ways: by the static analysis, which is driver of [`Instances`], and by a path walk, through
//! [`CallChains::mark_stack_read`] and its fellows.

use std::collections::HashMap;

use livediff_capture::insn::{func, jmp};

use super::program::Program;
use super::query::CallFrame;
use super::slots::SlotMask;
use super::subprog_args::Instances;
use crate::log::{Event, Listener, MaskKind};

/// The calls that lead to a subprogram, outermost first, then its first instruction (`struct callchain`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallChain(Vec<u32>);

impl CallChain {
    /// The call instructions, then the first instruction of the subprogram.
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }

    /// Depth of the subprogram: 0 for an entry.
    fn depth(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// The chain that a call in this one makes.
    fn extended(&self, callsite: u32, start: u32) -> CallChain {
        let outer = self.0.get(..self.depth()).unwrap_or_default();
        CallChain([outer, &[callsite, start]].concat())
    }
}

/// What one instruction does to one frame (`struct per_frame_masks`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainMasks {
    /// Half-slots that the instruction may read.
    pub may_read: SlotMask,
    /// Half-slots that every visit of the instruction writes.
    pub must_write: SlotMask,
    /// Half-slots that are certainly written by the instruction or after it in the subprogram.
    pub must_write_acc: SlotMask,
    /// Half-slots that may be read at or after the instruction before they are written.
    pub live_before: SlotMask,
}

/// A subprogram as reached through one call chain (`struct func_instance`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainInstance {
    /// The call chain.
    pub chain: CallChain,
    /// Index of the subprogram.
    pub subprog: u32,
    /// First instruction of the subprogram.
    pub start: u32,
    /// Its length in instruction slots.
    pub insn_cnt: u32,
    /// The instance of the caller.
    outer: Option<usize>,
    /// Marks came that the fixed point does not hold yet.
    updated: bool,
    /// A must_write has shrunk since the fixed point.
    must_write_dropped: bool,
    /// Per frame: the masks of each instruction, or nothing if no instruction touches the frame.
    frames: Vec<Option<Box<[ChainMasks]>>>,
    /// The instruction was visited before.
    must_write_set: Vec<bool>,
}

impl ChainInstance {
    /// The masks of an instruction, counted from the program's start, for a frame; nothing if no instruction of
    /// the instance touches the frame, or either is out of range.
    pub fn masks(&self, frame: u8, insn: u32) -> Option<&ChainMasks> {
        self.frames.get(usize::from(frame))?.as_ref()?.get(insn.checked_sub(self.start)? as usize)
    }

    /// `alloc_frame_masks`.
    fn masks_mut(&mut self, frame: usize, insn: u32) -> Option<&mut ChainMasks> {
        let insn_cnt = self.insn_cnt as usize;
        let masks = self.frames.get_mut(frame)?;
        let masks = masks.get_or_insert_with(|| vec![ChainMasks::default(); insn_cnt].into());
        masks.get_mut(insn.checked_sub(self.start)? as usize)
    }

    /// `mark_stack_read`.
    fn mark_read(&mut self, frame: usize, insn: u32, mask: SlotMask) {
        let Some(masks) = self.masks_mut(frame, insn) else { return };
        let may_read = masks.may_read | mask;
        let is_news = may_read != masks.may_read && may_read | masks.live_before != masks.live_before;
        masks.may_read = may_read;
        self.updated |= is_news;
    }

    /// Takes over all that one visit of an instruction writes, by frame (`commit_stack_write_marks`).
    fn commit_writes(&mut self, insn: u32, writes: &[SlotMask]) {
        let Some(visited) =
            insn.checked_sub(self.start).and_then(|i| self.must_write_set.get_mut(i as usize))
        else {
            return;
        };
        let was_visited = std::mem::replace(visited, true);
        for frame in 0..self.frames.len() {
            let write = writes.get(frame).copied().unwrap_or_default();
            if write.is_empty() && !was_visited {
                continue;
            }
            let Some(masks) = self.masks_mut(frame, insn) else { continue };
            let old = masks.must_write;
            let new = if was_visited { write & old } else { write };
            masks.must_write = new;
            self.updated |= new != old;
            self.must_write_dropped |= !(old & !new).is_empty();
        }
    }
}

/// Frames in the longest call chain of that commit (`MAX_CALL_FRAMES`).
const MAX_FRAMES: usize = 8;

/// The liveness of a program by call chain (`struct bpf_liveness`).
#[derive(Clone, Debug, Default)]
pub struct CallChains {
    instances: Vec<ChainInstance>,
    by_chain: HashMap<CallChain, usize>,
    /// What the instruction at work has written so far, by frame (`write_masks_acc`).
    writes: [SlotMask; MAX_FRAMES],
    /// The instance that the path walk is in (`cur_instance`).
    current: Option<usize>,
    /// The instruction that the path walk is at (`write_insn_idx`).
    write_insn: u32,
    /// Where the path walk compares states.
    prune_points: Vec<bool>,
}

impl CallChains {
    /// No call chain is known yet and no mark made.
    pub fn new(program: &Program<'_>) -> CallChains {
        CallChains { prune_points: prune_points(program), ..CallChains::default() }
    }

    /// Every instance, in the order in which they were first reached.
    pub fn instances(&self) -> &[ChainInstance] {
        &self.instances
    }

    /// `__lookup_instance`.
    fn instance(
        &mut self,
        program: &Program<'_>,
        chain: CallChain,
        outer: Option<usize>,
        subprog: usize,
    ) -> usize {
        *self.by_chain.entry(chain).or_insert_with_key(|chain| {
            let (start, end) = (program.subprogs[subprog].start, program.subprogs[subprog].end);
            let insn_cnt = end - start;
            self.instances.push(ChainInstance {
                chain: chain.clone(),
                subprog: subprog as u32,
                start,
                insn_cnt,
                outer,
                updated: false,
                must_write_dropped: false,
                frames: vec![None; chain.0.len()],
                must_write_set: vec![false; insn_cnt as usize],
            });
            self.instances.len() - 1
        })
    }

    /// The instance of frame `frame` of a call chain, made if there is none yet (`lookup_instance`); nothing if a
    /// frame's subprogram does not exist.
    fn lookup(&mut self, program: &Program<'_>, frames: &[CallFrame], frame: usize) -> Option<usize> {
        let mut id = None;
        for CallFrame { subprog, callsite } in frames.get(..=frame)? {
            let subprog = *subprog as usize;
            let start = program.subprogs.get(subprog)?.start;
            let chain = match id {
                None => CallChain(vec![start]),
                Some(outer) => {
                    let outer: &ChainInstance = self.instances.get(outer)?;
                    outer.chain.extended(*callsite, start)
                }
            };
            id = Some(self.instance(program, chain, id, subprog));
        }
        id
    }

    /// Forgets which instance the path walk is in (`bpf_reset_live_stack_callchain`): the next mark names its
    /// frames anew.
    pub fn reset_live_stack_callchain(&mut self) {
        self.current = None;
    }

    /// `ensure_cur_instance`.
    fn ensure_current(&mut self, program: &Program<'_>, frames: &[CallFrame]) -> Option<usize> {
        if self.current.is_none() {
            self.current = self.lookup(program, frames, frames.len().checked_sub(1)?);
        }
        self.current
    }

    /// The instruction that the last of `frames` is at may read half-slots of a frame (`bpf_mark_stack_read`).
    pub fn mark_stack_read(
        &mut self,
        program: &Program<'_>,
        frames: &[CallFrame],
        frame: usize,
        insn: u32,
        mask: SlotMask,
    ) {
        if let Some(current) = self.ensure_current(program, frames) {
            self.instances[current].mark_read(frame, insn, mask);
        }
    }

    /// A visit of an instruction begins: it has written nothing yet (`bpf_reset_stack_write_marks`).
    pub fn reset_stack_write_marks(&mut self, program: &Program<'_>, frames: &[CallFrame], insn: u32) {
        self.ensure_current(program, frames);
        self.write_insn = insn;
        self.writes = Default::default();
    }

    /// The instruction being visited writes half-slots of a frame (`bpf_mark_stack_write`). A chain has at most 8
    /// frames; a mark of another is none.
    pub fn mark_stack_write(&mut self, frame: usize, mask: SlotMask) {
        if let Some(writes) = self.writes.get_mut(frame) {
            *writes |= mask;
        }
    }

    /// The visit of the instruction ends: it must write no more than it has written now
    /// (`bpf_commit_stack_write_marks`).
    pub fn commit_stack_write_marks(&mut self) {
        if let Some(current) = self.current {
            self.instances[current].commit_writes(self.write_insn, &self.writes);
            self.write_insn = 0;
        }
    }

    /// Brings every instance of a call chain to its fixed point, innermost first (`bpf_update_live_stack`).
    pub fn update_live_stack(
        &mut self,
        program: &Program<'_>,
        frames: &[CallFrame],
        listener: &mut dyn Listener,
    ) {
        self.reset_live_stack_callchain();
        for frame in (0..frames.len()).rev() {
            if let Some(id) = self.lookup(program, frames, frame) {
                self.update_instance(program, id, listener);
            }
        }
    }

    /// `update_instance`.
    fn update_instance(&mut self, program: &Program<'_>, id: usize, listener: &mut dyn Listener) {
        let instance = &mut self.instances[id];
        if !instance.updated {
            return;
        }
        if instance.must_write_dropped {
            // What was certainly written may be so no more: begin again from nothing.
            for masks in instance.frames.iter_mut().flatten().flatten() {
                masks.must_write_acc = SlotMask::EMPTY;
            }
        }
        let order = program.postorder_of(instance.subprog as usize);
        let mut iterations = 0;
        let mut changed = true;
        while std::mem::take(&mut changed) {
            iterations += 1;
            for frame in 0..instance.frames.len() {
                for &idx in order {
                    changed |= update_insn(program, instance, frame, idx, &self.prune_points, listener);
                }
            }
        }
        if listener.listens() {
            listener.event(program, Event::UpdateDone { chain: &instance.chain, iterations });
        }
        instance.updated = false;
        instance.must_write_dropped = false;
        self.propagate_to_outer_instance(id);
    }

    /// Hands what is known before the first instruction to the call (`propagate_to_outer_instance`).
    fn propagate_to_outer_instance(&mut self, id: usize) {
        let instance = &self.instances[id];
        let Some(outer) = instance.outer else { return };
        let depth = instance.chain.depth();
        let Some(&callsite) = depth.checked_sub(1).and_then(|caller| instance.chain.0.get(caller)) else {
            return;
        };
        let entry = |frame: usize| instance.masks(frame as u8, instance.start).copied();
        let entries: Vec<Option<ChainMasks>> = (0..depth).map(entry).collect();
        let outer = &mut self.instances[outer];
        for (frame, entry) in entries.iter().enumerate() {
            if let Some(entry) = entry {
                outer.mark_read(frame, callsite, entry.live_before);
            }
        }
        let writes: Vec<SlotMask> =
            entries.iter().map(|entry| entry.map_or(SlotMask::EMPTY, |entry| entry.must_write_acc)).collect();
        outer.commit_writes(callsite, &writes);
    }

    /// Whether a half-slot of a frame may be read at or after `insn`, which the last of `frames` is about to
    /// execute, or in an outer frame after the call returns (`bpf_live_stack_query_init` and
    /// `bpf_stack_slot_alive`).
    ///
    /// `frame` indexes `frames`; `half_slot` is 0 to 127. False if there is no such frame or half-slot.
    pub fn stack_slot_alive(
        &self,
        program: &Program<'_>,
        frames: &[CallFrame],
        insn: u32,
        frame: usize,
        half_slot: u32,
    ) -> bool {
        let Some(current) = frames.len().checked_sub(1) else { return false };
        let live_before = |of: usize, insn: u32| {
            let id = chain_of(program, frames, of).and_then(|chain| self.by_chain.get(&chain).copied());
            let instance = id.and_then(|id| self.instances.get(id));
            let masks = instance.and_then(|instance| instance.masks(u8::try_from(frame).ok()?, insn));
            masks.is_some_and(|masks| masks.live_before.contains(half_slot))
        };
        if live_before(current, insn) {
            return true;
        }
        (frame..current).any(|outer| {
            let callsite = frames[outer + 1].callsite;
            let is_callback = program.calls_callback(callsite);
            live_before(outer, if is_callback { callsite } else { callsite.saturating_add(1) })
        })
    }
}

/// The chain of frame `frame` (`compute_callchain`).
fn chain_of(program: &Program<'_>, frames: &[CallFrame], frame: usize) -> Option<CallChain> {
    let start = program.subprogs.get(frames.get(frame)?.subprog as usize)?.start;
    let callsites = frames.get(1..=frame)?.iter().map(|frame| frame.callsite);
    Some(CallChain(callsites.chain([start]).collect()))
}

/// One step of the fixed point (`update_insn`); true if it changed anything.
fn update_insn(
    program: &Program<'_>,
    instance: &mut ChainInstance,
    frame: usize,
    idx: u32,
    prune_points: &[bool],
    listener: &mut dyn Listener,
) -> bool {
    let start = instance.start;
    let Some(Some(frame_masks)) = instance.frames.get_mut(frame) else { return false };
    let successors = program.successors(idx);
    let successors = successors.as_slice();
    if successors.is_empty() {
        return false;
    }
    let (mut live_after, mut must_write_acc) = (SlotMask::EMPTY, SlotMask::ALL);
    for successor in successors {
        // A hidden exit of a subprogram without an exit leads to instruction 0.
        let masks = successor.checked_sub(start).and_then(|s| frame_masks.get(s as usize));
        let masks = masks.copied().unwrap_or_default();
        live_after |= masks.live_before;
        must_write_acc &= masks.must_write_acc;
    }
    let Some(masks) = frame_masks.get_mut((idx - start) as usize) else { return false };
    let old = *masks;
    must_write_acc |= old.must_write;
    let live_before = live_after & !old.must_write | old.may_read;
    masks.live_before = live_before;
    masks.must_write_acc = must_write_acc;
    let is_shown = !old.may_read.is_empty()
        || !old.must_write.is_empty()
        || idx == start
        || prune_points.get(idx as usize).copied().unwrap_or(false);
    if is_shown && listener.listens() {
        let mut changed = |kind, old: SlotMask, new: SlotMask| {
            if old != new {
                let chain = &instance.chain;
                listener.event(
                    program,
                    Event::MaskChange { chain, frame: frame as u8, insn: idx, kind, old, new },
                );
            }
        };
        changed(MaskKind::Live, old.live_before, live_before);
        changed(MaskKind::Written, old.must_write_acc, must_write_acc);
    }
    live_before != old.live_before || must_write_acc != old.must_write_acc
}

impl Instances for CallChains {
    fn entry(&mut self, program: &Program<'_>, subprog: usize) -> usize {
        self.instance(program, CallChain(vec![program.subprogs[subprog].start]), None, subprog)
    }

    fn callee(&mut self, program: &Program<'_>, caller: usize, callsite: u32, subprog: usize) -> usize {
        let chain = self.instances[caller].chain.extended(callsite, program.subprogs[subprog].start);
        self.instance(program, chain, Some(caller), subprog)
    }

    fn subprog_and_depth(&self, id: usize) -> (usize, u8) {
        let instance = &self.instances[id];
        (instance.subprog as usize, instance.chain.depth() as u8)
    }

    fn begin(&mut self, _: usize) {}

    fn mark_read(&mut self, id: usize, frame: u8, insn: u32, mask: SlotMask) {
        self.instances[id].mark_read(frame.into(), insn, mask);
    }

    fn mark_write(&mut self, _: usize, frame: u8, _: u32, mask: SlotMask) {
        self.mark_stack_write(frame.into(), mask);
    }

    fn insn_recorded(&mut self, id: usize, insn: u32) {
        self.instances[id].commit_writes(insn, &self.writes);
        self.writes = Default::default();
    }

    fn returned(&mut self, _: usize, _: u32, _: usize) {}

    fn finish(&mut self, program: &Program<'_>, id: usize, listener: &mut dyn Listener) {
        self.update_instance(program, id, listener);
    }
}

/// Where the path walk compares states (`mark_prune_point` in `cfg.c`): at conditional and indirect jumps and their
/// targets, at callees, after calls, and at calls that run callbacks or advance an iterator.
fn prune_points(program: &Program<'_>) -> Vec<bool> {
    let mut points = vec![false; program.insns.len()];
    // Branches that are decided are rewritten after the points are found.
    for (idx, insn) in program.loaded.insns.iter().enumerate() {
        let after = idx + insn.slots();
        let target = usize::try_from(idx as i64 + i64::from(insn.jmp_offset()) + 1).ok();
        let callee = program.callee(idx as u32).map(|callee| program.subprogs[callee].start as usize);
        let mut mark = |at: &[Option<usize>]| {
            for at in at.iter().flatten() {
                if let Some(point) = points.get_mut(*at) {
                    *point = true;
                }
            }
        };
        if insn.is_pseudo_func() || insn.is_pseudo_call() {
            mark(&[Some(idx), Some(after), callee]);
        } else if insn.is_helper_call() || insn.is_kfunc_call() {
            mark(&[Some(after)]);
            if is_async_callback_call(program, insn)
                || program.calls_callback(idx as u32)
                || program
                    .kfunc(insn)
                    .is_some_and(|kfunc| kfunc.prototype.as_ref().is_some_and(|p| p.iter_next))
            {
                mark(&[Some(idx)]);
            }
        } else if insn.is_gotox() {
            mark(&[Some(idx)]);
        } else if insn.is_cond_jump() {
            mark(&[Some(idx), target]);
        } else if matches!(
            insn.class(),
            livediff_capture::insn::class::JMP | livediff_capture::insn::class::JMP32
        ) && insn.op() == jmp::JA
        {
            mark(&[target]);
        }
    }
    points
}

/// `bpf_is_async_callback_calling_insn`.
fn is_async_callback_call(program: &Program<'_>, insn: &livediff_capture::Insn) -> bool {
    insn.is_helper_call() && insn.imm == func::TIMER_SET_CALLBACK
        || insn.is_kfunc_call() && program.kfunc(insn).is_some_and(|kfunc| kfunc.calls_async_callback)
}
