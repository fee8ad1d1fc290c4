//! Which stack slots each instruction may read and must write, and which are live before it.
//!
//! For every way to reach a subprogram that matters, a pair of call site and depth, there is an [`Instance`]. For
//! each frame of its call chain and each instruction i of the subprogram it holds
//!
//! ```text
//! may_read[i]    = half-slots that i may read, in a callee included
//! must_write[i]  = half-slots that i writes whatever happens
//! live_before[i] = (U live_before[s] over the successors s of i, less must_write[i]) u may_read[i]
//! ```
//! may_read and must_write come from where pointers lead ([`super::arg_track`]); a call site reads what is live
//! before the first instruction of its callee. When an instance is reached again with other arguments, may_read
//! becomes the union and must_write the intersection of what both analyses found.

use std::collections::HashMap;
use std::rc::Rc;

use livediff_capture::insn::{atomic, class, func, jmp, mode};

use super::arg_track::{self, ArgTrack, Context, EntryArgs, Regs, STACK_ARGS, Slots, State};
use super::error::{Error, Pass, errno};
use super::program::Program;
use super::slots::{HALF_SLOT_SIZE, SlotMask};
use super::stack_access::{self, Access, REG_ARGS};
use crate::log::{Event, Listener, Place};

/// Analyses of subprograms before the kernel gives up.
const MAX_SUBPROG_CALLS: u32 = 10_000;

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
    /// The instance was analysed before (`must_write_initialized`).
    analyzed: bool,
}

