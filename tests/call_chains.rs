//! Liveness by call chain (commit fed53dbcdb), driven as that commit's verifier drives it.
//!
//! The hand-made expectations and the reference below come from the equations in the header comment of that
//! commit's `liveness.c`, not from the implementation:
//!
//! ```text
//! live_before[cc, i]    = (U live_before[cc, s] over the successors s of i, less must_write[cc, i]) u may_read[cc, i]
//! must_write_acc[cc, i] = (the intersection of must_write_acc[cc, s] over the successors s) u must_write[cc, i]
//! ```

use std::collections::{BTreeMap, BTreeSet};

use livediff::log::{Event, Listener, MaskKind, Silent};
use livediff::verifier::{CallChains, CallFrame, Dialect, Program, SlotMask, Stack, analyze};
use livediff_capture::insn::{alu, class, func, jmp, mode, pseudo, size};
use livediff_capture::{Insn, Kfunc, Loaded};
use proptest::prelude::*;

const fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst_reg, src_reg, off, imm }
}

/// ```text
/// main  0: r6 = r1                 f  10: if r1 == 0 goto 12    g  14: r0 = 0
///       1: if r6 == 0 goto 4          11: call g                   15: if r1 > 5 goto 14
///       2: call f                     12: r0 = 0                   16: exit
///       3: goto 5                     13: exit                 cb  17: r0 = 0
///       4: call f                                                  18: exit
///       5: r2 = cb (two slots)
///       7: call bpf_loop
///       8: if r6 != 1 goto 1
///       9: exit
/// ```
fn loaded() -> Loaded {
    let mov = |dst, imm| insn(class::ALU64 | alu::MOV, dst, 0, 0, imm);
    let call = |distance| insn(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, distance);
    let exit = insn(class::JMP | jmp::EXIT, 0, 0, 0, 0);
    let insns = vec![
        insn(class::ALU64 | alu::MOV | 8, 6, 1, 0, 0),
        insn(class::JMP | jmp::JEQ, 6, 0, 2, 0),
        call(7),
        insn(class::JMP | jmp::JA, 0, 0, 1, 0),
        call(5),
        insn(class::LD | mode::IMM | size::DW, 2, pseudo::FUNC, 0, 11),
        Insn::default(),
        insn(class::JMP | jmp::CALL, 0, 0, 0, func::LOOP),
        insn(class::JMP | jmp::JNE, 6, 0, -8, 1),
        exit,
        insn(class::JMP | jmp::JEQ, 1, 0, 1, 0),
        call(2),
        mov(0, 0),
        exit,
        mov(0, 0),
        insn(class::JMP | jmp::JGT, 1, 0, -2, 5),
        exit,
        mov(0, 0),
        exit,
    ];
    Loaded { insns, prog_type: 1, ..Loaded::default() }
}

/// The instructions of each subprogram with their successors, as the listing above has them.
const SUCCESSORS: [&[(u32, &[u32])]; 4] = [
    &[(0, &[1]), (1, &[2, 4]), (2, &[3]), (3, &[5]), (4, &[5]), (5, &[7]), (7, &[8]), (8, &[9, 1]), (9, &[])],
    &[(10, &[11, 12]), (11, &[12]), (12, &[13]), (13, &[])],
    &[(14, &[15]), (15, &[16, 14]), (16, &[])],
    &[(17, &[18]), (18, &[])],
];
const MAIN: &[CallFrame] = &[CallFrame { subprog: 0, callsite: 0 }];
const F_AT_2: &[CallFrame] = &[MAIN[0], CallFrame { subprog: 1, callsite: 2 }];
const F_AT_4: &[CallFrame] = &[MAIN[0], CallFrame { subprog: 1, callsite: 4 }];
const G_VIA_2: &[CallFrame] = &[MAIN[0], F_AT_2[1], CallFrame { subprog: 2, callsite: 11 }];
const G_VIA_4: &[CallFrame] = &[MAIN[0], F_AT_4[1], CallFrame { subprog: 2, callsite: 11 }];
const CB: &[CallFrame] = &[MAIN[0], CallFrame { subprog: 3, callsite: 7 }];
/// Every call chain, callees before their callers.
const CHAINS: [&[CallFrame]; 6] = [G_VIA_2, G_VIA_4, F_AT_2, F_AT_4, CB, MAIN];

