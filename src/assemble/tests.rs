use super::*;
use crate::{Dialect, bpf::btf::Btf, log::Silent, verifier};
use livediff_capture::insn::{SRC_X, alu};
use proptest::prelude::*;

const NO_BTF: &[u8] = &[0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];

fn import(insns: Vec<Insn>) -> Result<Program, ImportError> {
    let loaded = Loaded { insns, ..Loaded::default() };
    Program::import("main", "socket", &loaded, &Btf::parse(NO_BTF).unwrap())
}

fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst_reg, src_reg, off, imm }
}

fn goto(off: i16) -> Insn {
    insn(class::JMP | jmp::JA, 0, 0, off, 0)
}

fn if_zero(register: u8, off: i16) -> Insn {
    insn(class::JMP | jmp::JEQ, register, 0, off, 0)
}

fn call(imm: i32) -> Insn {
    insn(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, imm)
}

fn linked(program: &Program) -> Vec<Insn> {
    program.link(&Loaded::default()).unwrap().insns
}

#[test]
fn what_is_taken_apart_and_linked_is_the_same() {
    let insns = vec![
        if_zero(1, 2),
        call(5),
        goto(-3),
        insn(LDIMM64, 2, pseudo::FUNC, 0, 4),
        insn(0, 0, 0, 0, 0),
        mov_imm(0, 1),
        exit_insn(),
        // called
        mov_imm(0, 2),
        exit_insn(),
    ];
    // The address is that of the function that is called, too.
    let mut insns = insns;
    insns[3].imm = 3;
    let program = import(insns.clone()).unwrap();
    assert_eq!(program.functions.len(), 2);
    assert_eq!((program.len(), program.slots()), (8, 9));
    assert_eq!(linked(&program), insns);
}

#[test]
fn jumps_to_what_is_gone_go_to_what_is_left() {
    let insns = vec![if_zero(1, 2), mov_imm(2, 2), mov_imm(3, 3), mov_imm(4, 4), mov_imm(5, 5), exit_insn()];
    let mut program = import(insns).unwrap();
    // The target and the one behind it.
    program.functions[0].insns.retain(|insn| !matches!(insn.label, 3 | 4));
    program.tidy();
    assert_eq!(linked(&program), [if_zero(1, 2), mov_imm(2, 2), mov_imm(3, 3), exit_insn()]);
    // Everything from the target on: an exit takes its place.
    program.functions[0].insns.retain(|insn| insn.label < 2);
    program.tidy();
    assert_eq!(linked(&program), [if_zero(1, 1), mov_imm(2, 2), exit_insn()]);
    // And again, from one that was made before.
    program.functions[0].insns.clear();
    program.tidy();
    assert_eq!(linked(&program), [exit_insn()]);
}

#[test]
fn what_is_not_reached_goes() {
    let insns = vec![goto(2), mov_imm(1, 1), call(2), mov_imm(2, 2), exit_insn(), exit_insn()];
    let program = import(insns).unwrap();
    assert_eq!(linked(&program), [goto(0), mov_imm(2, 2), exit_insn()]);
    assert_eq!(program.functions.len(), 1, "nothing calls the other function any more");
}

#[test]
fn a_far_jump_is_written_as_such_or_not_at_all() {
    let mut insns = vec![goto(0), if_zero(1, 0)];
    insns.extend((0..40_000).map(|_| mov_imm(1, 0)));
    insns.push(exit_insn());
    insns[0] = insn(class::JMP32 | jmp::JA, 0, 0, 0, 40_000);
    insns[1] = if_zero(1, 30_000);
    // The first jump goes over everything, so something else has to lead to the rest.
    insns[0].code = class::JMP | jmp::JEQ;
    insns[0].off = 1;
    insns[0].imm = 0;
    let mut program = import(insns).unwrap();
    assert!(program.check().is_ok());
    let last = program.functions[0].insns.last().unwrap().label;
    program.functions[0].insns[1].operand = Operand::Jump(last);
    assert!(matches!(program.check(), Err(AssembleError::TooFar { .. })));
    let goto = Insn { code: class::JMP | jmp::JA, ..Insn::default() };
    program.functions[0].insns[1].insn = goto;
    let far = linked(&program)[1];
    assert_eq!((far.code, far.off, far.imm), (class::JMP32 | jmp::JA, 0, 40_000));
}

