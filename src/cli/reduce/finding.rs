//! What holding two sides against each other comes to, and of what kind it is.

use crate::cli::{guest::Answer, kernels::Kernel};
use livediff::{
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
        [(kernel, loaded, said)] => with_model(kernel, loaded, said, deep.then_some(records)),
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
fn with_model(kernel: &Kernel, loaded: &Loaded, said: &Said, traced: Option<Option<&Records>>) -> Finding {
    let dialect = kernel.dialect;
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