/// A whole slot: 0 is fp-8.
fn slot(slot: u32) -> SlotMask {
    SlotMask::from(0b11 << (2 * slot))
}

/// Drives the interface as the path walk does.
struct Walk<'a, 'p> {
    program: &'a Program<'p>,
    chains: CallChains,
}

impl<'a, 'p> Walk<'a, 'p> {
    fn new(program: &'a Program<'p>) -> Walk<'a, 'p> {
        Walk { program, chains: CallChains::new(program) }
    }

    /// One visit of an instruction: what it reads and writes, by frame.
    fn visit(
        &mut self,
        chain: &[CallFrame],
        at: u32,
        reads: &[(usize, SlotMask)],
        writes: &[(usize, SlotMask)],
    ) {
        self.chains.reset_live_stack_callchain();
        self.chains.reset_stack_write_marks(self.program, chain, at);
        for &(frame, mask) in reads {
            self.chains.mark_stack_read(self.program, chain, frame, at, mask);
        }
        for &(frame, mask) in writes {
            self.chains.mark_stack_write(frame, mask);
        }
        self.chains.commit_stack_write_marks();
    }

    fn update(&mut self, chain: &[CallFrame]) {
        self.chains.update_live_stack(self.program, chain, &mut Silent);
    }

    /// As [`Walk::update`], and what is said of it.
    fn shown_by_update(&mut self, chain: &[CallFrame]) -> Shown {
        let mut shown = Shown::default();
        self.chains.update_live_stack(self.program, chain, &mut shown);
        shown
    }

    fn alive(&self, chain: &[CallFrame], at: u32, frame: usize, s: u32) -> bool {
        let halves = [2 * s, 2 * s + 1];
        let alive = halves.map(|half| self.chains.stack_slot_alive(self.program, chain, at, frame, half));
        assert_eq!(alive[0], alive[1], "only whole slots are marked here");
        alive[0]
    }
}

/// What an update says.
#[derive(Default)]
struct Shown {
    /// Of changes of a mask: which, at which instruction, before and after.
    changes: Vec<(MaskKind, u32, SlotMask, SlotMask)>,
    /// Call chains whose fixed point was computed.
    updates: usize,
}

impl Listener for Shown {
    fn event(&mut self, _: &Program<'_>, event: Event<'_>) {
        match event {
            Event::MaskChange { kind, insn, old, new, .. } => self.changes.push((kind, insn, old, new)),
            Event::UpdateDone { .. } => self.updates += 1,
            _ => {}
        }
    }
}

impl Shown {
    /// The changes of what is live, or of what is certainly written, ascending.
    fn of(&self, wanted: MaskKind) -> Vec<(u32, SlotMask, SlotMask)> {
        let changes = self.changes.iter().filter(|(kind, ..)| *kind == wanted);
        let mut changes: Vec<_> = changes.map(|(_, insn, old, new)| (*insn, *old, *new)).collect();
        changes.sort_by_key(|(insn, ..)| *insn);
        changes
    }
}

fn with_walk(test: impl FnOnce(&mut Walk<'_, '_>)) {
    let loaded = loaded();
    let analysis = analyze(&loaded, Dialect::Fed53dbcdb, &mut Silent).unwrap();
    test(&mut Walk::new(&analysis.program));
}

#[test]
fn nothing_is_alive_before_it_is_marked() {
    with_walk(|walk| {
        walk.update(G_VIA_2);
        for chain in CHAINS {
            assert!(!walk.alive(chain, 0, 0, 0));
        }
    });
}

