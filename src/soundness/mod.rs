//! Is the answer right? Whatever is read of a stack frame must have been called live since it was written.
//!
//! [`check_paths`] executes random paths ([`crate::interpret`]). A byte that is read at step r and was last written at
//! step w, or is as old as its frame, has to be live before each of the steps w+1 to r: in the frame that executes the
//! step, or, where that is a deeper one, in what is asked for the frames that lead to it. The question is the one that the
//! path walk of the verifier asks ([`Analysis::stack_slot_alive`]), for the very chain of calls. A "no" is a [`Finding`].
//!
//! Bytes are what is followed, half-slots are what is asked for: that a half-slot stays live after a part of it was
//! written is not demanded. So nothing is demanded that is not needed by this one path.
//!
//! [`observed::check`] holds answers against what Linux 6.18 to 7.0 observe on the verifier's own paths.

mod describe;
pub mod observed;
mod paths;

pub use describe::{describe, describe_missed, half_slot_name};
pub use paths::{Coverage, Limits, check_paths};

use crate::verifier::{Analysis, CallFrame};

/// Who answers whether a half-slot may still be read.
pub trait Answers {
    /// As [`Analysis::stack_slot_alive`].
    fn alive(&self, frames: &[CallFrame], insn: u32, frame: usize, half_slot: u32) -> bool;
}

impl Answers for Analysis<'_> {
    fn alive(&self, frames: &[CallFrame], insn: u32, frame: usize, half_slot: u32) -> bool {
        self.stack_slot_alive(frames, insn, frame, half_slot)
    }
}

/// A place in a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The frames, outermost first.
    pub frames: Vec<CallFrame>,
    /// The instruction that the innermost is about to execute.
    pub insn: u32,
}

/// A half-slot that is read although it was called dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The entry that the path begins with: index of the subprogram.
    pub entry: u32,
    /// The frame whose half-slot it is.
    pub frame: usize,
    /// The half-slot, 0 to 127.
    pub half_slot: u32,
    /// From where the bytes are: the step that wrote them; none if they are as old as their frame.
    pub written: Option<Step>,
    /// The last step before which the half-slot is not live, although it is read later.
    pub dead: Step,
    /// Who reads it.
    pub read: Step,
    /// The instructions from the write to the read, both included; of a long path the beginning and the end.
    pub path: Vec<Step>,
    /// Steps of the path that `path` leaves out.
    pub left_out: usize,
}

#[cfg(test)]
mod tests;
