//! The verifier's passes up to and including liveness, one file per pass, run in the kernel's order.
//!
//! Nothing here reads a log or talks to a kernel: [`analyze`] works from what was loaded alone.

mod arg_track;
mod call_chains;
mod cfg;
mod const_fold;
mod detect;
mod dialect;
mod error;
mod live_regs;
mod liveness;
mod program;
mod query;
mod record;
mod slots;
mod stack_access;
mod subprog_args;
mod subprogs;

pub use arg_track::{ArgTrack, Offsets, Regs, STACK_ARGS, Slots, State, TRACKED_REGS};
pub use call_chains::{CallChain, CallChains, ChainInstance, ChainMasks};
pub use const_fold::ConstRegs;
pub use detect::{DetectError, Evidence};
pub use dialect::Dialect;
pub use error::{Error, Pass};
pub use live_regs::LiveRegs;
pub use liveness::{FrameMasks, Instance};
pub use program::{Program, Subprog, Successors};
pub use query::CallFrame;
pub use slots::{HALF_SLOT_SIZE, HALF_SLOTS, SLOTS, SlotMask};

use dialect::StackLiveness;
use livediff_capture::{Insn, Loaded};
use liveness::ByCallsite;

use crate::log::{Event, Listener};

/// All that is known of a program's liveness.
#[derive(Clone, Debug)]
pub struct Analysis<'a> {
    /// The program: its subprograms, decided branches, postorder, components and constants.
    pub program: Program<'a>,
    /// What each instruction reads and writes of the stack, and what is live before it.
    pub stack: Stack,
    /// The registers live before each instruction.
    pub live_regs: LiveRegs,
}

/// The stack liveness of a program, in the form of its dialect.
#[derive(Clone, Debug)]
pub enum Stack {
    /// It is not known from what was loaded alone: Linux 6.18 to 7.0.
    Observed,
    /// Every instance, ascending by call site, then depth: Linux 7.1 and later.
    ByCallsite(Vec<Instance>),
    /// By call chain: commit fed53dbcdb.
    ByCallChain(Box<CallChains>),
}

/// Analyses a program as the verifier of a kernel of this dialect does, and tells the listener each step.
///
/// # Errors
/// What the kernel's passes refuse on the way: then the listener has been told all that the kernel prints first.
///
/// # Example
/// ```
/// use livediff::{
///     Dialect,
///     capture::{Insn, Loaded},
///     log::Silent,
///     verifier::{self, Stack},
/// };
///
/// let insns = vec![
///     Insn { code: 0x7a, dst_reg: 10, off: -8, imm: 1, ..Insn::default() }, // *(u64 *)(r10 -8) = 1
///     Insn { code: 0x61, dst_reg: 0, src_reg: 10, off: -4, imm: 0 },        // r0 = *(u32 *)(r10 -4)
///     Insn { code: 0x95, ..Insn::default() },                               // exit
/// ];
/// let loaded = Loaded { insns, ..Loaded::default() };
/// let analysis = verifier::analyze(&loaded, Dialect::V7_2, &mut Silent)?;
///
/// // Before the load r10 is live, which is never listed, and no other register; before the exit r0 is.
/// assert_eq!(analysis.live_regs.before, [1 << 10, 1 << 10, 1]);
/// let Stack::ByCallsite(instances) = &analysis.stack else { unreachable!("7.2 keeps it by call site") };
/// let masks = instances[0].masks(0, 1).expect("the frame is touched");
/// // Half-slot 0 is fp-4 to fp-1.
/// assert_eq!((masks.may_read.bits(), masks.live_before.bits()), (0b01, 0b01));
/// # Ok::<(), verifier::Error>(())
/// ```
pub fn analyze<'a>(
    loaded: &'a Loaded,
    dialect: Dialect,
    listener: &mut dyn Listener,
) -> Result<Analysis<'a>, Error> {
    let listens = listener.listens();
    let mut program = Program::new(loaded, dialect);
    subprogs::add_subprogs(&mut program)?;
    if listens {
        for (subprog, start) in program.subprogs.iter().map(|subprog| subprog.start).enumerate() {
            listener.event(&program, Event::Subprog { subprog: subprog as u32, start });
        }
    }
    subprogs::check_subprogs(&mut program)?;
    check_insns(&program)?;
    cfg::check_cfg(&mut program, listener)?;
    cfg::compute_postorder(&mut program);
    if dialect.choices().folds_constants {
        const_fold::compute_const_regs(&mut program);
        const_fold::prune_dead_branches(&mut program)?;
        subprogs::sort_subprogs(&mut program)?;
        if listens {
            for (position, &subprog) in program.topo_order.iter().enumerate() {
                listener.event(&program, Event::TopoOrder { position: position as u32, subprog });
            }
        }
    }
    cfg::compute_scc(&mut program);
    if listens {
        // The registers that each instruction uses are asked for first: a call's by what it calls.
        for insn in (0..program.len()).filter(|idx| program.is_invalid_kfunc_call(&program.insn(*idx))) {
            listener.event(&program, Event::InvalidKfunc { insn });
        }
    }
    let stack = match dialect.choices().stack_liveness {
        StackLiveness::Observed => Stack::Observed,
        StackLiveness::ByCallsite => {
            let mut instances = ByCallsite::default();
            subprog_args::compute_subprog_arg_access(&program, &mut instances, listener)?;
            Stack::ByCallsite(instances.into_sorted(&program, listener))
        }
        StackLiveness::ByCallChain => {
            let mut chains = CallChains::new(&program);
            subprog_args::compute_subprog_arg_access(&program, &mut chains, listener)?;
            Stack::ByCallChain(Box::new(chains))
        }
    };
    let live_regs = live_regs::compute_live_registers(&program);
    if listens {
        listener.event(&program, Event::LiveRegs(&live_regs));
    }
    Ok(Analysis { program, stack, live_regs })
}

/// Checks what the passes rely on: registers that exist, and whole 64-bit loads (part of
/// `check_and_resolve_insns`).
fn check_insns(program: &Program<'_>) -> Result<(), Error> {
    use livediff_capture::insn::REG_FP;
    let fail = |message: String| Err(Error::new(Pass::ResolveInsns, error::errno::EINVAL, message));
    let choices = program.dialect.choices();
    let (stack_args, checks_registers) = (choices.stack_args, choices.checks_registers);
    let mut insns = program.insns.iter();
    while let Some(insn) = insns.next() {
        let stores_arg = stack_args && (insn.is_stack_arg_st() || insn.is_stack_arg_stx());
        if checks_registers && insn.dst_reg > REG_FP && !stores_arg {
            return fail(format!("R{} is invalid", insn.dst_reg));
        }
        if checks_registers && insn.src_reg > REG_FP && !(stack_args && insn.is_stack_arg_ldx()) {
            return fail(format!("R{} is invalid", insn.src_reg));
        }
        if insn.is_ldimm64() {
            match insns.next() {
                Some(Insn { code: 0, dst_reg: 0, src_reg: 0, off: 0, .. }) => {}
                _ => return fail("invalid bpf_ld_imm64 insn".into()),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
