//! Each class of instructions, by hand, and numbers against another way to compute them.

use livediff_capture::{
    FuncInfo, Insn, Kfunc, KfuncParam, KfuncPrototype, Loaded, Map, MapShape,
    insn::{SRC_X, alu, atomic, class, func, jmp, mode, pseudo, size},
};
use proptest::prelude::*;

use super::*;
use crate::{
    log::Silent,
    verifier::{Dialect, analyze},
};

fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst_reg, src_reg, off, imm }
}

fn mov(dst: u8, src: u8) -> Insn {
    insn(class::ALU64 | alu::MOV | SRC_X, dst, src, 0, 0)
}

fn mov_imm(dst: u8, imm: i32) -> Insn {
    insn(class::ALU64 | alu::MOV, dst, 0, 0, imm)
}

fn add_imm(dst: u8, imm: i32) -> Insn {
    insn(class::ALU64 | alu::ADD, dst, 0, 0, imm)
}

fn load(size: u8, dst: u8, src: u8, off: i16) -> Insn {
    insn(class::LDX | mode::MEM | size, dst, src, off, 0)
}

fn store(size: u8, dst: u8, src: u8, off: i16) -> Insn {
    insn(class::STX | mode::MEM | size, dst, src, off, 0)
}

fn store_imm(size: u8, dst: u8, off: i16, imm: i32) -> Insn {
    insn(class::ST | mode::MEM | size, dst, 0, off, imm)
}

fn locked(size: u8, dst: u8, src: u8, off: i16, op: i32) -> Insn {
    insn(class::STX | mode::ATOMIC | size, dst, src, off, op)
}

fn exit() -> Insn {
    insn(class::JMP | jmp::EXIT, 0, 0, 0, 0)
}

fn call(id: i32) -> Insn {
    insn(class::JMP | jmp::CALL, 0, 0, 0, id)
}

fn call_subprog(distance: i32) -> Insn {
    insn(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, distance)
}

fn address(dst: u8, distance: i32) -> [Insn; 2] {
    [insn(class::LD | mode::IMM | size::DW, dst, pseudo::FUNC, 0, distance), Insn::default()]
}

/// A skip of the next instruction if the register is that number.
fn skip_if(reg: u8, imm: i32) -> Insn {
    insn(class::JMP | jmp::JEQ, reg, 0, 1, imm)
}

/// What happened, as text.
#[derive(Default)]
struct Story(Vec<String>);

impl Watch for Story {
    fn entered(&mut self, subprog: u32, callsite: u32) {
        self.0.push(format!("enter {subprog} from {callsite}"));
    }
    fn left(&mut self) {
        self.0.push("leave".into());
    }
    fn step(&mut self, insn: u32) {
        self.0.push(format!("{insn}"));
    }
    fn read(&mut self, depth: usize, off: i64, size: usize) {
        self.0.push(format!("read fp{depth}{off:+} {size}"));
    }
    fn wrote(&mut self, depth: usize, off: i64, size: usize) {
        self.0.push(format!("write fp{depth}{off:+} {size}"));
    }
}

fn run(loaded: &Loaded, seed: u64) -> (Vec<String>, End) {
    let analysis = analyze(loaded, Dialect::V7_2, &mut Silent).unwrap();
    let (mut seen, mut story) = (Seen::default(), Story::default());
    let end = Machine::new(&analysis.program, seed, &mut seen, &mut story).run(0, 500);
    (story.0, end)
}

fn of(insns: Vec<Insn>) -> Loaded {
    Loaded { insns, prog_type: 1, ..Loaded::default() }
}

/// The steps of a program without choices: instructions that were executed, and what they did to the stack.
fn story(insns: Vec<Insn>) -> (Vec<String>, End) {
    run(&of(insns), 1)
}

