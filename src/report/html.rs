//! The report as one page that a browser shows from disk: it loads nothing, and its policy forbids it to.
//!
//! The page holds an index of all programs and, apart from it, what is known of each, as JSON that is not read before the
//! program is opened. Names, logs and reasons come from objects and kernels that need not be friendly: they are JSON in
//! which `<` is never spelt, and the page's script makes them visible as text only.
mod picture;

pub use picture::Picture;

use super::{Report, Totals, between};
use crate::diff::{Class, Difference, Status};
use livediff_capture::Verdict;
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Most bytes of the pictures on a page. Programs in which kernel and model differ come first, then the smallest.
pub const MAX_PICTURES: usize = 48 << 20;
/// Most bytes of pictures that are kept while programs are still being compared.
const MAX_KEPT: usize = 512 << 20;
/// Most facts of a difference that are listed.
const MAX_FACTS: usize = 40;

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");

/// Names a program of a run: dialect, release, object and program.
type Key = (String, String, String, String);

/// Takes the pictures of programs while they are compared, from any thread.
#[derive(Debug, Default)]
pub struct Pictures {
    pictures: Mutex<BTreeMap<Key, Picture>>,
    bytes: AtomicUsize,
}

impl Pictures {
    /// Keeps the picture of a program.
    pub fn add(&self, dialect: &str, release: &str, object: &str, program: &str, mut picture: Picture) {
        if self.bytes.fetch_add(picture.len(), Ordering::Relaxed) > MAX_KEPT {
            picture.json = None;
        }
        let key = (dialect.to_owned(), release.to_owned(), object.to_owned(), program.to_owned());
        self.pictures.lock().unwrap_or_else(PoisonError::into_inner).insert(key, picture);
    }
}

/// What a page shows.
#[derive(Debug)]
struct Page<'r> {
    /// The subcommand.
    subcommand: &'static str,
    /// Who stands behind `-` and `+` of a diff.
    sides: [&'static str; 2],
    kernels: Vec<Kernel>,
    programs: Vec<Program<'r>>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Kernel {
    name: String,
    release: String,
    dialect: String,
    how: String,
}

/// How a status looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Tone {
    Good,
    Bad,
    Neutral,
}

#[derive(Debug)]
struct Program<'r> {
    /// Which kernel, or none: both of two.
    kernel: usize,
    object: &'r str,
    program: &'r str,
    status: &'static str,
    tone: Tone,
    insns: usize,
    details: Details<'r>,
    picture: Option<Picture>,
}

/// What is shown of a program that is opened, besides its picture.
#[derive(Debug, Default, Serialize)]
struct Details<'r> {
    reason: Option<&'r str>,
    verdict: Option<String>,
    lines: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<String>,
    difference: Option<Differs<'r>>,
}

#[derive(Debug, Serialize)]
struct Differs<'r> {
    line: usize,
    place: String,
    subprog: Option<u32>,
    insn: Option<u32>,
    facts: Vec<String>,
    more_facts: usize,
    unified: &'r str,
}

