//! Which stack slots each instruction may read and must write, and which are live before it: Linux 7.1 and later.
//!
//! For every pair of call site and depth through which a subprogram is reached with a pointer into a frame, and for
//! every subprogram as an entry, there is an [`Instance`]. For each frame of its call chain and each instruction i
//! of the subprogram it holds
//!
//! ```text
//! may_read[i]    = half-slots that i may read, in a callee included
//! must_write[i]  = half-slots that i writes whatever happens
//! live_before[i] = (U live_before[s] over the successors s of i, less must_write[i]) u may_read[i]
//! ```
//! may_read and must_write come from where pointers lead ([`super::record`]); a call reads what is live before the
//! first instruction of its callee. When an instance is reached again with other arguments, may_read becomes the
//! union and must_write the intersection of what both analyses found.

use std::collections::HashMap;

use super::program::Program;
use super::slots::SlotMask;
use super::subprog_args::Instances;
use crate::log::{Event, Listener};

/// What one instruction does to one frame (`struct per_frame_masks`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameMasks {
    /// Half-slots that the instruction may read.
    pub may_read: SlotMask,
    /// Half-slots that the instruction writes on every path through it.
    pub must_write: SlotMask,
    /// Half-slots that may be read at or after the instruction before they are written.
    pub live_before: SlotMask,
}

/// A subprogram as reached through one call site at one depth (`struct func_instance`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The call instruction; the subprogram's first instruction at depth 0.
    pub callsite: u32,
    /// Depth in the call chain; an instance has the frames `0..=depth`.
    pub depth: u8,
    /// Index of the subprogram.
    pub subprog: u32,
    /// First instruction of the subprogram.
    pub start: u32,
    /// Its length in instruction slots.
    pub insn_cnt: u32,
    /// Per frame: the masks of each instruction, or nothing if no instruction touches the frame.
    frames: Vec<Option<Box<[FrameMasks]>>>,
}

impl Instance {
    fn new(callsite: u32, depth: u8, subprog: u32, start: u32, insn_cnt: u32) -> Instance {
        let frames = vec![None; usize::from(depth) + 1];
        Instance { callsite, depth, subprog, start, insn_cnt, frames }
    }

    /// The masks of an instruction, counted from the program's start, for a frame; nothing if no instruction of
    /// the instance touches the frame, or either is out of range.
    pub fn masks(&self, frame: u8, insn: u32) -> Option<&FrameMasks> {
        self.frames.get(usize::from(frame))?.as_ref()?.get(insn.checked_sub(self.start)? as usize)
    }

    fn masks_mut(&mut self, frame: u8, insn: u32) -> Option<&mut FrameMasks> {
        let insn_cnt = self.insn_cnt as usize;
        let masks = self.frames.get_mut(usize::from(frame))?;
        let masks = masks.get_or_insert_with(|| vec![FrameMasks::default(); insn_cnt].into());
        masks.get_mut(insn.checked_sub(self.start)? as usize)
    }

    /// Joins an earlier analysis of the same instance into this one (`merge_instances`).
    fn merge(&mut self, earlier: &Instance) {
        for (masks, earlier) in self.frames.iter_mut().zip(&earlier.frames) {
            match (masks, earlier) {
                (None, None) => {}
                (Some(masks), None) => masks.iter_mut().for_each(|m| m.must_write = SlotMask::EMPTY),
                (masks @ None, Some(earlier)) => {
                    let mut merged = earlier.clone();
                    merged.iter_mut().for_each(|m| m.must_write = SlotMask::EMPTY);
                    *masks = Some(merged);
                }
                (Some(masks), Some(earlier)) => {
                    for (masks, earlier) in masks.iter_mut().zip(earlier) {
                        masks.may_read |= earlier.may_read;
                        masks.must_write &= earlier.must_write;
                    }
                }
            }
        }
    }