/// Whether a program that computes something in r6 finds `expected` there.
fn computes(mut insns: Vec<Insn>, expected: u64) -> bool {
    insns.extend([
        insn(class::LD | mode::IMM | size::DW, 7, 0, 0, expected as i32),
        insn(0, 0, 0, 0, (expected >> 32) as i32),
        insn(class::JMP | jmp::JEQ | SRC_X, 6, 7, 1, 0),
        // Reached only by another number.
        load(size::DW, 0, 10, -8),
        mov_imm(0, 0),
        exit(),
    ]);
    let (story, end) = story(insns);
    assert_eq!(end, End::Exit, "{story:?}");
    !story.iter().any(|line| line.starts_with("read"))
}

fn wide(dst: u8, bits: u64) -> [Insn; 2] {
    [insn(class::LD | mode::IMM | size::DW, dst, 0, 0, bits as i32), insn(0, 0, 0, 0, (bits >> 32) as i32)]
}

/// An operation on two numbers as the machine executes it.
fn operated(operation: Insn, a: u64, b: u64, expected: u64) {
    let mut insns = Vec::from(wide(6, a));
    insns.extend(wide(8, b));
    insns.push(operation);
    assert!(computes(insns, expected), "{operation:?} {a:#x} {b:#x} is not {expected:#x}");
}

#[test]
fn operations_on_64_bits() {
    let op = |op: u8, off: i16| insn(class::ALU64 | op | SRC_X, 6, 8, off, 0);
    let minus = |n: i64| (-n) as u64;
    operated(op(alu::ADD, 0), u64::MAX, 2, 1);
    operated(op(alu::SUB, 0), 1, 2, u64::MAX);
    operated(op(alu::MUL, 0), 1 << 63, 3, 1 << 63);
    operated(op(alu::DIV, 0), minus(9), 2, 0x7fff_ffff_ffff_fffb);
    operated(op(alu::DIV, 1), minus(9), 2, minus(4));
    operated(op(alu::DIV, 0), 9, 0, 0);
    operated(op(alu::DIV, 1), 1 << 63, u64::MAX, 1 << 63);
    operated(op(alu::MOD, 0), 9, 0, 9);
    operated(op(alu::MOD, 1), minus(9), 2, minus(1));
    operated(op(alu::MOD, 1), 1 << 63, u64::MAX, 0);
    operated(op(alu::AND, 0), 0b1100, 0b1010, 0b1000);
    operated(op(alu::OR, 0), 0b1100, 0b1010, 0b1110);
    operated(op(alu::XOR, 0), 0b1100, 0b1010, 0b0110);
    operated(op(alu::LSH, 0), 1, 65, 2);
    operated(op(alu::RSH, 0), 1 << 63, 127, 1);
    operated(op(alu::ARSH, 0), 1 << 63, 63, u64::MAX);
    operated(op(alu::MOV, 0), 1, 7, 7);
    operated(insn(class::ALU64 | alu::NEG, 6, 0, 0, 0), 5, 0, minus(5));
    operated(insn(class::ALU64 | alu::ADD, 6, 0, 0, -1), 5, 0, 4);
}

#[test]
fn operations_on_32_bits_clear_the_upper_half() {
    let op = |op: u8, off: i16| insn(class::ALU | op | SRC_X, 6, 8, off, 0);
    let high = 0xdead_beef_0000_0000;
    operated(op(alu::ADD, 0), high | 0xffff_ffff, 1, 0);
    operated(op(alu::SUB, 0), high, 1, 0xffff_ffff);
    operated(op(alu::MUL, 0), high | 0x10000, 0x10000, 0);
    operated(op(alu::DIV, 1), high | 0xffff_fff7, 2, 0xffff_fffc);
    operated(op(alu::DIV, 1), 0x8000_0000, 0xffff_ffff, 0x8000_0000);
    operated(op(alu::MOD, 0), high | 9, high, 9);
    operated(op(alu::MOD, 1), 0x8000_0000, 0xffff_ffff, 0);
    operated(op(alu::LSH, 0), 1, 33, 2);
    operated(op(alu::ARSH, 0), 0x8000_0000, 31, 0xffff_ffff);
    operated(op(alu::MOV, 0), 1, high | 7, 7);
    operated(insn(class::ALU | alu::NEG, 6, 0, 0, 0), high | 5, 0, 0xffff_fffb);
}

