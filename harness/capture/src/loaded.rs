use crate::insn::Insn;
use serde::{Deserialize, Serialize};

/// What the verifier saw when it was given a program: everything that its liveness analysis depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// The instructions as passed to `BPF_PROG_LOAD`, with one change that makes them independent of the run: in
    /// the first half of a map load (`BPF_PSEUDO_MAP_FD`, `_IDX`, `_VALUE`, `_IDX_VALUE`) `imm` is an index into
    /// [`Loaded::maps`] instead of a file descriptor; -1 where what was given is no map, for which the kernel refuses
    /// the program.
    #[serde(with = "crate::hex::insns")]
    pub insns: Vec<Insn>,
    /// `enum bpf_prog_type`.
    pub prog_type: u32,
    /// `enum bpf_attach_type` given as `expected_attach_type`; 0 where none was.
    pub expected_attach_type: u32,
    /// The `BPF_F_*` flags given as `prog_flags`.
    pub prog_flags: u32,
    /// What a tracing, LSM, struct_ops or extension program attaches to, if anything.
    pub attach: Option<Attach>,
    /// The maps, in the order of their first use in `insns` (the kernel's `used_maps`), each once.
    pub maps: Vec<Map>,
    /// The function information given with the program, ascending by `insn_off`; empty if there was none.
    pub func_info: Vec<FuncInfo>,
    /// First instruction of the exception callback that a declaration tag of the main function names.
    pub exception_callback: Option<u32>,
    /// Every kfunc that a call in `insns` names, once.
    pub kfuncs: Vec<Kfunc>,
    /// The helpers, by id and ascending, that a call in `insns` names and that the kernel was built without, although
    /// its dialect could give them to this program.
    #[serde(default)]
    pub helpers_missing: Vec<i32>,
}

/// What a program attaches to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// The kernel function, hook, or member (`struct_ops`: `type/member`), or the function of another program.
    pub name: String,
    /// For an extension (`freplace`): the `enum bpf_prog_type` of the program extended.
    pub target_prog_type: Option<u32>,
    /// For an extension: the `expected_attach_type` that the program extended was loaded with.
    #[serde(default)]
    pub target_attach_type: u32,
}

/// Key and value sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapShape {
    /// `key_size` in bytes.
    pub key_size: u32,
    /// `value_size` in bytes.
    pub value_size: u32,
}

/// A map that the program uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// Name in the object.
    pub name: String,
    /// `enum bpf_map_type`.
    pub map_type: u32,
    /// Sizes of key and value, as the kernel has them.
    pub shape: MapShape,
    /// `max_entries`, as the kernel has it.
    pub max_entries: u32,
    /// `BPF_F_*` flags of the map, as the kernel has them.
    pub map_flags: u32,
    /// The map was frozen before the program was loaded.
    pub frozen: bool,
    /// The shape of the maps inside, for an array or hash of maps.
    pub inner: Option<MapShape>,
    /// The bytes of a frozen map that programs cannot write (`BPF_F_RDONLY_PROG`) and that can be read directly
    /// (an array of one entry): one value. The verifier folds loads from it into constants.
    #[serde(with = "crate::hex::optional_bytes")]
    pub rdonly_value: Option<Vec<u8>>,
    /// For an instruction array: the instruction index of each entry at load time (`xlated_off`).
    pub insn_array: Option<Vec<u32>>,
}

/// Whether maps of this `enum bpf_map_type` are made with 0 as `max_entries`: storage of tasks, sockets, inodes and
/// cgroups, and struct_ops.
pub fn has_no_entries(map_type: u32) -> bool {
    // In the order of the enumeration: CGROUP_STORAGE, PERCPU_CGROUP_STORAGE, SK_STORAGE, STRUCT_OPS, INODE_STORAGE,
    // TASK_STORAGE, CGRP_STORAGE.
    matches!(map_type, 19 | 21 | 24 | 26 | 28 | 29 | 32)
}

/// One record of the program's function information.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FuncInfo {
    /// First instruction of the function.
    pub insn_off: u32,
    /// Name in BTF.
    pub name: String,
    /// Linkage is `BTF_FUNC_GLOBAL`.
    pub global: bool,
}

/// A kernel function that the program calls, as the running kernel's BTF has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kfunc {
    /// `imm` of the calls: the BTF id of the function.
    pub btf_id: i32,
    /// `off` of the calls: 0 for the kernel proper, else an index into the file descriptor array (a module).
    pub offset: i16,
    /// Name in BTF.
    pub name: String,
    /// The prototype, if the kernel lets this program type call the function (`bpf_fetch_kfunc_arg_meta`
    /// succeeds); else nothing, and the analysis assumes the worst.
    pub prototype: Option<KfuncPrototype>,
    /// The function calls back into the program while it runs (`is_sync_callback_calling_kfunc`).
    pub calls_callback: bool,
    /// The function keeps a callback and runs it later (`is_async_callback_calling_kfunc`).
    pub calls_async_callback: bool,
}

/// What the analysis needs of a kfunc's prototype.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KfuncPrototype {
    /// The parameters, implicit ones included where the kernel counts them.
    pub params: Vec<KfuncParam>,
    /// `KF_ITER_NEW`: the first argument is initialised by the call.
    pub iter_new: bool,
    /// `KF_ITER_NEXT`: the call makes a point where states may be compared.
    pub iter_next: bool,
}

/// What the analysis needs of a kfunc's parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KfuncParam {
    /// The type, modifiers skipped, is a pointer.
    pub pointer: bool,
    /// A pointer to `struct bpf_dynptr` (`is_kfunc_arg_dynptr`).
    pub dynptr: bool,
    /// The parameter's name ends in `__sz` or `__szk`: it is the size of the parameter before it.
    pub size_of_previous: bool,
    /// The parameter's name ends in `__uninit`: the function writes it without reading it.
    pub uninit: bool,
    /// Size in bytes of the type pointed to, if it has one (`btf_resolve_size`).
    pub pointee_size: Option<u32>,
}
