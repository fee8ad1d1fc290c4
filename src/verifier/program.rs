//! A program on its way through the passes (`struct bpf_verifier_env`, as far as liveness needs it).

use std::ops::Range;

use livediff_capture::{Insn, Loaded};

use super::const_fold::ConstRegs;
use super::dialect::Dialect;

/// A subprogram: the instructions `start..end`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subprog {
    /// First instruction.
    pub start: u32,
    /// One past the last instruction.
    pub end: u32,
    /// The last `exit` in it; 0 if there is none, as in the kernel.
    pub exit_idx: u32,
    /// The part of [`Program::postorder`] that lists its reachable instructions.
    pub postorder: Range<usize>,
}

/// A program and what the passes have found out about it so far.
#[derive(Clone, Debug)]
pub struct Program<'a> {
    /// What was loaded.
    pub loaded: &'a Loaded,
    /// The generation of the analysis.
    pub dialect: Dialect,
    /// The instructions; decided conditional jumps are rewritten by `prune_dead_branches`.
    pub insns: Vec<Insn>,
    /// Subprograms, ascending by `start`.
    pub subprogs: Vec<Subprog>,
    /// For `gotox`, and for instructions with a hidden exit: the successors that replace those of the opcode.
    pub(crate) jump_tables: Vec<Option<Box<[u32]>>>,
    /// Reachable instructions, subprogram by subprogram, each in postorder.
    pub postorder: Vec<u32>,
    /// What each register is known to hold before each instruction.
    pub const_regs: Vec<ConstRegs>,
    /// Subprograms, callees before callers.
    pub topo_order: Vec<u32>,
    /// Number of the strongly connected component of each instruction; 0 if it lies on no loop.
    pub scc: Vec<u32>,
}

/// The successors of an instruction, in the kernel's order.
#[derive(Clone, Copy, Debug)]
pub enum Successors<'a> {
    /// Up to two, by opcode: the instruction after it, then the jump's target.
    Opcode([u32; 2], usize),
    /// A jump table.
    Table(&'a [u32]),
}

impl Successors<'_> {
    /// The successors as a slice.
    pub fn as_slice(&self) -> &[u32] {
        match self {
            Successors::Opcode(items, cnt) => items.get(..*cnt).unwrap_or_default(),
            Successors::Table(items) => items,
        }
    }
}

