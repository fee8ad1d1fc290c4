//! Answers that are right, and answers with one lie in them.

use livediff_capture::{
    Insn, Loaded,
    insn::{MAY_GOTO, SRC_X, alu, class, jmp, mode, pseudo, size},
};

use super::*;
use crate::{
    log::Silent,
    verifier::{Dialect, analyze},
};

fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst_reg, src_reg, off, imm }
}

fn load(dst: u8, src: u8, off: i16) -> Insn {
    insn(class::LDX | mode::MEM | size::DW, dst, src, off, 0)
}

fn store(dst: u8, off: i16) -> Insn {
    insn(class::ST | mode::MEM | size::DW, dst, 0, off, 1)
}

fn exit() -> Insn {
    insn(class::JMP | jmp::EXIT, 0, 0, 0, 0)
}

/// Two paths, whatever registers hold.
fn skip() -> Insn {
    insn(class::JMP | jmp::JCOND, 0, MAY_GOTO, 1, 0)
}

/// ```text
/// 0: *(u64 *)(r10 -8) = 1          8: may_goto 10
/// 1: *(u64 *)(r10 -16) = 1         9: r0 = *(u64 *)(r1 +0)
/// 2: if r1 == 0 goto 1             10: r0 = 0
/// 3: r1 = r10                      11: exit
/// 4: r1 += -8
/// 5: call 8
/// 6: r0 = *(u64 *)(r10 -16)
/// 7: exit
/// ```
fn program() -> Loaded {
    let insns = vec![
        store(10, -8),
        store(10, -16),
        insn(class::JMP | jmp::JEQ, 1, 0, -2, 0),
        insn(class::ALU64 | alu::MOV | SRC_X, 1, 10, 0, 0),
        insn(class::ALU64 | alu::ADD, 1, 0, 0, -8),
        insn(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, 2),
        load(0, 10, -16),
        exit(),
        skip(),
        load(0, 1, 0),
        insn(class::ALU64 | alu::MOV, 0, 0, 0, 0),
        exit(),
    ];
    Loaded { insns, prog_type: 1, ..Loaded::default() }
}

const LIMITS: Limits = Limits { seed: 0, paths: 64, steps: 200, findings: 100 };

/// The answers of an analysis, but for one half-slot of the entry's frame, which is never live before one instruction.
struct Lying<'a>(&'a Analysis<'a>, u32, u32);

impl Answers for Lying<'_> {
    fn alive(&self, frames: &[CallFrame], insn: u32, frame: usize, half_slot: u32) -> bool {
        (insn, frame, half_slot) != (self.1, 0, self.2) && self.0.alive(frames, insn, frame, half_slot)
    }
}

#[test]
fn right_answers_are_not_complained_of() {
    let loaded = program();
    for dialect in [Dialect::V7_1, Dialect::V7_2, Dialect::V7_3, Dialect::Fed53dbcdb] {
        let analysis = analyze(&loaded, dialect, &mut Silent).unwrap();
        let (findings, coverage) = check_paths(&analysis.program, &analysis, &LIMITS);
        assert_eq!(findings, [], "{dialect}");
        assert_eq!((coverage.executed, coverage.reachable), (12, 12));
        assert!(coverage.reads > 100, "{coverage:?}");
    }
}

#[test]
fn every_lie_about_what_is_read_is_found_and_no_other() {
    let loaded = program();
    let analysis = analyze(&loaded, Dialect::V7_2, &mut Silent).unwrap();
    // fp-8 is live from its write to the callee's read, fp-16 from its write to the last read.
    for (half_slot, live) in [(0, 1..=5), (1, 1..=5), (2, 2..=6), (3, 2..=6)] {
        for at in 0..12 {
            let (findings, _) = check_paths(&analysis.program, &Lying(&analysis, at, half_slot), &LIMITS);
            // Behind the call the callee's instructions matter to the caller's frame as well.
            let in_callee = (8..=11).contains(&at);
            let wanted = live.contains(&at) || in_callee && (half_slot >= 2 || at <= 9);
            assert_eq!(!findings.is_empty(), wanted, "half-slot {half_slot} before {at}: {findings:?}");
            for finding in findings {
                assert_eq!((finding.dead.insn, finding.half_slot, finding.frame), (at, half_slot, 0));
                let read = if half_slot < 2 { 9 } else { 6 };
                assert_eq!(finding.read.insn, read);
                let written = if half_slot < 2 { 0 } else { 1 };
                assert_eq!(finding.written.as_ref().map(|step| step.insn), Some(written));
                assert_eq!(finding.path.first(), finding.written.as_ref());
                assert_eq!(finding.path.last(), Some(&finding.read));
                assert!(finding.path.contains(&finding.dead));
            }
        }
    }
}

