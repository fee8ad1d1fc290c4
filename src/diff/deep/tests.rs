use super::*;
use crate::{
    diff::{
        judge,
        tests::{program, tail_call_before},
    },
    log,
};
use livediff_capture::{
    insn::Insn,
    trace::{self, Hooks},
};

const DIALECT: Dialect = Dialect::V7_2;

fn chain() -> Vec<CallFrame> {
    vec![CallFrame { subprog: 0, callsite: 0 }, CallFrame { subprog: 1, callsite: 8 }]
}

/// The masks of every instance, the constants and the postorder; the path walk asks before the branch, in the callee
/// and after the call.
fn traced(loaded: &Loaded) -> Trace {
    let analysis = analyze(loaded, DIALECT, &mut Silent).unwrap();
    let main = vec![chain()[0]];
    expected(&analysis, &[(main.clone(), 2), (chain(), 11), (main, 9)])
}

fn said(loaded: &Loaded) -> Said {
    let log = log::section(loaded, DIALECT).text.replace("<address>", "0xff54af7fc013a000");
    Said { verdict: Verdict::Accepted, errno: 0, log, truncated: false }
}

fn records(trace: &Trace) -> Records {
    let hooks = Hooks {
        const_regs: 1,
        arg_access: 1,
        query_init: trace.queries.len() as u64,
        slot_alive: 128,
        queries: trace.queries.len() as u64,
        ..Hooks::default()
    };
    Records { hooks, bytes: trace::write(trace) }
}

fn outcome(loaded: &Loaded, said: &Said, records: Option<&Records>) -> (Comparison, Option<Deep>) {
    deepen(judge(loaded, said, DIALECT), loaded, said, DIALECT, records)
}

/// A kernel that says `trace`, altered, of the program.
fn altered(alter: impl FnOnce(&mut Trace)) -> (Comparison, Option<Deep>) {
    let loaded = program();
    let mut trace = traced(&loaded);
    alter(&mut trace);
    outcome(&loaded, &said(&loaded), Some(&records(&trace)))
}

#[track_caller]
fn differs(alter: impl FnOnce(&mut Trace), pass: &str, lines: &[&str]) {
    let (comparison, deep) = altered(alter);
    assert_eq!(comparison.status, Status::Mismatch, "{comparison:?}");
    assert!(deep.unwrap().differing > 0);
    let difference = comparison.difference.unwrap();
    assert_eq!(difference.place.pass.as_deref(), Some(pass));
    assert_eq!(difference.unified.lines().collect::<Vec<_>>(), lines);
    assert!(comparison.reason.unwrap().contains("the log agrees"));
}

#[test]
fn the_same_data_match_and_are_counted() {
    let (comparison, deep) = altered(|_| {});
    assert_eq!((comparison.status, comparison.reason, comparison.difference), (Status::Match, None, None));
    let deep = deep.unwrap();
    // main with one frame and 11 slots, the callee with two frames and 2 slots.
    assert_eq!((deep.instances, deep.masks), (2, 3 * (11 + 2 * 2)));
    // Every slot but the second half of the 64-bit load.
    assert_eq!((deep.postorder, deep.answers, deep.differing), (12, 3 * 128, 0));
    assert!(deep.constants > 0);
    // A question that is asked again counts once.
    let (_, again) = altered(|trace| trace.queries.extend(trace.queries.clone()));
    assert_eq!(again, Some(deep));
    // Masks that are all empty are as good as none.
    let (comparison, _) = altered(|trace| {
        for instance in &mut trace.instances {
            instance.frames.retain(|(_, masks)| masks.iter().any(|masks| *masks != Masks::default()));
        }
    });
    assert_eq!(comparison.status, Status::Match);
}

