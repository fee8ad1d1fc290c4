//! The question that the path walk asks: may this half-slot still be read?

use std::ops::BitOr;

use super::liveness::Instance;
use super::slots::{HALF_SLOTS, SlotMask};
use super::{Analysis, Stack};

/// A frame of the call chain that a question is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallFrame {
    /// Index of the subprogram that owns the frame.
    pub subprog: u32,
    /// The call instruction that made the frame; not looked at for the first one.
    pub callsite: u32,
}

impl Analysis<'_> {
    /// The instance that describes a frame of a call chain (`lookup_instance`): the one of the same call site at
    /// the frame's own depth, or at the nearest smaller one, since a chain whose outer frames lend no pointer is
    /// analysed from where the pointers begin.
    pub(crate) fn lookup_instance<'i>(
        &self,
        instances: &'i [Instance],
        frames: &[CallFrame],
        frame: usize,
    ) -> Option<&'i Instance> {
        let CallFrame { subprog, callsite } = *frames.get(frame)?;
        let start = self.program.subprogs.get(subprog as usize)?.start;
        let find = |callsite: u32, depth: usize| {
            let key = (callsite, u8::try_from(depth).ok()?);
            let found = instances.binary_search_by_key(&key, |i| (i.callsite, i.depth)).ok()?;
            instances.get(found)
        };
        (1..=frame).rev().find_map(|depth| find(callsite, depth)).or_else(|| find(start, 0))
    }

    /// Whether a half-slot of a frame may be read at or after `insn`, which the last of `frames` is about to
    /// execute, or in an outer frame after the call returns (`bpf_stack_slot_alive`).
    ///
    /// `frame` indexes `frames`; `half_slot` is 0 to 127. Where the analysis knows nothing of a frame the answer is
    /// true; false if there is no such frame or half-slot.
    ///
    /// ```
    /// use livediff::{
    ///     Dialect,
    ///     capture::{Insn, Loaded},
    ///     log::Silent,
    ///     verifier::{self, CallFrame},
    /// };
    ///
    /// let insns = vec![
    ///     Insn { code: 0x79, dst_reg: 0, src_reg: 10, off: -8, imm: 0 }, // r0 = *(u64 *)(r10 -8)
    ///     Insn { code: 0x95, ..Insn::default() },                        // exit
    /// ];
    /// let loaded = Loaded { insns, ..Loaded::default() };
    /// let analysis = verifier::analyze(&loaded, Dialect::V7_2, &mut Silent)?;
    /// let chain = [CallFrame { subprog: 0, callsite: 0 }];
    /// assert!(analysis.stack_slot_alive(&chain, 0, 0, 1));
    /// assert!(!analysis.stack_slot_alive(&chain, 1, 0, 1), "nothing reads it after the load");
    /// # Ok::<(), verifier::Error>(())
    /// ```
    pub fn stack_slot_alive(&self, frames: &[CallFrame], insn: u32, frame: usize, half_slot: u32) -> bool {
        self.stack_slots_alive(frames, insn, frame).contains(half_slot)
    }

    /// The half-slots of a frame of which [`Analysis::stack_slot_alive`] says that they are alive.
    pub fn stack_slots_alive(&self, frames: &[CallFrame], insn: u32, frame: usize) -> SlotMask {
        let Some(current) = frames.len().checked_sub(1).filter(|current| frame <= *current) else {
            return SlotMask::EMPTY;
        };
        let instances = match &self.stack {
            Stack::Observed => return SlotMask::ALL,
            Stack::ByCallsite(instances) => instances,
            Stack::ByCallChain(chains) => {
                let alive =
                    |half_slot: &u32| chains.stack_slot_alive(&self.program, frames, insn, frame, *half_slot);
                let alive = (0..HALF_SLOTS).filter(alive).map(i64::from);
                return alive.map(|half| SlotMask::range(half, half)).fold(SlotMask::EMPTY, BitOr::bitor);
            }
        };
        let live_before = |instance: &Instance, insn: u32, frame: i64| {
            let frame = u8::try_from(frame).ok();
            let masks = frame.and_then(|frame| instance.masks(frame, insn));
            masks.map_or(SlotMask::EMPTY, |masks| masks.live_before)
        };
        // An instance that begins further in counts its frames from there.
        let in_instance =
            |instance: &Instance, of: usize| frame as i64 + i64::from(instance.depth) - of as i64;

        let Some(instance) = self.lookup_instance(instances, frames, current) else { return SlotMask::ALL };
        let mut alive = live_before(instance, insn, in_instance(instance, current));
        for outer in frame..current {
            let Some(instance) = self.lookup_instance(instances, frames, outer) else { return SlotMask::ALL };
            let index = in_instance(instance, outer);
            // The kernel takes the index unsigned: a frame further out than the instance is one it knows nothing of.
            // None is further in, because `frame` is not further in than `outer`.
            if index < 0 {
                return SlotMask::ALL;
            }
            let callsite = frames[outer + 1].callsite;
            let at =
                if self.program.calls_callback(callsite) { callsite } else { callsite.saturating_add(1) };
            alive |= live_before(instance, at, index);
        }
        alive
    }
}