#[test]
fn a_read_is_live_from_the_write_before_it() {
    with_walk(|walk| {
        walk.visit(MAIN, 0, &[], &[(0, slot(0))]);
        walk.visit(MAIN, 8, &[(0, slot(0))], &[]);
        walk.update(MAIN);
        assert!(!walk.alive(MAIN, 0, 0, 0));
        assert!((1..9).filter(|at| *at != 6).all(|at| walk.alive(MAIN, at, 0, 0)));
        assert!(!walk.alive(MAIN, 9, 0, 0));
        assert!(!walk.alive(MAIN, 1, 0, 1), "another slot");
        // There is no such frame, and no such half-slot.
        for (frame, half_slot) in [(1, 0), (256, 0), (usize::MAX, 0), (0, 128), (0, u32::MAX)] {
            assert!(!walk.chains.stack_slot_alive(walk.program, MAIN, 1, frame, half_slot));
        }
    });
}

#[test]
fn the_static_analysis_reaches_every_call_chain() {
    let loaded = loaded();
    let analysis = analyze(&loaded, Dialect::Fed53dbcdb, &mut Silent).unwrap();
    let Stack::ByCallChain(chains) = &analysis.stack else { panic!("not by call chain") };
    let reached = chains.instances();
    let mut found: Vec<_> =
        reached.iter().map(|i| (i.chain.as_slice(), i.subprog, i.start, i.insn_cnt)).collect();
    assert_eq!(found[0].0, [0], "the entry comes first");
    found.sort_unstable();
    let expected: [(&[u32], u32, u32, u32); 6] = [
        (&[0], 0, 0, 10),
        (&[2, 10], 1, 10, 4),
        (&[2, 11, 14], 2, 14, 3),
        (&[4, 10], 1, 10, 4),
        (&[4, 11, 14], 2, 14, 3),
        (&[7, 17], 3, 17, 2),
    ];
    assert_eq!(found, expected);
}

#[test]
fn one_visit_may_write_frames_in_any_order() {
    with_walk(|walk| {
        walk.visit(F_AT_2, 10, &[], &[(1, slot(0)), (0, slot(1)), (usize::MAX, slot(2))]);
        walk.visit(F_AT_2, 12, &[(0, slot(1)), (1, slot(0))], &[]);
        walk.update(F_AT_2);
        assert!(walk.alive(F_AT_2, 12, 0, 1) && walk.alive(F_AT_2, 12, 1, 0));
        assert!(!walk.alive(F_AT_2, 10, 0, 1) && !walk.alive(F_AT_2, 10, 1, 0));
    });
}

#[test]
fn a_read_of_what_is_live_anyway_is_no_news() {
    with_walk(|walk| {
        walk.visit(MAIN, 8, &[(0, slot(0))], &[]);
        assert_eq!(walk.shown_by_update(MAIN).updates, 1);
        walk.visit(MAIN, 5, &[(0, slot(0))], &[]);
        assert_eq!(walk.shown_by_update(MAIN).updates, 0);
        walk.visit(MAIN, 5, &[(0, slot(1))], &[]);
        assert_eq!(walk.shown_by_update(MAIN).updates, 1);
    });
}

/// That a write was lost may concern every instruction, so what is certainly written is found anew, and said again.
#[test]
fn what_is_certainly_written_is_found_anew_after_a_write_was_lost() {
    with_walk(|walk| {
        let (first, both) = (slot(0), slot(0) | slot(1));
        // Behind the write the loop may end, and before it there is no way around it.
        let from_0_to_5 = |old, new| (0..=5).map(|insn| (insn, old, new)).collect::<Vec<_>>();
        walk.visit(MAIN, 5, &[], &[(0, both)]);
        assert_eq!(walk.shown_by_update(MAIN).of(MaskKind::Written), from_0_to_5(SlotMask::EMPTY, both));
        walk.visit(MAIN, 5, &[(0, slot(2))], &[(0, both)]);
        let shown = walk.shown_by_update(MAIN);
        assert_eq!((shown.updates, shown.of(MaskKind::Written)), (1, vec![]), "nothing was lost");
        walk.visit(MAIN, 5, &[], &[(0, first)]);
        assert_eq!(walk.shown_by_update(MAIN).of(MaskKind::Written), from_0_to_5(SlotMask::EMPTY, first));
    });
}