#[test]
fn moves_that_extend_the_sign() {
    let to = |class: u8, bits: i16| insn(class | alu::MOV | SRC_X, 6, 8, bits, 0);
    operated(to(class::ALU64, 8), 0, 0x80, 0xffff_ffff_ffff_ff80);
    operated(to(class::ALU64, 16), 0, 0x1_8000, 0xffff_ffff_ffff_8000);
    operated(to(class::ALU64, 32), 0, 0x8000_0000, 0xffff_ffff_8000_0000);
    operated(to(class::ALU64, 32), 0, 0xf_7fff_ffff, 0x7fff_ffff);
    operated(to(class::ALU, 8), 0, 0x80, 0xffff_ff80);
    operated(to(class::ALU, 16), 0, 0x7fff, 0x7fff);
}

#[test]
fn byte_swaps() {
    let bits = 0x0123_4567_89ab_cdef;
    let swap = |code: u8, width: i32| insn(code, 6, 0, 0, width);
    operated(swap(class::ALU | alu::END, 16), bits, 0, 0xcdef);
    operated(swap(class::ALU | alu::END, 64), bits, 0, bits);
    operated(swap(class::ALU | alu::END | SRC_X, 16), bits, 0, 0xefcd);
    operated(swap(class::ALU | alu::END | SRC_X, 32), bits, 0, 0xefcd_ab89);
    operated(swap(class::ALU64 | alu::END, 64), bits, 0, 0xefcd_ab89_6745_2301);
    operated(swap(class::ALU64 | alu::END, 16), bits, 0, 0xefcd);
}

#[test]
fn jumps_compare_as_their_names_say() {
    let taken = |op: u8, class: u8, a: u64, b: u64| is_taken(&insn(class | op, 1, 2, 0, 0), a, b).unwrap();
    let (minus_one, high) = (u64::MAX, 1u64 << 32);
    for (op, wide, narrow) in [
        (jmp::JEQ, false, false),
        (jmp::JNE, true, true),
        (jmp::JGT, true, true),
        (jmp::JGE, true, true),
        (jmp::JLT, false, false),
        (jmp::JSGT, false, false),
        (jmp::JSGE, false, false),
        (jmp::JSLT, true, true),
        (jmp::JSLE, true, true),
        (jmp::JSET, true, true),
    ] {
        assert_eq!(taken(op, class::JMP, minus_one, 1), wide, "{op:#x}");
        assert_eq!(taken(op, class::JMP32, minus_one, 1), narrow, "{op:#x}");
    }
    assert!(!taken(jmp::JEQ, class::JMP, high, 0) && taken(jmp::JEQ, class::JMP32, high, 0));
    assert!(taken(jmp::JSET, class::JMP, high, high) && !taken(jmp::JSET, class::JMP32, high, high));
    assert!(taken(jmp::JSGT, class::JMP, 0x8000_0000, 0) && !taken(jmp::JSGT, class::JMP32, 0x8000_0000, 0));
    assert_eq!(is_taken(&insn(class::JMP | 0xf0, 1, 2, 0, 0), 0, 0), None);
}

#[test]
fn what_is_stored_is_loaded() {
    let bits = 0x8123_4567_89ab_cdef;
    let stored = |load: Insn, expected: u64| {
        let mut insns = Vec::from(wide(8, bits));
        insns.extend([store(size::DW, 10, 8, -8), load, mov(6, 3)]);
        // The story of the loads of interest is the same, so look at the number only.
        insns.extend(wide(7, expected));
        insns.extend([
            insn(class::JMP | jmp::JEQ | SRC_X, 6, 7, 1, 0),
            store_imm(size::DW, 10, -16, 0),
            mov_imm(0, 0),
            exit(),
        ]);
        let (story, _) = story(insns);
        assert!(!story.iter().any(|line| line == "write fp0-16 8"), "{load:?}: not {expected:#x}");
    };
    let signed = |size: u8, off: i16| insn(class::LDX | mode::MEMSX | size, 3, 10, off, 0);
    stored(load(size::DW, 3, 10, -8), bits);
    stored(load(size::W, 3, 10, -4), 0x8123_4567);
    stored(load(size::H, 3, 10, -8), 0xcdef);
    stored(load(size::B, 3, 10, -1), 0x81);
    stored(signed(size::W, -4), 0xffff_ffff_8123_4567);
    stored(signed(size::H, -8), 0xffff_ffff_ffff_cdef);
    stored(signed(size::B, -1), 0xffff_ffff_ffff_ff81);
}

