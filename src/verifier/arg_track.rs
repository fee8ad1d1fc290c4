//! Which registers and stack slots hold a pointer into which frame of the call chain.
//!
//! ```text
//! value     = unvisited | none | fp(frame, 1 to 4 offsets) | fp(frame, offset unknown) | imprecise(frames)
//! join(unvisited, x) = x
//! join(fp(f, A), fp(f, B))  = fp(f, A u B), offset unknown if that has more than 4 or one of them is unknown
//! join(fp(f, {o}), none)    = fp(f, {o} u {0}): a read of it may still be of fp+o, a write need not be
//! join(fp(f, A), none)      = fp(f, A) for any other A
//! join(none, none)          = none
//! join(x, y)                = imprecise(frames of x u frames of y) for everything else
//! ```
//! [`transfer`] is the effect of one instruction; the fixed point over the subprogram is in
//! [`super::liveness`].

use std::rc::Rc;

use livediff_capture::Insn;
use livediff_capture::insn::{MAX_BPF_REG, REG_FP, alu, atomic, class, jmp, mode};

use super::dialect::{Choices, OffsetSum};
use super::slots::SLOTS;

/// `MAX_STACK_ARG_SLOTS`: stack arguments a call can pass beyond r1 to r5.
pub const STACK_ARGS: usize = 7;
/// `MAX_AT_TRACK_REGS`: r0 to r10, then the outgoing stack arguments.
pub const TRACKED_REGS: usize = MAX_BPF_REG + STACK_ARGS;
/// `MAX_ARG_OFFSETS`.
const MAX_OFFSETS: usize = 4;

/// Up to four offsets from a frame pointer, ascending; none at all if the offset is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    cnt: u8,
    off: [i16; MAX_OFFSETS],
}

impl OffsetSum {
    /// The sum; nothing if it is no known offset (`arg_add`).
    fn add(self, off: i16, delta: i64) -> Option<i16> {
        match self {
            OffsetSum::Checked => off.checked_add(i16::try_from(delta).ok()?),
            OffsetSum::Marked => {
                let sum = i64::from(off).checked_add(delta)?;
                i16::try_from(sum).ok().filter(|sum| *sum != i16::MIN)
            }
        }
    }
}

impl Offsets {
    /// The offset is unknown.
    pub const UNKNOWN: Offsets = Offsets { cnt: 0, off: [0; MAX_OFFSETS] };

    /// One offset in bytes.
    pub fn single(off: i16) -> Offsets {
        Offsets { cnt: 1, off: [off, 0, 0, 0] }
    }

    /// The offsets in bytes, ascending; empty if unknown.
    pub fn as_slice(&self) -> &[i16] {
        self.off.get(..self.cnt.into()).unwrap_or_default()
    }

    /// No offset is known.
    pub fn is_unknown(&self) -> bool {
        self.cnt == 0
    }

    /// All offsets moved by `delta` bytes; unknown if one leaves 16 bits (`arg_padd`).
    pub(crate) fn moved(&self, delta: i64, sum: OffsetSum) -> Offsets {
        let mut moved = *self;
        for off in moved.off.iter_mut().take(self.cnt.into()) {
            match sum.add(*off, delta) {
                Some(sum) => *off = sum,
                None => return Offsets::UNKNOWN,
            }
        }
        moved
    }

    /// The union of two known sets; unknown if it has more than four members (`arg_merge_offsets`).
    fn union(&self, other: &Offsets) -> Offsets {
        let (mut a, mut b) = (self.as_slice(), other.as_slice());
        let mut union = Offsets::UNKNOWN;
        loop {
            let next = match (a.first(), b.first()) {
                (Some(&x), Some(&y)) => x.min(y),
                (Some(&x), None) | (None, Some(&x)) => x,
                (None, None) => return union,
            };
            a = a.strip_prefix(&[next]).unwrap_or(a);
            b = b.strip_prefix(&[next]).unwrap_or(b);
            match union.off.get_mut(usize::from(union.cnt)) {
                Some(off) => *off = next,
                None => return Offsets::UNKNOWN,
            }
            union.cnt += 1;
        }
    }
}