#[test]
fn what_refers_to_nothing_is_an_error() {
    let bad = [
        vec![],
        vec![goto(5), exit_insn()],
        vec![goto(-2), exit_insn()],
        vec![call(7), exit_insn()],
        vec![call(i32::MIN), exit_insn()],
        vec![insn(LDIMM64, 1, pseudo::MAP_FD, 0, 0), insn(0, 0, 0, 0, 0), exit_insn()],
        vec![insn(LDIMM64, 1, pseudo::MAP_FD, 0, -1), insn(0, 0, 0, 0, 0), exit_insn()],
        vec![insn(LDIMM64, 1, 0, 0, 0)],
        // Into the middle of a 64-bit load.
        vec![goto(1), insn(LDIMM64, 1, 0, 0, 0), insn(0, 0, 0, 0, 0), exit_insn()],
    ];
    for insns in bad {
        assert!(import(insns.clone()).is_err(), "{insns:?}");
    }
    let mut program = import(vec![mov_imm(0, 0), exit_insn()]).unwrap();
    for operand in
        [Operand::Map(0), Operand::Kfunc(0), Operand::Call(9), Operand::Address(9), Operand::JumpTable(0)]
    {
        program.functions[0].insns[0].operand = operand;
        assert!(matches!(program.check(), Err(AssembleError::Dangling { .. })), "{operand:?}");
        assert!(object(std::slice::from_ref(&program)).is_err(), "{operand:?}");
        assert!(source(&program, "").is_err(), "{operand:?}");
    }
}

#[test]
fn what_only_one_kernel_knows_can_be_done_without() {
    let kfunc = insn(class::JMP | jmp::CALL, 0, pseudo::KFUNC_CALL, 0, 7);
    let symbol = insn(LDIMM64, 3, pseudo::BTF_ID, 0, 99);
    let high = insn(0, 0, 0, 0, 0);
    let insns = vec![symbol, high, kfunc, exit_insn()];
    let program = import(insns.clone()).unwrap();
    let module = import(vec![Insn { off: 1, ..kfunc }, exit_insn()]).unwrap();
    assert_eq!(linked(&module), [mov_imm(0, 0), exit_insn()]);
    assert_eq!(linked(&program), insns);
    assert_eq!(linked(&program.portable()), [insn(LDIMM64, 3, 0, 0, 0), high, mov_imm(0, 0), exit_insn()]);
    assert!(source(&program, "").unwrap().contains("INSN(0x18, 3, 3, 0, 99) /* (18) "));
}

#[test]
fn sources_have_words_for_instructions() {
    let insns = vec![
        insn(class::ALU64 | alu::MOV | SRC_X, 1, 10, 0, 0),
        insn(class::STX | mode::MEM | size::W, 10, 1, -8, 0),
        insn(class::LDX | mode::MEMSX | size::B, 3, 10, -1, 0),
        if_zero(3, -4),
        insn(class::STX | mode::ATOMIC | size::DW, 10, 1, -16, 0xf1),
        insn(LDIMM64, 4, 0, 0, -1),
        insn(0, 0, 0, 0, 1),
        exit_insn(),
    ];
    let text = source(&import(insns).unwrap(), "one */ two\n\u{1b}[1m").unwrap();
    let begin = text.find("PROG").unwrap();
    assert_eq!(
        &text[begin..],
        "PROG(\"socket\", main)\n{\n\tASM(\"1: r1 = r10;\"\n\t    \"*(u32 *)(r10 - 8) = w1;\"\n\t    \
         INSN(0x91, 3, 10, -1, 0) /* (91) r3 = *(s8 *)(r10 -1) */\n\t    \"if r3 == 0 goto 1b;\"\n\t    \
         INSN(0xdb, 10, 1, -16, 241) /* (db) r0 = atomic64_cmpxchg((u64 *)(r10 -16), r0, r1) */\n\t    \
         \"r4 = 0x1ffffffff ll;\"\n\t    \"exit;\");\n}\n\nLICENSE;\n"
    );
    assert!(
        text.starts_with("/* SPDX-License-Identifier: GPL-2.0-only */\n/*\n * one * / two\n * [1m\n */\n")
    );
}

/// `r1 = table; r1 = *(r1 + 0); gotox r1`, and three ways to leave.
fn with_jump_table(targets: &[u32]) -> Program {
    let mut program = import(vec![
        if_zero(1, 3),
        insn(LDIMM64, 1, 0, 0, 0),
        insn(0, 0, 0, 0, 0),
        insn(class::LDX | mode::MEM | size::DW, 1, 1, 0, 0),
        mov_imm(0, 0),
        mov_imm(0, 1),
        mov_imm(0, 2),
        exit_insn(),
    ])
    .unwrap();
    let function = &mut program.functions[0];
    function.jump_tables.push(targets.to_vec());
    function.insns[1].operand = Operand::JumpTable(0);
    function.insns[3].insn = insn(class::JMP | jmp::JA | SRC_X, 1, 0, 0, 0);
    function.insns[0].operand = Operand::Jump(2);
    program
}

