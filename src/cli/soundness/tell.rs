//! What came out, for people and for machines.

use super::judge::{Judged, Kind, Oracle, Seen, Status, Told};
use crate::cli::output::Output;
use livediff::{
    Dialect,
    bpf::{disasm, kfunc},
    interpret::End,
    report::terminal::{counted, printable, printable_lines},
    soundness::{Coverage, Limits},
};
use livediff_capture::{Loaded, Verdict};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::PathBuf,
    time::Instant,
};

/// Programs without a finding that are named under a heading.
const NAMED: usize = 10;
/// Findings that are shown whole if none was reduced.
const SHOWN: usize = 5;

/// Reasons of kernels to refuse random programs that are shown.
const REFUSALS: usize = 3;

/// Everything that came out.
pub(super) struct Report {
    seed: u64,
    limits: Limits,
    programs: Vec<Judged>,
    pub(super) reduced: Vec<Small>,
    /// Kinds of findings that are beyond those that are reduced, or that there was no time for.
    pub(super) not_reduced: Vec<Kind>,
    started: Instant,
    /// What kept kernels from saying all.
    pub(super) incomplete: Vec<String>,
}

/// A finding, reduced.
pub(super) struct Small {
    /// The program that it was found in.
    pub(super) of: String,
    pub(super) dialect: &'static str,
    /// Instructions before and after.
    pub(super) insns: (usize, usize),
    pub(super) text: String,
    /// The program.
    pub(super) listing: String,
    pub(super) minimal: bool,
    pub(super) written: Option<PathBuf>,
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    seed: u64,
    paths_per_entry: u32,
    steps: u32,
    totals: BTreeMap<&'static str, usize>,
    coverage: JsonCoverage,
    observed: Option<JsonSeen>,
    reduced: Vec<JsonSmall<'a>>,
    programs: Vec<JsonProgram<'a>>,
    incomplete: &'a [String],
}

#[derive(Serialize)]
struct JsonCoverage {
    paths: u64,
    steps: u64,
    reads: u64,
    answers: u64,
    executed: u32,
    reachable: u32,
    ends: BTreeMap<String, u64>,
}

impl From<&Coverage> for JsonCoverage {
    fn from(coverage: &Coverage) -> JsonCoverage {
        let Coverage { paths, steps, reads, answers, executed, reachable, ends } = coverage;
        let ends = ends.iter().map(|(end, count)| (end_name(*end), *count)).collect();
        let (paths, steps, reads, answers) = (*paths, *steps, *reads, *answers);
        JsonCoverage { paths, steps, reads, answers, executed: *executed, reachable: *reachable, ends }
    }
}

#[derive(Serialize)]
struct JsonSmall<'a> {
    of: &'a str,
    dialect: &'a str,
    insns_before: usize,
    insns: usize,
    text: &'a str,
    listing: &'a str,
    minimal: bool,
}

#[derive(Serialize)]
struct JsonProgram<'a> {
    object: &'a str,
    program: &'a str,
    kernel: Option<&'a str>,
    dialect: Option<&'static str>,
    insns: usize,
    status: &'static str,
    reason: Option<&'a str>,
    coverage: JsonCoverage,
    verdict: Option<Verdict>,
    refusal: Option<&'a str>,
    observed: Option<JsonSeen>,
    findings: Vec<JsonFinding<'a>>,
}

#[derive(Serialize)]
struct JsonSeen {
    slots: u64,
    reads: u64,
    unreachable: u64,
    explained: BTreeMap<String, u64>,
}

impl From<&Seen> for JsonSeen {
    fn from(seen: &Seen) -> JsonSeen {
        let explained = seen.explained.iter().map(|(why, count)| (why.text().to_owned(), *count)).collect();
        JsonSeen { slots: seen.slots, reads: seen.reads, unreachable: seen.unreachable, explained }
    }
}

#[derive(Serialize)]
struct JsonFinding<'a> {
    oracle: &'static str,
    short: &'a str,
    text: &'a str,
    /// Of what the interpreter found.
    frame: Option<usize>,
    half_slot: Option<u32>,
    dead_insn: Option<u32>,
    read_insn: Option<u32>,
    written_insn: Option<u32>,
}

