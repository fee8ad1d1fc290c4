//! Programs that nobody would write, made to reach every corner of the liveness analysis.
//!
//! ```text
//! seed, number -> a few candidates -> what the model's analysis does with each -> the one that does the rarest things
//! ```
//!
//! A program is made of actions (a pointer is moved, spilled, passed to a helper, ...), weighted anew for each program,
//! so that some are absent and others abound. An action mostly takes registers that hold what it works on (a constant
//! whose sign is extended, a pointer that is stored through), and some values differ between two paths that meet. What an analysis does is told by its events, put into classes
//! ([`Features`]); of a few candidates the one wins whose classes were seen least so far. Everything depends on the seed
//! and the number of the program alone.

mod body;
mod contents;
mod features;
mod generate;
mod lawful;
mod setting;

pub use features::{Features, Seen};
pub use generate::{Generator, Material, loaded, section, tame};
pub use lawful::lawful;
