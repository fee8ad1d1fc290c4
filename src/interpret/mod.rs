//! A plain interpreter of BPF, which executes random paths of a program and tells what they do to stack frames.
//!
//! It knows nothing of the liveness analysis. It executes the instructions as they were loaded, with numbers as numbers
//! and with pointers kept apart from them, as the verifier does. What comes from outside is drawn at random: the context,
//! packets, values of maps, what helpers and kernel functions return, how often a callback is called. Of helpers and
//! kernel functions only that is known which their prototypes say: which arguments point to memory that they read or
//! write, and how much of it.
//!
//! A path ends where the program does, after a number of steps, or where the verifier would not let it go on: at an
//! access to no or to misplaced memory, or where it reads a register that nothing was written to. What was read until then
//! was read. The interpreter is lenient: two values from outside that are compared with each other are not numbers
//! after it. A path is one of the control flow graph that keeps to constants and to what single values were found to be,
//! not to every range that the verifier or a kernel's memory would allow.
//!
//! ```text
//! seed, entry -> one path: steps, calls and returns, reads and writes of stack bytes -> how it ended
//! ```

mod call;
mod frame;
mod machine;
mod value;

pub use frame::STACK_SIZE;
pub use machine::{Machine, Seen};
pub use value::{Value, compute, is_taken, loaded, moved, swapped};

/// What a path does, as it happens. Frames are named by their depth in the call chain, 0 for the entry's.
pub trait Watch {
    /// A frame is made, for the subprogram, by the call instruction (for an entry: its first instruction).
    fn entered(&mut self, subprog: u32, callsite: u32);
    /// The innermost frame is gone.
    fn left(&mut self);
    /// The innermost frame is about to execute an instruction, counted from the program's start.
    fn step(&mut self, insn: u32);
    /// The instruction reads the bytes `off..off + size` of a frame, which lie in it: -512 <= `off`.
    fn read(&mut self, depth: usize, off: i64, size: usize);
    /// The instruction has written the bytes `off..off + size` of a frame, which lie in it.
    fn wrote(&mut self, depth: usize, off: i64, size: usize);
}

/// How a path ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// The entry returned, or the program was left for good: an exception.
    Exit,
    /// After as many steps as were allowed.
    Limit,
    /// The verifier would not let it go on, for this reason.
    Refused(&'static str),
}

#[cfg(test)]
mod tests;
