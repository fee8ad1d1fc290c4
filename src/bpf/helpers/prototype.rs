/// What a helper does with an argument, as far as liveness asks (`enum bpf_arg_type` without what only the path walk
/// needs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    /// No argument (`ARG_DONTCARE`).
    None,
    /// A map (`ARG_CONST_MAP_PTR`).
    Map,
    /// A key of a map (`ARG_PTR_TO_MAP_KEY`).
    MapKey,
    /// A value of a map (`ARG_PTR_TO_MAP_VALUE`).
    MapValue,
    /// Memory whose size the next argument may tell (`ARG_PTR_TO_MEM` without `MEM_FIXED_SIZE`).
    Mem,
    /// Memory of this many bytes (`ARG_PTR_TO_MEM` with `MEM_FIXED_SIZE`).
    FixedMem(u32),
    /// The size of the memory before it (`arg_type_is_mem_size`).
    MemSize,
    /// A dynptr (`ARG_PTR_TO_DYNPTR`).
    Dynptr,
    /// The context of a callback (`ARG_PTR_TO_STACK`).
    Stack,
    /// Anything else.
    Other,
}

/// An argument of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    /// Its base type.
    pub kind: ArgKind,
    /// The helper writes the memory without reading it (`MEM_UNINIT`).
    pub uninit: bool,
}

impl Arg {
    const fn of(kind: ArgKind) -> Arg {
        Arg { kind, uninit: false }
    }

    pub(super) const fn uninit(self) -> Arg {
        Arg { kind: self.kind, uninit: true }
    }
}

/// A helper's prototype (`struct bpf_func_proto`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prototype {
    /// The kernel's name of it, for example `bpf_map_lookup_elem_proto`.
    pub symbol: &'static str,
    /// The kernel's function behind it, for example `bpf_map_lookup_elem`; empty if there is none because every call
    /// of the helper is made inline.
    pub implementation: &'static str,
    /// The arguments, r1 to r5.
    pub args: [Arg; 5],
}

impl Prototype {
    /// A prototype with the leading arguments given and no others.
    pub(super) const fn new(symbol: &'static str, implementation: &'static str, given: &[Arg]) -> Prototype {
        let mut args = [Arg::of(ArgKind::None); 5];
        let mut at = 0;
        // A sixth argument stops the build: prototypes are constants.
        while at < given.len() {
            args[at] = given[at];
            at += 1;
        }
        Prototype { symbol, implementation, args }
    }

    /// How many arguments come before the first that does not exist, 0 to 5 (`num_params` in
    /// `bpf_get_call_summary`).
    pub fn num_params(&self) -> usize {
        self.args.iter().take_while(|arg| arg.kind != ArgKind::None).count()
    }
}

pub(super) const MAP: Arg = Arg::of(ArgKind::Map);
pub(super) const KEY: Arg = Arg::of(ArgKind::MapKey);
pub(super) const VALUE: Arg = Arg::of(ArgKind::MapValue);
pub(super) const MEM: Arg = Arg::of(ArgKind::Mem);
pub(super) const SIZE: Arg = Arg::of(ArgKind::MemSize);
pub(super) const DYNPTR: Arg = Arg::of(ArgKind::Dynptr);
pub(super) const STACK: Arg = Arg::of(ArgKind::Stack);
pub(super) const OTHER: Arg = Arg::of(ArgKind::Other);

pub(super) const fn fixed(bytes: u32) -> Arg {
    Arg::of(ArgKind::FixedMem(bytes))
}

/// One static for each prototype, named as the kernel names it.
macro_rules! prototypes {
    ($($symbol:ident($implementation:literal $(, $arg:expr)*);)*) => {
        $(pub(super) static $symbol: Prototype =
            Prototype::new(stringify!($symbol), $implementation, &[$($arg),*]);)*
    };
}
pub(super) use prototypes;