/// What a register or a stack slot holds, as far as frame pointers go (`struct arg_track`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgTrack {
    /// Nothing derived from a frame pointer (`ARG_NONE`).
    None,
    /// A pointer into one frame.
    Fp {
        /// Index of the frame in the call chain, 0 for the entry's.
        frame: u8,
        /// Offsets from that frame's pointer.
        offsets: Offsets,
    },
    /// Perhaps a pointer into any of these frames: bit `f` for frame `f` (`ARG_IMPRECISE`).
    Imprecise(u16),
}

impl ArgTrack {
    /// A pointer to one place (`arg_single`).
    pub fn single(frame: u8, off: i16) -> ArgTrack {
        ArgTrack::Fp { frame, offsets: Offsets::single(off) }
    }

    /// A pointer, or perhaps one (`arg_is_fp`).
    pub fn is_fp(&self) -> bool {
        !matches!(self, ArgTrack::None)
    }

    fn offsets(&self) -> Offsets {
        match self {
            ArgTrack::Fp { offsets, .. } => *offsets,
            _ => Offsets::UNKNOWN,
        }
    }

    fn frames(&self) -> u16 {
        match *self {
            ArgTrack::None => 0,
            ArgTrack::Fp { frame, .. } => 1u16.checked_shl(frame.into()).unwrap_or(0),
            ArgTrack::Imprecise(frames) => frames,
        }
    }

    /// `arg_join_imprecise`.
    fn join_imprecise(&self, other: &ArgTrack) -> ArgTrack {
        ArgTrack::Imprecise(self.frames() | other.frames())
    }

    /// What holds where two paths meet (`__arg_track_join` for visited values).
    ///
    /// ```
    /// use livediff::verifier::ArgTrack;
    ///
    /// let (a, b) = (ArgTrack::single(0, -8), ArgTrack::single(0, -16));
    /// let ArgTrack::Fp { frame: 0, offsets } = a.join(b) else { panic!("another frame") };
    /// assert_eq!(offsets.as_slice(), [-16, -8]);
    /// assert_eq!(a.join(ArgTrack::single(1, -8)), ArgTrack::Imprecise(0b11));
    /// ```
    pub fn join(self, other: ArgTrack) -> ArgTrack {
        match (self, other) {
            (ArgTrack::Fp { frame, offsets: a }, ArgTrack::Fp { frame: other_frame, offsets: b })
                if frame == other_frame =>
            {
                let unknown = a.is_unknown() || b.is_unknown();
                ArgTrack::Fp { frame, offsets: if unknown { Offsets::UNKNOWN } else { a.union(&b) } }
            }
            (ArgTrack::None, ArgTrack::None) => ArgTrack::None,
            (ArgTrack::Fp { frame, offsets }, ArgTrack::None)
            | (ArgTrack::None, ArgTrack::Fp { frame, offsets }) => {
                // The added fp+0 keeps a read of the one place and takes away that a write must happen there.
                let single = offsets.as_slice().len() == 1;
                let offsets = if single { offsets.union(&Offsets::single(0)) } else { offsets };
                ArgTrack::Fp { frame, offsets }
            }
            (a, b) => a.join_imprecise(&b),
        }
    }

    /// The result of a 64-bit operation other than a move on two registers (`arg_track_alu64`).
    fn alu64(self, src: ArgTrack) -> ArgTrack {
        let lost = |frame| ArgTrack::Fp { frame, offsets: Offsets::UNKNOWN };
        match (self, src) {
            (ArgTrack::Fp { frame, .. }, ArgTrack::None) => lost(frame),
            (ArgTrack::Fp { frame, .. }, ArgTrack::Fp { frame: other, .. }) if frame == other => lost(frame),
            (ArgTrack::None, ArgTrack::Fp { frame, .. }) => lost(frame),
            (ArgTrack::None, ArgTrack::None) => ArgTrack::None,
            (dst, src) => dst.join_imprecise(&src),
        }
    }
}

/// What the registers r0 to r10 hold, then the outgoing stack arguments.
pub type Regs = [ArgTrack; TRACKED_REGS];
/// What the 64 slots of a frame hold: index `s` is fp-8(s+1).
pub type Slots = [ArgTrack; SLOTS];

/// What is held before an instruction. Slots are shared between instructions until one changes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Registers and outgoing stack arguments.
    pub regs: Regs,
    /// The slots of the subprogram's own frame.
    pub slots: Rc<Slots>,
}

