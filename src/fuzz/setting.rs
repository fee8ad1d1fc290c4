//! What programs are made of: actions and their weights, and what a type of program may call.

use super::generate::Material;
use crate::bpf::helpers::{self, ArgKind};
use crate::random::Random;
use crate::verifier::Dialect;
use livediff_capture::{Loaded, insn::func};

/// What a program is made of. Each makes one to a few instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Pointer,
    Move,
    Add,
    AluRegister,
    AluImmediate,
    Alu32,
    Fold,
    SignExtend,
    AddressCast,
    Swap,
    Constant,
    Store,
    StoreImmediate,
    Load,
    LoadSigned,
    Atomic,
    SpillAndFill,
    Helper,
    Kfunc,
    Call,
    Callback,
    Branch,
    DecidedBranch,
    Arms,
    Either,
    MayGoto,
    Goto,
    HiddenExit,
    StackArgument,
    MapAddress,
    ReadOnlyLoad,
    JumpTable,
}

/// Actions and how often they are taken where nothing speaks for or against them.
const ACTIONS: [(Action, usize); 32] = [
    (Action::Pointer, 14),
    (Action::Move, 6),
    (Action::Add, 6),
    (Action::AluRegister, 3),
    (Action::AluImmediate, 3),
    (Action::Alu32, 2),
    (Action::Fold, 3),
    (Action::SignExtend, 2),
    (Action::AddressCast, 1),
    (Action::Swap, 1),
    (Action::Constant, 5),
    (Action::Store, 14),
    (Action::StoreImmediate, 5),
    (Action::Load, 13),
    (Action::LoadSigned, 2),
    (Action::Atomic, 5),
    (Action::SpillAndFill, 5),
    (Action::Helper, 8),
    (Action::Kfunc, 2),
    (Action::Call, 8),
    (Action::Callback, 4),
    (Action::Branch, 10),
    (Action::DecidedBranch, 4),
    (Action::Arms, 4),
    (Action::Either, 4),
    (Action::MayGoto, 1),
    (Action::Goto, 1),
    (Action::HiddenExit, 1),
    (Action::StackArgument, 2),
    (Action::MapAddress, 1),
    (Action::ReadOnlyLoad, 2),
    (Action::JumpTable, 1),
];

/// A type of program, and the helpers that it may call and that do something to memory.
#[derive(Clone, Debug)]
pub(super) struct ProgramType {
    pub(super) section: &'static str,
    pub(super) id: u32,
    /// They read or write keys or values of a map, whose sizes its address tells.
    pub(super) on_maps: Vec<i32>,
    /// They read or write other memory.
    pub(super) on_memory: Vec<i32>,
}

/// Helpers have numbers from 1 to this.
pub(super) const LAST_HELPER: i32 = 211;

impl ProgramType {
    /// Programs of `section` are of type `id` (`enum bpf_prog_type`).
    pub(super) fn new(section: &'static str, id: u32, dialect: Dialect) -> ProgramType {
        let mut prog_type = ProgramType { section, id, on_maps: Vec::new(), on_memory: Vec::new() };
        let like = prog_type.example();
        for id in (1..=LAST_HELPER).filter(|id| !calls_back(*id)) {
            let Some(prototype) = helpers::prototype(dialect, &like, id) else { continue };
            let takes = |kinds: fn(ArgKind) -> bool| prototype.args.iter().any(|arg| kinds(arg.kind));
            if takes(|kind| matches!(kind, ArgKind::MapKey | ArgKind::MapValue)) {
                prog_type.on_maps.push(id);
            } else if takes(|kind| matches!(kind, ArgKind::Mem | ArgKind::FixedMem(_) | ArgKind::Dynptr)) {
                prog_type.on_memory.push(id);
            }
        }
        prog_type
    }

    /// What tells which helpers may be called.
    pub(super) fn example(&self) -> Loaded {
        Loaded { prog_type: self.id, ..Loaded::default() }
    }
}

/// The call runs a callback, or does not come back.
pub(super) fn calls_back(helper: i32) -> bool {
    matches!(
        helper,
        func::LOOP
            | func::FOR_EACH_MAP_ELEM
            | func::FIND_VMA
            | func::USER_RINGBUF_DRAIN
            | func::TIMER_SET_CALLBACK
            | func::TAIL_CALL
    )
}

/// What one program is made with.
pub(super) struct Setting<'a> {
    pub(super) material: &'a Material,
    pub(super) prog_type: &'a ProgramType,
    pub(super) dialect: Dialect,
    weights: Vec<(Action, usize)>,
    /// Of a hundred arguments, so many differ between two paths.
    pub(super) either: usize,
}

impl<'a> Setting<'a> {
    /// A factor for each action at random: what is left out makes room for what is rarely met otherwise.
    pub(super) fn new(
        random: &mut Random,
        material: &'a Material,
        prog_type: &'a ProgramType,
        dialect: Dialect,
    ) -> Setting<'a> {
        let kfuncs = !material.kfuncs.is_empty() && random.percent(25);
        let mut weights = ACTIONS.to_vec();
        for (action, weight) in &mut weights {
            *weight *= random.of(&[0, 1, 2, 2, 3, 8], 1);
            let offered = match action {
                Action::Kfunc => kfuncs,
                Action::StackArgument => dialect.choices().stack_args,
                // Both came with the same kernel: a hidden exit is a jump table to the verifier.
                Action::JumpTable => dialect.choices().hidden_exits,
                _ => true,
            };
            if !offered {
                *weight = 0;
            }
        }
        Setting { material, prog_type, dialect, weights, either: random.of(&[0, 5, 10, 25], 0) }
    }

    pub(super) fn choose(&self, random: &mut Random) -> Action {
        let mut at = random.below(self.weights.iter().map(|(_, weight)| weight).sum());
        for (action, weight) in &self.weights {
            if at < *weight {
                return *action;
            }
            at -= weight;
        }
        Action::Pointer
    }
}