impl<'r> Differs<'r> {
    fn new(difference: &'r Difference) -> Differs<'r> {
        let facts: Vec<String> =
            difference.facts.facts.iter().take(MAX_FACTS).map(|f| f.to_string()).collect();
        Differs {
            line: difference.line,
            place: difference.place.to_string(),
            subprog: difference.place.subprog.as_ref().map(|(subprog, _)| *subprog),
            insn: difference.place.insn.as_ref().map(|(insn, _)| *insn),
            more_facts: difference.facts.total.saturating_sub(facts.len()),
            facts,
            unified: &difference.unified,
        }
    }
}

fn tone(status: Status) -> Tone {
    match status {
        Status::Match => Tone::Good,
        Status::Mismatch | Status::Crashed | Status::Timeout => Tone::Bad,
        Status::RejectedEarly | Status::NotLoadable => Tone::Neutral,
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted => "accepted",
        Verdict::Rejected => "rejected",
        Verdict::NotRun => "not run to its verdict",
    }
}

fn how(dialect_forced: bool, accel: &str) -> String {
    if dialect_forced { format!("{accel}, dialect chosen by the user") } else { accel.to_owned() }
}

/// Writes the report of a run as a page, with the pictures that were made.
pub fn to_html(report: &Report, pictures: Pictures, out: &mut dyn Write) -> io::Result<()> {
    let pictures = pictures.pictures.into_inner().unwrap_or_else(PoisonError::into_inner);
    let kernels = report.kernels.iter().map(|kernel| Kernel {
        name: kernel.name.clone(),
        release: kernel.release.clone(),
        dialect: kernel.dialect.clone(),
        how: how(kernel.dialect_forced, &kernel.accel),
    });
    let kernels = kernels.collect();
    let mut programs = Vec::new();
    for (at, kernel) in report.kernels.iter().enumerate() {
        for row in &kernel.rows {
            let comparison = &row.comparison;
            let key =
                (kernel.dialect.clone(), kernel.release.clone(), row.object.clone(), row.program.clone());
            programs.push(Program {
                kernel: at,
                object: &row.object,
                program: &row.program,
                status: comparison.status.name(),
                tone: tone(comparison.status),
                insns: row.insns,
                details: Details {
                    reason: comparison.reason.as_deref(),
                    verdict: Some(verdict(row.verdict).to_owned()),
                    lines: comparison.lines,
                    also: Vec::new(),
                    difference: comparison.difference.as_ref().map(Differs::new),
                },
                // Where a capture was named twice, both rows have it.
                picture: pictures.get(&key).cloned(),
            });
        }
    }
    let mut notes: Vec<String> =
        report.incomplete.iter().map(|why| format!("Not every program had its turn: {why}.")).collect();
    if let Some(shard) = &report.shard {
        notes.push(format!("This is part {} of {} of a run.", shard.index, shard.count));
    }
    let totals = Totals::of(&report.kernels);
    if programs.iter().all(|program| program.picture.is_none()) && totals.all() > 0 {
        notes.push("It has no pictures of programs: there were none in what it was made from.".to_owned());
    }
    Page { subcommand: "diff", sides: ["the kernel", "the model"], kernels, programs, notes }.write(out)
}

/// Writes the comparison of two kernels as a page; it has no pictures, since no model is part of it.
pub fn between_to_html(report: &between::Report, out: &mut dyn Write) -> io::Result<()> {
    let kernels = std::iter::zip(["A", "B"], &report.kernels).map(|(side, kernel)| Kernel {
        name: format!("{side}: {}", kernel.name),
        release: kernel.release.clone(),
        dialect: kernel.dialect.clone(),
        how: how(kernel.dialect_forced, &kernel.accel),
    });
    let kernels = kernels.collect::<Vec<_>>();
    let both = kernels.len();
    let programs = report.rows.iter().map(|row| {
        let between = &row.between;
        let mut also: Vec<String> = between
            .inputs
            .iter()
            .map(|input| format!("given differently: {}: {}", input.kind.name(), input.text))
            .collect();
        for (side, as_model) in std::iter::zip(["A", "B"], between.as_model.into_iter().flatten()) {
            let not = if as_model { "" } else { "not " };
            also.push(format!("{side} says {not}what the model of its dialect says"));
        }
        Program {
            kernel: both,
            object: &row.object,
            program: &row.program,
            status: between.class.name(),
            tone: match between.class {
                Class::Same | Class::Explained | Class::LoadedDifferently => Tone::Good,
                Class::Changed | Class::OnlyInA | Class::OnlyInB => Tone::Bad,
                Class::NotCompared => Tone::Neutral,
            },
            insns: row.insns,
            details: Details {
                reason: between.reason.as_deref(),
                verdict: Some(format!("A: {}, B: {}", verdict(row.verdicts[0]), verdict(row.verdicts[1]))),
                lines: between.lines,
                also,
                difference: between.difference.as_ref().map(Differs::new),
            },
            picture: None,
        }
    });
    let programs = programs.collect();
    let mut notes: Vec<String> =
        report.incomplete.iter().map(|why| format!("Not every program had its turn: {why}.")).collect();
    notes.push(
        "Two kernels are held against each other here, without a model: there are no pictures of stacks."
            .into(),
    );
    Page { subcommand: "compare", sides: ["A", "B"], kernels, programs, notes }.write(out)
}

/// A program that was analysed without a kernel.
#[derive(Debug)]
pub struct Analyzed<'r> {
    /// Its name.
    pub program: &'r str,
    /// `analyzed`, `rejected` or `not_loadable`.
    pub status: &'static str,
    /// Why it is not `analyzed`.
    pub reason: Option<&'r str>,
    /// Instruction slots.
    pub insns: usize,
    /// Its picture, if it could be loaded.
    pub picture: Option<Picture>,
}

/// Writes what the model alone says of the programs of an object as a page. `kernel` is the release of the kernel
/// against which it was relocated.
pub fn analysis_to_html(
    object: &str,
    kernel: Option<&str>,
    dialect: &str,
    programs: Vec<Analyzed<'_>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let kernels = vec![Kernel {
        name: kernel.unwrap_or("no kernel").to_owned(),
        release: kernel.unwrap_or_default().to_owned(),
        dialect: dialect.to_owned(),
        how: "not run".to_owned(),
    }];
    let programs = programs.into_iter().map(|program| Program {
        kernel: 0,
        object,
        program: program.program,
        status: program.status,
        tone: if program.status == "analyzed" { Tone::Good } else { Tone::Bad },
        insns: program.insns,
        details: Details { reason: program.reason, ..Details::default() },
        picture: program.picture,
    });
    let programs = programs.collect();
    Page { subcommand: "analyze", sides: ["the kernel", "the model"], kernels, programs, notes: Vec::new() }
        .write(out)
}

