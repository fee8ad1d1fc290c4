//! Findings made small.

use super::{
    SoundnessFlags,
    judge::{Judged, Kind, Told, of_model},
    tell::{Report, Small},
};
use crate::cli::output::{self, Output};
use anyhow::{Context, Result, bail};
use livediff::{
    Dialect,
    assemble::{self, Program},
    bpf::btf::Btf,
    fuzz, guard,
    reduce::{self, Oracle},
    report::terminal::printable_lines,
    soundness::Limits,
};
use livediff_capture::Loaded;
use livediff_harness::run::Cancel;
use rayon::prelude::*;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Findings that are reduced: one of each kind, and as many kinds.
const KINDS: usize = 12;
/// Time for the reduction of one.
const TIME: Duration = Duration::from_secs(60);
/// The BTF of no kernel: a header, no types, and the empty string.
const NO_TYPES: [u8; 25] = {
    let mut header = [0; 25];
    header[0] = 0x9f;
    header[1] = 0xeb;
    header[2] = 1;
    header[4] = 24;
    header[20] = 1;
    header
};

/// Whether a program shows a finding, in the model's answers.
struct Paths<'a> {
    like: &'a Loaded,
    dialect: Dialect,
    limits: Limits,
    kind: Kind,
    cancel: &'a Cancel,
    deadline: Instant,
}

impl Paths<'_> {
    fn find(&self, program: &Program) -> Option<(Loaded, Told)> {
        let loaded = program.link(self.like).ok()?;
        // A candidate on which the model breaks down is none.
        let judged = guard::guarded(|| of_model(&loaded, self.dialect, &self.limits)).ok()?;
        let (findings, ..) = judged.ok()?;
        let told = findings
            .into_iter()
            .find(|told| told.finding.as_ref().is_some_and(|(_, kind)| *kind == self.kind))?;
        Some((loaded, told))
    }
}

impl Oracle for Paths<'_> {
    fn shows(&mut self, candidates: &[Program]) -> Option<Vec<bool>> {
        if self.cancel.is_cancelled() || Instant::now() >= self.deadline {
            return None;
        }
        Some(candidates.par_iter().map(|candidate| self.find(candidate).is_some()).collect())
    }
}

/// Reduces a finding of each kind, the one in the smallest program. What could not be written comes back; it is reduced
/// none the less.
pub(super) fn reduce_all(
    report: &mut Report,
    flags: &SoundnessFlags,
    limits: Limits,
    cancel: &Cancel,
    output: &Output,
) -> Vec<anyhow::Error> {
    let kinds = report.kinds();
    let mut failures = Vec::new();
    let others = kinds.len();
    if let Some(folder) = &flags.output {
        for (number, judged) in report.without_kinds().take(KINDS).enumerate() {
            let name = format!("unsound_{}_{}", flags.seed, others + number);
            match write_whole(folder, &name, judged) {
                Ok(path) => output.line(&printable_lines(&format!("{}: {}", judged.name(), path.display()))),
                Err(error) => failures.push(error.context(judged.name())),
            }
        }
    }
    if kinds.is_empty() {
        return failures;
    }
    let task = output.task("reducing");
    task.expect(kinds.len().min(KINDS));
    for (number, (kind, place)) in kinds.into_iter().enumerate() {
        if number >= KINDS || cancel.is_cancelled() {
            report.not_reduced.push(kind);
            continue;
        }
        let Some(judged) = report.program(place) else { continue };
        let small = reduced(judged, kind, flags, limits, cancel);
        task.advance();
        let name = format!("unsound_{}_{number}", flags.seed);
        let mut written = |program: &Program, text: &str| {
            let written = flags.output.as_ref().map(|folder| write(folder, &name, program, text));
            written.transpose().unwrap_or_else(|failure| {
                failures.push(failure);
                None
            })
        };
        let why = match small {
            Ok(Some((program, small))) => {
                let written = written(&program, &small.text);
                report.reduced.push(Small { written, ..small });
                continue;
            }
            Ok(None) => "what was taken apart and linked again does not show it".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        // Nothing is lost: it is told as it was found, and the program is written whole.
        let text = judged.told(kind).map_or("", |told| told.text.as_str());
        let place = match whole(judged) {
            Ok(program) => written(&program, text),
            Err(_) => None,
        };
        let place = place.map(|path| format!(": {}", path.display())).unwrap_or_default();
        let line = format!("\n{}: not reduced: {why}{place}\n{text}", judged.name());
        output.line(&printable_lines(&line));
    }
    failures
}

/// Writes a reduced program as source and as object. The path of the source.
fn write(folder: &Path, name: &str, program: &Program, text: &str) -> Result<PathBuf> {
    let source = assemble::source(program, text).context("a reduced program")?;
    let object = assemble::object(std::slice::from_ref(program)).context("a reduced program")?;
    let path = folder.join(format!("{name}.bpf.c"));
    output::write_report(&path, |out| out.write_all(source.as_bytes()))?;
    output::write_report(&folder.join(format!("{name}.bpf.o")), |out| out.write_all(&object))?;
    Ok(path)
}

/// Writes a program that no path shows to be wrong, and what the kernel said of it.
fn write_whole(folder: &Path, name: &str, judged: &Judged) -> Result<PathBuf> {
    let text = judged.findings.first().map_or("", |told| told.text.as_str());
    write(folder, name, &whole(judged)?, text)
}

/// The program as it was found.
fn whole(judged: &Judged) -> Result<Program> {
    let types = Btf::parse(&NO_TYPES).context("the types of no kernel")?;
    Ok(match (&judged.random, &judged.loaded) {
        (Some(program), _) => (**program).clone(),
        (None, Some(loaded)) => {
            let section = fuzz::section(loaded.prog_type).unwrap_or(reduce::SECTIONS[0]);
            Program::import(&judged.program, section, loaded, &types)?
        }
        (None, None) => bail!("the program is not at hand"),
    })
}

fn reduced(
    judged: &Judged,
    kind: Kind,
    flags: &SoundnessFlags,
    limits: Limits,
    cancel: &Cancel,
) -> Result<Option<(Program, Small)>> {
    let (Some(loaded), Some(dialect)) = (&judged.loaded, judged.dialect) else { return Ok(None) };
    let whole = whole(judged)?;
    let like = Loaded { func_info: Vec::new(), exception_callback: None, ..(**loaded).clone() };
    let mut oracle = Paths { like: &like, dialect, limits, kind, cancel, deadline: Instant::now() + TIME };
    if oracle.find(&whole).is_none() {
        return Ok(None);
    }
    let before = whole.len();
    let mut done = reduce::reduce(whole, flags.seed, &mut oracle);
    done.program.name = assemble::program_name(&judged.program);
    let Some((loaded, told)) = oracle.find(&done.program) else { return Ok(None) };
    let small = Small {
        of: judged.name(),
        dialect: dialect.id(),
        insns: (before, done.program.len()),
        text: told.text,
        listing: super::tell::listing(&loaded, dialect),
        minimal: done.minimal,
        written: None,
    };
    Ok(Some((done.program, small)))
}