#[test]
fn what_the_kernel_reads_beside_its_masks_is_told() {
    let told = |last: Insn| {
        let loaded = tail_call_before(last);
        let mut trace = expected(&analyze(&loaded, DIALECT, &mut Silent).unwrap(), &[]);
        let masks = trace.instances.iter_mut().flat_map(|instance| &mut instance.frames);
        masks.flat_map(|(_, masks)| masks).for_each(|masks| masks.live_before |= 1 << 20);
        let (comparison, _) = outcome(&loaded, &said(&loaded), Some(&records(&trace)));
        assert_eq!(comparison.status, Status::Mismatch);
        comparison.reason.unwrap()
    };
    let endless = told(Insn { code: 0x05, off: -2, ..Insn::default() });
    assert!(endless.starts_with("insn 6 may leave subprog#1, which has no exit: "), "{endless}");
    assert!(endless.ends_with("the log agrees"), "{endless}");
    let exit = told(Insn { code: 0x95, ..Insn::default() });
    assert!(exit.starts_with("read from the kernel's memory: "), "{exit}");
}

#[test]
fn a_mask_that_differs_is_named() {
    // Of the instance of main; half-slot 5 is fp0-24h.
    let alter = |field: fn(&mut Masks) -> &mut u128, insn: usize, bits: u128| {
        move |trace: &mut Trace| {
            let main = trace.instances.iter_mut().find(|instance| instance.callsite == 0).unwrap();
            *field(&mut main.frames[0].1[insn]) ^= bits;
        }
    };
    differs(
        alter(|masks| &mut masks.must_write, 4, 1 << 5),
        "must_write",
        &["-(d0,cs0) insn 4 must_write: fp0-24h (only here: fp0-24h)", "+(d0,cs0) insn 4 must_write: -"],
    );
    differs(
        alter(|masks| &mut masks.may_read, 3, 0b11),
        "may_read",
        &["-(d0,cs0) insn 3 may_read: fp0-8 (only here: fp0-8)", "+(d0,cs0) insn 3 may_read: -"],
    );
    let (comparison, deep) = altered(|trace| {
        let main = trace.instances.iter_mut().find(|instance| instance.callsite == 0).unwrap();
        // live_before of the call, which the callee reads through: one half-slot is forgotten.
        let live = &mut main.frames[0].1[8].live_before;
        assert_eq!(*live & 0b1111, 0b1111);
        *live &= !1;
    });
    assert_eq!((comparison.status, deep.unwrap().differing), (Status::Mismatch, 1));
    let difference = comparison.difference.unwrap();
    assert_eq!(difference.minus.unwrap(), "(d0,cs0) insn 8 live_before: fp0-8h fp0-16");
    assert_eq!(difference.plus.unwrap(), "(d0,cs0) insn 8 live_before: fp0-8 fp0-16 (only here: fp0-4h)");
    assert_eq!(difference.place.insn.unwrap().0, 8);
    assert_eq!(difference.place.subprog.unwrap(), (0, Some("main".into())));
}

#[test]
fn an_instance_that_differs_is_named() {
    let of_main = |instance: &KernelInstance| instance.callsite == 0;
    let pass = "function instances";
    let line = "(d0,cs0) subprog#0, 11 instructions from 0";
    differs(|trace| trace.instances.retain(|one| !of_main(one)), pass, &[&format!("+{line}")]);
    differs(
        |trace| trace.instances.extend(trace.instances.clone().into_iter().find(of_main)),
        pass,
        &[&format!("-{line}")],
    );
    differs(
        |trace| trace.instances.iter_mut().find(|one| of_main(one)).unwrap().subprog = 1,
        pass,
        &["-(d0,cs0) subprog#1, 11 instructions from 0", &format!("+{line}")],
    );
    differs(
        |trace| trace.instances.iter_mut().find(|one| one.depth == 1).unwrap().callsite = 7,
        pass,
        &["-(d1,cs7) subprog#1, 2 instructions from 11", "+(d1,cs8) subprog#1, 2 instructions from 11"],
    );
    // The masks of a whole frame.
    let (comparison, _) = altered(|trace| {
        trace.instances.iter_mut().find(|one| of_main(one)).unwrap().frames.clear();
    });
    assert_eq!(comparison.status, Status::Mismatch);
}

