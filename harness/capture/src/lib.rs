//! A capture: what one kernel's verifier saw of one BPF program, and what it said.
//!
//! It is the only thing that crosses from the kernel's side to the model's. The two halves never mix: the
//! analyzer is given [`Loaded`] and never sees [`Said`].
#![forbid(unsafe_code)]

#[cfg(feature = "file")]
pub mod file;
mod hex;
pub mod insn;
mod loaded;
mod said;
pub mod trace;

pub use insn::Insn;
pub use loaded::{
    Attach, FuncInfo, Kfunc, KfuncParam, KfuncPrototype, Loaded, Map, MapShape, has_no_entries,
};
pub use said::{Said, Verdict};

use serde::{Deserialize, Serialize};

/// The kernel that a capture was taken from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// `uname -r` of the kernel, for example `7.2.12+deb13-cloud-amd64`.
    pub release: String,
    /// The generation of `liveness.c` that the kernel carries, as found in its BTF: for example `7.2`.
    pub dialect: String,
    /// The user chose the dialect, whatever the BTF says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dialect_forced: bool,
}

impl Kernel {
    /// The same kernel, as far as its name tells, taken for the same dialect.
    pub fn is_same(&self, other: &Kernel) -> bool {
        (&self.release, &self.dialect) == (&other.release, &other.dialect)
    }
}

/// One program in one kernel: what was loaded and what was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// The object that the program came from, as the user named it: `corpus/stack/spill.bpf.o`.
    pub object: String,
    /// The program's name in the object.
    pub program: String,
    /// The kernel that judged it.
    pub kernel: Kernel,
    /// What the verifier saw. The analyzer works from this half alone.
    pub loaded: Loaded,
    /// What the verifier said. The comparison holds the analyzer's words against this half.
    pub said: Said,
}
