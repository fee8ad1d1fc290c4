//! What the verifier sees of a program: [`Loaded`], but for the kfuncs.

use super::{
    libbpf::{self, Program},
    lock,
    object::Prepared,
};
use libbpf_sys as sys;
use livediff_capture::{Attach, FuncInfo, Insn, Loaded, Map, MapShape, insn::pseudo};
use std::{os::fd::RawFd, sync::Arc};

/// A map as the kernel has it.
pub(super) struct MapFacts {
    /// The kernel's id: two descriptors of one map have the same.
    id: u32,
    map: Map,
}

/// libbpf puts a call of this helper, plus the map's number, in place of the load of a map that it did not
/// create.
const POISONED_MAP_LOAD: i32 = 2_001_000_000;

/// What is given to the kernel beside the program itself.
pub(super) struct Given {
    pub(super) prog_type: u32,
    pub(super) expected_attach_type: u32,
    pub(super) prog_flags: u32,
    pub(super) attach: Option<Attach>,
}

/// What the verifier sees of a program, but for the kernel's part.
pub(super) struct Seen {
    /// Without maps.
    pub(super) loaded: Loaded,
    /// A descriptor of each map that the program uses, in the order of their first use: what map loads in `loaded`
    /// number.
    pub(super) maps: Vec<RawFd>,
}

/// Collects what goes to the verifier with the program, as it is given in `BPF_PROG_LOAD`. `identity` tells maps apart:
/// two descriptors of one map have the same, and what is no map has none.
pub(super) fn seen(
    prepared: &Prepared,
    program: &Program<'_>,
    given: Given,
    identity: &mut dyn FnMut(RawFd) -> Result<Option<u64>, String>,
) -> Result<Seen, String> {
    let mut ids = Vec::new();
    let mut maps = Vec::new();
    let mut insns: Vec<Insn> = program.insns().iter().map(insn).collect();
    let mut at = 0;
    while let Some(insn) = insns.get_mut(at) {
        at += insn.slots();
        if insn.is_map_load() {
            // libbpf gives the kernel no table of descriptors, so a place in one names no map.
            let named = matches!(insn.src_reg, pseudo::MAP_FD | pseudo::MAP_VALUE);
            let Some(id) = named.then(|| identity(insn.imm)).transpose()?.flatten() else {
                // The kernel says this better than we could.
                insn.imm = -1;
                continue;
            };
            let index = ids.iter().position(|known| *known == id).unwrap_or_else(|| {
                ids.push(id);
                maps.push(insn.imm);
                ids.len() - 1
            });
            insn.imm = i32::try_from(index).map_err(|_| "too many maps")?;
        } else if insn.is_helper_call() && insn.imm >= POISONED_MAP_LOAD {
            if let Some(function) = prepared.functions.missing(insn.imm) {
                return Err(format!(
                    "it calls `{function}`, which is no function of this kernel, or one of another prototype or of a module that is not loaded"
                ));
            }
            let map = usize::try_from(insn.imm - POISONED_MAP_LOAD).unwrap_or(usize::MAX);
            if let (Some(map), Some(reason)) = (prepared.object.map(map), prepared.left_out.get(&map)) {
                return Err(format!("it uses the map `{}`, which cannot be created: {reason}", map.name()));
            }
        }
    }
    let func_info = func_info(prepared, program)?;
    let exception_callback = exception_callback(prepared, program, &func_info);
    let loaded = Loaded {
        insns,
        prog_type: given.prog_type,
        expected_attach_type: given.expected_attach_type,
        prog_flags: given.prog_flags,
        attach: given.attach,
        maps: Vec::new(),
        func_info,
        exception_callback,
        kfuncs: Vec::new(),
        helpers_missing: Vec::new(),
    };
    Ok(Seen { loaded, maps })
}

/// [`seen`], and what the kernel says of the maps.
pub(super) fn loaded(prepared: &Prepared, program: &Program<'_>, given: Given) -> Result<Loaded, String> {
    let mut identity = |fd| Ok(map_facts(prepared, fd)?.map(|facts| facts.id.into()));
    let Seen { mut loaded, maps } = seen(prepared, program, given, &mut identity)?;
    for fd in maps {
        loaded.maps.extend(map_facts(prepared, fd)?.map(|facts| facts.map.clone()));
    }
    Ok(loaded)
}

fn insn(raw: &sys::bpf_insn) -> Insn {
    Insn { code: raw.code, dst_reg: raw.dst_reg(), src_reg: raw.src_reg(), off: raw.off, imm: raw.imm }
}