#[test]
fn a_spilled_pointer_comes_back_only_whole() {
    let (path, end) = story(vec![
        mov(1, 10),
        add_imm(1, -24),
        store(size::DW, 10, 1, -8),
        load(size::DW, 2, 10, -8),
        load(size::W, 3, 2, 0),
        store_imm(size::B, 10, -1, 0),
        load(size::DW, 2, 10, -8),
        // Memory that is no stack's.
        load(size::W, 3, 2, 0),
        mov_imm(0, 0),
        exit(),
    ]);
    let stack: Vec<&String> = path.iter().filter(|line| line.contains("fp")).collect();
    assert_eq!(stack, ["write fp0-8 8", "read fp0-8 8", "read fp0-24 4", "write fp0-1 1", "read fp0-8 8"]);
    assert_eq!(end, End::Exit);
}

#[test]
fn atomics_read_and_write_and_some_load() {
    let numbers = |operation: i32, memory: i32, r0: i32, src: i32, then: (u8, u64), left: u64| {
        let mut insns = vec![
            store_imm(size::DW, 10, -8, memory),
            mov_imm(0, r0),
            mov_imm(3, src),
            locked(size::DW, 10, 3, -8, operation),
            mov(6, then.0),
            load(size::DW, 8, 10, -8),
        ];
        for (reg, expected) in [(6, then.1), (8, left)] {
            insns.extend(wide(7, expected));
            insns
                .extend([insn(class::JMP | jmp::JEQ | SRC_X, reg, 7, 1, 0), store_imm(size::DW, 10, -16, 0)]);
        }
        insns.extend([mov_imm(0, 0), exit()]);
        let (story, end) = story(insns);
        assert_eq!(end, End::Exit);
        let wrong = story.iter().any(|line| line == "write fp0-16 8");
        assert!(!wrong, "{operation:#x} of {memory} and {src}: not {then:?}, {left}");
    };
    numbers(alu::ADD.into(), 5, 0, 3, (3, 3), 8);
    numbers(i32::from(alu::ADD) | atomic::FETCH, 5, 0, 3, (3, 5), 8);
    numbers(i32::from(alu::AND) | atomic::FETCH, 6, 0, 3, (3, 6), 2);
    numbers(i32::from(alu::OR), 6, 0, 3, (3, 3), 7);
    numbers(i32::from(alu::XOR) | atomic::FETCH, 6, 0, 3, (3, 6), 5);
    numbers(atomic::XCHG, 5, 0, 3, (3, 5), 3);
    numbers(atomic::CMPXCHG, 5, 5, 3, (0, 5), 3);
    numbers(atomic::CMPXCHG, 5, 4, 3, (0, 5), 5);
    numbers(atomic::STORE_REL, 5, 0, 3, (3, 3), 3);

    let (path, _) = story(vec![
        store(size::DW, 10, 10, -8),
        // r2 = load_acquire(fp-8), which is fp.
        locked(size::DW, 2, 10, -8, atomic::LOAD_ACQ),
        load(size::B, 0, 2, -9),
        exit(),
    ]);
    let stack: Vec<&String> = path.iter().filter(|line| line.contains("fp0")).collect();
    assert_eq!(stack, ["write fp0-8 8", "read fp0-8 8", "read fp0-9 1"]);
}

