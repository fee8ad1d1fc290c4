use super::*;
use crate::diff::{Change, Frame, Site, What};
use livediff_capture::{FuncInfo, Map};

const V7_0: Dialect = Dialect::Dynamic7_0;
const V7_1: Dialect = Dialect::V7_1;
const V7_2: Dialect = Dialect::V7_2;

fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst_reg, src_reg, off, imm }
}

/// ```text
/// 0: r6 = r1            4: call callee(r1)     7: r0 = 0
/// 1: r1 = r10           5: r1 = MAP            8: exit
/// 2: r1 += -8                                  9: r0 = *(u64 *)(r1 +0)
/// 3: call kfunc                               10: exit
/// ```
fn program(btf_id: i32) -> Loaded {
    Loaded {
        insns: vec![
            insn(0xbf, 6, 1, 0, 0),
            insn(0xbf, 1, 10, 0, 0),
            insn(0x07, 1, 0, 0, -8),
            insn(0x85, 0, 2, 0, btf_id),
            insn(0x85, 0, 1, 0, 4),
            insn(0x18, 1, 1, 0, 0),
            insn(0x00, 0, 0, 0, 0),
            insn(0xb7, 0, 0, 0, 0),
            insn(0x95, 0, 0, 0, 0),
            insn(0x79, 0, 1, 0, 0),
            insn(0x95, 0, 0, 0, 0),
        ],
        maps: vec![Map { name: "map".into(), map_type: 2, ..Map::default() }],
        func_info: vec![
            FuncInfo { insn_off: 0, name: "main".into(), global: false },
            FuncInfo { insn_off: 9, name: "callee".into(), global: false },
        ],
        kfuncs: vec![Kfunc { btf_id, name: "bpf_kfunc".into(), ..Kfunc::default() }],
        prog_type: 1,
        ..Loaded::default()
    }
}

/// What a kernel of that dialect says of it, with an address of its own.
fn said(loaded: &Loaded, dialect: Dialect, address: &str) -> Said {
    let section = log::section(loaded, dialect);
    assert_eq!(section.end, log::End::Complete);
    Said {
        verdict: Verdict::Accepted,
        errno: 0,
        log: section.text.replace("<address>", address),
        truncated: false,
    }
}

fn altered(said: &Said, from: &str, to: &str) -> Said {
    let log = said.log.replacen(from, to, 1);
    assert_ne!(log, said.log, "no {from:?} in\n{log}");
    Said { log, ..said.clone() }
}

fn rejected(errno: i32, log: impl Into<String>) -> Said {
    Said { verdict: Verdict::Rejected, errno, log: log.into(), truncated: false }
}

fn compare(a: (&Loaded, &Said, Dialect), b: (&Loaded, &Said, Dialect)) -> Between {
    let side = |(loaded, said, dialect)| Side { dialect, loaded, said };
    between(&side(a), &side(b))
}

#[test]
fn addresses_and_btf_ids_are_no_difference() {
    let (one, other) = (program(99_999), program(100_000));
    let (said_a, said_b) = (said(&one, V7_2, "0xffff888000000001"), said(&other, V7_2, "0xff1100abcd"));
    // The id's length moves what follows it.
    let plain = |said: &Said, id: &str, address: &str| said.log.replace(id, "#").replace(address, "");
    assert_ne!(plain(&said_a, "#99999", "0xffff888000000001"), plain(&said_b, "#100000", "0xff1100abcd"));
    let between = compare((&one, &said_a, V7_2), (&other, &said_b, V7_2));
    assert_eq!((between.class, between.lines), (Class::Same, said_a.log.lines().count()), "{between:#?}");
    assert_eq!(between.as_model, None);
    // Another name is one, and so is an id that is not the instruction's.
    for to in ["bpf_other#100000", "bpf_kfunc#100001"] {
        let said_b = altered(&said_b, "bpf_kfunc#100000", to);
        let between = compare((&one, &said_a, V7_2), (&other, &said_b, V7_2));
        assert_eq!(between.class, Class::Changed, "{to}");
    }
}