#[test]
fn findings_are_told_with_their_path() {
    let loaded = program();
    let analysis = analyze(&loaded, Dialect::V7_2, &mut Silent).unwrap();
    let (findings, _) = check_paths(&analysis.program, &Lying(&analysis, 8, 1), &LIMITS);
    let text = describe(&analysis.program, findings.first().unwrap());
    for line in [
        "fp0-8h (bytes -8 to -5 of frame 0) is not live before insn 8, and insn 9 reads it later\n",
        "  written             0: (7a) *(u64 *)(r10 -8) = 1\n",
        "  dead           5,   8: (e5) may_goto pc+1\n",
        "  read           5,   9: (79) r0 = *(u64 *)(r1 +0)\n",
        "   >      5,   8: (e5) may_goto pc+1\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

/// The analysis has pointers in r1 to r5 behind a load from a packet, where the verifier lets nobody read them.
#[test]
fn what_a_load_from_a_packet_takes_away_is_no_finding() {
    let packet = insn(class::LD | mode::ABS | size::W, 0, 0, 0, 4);
    for pointer in [0, 2] {
        let insns = vec![
            mov(pointer, 10),
            add(pointer, -8),
            packet,
            insn(class::ST | mode::MEM | size::DW, pointer, 0, -16, 0),
            load(0, 10, -24),
            exit(),
        ];
        let loaded = Loaded { insns, ..program() };
        for dialect in [Dialect::Fed53dbcdb, Dialect::V7_1, Dialect::V7_2, Dialect::V7_3] {
            assert_eq!(unsound(&loaded, dialect), [], "{dialect}, r{pointer}");
        }
    }
}

#[test]
fn what_was_observed_is_read_from_the_log() {
    let log = "func#0 @0\nLive regs before insn:\n  0: .1........ (bf) r6 = r1\n0: R1=ctx() R10=fp0\n\
               0: (7a) *(u64 *)(r10 -8) = 1       ; R10=fp0 fp-8_w=1\n12: (95) exit\n\
               (0) frame 0 insn 3 +live -8,-24 \n(0) frame 0 insn 0 +written -8 \n(5,8) frame 0 insn 9 +live -16 \n\
               (0) frame 0 insn 3 -live -24\n(5,8) live stack update done in 2 iterations\n\
               13: (b7) r0 = 0\n";
    let observed = observed::parse(log).unwrap();
    let live = |chain: &[u32], insn| observed.slots.get(&(chain.to_vec(), 0, insn)).map(|slots| slots.live);
    assert_eq!(live(&[0], 3), Some(0b1));
    assert_eq!(live(&[5, 8], 9), Some(0b10));
    assert_eq!(observed.visited.iter().copied().collect::<Vec<_>>(), [0, 12]);
    assert_eq!(observed.lines, 4);
}

/// An instruction that was first printed late had slots live of which nothing is printed any more.
#[test]
fn what_is_not_told_of_an_instruction_is_no_read_before_it() {
    let insns = vec![
        store(10, -16),
        insn(class::JMP | jmp::JEQ, 1, 0, 1, 0),
        mov(2, 10),
        store(10, -8),
        load(0, 10, -16),
        load(0, 10, -8),
        exit(),
    ];
    let loaded = Loaded { insns, ..program() };
    let analysis = analyze(&loaded, Dialect::V7_2, &mut Silent).unwrap();
    // States are compared before insn 2. When the store before insn 3 was seen, fp-16 was known to be live there.
    let log = "(0) frame 0 insn 5 +live -8 \n(0) frame 0 insn 4 +live -8,-16 \n(0) frame 0 insn 2 +live -8,-16 \n\
               (0) frame 0 insn 3 -live -8\n(0) frame 0 insn 3 +written -8 \n(0) frame 0 insn 2 -live -8\n";
    let reads = |log: &str| {
        let checked = observed::check(&analysis, &analysis, &observed::parse(log).unwrap());
        assert_eq!(checked.missed, []);
        checked.reads
    };
    assert_eq!(reads(log), 2, "insn 4 and insn 5");
    // A store of the whole slot hides no read before it.
    let log = "(0) frame 0 insn 5 +live -8 \n(0) frame 0 insn 3 +written -8 \n(0) frame 0 insn 2 +live -8 \n";
    let checked = observed::check(&analysis, &analysis, &observed::parse(log).unwrap());
    let missed: Vec<_> = checked.missed.iter().map(|missed| (missed.insn, missed.read_here)).collect();
    assert_eq!(missed, [(2, true)]);
}

#[test]
fn what_was_observed_must_be_called_live() {
    let loaded = program();
    let analysis = analyze(&loaded, Dialect::V7_2, &mut Silent).unwrap();
    // As Linux 6.18 prints it: both slots live from their writes to their reads.
    let log = "(5,8) frame 0 insn 9 +live -8 \n(5,8) frame 0 insn 8 +live -8 \n(0) frame 0 insn 6 +live -16 \n\
               (0) frame 0 insn 5 +live -8,-16 \n(0) frame 0 insn 2 +live -8,-16 \n(0) frame 0 insn 1 +live -8 \n\
               (0) frame 0 insn 1 +written -16 \n(0) frame 0 insn 0 +written -8,-16 \n";
    let observed = observed::parse(log).unwrap();
    let checked = observed::check(&analysis, &analysis, &observed);
    assert_eq!((checked.slots, checked.reads, checked.unreachable), (8, 2, 0));
    assert_eq!(checked.missed, []);
    // One half of the slot suffices; without both, it is missed, and nothing explains it.
    struct Both<'a>(&'a Analysis<'a>, u32);
    impl Answers for Both<'_> {
        fn alive(&self, frames: &[CallFrame], insn: u32, frame: usize, half_slot: u32) -> bool {
            insn != self.1 && self.0.alive(frames, insn, frame, half_slot)
        }
    }
    assert_eq!(observed::check(&analysis, &Lying(&analysis, 6, 2), &observed).missed, []);
    for insn in [9, 8, 2, 1] {
        let missed = observed::check(&analysis, &Both(&analysis, insn), &observed).missed;
        assert!(!missed.is_empty(), "{insn}");
        for missed in missed {
            assert_eq!((missed.insn, missed.why), (insn, None));
            assert_eq!(missed.read_here, insn == 9, "{missed:?}");
        }
    }
}

#[test]
fn what_older_kernels_do_not_know_is_explained() {
    // 0: *(u32 *)(r10 -4) = 1; 1: *(u32 *)(r10 -8) = 1; 2: r0 = *(u64 *)(r10 -8)
    let narrow = |off| insn(class::ST | mode::MEM | size::W, 10, 0, off, 1);
    let loaded = Loaded { insns: vec![narrow(-4), narrow(-8), load(0, 10, -8), exit()], ..program() };
    let analysis = analyze(&loaded, Dialect::V7_2, &mut Silent).unwrap();
    let log = "(0) frame 0 insn 0 +live -8 \n(0) frame 0 insn 1 +live -8 \n(0) frame 0 insn 2 +live -8 \n\
               0: (62) *(u32 *)(r10 -4) = 1\n1: (62) *(u32 *)(r10 -8) = 1\n2: (79) r0 = *(u64 *)(r10 -8)\n";
    let checked = observed::check(&analysis, &analysis, &observed::parse(log).unwrap());
    let whys: Vec<_> = checked.missed.iter().map(|missed| (missed.insn, missed.why)).collect();
    assert_eq!(whys, [(0, Some(observed::Why::NarrowWrite))]);

    // A decided branch: 0: r1 = 0; 1: if r1 != 0 goto 3; 2: *(u64 *)(r10 -8) = 1; 3: r0 = *(u64 *)(r10 -8)
    let insns = vec![
        insn(class::ALU64 | alu::MOV, 1, 0, 0, 0),
        insn(class::JMP | jmp::JNE, 1, 0, 1, 0),
        store(10, -8),
        load(0, 10, -8),
        exit(),
    ];
    let loaded = Loaded { insns, ..program() };
    let analysis = analyze(&loaded, Dialect::V7_2, &mut Silent).unwrap();
    let log = "(0) frame 0 insn 1 +live -8 \n(0) frame 0 insn 3 +live -8 \n0: (b7) r1 = 0\n\
               1: (55) if r1 != 0x0 goto pc+1\n2: (7a) *(u64 *)(r10 -8) = 1\n3: (79) r0 = *(u64 *)(r10 -8)\n";
    let checked = observed::check(&analysis, &analysis, &observed::parse(log).unwrap());
    let whys: Vec<_> = checked.missed.iter().map(|missed| (missed.insn, missed.why)).collect();
    assert_eq!(whys, [(1, Some(observed::Why::DecidedBranch))]);

    // A loop at 0, and one of two writes seen after the read: what was live around the loop by then stays live.
    let insns = vec![
        insn(class::JMP | jmp::JEQ, 2, 0, -1, 0),
        insn(class::JMP | jmp::JEQ, 3, 0, 2, 0),
        store(10, -8),
        insn(class::JMP | jmp::JA, 0, 0, 1, 0),
        store(10, -8),
        load(0, 10, -8),
        exit(),
    ];
    let loaded = Loaded { insns, ..program() };
    let analysis = analyze(&loaded, Dialect::V7_2, &mut Silent).unwrap();
    let seen = |live: &[u32], visited: &[u32], written: &[u32]| {
        let live = live.iter().map(|insn| format!("(0) frame 0 insn {insn} +live -8 \n"));
        let visited = visited.iter().map(|insn| format!("{insn}: (7a) x\n"));
        let written = written.iter().map(|insn| format!("(0) frame 0 insn {insn} +written -8 \n"));
        let log = live.chain(visited).chain(written).collect::<String>()
            + "(0) frame 0 insn 4 -live -8\n(0) live stack update done in 2 iterations\n";
        let checked = observed::check(&analysis, &analysis, &observed::parse(&log).unwrap());
        checked.missed.iter().map(|missed| (missed.insn, missed.why)).collect::<Vec<_>>()
    };
    let all = [0, 1, 2, 3, 4, 5, 6];
    assert_eq!(seen(&[5, 0], &all, &[2, 4]), [(0, Some(observed::Why::Loop))]);
    // The second write is seen in another chain of calls, or not at all.
    assert_eq!(seen(&[5, 0], &all, &[2]), [(0, Some(observed::Why::NotVisited))]);
    assert_eq!(seen(&[5, 0], &[0, 1, 2, 3, 5, 6], &[2, 4]), [(0, Some(observed::Why::NotVisited))]);
    // Behind the loop nothing keeps it live.
    assert_eq!(seen(&[1], &all, &[2, 4]), [(1, None)]);
}

fn mov(dst: u8, src: u8) -> Insn {
    insn(class::ALU64 | alu::MOV | SRC_X, dst, src, 0, 0)
}

fn add(dst: u8, imm: i32) -> Insn {
    insn(class::ALU64 | alu::ADD, dst, 0, 0, imm)
}

/// The half-slots that are found to be called dead although they are read, before which instruction, and read by which.
fn unsound(loaded: &Loaded, dialect: Dialect) -> Vec<(u32, u32, u32)> {
    let analysis = analyze(loaded, dialect, &mut Silent).unwrap();
    let (findings, _) = check_paths(&analysis.program, &analysis, &LIMITS);
    findings.iter().map(|finding| (finding.half_slot, finding.dead.insn, finding.read.insn)).collect()
}

/// What the kernels' analyses get wrong; kernels confirm each of them by refusing programs that are right, with "slot
/// poisoned by dead code elimination".
mod known {
    use super::*;
    use livediff_capture::{Map, MapShape, insn::atomic};

    const STATIC: [Dialect; 4] = [Dialect::Fed53dbcdb, Dialect::V7_1, Dialect::V7_2, Dialect::V7_3];

    /// A pointer that was spilled is loaded by an atomic instruction, which the path walk takes for a fill.
    #[test]
    fn a_pointer_loaded_by_an_atomic_instruction_is_lost() {
        for operation in [atomic::LOAD_ACQ, atomic::XCHG] {
            let (dst, src) = if operation == atomic::LOAD_ACQ { (2, 10) } else { (10, 2) };
            let insns = vec![
                store(10, -8),
                mov(1, 10),
                add(1, -8),
                insn(class::STX | mode::MEM | size::DW, 10, 1, -16, 0),
                insn(class::ALU64 | alu::MOV, 2, 0, 0, 0),
                insn(class::STX | mode::ATOMIC | size::DW, dst, src, -16, operation),
                load(0, 2, 0),
                exit(),
            ];
            for dialect in STATIC {
                let found = unsound(&Loaded { insns: insns.clone(), ..program() }, dialect);
                assert_eq!(found, [(1, 6, 6), (0, 6, 6)], "{dialect}");
            }
        }
    }

    /// fp+0 joined with no pointer is fp+0 alone, and after it was moved it is taken for certain.
    #[test]
    fn a_frame_pointer_joined_with_no_pointer_is_certain() {
        let insns = vec![store(10, -8), skip(), mov(1, 10), add(1, -8), store(1, 0), load(0, 10, -8), exit()];
        for dialect in STATIC {
            let found = unsound(&Loaded { insns: insns.clone(), ..program() }, dialect);
            assert_eq!(found, [(1, 4, 5), (0, 4, 5)], "{dialect}");
        }
        // With any other offset the write is not certain.
        let insns = vec![
            store(10, -8),
            insn(class::JMP | jmp::JCOND, 0, MAY_GOTO, 2, 0),
            mov(1, 10),
            add(1, -8),
            store(1, 0),
            load(0, 10, -8),
            exit(),
        ];
        for dialect in STATIC {
            assert_eq!(unsound(&Loaded { insns: insns.clone(), ..program() }, dialect), [], "{dialect}");
        }
    }

    /// One of two maps: the size of the larger is taken for certainly written.
    #[test]
    fn the_largest_of_all_maps_is_taken_for_written() {
        let map =
            |value_size| Map { map_type: 22, shape: MapShape { key_size: 0, value_size }, ..Map::default() };
        let address =
            |map| [insn(class::LD | mode::IMM | size::DW, 1, pseudo::MAP_FD, 0, map), Insn::default()];
        let mut insns = vec![store(10, -8), insn(class::JMP | jmp::JEQ, 1, 0, 3, 0)];
        insns.extend(address(0));
        insns.push(insn(class::JMP | jmp::JA, 0, 0, 2, 0));
        insns.extend(address(1));
        // bpf_map_pop_elem(map, fp-16)
        insns.extend([
            mov(2, 10),
            add(2, -16),
            insn(class::JMP | jmp::CALL, 0, 0, 0, 88),
            load(0, 10, -8),
            exit(),
        ]);
        let loaded = Loaded { insns, maps: vec![map(8), map(16)], ..program() };
        for dialect in STATIC {
            assert_eq!(unsound(&loaded, dialect), [(1, 9, 10), (0, 9, 10)], "{dialect}");
        }
        let alike = Loaded { maps: vec![map(8), map(8)], ..loaded };
        for dialect in STATIC {
            assert_eq!(unsound(&alike, dialect), [], "{dialect}");
        }
    }

    /// A Bloom filter is asked for a value, which is taken for one that it returns.
    #[test]
    fn a_value_that_a_bloom_filter_is_asked_for_is_taken_for_written() {
        let map =
            |map_type| Map { map_type, shape: MapShape { key_size: 0, value_size: 8 }, ..Map::default() };
        let insns = vec![
            store(10, -8),
            insn(class::LD | mode::IMM | size::DW, 1, pseudo::MAP_FD, 0, 0),
            Insn::default(),
            mov(2, 10),
            add(2, -8),
            // bpf_map_peek_elem(map, fp-8)
            insn(class::JMP | jmp::CALL, 0, 0, 0, 89),
            exit(),
        ];
        for dialect in STATIC {
            let of = |map_type| Loaded { insns: insns.clone(), maps: vec![map(map_type)], ..program() };
            assert_eq!(unsound(&of(30), dialect), [(1, 5, 5), (0, 5, 5)], "{dialect}");
            assert_eq!(unsound(&of(22), dialect), [], "{dialect}: a queue returns it");
        }
        // A kernel that observes sees the read, and that the later ones take it for a write explains nothing.
        let loaded = Loaded { insns: insns.clone(), maps: vec![map(30)], ..program() };
        let analysis = analyze(&loaded, Dialect::V7_2, &mut Silent).unwrap();
        let observed = observed::parse("(0) frame 0 insn 5 +live -8 \n").unwrap();
        let missed = observed::check(&analysis, &analysis, &observed).missed;
        let seen: Vec<_> = missed.iter().map(|missed| (missed.insn, missed.read_here, missed.why)).collect();
        assert_eq!(seen, [(5, true, None)]);
    }

    /// Instances are found by call and depth, and the analysis counts depth from a subprogram that gets no pointer into a
    /// frame. Asked with the depth in the program, it finds another chain of calls that has the same.
    #[test]
    fn another_chain_of_that_depth_answers() {
        let call = |distance| insn(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, distance);
        let insns = |goes_on| {
            vec![
                call(3),
                mov(2, 10),
                goes_on,
                exit(),
                // Begins anew.
                mov(1, 10),
                add(1, -8),
                call(1),
                exit(),
                // Passes on.
                call(1),
                exit(),
                load(0, 1, 0),
                exit(),
                // Goes on.
                call(-5),
                exit(),
            ]
        };
        for dialect in STATIC {
            let loaded = Loaded { insns: insns(call(9)), ..program() };
            // The seed knows instances by the whole chain.
            let expected: &[_] =
                if dialect == Dialect::Fed53dbcdb { &[] } else { &[(1, 10, 10), (0, 10, 10)] };
            assert_eq!(unsound(&loaded, dialect), expected, "{dialect}");
            // Without the other chain there is no such instance, and the one that counts from there is found.
            let alone = Loaded { insns: insns(call(1))[..12].to_vec(), ..program() };
            assert_eq!(unsound(&alone, dialect), [], "{dialect}");
        }
    }

    /// The seed alone: a store to one of two slots forgets what was spilled in both.
    #[test]
    fn a_store_to_one_of_two_slots_forgets_both_in_the_seed() {
        let insns = vec![
            store(10, -8),
            mov(1, 10),
            add(1, -8),
            insn(class::STX | mode::MEM | size::DW, 10, 1, -16, 0),
            mov(2, 10),
            add(2, -16),
            skip(),
            add(2, -8),
            store(2, 0),
            load(1, 10, -16),
            load(0, 1, 0),
            exit(),
        ];
        let loaded = Loaded { insns, ..program() };
        assert_eq!(unsound(&loaded, Dialect::Fed53dbcdb), [(1, 10, 10), (0, 10, 10)]);
        for dialect in [Dialect::V7_1, Dialect::V7_2, Dialect::V7_3] {
            assert_eq!(unsound(&loaded, dialect), [], "{dialect}");
        }
    }

    /// The seed alone: what is stored through a pointer into one of two frames is not remembered.
    #[test]
    fn a_store_through_an_imprecise_pointer_is_forgotten_in_the_seed() {
        let insns = vec![
            mov(1, 10),
            insn(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, 1),
            exit(),
            store(10, -8),
            skip(),
            mov(1, 10),
            mov(4, 10),
            add(4, -8),
            insn(class::STX | mode::MEM | size::DW, 1, 4, -16, 0),
            load(5, 10, -16),
            load(0, 5, 0),
            exit(),
        ];
        let loaded = Loaded { insns, ..program() };
        assert_eq!(unsound(&loaded, Dialect::Fed53dbcdb), [(1, 10, 10), (0, 10, 10)]);
        for dialect in [Dialect::V7_1, Dialect::V7_2, Dialect::V7_3] {
            assert_eq!(unsound(&loaded, dialect), [], "{dialect}");
        }
    }

    /// The seed alone: where a callback is not known, its own frame is described by nothing.
    #[test]
    fn an_unknown_callback_has_no_instance_in_the_seed() {
        let insns = vec![
            insn(class::LD | mode::IMM | size::DW, 2, pseudo::FUNC, 0, 7),
            Insn::default(),
            insn(class::JMP | jmp::JEQ, 1, 0, 1, 0),
            insn(class::ALU64 | alu::MOV, 2, 0, 0, 0),
            insn(class::ALU64 | alu::MOV, 3, 0, 0, 0),
            insn(class::ALU64 | alu::MOV, 4, 0, 0, 0),
            insn(class::JMP | jmp::CALL, 0, 0, 0, 181),
            exit(),
            store(10, -8),
            load(0, 10, -8),
            exit(),
        ];
        let loaded = Loaded { insns, ..program() };
        assert_eq!(unsound(&loaded, Dialect::Fed53dbcdb), [(1, 9, 9), (0, 9, 9)]);
        for dialect in [Dialect::V7_1, Dialect::V7_2, Dialect::V7_3] {
            assert_eq!(unsound(&loaded, dialect), [], "{dialect}");
        }
    }
}

/// An analysis with a fault in it, computed from the masks of another: what each instruction may read, and what it is
/// taken to write for certain.
struct Faulty(Vec<u128>);

impl Faulty {
    /// `masks` alters the reads and writes of an instruction of the entry, which calls nothing.
    fn new(analysis: &Analysis<'_>, masks: impl Fn(&Insn, u128, u128) -> (u128, u128)) -> Faulty {
        let crate::verifier::Stack::ByCallsite(instances) = &analysis.stack else {
            panic!("not by call site")
        };
        let instance = &instances[0];
        let mut live = vec![0; instance.insn_cnt as usize];
        for _ in 0..live.len() {
            for insn in (0..instance.insn_cnt).rev() {
                let successors = analysis.program.successors(insn);
                let after = successors.as_slice().iter().fold(0, |all, next| all | live[*next as usize]);
                let own = instance.masks(0, insn).copied().unwrap_or_default();
                let instruction = analysis.program.insn(insn);
                let (read, write) = masks(&instruction, own.may_read.bits(), own.must_write.bits());
                live[insn as usize] = after & !write | read;
            }
        }
        Faulty(live)
    }
}

impl Answers for Faulty {
    fn alive(&self, _: &[CallFrame], insn: u32, _: usize, half_slot: u32) -> bool {
        self.0[insn as usize] >> half_slot & 1 == 1
    }
}

#[test]
fn faults_that_kernel_and_model_may_share_are_found() {
    let narrow = insn(class::ST | mode::MEM | size::B, 10, 0, -8, 1);
    let insns = vec![store(10, -8), mov(2, 10), skip(), narrow, load(0, 2, -8), exit()];
    let loaded = Loaded { insns, ..program() };
    let analysis = analyze(&loaded, Dialect::V7_2, &mut Silent).unwrap();
    let found = |answers: &dyn Answers| {
        let (findings, coverage) = check_paths(&analysis.program, answers, &LIMITS);
        assert!(coverage.reads > 0);
        findings.iter().map(|finding| (finding.half_slot, finding.dead.insn)).collect::<Vec<_>>()
    };
    assert_eq!(found(&Faulty::new(&analysis, |_, read, write| (read, write))), []);
    // A store of one byte is taken for one of a half-slot.
    let outward = |insn: &Insn, read, write| (read, if *insn == narrow { write | 0b10 } else { write });
    assert_eq!(found(&Faulty::new(&analysis, outward)), [(1, 3)]);
    // A load through another register than r10 is not seen.
    let blind = |insn: &Insn, read, write| (if insn.src_reg == 2 { 0 } else { read }, write);
    assert!(found(&Faulty::new(&analysis, blind)).contains(&(0, 4)));
    // A load of eight bytes is taken for one of four.
    let short = |_: &Insn, read: u128, write| (read & 0b01, write);
    assert_eq!(found(&Faulty::new(&analysis, short)), [(1, 4)]);
}