impl<'a> Program<'a> {
    pub(crate) fn new(loaded: &'a Loaded, dialect: Dialect) -> Program<'a> {
        Program {
            loaded,
            dialect,
            insns: loaded.insns.clone(),
            subprogs: Vec::new(),
            jump_tables: vec![None; loaded.insns.len()],
            postorder: Vec::new(),
            const_regs: Vec::new(),
            topo_order: Vec::new(),
            scc: Vec::new(),
        }
    }

    /// Number of instruction slots.
    pub fn len(&self) -> u32 {
        // A program of 2^32 instructions cannot be loaded; `check_subprogs` refuses it.
        self.insns.len() as u32
    }

    /// There are no instructions.
    pub fn is_empty(&self) -> bool {
        self.insns.is_empty()
    }

    /// The instruction; all zeroes outside of the program, so that hostile input cannot panic.
    pub fn insn(&self, idx: u32) -> Insn {
        self.insns.get(idx as usize).copied().unwrap_or_default()
    }

    /// The subprogram that contains the instruction (`bpf_find_containing_subprog`).
    pub fn containing_subprog(&self, idx: u32) -> Option<usize> {
        if idx >= self.len() {
            return None;
        }
        self.subprogs.partition_point(|subprog| subprog.start <= idx).checked_sub(1)
    }

    /// The subprogram that starts at exactly this instruction (`bpf_find_subprog`).
    pub fn find_subprog(&self, start: i64) -> Option<usize> {
        let start = u32::try_from(start).ok()?;
        self.subprogs.binary_search_by_key(&start, |subprog| subprog.start).ok()
    }

    /// The subprogram that a call or a load of a subprogram's address at `idx` names.
    pub fn callee(&self, idx: u32) -> Option<usize> {
        self.find_subprog(i64::from(idx) + i64::from(self.insn(idx).imm) + 1)
    }

    /// The reachable instructions of a subprogram in postorder.
    pub fn postorder_of(&self, subprog: usize) -> &[u32] {
        let range = self.subprogs.get(subprog).map_or(0..0, |subprog| subprog.postorder.clone());
        self.postorder.get(range).unwrap_or_default()
    }

    /// Name in BTF; nothing for a program without function information (`subprog_name`).
    pub fn subprog_name(&self, subprog: usize) -> Option<&str> {
        self.loaded.func_info.get(subprog).map(|info| info.name.as_str())
    }

    /// `bpf_subprog_is_global`.
    pub fn subprog_is_global(&self, subprog: usize) -> bool {
        self.loaded.func_info.get(subprog).is_some_and(|info| info.global)
    }

    /// The call at `idx` runs a callback before it returns (`bpf_calls_callback`).
    pub fn calls_callback(&self, idx: u32) -> bool {
        use livediff_capture::insn::func;
        let insn = self.insn(idx);
        if insn.is_helper_call() {
            matches!(
                insn.imm,
                func::FOR_EACH_MAP_ELEM | func::FIND_VMA | func::LOOP | func::USER_RINGBUF_DRAIN
            )
        } else if insn.is_kfunc_call() {
            self.kfunc(&insn).is_some_and(|kfunc| kfunc.calls_callback)
        } else {
            false
        }
    }

    /// A call of kernel function 0, which is no function. The verifier takes it until it knows that the call is
    /// reached, and may complain each time that it asks what is called (`fetch_kfunc_meta`).
    pub(crate) fn is_invalid_kfunc_call(&self, insn: &Insn) -> bool {
        insn.is_kfunc_call() && insn.imm <= 0 && self.dialect.choices().complains_of_kfunc_zero
    }

    /// What is known of the kfunc that `insn` calls.
    pub fn kfunc(&self, insn: &Insn) -> Option<&'a livediff_capture::Kfunc> {
        self.loaded.kfuncs.iter().find(|kfunc| kfunc.btf_id == insn.imm && kfunc.offset == insn.off)
    }

    /// The first reachable instruction that has a hidden exit although its subprogram has no `exit`, if there is one:
    /// the edge leads to instruction 0, in another subprogram. What the kernel then takes for the slots that are live
    /// there is memory beside the masks of this subprogram, and may be anything.
    pub fn hidden_exit_outside(&self) -> Option<u32> {
        let leaves = |idx: &u32| {
            let table = self.jump_tables.get(*idx as usize).and_then(Option::as_ref);
            let subprog = self.containing_subprog(*idx).and_then(|subprog| self.subprogs.get(subprog));
            table.zip(subprog).is_some_and(|(table, subprog)| {
                table.iter().any(|successor| !(subprog.start..subprog.end).contains(successor))
            })
        };
        self.postorder.iter().copied().filter(leaves).min()
    }

    /// The successors of an instruction (`bpf_insn_successors`). They may lie outside of the program.
    pub fn successors(&self, idx: u32) -> Successors<'_> {
        if let Some(Some(table)) = self.jump_tables.get(idx as usize) {
            return Successors::Table(table);
        }
        let insn = self.insn(idx);
        let next = idx.wrapping_add(insn.slots() as u32);
        let target = || idx.wrapping_add_signed(insn.jmp_offset()).wrapping_add(1);
        use livediff_capture::insn::{class, jmp};
        if !matches!(insn.class(), class::JMP | class::JMP32) {
            return Successors::Opcode([next, 0], 1);
        }
        match insn.op() {
            jmp::EXIT => Successors::Opcode([0, 0], 0),
            jmp::JA => Successors::Opcode([target(), 0], 1),
            jmp::CALL | 0xf0 => Successors::Opcode([next, 0], 1),
            _ => Successors::Opcode([next, target()], 2),
        }
    }
}