#[test]
fn paths_end_where_the_verifier_would_end_them() {
    let refused = |insns: Vec<Insn>| match story(insns).1 {
        End::Refused(reason) => reason,
        end => panic!("{end:?}"),
    };
    let then_exit = |mut insns: Vec<Insn>| {
        insns.extend([mov_imm(0, 0), exit()]);
        insns
    };
    assert_eq!(refused(then_exit(vec![load(size::DW, 0, 10, 0)])), "outside of the frame");
    assert_eq!(refused(then_exit(vec![load(size::DW, 0, 10, -520)])), "outside of the frame");
    assert_eq!(refused(then_exit(vec![load(size::W, 0, 10, -6)])), "a misaligned access");
    assert_eq!(refused(then_exit(vec![mov_imm(1, 64), load(size::W, 0, 1, 0)])), "a load from a number");
    assert_eq!(refused(then_exit(vec![store(size::W, 10, 10, -8)])), "a part of a stack pointer is stored");
    assert_eq!(refused(vec![call_subprog(1), exit(), mov(0, 10), exit()]), "a stack pointer is returned");
    let to_caller = vec![mov(1, 10), call_subprog(1), exit(), store(size::DW, 1, 10, -8), exit()];
    assert_eq!(refused(to_caller), "a stack pointer in the frame of a caller");
    assert_eq!(story(vec![insn(class::JMP | jmp::JA, 0, 0, -1, 0)]).1, End::Limit);
}

#[test]
fn calls_have_frames_of_their_own() {
    let (path, end) = story(vec![
        mov(1, 10),
        mov(6, 10),
        call_subprog(2),
        load(size::DW, 0, 6, -16),
        exit(),
        store_imm(size::DW, 1, -8, 1),
        store_imm(size::DW, 10, -8, 1),
        mov_imm(6, 0),
        mov_imm(0, 0),
        exit(),
    ]);
    assert_eq!(
        path,
        [
            "enter 0 from 0",
            "0",
            "1",
            "2",
            "enter 1 from 2",
            "5",
            "write fp0-8 8",
            "6",
            "write fp1-8 8",
            "7",
            "8",
            "9",
            "leave",
            "3",
            "read fp0-16 8",
            "4",
            "leave"
        ]
    );
    assert_eq!(end, End::Exit);
}

#[test]
fn callbacks_get_their_context_and_may_come_again() {
    // bpf_loop(1, cb, fp-8): the callback reads it.
    let mut insns = vec![store_imm(size::DW, 10, -8, 1), mov_imm(1, 1)];
    insns.extend(address(2, 6));
    insns.extend([mov(3, 10), add_imm(3, -8), mov_imm(4, 0), call(func::LOOP), exit()]);
    insns.extend([load(size::DW, 0, 2, 0), mov_imm(0, 0), exit()]);
    let loaded = of(insns);
    let times: Vec<usize> = (0..40)
        .map(|seed| {
            let (story, end) = run(&loaded, seed);
            assert_eq!(end, End::Exit);
            let entered = story.iter().filter(|line| *line == "enter 1 from 7").count();
            assert_eq!(story.iter().filter(|line| *line == "read fp0-8 8").count(), entered);
            entered
        })
        .collect();
    for expected in 0..=3 {
        assert!(times.contains(&expected), "{expected} times: {times:?}");
    }
}

#[test]
fn helpers_touch_what_their_prototypes_say() {
    let maps = vec![Map { map_type: 2, shape: MapShape { key_size: 4, value_size: 24 }, ..Map::default() }];
    let map = [insn(class::LD | mode::IMM | size::DW, 1, pseudo::MAP_FD, 0, 0), Insn::default()];
    // bpf_map_update_elem(map, fp-4, fp-32, 0): reads key and value.
    let mut insns = vec![mov(6, 1)];
    insns.extend(map);
    insns.extend([mov(2, 10), add_imm(2, -4), mov(3, 10), add_imm(3, -32), mov_imm(4, 0), call(2)]);
    // bpf_get_current_comm(fp-64, 16) of a tracing program would write; bpf_skb_load_bytes(ctx, 0, fp-64, 7) does here.
    insns.extend([mov(1, 6), mov_imm(2, 0), mov(3, 10), add_imm(3, -64), mov_imm(4, 7), call(26), exit()]);
    let (path, end) = run(&Loaded { maps, ..of(insns) }, 1);
    let stack: Vec<&String> = path.iter().filter(|line| line.contains("fp0")).collect();
    assert_eq!(stack, ["read fp0-4 4", "read fp0-32 24", "write fp0-64 7"]);
    assert_eq!(end, End::Exit);
    // What is no map is none.
    let insns = vec![mov_imm(1, 0), mov(2, 10), call(1), exit()];
    assert_eq!(story(insns).1, End::Refused("a map that is none"));
}

