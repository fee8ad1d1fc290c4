use std::fmt;

/// A pass of the verifier, in the order in which the kernel runs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pass {
    /// `add_subprog_and_kfunc`.
    AddSubprogs,
    /// `check_subprogs`.
    CheckSubprogs,
    /// `check_and_resolve_insns`.
    ResolveInsns,
    /// `bpf_check_cfg`.
    CheckCfg,
    /// `bpf_prune_dead_branches`.
    PruneDeadBranches,
    /// `sort_subprogs_topo`.
    SortSubprogs,
    /// `bpf_compute_subprog_arg_access`.
    ArgAccess,
}

/// Why the verifier refuses a program before its liveness is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The pass that refused.
    pub pass: Pass,
    /// The error number, positive.
    pub errno: i32,
    /// The line that the kernel prints, without its end; nothing where the kernel says nothing.
    ///
    /// From [`Pass::SortSubprogs`] on these are the kernel's bytes. Before that, where the kernel has printed
    /// nothing of the liveness section, they say what is wrong in our own words.
    pub message: Option<String>,
}

/// Error numbers that the passes return.
pub(crate) mod errno {
    pub(crate) const E2BIG: i32 = 7;
    pub(crate) const EFAULT: i32 = 14;
    pub(crate) const EINVAL: i32 = 22;
}

impl Error {
    pub(crate) fn new(pass: Pass, errno: i32, message: impl Into<String>) -> Error {
        Error { pass, errno, message: Some(message.into()) }
    }

    pub(crate) fn silent(pass: Pass, errno: i32) -> Error {
        Error { pass, errno, message: None }
    }

    /// The kernel had begun to print the liveness section when it refused.
    pub fn in_liveness(&self) -> bool {
        self.pass >= Pass::SortSubprogs
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{message} (errno {})", self.errno),
            None => write!(f, "refused without a message by {:?} (errno {})", self.pass, self.errno),
        }
    }
}

impl std::error::Error for Error {}