/// ```text
/// 0: call 3        3: r0 = 0
/// 1: r0 = 0        4: goto 3
/// 2: exit
/// ```
#[test]
fn a_loop_without_an_end_does_not_keep_a_lost_write() {
    let zero = insn(class::ALU64 | alu::MOV, 0, 0, 0, 0);
    let call = insn(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, 2);
    let exit = insn(class::JMP | jmp::EXIT, 0, 0, 0, 0);
    let insns = vec![call, zero, exit, zero, insn(class::JMP | jmp::JA, 0, 0, -2, 0)];
    let loaded = Loaded { insns, ..Loaded::default() };
    let analysis = analyze(&loaded, Dialect::Fed53dbcdb, &mut Silent).unwrap();
    let mut walk = Walk::new(&analysis.program);
    let inner = &[MAIN[0], CallFrame { subprog: 1, callsite: 0 }];
    walk.visit(MAIN, 1, &[(0, slot(0))], &[]);
    walk.visit(inner, 3, &[], &[(0, slot(0))]);
    walk.update(inner);
    assert!(!walk.alive(MAIN, 0, 0, 0), "written by the call");
    walk.visit(inner, 3, &[], &[]);
    walk.update(inner);
    assert!(walk.alive(MAIN, 0, 0, 0));
}

/// A change of a mask is said where the instruction reads or writes, at the first instruction, and where the path walk
/// compares states, which it does before calls that set a callback which runs later.
///
/// ```text
/// 0: *(u64 *)(r10 -8) = 1
/// 1: call
/// 2: r0 = *(u64 *)(r10 -8)
/// 3: exit
/// ```
#[test]
fn states_are_compared_before_a_call_that_sets_a_callback() {
    let said_at = |call: Insn, calls_async_callback| {
        let insns = vec![
            insn(class::ST | mode::MEM | size::DW, 10, 0, -8, 1),
            call,
            insn(class::LDX | mode::MEM | size::DW, 0, 10, -8, 0),
            insn(class::JMP | jmp::EXIT, 0, 0, 0, 0),
        ];
        let kfuncs = vec![Kfunc { btf_id: 7, calls_async_callback, ..Kfunc::default() }];
        let loaded = Loaded { insns, kfuncs, prog_type: 1, ..Loaded::default() };
        let mut shown = Shown::default();
        analyze(&loaded, Dialect::Fed53dbcdb, &mut shown).unwrap();
        shown.of(MaskKind::Live).iter().map(|(insn, ..)| *insn).collect::<Vec<_>>()
    };
    let helper = |id| insn(class::JMP | jmp::CALL, 0, 0, 0, id);
    let kfunc = insn(class::JMP | jmp::CALL, 0, pseudo::KFUNC_CALL, 0, 7);
    // bpf_ktime_get_ns
    assert_eq!(said_at(helper(5), true), [2]);
    assert_eq!(said_at(helper(func::TIMER_SET_CALLBACK), false), [1, 2]);
    assert_eq!(said_at(kfunc, false), [2]);
    assert_eq!(said_at(kfunc, true), [1, 2]);
}