impl<'a> From<&'a Told> for JsonFinding<'a> {
    fn from(told: &'a Told) -> JsonFinding<'a> {
        let finding = told.finding.as_ref().map(|(finding, _)| finding);
        JsonFinding {
            oracle: told.oracle.name(),
            short: &told.short,
            text: &told.text,
            frame: finding.map(|finding| finding.frame),
            half_slot: finding.map(|finding| finding.half_slot),
            dead_insn: finding.map(|finding| finding.dead.insn),
            read_insn: finding.map(|finding| finding.read.insn),
            written_insn: finding.and_then(|finding| finding.written.as_ref()).map(|step| step.insn),
        }
    }
}

impl Report {
    pub(super) fn new(seed: u64, limits: Limits) -> Report {
        Report {
            seed,
            limits,
            programs: Vec::new(),
            reduced: Vec::new(),
            not_reduced: Vec::new(),
            started: Instant::now(),
            incomplete: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, judged: Judged) {
        self.programs.push(judged);
    }

    /// Everything has come: put it in order.
    pub(super) fn finish(&mut self) {
        self.programs.sort_by(|a, b| {
            let key = |judged: &Judged| (judged.object.clone(), judged.dialect, judged.kernel.clone());
            let number = |judged: &Judged| judged.program.len();
            key(a).cmp(&key(b)).then_with(|| (number(a), &a.program).cmp(&(number(b), &b.program)))
        });
    }

    /// Findings.
    pub(super) fn findings(&self) -> usize {
        self.programs.iter().map(|judged| judged.findings.len()).sum()
    }

    /// Programs of which something was checked.
    pub(super) fn checked(&self) -> usize {
        self.count(Status::Clean) + self.count(Status::Found)
    }

    pub(super) fn program(&self, place: usize) -> Option<&Judged> {
        self.programs.get(place)
    }

    fn count(&self, status: Status) -> usize {
        self.programs.iter().filter(|judged| judged.status == status).count()
    }

    /// The kinds of findings, each with the place of the smallest program that has one.
    pub(super) fn kinds(&self) -> Vec<(Kind, usize)> {
        let mut kinds: Vec<(Kind, usize)> = Vec::new();
        let mut places: Vec<usize> = (0..self.programs.len()).collect();
        places.sort_by_key(|place| self.programs.get(*place).map(|judged| judged.insns));
        for place in places {
            for told in self.programs.get(place).map_or(&[][..], |judged| &judged.findings) {
                if let Some((_, kind)) = &told.finding
                    && !kinds.iter().any(|(known, _)| known == kind)
                {
                    kinds.push((*kind, place));
                }
            }
        }
        kinds
    }

    /// Programs with findings of kernels alone.
    pub(super) fn without_kinds(&self) -> impl Iterator<Item = &Judged> {
        let alone = |judged: &&Judged| judged.findings.iter().all(|told| told.finding.is_none());
        self.programs.iter().filter(|judged| judged.status == Status::Found).filter(alone)
    }

    /// What observing kernels saw, in all.
    fn seen(&self) -> Option<Seen> {
        let mut sum: Option<Seen> = None;
        for seen in self.programs.iter().filter_map(|judged| judged.seen.as_ref()) {
            let Some(sum) = &mut sum else {
                sum = Some(seen.clone());
                continue;
            };
            sum.slots += seen.slots;
            sum.reads += seen.reads;
            sum.unreachable += seen.unreachable;
            for ((_, sum), (_, count)) in sum.explained.iter_mut().zip(&seen.explained) {
                *sum += count;
            }
        }
        sum
    }

    fn coverage(&self) -> Coverage {
        let mut sum = Coverage::default();
        self.programs.iter().for_each(|judged| sum.add(&judged.coverage));
        sum
    }

    pub(super) fn tell(&self, output: &Output) {
        let found: Vec<&Judged> =
            self.programs.iter().filter(|judged| judged.status == Status::Found).collect();
        for judged in &found {
            let shorts: Vec<&str> = judged.findings.iter().map(|told| told.short.as_str()).collect();
            let by = judged.kernel.as_ref().map(|kernel| format!(" on {kernel}")).unwrap_or_default();
            let differs = judged.findings.iter().all(|told| told.oracle == Oracle::Differs);
            let what = if differs { "DIFFERS" } else { "NOT LIVE" };
            output.line(&printable(&format!(
                "  {what} [{}{by}] {}: {}",
                judged.dialect.map_or("", Dialect::id),
                judged.name(),
                shorts.join("; ")
            )));
        }
        let others = found.iter().flat_map(|judged| &judged.findings).filter(|told| told.finding.is_none());
        let mut shown: Vec<&str> = Vec::new();
        for told in others {
            let text = told.text.as_str();
            if shown.len() < SHOWN && !shown.contains(&text) {
                shown.push(text);
                output.line(&printable_lines(&format!("\n{}\n{text}", told.short)));
            }
        }
        let left = self
            .not_reduced
            .iter()
            .filter_map(|kind| found.iter().find_map(|judged| Some((judged, judged.told(*kind)?))));
        for (judged, told) in left.take(SHOWN) {
            output.line(&printable_lines(&format!("\n{}, not reduced:\n{}", judged.name(), told.text)));
        }
        if let Some(more @ 1..) = self.not_reduced.len().checked_sub(SHOWN) {
            output.line(&format!("  and {}", counted(more, "more kind")));
        }
        for small in &self.reduced {
            let Small { of, dialect, insns: (before, after), text, listing, minimal, written } = small;
            let place = written.as_ref().map(|path| format!(": {}", path.display())).unwrap_or_default();
            let whole = if *minimal { "" } else { ", not minimal" };
            output.line(&printable_lines(&format!(
                "\n[{dialect}] {of}, reduced from {} to {after}{whole}{place}\n{listing}{text}",
                counted(*before, "instruction")
            )));
        }
        self.name(output, Status::Unchecked, "not checked, although it reads the stack");
        self.reasons(output);
        for reason in &self.incomplete {
            output.line(&printable_lines(&format!("incomplete: {reason}")));
        }
        if let Some(seen) = self.seen() {
            output.line(&format!(
                "Observed by kernels: {} slots live before instructions, {} of them read there, {} more in what is \
                 never reached",
                seen.slots, seen.reads, seen.unreachable
            ));
            for (why, count) in seen.explained.iter().filter(|(_, count)| *count > 0) {
                output.line(&format!("{count:>10} of them called dead because of {}", why.text()));
            }
        }
        self.random(output);
        let coverage = self.coverage();
        let share = 100.0 * f64::from(coverage.executed) / f64::from(coverage.reachable.max(1));
        let mut ends: Vec<(End, u64)> = coverage.ends.clone();
        ends.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let ends: Vec<String> =
            ends.iter().map(|(end, count)| format!("{count} {}", end_name(*end))).collect();
        if !ends.is_empty() {
            output.line(&format!("paths ended: {}", ends.join(", ")));
        }
        output.line(&format!(
            "Summary [{:.1} s] {}: {} found, {} clean, {} without stack reads, {} unchecked, {} not decided; \
             {} paths, {} instructions ({share:.1} % of the reachable ones at least once), {} reads of half-slots, \
             {} answers; {} findings",
            self.started.elapsed().as_secs_f32(),
            counted(self.programs.len(), "program"),
            self.count(Status::Found),
            self.count(Status::Clean),
            self.count(Status::NoReads),
            self.count(Status::Unchecked),
            self.count(Status::NotDecided),
            coverage.paths,
            coverage.steps,
            coverage.reads,
            coverage.answers,
            self.findings()
        ));
    }

    /// By kernel, what it made of random programs: how many it was given and how many it took, and of how many of those
    /// that it took reads were checked.
    fn shares(&self) -> BTreeMap<&str, [usize; 3]> {
        let mut shares: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
        for judged in self.programs.iter().filter(|judged| judged.invented) {
            let Some(kernel) = &judged.kernel else { continue };
            let [given, taken, read] = shares.entry(kernel).or_default();
            let accepted = judged.verdict == Some(Verdict::Accepted);
            let reads = match &judged.seen {
                Some(seen) => seen.reads > 0,
                None => judged.coverage.reads > 0,
            };
            *given += 1;
            *taken += usize::from(accepted);
            *read += usize::from(accepted && reads);
        }
        shares
    }

    /// What kernels made of random programs.
    fn random(&self, output: &Output) {
        for (kernel, [given, taken, read]) in self.shares() {
            let share = |count: usize| 100.0 * count as f64 / given.max(1) as f64;
            output.line(&printable(&format!(
                "Linux {kernel} accepted {taken} of {} ({:.0} %), {read} of them with reads that were checked \
                 ({:.0} %)",
                counted(given, "random program"),
                share(taken),
                share(read)
            )));
            if read == 0 {
                output.line(&printable(&format!(
                    "warning: of no random program that Linux {kernel} accepts a read was checked: that nothing was \
                     found says nothing of this kernel"
                )));
            }
            let mut reasons: HashMap<&str, usize> = HashMap::new();
            let refused = self.programs.iter().filter(|judged| judged.kernel.as_deref() == Some(kernel));
            for reason in
                refused.filter(|judged| judged.invented).filter_map(|judged| judged.refusal.as_deref())
            {
                *reasons.entry(reason).or_default() += 1;
            }
            let mut reasons: Vec<_> = reasons.into_iter().collect();
            reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
            for (reason, count) in reasons.into_iter().take(REFUSALS) {
                output.line(&printable(&format!("{count:>7} refused: {reason}")));
            }
        }
    }

    fn name(&self, output: &Output, status: Status, what: &str) {
        let names: Vec<String> =
            self.programs.iter().filter(|judged| judged.status == status).map(Judged::name).collect();
        for name in names.iter().take(NAMED) {
            output.line(&printable(&format!("{what}: {name}")));
        }
        if let Some(more @ 1..) = names.len().checked_sub(NAMED) {
            output.line(&format!("  and {}", counted(more, "other program")));
        }
    }

    fn reasons(&self, output: &Output) {
        let mut reasons: HashMap<&str, Vec<&Judged>> = HashMap::new();
        for judged in self.programs.iter().filter(|judged| judged.status == Status::NotDecided) {
            reasons.entry(judged.reason.as_deref().unwrap_or_default()).or_default().push(judged);
        }
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(reason, programs)| (std::cmp::Reverse(programs.len()), *reason));
        for (reason, programs) in reasons.iter().take(NAMED) {
            let name = programs.first().map(|judged| judged.name()).unwrap_or_default();
            let line = reason.lines().next().unwrap_or_default();
            output.line(&printable(&format!("{:>7} not decided, such as {name}: {line}", programs.len())));
        }
        if let Some(more @ 1..) = reasons.len().checked_sub(NAMED) {
            output.line(&format!("        and for {}", counted(more, "other reason")));
        }
    }

