//! What kernels said of programs, kept until another kernel has had its turn, and held against what that one said.

use super::{
    inputs::{Inputs, ObjectFile},
    kernels::Kernel,
    output::{Output, Task},
    session::{Finished, Ran, Session},
};
use anyhow::{Context, Result};
use livediff::{
    Dialect,
    diff::{self, Between, Class, Side, Status},
    guard,
    report::{
        self,
        between::{self, Row},
    },
};
use livediff_capture::{Capture, Loaded, Said, Verdict};
use livediff_harness::run;
use rayon::ThreadPool;
use std::collections::BTreeMap;

/// The level at which logs are packed: they are kept for minutes, and there may be a gigabyte of them.
const LEVEL: i32 = 1;

/// What one kernel said of every program.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// The kernel, for reports.
    pub(crate) kernel: between::Kernel,
    /// By object and program; the program is empty for an object that could not be opened.
    pub(crate) programs: BTreeMap<(String, String), Word>,
}

/// What became of one program.
#[derive(Debug)]
pub(crate) enum Word {
    /// It was loaded.
    Said(Box<Packed>),
    /// It was not; `reported` if the guest itself said so.
    Not { status: Status, reason: String, reported: bool },
}

/// A program that was loaded, with its log packed.
#[derive(Debug)]
pub(crate) struct Packed {
    dialect: Dialect,
    loaded: Loaded,
    /// Without the log.
    said: Said,
    log: Vec<u8>,
}

impl Packed {
    fn new(dialect: Dialect, loaded: Loaded, mut said: Said) -> Result<Packed> {
        let log = std::mem::take(&mut said.log);
        let log = zstd::encode_all(log.as_bytes(), LEVEL).context("the log cannot be packed")?;
        Ok(Packed { dialect, loaded, said, log })
    }

    /// The dialect, what was loaded, and what was said.
    pub(crate) fn unpack(&self) -> Result<(Dialect, &Loaded, Said)> {
        let log = zstd::decode_all(self.log.as_slice()).context("the log cannot be unpacked")?;
        let log = String::from_utf8(log).context("the log cannot be unpacked")?;
        Ok((self.dialect, &self.loaded, Said { log, ..self.said.clone() }))
    }
}

impl Word {
    /// What a capture holds.
    pub(crate) fn captured(capture: Capture, dialect: Dialect) -> Result<Word> {
        Ok(Word::Said(Box::new(Packed::new(dialect, capture.loaded, capture.said)?)))
    }

    fn finished(finished: Finished, dialect: Dialect) -> Word {
        let reported = finished.is_reported();
        match finished.into_loaded() {
            Ok(pair) => match Packed::new(dialect, pair.0, pair.1) {
                Ok(packed) => Word::Said(Box::new(packed)),
                Err(error) => {
                    Word::Not { status: Status::NotLoadable, reason: format!("{error:#}"), reported: false }
                }
            },
            Err((status, reason)) => Word::Not { status, reason, reported },
        }
    }

    fn judged(&self, object: &str, program: &str) -> report::Row {
        let failed = |status, reason: &str| report::Row::not_loaded(object, program, status, reason);
        match self {
            Word::Said(packed) => match packed.unpack() {
                Ok((dialect, loaded, said)) => {
                    super::diff::judged(object.to_owned(), program.to_owned(), loaded, &said, dialect)
                }
                Err(error) => failed(Status::NotLoadable, &format!("{error:#}")),
            },
            Word::Not { status, reason, .. } => failed(*status, reason),
        }
    }

    /// How the program ended without words, where the guest said so and another kernel may do the same: refused early, not
    /// loadable, or the guest's death. Nothing for one that was analysed or that ran out of time.
    pub(crate) fn wordless(&self) -> Option<Status> {
        match self {
            Word::Said(packed) => {
                let (dialect, loaded, said) = packed.unpack().ok()?;
                diff::refused_early(&Side { dialect, loaded, said: &said }).map(|_| Status::RejectedEarly)
            }
            Word::Not { status: Status::Timeout, .. } | Word::Not { reported: false, .. } => None,
            Word::Not { status, .. } => Some(*status),
        }
    }

    fn insns(&self) -> usize {
        match self {
            Word::Said(packed) => packed.loaded.insns.len(),
            Word::Not { .. } => 0,
        }
    }

    /// What was given to the kernel.
    pub(crate) fn loaded(&self) -> Option<&Loaded> {
        match self {
            Word::Said(packed) => Some(&packed.loaded),
            Word::Not { .. } => None,
        }
    }

    fn verdict(&self) -> Verdict {
        match self {
            Word::Said(packed) => packed.said.verdict,
            Word::Not { .. } => Verdict::NotRun,
        }
    }
}

/// Runs the objects in a kernel and keeps what it says.
pub(crate) fn gather(
    session: &Session,
    kernel: &Kernel,
    objects: &[ObjectFile],
    options: &run::Options,
    (output, task): (&Output, &Task),
) -> Result<(Words, Ran)> {
    let mut words = Words::none(kernel);
    let work = |finished: Finished| {
        let name = (finished.object.clone(), finished.program.clone());
        (name, Word::finished(finished, kernel.dialect))
    };
    let ran = session.run(kernel, objects, options, (output, task), &work, &mut |(name, word)| {
        task.advance();
        words.programs.insert(name, word);
    })?;
    if let Some((accel, _)) = ran.booted {
        words.kernel.accel = accel.to_string();
    }
    Ok((words, ran))
}