/// What a call passes on: r1 to r5, and the stack arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryArgs {
    /// r1 to r5.
    pub(crate) regs: [ArgTrack; 5],
    /// The stack arguments.
    pub(crate) stack: [ArgTrack; STACK_ARGS],
}

impl EntryArgs {
    /// Arguments that hold no pointer into a frame.
    pub(crate) const NONE: EntryArgs =
        EntryArgs { regs: [ArgTrack::None; 5], stack: [ArgTrack::None; STACK_ARGS] };

    /// What the call with this state before it passes on.
    pub(crate) fn of_call(regs: &Regs) -> EntryArgs {
        let mut args = EntryArgs::NONE;
        args.regs.copy_from_slice(&regs[1..=5]);
        args.stack.copy_from_slice(&regs[MAX_BPF_REG..]);
        args
    }

    /// What a callback is given: one value, in the register `callee_reg`, 1 to 5.
    pub(crate) fn of_callback(callee_reg: usize, context: ArgTrack) -> EntryArgs {
        let mut args = EntryArgs::NONE;
        if let Some(arg) = callee_reg.checked_sub(1).and_then(|arg| args.regs.get_mut(arg)) {
            *arg = context;
        }
        args
    }

    /// An argument is derived from a frame pointer (`has_fp_args`).
    pub(crate) fn has_fp(&self) -> bool {
        self.regs.iter().chain(&self.stack).any(ArgTrack::is_fp)
    }

    /// The state before the first instruction of a subprogram at this depth of the call chain.
    pub(crate) fn entry_state(&self, depth: u8) -> State {
        let mut regs = [ArgTrack::None; TRACKED_REGS];
        regs[1..=5].copy_from_slice(&self.regs);
        regs[usize::from(REG_FP)] = ArgTrack::single(depth, 0);
        State { regs, slots: Rc::new([ArgTrack::None; SLOTS]) }
    }
}

/// What the transfer function needs to know of the subprogram that an instruction is in.
pub(crate) struct Context<'a> {
    /// What the dialect does.
    pub(crate) choices: &'a Choices,
    /// Index of the subprogram's own frame.
    pub(crate) depth: u8,
    /// The stack arguments that it was called with.
    pub(crate) stack_args: &'a [ArgTrack; STACK_ARGS],
    /// The slots of each outer frame at the call that leads here.
    pub(crate) parent_slots: &'a dyn Fn(u8) -> Option<Rc<Slots>>,
}

/// `stack_arg_off_to_slot`.
fn stack_arg_slot(off: i16) -> Option<usize> {
    (usize::from(off.unsigned_abs()) / 8).checked_sub(1).filter(|slot| *slot < STACK_ARGS)
}

/// Index of the slot that starts at this offset, if one does (`fp_off_to_slot`).
fn slot_at(off: i16) -> Option<usize> {
    let below = -i32::from(off);
    (below > 0 && below <= 8 * SLOTS as i32 && below % 8 == 0).then(|| below as usize / 8 - 1)
}

/// Replaces the state before an instruction by the one after it (`arg_track_xfer`).
pub(crate) fn transfer(insn: &Insn, state: &mut State, context: &Context<'_>) {
    let (dst_reg, src_reg) = (usize::from(insn.dst_reg), usize::from(insn.src_reg));
    let regs = &mut state.regs;
    if insn.is_stack_arg_st() || insn.is_stack_arg_stx() {
        if let Some(slot) = stack_arg_slot(insn.off) {
            let stored = if insn.is_stack_arg_stx() { reg(regs, src_reg) } else { ArgTrack::None };
            regs[MAX_BPF_REG + slot] = stored;
        }
        return;
    }
    if insn.is_stack_arg_ldx() {
        let loaded = stack_arg_slot(insn.off).map_or(ArgTrack::None, |slot| context.stack_args[slot]);
        set(regs, dst_reg, loaded);
        return;
    }
    let (dst, src) = (reg(regs, dst_reg), reg(regs, src_reg));
    match insn.class() {
        class::ALU64 => set(regs, dst_reg, alu64(insn, dst, src, context.choices.offset_sum)),
        // What is left of a pointer after a 32-bit operation is none.
        class::ALU => set(regs, dst_reg, ArgTrack::None),
        // A call may overwrite stack slots, but not with a pointer into a frame: what was spilled there stays.
        class::JMP if insn.op() == jmp::CALL => regs[..=5].fill(ArgTrack::None),
        class::LDX => {
            let loaded = load(insn, state, context);
            set(&mut state.regs, dst_reg, loaded);
        }
        class::LD if insn.mode() == mode::IMM => set(regs, dst_reg, ArgTrack::None),
        class::STX => {
            let local = stores_to_local_fp(context, insn.dst_reg, dst);
            if local && insn.mode() == mode::MEM {
                let spilled = if insn.size_bytes() == 8 { src } else { ArgTrack::None };
                spill(insn, dst, spilled, &mut state.slots, context.choices);
            }
            if insn.mode() == mode::ATOMIC {
                if local && insn.imm != atomic::LOAD_ACQ {
                    clear(insn, dst, &mut state.slots, context.choices);
                }
                if let Some(loaded) = insn.atomic_load_reg() {
                    set(&mut state.regs, loaded.into(), ArgTrack::None);
                }
            }
        }
        class::ST if insn.mode() == mode::MEM && stores_to_local_fp(context, insn.dst_reg, dst) => {
            clear(insn, dst, &mut state.slots, context.choices);
        }
        _ => {}
    }
}

