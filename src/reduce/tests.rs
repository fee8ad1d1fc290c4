//! Reductions whose oracle is the model itself: a program shows something if the model's words have it.

use super::*;
use crate::{
    Dialect,
    bpf::btf::Btf,
    log::{self, End},
    random::Random,
};
use livediff_capture::{
    FuncInfo, Insn, Loaded, Map, MapShape,
    insn::{SRC_X, alu, class, jmp, mode, pseudo, size},
};

fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst_reg, src_reg, off, imm }
}

/// 400 instructions that have nothing to do with it, and among them a callee that reads the frame of its caller's
/// caller.
fn large() -> Loaded {
    let mut random = Random::new(7);
    let mut noise = |count: usize| -> Vec<Insn> {
        let mut insns: Vec<Insn> = Vec::new();
        for left in (1..=count).rev() {
            let register = random.below(6) as u8;
            insns.push(match random.below(6) {
                0 => insn(class::JMP | jmp::JEQ, register, 0, random.below(left.min(20)) as i16, 0),
                1 => insn(
                    class::STX | mode::MEM | size::DW,
                    10,
                    register,
                    -8 * (1 + random.below(20) as i16),
                    0,
                ),
                2 => insn(
                    class::LDX | mode::MEM | size::DW,
                    register,
                    10,
                    -8 * (1 + random.below(20) as i16),
                    0,
                ),
                3 => insn(class::JMP | jmp::CALL, 0, 0, 0, 5),
                _ => insn(class::ALU64 | alu::ADD, register, 0, 0, random.below(1000) as i32),
            });
        }
        insns
    };
    let exit = insn(class::JMP | jmp::EXIT, 0, 0, 0, 0);
    let mov = |dst, src| insn(class::ALU64 | alu::MOV | SRC_X, dst, src, 0, 0);
    let mut insns = noise(150);
    insns.extend([mov(6, 10), insn(class::ALU64 | alu::ADD, 6, 0, 0, -16), mov(1, 6)]);
    let call = insns.len();
    insns.push(insn(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, 0));
    insns.extend(noise(100));
    insns.push(exit);
    let first = insns.len();
    insns.push(mov(7, 1));
    insns.extend(noise(50));
    insns.extend([mov(1, 7), insn(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, 0)]);
    let inner = insns.len() - 1;
    insns.push(exit);
    let second = insns.len();
    insns.push(mov(8, 1));
    insns.extend(noise(60));
    insns.push(insn(class::LDX | mode::MEM | size::W, 0, 8, 4, 0));
    insns.push(exit);
    insns[call].imm = (first - call - 1) as i32;
    insns[inner].imm = (second - inner - 1) as i32;
    let named = |insn_off: usize, name: &str| FuncInfo {
        insn_off: insn_off as u32,
        name: name.into(),
        global: false,
    };
    let func_info = vec![named(0, "main"), named(first, "first"), named(second, "second")];
    Loaded { insns, prog_type: 1, func_info, ..Loaded::default() }
}

/// Shows it: a subprogram one or more calls deep loads four bytes of a caller's frame.
fn shows(program: &Program) -> bool {
    let Ok(loaded) = program.link(&Loaded { prog_type: 1, ..Loaded::default() }) else { return false };
    let section = log::section(&loaded, Dialect::V7_2);
    let deep = section.text.split("stack use/def").skip(1).any(|listing| {
        let (head, rest) = listing.split_once('\n').unwrap_or((listing, ""));
        !head.contains("(d0,") && rest.lines().any(|line| line.contains("(61)") && line.contains("use: fp0-"))
    });
    section.end == End::Complete && deep
}

struct Model {
    asked: usize,
    /// Ends the search after so many rounds.
    limit: usize,
}

impl Oracle for Model {
    fn shows(&mut self, candidates: &[Program]) -> Option<Vec<bool>> {
        self.asked += 1;
        (self.asked <= self.limit).then(|| candidates.iter().map(shows).collect())
    }
}

