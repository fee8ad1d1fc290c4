//! That every kind of thing that matters is made.

use super::*;
use crate::{
    assemble::Type,
    bpf::helpers::{self, ArgKind},
    log::{Event, Listener, Place, Silent},
    verifier::{self, ArgTrack, Dialect, State},
};
use livediff_capture::{
    KfuncParam, KfuncPrototype,
    insn::{func, mode, size},
};
use std::collections::{BTreeMap, BTreeSet};

fn programs(seed: u64, count: u64, dialect: Dialect, material: Material) -> Vec<Program> {
    let mut generator = Generator::new(seed, dialect, material);
    let made = generator.batch(0..count, |numbers, make| numbers.into_iter().map(make).collect());
    made.into_iter().map(|(program, _)| program).collect()
}

/// The most frames that an analysis comes to.
#[derive(Default)]
struct Frames(usize);

impl Listener for Frames {
    fn event(&mut self, _: &verifier::Program<'_>, event: Event<'_>) {
        if let Event::Analyzing { depth, .. } = event {
            self.0 = self.0.max(usize::from(depth) + 1);
        }
    }
}

/// Kernels before 7.2 refuse more than 8 frames where liveness is analysed, later ones more than 16.
#[test]
fn chains_of_calls_reach_the_limits_of_frames() {
    let (mut at_8, mut beyond_8, mut at_16, mut beyond_16) = (0, 0, 0, 0);
    for mut program in programs(2, 500, Dialect::V7_2, Material::without_kernel()) {
        let loaded = loaded(&program).unwrap();
        let mut frames = Frames::default();
        let in_7_2 = verifier::analyze(&loaded, Dialect::V7_2, &mut frames).map(drop);
        let in_7_1 = verifier::analyze(&loaded, Dialect::V7_1, &mut Silent).map(drop);
        let refused = |ended: &Result<(), verifier::Error>| {
            ended.as_ref().is_err_and(|error| error.in_liveness() && error.message.is_none())
        };
        match (frames.0, refused(&in_7_2)) {
            (8, false) => at_8 += usize::from(!refused(&in_7_1)),
            (9..=15, false) => beyond_8 += usize::from(refused(&in_7_1)),
            (16, false) => at_16 += usize::from(refused(&in_7_1)),
            // The 17th is refused before it is looked at.
            (16, true) => beyond_16 += 1,
            _ => {}
        }
        if frames.0 > 8 {
            crate::fuzz::lawful(&mut program);
            program.check().unwrap();
        }
    }
    let counts = [at_8, beyond_8, at_16, beyond_16];
    assert!(counts.iter().all(|count| *count >= 1), "{counts:?}");
}

/// Kernel functions that take a buffer, a callback, and nothing that is a pointer.
fn with_kfuncs() -> Material {
    let pointer = || Type::Pointer(Box::new(Type::Void));
    let pointer_to = |size| KfuncParam { pointer: true, pointee_size: Some(size), ..KfuncParam::default() };
    let size = KfuncParam { size_of_previous: true, ..KfuncParam::default() };
    let kfuncs = [
        ("bpf_iter_num_new", vec![pointer(), Type::Int(4), Type::Int(4)], vec![pointer_to(8)]),
        ("bpf_dynptr_slice", vec![pointer(), Type::Int(4)], vec![pointer_to(1), size]),
        ("bpf_rbtree_add", vec![pointer(), pointer(), pointer()], vec![pointer_to(16), pointer_to(24)]),
        (THROW, vec![Type::Int(8)], vec![KfuncParam::default()]),
    ];
    let declared = |(name, params): (&str, &Vec<Type>)| Kfunc {
        name: name.to_owned(),
        signature: Signature { returns: Type::Void, params: params.clone() },
    };
    let declared: Vec<Kfunc> = kfuncs.iter().map(|(name, params, _)| declared((name, params))).collect();
    let facts = (1..).zip(&kfuncs).map(|(btf_id, (name, _, params))| livediff_capture::Kfunc {
        btf_id,
        name: (*name).to_owned(),
        prototype: Some(KfuncPrototype { params: params.clone(), ..KfuncPrototype::default() }),
        calls_callback: *name == "bpf_rbtree_add",
        ..Default::default()
    });
    let facts = Facts { kfuncs: facts.collect(), helpers_missing: Vec::new() };
    let facts = SECTIONS.map(|(_, prog_type)| (prog_type, facts.clone()));
    let facts = Arc::new(facts.into_iter().collect());
    Material { kfuncs: Arc::new(declared), facts, ..Material::without_kernel() }
}