impl Instance {
    fn new(callsite: u32, depth: u8, subprog: u32, start: u32, insn_cnt: u32) -> Instance {
        let frames = vec![None; usize::from(depth) + 1];
        Instance { callsite, depth, subprog, start, insn_cnt, frames, analyzed: false }
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

    fn mark_read(&mut self, frame: u8, insn: u32, mask: SlotMask) {
        if let Some(masks) = self.masks_mut(frame, insn) {
            masks.may_read |= mask;
        }
    }

    fn mark_write(&mut self, frame: u8, insn: u32, mask: SlotMask) {
        if let Some(masks) = self.masks_mut(frame, insn) {
            masks.must_write |= mask;
        }
    }

    fn mark_all_read(&mut self, insn: u32) {
        for frame in 0..=self.depth {
            self.mark_read(frame, insn, SlotMask::ALL);
        }
    }

    /// `record_imprecise`: any slot of any of these frames may be read.
    fn record_imprecise(&mut self, frames: u16, insn: u32) {
        for frame in (0..=self.depth.min(15)).filter(|frame| frames >> frame & 1 == 1) {
            self.mark_read(frame, insn, SlotMask::ALL);
        }
    }

    /// Records what an instruction does through a pointer.
    fn record(&mut self, pointer: ArgTrack, access: Access, insn: u32) {
        match (pointer, access) {
            (ArgTrack::None, _) | (_, Access::None) => {}
            (ArgTrack::Imprecise(frames), _) => self.record_imprecise(frames, insn),
            (ArgTrack::Fp { frame, .. }, _) if frame > self.depth => {}
            (ArgTrack::Fp { offsets, .. }, Access::Write(_)) if offsets.as_slice().len() != 1 => {}
            (ArgTrack::Fp { frame, offsets }, _) if offsets.is_unknown() => {
                self.mark_read(frame, insn, SlotMask::ALL);
            }
            (ArgTrack::Fp { frame, offsets }, _) => {
                for &off in offsets.as_slice() {
                    self.record_off(frame, off, access, insn);
                }
            }
        }
    }

    /// `record_stack_access_off`: a read touches every half-slot of which it reads a byte, a write those of which
    /// it writes all bytes. An access at or above the frame pointer is none; the path walk refuses it.
    fn record_off(&mut self, frame: u8, off: i16, access: Access, insn: u32) {
        let below = -i64::from(off);
        if below <= 0 {
            return;
        }
        let last_read = (below - 1) / HALF_SLOT_SIZE;
        match access {
            Access::None => {}
            Access::Unknown => self.mark_read(frame, insn, SlotMask::range(0, last_read)),
            Access::Read(size) => {
                let first = below.saturating_sub_unsigned(size) / HALF_SLOT_SIZE;
                self.mark_read(frame, insn, SlotMask::range(first, last_read));
            }
            Access::Write(size) => {
                let first = (below.saturating_sub_unsigned(size) + HALF_SLOT_SIZE - 1) / HALF_SLOT_SIZE;
                let last = below / HALF_SLOT_SIZE - 1;
                self.mark_write(frame, insn, SlotMask::range(first, last));
            }
        }
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
        self.analyzed = true;
        let order = postorder_of(program, self.subprog as usize);
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

fn postorder_of<'p>(program: &'p Program<'_>, subprog: usize) -> &'p [u32] {
    let range = program.subprogs.get(subprog).map_or(0..0, |subprog| subprog.postorder.clone());
    program.postorder.get(range).unwrap_or_default()
}

/// The states before each instruction of a subprogram at its fixed point.
type States = Rc<Vec<Option<State>>>;

/// The callback that a helper's call runs.
enum Callback {
    /// The call runs none that is analysed from here.
    None,
    /// It runs one that is not known; the register holds what it is given.
    Unknown { context_reg: usize },
    /// It runs this subprogram with one argument taken from a register of the caller.
    Known { subprog: usize, context_reg: usize, callee_reg: usize },
}

/// The analysis of all subprograms (`struct bpf_liveness` while it is computed).
struct Analyzer<'a, 'p> {
    program: &'a Program<'p>,
    listener: &'a mut dyn Listener,
    listens: bool,
    instances: Vec<Instance>,
    by_key: HashMap<(u32, u8), usize>,
    /// The latest states of each subprogram: a deeper analysis of the same subprogram replaces them.
    states: Vec<Option<States>>,
    /// The frame's slots at each call, as the latest analysis of the caller found them.
    slots_at_call: HashMap<u32, Rc<Slots>>,
    /// The call site in each frame that leads to the subprogram at work.
    callsites: [u32; 16],
    subprog_calls: u32,
}

/// Analyses every subprogram (`bpf_compute_subprog_arg_access`): callers before callees, so that a callee is
/// reached with the arguments it gets; what was not reached so, and every global subprogram, as an entry of its
/// own.
pub(crate) fn compute_subprog_arg_access(
    program: &Program<'_>,
    listener: &mut dyn Listener,
) -> Result<Vec<Instance>, Error> {
    let listens = listener.listens();
    let mut analyzer = Analyzer {
        program,
        listener,
        listens,
        instances: Vec::new(),
        by_key: HashMap::new(),
        states: vec![None; program.subprogs.len()],
        slots_at_call: HashMap::new(),
        callsites: [0; 16],
        subprog_calls: 0,
    };
    for &subprog in program.topo_order.iter().rev() {
        let subprog = subprog as usize;
        if analyzer.states[subprog].is_some() && !program.subprog_is_global(subprog) {
            continue;
        }
        let instance = analyzer.instance(program.subprogs[subprog].start, 0, subprog);
        analyzer.analyze_subprog(instance, &EntryArgs::NONE)?;
    }
    let Analyzer { mut instances, listener, .. } = analyzer;
    instances.sort_by_key(|instance| (instance.callsite, instance.depth));
    if listens {
        for instance in &instances {
            listener.event(program, Event::Instance(instance));
        }
    }
    Ok(instances)
}

impl Analyzer<'_, '_> {
    fn emit(&mut self, event: Event<'_>) {
        if self.listens {
            self.listener.event(self.program, event);
        }
    }

    /// Finds or makes the instance (`call_instance`).
    fn instance(&mut self, callsite: u32, depth: u8, subprog: usize) -> usize {
        let subprogs = &self.program.subprogs;
        let instances = &mut self.instances;
        *self.by_key.entry((callsite, depth)).or_insert_with(|| {
            let (start, end) = (subprogs[subprog].start, subprogs[subprog].end);
            instances.push(Instance::new(callsite, depth, subprog as u32, start, end - start));
            instances.len() - 1
        })
    }

    /// Analyses a subprogram with these arguments, and from it its callees with theirs (`analyze_subprog`).
    fn analyze_subprog(&mut self, instance: usize, args: &EntryArgs) -> Result<(), Error> {
        self.subprog_calls += 1;
        if self.subprog_calls > MAX_SUBPROG_CALLS {
            let calls = self.subprog_calls;
            let message = format!("liveness analysis exceeded complexity limit ({calls} calls)");
            return Err(Error::new(Pass::ArgAccess, errno::E2BIG, message));
        }
        let program = self.program;
        // What is found goes into a new instance, so that nothing of an earlier analysis counts as written.
        let Instance { callsite, depth, subprog, start, insn_cnt, .. } = self.instances[instance];
        let mut found = Instance::new(callsite, depth, subprog, start, insn_cnt);
        self.compute_subprog_args(&mut found, args);

        let subprog = subprog as usize;
        for &idx in postorder_of(program, subprog) {
            // A callback that leads back to this subprogram replaces the states of the analysis at work.
            let state =
                self.states[subprog].as_ref().and_then(|states| states.get((idx - start) as usize)?.as_ref());
            let regs = state.map_or([ArgTrack::None; arg_track::TRACKED_REGS], |state| state.regs);
            let (callee, callee_args) = if program.insn(idx).is_pseudo_call() {
                match program.callee(idx) {
                    Some(callee) => (callee, EntryArgs::of_call(&regs)),
                    None => continue,
                }
            } else if program.calls_callback(idx) {
                match find_callback(program, idx) {
                    Callback::Known { subprog, context_reg, callee_reg } => {
                        let mut args = EntryArgs::NONE;
                        args.regs[callee_reg - 1] = regs[context_reg];
                        (subprog, args)
                    }
                    Callback::Unknown { context_reg } => {
                        if regs[context_reg] != ArgTrack::None {
                            found.mark_all_read(idx);
                        }
                        continue;
                    }
                    Callback::None => continue,
                }
            } else {
                continue;
            };
            if !callee_args.has_fp() {
                continue;
            }
            if depth == program.dialect.max_call_frames() - 1 {
                return Err(Error::silent(Pass::ArgAccess, errno::EINVAL));
            }
            let callee = self.instance(idx, depth + 1, callee);
            self.callsites[usize::from(depth)] = idx;
            self.analyze_subprog(callee, &callee_args)?;

            // What the callee may read of outer frames is read at the call.
            let callee = &self.instances[callee];
            for frame in 0..callee.depth {
                if let Some(entry) = callee.masks(frame, callee.start) {
                    found.mark_read(frame, idx, entry.live_before);
                }
            }
        }

        let earlier = &self.instances[instance];
        if earlier.analyzed {
            found.merge(earlier);
        }
        found.update(program);
        self.instances[instance] = found;
        Ok(())
    }

    /// Finds what every register and slot holds before each instruction, then what each instruction reads and
    /// writes (`compute_subprog_args`).
    fn compute_subprog_args(&mut self, instance: &mut Instance, args: &EntryArgs) {
        let program = self.program;
        let Instance { subprog, depth, start, insn_cnt, .. } = *instance;
        let range = start..start + insn_cnt;
        let order = postorder_of(program, subprog as usize);
        self.emit(Event::Analyzing { subprog, depth });

        let mut states: Vec<Option<State>> = vec![None; insn_cnt as usize];
        if let Some(entry) = states.first_mut() {
            *entry = Some(args.entry_state(depth));
        }
        let callsites = self.callsites;
        loop {
            let mut changed = false;
            for &idx in order.iter().rev() {
                let Some(before) = &states[(idx - start) as usize] else { continue };
                let mut after = before.clone();
                let slots_at_call = &self.slots_at_call;
                let parent_slots = |frame: u8| slots_at_call.get(callsites.get(usize::from(frame))?).cloned();
                let context = Context { depth, stack_args: &args.stack, parent_slots: &parent_slots };
                arg_track::transfer(&program.insn(idx), &mut after, &context);
                if self.listens {
                    let event = Event::Transfer { insn: idx, before, after: &after };
                    self.listener.event(program, event);
                }
                for &target in program.successors(idx).as_slice() {
                    if range.contains(&target) {
                        changed |=
                            self.join_state(&mut states[(target - start) as usize], &after, idx, target);
                    }
                }
            }
            if !changed {
                break;
            }
        }

        for &idx in order.iter().rev() {
            let Some(state) = &states[(idx - start) as usize] else { continue };
            let insn = program.insn(idx);
            record_load_store(program, instance, &state.regs, idx);
            if insn.code == class::JMP | jmp::CALL {
                record_call(program, instance, &state.regs, idx);
            }
            if insn.is_pseudo_call() || program.calls_callback(idx) {
                self.slots_at_call.insert(idx, Rc::clone(&state.slots));
            }
        }
        self.emit(Event::SubprogArgs { subprog, depth, states: &states });
        self.states[subprog as usize] = Some(Rc::new(states));
    }

    /// Joins what comes from `insn` into what is known before `target`; true if that changed (`arg_track_join`
    /// for every register and slot).
    fn join_state(&mut self, known: &mut Option<State>, incoming: &State, insn: u32, target: u32) -> bool {
        let Some(known) = known else {
            *known = Some(incoming.clone());
            return true;
        };
        let mut changed = false;
        let mut join = |old: ArgTrack, incoming: ArgTrack, place: Place| {
            let joined = old.join(incoming);
            if joined == old {
                return None;
            }
            changed = true;
            self.emit(Event::Join { insn, target, place, old, incoming, joined });
            Some(joined)
        };
        for (r, (old, incoming)) in known.regs.iter_mut().zip(incoming.regs).enumerate() {
            let place = match r.checked_sub(livediff_capture::insn::MAX_BPF_REG) {
                None => Place::Reg(r as u8),
                Some(slot) => Place::StackArg(slot as u8),
            };
            *old = join(*old, incoming, place).unwrap_or(*old);
        }
        if !Rc::ptr_eq(&known.slots, &incoming.slots) {
            for (slot, incoming) in incoming.slots.iter().enumerate() {
                if let Some(joined) = join(known.slots[slot], *incoming, Place::Slot(slot as u8)) {
                    Rc::make_mut(&mut known.slots)[slot] = joined;
                }
            }
        }
        changed
    }
}

/// `record_load_store_access`.
fn record_load_store(program: &Program<'_>, instance: &mut Instance, regs: &Regs, idx: u32) {
    let insn = program.insn(idx);
    if insn.is_stack_arg_stx() || insn.is_stack_arg_st() || insn.is_stack_arg_ldx() {
        return;
    }
    let size = insn.size_bytes() as u64;
    let (reg, access) = match insn.class() {
        class::LDX => (insn.src_reg, Access::Read(size)),
        class::ST => (insn.dst_reg, Access::Write(size)),
        class::STX if insn.mode() == mode::ATOMIC => match insn.imm {
            atomic::STORE_REL => (insn.dst_reg, Access::Write(size)),
            atomic::LOAD_ACQ => (insn.src_reg, Access::Read(size)),
            _ => (insn.dst_reg, Access::Read(size)),
        },
        class::STX => (insn.dst_reg, Access::Write(size)),
        _ => return,
    };
    let pointer = match regs.get(usize::from(reg)) {
        Some(ArgTrack::Fp { frame, offsets }) => {
            ArgTrack::Fp { frame: *frame, offsets: offsets.moved(insn.off.into()) }
        }
        Some(pointer) => *pointer,
        None => return,
    };
    instance.record(pointer, access, idx);
}

/// `record_call_access`.
fn record_call(program: &Program<'_>, instance: &mut Instance, regs: &Regs, idx: u32) {
    let call = program.insn(idx);
    if call.is_pseudo_call() {
        return;
    }
    let params = stack_access::num_params(program, &call).unwrap_or(REG_ARGS);
    let stack_args = &regs[livediff_capture::insn::MAX_BPF_REG..];
    let in_regs = &regs[1..=REG_ARGS];
    for (arg, pointer) in in_regs.iter().chain(stack_args).enumerate().take(params.min(REG_ARGS + STACK_ARGS))
    {
        if !pointer.is_fp() {
            continue;
        }
        if call.is_helper_call() || call.is_kfunc_call() {
            instance.record(*pointer, stack_access::access(program, idx, arg), idx);
        } else {
            instance.mark_all_read(idx);
        }
    }
}

/// `find_callback_subprog`.
fn find_callback(program: &Program<'_>, idx: u32) -> Callback {
    let call = program.insn(idx);
    if !call.is_helper_call() {
        return Callback::None;
    }
    let (callback_reg, context_reg, callee_reg) = match call.imm {
        func::LOOP | func::USER_RINGBUF_DRAIN => (2, 3, 2),
        func::FOR_EACH_MAP_ELEM => (2, 3, 4),
        func::FIND_VMA => (3, 4, 3),
        _ => return Callback::None,
    };
    match program.const_regs.get(idx as usize).and_then(|regs| regs.subprog(callback_reg)) {
        Some(subprog) => Callback::Known { subprog: subprog as usize, context_reg, callee_reg },
        None => Callback::Unknown { context_reg },
    }
}