#[cfg(test)]
mod tests {
    use livediff_capture::insn::{alu, class, jmp, mode, pseudo, size};
    use livediff_capture::{Insn, Loaded};

    use super::*;
    use crate::log::Silent;
    use crate::verifier::{Dialect, analyze};

    fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
        Insn { code, dst_reg, src_reg, off, imm }
    }

    fn load(dst: u8, src: u8, off: i16) -> Insn {
        insn(class::LDX | mode::MEM | size::DW, dst, src, off, 0)
    }

    fn store(dst: u8, off: i16, imm: i32) -> Insn {
        insn(class::ST | mode::MEM | size::DW, dst, 0, off, imm)
    }

    fn exit() -> Insn {
        insn(class::JMP | jmp::EXIT, 0, 0, 0, 0)
    }

    /// ```text
    /// 0: *(u64 *)(r10 -8) = 1          6: r0 = *(u64 *)(r1 +0)
    /// 1: r1 = r10                      7: *(u64 *)(r1 -8) = 0
    /// 2: r1 += -8                      8: exit
    /// 3: call 6
    /// 4: r0 = *(u64 *)(r10 -16)
    /// 5: exit
    /// ```
    fn caller_and_callee() -> Loaded {
        let insns = vec![
            store(10, -8, 1),
            insn(class::ALU64 | alu::MOV | 8, 1, 10, 0, 0),
            insn(class::ALU64 | alu::ADD, 1, 0, 0, -8),
            insn(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, 2),
            load(0, 10, -16),
            exit(),
            load(0, 1, 0),
            store(1, -8, 0),
            exit(),
        ];
        Loaded { insns, ..Loaded::default() }
    }

    #[test]
    fn a_slot_of_the_caller_is_alive_in_the_callee_and_after_it() {
        let loaded = caller_and_callee();
        let analysis = analyze(&loaded, Dialect::V7_2, &mut Silent).unwrap();
        let chain = [CallFrame { subprog: 0, callsite: 0 }, CallFrame { subprog: 1, callsite: 3 }];
        let alive = |insn, half_slot| analysis.stack_slot_alive(&chain, insn, 0, half_slot);
        // fp0-8 is read by the callee's first instruction and by nothing after it.
        assert!(alive(6, 0) && alive(6, 1));
        assert!(!alive(7, 0) && !alive(7, 1));
        // fp0-16 is read by the caller after the call, so it is alive although the callee overwrites it.
        assert!(alive(6, 2) && alive(8, 3));
        // No one reads fp0-24.
        assert!(!alive(6, 4));

        let entry = &chain[..1];
        assert!(!analysis.stack_slot_alive(entry, 0, 0, 0), "written before it is read");
        assert!(analysis.stack_slot_alive(entry, 1, 0, 0));
        assert!(!analysis.stack_slot_alive(entry, 4, 0, 0));
        assert!(analysis.stack_slot_alive(entry, 4, 0, 2));
        assert!(!analysis.stack_slot_alive(entry, 3, 0, 4));
    }

    #[test]
    fn what_the_callee_certainly_writes_is_not_live_before_the_call() {
        let loaded = caller_and_callee();
        let analysis = analyze(&loaded, Dialect::V7_2, &mut Silent).unwrap();
        let Stack::ByCallsite(instances) = &analysis.stack else { panic!("not by call site") };
        let callee = instances.iter().find(|instance| instance.depth == 1).unwrap();
        assert_eq!((callee.callsite, callee.subprog), (3, 1));
        let masks = callee.masks(0, 7).unwrap();
        assert_eq!(masks.must_write.bits(), 0b1100);
        assert!(masks.may_read.is_empty());
        // Writes are not handed to the call site: fp0-16 stays live before the call.
        assert!(analysis.stack_slot_alive(&[CallFrame { subprog: 0, callsite: 0 }], 3, 0, 2));
    }

    /// Commit fed53dbcdb hands what a callee certainly writes to the call as well, but has said of the call before that it
    /// writes nothing, and takes what both have in common.
    #[test]
    fn by_call_chain_the_same_is_alive() {
        let loaded = caller_and_callee();
        let chain = [CallFrame { subprog: 0, callsite: 0 }, CallFrame { subprog: 1, callsite: 3 }];
        for dialect in [Dialect::Fed53dbcdb, Dialect::V7_1] {
            let analysis = analyze(&loaded, dialect, &mut Silent).unwrap();
            let alive = |frames, insn| analysis.stack_slots_alive(&chain[..frames], insn, 0).bits();
            assert_eq!([6, 7, 8].map(|insn| alive(2, insn)), [0b1111, 0b1100, 0b1100]);
            assert_eq!([0, 1, 3, 4, 5].map(|insn| alive(1, insn)), [0b1100, 0b1111, 0b1111, 0b1100, 0]);
        }
        // What is observed along the paths is not known from what was loaded.
        let analysis = analyze(&loaded, Dialect::Dynamic7_0, &mut Silent).unwrap();
        assert!(matches!(analysis.stack, Stack::Observed));
        assert_eq!(analysis.stack_slots_alive(&chain, 7, 0), SlotMask::ALL);
    }

    /// f lends g a pointer into its own frame; main lends f none, so f is analysed as an entry, and g from there.
    #[test]
    fn a_frame_further_out_than_the_analysis_began_is_alive() {
        let call = |distance| insn(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, distance);
        let insns = vec![
            // main
            call(1),
            exit(),
            // 2: f
            insn(class::ALU64 | alu::MOV | 8, 1, 10, 0, 0),
            insn(class::ALU64 | alu::ADD, 1, 0, 0, -8),
            call(2),
            load(0, 10, -16),
            exit(),
            // 7: g
            load(0, 1, 0),
            exit(),
        ];
        let loaded = Loaded { insns, ..Loaded::default() };
        let analysis = analyze(&loaded, Dialect::V7_2, &mut Silent).unwrap();
        let chain = [
            CallFrame { subprog: 0, callsite: 0 },
            CallFrame { subprog: 1, callsite: 0 },
            CallFrame { subprog: 2, callsite: 4 },
        ];
        let alive = |frames, insn, frame| analysis.stack_slots_alive(&chain[..frames], insn, frame).bits();
        // Nothing reads main's frame, and where f and g are at work the analysis knows nothing of it.
        assert_eq!((alive(1, 0, 0), alive(2, 2, 0), alive(3, 7, 0)), (0, 0, u128::MAX));
        // f's frame: fp-8 is read by g, fp-16 by f after the call.
        assert_eq!((alive(3, 7, 1), alive(3, 8, 1), alive(2, 4, 1)), (0b1111, 0b1100, 0b1111));
        assert_eq!(alive(3, 7, 2), 0);
    }

    #[test]
    fn frames_that_the_analysis_does_not_know_are_alive() {
        let loaded = caller_and_callee();
        let analysis = analyze(&loaded, Dialect::V7_2, &mut Silent).unwrap();
        let unknown = [CallFrame { subprog: 9, callsite: 0 }];
        assert!(analysis.stack_slot_alive(&unknown, 0, 0, 100));
        assert!(!analysis.stack_slot_alive(&[], 0, 0, 0));
        assert!(!analysis.stack_slot_alive(&unknown, 0, 1, 0));
        assert!(!analysis.stack_slot_alive(&unknown, 0, 0, 128));
    }
}