/// The function records that go to the kernel; none where the kernel did not take the object's BTF.
fn func_info(prepared: &Prepared, program: &Program<'_>) -> Result<Vec<FuncInfo>, String> {
    let Some(btf) = prepared.object.btf().filter(|btf| btf.fd().is_some()) else { return Ok(Vec::new()) };
    let record = |info: &sys::bpf_func_info| {
        let function = btf.get(info.type_id).ok_or("a function record names a type that does not exist")?;
        Ok(FuncInfo {
            insn_off: info.insn_off,
            name: function.name,
            global: function.vlen == sys::BTF_FUNC_GLOBAL,
        })
    };
    program.func_info().iter().map(record).collect()
}

/// Whether the program has a function of that name.
pub(super) fn has_function(prepared: &Prepared, program: &Program<'_>, name: &str) -> bool {
    func_info(prepared, program).is_ok_and(|functions| functions.iter().any(|function| function.name == name))
}

fn exception_callback(prepared: &Prepared, program: &Program<'_>, func_info: &[FuncInfo]) -> Option<u32> {
    let main = program.func_info().first()?;
    let name = prepared.exception_callbacks.get(&main.type_id)?;
    Some(func_info.iter().find(|info| &info.name == name)?.insn_off)
}

/// What the kernel says of the map; nothing if there is none with that descriptor.
fn map_facts(prepared: &Prepared, fd: RawFd) -> Result<Option<Arc<MapFacts>>, String> {
    if let Some(facts) = lock(&prepared.maps).get(&fd) {
        return Ok(Some(Arc::clone(facts)));
    }
    let info = match libbpf::map_info(fd) {
        Err(EBADF | EINVAL) => return Ok(None),
        info => info,
    };
    // The kernel cuts names at 15 characters; libbpf knows the whole one, except of a jump table's map.
    let name = prepared.object.maps().find(|map| map.fd() == fd).map(|map| map.name());
    let facts = info.and_then(|info| {
        let name = name.unwrap_or_else(|| name_of(&info));
        let inner = prepared.inner.get(&name).copied();
        Ok(MapFacts { id: info.id, map: described(fd, &info, name, inner)? })
    });
    let facts = facts.map_err(|errno| {
        libbpf::explain_errno("the kernel does not tell about one of the program's maps", errno)
    })?;
    let facts = Arc::new(facts);
    lock(&prepared.maps).insert(fd, Arc::clone(&facts));
    Ok(Some(facts))
}

const EBADF: i32 = 9;
const EINVAL: i32 = 22;

/// What the kernel says of the map with this descriptor. It knows no `name` in full, and no shape of maps `inner`.
pub(super) fn ask_kernel(fd: RawFd, name: Option<String>, inner: Option<MapShape>) -> Result<Map, i32> {
    let info = libbpf::map_info(fd)?;
    let name = name.unwrap_or_else(|| name_of(&info));
    described(fd, &info, name, inner)
}

fn name_of(info: &sys::bpf_map_info) -> String {
    info.name.iter().take_while(|c| **c != 0).map(|c| char::from(c.cast_unsigned())).collect()
}

fn described(fd: RawFd, info: &sys::bpf_map_info, name: String, inner: Option<MapShape>) -> Result<Map, i32> {
    let frozen = is_frozen(fd);
    let direct = info.type_ == sys::BPF_MAP_TYPE_ARRAY && info.max_entries == 1;
    let rdonly_value = (frozen && direct && info.map_flags & sys::BPF_F_RDONLY_PROG != 0)
        .then(|| libbpf::array_entry(fd, 0, info.value_size as usize))
        .transpose()?;
    let insn_array = (info.type_ == sys::BPF_MAP_TYPE_INSN_ARRAY)
        .then(|| insn_offsets(fd, info.max_entries, info.value_size))
        .transpose()?;
    Ok(Map {
        name,
        map_type: info.type_,
        shape: MapShape { key_size: info.key_size, value_size: info.value_size },
        max_entries: info.max_entries,
        map_flags: info.map_flags,
        frozen,
        inner,
        rdonly_value,
        insn_array,
    })
}

/// The offset of every entry, the first word of `struct bpf_insn_array_value`. When a program is loaded with
/// the map, the kernel copies it to `xlated_off` and works with that.
fn insn_offsets(fd: RawFd, entries: u32, size: u32) -> Result<Vec<u32>, i32> {
    let offset = |index| {
        let value = libbpf::array_entry(fd, index, size as usize)?;
        Ok(value.first_chunk().map_or(0, |word| u32::from_ne_bytes(*word)))
    };
    (0..entries).map(offset).collect()
}

/// The kernel tells this in the descriptor's information only.
fn is_frozen(fd: RawFd) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    info.lines().any(|line| line.strip_prefix("frozen:").is_some_and(|value| value.trim() == "1"))
}