/// What a program does, each kind once.
#[derive(Default)]
struct Kinds(BTreeSet<String>);

impl Kinds {
    fn add(&mut self, kind: impl Into<String>) {
        self.0.insert(kind.into());
    }

    fn memory(&mut self, insn: &Insn, before: &State, after: &State, own: u8) {
        let loads = insn.class() == class::LDX;
        let base = if loads || insn.imm == atomic::LOAD_ACQ && insn.mode() == mode::ATOMIC {
            insn.src_reg
        } else {
            insn.dst_reg
        };
        let holds =
            |state: &State, reg: u8| state.regs.get(usize::from(reg)).copied().unwrap_or(ArgTrack::None);
        let ArgTrack::Fp { frame, offsets } = holds(before, base) else { return };
        let whose = if frame == own { "own" } else { "parent" };
        if let [offset] = offsets.as_slice() {
            let at = (i32::from(*offset) + i32::from(insn.off)).rem_euclid(8);
            self.add(format!("{} bytes at {at}", insn.size_bytes()));
        }
        self.add(match insn.mode() {
            mode::MEM if loads => format!("load of {} from {whose} frame", insn.size_bytes()),
            mode::MEM => format!("store of {} to {whose} frame", insn.size_bytes()),
            mode::MEMSX => format!("signed load from {whose} frame"),
            _ => format!("atomic {:#x} in {whose} frame", insn.imm),
        });
        if insn.mode() == mode::MEM && insn.size() == size::DW {
            if insn.class() == class::STX && holds(before, insn.src_reg) != ArgTrack::None {
                self.add(format!("spill to {whose} frame"));
            }
            if loads && holds(after, insn.dst_reg) != ArgTrack::None {
                self.add(format!("fill from {whose} frame"));
            }
        }
    }

    fn call(&mut self, program: &verifier::Program<'_>, insn: &Insn, idx: u32, before: &State) {
        let stack = |reg: usize| before.regs.get(reg).is_some_and(|value| *value != ArgTrack::None);
        if insn.is_pseudo_call() {
            (1..=5).filter(|reg| stack(*reg)).for_each(|reg| self.add(format!("pointer in r{reg}")));
            return;
        }
        let calls_back = [func::LOOP, func::FOR_EACH_MAP_ELEM, func::FIND_VMA, func::USER_RINGBUF_DRAIN];
        if insn.is_helper_call() && calls_back.contains(&insn.imm) {
            let subprog = program.containing_subprog(idx).unwrap_or(0);
            let start = program.subprogs.get(subprog).map(|subprog| subprog.start);
            let infos = &program.loaded.func_info;
            let global = infos.iter().any(|info| Some(info.insn_off) == start && info.global);
            self.add(match (subprog, global) {
                (0, _) => "callback in the program",
                (_, true) => "callback in a global function",
                (_, false) => "callback in a static function",
            });
        }
        if insn.is_helper_call() {
            let Some(prototype) = helpers::prototype(program.dialect, program.loaded, insn.imm) else {
                return;
            };
            for (_, arg) in (1..).zip(&prototype.args).filter(|(reg, _)| stack(*reg)) {
                match arg.kind {
                    ArgKind::Mem => self.add("helper with a buffer"),
                    ArgKind::FixedMem(_) => self.add("helper with a buffer of its own size"),
                    ArgKind::MapKey => self.add("helper with a key"),
                    ArgKind::MapValue => self.add("helper with a value"),
                    _ => {}
                }
            }
        } else if let Some(kfunc) = program.kfunc(insn) {
            self.add(kfunc.name.clone());
            let params = kfunc.prototype.iter().flat_map(|prototype| &prototype.params);
            if (1..).zip(params).any(|(reg, param)| param.pointer && stack(reg)) {
                self.add("kernel function with a buffer");
            }
        }
    }