#[test]
fn a_constant_that_differs_is_named() {
    let known = |trace: &mut Trace, insn: u32| -> usize {
        trace.constants.iter().position(|known| known.insn == insn).unwrap()
    };
    // Behind `r2 = map[0]`.
    differs(
        |trace| {
            let at = known(trace, 7);
            trace.constants[at].values[2] = 3;
        },
        "constants",
        &["-insn 7: r2 = map 3", "+insn 7: r2 = map 0 (map)"],
    );
    differs(
        |trace| {
            let at = known(trace, 7);
            trace.constants[at].maps = 0;
            trace.constants[at].constants |= 1 << 2;
        },
        "constants",
        &["-insn 7: r2 = 0", "+insn 7: r2 = map 0 (map)"],
    );
    // Behind `r0 = 0`.
    differs(
        |trace| {
            let at = known(trace, 10);
            trace.constants.remove(at);
        },
        "constants",
        &["-insn 10: r0 = unknown", "+insn 10: r0 = 0"],
    );
    differs(
        |trace| {
            let more = Constants { insn: 12, subprogs: 1 << 9, ..Constants::default() };
            trace.constants.push(more);
        },
        "constants",
        &["-insn 12: r9 = subprog#0", "+insn 12: r9 = unknown"],
    );
    // Of an instruction that there is not.
    let (comparison, _) = altered(|trace| {
        trace.constants.push(Constants { insn: 99, constants: 1, ..Constants::default() });
    });
    assert_eq!(comparison.status, Status::Mismatch);
}

#[test]
fn a_postorder_that_differs_is_shown() {
    differs(
        |trace| trace.postorder.swap(0, 1),
        "postorder",
        &[
            "-postorder from 0, 12 in all: 9 10 8 7 5 4 3 2 1",
            "+postorder from 0, 12 in all: 10 9 8 7 5 4 3 2 1",
        ],
    );
    differs(
        |trace| trace.subprogs[1].1 += 1,
        "postorder",
        &[
            "-subprog#1 begins at insn 11, its postorder at 11",
            "+subprog#1 begins at insn 11, its postorder at 10",
        ],
    );
    differs(
        |trace| trace.subprogs.truncate(1),
        "postorder",
        &["+subprog#1 begins at insn 11, its postorder at 10"],
    );
}

#[test]
fn an_answer_that_differs_is_named() {
    let pass = "answers to the path walk";
    differs(
        |trace| {
            let frame = &mut trace.queries[1].frames[1];
            assert_eq!(frame.dead >> 3 & 1, 1);
            frame.dead ^= 1 << 3;
            frame.alive ^= 1 << 3;
        },
        pass,
        &[
            "-insn 11 of subprog#0, called at 8 subprog#1: fp1-16h is alive",
            "+insn 11 of subprog#0, called at 8 subprog#1: fp1-16h is not alive",
        ],
    );
    // Asked for a slot of the caller, which the callee reads.
    differs(
        |trace| trace.queries[1].frames[0].dead |= 1,
        pass,
        &[
            "-insn 11 of subprog#0, called at 8 subprog#1: fp0-4h is not alive",
            "+insn 11 of subprog#0, called at 8 subprog#1: fp0-4h is alive",
        ],
    );
    // Asked twice, answered in two ways.
    differs(
        |trace| {
            let mut again = trace.queries[2].clone();
            again.frames[0].alive |= 1;
            trace.queries.push(again);
        },
        pass,
        &[
            "-insn 9 of subprog#0: fp0-4h is alive, and not alive when asked again",
            "+insn 9 of subprog#0: fp0-4h is not alive",
        ],
    );
    // The callsite of the first frame means nothing.
    let (comparison, _) = altered(|trace| trace.queries[0].frames[0].callsite = u32::MAX);
    assert_eq!(comparison.status, Status::Match);
}