#[test]
fn kernel_functions_touch_what_their_parameters_say() {
    let memory = KfuncParam { pointer: true, pointee_size: Some(16), ..KfuncParam::default() };
    let sized = KfuncParam { size_of_previous: true, ..KfuncParam::default() };
    let prototype = KfuncPrototype {
        params: vec![
            KfuncParam { uninit: true, ..memory.clone() },
            KfuncParam { pointee_size: None, ..memory.clone() },
            sized,
            KfuncParam { dynptr: true, ..memory },
        ],
        ..KfuncPrototype::default()
    };
    let kfunc = Kfunc { btf_id: 7, prototype: Some(prototype), ..Kfunc::default() };
    let mut insns = Vec::new();
    for (reg, off) in [(1, -16), (2, -32), (4, -64)] {
        insns.extend([mov(reg, 10), add_imm(reg, off)]);
    }
    insns.extend([mov_imm(3, 5), insn(class::JMP | jmp::CALL, 0, pseudo::KFUNC_CALL, 0, 7), exit()]);
    let (path, _) = run(&Loaded { kfuncs: vec![kfunc], ..of(insns) }, 1);
    let stack: Vec<&String> = path.iter().filter(|line| line.contains("fp0")).collect();
    assert_eq!(stack, ["read fp0-32 5", "read fp0-64 16", "write fp0-16 16"]);
}

#[test]
fn tail_calls_leave_or_do_not() {
    let maps = vec![Map { map_type: 3, shape: MapShape { key_size: 4, value_size: 4 }, ..Map::default() }];
    let mut insns = vec![insn(class::LD | mode::IMM | size::DW, 2, pseudo::MAP_FD, 0, 0), Insn::default()];
    insns.extend([mov_imm(3, 0), call(func::TAIL_CALL), load(size::DW, 0, 10, -8), exit()]);
    let loaded = Loaded { maps, ..of(insns) };
    let stayed = (0..20).filter(|seed| run(&loaded, *seed).0.contains(&"read fp0-8 8".to_owned())).count();
    assert!((1..20).contains(&stayed), "{stayed} of 20");
}

#[test]
fn what_comes_from_outside_is_one_number_once_it_is_one() {
    // r6 = *(ctx); r7 = r6; if r6 == 77: if r7 == 77: fine, else a read.
    let loaded = of(vec![
        load(size::W, 6, 1, 0),
        mov(7, 6),
        insn(class::JMP | jmp::JNE, 6, 0, 2, 77),
        skip_if(7, 77),
        load(size::DW, 0, 10, -8),
        mov_imm(0, 0),
        exit(),
    ]);
    let stories: Vec<_> = (0..40).map(|seed| run(&loaded, seed).0).collect();
    assert!(stories.iter().any(|story| story.contains(&"3".to_owned())), "77 is tried");
    assert!(stories.iter().any(|story| !story.contains(&"3".to_owned())), "and others are");
    assert!(!stories.iter().any(|story| story.contains(&"4".to_owned())));
}

