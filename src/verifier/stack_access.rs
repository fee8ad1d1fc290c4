//! How many bytes a call reads or writes through a pointer to the stack, by the prototype of what it calls.

use livediff_capture::Insn;

use super::program::Program;
use crate::bpf::helpers::{self, Arg, ArgKind};

/// `MAX_BPF_STACK` in bytes.
const MAX_STACK: u64 = 512;
/// `BPF_DYNPTR_SIZE` in bytes.
const DYNPTR_SIZE: u64 = 16;
/// `MAX_BPF_FUNC_REG_ARGS`: arguments passed in registers.
pub(crate) const REG_ARGS: usize = 5;

/// What a call does to the memory that an argument points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing.
    None,
    /// It may read this many bytes.
    Read(u64),
    /// It writes this many bytes, and reads none.
    Write(u64),
    /// It may read any number of bytes.
    Unknown,
}

impl Access {
    fn sized(size: u64, write: bool) -> Access {
        match (size, write) {
            (0, _) => Access::None,
            (size, false) => Access::Read(size),
            (size, true) => Access::Write(size),
        }
    }
}

/// Parameters of a helper or kfunc; nothing if the program's type may not call it, or for a subprogram
/// (`bpf_get_call_summary`).
pub(crate) fn num_params(program: &Program<'_>, call: &Insn) -> Option<usize> {
    if call.is_helper_call() {
        let prototype = helpers::prototype(program.dialect, program.loaded, call.imm)?;
        Some(prototype.num_params())
    } else if call.is_kfunc_call() {
        Some(program.kfunc(call)?.prototype.as_ref()?.params.len())
    } else {
        None
    }
}

/// What the call at `idx` does through argument `arg`, 0 for r1 (`bpf_helper_stack_access_bytes` and
/// `bpf_kfunc_stack_access_bytes`).
pub(crate) fn access(program: &Program<'_>, idx: u32, arg: usize) -> Access {
    let call = program.insn(idx);
    if call.is_helper_call() {
        helper_access(program, idx, &call, arg)
    } else {
        kfunc_access(program, idx, &call, arg)
    }
}

fn constant(program: &Program<'_>, idx: u32, reg: usize) -> Option<u64> {
    program.const_regs.get(idx as usize)?.constant(reg).map(u64::from)
}

fn helper_access(program: &Program<'_>, idx: u32, call: &Insn, arg: usize) -> Access {
    let Some(prototype) = helpers::prototype(program.dialect, program.loaded, call.imm) else {
        return Access::Unknown;
    };
    let Some(Arg { kind, uninit }) = prototype.args.get(arg).copied() else { return Access::Unknown };
    match kind {
        ArgKind::MapKey | ArgKind::MapValue => {
            match map_size(program, idx, &prototype.args[..arg], kind == ArgKind::MapKey) {
                Some(size) => Access::sized(size.into(), uninit),
                None => Access::Unknown,
            }
        }
        ArgKind::FixedMem(size) => Access::sized(size.into(), uninit),
        ArgKind::Mem => match prototype.args.get(arg + 1) {
            Some(next) if next.kind == ArgKind::MemSize => match constant(program, idx, arg + 2) {
                Some(size) => Access::sized(size, uninit),
                // The size differs between paths. A write of unknown size is no certain write.
                None if uninit => Access::None,
                None => Access::Read(MAX_STACK),
            },
            _ => Access::Unknown,
        },
        ArgKind::Dynptr => Access::sized(DYNPTR_SIZE, uninit),
        // The helper passes it on to a callback, which is analysed for itself.
        ArgKind::Stack => Access::None,
        _ => Access::Unknown,
    }
}

/// Key or value size of the map that the call works on; if that is not known, the largest of all maps of the
/// program and of their inner maps; nothing if that is 0.
fn map_size(program: &Program<'_>, idx: u32, earlier: &[Arg], key: bool) -> Option<u32> {
    let maps = &program.loaded.maps;
    let size = |shape: livediff_capture::MapShape| if key { shape.key_size } else { shape.value_size };
    let known = earlier
        .iter()
        .position(|arg| arg.kind == ArgKind::Map)
        .and_then(|map_arg| program.const_regs.get(idx as usize)?.map(map_arg + 1))
        .and_then(|map| maps.get(map as usize));
    if let Some(map) = known {
        return Some(size(map.shape));
    }
    maps.iter()
        .flat_map(|map| [Some(map.shape), map.inner])
        .flatten()
        .map(size)
        .max()
        .filter(|size| *size > 0)
}

fn kfunc_access(program: &Program<'_>, idx: u32, call: &Insn, arg: usize) -> Access {
    let Some(prototype) = program.kfunc(call).and_then(|kfunc| kfunc.prototype.as_ref()) else {
        return Access::Unknown;
    };
    let Some(param) = prototype.params.get(arg).filter(|param| param.pointer) else { return Access::None };
    let size = if param.dynptr {
        DYNPTR_SIZE
    } else if prototype.params.get(arg + 1).is_some_and(|next| next.size_of_previous) {
        // For r5 the kernel looks at r6, although the size is the first stack argument.
        match constant(program, idx, arg + 2) {
            Some(size) => size,
            None => return Access::Read(MAX_STACK),
        }
    } else {
        match param.pointee_size {
            Some(size) => size.into(),
            None => return Access::Unknown,
        }
    };
    Access::sized(size, param.uninit || arg == 0 && prototype.iter_new)
}
