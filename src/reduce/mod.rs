//! From a program that shows something to the smallest that still shows it.
//!
//! Delta debugging: edits are tried on the best program so far, and what still shows it and costs less (see
//! [`cost`]) takes its place, until no edit is left that does. An [`Oracle`] judges many candidates at a time, since
//! what they are judged by is a trip into a virtual machine; so all edits of a kind are tried at once, each alone, and
//! those that succeeded then in combinations.
//!
//! ```text
//! edits of a kind -> each alone -> those that succeed -> unions of them -> the cheapest becomes the best -> the rest again
//!
//! kinds, in turn until none helps: another function as the program; functions; calls past a function; ends; branches;
//! ranges, halved down to single instructions; copies; simpler instructions; registers; section and maps; pairs, once
//! the program is small
//! ```
//!
//! Everything depends on the program, the seed and the oracle's answers alone.

mod cost;
mod edit;
mod search;

pub use cost::{Cost, cost};
pub use edit::{Edit, SECTIONS};
pub use search::{Reduced, Round, reduce};

use crate::assemble::Program;

/// Says of programs whether they show what the first one did.
///
/// A candidate is cheaper than the best program so far, and tidied ([`Program::tidy`]).
pub trait Oracle {
    /// An answer for each candidate, in their order; nothing where the search has to end.
    fn shows(&mut self, candidates: &[Program]) -> Option<Vec<bool>>;

    /// Told when the best program was replaced by a cheaper one.
    fn improved(&mut self, best: &Program, round: Round) {
        let _ = (best, round);
    }
}

#[cfg(test)]
mod tests;
