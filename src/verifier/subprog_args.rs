//! The walk over all subprograms: where pointers lead in each, and from there into its callees.
//!
//! Every subprogram is analysed as an entry of its own unless a caller has been before it with arguments for it; a
//! global one always. From each call the callee is analysed with the arguments that it gets there. What is found is
//! kept by [`Instances`], in the way of the dialect.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use livediff_capture::insn::{class, func, jmp};

use super::arg_track::{self, ArgTrack, Context, EntryArgs, Slots, State};
use super::dialect::Choices;
use super::error::{Error, Pass, errno};
use super::program::Program;
use super::record::{self, Marks};
use super::slots::SlotMask;
use crate::log::{Event, Listener, Place};

/// Analyses of subprograms before the kernel gives up.
const MAX_SUBPROG_CALLS: u32 = 10_000;

/// Keeps what each instruction of each way to reach a subprogram reads and writes.
///
/// A subprogram reached in one way is an instance, known by a number. One analysis of it runs from
/// [`Instances::begin`] to [`Instances::finish`]; those of its callees lie in between.
pub(crate) trait Instances {
    /// The instance of a subprogram as an entry.
    fn entry(&mut self, program: &Program<'_>, subprog: usize) -> usize;
    /// The instance of a subprogram that is reached from a call in another instance.
    fn callee(&mut self, program: &Program<'_>, caller: usize, callsite: u32, subprog: usize) -> usize;
    /// Index of the instance's subprogram, and its depth in the call chain.
    fn subprog_and_depth(&self, id: usize) -> (usize, u8);
    /// An analysis of the instance begins.
    fn begin(&mut self, id: usize);
    /// An instruction may read half-slots of a frame.
    fn mark_read(&mut self, id: usize, frame: u8, insn: u32, mask: SlotMask);
    /// An instruction writes half-slots of a frame.
    fn mark_write(&mut self, id: usize, frame: u8, insn: u32, mask: SlotMask);
    /// All reads and writes of an instruction are marked.
    fn insn_recorded(&mut self, id: usize, insn: u32);
    /// The analysis of a callee is finished.
    fn returned(&mut self, caller: usize, callsite: u32, callee: usize);
    /// The analysis of the instance is finished.
    fn finish(&mut self, program: &Program<'_>, id: usize, listener: &mut dyn Listener);
}

/// One instance as a taker of marks.
struct MarksOf<'a, I> {
    instances: &'a mut I,
    id: usize,
}

impl<I: Instances> Marks for MarksOf<'_, I> {
    fn depth(&self) -> u8 {
        self.instances.subprog_and_depth(self.id).1
    }

    fn mark_read(&mut self, frame: u8, insn: u32, mask: SlotMask) {
        self.instances.mark_read(self.id, frame, insn, mask);
    }

    fn mark_write(&mut self, frame: u8, insn: u32, mask: SlotMask) {
        self.instances.mark_write(self.id, frame, insn, mask);
    }
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

struct Walk<'a, 'p, I> {
    program: &'a Program<'p>,
    choices: &'static Choices,
    listener: &'a mut dyn Listener,
    listens: bool,
    instances: &'a mut I,
    /// The latest states of each subprogram: a deeper analysis of the same subprogram replaces them.
    states: Vec<Option<States>>,
    /// The frame's slots at each call, as the latest analysis of the caller found them.
    slots_at_call: HashMap<u32, Rc<Slots>>,
    /// The call site in each frame that leads to the subprogram at work.
    callsites: [u32; 16],
    subprog_calls: u32,
}

/// Analyses every subprogram (`bpf_compute_subprog_arg_access`).
///
/// Callers come before their callees, so that a callee is reached with the arguments that it gets.
pub(crate) fn compute_subprog_arg_access<I: Instances>(
    program: &Program<'_>,
    instances: &mut I,
    listener: &mut dyn Listener,
) -> Result<(), Error> {
    let choices = program.dialect.choices();
    let listens = listener.listens();
    let mut walk = Walk {
        program,
        choices,
        listener,
        listens,
        instances,
        states: vec![None; program.subprogs.len()],
        slots_at_call: HashMap::new(),
        callsites: [0; 16],
        subprog_calls: 0,
    };
    if choices.first_subprog_first {
        walk.analyze_entry(0)?;
    }
    for &subprog in program.topo_order.iter().rev() {
        let subprog = subprog as usize;
        if walk.states[subprog].is_none() || program.subprog_is_global(subprog) {
            walk.analyze_entry(subprog)?;
        }
    }
    Ok(())
}

impl<I: Instances> Walk<'_, '_, I> {
    fn emit(&mut self, event: Event<'_>) {
        if self.listens {
            self.listener.event(self.program, event);
        }
    }

    fn analyze_entry(&mut self, subprog: usize) -> Result<(), Error> {
        let id = self.instances.entry(self.program, subprog);
        self.analyze_subprog(id, &EntryArgs::NONE)
    }

    /// Analyses a subprogram with these arguments, and from it its callees with theirs (`analyze_subprog`).
    fn analyze_subprog(&mut self, id: usize, args: &EntryArgs) -> Result<(), Error> {
        self.subprog_calls += 1;
        if self.subprog_calls > MAX_SUBPROG_CALLS {
            let calls = self.subprog_calls;
            let message = format!("liveness analysis exceeded complexity limit ({calls} calls)");
            return Err(Error::new(Pass::ArgAccess, errno::E2BIG, message));
        }
        let program = self.program;
        self.instances.begin(id);
        self.compute_subprog_args(id, args);

        let (subprog, depth) = self.instances.subprog_and_depth(id);
        let start = program.subprogs[subprog].start;
        for &idx in program.postorder_of(subprog) {
            let is_call = program.insn(idx).is_pseudo_call();
            if !is_call && !program.calls_callback(idx) {
                continue;
            }
            // A callback that leads back to this subprogram replaces the states of the analysis at work.
            let states = self.states[subprog].as_ref();
            let state = states.and_then(|states| states.get((idx - start) as usize)?.as_ref());
            let regs = state.map_or([ArgTrack::None; arg_track::TRACKED_REGS], |state| state.regs);
            let callback = if is_call { Callback::None } else { find_callback(program, idx) };
            let (callee, callee_args) = match callback {
                Callback::Known { subprog, context_reg, callee_reg } => {
                    (Some(subprog), EntryArgs::of_callback(callee_reg, regs[context_reg]))
                }
                Callback::Unknown { context_reg } => {
                    if regs[context_reg] != ArgTrack::None {
                        MarksOf { instances: self.instances, id }.mark_all_read(idx);
                    }
                    (None, EntryArgs::NONE)
                }
                Callback::None if is_call => (program.callee(idx), EntryArgs::of_call(&regs)),
                Callback::None => (None, EntryArgs::NONE),
            };
            let Some(callee) = callee.filter(|_| callee_args.has_fp() || self.choices.descend_without_fp)
            else {
                continue;
            };
            if depth + 1 == self.choices.max_call_frames {
                return Err(Error::silent(Pass::ArgAccess, errno::EINVAL));
            }
            let callee = self.instances.callee(program, id, idx, callee);
            self.callsites[usize::from(depth)] = idx;
            self.analyze_subprog(callee, &callee_args)?;
            self.instances.returned(id, idx, callee);
        }
        self.instances.finish(program, id, self.listener);
        Ok(())
    }

    /// Finds what every register and slot holds before each instruction, then what each instruction reads and
    /// writes (`compute_subprog_args`).
    fn compute_subprog_args(&mut self, id: usize, args: &EntryArgs) {
        let program = self.program;
        let (subprog, depth) = self.instances.subprog_and_depth(id);
        let (start, end) = (program.subprogs[subprog].start, program.subprogs[subprog].end);
        let order = program.postorder_of(subprog);
        self.emit(Event::Analyzing { subprog: subprog as u32, depth });

        let mut states: Vec<Option<State>> = vec![None; (end - start) as usize];
        if let Some(entry) = states.first_mut() {
            *entry = Some(args.entry_state(depth));
        }
        let callsites = self.callsites;
        // Joining the same value once more changes nothing (the laws in `arg_track`), so an instruction whose state
        // is the one of its last visit has no news for its successors. What it does is printed again all the same.
        let mut has_news = vec![false; states.len()];
        if let Some(entry) = has_news.first_mut() {
            *entry = true;
        }
        loop {
            let mut changed = false;
            for &idx in order.iter().rev() {
                let at = (idx - start) as usize;
                let is_news = std::mem::take(&mut has_news[at]);
                if !is_news && !self.listens {
                    continue;
                }
                let Some(before) = &states[at] else { continue };
                let mut after = before.clone();
                let slots_at_call = &self.slots_at_call;
                let parent_slots = |frame: u8| slots_at_call.get(callsites.get(usize::from(frame))?).cloned();
                let choices = self.choices;
                let context =
                    Context { choices, depth, stack_args: &args.stack, parent_slots: &parent_slots };
                arg_track::transfer(&program.insn(idx), &mut after, &context);
                if self.listens {
                    self.listener.event(program, Event::Transfer { insn: idx, before, after: &after });
                }
                if !is_news {
                    continue;
                }
                let successors = program.successors(idx);
                let Some((last, others)) = successors.as_slice().split_last() else { continue };
                let mut join = |target: u32, incoming: Cow<'_, State>| {
                    if (start..end).contains(&target) {
                        let target_at = (target - start) as usize;
                        if self.join_state(&mut states[target_at], incoming, idx, target) {
                            has_news[target_at] = true;
                            changed = true;
                        }
                    }
                };
                for target in others {
                    join(*target, Cow::Borrowed(&after));
                }
                join(*last, Cow::Owned(after));
            }
            if !changed {
                break;
            }
        }

        for &idx in order.iter().rev() {
            let Some(state) = &states[(idx - start) as usize] else { continue };
            let insn = program.insn(idx);
            let mut marks = MarksOf { instances: &mut *self.instances, id };
            record::record_load_store(program, &mut marks, &state.regs, idx);
            if insn.code == class::JMP | jmp::CALL {
                let asked = record::record_call(program, &mut marks, &state.regs, idx);
                for _ in (0..asked).filter(|_| self.listens && program.is_invalid_kfunc_call(&insn)) {
                    self.listener.event(program, Event::InvalidKfunc { insn: idx });
                }
            }
            if insn.is_pseudo_call() || program.calls_callback(idx) {
                self.slots_at_call.insert(idx, Rc::clone(&state.slots));
            }
            self.instances.insn_recorded(id, idx);
        }
        let callsites = callsites.get(..usize::from(depth)).unwrap_or_default();
        self.emit(Event::SubprogArgs { subprog: subprog as u32, depth, callsites, states: &states });
        self.states[subprog] = Some(Rc::new(states));
    }

    /// Joins what comes from `insn` into what is known before `target`; true if that changed (`arg_track_join`
    /// for every register and slot).
    fn join_state(
        &mut self,
        known: &mut Option<State>,
        incoming: Cow<'_, State>,
        insn: u32,
        target: u32,
    ) -> bool {
        let Some(known) = known else {
            *known = Some(incoming.into_owned());
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
            *old = join(*old, incoming, Place::of_tracked_reg(r)).unwrap_or(*old);
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
