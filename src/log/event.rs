//! What the analysis has to say while it works, as types: the log, counters and pictures are made from these.

use crate::verifier::{ArgTrack, CallChain, Instance, LiveRegs, Program, SlotMask, State};

/// Something that holds a value which the analysis tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Register r0 to r10.
    Reg(u8),
    /// Outgoing stack argument, 0 to 6.
    StackArg(u8),
    /// Slot of the subprogram's own frame: 0 is fp-8, 63 is fp-512.
    Slot(u8),
}

impl Place {
    /// The holder that [`crate::verifier::Regs`] keeps at this index.
    pub(crate) fn of_tracked_reg(index: usize) -> Place {
        match index.checked_sub(livediff_capture::insn::MAX_BPF_REG) {
            None => Place::Reg(index as u8),
            Some(slot) => Place::StackArg(slot as u8),
        }
    }
}

/// Which of a call chain's masks changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MaskKind {
    /// `live_before`.
    Live,
    /// `must_write_acc`.
    Written,
}

/// One step of the analysis, in the order in which the kernel takes and prints them.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A subprogram was found (`func#0 @0`).
    Subprog {
        /// Its index, ascending by first instruction.
        subprog: u32,
        /// Its first instruction.
        start: u32,
    },
    /// Kernel function 0 was asked for (`invalid kernel function btf_id 0`).
    InvalidKfunc {
        /// The call.
        insn: u32,
    },
    /// The place of a subprogram among all, callees first (`topo_order[0] = name`).
    TopoOrder {
        /// The place.
        position: u32,
        /// Index of the subprogram.
        subprog: u32,
    },
    /// The analysis of a subprogram begins (`subprog#0: analyzing (depth 0)...`).
    Analyzing {
        /// Index of the subprogram.
        subprog: u32,
        /// Its depth in the call chain, 0 for an entry.
        depth: u8,
    },
    /// The effect of an instruction on what is tracked; nothing is printed where the two states are equal.
    Transfer {
        /// The instruction.
        insn: u32,
        /// What holds before it.
        before: &'a State,
        /// What holds after it.
        after: &'a State,
    },
    /// A value changed where paths meet (`arg JOIN insn 1 -> 3 r1: ..`).
    Join {
        /// The instruction that control comes from.
        insn: u32,
        /// The instruction that it goes to.
        target: u32,
        /// What holds the value.
        place: Place,
        /// What was known before.
        old: ArgTrack,
        /// What comes from `insn`.
        incoming: ArgTrack,
        /// What is known now.
        joined: ArgTrack,
    },
    /// The fixed point of a subprogram: its listing with the pointers before each instruction.
    SubprogArgs {
        /// Index of the subprogram.
        subprog: u32,
        /// Depth in the call chain.
        depth: u8,
        /// The calls that lead to it, outermost first: as many as `depth` says.
        callsites: &'a [u32],
        /// The state before each of its instructions; nothing for one that is not reached.
        states: &'a [Option<State>],
    },
    /// What each instruction of an instance reads and writes (`stack use/def ..`).
    Instance(&'a Instance),
    /// A mask changed on the way to the fixed point of a call chain (`(0) frame 0 insn 3 +live -8`).
    MaskChange {
        /// The call chain.
        chain: &'a CallChain,
        /// The frame.
        frame: u8,
        /// The instruction.
        insn: u32,
        /// Which mask.
        kind: MaskKind,
        /// The mask before.
        old: SlotMask,
        /// The mask now.
        new: SlotMask,
    },
    /// The fixed point of a call chain is reached (`(0) live stack update done in 2 iterations`).
    UpdateDone {
        /// The call chain.
        chain: &'a CallChain,
        /// Passes over the instructions, the last one, which changed nothing, included.
        iterations: u32,
    },
    /// The registers that may be read at or after each instruction (`Live regs before insn:`).
    LiveRegs(&'a LiveRegs),
}

/// Takes the events of an analysis.
///
/// ```
/// use livediff::{
///     Dialect,
///     capture::{Insn, Loaded},
///     log::{Event, Listener},
///     verifier::{self, Program},
/// };
///
/// /// Counts the instructions that the fixed point looks at.
/// struct Visits(usize);
///
/// impl Listener for Visits {
///     fn event(&mut self, _: &Program<'_>, event: Event<'_>) {
///         self.0 += usize::from(matches!(event, Event::Transfer { .. }));
///     }
/// }
///
/// let exit = Insn { code: 0x95, ..Insn::default() };
/// let loaded = Loaded { insns: vec![exit], ..Loaded::default() };
/// let mut visits = Visits(0);
/// verifier::analyze(&loaded, Dialect::V7_2, &mut visits)?;
/// assert_eq!(visits.0, 1);
/// # Ok::<(), verifier::Error>(())
/// ```
pub trait Listener {
    /// Whether events are wanted at all; an analysis that nobody listens to doesn't make them.
    fn listens(&self) -> bool {
        true
    }

    /// Takes one event.
    fn event(&mut self, program: &Program<'_>, event: Event<'_>);
}

/// Takes no events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Listener for Silent {
    fn listens(&self) -> bool {
        false
    }

    fn event(&mut self, _: &Program<'_>, _: Event<'_>) {}
}
