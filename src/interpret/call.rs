//! Calls: of subprograms, and of helpers and kernel functions, which do what their prototypes say.

use livediff_capture::{Insn, MapShape, insn::func};

use super::{
    End, Watch,
    machine::{Machine, Next, Return, STACK_ARGS, UNWRITTEN},
    value::Value,
};
use crate::bpf::helpers::{self, ArgKind};

/// Bytes of a dynptr (`BPF_DYNPTR_SIZE`).
const DYNPTR: u64 = 16;
/// Times that a callback is called at most.
const CALLBACKS: u32 = 3;
/// `BPF_MAP_TYPE_BLOOM_FILTER`
const MAP_BLOOM_FILTER: u32 = 30;
/// `BPF_FUNC_map_peek_elem`
const MAP_PEEK_ELEM: i32 = 89;
/// The kernel function that leaves the program.
const THROW: &str = "bpf_throw";

/// What a call does to the memory that an argument points to.
#[derive(Clone, Copy)]
enum Touch {
    Read(u64),
    Write(u64),
}

impl<W: Watch> Machine<'_, W> {
    pub(super) fn call(&mut self, at: u32, insn: &Insn) -> Next {
        if insn.is_pseudo_call() {
            let callee = self.program.callee(at).ok_or(End::Refused("no such subprogram"))?;
            let args = std::array::from_fn(|arg| self.reg(arg as u8 + 1));
            let incoming = self.frames.last().map_or([None; STACK_ARGS], |frame| frame.outgoing);
            return self.enter(callee as u32, at, Return::Behind, args, incoming);
        }
        if insn.is_helper_call() {
            self.helper(insn)?;
            if insn.imm == func::TAIL_CALL && self.random.percent(50) {
                // The other program returns to where this one was called.
                let result = self.other();
                return self.leave(result);
            }
        } else if insn.is_kfunc_call() {
            self.kfunc(insn)?;
        } else {
            return Err(End::Refused("no such call"));
        }
        if self.program.calls_callback(at) && self.random.percent(85) {
            return self.call_back(at, CALLBACKS - 1);
        }
        let result = self.other();
        self.called(result);
        Ok(at + 1)
    }

    /// Calls back from a helper or kernel function, and perhaps so often again.
    pub(super) fn call_back(&mut self, at: u32, again: u32) -> Next {
        let call = self.program.loaded.insns.get(at as usize).copied().unwrap_or_default();
        let context = |machine: &Self, reg: u8| machine.reg(reg);
        let (callback, arg, context) = match call.imm {
            _ if !call.is_helper_call() => {
                let found = (1..=5).find(|reg| matches!(self.reg(*reg), Value::Func(_)));
                (found.unwrap_or(2), 0, None)
            }
            func::FIND_VMA => (3, 2, Some(context(self, 4))),
            func::FOR_EACH_MAP_ELEM => (2, 3, Some(context(self, 3))),
            _ => (2, 1, Some(context(self, 3))),
        };
        let Value::Func(subprog) = self.reg(callback) else {
            return Err(End::Refused("a callback that is no subprogram"));
        };
        let mut args = std::array::from_fn(|_| self.other());
        if let (Some(place), Some(context)) = (args.get_mut(arg), context) {
            *place = context;
        }
        self.enter(subprog, at, Return::Again(again), args, [None; STACK_ARGS])
    }

    /// The memory that a helper touches.
    fn helper(&mut self, insn: &Insn) -> Result<(), End> {
        if insn.imm == func::TIMER_SET_CALLBACK {
            self.run_later();
        }
        let Some(prototype) = helpers::prototype(self.program.dialect, self.program.loaded, insn.imm) else {
            return Err(End::Refused("a helper that the program may not call"));
        };
        let mut map = None;
        let mut touched = Vec::new();
        for (arg, reg) in prototype.args.iter().zip(1u8..) {
            let pointer = self.reg(reg);
            if arg.kind != ArgKind::None && pointer == Value::Unwritten {
                return Err(End::Refused(UNWRITTEN));
            }
            if arg.kind == ArgKind::Map {
                if !self.may_be_map(pointer) {
                    return Err(End::Refused("a map that is none"));
                }
                map = map.or(Some(pointer));
                continue;
            }
            if !matches!(pointer, Value::Stack { .. }) {
                continue;
            }
            let shape = || match map {
                Some(Value::Map(map)) => self.program.loaded.maps.get(map as usize).map(|map| map.shape),
                _ => self.inner_shape(),
            };
            let size = match arg.kind {
                ArgKind::MapKey => shape().map(|shape| shape.key_size.into()),
                ArgKind::MapValue => shape().map(|shape| shape.value_size.into()),
                ArgKind::FixedMem(size) => Some(size.into()),
                ArgKind::Dynptr => Some(DYNPTR),
                ArgKind::Mem => {
                    let next = prototype.args.get(usize::from(reg)).map(|next| next.kind);
                    let sized = next == Some(ArgKind::MemSize);
                    let size = self.reg(reg + 1);
                    sized.then(|| self.size(size))
                }
                // What it does there, nobody knows, or nothing.
                _ => None,
            };
            // A Bloom filter is asked for a value, which other maps would return there (`resolve_map_arg_type`).
            let asks = insn.imm == MAP_PEEK_ELEM && self.is_bloom_filter(map);
            if let Some(size) = size {
                touched.push((
                    pointer,
                    if arg.uninit && !asks { Touch::Write(size) } else { Touch::Read(size) },
                ));
            }
        }
        self.touch(&touched)
    }

    fn is_bloom_filter(&self, map: Option<Value>) -> bool {
        let Some(Value::Map(map)) = map else { return false };
        self.program.loaded.maps.get(map as usize).is_some_and(|map| map.map_type == MAP_BLOOM_FILTER)
    }

    /// What can be given to a helper as a map: a map, or what came out of a map of maps.
    fn may_be_map(&self, value: Value) -> bool {
        match value {
            Value::Map(_) => true,
            Value::Other(_) => self.program.loaded.maps.iter().any(|map| map.inner.is_some()),
            _ => false,
        }
    }

    /// The shape of a map out of a map of maps: if all that it can be are alike, it is like them.
    fn inner_shape(&self) -> Option<MapShape> {
        let mut shapes = self.program.loaded.maps.iter().filter_map(|map| map.inner);
        let first = shapes.next();
        first.filter(|first| shapes.all(|other| other == *first))
    }

    /// The memory that a kernel function touches.
    fn kfunc(&mut self, insn: &Insn) -> Result<(), End> {
        let Some(kfunc) = self.program.kfunc(insn) else {
            return Err(End::Refused("no such kernel function"));
        };
        if kfunc.name == THROW {
            return Err(End::Exit);
        }
        if kfunc.calls_async_callback {
            self.run_later();
        }
        let Some(prototype) = &kfunc.prototype else {
            return Err(End::Refused("a kernel function that the program may not call"));
        };
        let outgoing = self.frames.last().map_or([None; STACK_ARGS], |frame| frame.outgoing);
        let arg = |machine: &Self, arg: usize| match arg {
            0..=4 => Some(machine.reg(arg as u8 + 1)),
            _ => outgoing.get(arg - 5).copied().flatten(),
        };
        let given = prototype.params.len().min(5);
        if (0..given).any(|place| arg(self, place) == Some(Value::Unwritten)) {
            return Err(End::Refused(UNWRITTEN));
        }
        let mut touched = Vec::new();
        for (place, param) in prototype.params.iter().enumerate() {
            let Some(pointer @ Value::Stack { .. }) = arg(self, place) else { continue };
            if !param.pointer {
                continue;
            }
            let size = if param.dynptr {
                Some(DYNPTR)
            } else if prototype.params.get(place + 1).is_some_and(|next| next.size_of_previous) {
                arg(self, place + 1).map(|size| self.size(size))
            } else {
                param.pointee_size.map(u64::from)
            };
            let writes = param.uninit || place == 0 && prototype.iter_new;
            if let Some(size) = size {
                touched.push((pointer, if writes { Touch::Write(size) } else { Touch::Read(size) }));
            }
        }
        self.touch(&touched)
    }

    /// Reads all that is read, then writes all that is written.
    fn touch(&mut self, touched: &[(Value, Touch)]) -> Result<(), End> {
        let mut places = Vec::new();
        for (pointer, touch) in touched {
            let (Touch::Read(size) | Touch::Write(size)) = *touch;
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size > 0 {
                places.push((self.reach(*pointer, 0, size)?, size, matches!(touch, Touch::Write(_))));
            }
        }
        for (place, size, _) in places.iter().filter(|(_, _, writes)| !writes) {
            self.helper_reads(*place, *size);
        }
        for (place, size, _) in places.iter().filter(|(_, _, writes)| *writes) {
            self.helper_writes(*place, *size);
        }
        Ok(())
    }

    /// The kernel will run what is handed to it: an entry of its own.
    fn run_later(&mut self) {
        for reg in 1..=5 {
            if let Value::Func(subprog) = self.reg(reg) {
                self.seen.later.insert(subprog);
            }
        }
    }
}
