//! The generations of `liveness.c`: what differs between kernels is chosen here, once.
//!
//! A pass asks for one of the [`Choices`], never for a dialect. A new generation is one more row.

use std::fmt;

/// A generation of the kernel's liveness analysis.
///
/// ```
/// use livediff::Dialect;
///
/// assert_eq!(Dialect::from_id("7.2"), Some(Dialect::V7_2));
/// assert_eq!((Dialect::Dynamic7_0.id(), Dialect::Dynamic7_0.to_string()), ("dynamic-7.0", "dynamic".into()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Linux 6.18. From here to 7.0 stack liveness is observed while the verifier walks the paths, and so no matter
    /// of what was loaded alone; the registers are.
    Dynamic6_18,
    /// Linux 6.19: jump tables, hidden exits, and calls that run callbacks count as loops.
    Dynamic6_19,
    /// Linux 7.0: complaints about kernel function 0.
    Dynamic7_0,
    /// Commit fed53dbcdb of April 2026, on the way to 7.1 and never released: instances by call chain.
    Fed53dbcdb,
    /// Linux 7.1: instances by call site and depth.
    V7_1,
    /// Linux 7.2: 16 call frames, stack arguments.
    V7_2,
    /// Linux 7.3: registers live by halves.
    V7_3,
}

/// How a pointer's offset is moved, and what happens when it leaves 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffsetSum {
    /// The sum is taken in 64 bits; -32768 is the mark of an unknown offset and so cannot be one.
    Marked,
    /// The distance itself must fit into 16 bits, and so must the sum.
    Checked,
}

/// How stack liveness is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StackLiveness {
    /// It is not: the path walk observes it.
    Observed,
    /// By whole call chain, with must_write handed to the caller.
    ByCallChain,
    /// By call site and depth.
    ByCallsite,
}

/// What the passes of a dialect do where dialects differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choices {
    /// The name of the generation.
    pub(crate) name: &'static str,
    /// The name of the dialect, which tells it from all others.
    pub(crate) id: &'static str,
    /// Registers that do not exist are refused before liveness is computed, not by the path walk.
    pub(crate) checks_registers: bool,
    /// Frames in the longest call chain (`MAX_CALL_FRAMES`).
    pub(crate) max_call_frames: u8,
    /// Instructions based on r11 pass arguments on the stack.
    pub(crate) stack_args: bool,
    /// Registers that a call's parameters can stand in, from r1 on.
    pub(crate) param_regs: usize,
    /// How offsets are summed.
    pub(crate) offset_sum: OffsetSum,
    /// A store to an unknown or one of several places forgets what was spilled there, instead of joining it with
    /// none.
    pub(crate) uncertain_store_forgets: bool,
    /// A store through an imprecise pointer that may lead into the own frame counts as one into it.
    pub(crate) store_through_imprecise: bool,
    /// How stack liveness is kept.
    pub(crate) stack_liveness: StackLiveness,
    /// What is compared beyond the log is there to be traced, in the shape that is compared.
    pub(crate) deep: bool,
    /// Callees that get no pointer into a frame are analysed from their caller too.
    pub(crate) descend_without_fp: bool,
    /// The first subprogram is analysed before all others, and then once more in its turn if it is global.
    pub(crate) first_subprog_first: bool,
    /// Constants are found, decided branches are rewritten and subprograms sorted before liveness is computed.
    pub(crate) folds_constants: bool,
    /// A tail call, LD_ABS and LD_IND have an edge to the last exit of their subprogram.
    pub(crate) hidden_exits: bool,
    /// `gotox` may be the last instruction of a subprogram; else it counts as a jump to the one behind it.
    pub(crate) gotox_may_end: bool,
    /// A call that runs a callback is a loop.
    pub(crate) callbacks_are_loops: bool,
    /// A line is printed each time that kernel function 0 is asked for.
    pub(crate) complains_of_kfunc_zero: bool,
    /// The upper halves of registers are tracked for themselves.
    pub(crate) register_halves: bool,
    /// The name of a subprogram is printed by way of a buffer of 320 bytes, and nothing for one without a name.
    pub(crate) subprog_label_is_buffered: bool,
    /// What stands for the name of kernel function 0, which is no function.
    pub(crate) kfunc_zero_name: &'static str,
}

const V7_2: Choices = Choices {
    name: "7.2",
    id: "7.2",
    checks_registers: true,
    max_call_frames: 16,
    stack_args: true,
    param_regs: 5,
    offset_sum: OffsetSum::Checked,
    uncertain_store_forgets: false,
    store_through_imprecise: true,
    stack_liveness: StackLiveness::ByCallsite,
    deep: true,
    descend_without_fp: false,
    first_subprog_first: false,
    folds_constants: true,
    hidden_exits: true,
    gotox_may_end: true,
    callbacks_are_loops: true,
    complains_of_kfunc_zero: true,
    register_halves: false,
    subprog_label_is_buffered: true,
    kfunc_zero_name: "",
};

const V7_3: Choices =
    Choices { name: "7.3", id: "7.3", register_halves: true, kfunc_zero_name: "<error>", ..V7_2 };

const V7_1: Choices = Choices {
    name: "7.1",
    id: "7.1",
    max_call_frames: 8,
    stack_args: false,
    param_regs: 10,
    gotox_may_end: false,
    ..V7_2
};

const FED53DBCDB: Choices = Choices {
    name: "fed53dbcdb",
    id: "fed53dbcdb",
    offset_sum: OffsetSum::Marked,
    uncertain_store_forgets: true,
    store_through_imprecise: false,
    stack_liveness: StackLiveness::ByCallChain,
    deep: false,
    descend_without_fp: true,
    first_subprog_first: true,
    subprog_label_is_buffered: false,
    ..V7_1
};

const DYNAMIC_7_0: Choices = Choices {
    name: "dynamic",
    id: "dynamic-7.0",
    stack_liveness: StackLiveness::Observed,
    deep: false,
    checks_registers: false,
    folds_constants: false,
    ..V7_1
};

const DYNAMIC_6_19: Choices = Choices { id: "dynamic-6.19", complains_of_kfunc_zero: false, ..DYNAMIC_7_0 };

const DYNAMIC_6_18: Choices =
    Choices { id: "dynamic-6.18", hidden_exits: false, callbacks_are_loops: false, ..DYNAMIC_6_19 };

impl Dialect {
    /// Every dialect, oldest first.
    pub const ALL: [Dialect; 7] = [
        Dialect::Dynamic6_18,
        Dialect::Dynamic6_19,
        Dialect::Dynamic7_0,
        Dialect::Fed53dbcdb,
        Dialect::V7_1,
        Dialect::V7_2,
        Dialect::V7_3,
    ];

    pub(crate) fn choices(self) -> &'static Choices {
        match self {
            Dialect::Dynamic6_18 => &DYNAMIC_6_18,
            Dialect::Dynamic6_19 => &DYNAMIC_6_19,
            Dialect::Dynamic7_0 => &DYNAMIC_7_0,
            Dialect::Fed53dbcdb => &FED53DBCDB,
            Dialect::V7_1 => &V7_1,
            Dialect::V7_2 => &V7_2,
            Dialect::V7_3 => &V7_3,
        }
    }

    /// The name that captures keep: as displayed, but for dialects that share a generation.
    pub fn id(self) -> &'static str {
        self.choices().id
    }

    /// The dialect with this [`Dialect::id`].
    pub fn from_id(id: &str) -> Option<Dialect> {
        Dialect::ALL.into_iter().find(|dialect| dialect.id() == id)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.choices().name)
    }
}