#[test]
fn the_second_visit_may_add_a_read_and_take_a_write_away() {
    with_walk(|walk| {
        walk.visit(MAIN, 5, &[], &[(0, slot(0) | slot(1))]);
        walk.visit(MAIN, 8, &[(0, slot(0) | slot(1))], &[]);
        walk.update(MAIN);
        // The loop leads from 8 over 1 to 5, which writes both.
        assert!(!walk.alive(MAIN, 2, 0, 0) && !walk.alive(MAIN, 2, 0, 1));
        walk.visit(MAIN, 5, &[], &[(0, slot(0))]);
        walk.update(MAIN);
        assert!(!walk.alive(MAIN, 2, 0, 0), "still written by each visit");
        assert!(walk.alive(MAIN, 2, 0, 1), "the second visit did not write it");
        walk.visit(MAIN, 5, &[], &[(0, slot(0) | slot(1))]);
        walk.update(MAIN);
        assert!(walk.alive(MAIN, 2, 0, 1), "a write that is lost does not come back");
        walk.visit(MAIN, 3, &[(0, slot(2))], &[]);
        walk.update(MAIN);
        assert!(walk.alive(MAIN, 2, 0, 2) && walk.alive(MAIN, 0, 0, 2) && !walk.alive(MAIN, 4, 0, 7));
    });
}

#[test]
fn two_call_chains_that_end_in_one_function_are_kept_apart() {
    with_walk(|walk| {
        walk.visit(G_VIA_2, 14, &[(0, slot(0))], &[]);
        walk.visit(G_VIA_4, 14, &[(0, slot(1))], &[]);
        walk.update(G_VIA_2);
        walk.update(G_VIA_4);
        assert!(walk.alive(G_VIA_2, 14, 0, 0));
        assert!(walk.alive(F_AT_2, 10, 0, 0) && walk.alive(F_AT_4, 10, 0, 1));
        assert!(walk.alive(MAIN, 2, 0, 0) && walk.alive(MAIN, 4, 0, 1), "read by the call");
        // After the call at 2 the loop may lead to the other call, so both are alive there; not so at the end.
        assert!(walk.alive(MAIN, 3, 0, 1));
        assert!(!walk.alive(MAIN, 9, 0, 0) && !walk.alive(MAIN, 9, 0, 1));
    });
}

#[test]
fn a_write_on_every_path_through_the_callee_is_one_by_the_call() {
    with_walk(|walk| {
        // f writes fp0-8 before it ends; fp0-16 only where it calls g.
        walk.visit(F_AT_2, 10, &[], &[]);
        walk.visit(F_AT_2, 12, &[], &[(0, slot(0))]);
        walk.visit(G_VIA_2, 14, &[], &[(0, slot(1))]);
        walk.visit(MAIN, 3, &[(0, slot(0) | slot(1))], &[]);
        walk.update(G_VIA_2);
        assert!(!walk.alive(MAIN, 2, 0, 0), "written by the call");
        assert!(walk.alive(MAIN, 2, 0, 1), "not written on one path");
        // Another visit finds that f need not write it after all.
        walk.visit(F_AT_2, 12, &[], &[]);
        walk.update(F_AT_2);
        assert!(walk.alive(MAIN, 2, 0, 0));
    });
}

#[test]
fn a_frame_outside_is_alive_through_the_call_site() {
    with_walk(|walk| {
        walk.visit(MAIN, 3, &[(0, slot(0))], &[]);
        walk.visit(G_VIA_2, 14, &[], &[(0, slot(0))]);
        walk.update(G_VIA_2);
        // g writes the slot, yet main reads it after the call returns.
        assert!(walk.alive(G_VIA_2, 15, 0, 0) && walk.alive(F_AT_2, 12, 0, 0));
        // f's own frame is not main's.
        assert!(!walk.alive(G_VIA_2, 15, 1, 0));
        // The loop leads from the other call to that read as well; nothing reads another slot.
        assert!(walk.alive(G_VIA_4, 15, 0, 0));
        assert!(!walk.alive(G_VIA_2, 15, 0, 1));
    });
}