fn reg(regs: &Regs, reg: usize) -> ArgTrack {
    regs.get(reg).copied().unwrap_or(ArgTrack::None)
}

fn set(regs: &mut Regs, reg: usize, value: ArgTrack) {
    if let Some(slot) = regs.get_mut(reg) {
        *slot = value;
    }
}

fn alu64(insn: &Insn, dst: ArgTrack, src: ArgTrack, sum: OffsetSum) -> ArgTrack {
    match (insn.op(), insn.is_src_x(), dst) {
        (alu::MOV, false, _) => ArgTrack::None,
        // A move with an offset is a sign extension or an address space cast.
        (alu::MOV, true, _) if insn.off == 0 => src,
        (alu::MOV, true, _) => ArgTrack::None,
        (_, true, _) => dst.alu64(src),
        (op, false, ArgTrack::Fp { frame, offsets }) => {
            let imm = i64::from(insn.imm);
            let offsets = match op {
                alu::ADD => offsets.moved(imm, sum),
                alu::SUB => offsets.moved(-imm, sum),
                _ => Offsets::UNKNOWN,
            };
            ArgTrack::Fp { frame, offsets }
        }
        (_, false, dst) => dst,
    }
}

fn can_be_local_fp(depth: u8, regno: u8, at: ArgTrack) -> bool {
    let own = 1u16.checked_shl(depth.into()).unwrap_or(0);
    regno == REG_FP
        || match at {
            ArgTrack::None => false,
            ArgTrack::Fp { frame, .. } => frame == depth,
            ArgTrack::Imprecise(frames) => frames & own != 0,
        }
}

fn stores_to_local_fp(context: &Context<'_>, regno: u8, at: ArgTrack) -> bool {
    let precise = !matches!(at, ArgTrack::Imprecise(_));
    (precise || context.choices.store_through_imprecise) && can_be_local_fp(context.depth, regno, at)
        || regno == REG_FP
}

/// The result of a load: what was spilled at the place, if it is a whole slot of a frame.
fn load(insn: &Insn, state: &State, context: &Context<'_>) -> ArgTrack {
    let src = reg(&state.regs, insn.src_reg.into());
    if insn.mode() != mode::MEM || insn.size_bytes() != 8 {
        return ArgTrack::None;
    }
    if can_be_local_fp(context.depth, insn.src_reg, src) {
        return fill(insn, src, &state.slots, context.depth, context.choices.offset_sum);
    }
    match src {
        ArgTrack::Fp { frame, .. } if frame < context.depth => match (context.parent_slots)(frame) {
            Some(slots) => fill(insn, src, &slots, frame, context.choices.offset_sum),
            None => ArgTrack::None,
        },
        ArgTrack::Imprecise(frames) if frames != 0 => src,
        _ => ArgTrack::None,
    }
}

