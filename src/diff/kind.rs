//! What kind of discrepancy two sections show, apart from the program that shows it.
//!
//! Two programs that differ in the same kind of fact, in the same direction and at the same sort of instruction, most
//! likely do so for the same cause. That is what causes are counted by, and what a smaller program must keep to show
//! the same discrepancy.

use crate::bpf::{Insn, insn::class};
use serde::Serialize;
use std::fmt;

/// The kind of a discrepancy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Kind {
    /// What differs.
    pub what: What,
    /// Whose frame it is about; nothing where it is about none.
    pub frame: Option<Frame>,
    /// How the second side differs from the first.
    pub change: Change,
    /// The sort of instruction; nothing where it is about none.
    pub site: Option<Site>,
}

impl Kind {
    /// That of two sections with the same words of which one ends otherwise.
    pub const END: Kind = Kind { what: What::Error, frame: None, change: Change::Changed, site: None };
}

/// What differs, in the order in which the section has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Which subprograms there are, and where they begin (`func#1 @11`).
    Subprograms,
    /// A complaint about kernel function 0.
    InvalidKfunc,
    /// The order of the subprograms (`topo_order[0] = main`).
    TopoOrder,
    /// Which subprograms are analysed, at which depth, and how often.
    Analyzing,
    /// The effect of an instruction on a pointer (`r1: _ -> fp0-8`).
    Transfer,
    /// A pointer where paths meet (`arg JOIN ..`).
    Join,
    /// The pointers before an instruction (`// r1=fp0-8`).
    Pointers,
    /// Which instances of a subprogram there are (`stack use/def .. (d1,cs4):`).
    Instances,
    /// The slots that an instruction may read (`use:`).
    Use,
    /// The slots that an instruction certainly writes (`def:`).
    Def,
    /// The slots live before an instruction, on the way to a fixed point (`+live`, of fed53dbcdb).
    Live,
    /// The slots written by a call chain (`+written`, of fed53dbcdb).
    Written,
    /// Passes until the fixed point of a call chain (of fed53dbcdb).
    Iterations,
    /// The registers live before an instruction.
    LiveRegs,
    /// Whether the upper half of a result has to be cleared (`; zext`).
    Zext,
    /// The strongly connected component that an instruction is in.
    Component,
    /// The error that ends the analysis, or its absence.
    Error,
    /// The text of an instruction.
    Insn,
    /// The same lines in another order, or another number of times.
    Order,
    /// The same facts, written in another way.
    Layout,
}

/// Whose frame a slot is in, seen from the instruction that accesses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// That of the instruction's own subprogram.
    Own,
    /// That of a caller.
    Caller,
}

/// How the second side differs from the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It has all that the first has, and more: slots, registers, places that a pointer may lead to.
    Grew,
    /// It lacks some of what the first has, and has nothing else.
    Shrank,
    /// It has something else.
    Changed,
    /// The first says nothing of it.
    Appeared,
    /// It says nothing of it.
    Gone,
}

/// The sort of instruction that a fact is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Site {
    /// A call of a subprogram.
    Call,
    /// A call of a helper.
    Helper,
    /// A call of a kernel function.
    Kfunc,
    /// A load, a store or an atomic operation.
    Access,
    /// A jump or an exit.
    Jump,
    /// Arithmetic, a move or a load of a constant.
    Other,
}

impl Site {
    /// The sort of an instruction.
    pub fn of(insn: &Insn) -> Site {
        match insn.class() {
            _ if insn.is_pseudo_call() => Site::Call,
            _ if insn.is_kfunc_call() => Site::Kfunc,
            _ if insn.is_helper_call() => Site::Helper,
            class::LDX | class::ST | class::STX => Site::Access,
            class::JMP | class::JMP32 => Site::Jump,
            _ => Site::Other,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::Subprograms => "the subprograms",
            What::InvalidKfunc => "the complaint about kernel function 0",
            What::TopoOrder => "topo_order",
            What::Analyzing => "which subprograms are analysed",
            What::Transfer => "arg tracking, transfer",
            What::Join => "arg tracking, join",
            What::Pointers => "arg tracking, result",
            What::Instances => "the instances with a use/def listing",
            What::Use => "`use:`",
            What::Def => "`def:`",
            What::Live => "`live`",
            What::Written => "`written`",
            What::Iterations => "passes to the fixed point",
            What::LiveRegs => "live registers",
            What::Zext => "`zext`",
            What::Component => "strongly connected components",
            What::Error => "the error that ends the analysis",
            What::Insn => "the text of instructions",
            What::Order => "order or repetition of the same lines",
            What::Layout => "layout of the same facts",
        })
    }
}

impl fmt::Display for Kind {
    /// ``"`use:` of the caller's frame: grew, at calls of subprograms"``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)?;
        f.write_str(match self.frame {
            Some(Frame::Own) => " of the own frame",
            Some(Frame::Caller) => " of the caller's frame",
            None => "",
        })?;
        if matches!(self.what, What::Order | What::Layout) {
            return Ok(());
        }
        f.write_str(match self.change {
            Change::Grew => ": grew",
            Change::Shrank => ": shrank",
            Change::Changed => ": changed",
            Change::Appeared => ": appeared",
            Change::Gone => ": gone",
        })?;
        f.write_str(match self.site {
            Some(Site::Call) => ", at calls of subprograms",
            Some(Site::Helper) => ", at calls of helpers",
            Some(Site::Kfunc) => ", at calls of kernel functions",
            Some(Site::Access) => ", at loads and stores",
            Some(Site::Jump) => ", at jumps and exits",
            Some(Site::Other) => ", at arithmetic, moves and constants",
            None => "",
        })
    }
}
