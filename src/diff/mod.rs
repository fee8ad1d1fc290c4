//! The comparison: what a kernel said of a program against what the model says.
//!
//! Compared is the liveness section of the log, from the first `func#` line to the last line of the table of live
//! registers, byte for byte, with kernel addresses masked where the instruction says that one stands. What was not
//! compared has a status that says so; there is no way from "not compared" to "match".
//!
//! ```text
//! kernel printed                      model ends     outcome
//! the whole table                     complete       the texts decide: match or mismatch
//! the whole table                     failed         mismatch
//! a beginning only (log cut, ENOMEM)  any            mismatch if the beginning differs, else not_loadable
//! topo_order, but no whole table      in liveness    the texts up to the statistics decide: match or mismatch
//! topo_order, but no whole table      otherwise      mismatch
//! nothing of liveness, paths walked   any            mismatch
//! nothing of liveness, and refused    any            rejected_early (but see below)
//! nothing of liveness, not refused    any            mismatch
//! ```
//!
//! Of two rows that fit, the upper one counts: what is missing of a log that was interrupted says nothing of the kernel.
//!
//! The first of liveness's own refusals, a recursive call, comes before `topo_order`: it is known by its message, or by
//! the silence of a kernel that should have given it.
mod between;
pub mod deep;
mod difference;
mod facts;
mod heard;
mod kind;
mod lines;
mod use_def;

pub use between::{Between, Class, Input, InputKind, Side, alone, between, refused_early};
pub use deep::{Deep, deepen};
pub use difference::{Difference, Place};
pub use facts::{Fact, Facts, InstanceId, MAX_FACTS};
pub use kind::{Change, Frame, Kind, Site, What};
pub use use_def::{Listed, Listings, UseDef, use_def};

use crate::{
    Dialect,
    log::{self, End, Section, Silent},
    verifier::{Analysis, Stack, analyze},
};
use difference::Words;
use heard::{Heard, Reach};
use livediff_capture::{Loaded, Said, Verdict};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What became of a program. Only the first two mean that it was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Kernel and model say the same.
    Match,
    /// They do not.
    Mismatch,
    /// The kernel refused the program before liveness ran.
    RejectedEarly,
    /// The object or its environment kept the kernel from judging it.
    NotLoadable,
    /// The guest died on it.
    Crashed,
    /// The guest did not answer in time.
    Timeout,
}

impl Status {
    /// Every status, in the order of reports.
    pub const ALL: [Status; 6] = [
        Status::Match,
        Status::Mismatch,
        Status::RejectedEarly,
        Status::NotLoadable,
        Status::Crashed,
        Status::Timeout,
    ];

    /// Kernel and model were held against each other.
    pub fn is_compared(self) -> bool {
        matches!(self, Status::Match | Status::Mismatch)
    }

    /// The name in JSON: `rejected_early`.
    pub fn name(self) -> &'static str {
        match self {
            Status::Match => "match",
            Status::Mismatch => "mismatch",
            Status::RejectedEarly => "rejected_early",
            Status::NotLoadable => "not_loadable",
            Status::Crashed => "crashed",
            Status::Timeout => "timeout",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The outcome for one program in one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// What became of it.
    pub status: Status,
    /// Lines of the kernel's liveness section that were compared; 0 where none were.
    pub lines: usize,
    /// Why it was not compared, what a mismatch is beyond differing lines, or why a match is one of the log alone.
    pub reason: Option<String>,
    /// Where the texts differ, if they do.
    pub difference: Option<Difference>,
}

impl Comparison {
    /// The kind of discrepancy that shows first, of a mismatch: what a smaller program for the same cause keeps.
    pub fn kind(&self) -> Option<Kind> {
        let shown = self.difference.as_ref().and_then(|difference| difference.facts.kind());
        (self.status == Status::Mismatch).then_some(shown.unwrap_or(Kind::END))
    }

    /// The instruction at which the texts begin to differ.
    pub fn insn(&self) -> Option<u32> {
        self.difference.as_ref()?.insn()
    }