/// `fill_from_stack`: `depth` is the index of the frame that `slots` belong to.
fn fill(insn: &Insn, src: ArgTrack, slots: &Slots, depth: u8, sum: OffsetSum) -> ArgTrack {
    let imprecise = ArgTrack::Imprecise((2u32.checked_shl(depth.into()).unwrap_or(0).wrapping_sub(1)) as u16);
    if insn.src_reg == REG_FP {
        return slot_at(insn.off).map_or(imprecise, |slot| slots[slot]);
    }
    let offsets = src.offsets();
    if offsets.is_unknown() {
        return imprecise;
    }
    let mut filled = ArgTrack::None;
    for off in offsets.as_slice() {
        match sum.add(*off, insn.off.into()).and_then(slot_at) {
            Some(slot) => filled = filled.join(slots[slot]),
            None => return imprecise,
        }
    }
    filled
}

/// `spill_to_stack`.
fn spill(insn: &Insn, dst: ArgTrack, spilled: ArgTrack, slots: &mut Rc<Slots>, choices: &Choices) {
    if insn.dst_reg == REG_FP {
        if let Some(slot) = slot_at(insn.off) {
            set_slot(slots, slot, spilled);
        }
        return;
    }
    let offsets = dst.offsets();
    if offsets.is_unknown() {
        for slot in 0..SLOTS {
            join_slot(slots, slot, spilled);
        }
        return;
    }
    let single = offsets.as_slice().len() == 1;
    let sums = offsets.as_slice().iter().filter_map(|off| choices.offset_sum.add(*off, insn.off.into()));
    for slot in sums.filter_map(slot_at) {
        if single {
            set_slot(slots, slot, spilled);
        } else {
            join_slot(slots, slot, spilled);
        }
    }
}

/// Forgets what was spilled where the instruction stores (`clear_stack_for_all_offs`).
fn clear(insn: &Insn, dst: ArgTrack, slots: &mut Rc<Slots>, choices: &Choices) {
    let (size, sum) = (insn.size_bytes(), choices.offset_sum);
    if insn.dst_reg == REG_FP {
        return match sum.add(0, insn.off.into()) {
            Some(off) => clear_overlapping(slots, off, size, true),
            None => clear_all(slots, choices.uncertain_store_forgets),
        };
    }
    let offsets = dst.offsets();
    if offsets.is_unknown() {
        return clear_all(slots, choices.uncertain_store_forgets);
    }
    let certain = choices.uncertain_store_forgets || offsets.as_slice().len() == 1;
    for off in offsets.as_slice() {
        match sum.add(*off, insn.off.into()) {
            Some(off) => clear_overlapping(slots, off, size, certain),
            None => {
                clear_all(slots, choices.uncertain_store_forgets);
                break;
            }
        }
    }
}

/// Any slot may have been overwritten.
fn clear_all(slots: &mut Rc<Slots>, forget: bool) {
    for slot in 0..SLOTS {
        clear_slot(slots, slot, forget);
    }
}

/// `clear_overlapping_stack_slots`: the slots that share a byte with `off..off + size`.
fn clear_overlapping(slots: &mut Rc<Slots>, off: i16, size: i32, certain: bool) {
    let off = i32::from(off);
    for slot in 0..SLOTS {
        let start = -8 * (slot as i32 + 1);
        if start < off + size && start + 8 > off {
            clear_slot(slots, slot, certain);
        }
    }
}

fn clear_slot(slots: &mut Rc<Slots>, slot: usize, certain: bool) {
    if certain {
        set_slot(slots, slot, ArgTrack::None);
    } else {
        join_slot(slots, slot, ArgTrack::None);
    }
}

fn set_slot(slots: &mut Rc<Slots>, slot: usize, value: ArgTrack) {
    if slots[slot] != value {
        Rc::make_mut(slots)[slot] = value;
    }
}