#[test]
fn a_callback_keeps_alive_what_is_live_before_its_call() {
    with_walk(|walk| {
        // The callback may run again, so what it reads is alive to its end; a call's own read is before the call.
        walk.visit(CB, 17, &[(0, slot(0))], &[]);
        walk.update(CB);
        assert!(walk.alive(CB, 18, 0, 0), "by the next run of the callback");
        assert!(walk.alive(MAIN, 7, 0, 0));
        // Through a call that is no callback, only what is live after it counts.
        walk.visit(F_AT_4, 12, &[(0, slot(1))], &[]);
        walk.visit(MAIN, 5, &[], &[(0, slot(1))]);
        walk.visit(MAIN, 1, &[], &[(0, slot(1))]);
        walk.update(F_AT_4);
        assert!(walk.alive(F_AT_4, 12, 0, 1));
        assert!(!walk.alive(F_AT_4, 13, 0, 1));
    });
}

// ---- a naive reference -------------------------------------------------------------------------------------------

/// One visit: chain, instruction, and what is read and written, as (frame, slot).
type Visit = (usize, u32, BTreeSet<(usize, u32)>, BTreeSet<(usize, u32)>);
/// (frame, slot)
type Set = BTreeSet<(usize, u32)>;

/// Live sets of every chain and instruction, from all visits at once: the equations, iterated from nothing.
fn reference(visits: &[Visit]) -> BTreeMap<(usize, u32), Set> {
    let mut may_read: BTreeMap<(usize, u32), Set> = BTreeMap::new();
    let mut must_write: BTreeMap<(usize, u32), Set> = BTreeMap::new();
    for (chain, at, reads, writes) in visits {
        may_read.entry((*chain, *at)).or_default().extend(reads);
        let known = must_write.entry((*chain, *at)).or_insert_with(|| writes.clone());
        *known = known.intersection(writes).copied().collect();
    }
    let mut live = BTreeMap::new();
    // CHAINS has callees first, so that what a call reads and writes is known when its caller comes.
    for (index, chain) in CHAINS.iter().enumerate() {
        let insns = SUCCESSORS[chain.last().unwrap().subprog as usize];
        let (mut before, mut written): (BTreeMap<u32, Set>, BTreeMap<u32, Set>) = Default::default();
        loop {
            let mut changed = false;
            for (at, successors) in insns.iter().filter(|(_, successors)| !successors.is_empty()) {
                let set = |sets: &BTreeMap<u32, Set>, at: &u32| sets.get(at).cloned().unwrap_or_default();
                let (reads, writes) = (
                    may_read.get(&(index, *at)).cloned().unwrap_or_default(),
                    must_write.get(&(index, *at)).cloned().unwrap_or_default(),
                );
                let after: Set = successors.iter().flat_map(|s| set(&before, s)).collect();
                let now: Set = &(&after - &writes) | &reads;
                let all =
                    successors.iter().map(|s| set(&written, s)).reduce(|a, b| &a & &b).unwrap_or_default();
                let acc = &all | &writes;
                changed |= before.insert(*at, now.clone()) != Some(now);
                changed |= written.insert(*at, acc.clone()) != Some(acc);
            }
            if !changed {
                break;
            }
        }
        if let Some(caller) = CHAINS.iter().position(|outer| *outer == &chain[..chain.len() - 1]) {
            let (entry, callsite) = (insns[0].0, chain.last().unwrap().callsite);
            let outer = |set: &Set| {
                set.iter().filter(|(frame, _)| *frame < chain.len() - 1).copied().collect::<Set>()
            };
            may_read.entry((caller, callsite)).or_default().extend(outer(&before[&entry]));
            let acc = outer(&written[&entry]);
            let known = must_write.entry((caller, callsite)).or_insert_with(|| acc.clone());
            *known = known.intersection(&acc).copied().collect();
        }
        live.extend(before.into_iter().map(|(at, set)| ((index, at), set)));
    }
    live
}