fn imported() -> Program {
    let no_btf = [0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    Program::import("main", "fentry/x", &large(), &Btf::parse(&no_btf).unwrap()).unwrap()
}

fn run(seed: u64, limit: usize) -> (Reduced, usize) {
    let mut model = Model { asked: 0, limit };
    let reduced = reduce(imported(), seed, &mut model);
    (reduced, model.asked)
}

#[test]
fn a_large_program_becomes_a_small_one_in_few_rounds() {
    let whole = imported();
    assert!(whole.len() > 200 && shows(&whole), "{} instructions", whole.len());
    let (reduced, asked) = run(0, usize::MAX);
    assert!(reduced.minimal && shows(&reduced.program));
    assert_eq!(reduced.round.rounds, asked);
    // r1 = r10; r1 += -16; call; exit; the load; exit.
    assert!(reduced.program.len() <= 7, "{} instructions: {:?}", reduced.program.len(), reduced.program);
    assert_eq!(reduced.program.functions.len(), 2);
    assert_eq!(reduced.program.section, "socket");
    assert!(asked < 60, "{asked} rounds");
}

#[test]
fn programs_that_differ_in_a_map_are_told_apart() {
    let with = |map: Map| Program { maps: std::sync::Arc::new(vec![map]), ..imported() };
    let inner = |key_size| Some(MapShape { key_size, value_size: 8 });
    let maps = [
        Map::default(),
        Map { map_type: 1, ..Map::default() },
        Map { shape: MapShape { key_size: 4, value_size: 0 }, ..Map::default() },
        Map { max_entries: 1, ..Map::default() },
        Map { map_flags: 1 << 7, ..Map::default() },
        Map { frozen: true, ..Map::default() },
        Map { inner: inner(0), ..Map::default() },
        Map { inner: inner(4), ..Map::default() },
        Map { rdonly_value: Some(vec![0]), ..Map::default() },
        Map { insn_array: Some(vec![0]), ..Map::default() },
    ];
    let prints = maps.clone().map(|map| search::fingerprint(&with(map)));
    let different = std::collections::BTreeSet::from(prints);
    assert_eq!(different.len(), maps.len());
    let named = Map { name: "other".into(), ..Map::default() };
    assert!(different.contains(&search::fingerprint(&with(named))));
}

#[test]
fn the_same_seed_gives_the_same_program() {
    for seed in [0, 0xdead_beef] {
        let (one, other) = (run(seed, usize::MAX).0, run(seed, usize::MAX).0);
        assert_eq!((&one.program, one.round), (&other.program, other.round), "seed {seed}");
        assert!(one.program.len() <= 8, "seed {seed}: {} instructions", one.program.len());
    }
}

#[test]
fn what_is_found_when_the_search_is_ended_shows_it() {
    let whole = cost(&imported());
    for limit in [0, 1, 3, 8] {
        let (reduced, _) = run(0, limit);
        assert!(!reduced.minimal, "after {limit} rounds");
        assert!(shows(&reduced.program) && cost(&reduced.program) <= whole);
    }
}

#[test]
fn no_edit_of_a_minimal_program_helps() {
    // What is true of every program leaves the smallest that there is.
    struct Yes;
    impl Oracle for Yes {
        fn shows(&mut self, candidates: &[Program]) -> Option<Vec<bool>> {
            Some(vec![true; candidates.len()])
        }
    }
    let reduced = reduce(imported(), 0, &mut Yes);
    assert!(reduced.minimal);
    assert_eq!((reduced.program.len(), reduced.program.functions.len()), (1, 1));
    // And what is true of none but the first leaves that.
    struct No;
    impl Oracle for No {
        fn shows(&mut self, candidates: &[Program]) -> Option<Vec<bool>> {
            Some(vec![false; candidates.len()])
        }
    }
    let reduced = reduce(imported(), 0, &mut No);
    assert!(reduced.minimal);
    assert_eq!(reduced.program, imported());
}