#[test]
fn kernels_of_one_dialect_decide_without_the_model() {
    let loaded = program(7);
    let right = said(&loaded, V7_2, "0x1");
    let wrong = altered(&right, "; use: fp0-8", "; use: fp0-8 fp0-16");
    // Both differ from the model, and not from each other.
    let between = compare((&loaded, &wrong, V7_2), (&loaded, &wrong, V7_2));
    assert_eq!(between.class, Class::Same);
    let between = compare((&loaded, &right, V7_2), (&loaded, &wrong, V7_2));
    assert_eq!((between.class, between.as_model), (Class::Changed, None));
    let kind =
        Kind { what: What::Use, frame: Some(Frame::Own), change: Change::Grew, site: Some(Site::Kfunc) };
    assert_eq!(between.kinds(), [kind], "{between:#?}");
    let difference = between.difference.expect("they differ");
    assert_eq!(
        difference.facts.facts[0].to_string(),
        "subprog#0 (d0,cs0) insn 3 `use:` of the own frame: +fp0-16"
    );
    assert!(difference.place.to_string().contains("insn 3: (85) call bpf_kfunc#7"), "{}", difference.place);
}

#[test]
fn what_dialects_explain_is_no_difference() {
    // 7.0 says nothing of the stack.
    let loaded = program(7);
    let (said_a, said_b) = (said(&loaded, V7_0, "0x1"), said(&loaded, V7_2, "0x1"));
    let both = |a: &Said, b: &Said| compare((&loaded, a, V7_0), (&loaded, b, V7_2));
    assert_ne!(said_a.log, said_b.log);
    let between = both(&said_a, &said_b);
    assert_eq!((between.class, between.as_model), (Class::Explained, Some([true; 2])), "{between:#?}");
    // Where a kernel differs from its own model, it is told which.
    let said_c = altered(&said_b, "      9: .1........ (79)", "      9: .12....... (79)");
    let between = both(&said_a, &said_c);
    assert_eq!((between.class, between.as_model), (Class::Changed, Some([true, false])));
    let said_c = altered(&said_a, "      9: .1........ (79)", "      9: .12....... (79)");
    assert_eq!(both(&said_c, &said_b).as_model, Some([false, true]));
}

#[test]
fn a_program_that_one_kernel_refuses_is_its_own_class() {
    let loaded = program(7);
    let whole = said(&loaded, V7_2, "0x1");
    let refused = rejected(22, "func#0 @0\nR11 is invalid\nprocessed 0 insns\n");
    let between = compare((&loaded, &refused, V7_1), (&loaded, &whole, V7_2));
    assert_eq!(between.class, Class::OnlyInB);
    assert_eq!(
        between.reason.as_deref(),
        Some("A refuses it before its liveness analysis: R11 is invalid (EINVAL)")
    );
    assert_eq!(compare((&loaded, &whole, V7_2), (&loaded, &refused, V7_2)).class, Class::OnlyInA);
    assert_eq!(compare((&loaded, &refused, V7_2), (&loaded, &refused, V7_2)).class, Class::NotCompared);
    // A kernel that lost the section did not refuse the program.
    for silent in
        [Said { log: String::new(), ..whole.clone() }, rejected(13, "0: R1=ctx() R10=fp0\n0: (95) exit\n")]
    {
        let between = compare((&loaded, &whole, V7_2), (&loaded, &silent, V7_2));
        assert_eq!(between.class, Class::Changed, "{between:?}");
        assert_eq!(compare((&loaded, &silent, V7_2), (&loaded, &silent, V7_2)).class, Class::NotCompared);
        // Nor do two kernels do the same of which one refused it.
        let between = compare((&loaded, &refused, V7_2), (&loaded, &silent, V7_2));
        assert_eq!((between.class, between.kind()), (Class::Changed, Some(Kind::END)), "{between:?}");
        assert_eq!(
            between.reason.as_deref(),
            Some(
                "A refuses it before its liveness analysis: R11 is invalid (EINVAL); B did not refuse the program, and \
                 its log holds no liveness section"
            )
        );
        assert_eq!(compare((&loaded, &silent, V7_2), (&loaded, &refused, V7_2)).class, Class::Changed);
    }
}