/// Whether a slot is alive by the reference: live before the instruction, or, of a frame further out, after the call
/// that leads inwards, or before it if that runs a callback.
fn reference_alive(
    live: &BTreeMap<(usize, u32), Set>,
    chain: &[CallFrame],
    at: u32,
    frame: usize,
    slot: u32,
) -> bool {
    let is_live = |frames: &[CallFrame], at: u32| {
        let index = CHAINS.iter().position(|chain| *chain == frames).unwrap();
        live.get(&(index, at)).is_some_and(|set| set.contains(&(frame, slot)))
    };
    is_live(chain, at)
        || (frame..chain.len() - 1).any(|outer| {
            let callsite = chain[outer + 1].callsite;
            is_live(&chain[..=outer], if callsite == 7 { callsite } else { callsite + 1 })
        })
}

fn set(frames: usize) -> impl Strategy<Value = Set> {
    prop::collection::btree_set((0..frames, 0..4u32), 0..3)
}

/// Any visit of any instruction that control goes on from and that is no call of a subprogram: the path walk marks
/// nothing for those.
fn visit() -> impl Strategy<Value = Visit> {
    (0..CHAINS.len()).prop_flat_map(|chain| {
        let insns = SUCCESSORS[CHAINS[chain].last().unwrap().subprog as usize];
        let marked = insns.iter().filter(|(at, next)| !next.is_empty() && ![2, 4, 11, 7].contains(at));
        let marked: Vec<u32> = marked.map(|(at, _)| *at).collect();
        let frames = CHAINS[chain].len();
        (Just(chain), prop::sample::select(marked), set(frames), set(frames))
    })
}

/// A first round that visits every instruction once, and more visits in any order.
fn rounds() -> impl Strategy<Value = Vec<Vec<Visit>>> {
    let all: Vec<(usize, u32)> = (0..CHAINS.len())
        .flat_map(|chain| {
            let insns = SUCCESSORS[CHAINS[chain].last().unwrap().subprog as usize];
            let marked = insns.iter().filter(|(at, next)| !next.is_empty() && ![2, 4, 11, 7].contains(at));
            marked.map(move |(at, _)| (chain, *at))
        })
        .collect();
    let first = all
        .into_iter()
        .map(|(chain, at)| {
            let frames = CHAINS[chain].len();
            (Just(chain), Just(at), set(frames), set(frames))
        })
        .collect::<Vec<_>>();
    (first, prop::collection::vec(prop::collection::vec(visit(), 0..8), 0..4)).prop_map(|(first, more)| {
        let mut rounds = vec![first];
        rounds.extend(more);
        rounds
    })
}

fn masks(set: &Set) -> Vec<(usize, SlotMask)> {
    set.iter().map(|(frame, s)| (*frame, slot(*s))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn rounds_of_marks_agree_with_the_equations(rounds in rounds()) {
        let loaded = loaded();
        let analysis = analyze(&loaded, Dialect::Fed53dbcdb, &mut Silent).unwrap();
        let mut walk = Walk::new(&analysis.program);
        let mut visits = Vec::new();
        for round in rounds {
            for (chain, at, reads, writes) in &round {
                walk.visit(CHAINS[*chain], *at, &masks(reads), &masks(writes));
            }
            visits.extend(round);
            for chain in CHAINS {
                walk.update(chain);
            }
            let live = reference(&visits);
            for (index, chain) in CHAINS.iter().enumerate() {
                for (at, _) in SUCCESSORS[chain.last().unwrap().subprog as usize] {
                    for (frame, s) in (0..chain.len()).flat_map(|frame| (0..4).map(move |s| (frame, s))) {
                        prop_assert_eq!(
                            walk.alive(chain, *at, frame, s),
                            reference_alive(&live, chain, *at, frame, s),
                            "chain {} insn {} frame {} slot {}", index, at, frame, s
                        );
                    }
                }
            }
        }
    }
}