/// What the page reads when it is opened.
#[derive(Serialize)]
struct Index<'p, 'r> {
    version: &'static str,
    subcommand: &'static str,
    sides: [&'static str; 2],
    kernels: &'p [Kernel],
    objects: Vec<&'r str>,
    statuses: Vec<(&'static str, Tone)>,
    /// Index of the kernel and of the object, name, index of the status, instruction slots, whether it has a picture.
    programs: Vec<(usize, usize, &'r str, usize, usize, bool)>,
    notes: &'p [String],
}

/// The index of `item` among `items`, which it is added to.
fn numbered<T: Copy + Eq + std::hash::Hash>(
    items: &mut Vec<T>,
    known: &mut HashMap<T, usize>,
    item: T,
) -> usize {
    *known.entry(item).or_insert_with(|| {
        items.push(item);
        items.len() - 1
    })
}

impl Page<'_> {
    /// Takes pictures away until the rest fits into `max` bytes, and says so.
    fn fit(&mut self, max: usize) {
        let mut order: Vec<usize> = (0..self.programs.len()).collect();
        order.sort_by_key(|at| {
            let program = &self.programs[*at];
            (program.details.difference.is_none(), program.picture.as_ref().map_or(0, Picture::len))
        });
        let (mut bytes, mut left_out) = (0, 0);
        for at in order {
            let Some(picture) = &mut self.programs[at].picture else { continue };
            if picture.json.is_some() && bytes + picture.len() <= max {
                bytes += picture.len();
            } else {
                picture.json = None;
                left_out += 1;
            }
        }
        if left_out > 0 {
            self.notes.push(format!(
                "The pictures of {left_out} of {} programs were left out, those of the largest that match: the page would \
                 be too large. --filter, or `livediff analyze --html` on one object, shows them.",
                self.programs.len()
            ));
        }
    }

    fn write(mut self, out: &mut dyn Write) -> io::Result<()> {
        self.fit(MAX_PICTURES);
        let (mut objects, mut statuses, mut programs) = (Vec::new(), Vec::new(), Vec::new());
        let (mut known_objects, mut known_statuses) = (HashMap::new(), HashMap::new());
        for program in &self.programs {
            let object = numbered(&mut objects, &mut known_objects, program.object);
            let at = statuses.len();
            let status = *known_statuses.entry(program.status).or_insert_with(|| {
                statuses.push((program.status, program.tone));
                at
            });
            let has_picture = program.picture.as_ref().is_some_and(|picture| picture.json.is_some());
            programs.push((program.kernel, object, program.program, status, program.insns, has_picture));
        }
        let index = Index {
            version: crate::VERSION,
            subcommand: self.subcommand,
            sides: self.sides,
            kernels: &self.kernels,
            objects,
            statuses,
            programs,
            notes: &self.notes,
        };

        let mut page = PAGE;
        let mut until = |marker: &str, out: &mut dyn Write| -> io::Result<()> {
            let (before, after) = page.split_once(marker).unwrap_or((page, ""));
            page = after;
            out.write_all(before.as_bytes())
        };
        until("{{style}}", out)?;
        out.write_all(STYLE.as_bytes())?;
        until("{{data}}", out)?;
        embed("index", &serde_json::to_string(&index)?, out)?;
        for (at, program) in self.programs.iter().enumerate() {
            embed(&format!("details-{at}"), &serde_json::to_string(&program.details)?, out)?;
            match &program.picture {
                Some(Picture { json: Some(json) }) => embed(&format!("picture-{at}"), json, out)?,
                Some(_) => embed(&format!("picture-{at}"), "null", out)?,
                None => {}
            }
        }
        until("{{script}}", out)?;
        out.write_all(SCRIPT.as_bytes())?;
        until("\0", out)
    }
}

/// Writes JSON into the page. In it `<`, `>` and `&` can stand in strings only, where they are spelt as escapes: nothing
/// in it ends the element or begins another.
fn embed(id: &str, json: &str, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "<script type=\"application/json\" id=\"{id}\">")?;
    let mut rest = json;
    while let Some(at) = rest.find(['<', '>', '&']) {
        let (before, found) = rest.split_at(at);
        out.write_all(before.as_bytes())?;
        let mut chars = found.chars();
        write!(out, "\\u{:04x}", chars.next().map_or(0, u32::from))?;
        rest = chars.as_str();
    }
    writeln!(out, "{rest}</script>")
}

#[cfg(test)]
mod tests;