    /// A program that was not compared.
    pub fn not_compared(status: Status, reason: impl Into<String>) -> Comparison {
        Comparison { status, lines: 0, reason: Some(reason.into()), difference: None }
    }
}

/// Runs the model on `loaded` and compares its words with the kernel's.
///
/// ```
/// use livediff::{
///     Dialect,
///     capture::{Insn, Loaded, Said, Verdict},
///     diff::{self, Status},
///     log,
/// };
///
/// let exit = Insn { code: 0x95, ..Insn::default() };
/// let loaded = Loaded { insns: vec![exit], ..Loaded::default() };
/// // Here the model's own words stand for a kernel's.
/// let mut log = log::section(&loaded, Dialect::V7_2).text;
/// let said = |log: &str| Said { verdict: Verdict::Accepted, errno: 0, log: log.into(), truncated: false };
/// assert_eq!(diff::judge(&loaded, &said(&log), Dialect::V7_2).status, Status::Match);
///
/// log = log.replace("0: 0.........", "0: 01........");
/// let comparison = diff::judge(&loaded, &said(&log), Dialect::V7_2);
/// assert_eq!((comparison.status, comparison.insn()), (Status::Mismatch, Some(0)));
/// ```
pub fn judge(loaded: &Loaded, said: &Said, dialect: Dialect) -> Comparison {
    compare(loaded, said, dialect, &log::section(loaded, dialect))
}

/// Compares what the kernel said with `section`, the model's words for the same program.
pub fn compare(loaded: &Loaded, said: &Said, dialect: Dialect, section: &Section) -> Comparison {
    let heard = Heard::new(&said.log, &loaded.insns);
    let texts = |reason: Option<String>| {
        let kernel = Words { text: &heard.text, whose: "the kernel" };
        let model = Words { text: &section.text, whose: "the model" };
        let difference = difference::find(kernel, model, &section.origins, loaded, dialect);
        let same = difference.is_none() && reason.is_none();
        let reason = reason.or_else(|| difference.as_ref().and_then(|_| undefined(loaded, dialect)));
        Comparison {
            status: if same { Status::Match } else { Status::Mismatch },
            lines: heard.text.lines().count(),
            reason,
            difference,
        }
    };
    let mismatch = |reason: String| texts(Some(reason));

    match (heard.reach, &section.end) {
        (Reach::Table, End::Complete) => texts(None),
        (Reach::Table, End::Failed(error)) => mismatch(format!(
            "the kernel completed the liveness analysis, the model refuses the program: {error}"
        )),
        (_, end) => {
            if let Some(cause) = interrupted(said) {
                // Whatever came before the interruption must still be right.
                return if section.text.starts_with(heard.whole_lines()) {
                    let lines = heard.whole_lines().lines().count();
                    let reason = format!("{cause} after {lines} lines of the liveness section, which agree");
                    Comparison::not_compared(Status::NotLoadable, reason)
                } else {
                    mismatch(cause.to_string())
                };
            }
            match (heard.reach, end) {
                // The kernel refuses with the error that the model expects of the sorting of subprograms, but without
                // the message: had an earlier pass refused, it would have said why.
                (Reach::Nothing, End::Failed(error))
                    if said.verdict == Verdict::Rejected
                        && error.in_liveness()
                        && error.message.is_some()
                        && error.errno == said.errno
                        && heard.last_words().is_empty() =>
                {
                    texts(None)
                }
                (Reach::Nothing, _) if heard.paths_walked() => mismatch(
                    "the kernel walked the program's paths, and its log holds no liveness section".into(),
                ),
                (Reach::Nothing, _) if said.verdict == Verdict::Rejected => {
                    Comparison::not_compared(Status::RejectedEarly, refusal(said, &heard))
                }
                (Reach::Nothing, _) => mismatch(
                    "the kernel did not refuse the program, and its log holds no liveness section".into(),
                ),
                _ if heard.table_begun() => {
                    mismatch("the kernel's table of live registers is not whole".into())
                }
                (_, End::Failed(error)) if error.in_liveness() => texts(None),
                (_, End::Failed(error)) => mismatch(format!(
                    "the kernel stopped in its liveness analysis ({}), the model refuses the program before: {error}",
                    refusal(said, &heard)
                )),
                (_, End::Complete) => mismatch(format!(
                    "the kernel stopped in its liveness analysis ({}), the model completes it",
                    refusal(said, &heard)
                )),
            }
        }
    }
}

/// The kernel's section is whole, to the end of the table of live registers: the analysis completed, whatever the
/// verifier did afterwards.
pub fn table_is_whole(loaded: &Loaded, said: &Said) -> bool {
    heard::has_table(&said.log, &loaded.insns)
}

/// Why nobody can tell what the kernel says of a program.
fn undefined(loaded: &Loaded, dialect: Dialect) -> Option<String> {
    let Analysis { program, stack, .. } = analyze(loaded, dialect, &mut Silent).ok()?;
    let insn = program.hidden_exit_outside().filter(|_| !matches!(stack, Stack::Observed))?;
    let subprog = program.containing_subprog(insn)?;
    Some(format!(
        "insn {insn} may leave subprog#{subprog}, which has no exit: the kernel then reads memory beside the masks of that \
         subprogram, and takes for live whatever it finds there"
    ))
}

/// Something other than the program ended the log before its table did.
fn interrupted(said: &Said) -> Option<&'static str> {
    match said.errno {
        // Cut short by ourselves, and that is done only once the table is whole.
        _ if said.verdict == Verdict::NotRun => None,
        _ if said.truncated => Some("the log was cut: it did not fit the buffer,"),
        4 => Some("the load was interrupted (EINTR)"),
        11 => Some("the load was interrupted (EAGAIN)"),
        12 => Some("the kernel ran out of memory (ENOMEM)"),
        _ => None,
    }
}

/// The kernel's last words and the error's name.
fn refusal(said: &Said, heard: &Heard<'_>) -> String {
    let errno = errno_name(said.errno);
    match (heard.last_words(), heard.very_last_words()) {
        (words, last) if words.is_empty() && last.is_empty() => format!("{errno}, without a message"),
        (words, last) if words.is_empty() => format!("{last} ({errno})"),
        (words, _) => format!("{words} ({errno})"),
    }
}

/// The name of an error number as far as loading a program returns it.
pub fn errno_name(errno: i32) -> String {
    let name = match errno {
        0 => "no error",
        1 => "EPERM",
        2 => "ENOENT",
        3 => "ESRCH",
        4 => "EINTR",
        5 => "EIO",
        7 => "E2BIG",
        9 => "EBADF",
        11 => "EAGAIN",
        12 => "ENOMEM",
        13 => "EACCES",
        14 => "EFAULT",
        16 => "EBUSY",
        17 => "EEXIST",
        19 => "ENODEV",
        22 => "EINVAL",
        28 => "ENOSPC",
        33 => "EDOM",
        34 => "ERANGE",
        38 => "ENOSYS",
        75 => "EOVERFLOW",
        84 => "EILSEQ",
        95 => "EOPNOTSUPP",
        110 => "ETIMEDOUT",
        524 => "ENOTSUPP",
        _ => return format!("errno {errno}"),
    };
    name.into()
}

#[cfg(test)]
mod tests;