    /// Computes live_before to its fixed point (`update_instance`).
    fn update(&mut self, program: &Program<'_>) {
        let order = program.postorder_of(self.subprog as usize);
        let start = self.start;
        for masks in self.frames.iter_mut().flatten() {
            let mut changed = true;
            while std::mem::take(&mut changed) {
                for &idx in order {
                    let successors = program.successors(idx);
                    let successors = successors.as_slice();
                    // Before an exit nothing is live, whatever it may read.
                    if successors.is_empty() {
                        continue;
                    }
                    let mut after = SlotMask::EMPTY;
                    for successor in successors {
                        // A hidden exit of a subprogram without an exit leads to instruction 0.
                        let successor = successor.checked_sub(start).and_then(|s| masks.get(s as usize));
                        after |= successor.map_or(SlotMask::EMPTY, |masks| masks.live_before);
                    }
                    let Some(masks) = masks.get_mut((idx - start) as usize) else { continue };
                    let before = after & !masks.must_write | masks.may_read;
                    changed |= before != masks.live_before;
                    masks.live_before = before;
                }
            }
        }
    }
}

/// Every instance of a program (`struct bpf_liveness`).
#[derive(Clone, Debug, Default)]
pub(crate) struct ByCallsite {
    instances: Vec<Instance>,
    /// The analysis at work of each instance. What it finds is kept apart from what earlier ones found, so that
    /// nothing of them counts as written.
    at_work: Vec<Option<Instance>>,
    /// The instance was analysed before (`must_write_initialized`).
    analyzed: Vec<bool>,
    by_key: HashMap<(u32, u8), usize>,
}

impl ByCallsite {
    /// `call_instance`.
    fn instance(&mut self, program: &Program<'_>, callsite: u32, depth: u8, subprog: usize) -> usize {
        *self.by_key.entry((callsite, depth)).or_insert_with(|| {
            let (start, end) = (program.subprogs[subprog].start, program.subprogs[subprog].end);
            self.instances.push(Instance::new(callsite, depth, subprog as u32, start, end - start));
            self.at_work.push(None);
            self.analyzed.push(false);
            self.instances.len() - 1
        })
    }

    /// The instances, ascending by call site, then depth; the listener is told of each (`print_instances`).
    pub(crate) fn into_sorted(self, program: &Program<'_>, listener: &mut dyn Listener) -> Vec<Instance> {
        let mut instances = self.instances;
        instances.sort_by_key(|instance| (instance.callsite, instance.depth));
        if listener.listens() {
            for instance in &instances {
                listener.event(program, Event::Instance(instance));
            }
        }
        instances
    }

    fn masks_at_work(&mut self, id: usize, frame: u8, insn: u32) -> Option<&mut FrameMasks> {
        self.at_work[id].as_mut()?.masks_mut(frame, insn)
    }
}

impl Instances for ByCallsite {
    fn entry(&mut self, program: &Program<'_>, subprog: usize) -> usize {
        self.instance(program, program.subprogs[subprog].start, 0, subprog)
    }

    fn callee(&mut self, program: &Program<'_>, caller: usize, callsite: u32, subprog: usize) -> usize {
        self.instance(program, callsite, self.instances[caller].depth + 1, subprog)
    }

    fn subprog_and_depth(&self, id: usize) -> (usize, u8) {
        (self.instances[id].subprog as usize, self.instances[id].depth)
    }

    fn begin(&mut self, id: usize) {
        let Instance { callsite, depth, subprog, start, insn_cnt, .. } = self.instances[id];
        self.at_work[id] = Some(Instance::new(callsite, depth, subprog, start, insn_cnt));
    }

    fn mark_read(&mut self, id: usize, frame: u8, insn: u32, mask: SlotMask) {
        if let Some(masks) = self.masks_at_work(id, frame, insn) {
            masks.may_read |= mask;
        }
    }

    fn mark_write(&mut self, id: usize, frame: u8, insn: u32, mask: SlotMask) {
        if let Some(masks) = self.masks_at_work(id, frame, insn) {
            masks.must_write |= mask;
        }
    }

    fn insn_recorded(&mut self, _: usize, _: u32) {}

    fn returned(&mut self, caller: usize, callsite: u32, callee: usize) {
        let Instance { depth, start, .. } = self.instances[callee];
        for frame in 0..depth {
            if let Some(entry) = self.instances[callee].masks(frame, start).copied() {
                self.mark_read(caller, frame, callsite, entry.live_before);
            }
        }
    }

    fn finish(&mut self, program: &Program<'_>, id: usize, _: &mut dyn Listener) {
        let Some(mut found) = self.at_work[id].take() else { return };
        if std::mem::replace(&mut self.analyzed[id], true) {
            found.merge(&self.instances[id]);
        }
        found.update(program);
        self.instances[id] = found;
    }
}
