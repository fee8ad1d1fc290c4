//! What holding two sides against each other comes to, and of what kind it is.

use crate::cli::{guest::Answer, kernels::Kernel};
use livediff::{
    Dialect,
    diff::{self, Class, Deep, Difference, Side, Status},
    guard::guarded,
};
use livediff_capture::{Loaded, Said, trace::Records};
use livediff_harness::run::Outcome;
use std::fmt;

/// What the sides say of one program.
pub(in crate::cli) enum Finding {
    /// The same.
    Same {
        /// Lines that were compared.
        lines: usize,
        /// What was compared beyond them, if that was wanted and there is anything.
        deep: Option<Deep>,
    },
    /// Not the same; with what the first kernel was given.
    Differs(Box<Loaded>, Found),
    /// A guest died on it ([`Status::Crashed`]) or did not answer in time ([`Status::Timeout`]), and why that is said.
    NoAnswer(Status, String),
    /// Nothing is known of it, because no guest told, and why.
    Lost(String),
    /// There is nothing to compare for another reason.
    NotCompared(String),
}

/// A discrepancy.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Found {
    /// What a smaller program has to keep.
    pub(in crate::cli) kind: Kind,
    /// Where the texts differ: a unified diff; empty where they do not.
    pub(in crate::cli) unified: String,
}

/// What a smaller program has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Kind {
    /// What differs first.
    Facts(diff::Kind),
    /// What differs first between two kernels that each say what their dialect says.
    Dialects(diff::Kind),
    /// The words are alike and the ends are not.
    End,
    /// Only one of two kernels analyses the program.
    OnlyIn(Class),
    /// The words are alike, and what was read from the kernel's memory is not.
    Deep,
    /// The model gives no answer, which is a defect of it.
    Broken,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Facts(kind) => kind.fmt(f),
            Kind::Dialects(kind) => write!(f, "{kind} (as the dialects of the two kernels do)"),
            Kind::End => f.write_str("the same words and another end"),
            Kind::OnlyIn(Class::OnlyInA) => f.write_str("only the first kernel analyses it"),
            Kind::OnlyIn(_) => f.write_str("only the second kernel analyses it"),
            Kind::Deep => f.write_str("deep: the same words, and something else in the kernel's memory"),
            Kind::Broken => f.write_str("the model breaks down, which is a defect of livediff"),
        }
    }
}

/// Holds the answer of one kernel against the model, with what was traced if `deep`, or those of two against each other.
pub(super) fn compare(kernels: &[&Kernel], answers: &[Option<&Answer>], deep: bool) -> Finding {
    let mut sides = Vec::new();
    let mut records = None;
    for (kernel, answer) in kernels.iter().zip(answers) {
        let reason = match answer.map(|answer| &answer.outcome) {
            Some(Outcome::Loaded(pair)) => {
                sides.push((*kernel, &pair.0, &pair.1));
                records = answer.and_then(|answer| answer.records.as_ref());
                continue;
            }
            Some(Outcome::NotLoadable { reason }) => {
                return Finding::NotCompared(format!("kernel {}: {reason}", kernel.name));
            }
            Some(Outcome::Lost { reason }) => reason.clone(),
            Some(Outcome::Crashed { .. }) => {
                let reason = format!("kernel {}: the guest died on it", kernel.name);
                return Finding::NoAnswer(Status::Crashed, reason);
            }
            Some(Outcome::Timeout { .. }) => {
                let reason = format!("kernel {}: no answer within the time limit (--timeout)", kernel.name);
                return Finding::NoAnswer(Status::Timeout, reason);
            }
            None => "the guest did not report on it".to_owned(),
        };
        return Finding::Lost(format!("kernel {}: {reason}", kernel.name));
    }
    match sides.as_slice() {
        [(kernel, loaded, said)] => with_model(kernel.dialect, loaded, said, deep.then_some(records)),
        [(a, loaded_a, said_a), (b, loaded_b, said_b)] => {
            let a = Side { dialect: a.dialect, loaded: loaded_a, said: said_a };
            let b = Side { dialect: b.dialect, loaded: loaded_b, said: said_b };
            between(&a, &b)
        }
        _ => Finding::NotCompared("no kernel was asked".into()),
    }
}

fn differs(loaded: &Loaded, kind: Kind, difference: Option<&Difference>) -> Finding {
    let unified = difference.map(|difference| difference.unified.clone()).unwrap_or_default();
    Finding::Differs(Box::new(loaded.clone()), Found { kind, unified })
}

