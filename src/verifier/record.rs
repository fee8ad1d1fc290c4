//! From where pointers lead to which half-slots an instruction reads and writes.
//!
//! ```text
//! read  of n bytes at fp+o: every half-slot of which a byte lies in o..o+n
//! write of n bytes at fp+o: every half-slot of which all bytes lie in o..o+n, if o is the only offset
//! read of unknown size:     every half-slot from fp+o up to the frame pointer
//! offset unknown:           a read of the whole frame; a write of nothing
//! imprecise pointer:        a read of every frame that it may lead into, whole, whatever the access
//! ```

use livediff_capture::insn::{MAX_BPF_REG, atomic, class, mode};

use super::arg_track::{ArgTrack, Regs, STACK_ARGS};
use super::program::Program;
use super::slots::{HALF_SLOT_SIZE, SlotMask};
use super::stack_access::{self, Access, REG_ARGS};

/// Takes the reads and writes of one subprogram's instructions. Those of frames further in than its own are none: a
/// callback that leads back to its caller may leave pointers into such frames behind.
pub(crate) trait Marks {
    /// Depth of the subprogram: its own frame is this one.
    fn depth(&self) -> u8;
    /// The instruction may read these half-slots of the frame.
    fn mark_read(&mut self, frame: u8, insn: u32, mask: SlotMask);
    /// The instruction writes these half-slots of the frame.
    fn mark_write(&mut self, frame: u8, insn: u32, mask: SlotMask);

    /// The instruction may read everything.
    fn mark_all_read(&mut self, insn: u32) {
        for frame in 0..=self.depth() {
            self.mark_read(frame, insn, SlotMask::ALL);
        }
    }
}

/// Records what a load, a store or an atomic instruction does (`record_load_store_access`).
pub(crate) fn record_load_store(program: &Program<'_>, marks: &mut dyn Marks, regs: &Regs, idx: u32) {
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
    let Some(pointer) = regs.get(usize::from(reg)).copied() else { return };
    let pointer = match pointer {
        ArgTrack::Fp { frame, offsets } => {
            let offsets = offsets.moved(insn.off.into(), program.dialect.choices().offset_sum);
            ArgTrack::Fp { frame, offsets }
        }
        pointer => pointer,
    };
    record(marks, pointer, access, idx);
}

/// Records what a call of a helper or kfunc does through its arguments (`record_call_access`). Returns how often it
/// had to ask what is called: once for the parameters, and once for each that may be a pointer.
pub(crate) fn record_call(program: &Program<'_>, marks: &mut dyn Marks, regs: &Regs, idx: u32) -> u32 {
    let call = program.insn(idx);
    if call.is_pseudo_call() {
        return 0;
    }
    let mut asked = 1;
    let choices = program.dialect.choices();
    let params = stack_access::num_params(program, &call).unwrap_or(REG_ARGS);
    let in_regs = regs.iter().skip(1).take(choices.param_regs);
    let on_stack = regs.iter().skip(MAX_BPF_REG).take(if choices.stack_args { STACK_ARGS } else { 0 });
    for (arg, pointer) in in_regs.chain(on_stack).enumerate().take(params) {
        if !pointer.is_fp() {
            continue;
        }
        asked += 1;
        if call.is_helper_call() || call.is_kfunc_call() {
            record(marks, *pointer, stack_access::access(program, idx, arg), idx);
        } else {
            marks.mark_all_read(idx);
        }
    }
    asked
}

/// Records an access through a pointer (`record_stack_access`, `record_imprecise`).
fn record(marks: &mut dyn Marks, pointer: ArgTrack, access: Access, insn: u32) {
    match (pointer, access) {
        (ArgTrack::None, _) | (_, Access::None) => {}
        (ArgTrack::Imprecise(frames), _) => {
            for frame in (0..=marks.depth().min(15)).filter(|frame| frames >> frame & 1 == 1) {
                marks.mark_read(frame, insn, SlotMask::ALL);
            }
        }
        (ArgTrack::Fp { offsets, .. }, Access::Write(_)) if offsets.as_slice().len() != 1 => {}
        (ArgTrack::Fp { frame, offsets }, _) if offsets.is_unknown() => {
            marks.mark_read(frame, insn, SlotMask::ALL);
        }
        (ArgTrack::Fp { frame, offsets }, _) => {
            for &off in offsets.as_slice() {
                record_off(marks, frame, off, access, insn);
            }
        }
    }
}

/// `record_stack_access_off`. An access at or above the frame pointer is none; the path walk refuses it.
fn record_off(marks: &mut dyn Marks, frame: u8, off: i16, access: Access, insn: u32) {
    let below = -i64::from(off);
    if below <= 0 {
        return;
    }
    let last_read = (below - 1) / HALF_SLOT_SIZE;
    match access {
        Access::None => {}
        Access::Unknown => marks.mark_read(frame, insn, SlotMask::range(0, last_read)),
        Access::Read(size) => {
            let first = below.saturating_sub_unsigned(size) / HALF_SLOT_SIZE;
            marks.mark_read(frame, insn, SlotMask::range(first, last_read));
        }
        Access::Write(size) => {
            let first = (below.saturating_sub_unsigned(size) + HALF_SLOT_SIZE - 1) / HALF_SLOT_SIZE;
            let (first, last) = (first.max(0), below / HALF_SLOT_SIZE - 1);
            if first <= last {
                marks.mark_write(frame, insn, SlotMask::range(first, last));
            }
        }
    }
}