/// A log of which the beginning is missing shows the walk and no section, and does not accuse the kernel.
#[test]
fn an_interruption_counts_more_than_a_walk_without_a_section() {
    let loaded = program(7);
    let whole = said(&loaded, V7_2, "0x1");
    let walk = "0: R1=ctx() R10=fp0\n0: (95) exit\n";
    assert_eq!(compare((&loaded, &whole, V7_2), (&loaded, &rejected(13, walk), V7_2)).class, Class::Changed);
    let interrupted = [4, 11, 12].map(|errno| rejected(errno, walk));
    for said in interrupted.into_iter().chain([Said { truncated: true, ..rejected(28, walk) }]) {
        for (a, b) in [(&whole, &said), (&said, &whole), (&rejected(22, "R11 is invalid\n"), &said)] {
            let between = compare((&loaded, a, V7_2), (&loaded, b, V7_2));
            assert_eq!(between.class, Class::NotCompared, "{between:?}");
        }
    }
}

#[test]
fn what_was_cut_is_compared_as_far_as_it_goes() {
    let loaded = program(7);
    let whole = said(&loaded, V7_2, "0x1");
    for end in 0..whole.log.len() {
        let cut = Said { truncated: true, ..rejected(28, &whole.log[..end]) };
        for (a, b) in [(&whole, &cut), (&cut, &whole), (&cut, &cut)] {
            let between = compare((&loaded, a, V7_2), (&loaded, b, V7_2));
            assert_eq!(between.class, Class::NotCompared, "cut at {end}: {between:?}");
        }
        if end > 20 {
            let wrong = altered(&cut, "func#1", "func#2");
            let between = compare((&loaded, &whole, V7_2), (&loaded, &wrong, V7_2));
            assert_eq!(between.class, Class::Changed, "cut at {end}");
        }
    }
}

#[test]
fn an_analysis_that_gives_up_is_compared() {
    let loaded = program(7);
    let whole = said(&loaded, V7_2, "0x1");
    let begun = &whole.log[..whole.log.find("subprog#1").expect("its analysis")];
    let gives_up = |errno, count| {
        rejected(errno, format!("{begun}liveness analysis exceeded complexity limit ({count} calls)\n"))
    };
    let of = |a: &Said, b: &Said| compare((&loaded, a, V7_2), (&loaded, b, V7_2));
    assert_eq!(of(&gives_up(7, 1), &gives_up(7, 1)).class, Class::Same);
    assert_eq!(of(&gives_up(7, 1), &gives_up(7, 2)).kind().map(|kind| kind.what), Some(What::Error));
    let between = of(&gives_up(7, 1), &gives_up(22, 1));
    assert_eq!(between.class, Class::Changed);
    assert_eq!(
        between.reason.as_deref(),
        Some("in A the analysis ends with E2BIG, in B it ends with EINVAL")
    );
    assert_eq!(between.kind().map(|kind| kind.what), Some(What::Error));
    let between = of(&gives_up(7, 1), &whole);
    assert_eq!(between.reason.as_deref(), Some("in A the analysis ends with E2BIG, in B it completes"));
}