#[test]
fn narrow_values_from_outside_have_no_upper_half() {
    let move_half = insn(class::ALU | alu::MOV | SRC_X, 6, 1, 0, 0);
    for source in [move_half, load(size::W, 6, 10, -16), load(size::B, 6, 10, -16), load(size::H, 6, 1, 0)] {
        let mut insns = vec![source];
        insns.extend(wide(7, u32::MAX.into()));
        insns.extend([
            insn(class::JMP | jmp::JLE | SRC_X, 6, 7, 1, 0),
            load(size::DW, 0, 10, -8),
            mov_imm(0, 0),
            exit(),
        ]);
        let loaded = of(insns);
        for seed in 0..60 {
            let (story, end) = run(&loaded, seed);
            assert_eq!(end, End::Exit);
            assert!(!story.contains(&"read fp0-8 8".to_owned()), "{source:?} {seed}");
        }
    }
    // The half that was moved is that of the number: if r1 == 77: if w6 == 77: fine, else a read.
    let loaded = of(vec![
        move_half,
        insn(class::JMP | jmp::JNE, 1, 0, 2, 77),
        skip_if(6, 77),
        load(size::DW, 0, 10, -8),
        mov_imm(0, 0),
        exit(),
    ]);
    let stories: Vec<_> = (0..60).map(|seed| run(&loaded, seed).0).collect();
    assert!(stories.iter().any(|story| story.contains(&"2".to_owned())), "77 is tried");
    assert!(!stories.iter().any(|story| story.contains(&"3".to_owned())));
}

#[test]
fn a_value_is_equal_to_itself() {
    for (op, taken) in [(jmp::JEQ, true), (jmp::JNE, false), (jmp::JGT, false), (jmp::JSLE, true)] {
        let loaded = of(vec![
            mov(6, 1),
            insn(class::JMP | op | SRC_X, 6, 1, 1, 0),
            load(size::DW, 0, 10, -8),
            mov_imm(0, 0),
            exit(),
        ]);
        for seed in 0..20 {
            assert_eq!(run(&loaded, seed).0.contains(&"2".to_owned()), !taken, "{op:#x} {seed}");
        }
    }
}

#[test]
fn what_nothing_was_written_to_is_not_read() {
    let refused = End::Refused("a register that nothing was written to");
    let end = |insns: Vec<Insn>| (0..8).map(|seed| run(&of(insns.clone()), seed).1).all(|end| end == refused);
    for reg in [0, 2, 3, 4, 5, 6, 7, 8, 9] {
        assert!(end(vec![mov(1, reg), mov_imm(0, 0), exit()]), "r{reg}");
        assert!(end(vec![add_imm(reg, 8), mov_imm(0, 0), exit()]), "r{reg}");
        assert!(end(vec![store(size::DW, 10, reg, -8), mov_imm(0, 0), exit()]), "r{reg}");
        assert!(end(vec![load(size::DW, 1, reg, 0), mov_imm(0, 0), exit()]), "r{reg}");
        assert!(end(vec![skip_if(reg, 0), mov_imm(0, 0), mov_imm(0, 0), exit()]), "r{reg}");
    }
    assert!(end(vec![exit()]));
    assert!(end(vec![locked(size::DW, 10, 1, -8, atomic::CMPXCHG), mov_imm(0, 0), exit()]));
    // Behind calls, and in what is called; what it does not return nobody reads.
    assert!(end(vec![call(7), mov(6, 1), exit()]));
    let subprogram =
        |behind, first| vec![call_subprog(3), behind, mov_imm(0, 0), exit(), first, mov_imm(1, 0), exit()];
    assert!(end(subprogram(mov(6, 0), mov_imm(1, 0))));
    assert!(end(subprogram(mov(6, 1), mov_imm(0, 0))));
    assert!(end(subprogram(mov_imm(6, 0), mov(1, 6))));
    assert_eq!(run(&of(subprogram(mov_imm(6, 0), mov(6, 1))), 1).1, End::Exit);
    // The argument of a helper.
    assert!(end(vec![mov_imm(1, 0), call(113), mov_imm(0, 0), exit()]));
}

#[test]
fn what_equals_an_unknown_number_is_not_known() {
    // r7 is 0 or 8; if r6 == r7: a pointer is spilled at fp-64 + r6, a place that the verifier does not know.
    let at = |known: bool| {
        let number = if known { mov_imm(7, 8) } else { insn(class::ALU64 | alu::AND, 7, 0, 0, 8) };
        let loaded = of(vec![
            load(size::DW, 6, 1, 0),
            load(size::DW, 7, 1, 8),
            number,
            insn(class::JMP | jmp::JNE | SRC_X, 6, 7, 6, 0),
            mov(8, 10),
            add_imm(8, -64),
            insn(class::ALU64 | alu::ADD | SRC_X, 8, 6, 0, 0),
            store(size::DW, 8, 10, 0),
            load(size::DW, 9, 8, 0),
            load(size::DW, 0, 9, -8),
            mov_imm(0, 0),
            exit(),
        ]);
        let stories: Vec<_> = (0..60).map(|seed| run(&loaded, seed).0).collect();
        assert!(stories.iter().any(|story| story.contains(&"9".to_owned())));
        stories.iter().any(|story| story.contains(&"read fp0-8 8".to_owned()))
    };
    assert!(at(true));
    assert!(!at(false));
}