    fn text(&mut self, program: &verifier::Program<'_>) {
        for idx in program.postorder.iter().copied() {
            let (Some(loaded), now) = (program.loaded.insns.get(idx as usize), program.insn(idx)) else {
                continue;
            };
            if loaded.is_cond_jump() && !now.is_cond_jump() {
                self.add("decided branch");
            }
            if program.successors(idx).as_slice().iter().any(|next| *next <= idx) {
                self.add("loop");
            }
            if loaded.is_gotox() {
                self.add("jump table");
            }
            if loaded.class() == class::LD && !loaded.is_ldimm64() {
                self.add(format!("packet, mode {:#x}", loaded.mode()));
            }
            if loaded.is_helper_call() && [func::TAIL_CALL, func::TIMER_SET_CALLBACK].contains(&loaded.imm) {
                self.add(format!("helper {}", loaded.imm));
            }
        }
        if program.loaded.exception_callback.is_some() {
            self.add("exception callback");
        }
    }
}

impl Listener for Kinds {
    fn event(&mut self, program: &verifier::Program<'_>, event: Event<'_>) {
        match event {
            Event::TopoOrder { position: 0, .. } => self.text(program),
            Event::Join { place: Place::Slot(_), .. } => self.add("join of slots"),
            Event::Join { .. } => self.add("join of registers"),
            Event::Transfer { insn: idx, before, after } => {
                let insn = program.insn(idx);
                let Some(ArgTrack::Fp { frame: own, .. }) = before.regs.get(10) else { return };
                match insn.class() {
                    class::LDX | class::ST | class::STX => self.memory(&insn, before, after, *own),
                    class::ALU64 if matches!(insn.op(), alu::ADD | alu::SUB) => {
                        let reg = usize::from(insn.dst_reg);
                        let (before, after) = (before.regs.get(reg), after.regs.get(reg));
                        if before != after && matches!(before, Some(ArgTrack::Fp { .. })) {
                            self.add(format!("pointer arithmetic, opcode {:#x}", insn.code));
                        }
                    }
                    class::JMP if insn.op() == jmp::CALL => self.call(program, &insn, idx, before),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

/// Each does something else to what is tracked.
#[test]
fn every_kind_of_thing_is_made() {
    let material = with_kfuncs();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for program in programs(4, 400, Dialect::V7_2, material.clone()) {
        let mut kinds = Kinds::default();
        let _ = verifier::analyze(&material.loaded(&program).unwrap(), Dialect::V7_2, &mut kinds);
        kinds.0.into_iter().for_each(|kind| *counts.entry(kind).or_default() += 1);
    }
    let mut wanted: Vec<String> = WANTED.iter().map(|kind| (*kind).to_owned()).collect();
    for size in [1, 2, 4, 8] {
        wanted.extend((0..8).map(|at| format!("{size} bytes at {at}")));
        for whose in ["own", "parent"] {
            wanted.push(format!("load of {size} from {whose} frame"));
            wanted.push(format!("store of {size} to {whose} frame"));
        }
    }
    for operation in [0, 1, 0x40, 0x41, 0x50, 0xa0, 0xe1, 0xf1, 0x100, 0x110] {
        wanted.extend(["own", "parent"].map(|whose| format!("atomic {operation:#x} in {whose} frame")));
    }
    wanted.extend([0x07, 0x17, 0x0f, 0x1f].map(|code| format!("pointer arithmetic, opcode {code:#x}")));
    wanted.extend((1..=5).map(|reg| format!("pointer in r{reg}")));
    wanted.extend([mode::ABS, mode::IND].map(|mode| format!("packet, mode {mode:#x}")));
    wanted.extend([func::TAIL_CALL, func::TIMER_SET_CALLBACK].map(|helper| format!("helper {helper}")));
    let missing: Vec<&String> = wanted.iter().filter(|kind| !counts.contains_key(*kind)).collect();
    assert!(missing.is_empty(), "{missing:?} of {counts:#?}");
    let seldom = WANTED.iter().filter(|kind| counts.get(**kind).is_none_or(|count| *count < 8));
    assert_eq!(seldom.count(), 0, "{counts:#?}");
}

/// What a part of the programs does.
const WANTED: [&str; 23] = [
    "signed load from own frame",
    "signed load from parent frame",
    "spill to own frame",
    "spill to parent frame",
    "fill from own frame",
    "fill from parent frame",
    "join of registers",
    "join of slots",
    "loop",
    "decided branch",
    "jump table",
    "callback in the program",
    "callback in a global function",
    "callback in a static function",
    "helper with a buffer",
    "helper with a buffer of its own size",
    "helper with a key",
    "helper with a value",
    "kernel function with a buffer",
    "bpf_dynptr_slice",
    "bpf_rbtree_add",
    "bpf_throw",
    "exception callback",
];