#[test]
fn other_instructions_are_told_and_not_blamed_on_the_analysis() {
    let one = program(7);
    let mut other = program(7);
    other.insns[2].imm = -16;
    other.insns[7].imm = 5;
    let (said_a, said_b) = (said(&one, V7_2, "0x1"), said(&other, V7_2, "0x1"));
    let of = |a: &Said, b: &Said| compare((&one, a, V7_2), (&other, b, V7_2));
    let between = of(&said_a, &said_b);
    assert_eq!(
        (between.class, between.as_model),
        (Class::LoadedDifferently, Some([true, true])),
        "{between:#?}"
    );
    assert_eq!(between.inputs.len(), 1);
    assert_eq!(between.inputs[0].text, "2 of 11 instructions are not the same, the first is 2");
    // It differs in facts too, because another slot is used.
    assert!(between.difference.is_some_and(|difference| difference.facts.total > 0));
    // Only the constant: nothing but the instruction's text differs, and no model is needed to see it.
    let mut other = program(7);
    other.insns[7].imm = 5;
    let said_b = said(&other, V7_2, "0x1");
    let between = compare((&one, &said_a, V7_2), (&other, &said_b, V7_2));
    assert_eq!((between.class, between.as_model), (Class::LoadedDifferently, None));
    // And what goes beyond what was loaded is a difference.
    let wrong = altered(&said_b, "      9: .1........ (79)", "      9: .12....... (79)");
    let between = compare((&one, &said_a, V7_2), (&other, &wrong, V7_2));
    assert_eq!((between.class, between.as_model), (Class::Changed, Some([true, false])));
    assert_eq!(between.kinds().iter().map(|kind| kind.what).collect::<Vec<_>>(), [What::LiveRegs]);
    // More instructions.
    let mut longer = program(7);
    longer.insns.insert(7, insn(0xb7, 0, 0, 0, 0));
    longer.insns[4].imm = 5;
    longer.func_info[1].insn_off = 10;
    let said_b = said(&longer, V7_2, "0x1");
    let between = compare((&one, &said_a, V7_2), (&longer, &said_b, V7_2));
    assert_eq!(between.class, Class::LoadedDifferently);
    assert_eq!(between.inputs[0].text, "11 instructions in A, 12 in B");
}

#[test]
fn another_prototype_is_what_was_loaded() {
    let one = program(7);
    let mut other = program(7);
    other.kfuncs[0].prototype = Some(livediff_capture::KfuncPrototype::default());
    let (said_a, said_b) = (said(&one, V7_2, "0x1"), said(&other, V7_2, "0x1"));
    assert_ne!(said_a.log, said_b.log, "the prototype matters");
    let between = compare((&one, &said_a, V7_2), (&other, &said_b, V7_2));
    assert_eq!(between.class, Class::LoadedDifferently);
    assert_eq!(between.inputs[0].kind, InputKind::Kfuncs);
    // Without it there is nothing to blame but the analysis.
    assert_eq!(compare((&one, &said_a, V7_2), (&one, &said_b, V7_2)).class, Class::Changed);
}

#[test]
fn a_program_that_one_kernel_was_not_given() {
    let loaded = program(7);
    let whole = said(&loaded, V7_2, "0x1");
    let refused = rejected(22, "func#0 @0\nunreachable insn 3\n");
    let of = |said: &Said, status| {
        let between =
            alone(&Side { dialect: V7_2, loaded: &loaded, said }, Class::OnlyInB, status, "no hook");
        (between.class, between.reason.unwrap_or_default())
    };
    assert_eq!(of(&whole, Status::NotLoadable), (Class::OnlyInB, "A: not_loadable: no hook".into()));
    assert_eq!(of(&whole, Status::Crashed).0, Class::OnlyInB);
    assert_eq!(of(&whole, Status::Timeout).0, Class::NotCompared);
    let (class, reason) = of(&refused, Status::NotLoadable);
    assert_eq!(
        (class, &*reason),
        (Class::NotCompared, "B: unreachable insn 3 (EINVAL); A: not_loadable: no hook")
    );
}

/// What a kernel reads beside its masks can be another each time, in the same kernel.
#[test]
fn a_change_that_nobody_can_foretell_is_told() {
    let endless = Loaded {
        // The callee ends in a tail call that is tried for ever.
        insns: vec![
            insn(0xbf, 1, 10, 0, 0),
            insn(0x85, 0, 1, 0, 1),
            insn(0x95, 0, 0, 0, 0),
            insn(0x79, 6, 1, -8, 0),
            insn(0x85, 0, 0, 0, 12),
            insn(0x05, 0, 0, -2, 0),
        ],
        prog_type: 3,
        ..Loaded::default()
    };
    let one = said(&endless, V7_2, "");
    let other = altered(&one, "use: fp0-8\n", "use: fp0-8 fp0-24\n");
    let between = compare((&endless, &one, V7_2), (&endless, &other, V7_2));
    assert_eq!(between.class, Class::Changed);
    assert!(between.reason.unwrap().starts_with("insn 4 may leave subprog#1, which has no exit: "));
    assert_eq!(compare((&endless, &one, V7_2), (&endless, &one, V7_2)).class, Class::Same);
}