#[test]
fn what_only_a_jump_table_leads_to_stays() {
    let entries = |program: &Program| {
        let loaded = program.link(&Loaded::default()).unwrap();
        (loaded.insns.len(), loaded.maps.into_iter().map(|map| map.insn_array.unwrap()).collect::<Vec<_>>())
    };
    // Labels count a 64-bit load once, entries twice; nothing leads to label 4.
    let mut program = with_jump_table(&[6, 5, 6]);
    program.tidy();
    assert_eq!(entries(&program), (7, vec![vec![6, 5, 6]]));
    program.functions[0].jump_tables[0].truncate(1);
    program.tidy();
    assert_eq!(entries(&program), (6, vec![vec![5]]));
    // A target that is gone is the next one that is left, or an exit of its own.
    program.functions[0].insns.retain(|insn| insn.label < 5);
    program.tidy();
    assert_eq!(entries(&program), (6, vec![vec![5]]));
    // Without the jump its table leads nowhere, and without the table the jump.
    program.functions[0].insns[3] = Instruction::plain(3, exit_insn());
    program.tidy();
    assert_eq!(program.functions[0].insns.len(), 4);
}

#[test]
fn a_jump_table_that_is_none_is_not_written() {
    for targets in [&[][..], &[99]] {
        let program = with_jump_table(targets);
        assert!(matches!(program.check(), Err(AssembleError::Dangling { .. })), "{targets:?}");
        assert_eq!(object(std::slice::from_ref(&program)).err(), program.check().err());
        assert_eq!(source(&program, "").err(), program.check().err());
    }
    let program = with_jump_table(&[6, 5]);
    assert!(object(std::slice::from_ref(&program)).is_ok());
    let text = source(&program, "").unwrap();
    let table = r#"BPF.JT.0.0: .quad 3f - \"socket\"; .quad 2f - \"socket\";"#;
    assert!(text.contains(table), "{text}");
}

/// Programs of jumps, calls and 64-bit loads that mostly lead somewhere.
fn any_insns() -> impl Strategy<Value = Vec<Insn>> {
    let any_insn = prop_oneof![
        4 => (0..10u8, any::<i32>()).prop_map(|(register, imm)| mov_imm(register, imm)),
        2 => (0..10u8, -12..12i16).prop_map(|(register, off)| if_zero(register, off)),
        1 => (-12..12i16).prop_map(goto),
        1 => (-3..20i32).prop_map(call),
        1 => Just(exit_insn()),
        1 => (-3..20i32).prop_map(|imm| insn(LDIMM64, 1, pseudo::FUNC, 0, imm)),
        // Anything but a jump: one that is malformed may be taken for another.
        1 => any::<(u8, i16, i32)>().prop_map(|(code, off, imm)| {
            let jumps = matches!(code & 7, class::JMP | class::JMP32);
            insn(if jumps { code & !7 | class::ALU64 } else { code }, 1, 2, off, imm)
        }),
    ];
    prop::collection::vec(any_insn, 1..24).prop_map(|mut insns| {
        let mut at = 0;
        while at < insns.len() {
            if insns[at].is_ldimm64() {
                insns.insert(at + 1, Insn::default());
            }
            at += insns[at].slots();
        }
        insns.push(exit_insn());
        insns
    })
}

/// What the kernel asks of functions before its liveness analysis.
fn check_whole(program: &Program) {
    for function in &program.functions {
        assert!(function.insns.last().is_some_and(Instruction::ends), "{function:?}");
        assert!(function.insns.is_sorted_by_key(|insn| insn.label), "{function:?}");
        for insn in &function.insns {
            if let Operand::Jump(label) = insn.operand {
                assert!(function.place(label) < function.insns.len(), "{function:?}");
            }
        }
    }
    let loaded = program.link(&Loaded { prog_type: 1, ..Loaded::default() }).unwrap();
    // The model refuses it as the kernel does, if for other reasons.
    let refused =
        verifier::analyze(&loaded, Dialect::V7_2, &mut Silent).err().and_then(|error| error.message);
    let refused = refused.unwrap_or_default();
    for words in ["unreachable insn", "last insn is not an exit or jmp", "jump out of range"] {
        assert!(!refused.contains(words), "{refused}: {program:?}");
    }
    let insns = linked(program);
    let again = import(insns.clone()).expect("what is linked can be taken apart");
    assert_eq!(linked(&again), insns);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_edits_leave_whole_functions(insns in any_insns(), removed in prop::collection::vec(any::<(u8, u8, bool)>(), 0..12)) {
        let Ok(mut program) = import(insns) else { return Ok(()) };
        check_whole(&program);
        for (function, place, replace) in removed {
            let count = program.functions.len();
            let function = &mut program.functions[usize::from(function) % count].insns;
            let place = usize::from(place) % function.len();
            if replace {
                let label = function[place].label;
                function[place] = Instruction::plain(label, mov_imm(0, 0));
            } else {
                function.remove(place);
            }
            program.tidy();
            check_whole(&program);
            prop_assert_eq!(object(std::slice::from_ref(&program)).err(), program.check().err());
            prop_assert_eq!(source(&program, "").is_err(), program.check().is_err());
        }
    }
}
