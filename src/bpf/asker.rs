//! What the kernel asks of a program before it gives it a helper or a kernel function.
use livediff_capture::{Attach, Loaded};

/// `enum bpf_prog_type`: the types that are treated in a way of their own.
pub mod prog_type {
    /// `BPF_PROG_TYPE_CGROUP_SOCK`.
    pub const CGROUP_SOCK: u32 = 9;
    /// `BPF_PROG_TYPE_SK_REUSEPORT`.
    pub const SK_REUSEPORT: u32 = 21;
    /// `BPF_PROG_TYPE_TRACING`.
    pub const TRACING: u32 = 26;
    /// `BPF_PROG_TYPE_STRUCT_OPS`.
    pub const STRUCT_OPS: u32 = 27;
    /// `BPF_PROG_TYPE_EXT`.
    pub const EXT: u32 = 28;
    /// `BPF_PROG_TYPE_LSM`.
    pub const LSM: u32 = 29;
}

/// `BPF_F_SLEEPABLE` of `prog_flags`.
pub(super) const SLEEPABLE: u32 = 1 << 4;
/// `BPF_CGROUP_INET_SOCK_CREATE`.
const CGROUP_INET_SOCK_CREATE: u32 = 2;
/// `BPF_SK_REUSEPORT_SELECT`.
const SK_REUSEPORT_SELECT: u32 = 39;

/// The answers of one program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    /// `enum bpf_prog_type` that it was loaded as (`prog->type`).
    pub(super) prog_type: u32,
    /// The same, but of an extension the type of the program that it extends (`resolve_prog_type`).
    pub(super) resolved_type: u32,
    /// `enum bpf_attach_type` (`prog->expected_attach_type`).
    pub(super) attach_type: u32,
    /// `prog->sleepable`.
    pub(super) sleepable: bool,
    /// Of a struct_ops program the name of the struct, else empty.
    pub(super) struct_ops: &'a str,
    /// The struct_ops member, or the name of the LSM hook or iterator target without the kernel's prefix.
    pub(super) attached_to: &'a str,
}

impl<'a> Asker<'a> {
    /// The program as it stands once `check_attach_btf_id` is done, which is before any liveness.
    pub(super) fn of(loaded: &'a Loaded) -> Asker<'a> {
        let prog_type = loaded.prog_type;
        // What an extension replaces is a function of a program, which is in none of the kernel's lists of hooks, whatever
        // its name.
        let attached_to = match &loaded.attach {
            Some(attach) if prog_type != prog_type::EXT => attach.name.as_str(),
            _ => "",
        };
        // It inherits both from its target.
        let (resolved_type, attach_type) = match &loaded.attach {
            Some(Attach { target_prog_type: Some(target), target_attach_type, .. })
                if prog_type == prog_type::EXT =>
            {
                (*target, *target_attach_type)
            }
            _ => (prog_type, loaded.expected_attach_type),
        };
        // `bpf_prog_load_fixup_attach_type`, which an extension's target went through as well.
        let attach_type = match (resolved_type, attach_type) {
            (prog_type::CGROUP_SOCK, 0) => CGROUP_INET_SOCK_CREATE,
            (prog_type::SK_REUSEPORT, 0) => SK_REUSEPORT_SELECT,
            (_, given) => given,
        };
        let (struct_ops, attached_to) = if prog_type == prog_type::STRUCT_OPS {
            attached_to.split_once('/').unwrap_or((attached_to, ""))
        } else {
            // What LSM and iterator programs attach to are functions with these prefixes.
            let stripped =
                ["bpf_lsm_", "bpf_iter_"].iter().find_map(|prefix| attached_to.strip_prefix(prefix));
            ("", stripped.unwrap_or(attached_to))
        };
        let sleepable = loaded.prog_flags & SLEEPABLE != 0;
        Asker { prog_type, resolved_type, attach_type, sleepable, struct_ops, attached_to }
    }
}

/// A condition on a program; without more, every program fits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct When {
    prog_types: Option<&'static [u32]>,
    attach_types: Option<&'static [u32]>,
    sleepable: Option<bool>,
    struct_ops: Option<&'static [&'static str]>,
    attached_to: Option<&'static [&'static str]>,
}

/// The condition that every program fits.
pub(super) const fn when() -> When {
    When { prog_types: None, attach_types: None, sleepable: None, struct_ops: None, attached_to: None }
}

impl When {
    /// Loaded as one of these.
    pub(super) const fn prog_type(self, types: &'static [u32]) -> When {
        When { prog_types: Some(types), ..self }
    }

    /// `expected_attach_type` is one of these.
    pub(super) const fn attach_type(self, types: &'static [u32]) -> When {
        When { attach_types: Some(types), ..self }
    }

    /// Sleepable or not.
    pub(super) const fn sleepable(self, sleepable: bool) -> When {
        When { sleepable: Some(sleepable), ..self }
    }

    /// A member of one of these structs.
    pub(super) const fn struct_ops(self, names: &'static [&'static str]) -> When {
        When { struct_ops: Some(names), ..self }
    }

    /// Attached to one of these.
    pub(super) const fn attached_to(self, names: &'static [&'static str]) -> When {
        When { attached_to: Some(names), ..self }
    }

    /// Does the program fit every part of the condition?
    pub(super) fn fits(&self, asker: &Asker<'_>) -> bool {
        self.prog_types.is_none_or(|types| types.contains(&asker.prog_type))
            && self.attach_types.is_none_or(|types| types.contains(&asker.attach_type))
            && self.sleepable.is_none_or(|sleepable| sleepable == asker.sleepable)
            && self.struct_ops.is_none_or(|names| names.contains(&asker.struct_ops))
            && self.attached_to.is_none_or(|names| names.contains(&asker.attached_to))
    }
}

/// Outcomes by condition: the first that the program fits decides.
pub(super) type Cases<T> = &'static [(When, T)];

/// The outcome of the first case that the program fits.
pub(super) fn choose<T: Copy>(cases: Cases<T>, asker: &Asker<'_>) -> Option<T> {
    cases.iter().find(|(when, _)| when.fits(asker)).map(|(_, outcome)| *outcome)
}