/// Never a match where something did not come.
#[test]
fn what_did_not_come_is_not_compared() {
    let loaded = program();
    let said = said(&loaded);
    let whole = records(&traced(&loaded));
    assert_eq!(outcome(&loaded, &said, Some(&whole)).0.status, Status::Match);
    let not_compared = |records: Option<&Records>, said: &Said, why: &str| {
        let (comparison, deep) = outcome(&loaded, said, records);
        assert_eq!((comparison.status, deep), (Status::NotLoadable, None), "{why}: {comparison:?}");
        let reason = comparison.reason.unwrap();
        assert!(reason.contains(why) && reason.contains("not compared deep"), "{reason}");
    };
    not_compared(None, &said, "nothing was traced");
    let hooks = |alter: fn(&mut Hooks)| {
        let mut records = whole.clone();
        alter(&mut records.hooks);
        records
    };
    not_compared(Some(&hooks(|hooks| hooks.lost = 1)), &said, "1 records found no room");
    not_compared(Some(&hooks(|hooks| hooks.failed = 1)), &said, "reads of the kernel's memory failed");
    not_compared(Some(&hooks(|hooks| hooks.missed = 1)), &said, "1 events were passed over");
    not_compared(Some(&hooks(|hooks| hooks.const_regs = 0)), &said, "bpf_compute_const_regs was seen");
    not_compared(
        Some(&hooks(|hooks| hooks.arg_access = 2)),
        &said,
        "bpf_compute_subprog_arg_access was seen",
    );
    not_compared(Some(&hooks(|hooks| hooks.query_init = 0)), &said, "was not seen to ask");
    let trace = |alter: fn(&mut Trace)| {
        let mut trace = traced(&loaded);
        alter(&mut trace);
        records(&trace)
    };
    not_compared(Some(&trace(|trace| trace.constants_end = None)), &said, "no constants came");
    let without_memory = trace(|trace| {
        trace.constants_end = Some(ConstantsEnd { insns: 13, result: -12 });
        trace.constants.clear();
    });
    not_compared(Some(&without_memory), &said, "bpf_compute_const_regs returned -12");
    not_compared(
        Some(&trace(|trace| trace.constants_end = Some(ConstantsEnd { insns: 12, result: 0 }))),
        &said,
        "those of 12 instructions, and 13 were loaded",
    );
    let without_masks = trace(|trace| {
        trace.analysis_end = None;
        trace.instances.clear();
    });
    not_compared(Some(&without_masks), &said, "no masks came");
    not_compared(Some(&trace(|trace| trace.analysis_end = Some(-12))), &said, "returned -12");
    not_compared(Some(&Records { bytes: vec![1; 33], ..whole.clone() }), &said, "makes no sense");
    for cut in 1..whole.bytes.len() {
        let bytes = whole.bytes[..cut].to_vec();
        let (comparison, _) = outcome(&loaded, &said, Some(&Records { bytes, ..whole.clone() }));
        assert_eq!(comparison.status, Status::NotLoadable, "cut at {cut}: {comparison:?}");
    }
    let verdict = |verdict, errno| Said { verdict, errno, ..said.clone() };
    not_compared(Some(&whole), &verdict(Verdict::NotRun, 11), "did not come to its end");
    for (errno, name) in [(4, "EINTR"), (11, "EAGAIN"), (12, "ENOMEM")] {
        not_compared(Some(&whole), &verdict(Verdict::Rejected, errno), name);
    }
    let refused = outcome(&loaded, &verdict(Verdict::Rejected, 13), Some(&whole)).0;
    assert_eq!(refused.status, Status::Match, "a program that is refused has all its answers up to there");
    // What is there and wrong is wrong, though the end is lost.
    let mut wrong = traced(&loaded);
    wrong.queries[0].frames[0].alive = u128::MAX;
    let mut wrong = records(&wrong);
    wrong.hooks.lost = 1;
    assert_eq!(outcome(&loaded, &said, Some(&wrong)).0.status, Status::Mismatch);
    // But where events were missed, or reads failed, what is wrong may be the tracing.
    for (missed, failed, why) in [(1, 0, "1 events were passed over"), (0, 1, "1 reads of the kernel's")] {
        let hooks = Hooks { missed, failed, lost: 0, ..wrong.hooks };
        not_compared(Some(&Records { hooks, ..wrong.clone() }), &said, why);
    }
}

