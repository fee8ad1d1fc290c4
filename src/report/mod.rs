//! What a run found, and how it is told: on the terminal, as JSON, as JUnit XML, as a page for browsers, to GitHub
//! Actions. Reports of parts are merged into one.
pub mod between;
pub mod github;
pub mod html;
mod json;
mod junit;
mod merge;
mod picture;
pub mod sarif;
pub mod schema;
pub mod terminal;
pub mod view;

pub use json::{ReadError, from_json, to_json};
pub use junit::to_junit;
pub use merge::{MergeError, merge};
pub use picture::{Beside, Picture};

use crate::diff::{Class, Comparison, Deep, Status};
#[cfg(test)]
use crate::diff::{Difference, Place};
use livediff_capture::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One program in one kernel.
#[derive(Clone, Debug)]
pub struct Row {
    /// The object, as the user named it.
    pub object: String,
    /// The program in it; empty where the object could not be opened, so that it has none to name.
    pub program: String,
    /// Instruction slots that were loaded; 0 where nothing was.
    pub insns: usize,
    /// How the load ended.
    pub verdict: Verdict,
    /// The outcome.
    pub comparison: Comparison,
    /// What is drawn of it, where a page was wanted and there was something to draw.
    pub picture: Option<Picture>,
    /// How much was compared beyond the log; none where only that was.
    pub deep: Option<Deep>,
}

impl Row {
    /// A program that never came to be loaded, or an object (then `program` is empty).
    pub fn not_loaded(object: &str, program: &str, status: Status, reason: impl Into<String>) -> Row {
        Row {
            object: object.to_owned(),
            program: program.to_owned(),
            insns: 0,
            verdict: Verdict::NotRun,
            comparison: Comparison::not_compared(status, reason),
            picture: None,
            deep: None,
        }
    }

    /// `object/program`, what `--filter` matches.
    pub fn name(&self) -> String {
        qualified(&self.object, &self.program)
    }
}

#[cfg(test)]
impl Row {
    /// A program whose registers differ at line 4, column 2, for the tests of the reports.
    fn differing(object: &str, program: &str, subprog: Option<(u32, &str)>, insn: &str, minus: &str) -> Row {
        let place = Place {
            pass: Some("live registers".into()),
            subprog: subprog.map(|(number, name)| (number, Some(name.into()))),
            insn: Some((2, insn.into())),
        };
        let difference =
            Difference { line: 4, column: 2, place, minus: Some(minus.into()), ..Difference::default() };
        let comparison =
            Comparison { status: Status::Mismatch, lines: 9, reason: None, difference: Some(difference) };
        Row { comparison, ..Row::not_loaded(object, program, Status::Mismatch, "") }
    }
}

/// How good an outcome is: the color in which every report shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// As it should be.
    Good,
    /// A discrepancy, or a guest that came to harm.
    Bad,
    /// Neither: it does not tell whether the analyses agree.
    Neutral,
}

impl From<Status> for Tone {
    fn from(status: Status) -> Tone {
        match status {
            Status::Match => Tone::Good,
            Status::Mismatch | Status::Crashed | Status::Timeout => Tone::Bad,
            Status::RejectedEarly | Status::NotLoadable => Tone::Neutral,
        }
    }
}

impl From<Class> for Tone {
    fn from(class: Class) -> Tone {
        match class {
            Class::Same | Class::Explained => Tone::Good,
            Class::Changed | Class::OnlyInA | Class::OnlyInB => Tone::Bad,
            Class::LoadedDifferently | Class::NotCompared => Tone::Neutral,
        }
    }
}

/// `object/program`, or the object alone where there is no program.
pub fn qualified(object: &str, program: &str) -> String {
    if program.is_empty() { object.to_owned() } else { format!("{object}/{program}") }
}

/// A kernel and what became of the programs in it.
#[derive(Clone, Debug, Default)]
pub struct KernelRun {
    /// As the user named it, or the release.
    pub name: String,
    /// `uname -r`.
    pub release: String,
    /// The generation of the analysis: `7.2`.
    pub dialect: String,
    /// The dialect was chosen by the user, whatever the kernel's BTF says.
    pub dialect_forced: bool,
    /// `kvm`, `tcg`, or `replay` where no kernel ran.
    pub accel: String,
    /// Every program, once.
    pub rows: Vec<Row>,
}

impl KernelRun {
    /// Puts the rows into the order in which every run of the same programs has them.
    pub fn sort(&mut self) {
        self.rows.sort_by(|a, b| (&a.object, &a.program).cmp(&(&b.object, &b.program)));
    }
}

/// A part of a run that was dealt out to several machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which part, from 1 to `count`.
    pub index: usize,
    /// How many parts there are.
    pub count: usize,
    /// Tells what was dealt out and how: the same for all parts of one run, and for no other.
    pub of: String,
}

/// What a run, or a part of one, found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every kernel, in the order in which they were named.
    pub kernels: Vec<KernelRun>,
    /// Which part of a run it is; none for a whole one.
    pub shard: Option<Shard>,
    /// Why not every program had its turn, if that is so.
    pub incomplete: Option<String>,
}

/// How many programs ended in which status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    by_status: BTreeMap<Status, usize>,
    /// Instruction slots of the compared programs.
    pub insns: usize,
    /// Log lines compared.
    pub lines: usize,
    /// What was compared beyond the logs; none where nothing was.
    pub deep: Option<Deep>,
}

impl Totals {
    /// Counts a program.
    pub fn add(&mut self, row: &Row) {
        *self.by_status.entry(row.comparison.status).or_default() += 1;
        if row.comparison.status.is_compared() {
            self.insns += row.insns;
            self.lines += row.comparison.lines;
            if let Some(deep) = &row.deep {
                self.deep.get_or_insert_default().add(deep);
            }
        }
    }

    /// Totals of several kernels.
    pub fn of<'k>(kernels: impl IntoIterator<Item = &'k KernelRun>) -> Totals {
        let mut totals = Totals::default();
        kernels.into_iter().flat_map(|kernel| &kernel.rows).for_each(|row| totals.add(row));
        totals
    }

    /// Programs with that status.
    pub fn count(&self, status: Status) -> usize {
        self.by_status.get(&status).copied().unwrap_or_default()
    }

    /// Programs in which kernel and model were held against each other.
    pub fn compared(&self) -> usize {
        self.count(Status::Match) + self.count(Status::Mismatch)
    }

    /// Programs that were not compared.
    pub fn not_compared(&self) -> usize {
        self.all() - self.compared()
    }

    /// Programs.
    pub fn all(&self) -> usize {
        self.by_status.values().sum()
    }
}