fn join_slot(slots: &mut Rc<Slots>, slot: usize, value: ArgTrack) {
    set_slot(slots, slot, slots[slot].join(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fp(frame: u8, offs: &[i16]) -> ArgTrack {
        let mut offsets = Offsets::UNKNOWN;
        for &off in offs {
            let single = Offsets::single(off);
            offsets = if offsets.is_unknown() { single } else { offsets.union(&single) };
        }
        ArgTrack::Fp { frame, offsets }
    }

    #[test]
    fn offsets_join_sorted_and_give_up_at_the_fifth() {
        assert_eq!(fp(0, &[-8]).join(fp(0, &[-16])), fp(0, &[-16, -8]));
        assert_eq!(fp(0, &[-8, -24]).join(fp(0, &[-24, -32, -8])), fp(0, &[-32, -24, -8]));
        assert_eq!(fp(1, &[-8, -16, -24, -32]).join(fp(1, &[-16])), fp(1, &[-32, -24, -16, -8]));
        assert_eq!(fp(1, &[-8, -16, -24, -32]).join(fp(1, &[-40])), fp(1, &[]));
        assert_eq!(fp(0, &[]).join(fp(0, &[-8])), fp(0, &[]));
    }

    #[test]
    fn a_pointer_joined_with_none_keeps_its_reads_only() {
        for (pointer, joined) in [
            (fp(0, &[-8]), fp(0, &[-8, 0])),
            (fp(0, &[0]), fp(0, &[0])),
            (fp(0, &[-16, -8]), fp(0, &[-16, -8])),
            (fp(2, &[]), fp(2, &[])),
            (ArgTrack::Imprecise(5), ArgTrack::Imprecise(5)),
            (ArgTrack::None, ArgTrack::None),
        ] {
            assert_eq!(pointer.join(ArgTrack::None), joined);
            assert_eq!(ArgTrack::None.join(pointer), joined);
        }
    }

    /// Values of every kind: all sets of up to four of six offsets in two frames, unknown offsets, imprecise frames.
    fn values() -> Vec<ArgTrack> {
        const OFFSETS: [i16; 6] = [-40, -32, -24, -16, -8, 0];
        let mut values =
            vec![ArgTrack::None, ArgTrack::Imprecise(1), ArgTrack::Imprecise(2), ArgTrack::Imprecise(7)];
        for frame in 0..2 {
            for members in 0u32..64 {
                let chosen: Vec<i16> =
                    (0..6).filter(|bit| members >> bit & 1 == 1).map(|bit| OFFSETS[bit]).collect();
                if chosen.len() <= MAX_OFFSETS {
                    values.push(fp(frame, &chosen));
                }
            }
        }
        values
    }

    #[test]
    fn a_join_does_not_depend_on_the_order_of_two_and_keeps_equals() {
        for &a in &values() {
            assert_eq!(a.join(a), a);
            for &b in &values() {
                assert_eq!(a.join(b), b.join(a), "{a:?} {b:?}");
            }
        }
    }

    /// The fixed point may pass over an instruction whose state has not changed since it was last joined into its
    /// successors: first, joining a value again at once changes nothing, and second, that stays so whatever else is
    /// joined in between.
    #[test]
    fn what_was_joined_once_changes_nothing_ever_after() {
        let values = values();
        for &known in &values {
            for &a in &values {
                let joined = known.join(a);
                assert_eq!(joined.join(a), joined, "{known:?} {a:?}");
                if joined != known {
                    continue;
                }
                for &other in &values {
                    let later = known.join(other);
                    assert_eq!(later.join(a), later, "{known:?} {a:?} {other:?}");
                }
            }
        }
    }

    /// The exception to associativity, as the kernel has it: fp+0 is added to a single offset only, so it depends on
    /// what came first. Without `none` the order does not matter.
    #[test]
    fn three_joins_depend_on_the_order_only_where_none_meets_a_single_offset() {
        let values = values();
        let mut exceptions = 0;
        for &a in &values {
            for &b in &values {
                for &c in &values {
                    if a.join(b).join(c) != a.join(b.join(c)) {
                        exceptions += 1;
                        let all = [a, b, c];
                        assert!(all.contains(&ArgTrack::None), "{all:?}");
                        assert!(all.iter().any(|value| value.offsets().as_slice().len() == 1), "{all:?}");
                    }
                }
            }
        }
        assert!(exceptions > 0);
        let (a, b) = (fp(0, &[-8]), fp(0, &[-16]));
        assert_eq!(a.join(b).join(ArgTrack::None), fp(0, &[-16, -8]));
        assert_eq!(a.join(b.join(ArgTrack::None)), fp(0, &[-16, -8, 0]));
    }

    #[test]
    fn pointers_into_two_frames_are_imprecise() {
        assert_eq!(fp(0, &[-8]).join(fp(2, &[-8])), ArgTrack::Imprecise(0b101));
        assert_eq!(ArgTrack::Imprecise(0b10).join(fp(2, &[])), ArgTrack::Imprecise(0b110));
        assert_eq!(fp(15, &[-8]).join(fp(0, &[-8])), ArgTrack::Imprecise(0x8001));
    }

    #[test]
    fn an_offset_that_leaves_16_bits_is_unknown() {
        let moved = |off, delta| Offsets::single(off).moved(delta, OffsetSum::Checked);
        assert_eq!(moved(-8, -32760), Offsets::single(i16::MIN));
        assert!(moved(-8, -32761).is_unknown());
        assert!(moved(-8, 1 << 16).is_unknown());
        assert!(moved(0, 32768).is_unknown());
        assert!(moved(-8, 32768).is_unknown(), "the distance itself must fit");
        assert_eq!(moved(0, 32767), Offsets::single(32767));
    }

    #[test]
    fn the_seed_marks_unknown_offsets_by_the_lowest_number() {
        let moved = |off, delta| Offsets::single(off).moved(delta, OffsetSum::Marked);
        assert!(moved(-8, -32760).is_unknown());
        assert_eq!(moved(-8, -32759), Offsets::single(-32767));
        assert_eq!(moved(-8, 32768), Offsets::single(32760));
        assert!(moved(0, 32768).is_unknown());
        assert!(moved(0, i64::MIN).is_unknown());
    }

    #[test]
    fn operations_on_two_registers_lose_the_offset_and_then_the_frame() {
        let (none, lost) = (ArgTrack::None, |frame| fp(frame, &[]));
        assert_eq!(fp(1, &[-8]).alu64(none), lost(1));
        assert_eq!(none.alu64(fp(1, &[-8])), lost(1));
        assert_eq!(fp(1, &[-8]).alu64(fp(1, &[-16])), lost(1));
        assert_eq!(fp(1, &[-8]).alu64(fp(0, &[-8])), ArgTrack::Imprecise(0b11));
        assert_eq!(ArgTrack::Imprecise(0b10).alu64(none), ArgTrack::Imprecise(0b10));
        assert_eq!(none.alu64(ArgTrack::Imprecise(0b10)), ArgTrack::Imprecise(0b10));
        assert_eq!(none.alu64(none), none);
    }

    /// The conditions of `arg_track_xfer` on a load, each in turn. After a callback that leads back to its caller, the
    /// caller's states are those of the inner analysis, and a call may pass on pointers into frames further in.
    #[test]
    fn a_load_gives_what_was_spilled_into_the_own_or_an_outer_frame() {
        let (own, outer) = (fp(0, &[-16]), fp(0, &[-24]));
        let parent_slots = |_| Some(Rc::new([outer; SLOTS]));
        let context = Context {
            choices: crate::Dialect::V7_2.choices(),
            depth: 1,
            stack_args: &[ArgTrack::None; STACK_ARGS],
            parent_slots: &parent_slots,
        };
        let loaded = |from| {
            let insn = Insn { code: class::LDX | mode::MEM | 0x18, dst_reg: 2, src_reg: 1, off: 0, imm: 0 };
            let mut state = State { regs: [ArgTrack::None; TRACKED_REGS], slots: Rc::new([own; SLOTS]) };
            state.regs[1] = from;
            transfer(&insn, &mut state, &context);
            state.regs[2]
        };
        // The join of all slots that may be meant begins with none, which adds fp+0.
        assert_eq!(loaded(fp(1, &[-8])), own.join(ArgTrack::None));
        assert_eq!(loaded(fp(0, &[-8])), outer.join(ArgTrack::None));
        assert_eq!(loaded(fp(2, &[-8])), ArgTrack::None, "a frame further in");
        assert_eq!(loaded(ArgTrack::Imprecise(0b101)), ArgTrack::Imprecise(0b101));
        assert_eq!(loaded(ArgTrack::Imprecise(0b10)), ArgTrack::Imprecise(0b11), "any slot of the own frame");
        assert_eq!(loaded(ArgTrack::Imprecise(0)), ArgTrack::None, "a mask of no frames");
    }

    #[test]
    fn slots_begin_at_multiples_of_eight_below_the_frame_pointer() {
        assert_eq!(slot_at(-8), Some(0));
        assert_eq!(slot_at(-512), Some(63));
        for off in [0, 8, -4, -12, -520, i16::MIN] {
            assert_eq!(slot_at(off), None, "{off}");
        }
    }
}
