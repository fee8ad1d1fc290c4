//! The report as one page that a browser shows from disk: it loads nothing, and its policy forbids it to.
//!
//! The page holds an index of all programs and, apart from it, what is known of each, as JSON that is not read before the
//! program is opened. Names, logs and reasons come from objects and kernels that need not be friendly: they are JSON in
//! which `<` is never spelt, and the page's script makes them visible as text only.
use super::{Picture, Report, Tone, Totals, between, picture::Missing};
use crate::diff::Difference;
use livediff_capture::Verdict;
use serde::Serialize;
use std::{
    collections::HashMap,
    io::{self, Write},
    sync::atomic::{AtomicUsize, Ordering},
};

/// Most bytes of the pictures on a page. Programs in which kernel and model differ have theirs in any case, of the others
/// the smallest.
pub const MAX_PICTURES: usize = 48 << 20;
/// Most bytes of pictures that are kept while programs are still being compared, but for those that differ.
const MAX_KEPT: usize = 512 << 20;
/// Most facts of a difference that are listed.
const MAX_FACTS: usize = 40;

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");

/// How much memory the pictures take that are kept while programs are compared, on any thread.
#[derive(Debug)]
pub struct Kept {
    bytes: AtomicUsize,
    max: usize,
}

impl Default for Kept {
    fn default() -> Kept {
        Kept { bytes: AtomicUsize::new(0), max: MAX_KEPT }
    }
}

impl Kept {
    /// The picture, or where there is no room that there was one. One of a program in which kernel and model differ is
    /// always kept.
    pub fn keep(&self, mut picture: Picture) -> Picture {
        let length = picture.len();
        if !picture.differs
            && self.bytes.fetch_add(length, Ordering::Relaxed).saturating_add(length) > self.max
        {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
            picture.leave_out();
        }
        picture
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

/// Writes the report of a run as a page, with the pictures that its rows have.
pub fn to_html(report: &Report, out: &mut dyn Write) -> io::Result<()> {
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
            programs.push(Program {
                kernel: at,
                object: &row.object,
                program: &row.program,
                status: comparison.status.name(),
                tone: comparison.status.into(),
                insns: row.insns,
                details: Details {
                    reason: comparison.reason.as_deref(),
                    verdict: Some(verdict(row.verdict).to_owned()),
                    lines: comparison.lines,
                    also: Vec::new(),
                    difference: comparison.difference.as_ref().map(Differs::new),
                },
                picture: row.picture.clone(),
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
        Program {
            kernel: both,
            object: &row.object,
            program: &row.program,
            status: between.class.name(),
            tone: between.class.into(),
            insns: row.insns,
            details: Details {
                reason: between.reason.as_deref(),
                verdict: Some(format!("A: {}, B: {}", verdict(row.verdicts[0]), verdict(row.verdicts[1]))),
                lines: between.lines,
                also: between::remarks(between),
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
    /// `analyzed`, `rejected`, `not_loadable` or `broke_down`.
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
    /// Takes pictures of programs in which nothing differs away until the rest fits into `max` bytes, and says which
    /// pictures are missing.
    fn fit(&mut self, max: usize) {
        let all = self.programs.len();
        let mut pictures: Vec<&mut Picture> =
            self.programs.iter_mut().filter_map(|program| program.picture.as_mut()).collect();
        pictures.sort_by_key(|picture| (!picture.differs, picture.len()));
        let mut bytes = 0;
        let (mut left_out, mut too_long, mut failed) = (0, 0, 0);
        for picture in pictures {
            if !picture.differs && bytes + picture.len() > max {
                picture.leave_out();
            }
            bytes += picture.len();
            match picture.json {
                Ok(_) => {}
                Err(Missing::LeftOut) => left_out += 1,
                Err(Missing::TooLong(_)) => too_long += 1,
                Err(Missing::Failed(_)) => failed += 1,
            }
        }
        for (count, what) in [
            (
                left_out,
                "were left out, because the page would be too large; in none of these do kernel and model differ. A report \
                 on fewer programs has them",
            ),
            (too_long, "are not there, because each is too large by itself"),
            (failed, "could not be made, which is a defect of livediff; the programs say why"),
        ] {
            if count > 0 {
                self.notes.push(format!("The pictures of {count} of {all} programs {what}."));
            }
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
            let has_picture = program.picture.as_ref().is_some_and(|picture| picture.json.is_ok());
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
                Some(Picture { json: Ok(json), .. }) => embed(&format!("picture-{at}"), json, out)?,
                Some(Picture { json: Err(missing), .. }) => {
                    let missing = serde_json::json!({"missing": missing.to_string()});
                    embed(&format!("picture-{at}"), &missing.to_string(), out)?;
                }
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