/// `traced` is nothing where the log alone is compared.
fn with_model(dialect: Dialect, loaded: &Loaded, said: &Said, traced: Option<Option<&Records>>) -> Finding {
    let judged = guarded(|| {
        let by_log = diff::judge(loaded, said, dialect);
        let alike = by_log.status == Status::Match;
        let (comparison, deep) = match traced {
            Some(records) => diff::deepen(by_log, loaded, said, dialect, records),
            None => (by_log, None),
        };
        (comparison, deep, alike)
    });
    let Ok((comparison, deep, alike)) = judged else {
        return differs(loaded, Kind::Broken, None);
    };
    match comparison.status {
        Status::Match => Finding::Same { lines: comparison.lines, deep },
        Status::Mismatch if alike => differs(loaded, Kind::Deep, comparison.difference.as_ref()),
        Status::Mismatch => {
            let kind = comparison.kind().map_or(Kind::End, Kind::Facts);
            differs(loaded, kind, comparison.difference.as_ref())
        }
        _ => Finding::NotCompared(comparison.reason.unwrap_or_default()),
    }
}

fn between(a: &Side<'_>, b: &Side<'_>) -> Finding {
    let Ok(between) = guarded(|| diff::between(a, b)) else {
        return differs(a.loaded, Kind::Broken, None);
    };
    let difference = between.difference.as_ref();
    match between.class {
        Class::Same => Finding::Same { lines: between.lines, deep: None },
        Class::Changed => differs(a.loaded, between.kind().map_or(Kind::End, Kind::Facts), difference),
        Class::Explained => {
            let kind = difference.and_then(|difference| difference.facts.kind());
            differs(a.loaded, kind.map_or(Kind::End, Kind::Dialects), difference)
        }
        class @ (Class::OnlyInA | Class::OnlyInB) => differs(a.loaded, Kind::OnlyIn(class), difference),
        Class::LoadedDifferently => Finding::NotCompared(format!(
            "the kernels were not given the same, and what differs follows from that: {}",
            between.inputs.iter().map(|input| input.text.as_str()).collect::<Vec<_>>().join("; ")
        )),
        Class::NotCompared => Finding::NotCompared(between.reason.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livediff::{diff::deep, log, log::Silent, verifier};
    use livediff_capture::{
        FuncInfo, Insn, Verdict,
        trace::{self, Hooks, Trace},
    };

    const DIALECT: Dialect = Dialect::V7_2;

    /// A slot is written and read.
    fn program() -> Loaded {
        let insn = |code, dst_reg, src_reg, off, imm| Insn { code, dst_reg, src_reg, off, imm };
        Loaded {
            insns: vec![
                insn(0x7a, 10, 0, -8, 1),
                insn(0x79, 0, 10, -8, 0),
                insn(0xb7, 0, 0, 0, 0),
                insn(0x95, 0, 0, 0, 0),
            ],
            func_info: vec![FuncInfo { insn_off: 0, name: "main".into(), global: true }],
            prog_type: 1,
            ..Loaded::default()
        }
    }

    /// What becomes of a program of which the log is as the model says it, and this was traced.
    fn of(records: Option<&Records>) -> Finding {
        let loaded = program();
        let log = log::section(&loaded, DIALECT).text;
        let said = Said { verdict: Verdict::Accepted, errno: 0, log, truncated: false };
        with_model(DIALECT, &loaded, &said, Some(records))
    }

    /// What a kernel that does what the model does lets be traced, altered.
    fn traced(alter: impl FnOnce(&mut Trace)) -> Records {
        let loaded = program();
        let analysis = verifier::analyze(&loaded, DIALECT, &mut Silent).unwrap();
        let main = verifier::CallFrame { subprog: 0, callsite: 0 };
        let mut trace = deep::expected(&analysis, &[(vec![main], 1)]);
        alter(&mut trace);
        let hooks = Hooks {
            const_regs: 1,
            arg_access: 1,
            query_init: 1,
            slot_alive: 128,
            queries: 1,
            ..Hooks::default()
        };
        Records { hooks, bytes: trace::write(&trace) }
    }

    /// So it is for `livediff fuzz --deep`, and for what reduces its findings.
    #[test]
    fn what_is_read_from_the_kernels_memory_counts_as_much_as_its_log() {
        let same = traced(|_| {});
        let Finding::Same { deep: Some(deep), .. } = of(Some(&same)) else {
            panic!("a kernel that does what the model does differs");
        };
        assert_eq!((deep.masks, deep.answers, deep.differing), (3 * 4, 128, 0));
        let alterations: [fn(&mut Trace); 3] = [
            |trace| trace.instances[0].frames[0].1[1].live_before ^= 1,
            |trace| {
                trace.queries[0].frames[0].alive ^= 1;
                trace.queries[0].frames[0].dead ^= 1;
            },
            |trace| trace.postorder.swap(0, 1),
        ];
        for alter in alterations {
            let found = of(Some(&traced(alter)));
            assert!(matches!(found, Finding::Differs(_, Found { kind: Kind::Deep, .. })));
        }
        // What was lost, or never there, is no agreement.
        let lost = Records { hooks: Hooks { lost: 1, ..same.hooks }, ..same };
        for records in [Some(&lost), None] {
            assert!(matches!(of(records), Finding::NotCompared(_)));
        }
    }
}