/// Adds the objects that were not worth showing to any kernel.
pub(crate) fn add_broken(words: &mut Words, session: &Session, inputs: &Inputs) {
    for (object, reason) in inputs.broken.iter().filter(|(object, _)| session.filter.wants(object, "")) {
        let word = Word::Not { status: Status::NotLoadable, reason: reason.clone(), reported: true };
        words.programs.insert((object.clone(), String::new()), word);
    }
}

impl Words {
    /// Those of a kernel that has not been run.
    pub(crate) fn none(kernel: &Kernel) -> Words {
        Words {
            kernel: between::Kernel {
                name: kernel.name.clone(),
                release: kernel.image.release.clone(),
                dialect: kernel.dialect.id().to_owned(),
                dialect_forced: kernel.forced.is_some(),
                accel: String::new(),
            },
            programs: BTreeMap::new(),
        }
    }

    /// Holds what the kernel said of every program against the model.
    pub(crate) fn judged(&self, pool: &ThreadPool) -> Vec<report::Row> {
        let mut rows: Vec<Option<report::Row>> = self.programs.iter().map(|_| None).collect();
        pool.in_place_scope(|pool| {
            for (((object, program), word), place) in self.programs.iter().zip(&mut rows) {
                pool.spawn(move |_| *place = Some(word.judged(object, program)));
            }
        });
        rows.into_iter().flatten().collect()
    }
}

/// Holds what two kernels said of every program against each other, on all processors.
pub(crate) fn pair(pool: &ThreadPool, a: &Words, b: &Words) -> Vec<Row> {
    let mut names: Vec<&(String, String)> = a.programs.keys().chain(b.programs.keys()).collect();
    names.sort_unstable();
    names.dedup();
    // An object that only one kernel could open stands for each of its programs that the other lists.
    let opened = |words: &Words, object: &str| {
        let of_object = words.programs.range((object.to_owned(), String::new())..);
        of_object.take_while(|((name, _), _)| name == object).any(|((_, program), _)| !program.is_empty())
    };
    names.retain(|(object, program)| !program.is_empty() || !opened(a, object) && !opened(b, object));
    let mut rows: Vec<Option<Row>> = names.iter().map(|_| None).collect();
    pool.in_place_scope(|pool| {
        for (name, place) in names.iter().zip(&mut rows) {
            pool.spawn(move |_| *place = Some(row(name, find(a, name), find(b, name))));
        }
    });
    rows.into_iter().flatten().collect()
}

/// What the kernel said of the program, or of the whole object.
pub(crate) fn find<'w>(words: &'w Words, name: &(String, String)) -> Option<&'w Word> {
    words.programs.get(name).or_else(|| words.programs.get(&(name.0.clone(), String::new())))
}

fn row((object, program): &(String, String), a: Option<&Word>, b: Option<&Word>) -> Row {
    // A model that breaks down on a program costs that program only.
    let between = guard::guarded(|| between(a, b)).unwrap_or_else(|cause| {
        let mut between = Between::not_compared(guard::broke_down(&cause));
        between.class = Class::Changed;
        between
    });
    let verdict = |word: Option<&Word>| word.map_or(Verdict::NotRun, Word::verdict);
    Row {
        object: object.clone(),
        program: program.clone(),
        insns: a.map_or(0, Word::insns).max(b.map_or(0, Word::insns)),
        verdicts: [verdict(a), verdict(b)],
        between,
    }
}

fn between(a: Option<&Word>, b: Option<&Word>) -> Between {
    const NOTHING: &str = "there is nothing of this program from this kernel";
    let nothing = Word::Not { status: Status::NotLoadable, reason: NOTHING.to_owned(), reported: false };
    let unpacked = |packed: &Packed, then: &dyn Fn(&Side<'_>) -> Between| match packed.unpack() {
        Ok((dialect, loaded, said)) => then(&Side { dialect, loaded, said: &said }),
        Err(error) => Between::not_compared(format!("{error:#}")),
    };
    let not_reported = |which: &str, reason: &str| Between::not_compared(format!("{which}: {reason}"));
    match (a.unwrap_or(&nothing), b.unwrap_or(&nothing)) {
        (Word::Said(a), Word::Said(b)) => unpacked(a, &|a| unpacked(b, &|b| diff::between(a, b))),
        (Word::Not { reason, reported: false, .. }, _) => not_reported("A", reason),
        (_, Word::Not { reason, reported: false, .. }) => not_reported("B", reason),
        (Word::Said(a), Word::Not { status, reason, .. }) => {
            unpacked(a, &|a| diff::alone(a, Class::OnlyInA, *status, reason))
        }
        (Word::Not { status, reason, .. }, Word::Said(b)) => {
            unpacked(b, &|b| diff::alone(b, Class::OnlyInB, *status, reason))
        }
        (Word::Not { status, reason, .. }, Word::Not { status: other, reason: why, .. }) => {
            Between::not_compared(if (status, reason) == (other, why) {
                format!("in both {status}: {reason}")
            } else {
                format!("A: {status}: {reason}; B: {other}: {why}")
            })
        }
    }
}