#[test]
fn a_seed_has_one_path() {
    let mut insns = vec![load(size::W, 6, 1, 0)];
    for _ in 0..10 {
        insns.extend([skip_if(6, 3), add_imm(6, 1)]);
    }
    insns.extend([mov_imm(0, 0), exit()]);
    let info = FuncInfo { insn_off: 0, name: "p".into(), global: true };
    let loaded = Loaded { func_info: vec![info], ..of(insns) };
    assert_eq!(run(&loaded, 5), run(&loaded, 5));
    let paths: std::collections::HashSet<Vec<String>> = (0..30).map(|seed| run(&loaded, seed).0).collect();
    assert!(paths.len() > 1);
}

/// What an operation does, from its definition in the instruction set's standard, by way of wider numbers.
fn reference(op: u8, wide: bool, a: u64, b: u64) -> u64 {
    let bits = if wide { 64 } else { 32 };
    let modulus = 1u128 << bits;
    let (a, b) = (u128::from(a) % modulus, u128::from(b) % modulus);
    let signed = |n: u128| if n >= modulus / 2 { n as i128 - modulus as i128 } else { n as i128 };
    let shift = b % bits;
    let result = match op {
        alu::ADD => a + b,
        alu::SUB => a + modulus - b,
        alu::MUL => a.wrapping_mul(b),
        alu::DIV => a.checked_div(b).unwrap_or(0),
        alu::MOD => a.checked_rem(b).unwrap_or(a),
        alu::OR => a | b,
        alu::AND => a & b,
        alu::XOR => (a | b) - (a & b),
        alu::LSH => a << shift,
        alu::RSH => a >> shift,
        _ => (signed(a) >> shift).rem_euclid(modulus as i128) as u128,
    };
    (result % modulus) as u64
}

proptest! {
    #[test]
    fn operations_are_those_of_the_standard(
        op in prop::sample::select(vec![
            alu::ADD, alu::SUB, alu::MUL, alu::DIV, alu::MOD, alu::OR, alu::AND, alu::XOR, alu::LSH, alu::RSH,
            alu::ARSH,
        ]),
        wide in any::<bool>(),
        a in prop_oneof![any::<u64>(), 0u64..4, Just(u64::MAX), Just(1u64 << 31)],
        b in prop_oneof![any::<u64>(), 0u64..70, Just(u64::MAX), Just(1u64 << 32)],
    ) {
        let class = if wide { class::ALU64 } else { class::ALU };
        prop_assert_eq!(compute(&insn(class | op, 1, 2, 0, 0), a, b), Some(reference(op, wide, a, b)));
    }

    #[test]
    fn stack_bytes_are_bytes(stores in prop::collection::vec((0usize..4, 0usize..32, any::<u64>()), 1..12),
                             size in 0usize..4, at in 0usize..32) {
        let mut memory = super::frame::Memory::new();
        let mut bytes = [0u8; 32];
        for part in 0..4 {
            memory.store(8 * part, 8, Value::known(0), true);
        }
        for (size, at, bits) in stores {
            let size = 1 << size;
            let at = at.min(32 - size);
            memory.store(at, size, Value::known(bits), true);
            bytes[at..at + size].copy_from_slice(&bits.to_le_bytes()[..size]);
        }
        let size = 1 << size;
        let at = at.min(32 - size);
        let mut expected = [0; 8];
        expected[..size].copy_from_slice(&bytes[at..at + size]);
        prop_assert_eq!(memory.load(at, size, true), Some(Value::known(u64::from_le_bytes(expected))));
    }
}