    pub(super) fn to_json(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let totals = Status::ALL.map(|status| (status.name(), self.count(status)));
        let json = Json {
            version: 1,
            seed: self.seed,
            paths_per_entry: self.limits.paths,
            steps: self.limits.steps,
            totals: totals.into_iter().chain([("findings", self.findings())]).collect(),
            coverage: (&self.coverage()).into(),
            observed: self.seen().as_ref().map(JsonSeen::from),
            reduced: self.reduced.iter().map(JsonSmall::from).collect(),
            programs: self.programs.iter().map(JsonProgram::from).collect(),
            incomplete: &self.incomplete,
        };
        serde_json::to_writer_pretty(&mut *out, &json)?;
        writeln!(out)
    }
}

impl<'a> From<&'a Small> for JsonSmall<'a> {
    fn from(small: &'a Small) -> JsonSmall<'a> {
        JsonSmall {
            of: &small.of,
            dialect: small.dialect,
            insns_before: small.insns.0,
            insns: small.insns.1,
            text: &small.text,
            listing: &small.listing,
            minimal: small.minimal,
        }
    }
}

impl<'a> From<&'a Judged> for JsonProgram<'a> {
    fn from(judged: &'a Judged) -> JsonProgram<'a> {
        JsonProgram {
            object: &judged.object,
            program: &judged.program,
            kernel: judged.kernel.as_deref(),
            dialect: judged.dialect.map(Dialect::id),
            insns: judged.insns,
            status: judged.status.name(),
            reason: judged.reason.as_deref(),
            coverage: (&judged.coverage).into(),
            verdict: judged.verdict,
            refusal: judged.refusal.as_deref(),
            observed: judged.seen.as_ref().map(JsonSeen::from),
            findings: judged.findings.iter().map(JsonFinding::from).collect(),
        }
    }
}

/// How paths ended, in words.
fn end_name(end: End) -> String {
    match end {
        End::Exit => "at an exit".to_owned(),
        End::Limit => "after the last step".to_owned(),
        End::Refused(reason) => format!("refused: {reason}"),
    }
}

/// The instructions of a program, one to a line.
pub(super) fn listing(loaded: &Loaded, dialect: Dialect) -> String {
    let mut text = String::new();
    let mut at = 0;
    while let Some(insn) = loaded.insns.get(at) {
        text.push_str(&format!("{at:4}: "));
        let name = |call: &livediff_capture::Insn| kfunc::name(loaded, dialect, call);
        disasm::write_insn(&mut text, &loaded.insns, at, dialect, &name);
        text.push('\n');
        at += insn.slots();
    }
    text
}