#[test]
fn the_log_still_counts() {
    let loaded = program();
    let mut said = said(&loaded);
    said.log = said.log.replace("fp0-16", "fp0-24");
    let whole = records(&traced(&loaded));
    let (comparison, deep) = outcome(&loaded, &said, Some(&whole));
    assert_eq!((comparison.status, deep.unwrap().differing), (Status::Mismatch, 0));
    let by_log = comparison.difference.unwrap();
    assert!(by_log.place.pass.is_some());
    // Where both differ, both are told.
    let mut wrong = traced(&loaded);
    wrong.postorder.swap(0, 1);
    let (comparison, deep) = outcome(&loaded, &said, Some(&records(&wrong)));
    assert_eq!((comparison.status, deep.unwrap().differing), (Status::Mismatch, 1));
    assert!(comparison.reason.unwrap().contains("the log differs too"));
    let both = comparison.difference.unwrap();
    assert_eq!((both.line, &both.place), (by_log.line, &by_log.place));
    let beyond = both.unified.strip_prefix(&by_log.unified).unwrap();
    assert!(beyond.trim_start_matches('\n').starts_with("-postorder from 0, 12 in all: 9 10"), "{beyond}");
    let (comparison, deep) = outcome(&loaded, &said, None);
    assert_eq!((comparison.status, deep), (Status::Mismatch, None));
    assert_eq!(comparison.reason.unwrap(), "not compared deep: nothing was traced");
    // Refused before liveness: there is nothing to trace, and nothing was compared.
    let early = Said {
        verdict: Verdict::Rejected,
        errno: 22,
        log: "last insn is not an exit\n".into(),
        truncated: false,
    };
    let (comparison, deep) = outcome(&loaded, &early, None);
    assert_eq!((comparison.status, deep), (Status::RejectedEarly, None));
}

/// A call in a circle: refused where the subprograms are sorted, behind the constants.
#[test]
fn a_program_that_both_refuse_has_no_masks() {
    let call = |imm| Insn { code: 0x85, src_reg: 1, imm, ..Insn::default() };
    let exit = Insn { code: 0x95, ..Insn::default() };
    let loaded = Loaded { insns: vec![call(1), exit, call(-1), exit], prog_type: 1, ..Loaded::default() };
    let error = analyze(&loaded, DIALECT, &mut Silent).unwrap_err();
    let log = log::section(&loaded, DIALECT).text;
    let said = Said { verdict: Verdict::Rejected, errno: error.errno, log, truncated: false };
    let constants_end = Some(ConstantsEnd { insns: 4, result: 0 });
    let trace = Trace { constants_end, ..Trace::default() };
    let (comparison, deep) = outcome(&loaded, &said, Some(&records(&trace)));
    assert_eq!((comparison.status, deep), (Status::Match, None), "{comparison:?}");
    assert_eq!(comparison.reason.unwrap(), "refused by both: there is nothing beyond the log");
    let (comparison, _) = outcome(&loaded, &said, Some(&records(&Trace::default())));
    assert_eq!(comparison.status, Status::NotLoadable);
    let done = Trace { analysis_end: Some(0), ..trace };
    assert_eq!(outcome(&loaded, &said, Some(&records(&done))).0.status, Status::Mismatch);
}

#[test]
fn dialects_without_what_is_compared_are_refused() {
    for dialect in Dialect::ALL {
        let has = matches!(dialect, Dialect::V7_1 | Dialect::V7_2 | Dialect::V7_3);
        assert_eq!(check(dialect).is_ok(), has, "{dialect}");
    }
}
