//! What the host has against what libbpf has given to a kernel.

use livediff_capture::{Insn, Loaded};
use std::fmt;

/// A field in which two views of one program differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The numbers of instructions.
    Length {
        /// On the host.
        host: usize,
        /// In the kernel.
        kernel: usize,
    },
    /// The first instruction that differs.
    Insn {
        /// Its place.
        at: usize,
        /// On the host.
        host: Insn,
        /// In the kernel.
        kernel: Insn,
    },
    /// Another field of [`Loaded`], by name.
    Field(&'static str),
}

impl Difference {
    /// The instructions differ.
    pub fn is_of_insns(&self) -> bool {
        !matches!(self, Difference::Field(_))
    }

    /// What kind of difference it is.
    pub fn class(&self) -> &'static str {
        match self {
            Difference::Length { .. } => "number of instructions",
            Difference::Insn { host, kernel, .. } => insn_class(host, kernel),
            Difference::Field(name) => name,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Length { host, kernel } => {
                write!(f, "{host} instructions on the host, {kernel} in the kernel")
            }
            Difference::Insn { at, host, kernel } => {
                write!(f, "{} at {at}: {host:?} on the host, {kernel:?} in the kernel", self.class())
            }
            Difference::Field(name) => write!(f, "{name}"),
        }
    }
}

fn insn_class(host: &Insn, kernel: &Insn) -> &'static str {
    /// What libbpf and aya-obj put where a CO-RE relocation finds nothing.
    const POISON: i32 = 195_896_080;
    if host.imm == POISON || kernel.imm == POISON {
        "CO-RE: found on one side only"
    } else if host.is_kfunc_call() || kernel.is_kfunc_call() {
        "call of a kernel function"
    } else if host.is_map_load() || kernel.is_map_load() {
        "load of a map"
    } else if host.is_pseudo_call()
        || kernel.is_pseudo_call()
        || host.is_pseudo_func()
        || kernel.is_pseudo_func()
    {
        "call of a subprogram"
    } else if host.is_ldimm64() && kernel.is_ldimm64() {
        "64-bit load"
    } else if host.code == kernel.code && host.dst_reg == kernel.dst_reg && host.src_reg == kernel.src_reg {
        "offset or immediate"
    } else {
        "instruction"
    }
}

/// In what the host's view of a program differs from the kernel's. Names of maps are not held against each other.
pub fn differences(host: &Loaded, kernel: &Loaded) -> Vec<Difference> {
    let mut found = Vec::new();
    if host.insns.len() != kernel.insns.len() {
        found.push(Difference::Length { host: host.insns.len(), kernel: kernel.insns.len() });
    } else if let Some((at, (host, kernel))) =
        host.insns.iter().zip(&kernel.insns).enumerate().find(|(_, (host, kernel))| host != kernel)
    {
        found.push(Difference::Insn { at, host: *host, kernel: *kernel });
    }
    let mut field = |name, equal: bool| {
        if !equal {
            found.push(Difference::Field(name));
        }
    };
    field("prog_type", host.prog_type == kernel.prog_type);
    field("expected_attach_type", host.expected_attach_type == kernel.expected_attach_type);
    field("prog_flags", host.prog_flags == kernel.prog_flags);
    field("attach", host.attach == kernel.attach);
    field("func_info", host.func_info == kernel.func_info);
    field("exception_callback", host.exception_callback == kernel.exception_callback);
    field("kfuncs", host.kfuncs == kernel.kfuncs);
    field("number of maps", host.maps.len() == kernel.maps.len());
    for (host, kernel) in host.maps.iter().zip(&kernel.maps) {
        field("map: type", host.map_type == kernel.map_type);
        field("map: sizes of key and value", host.shape == kernel.shape);
        field("map: inner shape", host.inner == kernel.inner);
        field("map: max_entries", host.max_entries == kernel.max_entries);
        field("map: flags", host.map_flags == kernel.map_flags);
        field("map: frozen", host.frozen == kernel.frozen);
        field("map: read-only value", host.rdonly_value == kernel.rdonly_value);
        field("map: instruction array", host.insn_array == kernel.insn_array);
    }
    found.dedup();
    found
}
