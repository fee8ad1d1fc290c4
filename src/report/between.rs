//! The report of `compare`: what changed between two kernels, for people and as JSON.
//!
//! First comes what changed, by cause: programs that differ first in the same kind of fact are counted together. Then
//! the diffs, of each cause those of the shortest programs, then what only one kernel takes and what was not compared, by
//! reason, and the totals.

use super::{
    junit::{case_of, whole_run},
    qualified,
    terminal::{ADDED, DIM, HEADING, REMOVED, STATUS, counted, printable, some_of, style, unified},
};
use crate::diff::{Between, Class, Fact, Input, Kind};
use livediff_capture::Verdict;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

/// Most programs of a cause whose diffs are shown; all are in the JSON report.
const SHOWN: usize = 3;
/// Most facts shown of a program.
const FACTS: usize = 6;

/// One of the two kernels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// As the user named it.
    pub name: String,
    /// `uname -r`.
    pub release: String,
    /// The generation of its analysis.
    pub dialect: String,
    /// The dialect was chosen by the user.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dialect_forced: bool,
    /// `kvm`, `tcg`, or `replay` where no kernel ran.
    pub accel: String,
}

/// One program.
#[derive(Clone, Debug)]
pub struct Row {
    /// The object, as the user named it.
    pub object: String,
    /// The program in it; empty where the object could not be opened in either kernel.
    pub program: String,
    /// Instruction slots that were loaded, by the kernel that loaded any; 0 where nothing was.
    pub insns: usize,
    /// How the loads ended, in A and in B.
    pub verdicts: [Verdict; 2],
    /// The outcome.
    pub between: Between,
}

impl Row {
    /// `object/program`.
    pub fn name(&self) -> String {
        qualified(&self.object, &self.program)
    }
}

/// What a comparison of two kernels found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// A and B.
    pub kernels: [Kernel; 2],
    /// Every program, once, by object and name.
    pub rows: Vec<Row>,
    /// Why not every program had its turn, if that is so.
    pub incomplete: Option<String>,
}

/// Programs that differ first in the same kind of fact.
#[derive(Clone, Debug)]
pub struct Cause<'r> {
    /// The kind of the fact that differs first.
    pub kind: Kind,
    /// The programs, the shortest first.
    pub rows: Vec<&'r Row>,
    /// The kinds of what differs besides, and in how many of the programs, the most frequent first.
    pub others: Vec<(Kind, usize)>,
}

impl Report {
    /// Programs of that class.
    pub fn count(&self, class: Class) -> usize {
        self.rows.iter().filter(|row| row.between.class == class).count()
    }

    /// Programs in which the kernels differ.
    pub fn differences(&self) -> usize {
        self.rows.iter().filter(|row| row.between.class.is_difference()).count()
    }

    /// Programs that were compared.
    pub fn compared(&self) -> usize {
        self.rows.iter().filter(|row| row.between.class.is_compared()).count()
    }

    /// What changed, by cause; the cause of most programs first.
    pub fn causes(&self) -> Vec<Cause<'_>> {
        let mut causes: BTreeMap<Kind, (Vec<&Row>, BTreeMap<Kind, usize>)> = BTreeMap::new();
        for row in &self.rows {
            let kinds = row.between.kinds();
            let Some((first, rest)) = kinds.split_first() else { continue };
            let (rows, others) = causes.entry(*first).or_default();
            rows.push(row);
            for kind in rest {
                *others.entry(*kind).or_default() += 1;
            }
        }
        let mut causes: Vec<Cause<'_>> = causes
            .into_iter()
            .map(|(kind, (mut rows, others))| {
                rows.sort_by_key(|row| row.insns);
                let mut others: Vec<(Kind, usize)> = others.into_iter().collect();
                others.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
                Cause { kind, rows, others }
            })
            .collect();
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.rows.len()));
        causes
    }
}

/// What is said of a program beside its class and its reason, in sentences.
pub(super) fn remarks(between: &Between) -> Vec<String> {
    let mut remarks: Vec<String> =
        between.inputs.iter().map(|input| format!("not given the same: {}", input.text)).collect();
    let model = match between.as_model {
        Some([true, false]) => Some("A says what the model of its dialect says, B does not"),
        Some([false, true]) => Some("B says what the model of its dialect says, A does not"),
        Some([false, false]) => Some("neither says what the model of its dialect says"),
        Some([true, true]) | None => None,
    };
    remarks.extend(model.map(str::to_owned));
    remarks
}

/// Writes the whole report for people. Text that comes from kernels and objects is made printable.
pub fn to_terminal(report: &Report, elapsed: Duration, out: &mut dyn Write) -> io::Result<()> {
    let causes = report.causes();
    if !causes.is_empty() {
        writeln!(out, "{HEADING}What changed from A to B, by what shows first{HEADING:#}")?;
        for cause in &causes {
            writeln!(out, "{:>5} {}", cause.rows.len(), cause.kind)?;
            some_of(out, &cause.rows.iter().map(|row| row.name()).collect::<Vec<_>>())?;
            for (kind, count) in cause.others.iter().take(FACTS) {
                writeln!(out, "      {DIM}then in {count}: {kind}{DIM:#}")?;
            }
            if cause.others.len() > FACTS {
                writeln!(out, "      {DIM}and {} more kinds{DIM:#}", cause.others.len() - FACTS)?;
            }
        }
        writeln!(out)?;
        for cause in &causes {
            for row in cause.rows.iter().take(SHOWN) {
                changed(out, &report.kernels, row)?;
            }
            if cause.rows.len() > SHOWN {
                let more = cause.rows.len() - SHOWN;
                writeln!(out, "{DIM}[and {more} more of the same kind: {}]{DIM:#}", cause.kind)?;
            }
        }
        writeln!(out)?;
    }
    for (class, heading) in [
        (Class::OnlyInA, "Analysed in A only"),
        (Class::OnlyInB, "Analysed in B only"),
        (
            Class::LoadedDifferently,
            "Not given the same, and different only in what follows from that, by what differed",
        ),
        (Class::NotCompared, "Not compared"),
    ] {
        by_reason(out, report, class, heading)?;
    }
    let explained = report.count(Class::Explained);
    if explained > 0 {
        let [a, b] = &report.kernels;
        writeln!(
            out,
            "Explained by the dialects, {} and {}: {}, where each kernel says what the model of its dialect says\n",
            printable(&a.dialect),
            printable(&b.dialect),
            counted(explained, "program")
        )?;
    }
    let [a, b] = &report.kernels;
    for (which, kernel, other) in [("A", a, b), ("B", b, a)] {
        let forced = if kernel.dialect_forced { ", forced" } else { "" };
        let dialect = printable(&kernel.dialect);
        let release = shown(kernel, other);
        writeln!(out, "{which}  Linux {release} (dialect {dialect}{forced}, {})", kernel.accel)?;
    }
    write!(
        out,
        "\n{HEADING}Summary{HEADING:#} [{:.1} s] {}:",
        elapsed.as_secs_f64(),
        counted(report.rows.len(), "program")
    )?;
    for (at, class) in Class::ALL.into_iter().enumerate() {
        let count = report.count(class);
        let style = if count == 0 { DIM } else { style(class) };
        let name = class.name().replace('_', " ").replace(" a", " A").replace(" b", " B");
        write!(out, "{} {style}{count} {name}{style:#}", if at > 0 { "," } else { "" })?;
    }
    let compared = |row: &&Row| row.between.class.is_compared();
    let lines: usize = report.rows.iter().filter(compared).map(|row| row.between.lines).sum();
    writeln!(out, "; {} compared", counted(lines, "log line"))
}

/// The release of a kernel, and its name where the other kernel has the same release.
fn shown(kernel: &Kernel, other: &Kernel) -> String {
    if kernel.release == other.release && kernel.name != other.name {
        printable(&format!("{}, {}", kernel.release, kernel.name))
    } else {
        printable(&kernel.release)
    }
}

/// A program that is changed: in what, and the diff.
fn changed(out: &mut dyn Write, kernels: &[Kernel; 2], row: &Row) -> io::Result<()> {
    let (between, style) = (&row.between, style(row.between.class));
    let class = between.class.name().to_uppercase();
    writeln!(out, "{style}{class:>STATUS$}{style:#} {}", printable(&row.name()))?;
    let mut line = |text: &str| writeln!(out, "{:STATUS$} {}", "", printable(text));
    if let Some(reason) = &between.reason {
        line(reason)?;
    }
    for remark in remarks(between) {
        line(&remark)?;
    }
    let Some(difference) = &between.difference else { return Ok(()) };
    let facts = &difference.facts;
    for fact in facts.facts.iter().take(FACTS) {
        line(&fact.to_string())?;
    }
    if facts.total > FACTS {
        line(&format!("and {} more facts", facts.total - FACTS))?;
    }
    line(&format!("line {}, column {}: {}", difference.line, difference.column, difference.place))?;
    let [a, b] = kernels;
    writeln!(out, "{REMOVED}--- A: kernel {}{REMOVED:#}", shown(a, b))?;
    writeln!(out, "{ADDED}+++ B: kernel {}{ADDED:#}", shown(b, a))?;
    unified(out, &difference.unified)
}

/// The programs of a class by the reason, of which the first line tells enough here.
fn by_reason(out: &mut dyn Write, report: &Report, class: Class, heading: &str) -> io::Result<()> {
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in report.rows.iter().filter(|row| row.between.class == class) {
        let between = &row.between;
        let inputs = || between.inputs.iter().map(|input| input.kind.name()).collect::<Vec<_>>().join("; ");
        let reason = between.reason.clone().unwrap_or_else(inputs);
        reasons.entry(reason.lines().next().unwrap_or_default().to_owned()).or_default().push(row.name());
    }
    if reasons.is_empty() {
        return Ok(());
    }
    let style = style(class);
    writeln!(out, "{style}{heading}{style:#}")?;
    for (reason, names) in reasons {
        writeln!(out, "{:>5} {}", names.len(), printable(&reason))?;
        some_of(out, &names)?;
    }
    writeln!(out)
}

#[derive(Serialize)]
struct Json<'r> {
    version: u32,
    /// A and B.
    kernels: &'r [Kernel; 2],
    programs: Vec<JsonRow<'r>>,
    causes: Vec<JsonCause>,
    totals: BTreeMap<&'static str, usize>,
    /// There only where not every program had its turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<&'r str>,
}

#[derive(Serialize)]
struct JsonRow<'r> {
    object: &'r str,
    program: &'r str,
    class: Class,
    difference: bool,
    insns: usize,
    lines: usize,
    verdicts: [Verdict; 2],
    reason: Option<&'r str>,
    /// In what the kernels were given different things.
    inputs: &'r [Input],
    /// Whether A and B say what the models of their dialects say; null where no model was asked.
    as_model: Option<[bool; 2]>,
    kinds: Vec<String>,
    /// Of many facts only the first.
    facts: Vec<JsonFact<'r>>,
    facts_total: usize,
    /// A unified diff, from A to B.
    diff: Option<&'r str>,
}

#[derive(Serialize)]
struct JsonFact<'r> {
    /// What differs, how, and at what sort of instruction.
    #[serde(flatten)]
    kind: Kind,
    subprog: Option<u32>,
    insn: Option<u32>,
    depth: Option<u32>,
    callsite: Option<u32>,
    holder: &'r str,
    a: Option<&'r str>,
    b: Option<&'r str>,
    grown: &'r str,
    shrunk: &'r str,
    text: String,
}

#[derive(Serialize)]
struct JsonCause {
    #[serde(flatten)]
    kind: Kind,
    text: String,
    count: usize,
    programs: Vec<String>,
}

impl<'r> From<&'r Fact> for JsonFact<'r> {
    fn from(fact: &'r Fact) -> Self {
        JsonFact {
            kind: fact.kind,
            subprog: fact.subprog,
            insn: fact.insn,
            depth: fact.instance.map(|instance| instance.depth),
            callsite: fact.instance.map(|instance| instance.callsite),
            holder: &fact.holder,
            a: fact.first.as_deref(),
            b: fact.second.as_deref(),
            grown: &fact.grown,
            shrunk: &fact.shrunk,
            text: fact.to_string(),
        }
    }
}

impl<'r> From<&'r Row> for JsonRow<'r> {
    fn from(row: &'r Row) -> Self {
        let between = &row.between;
        let facts = between.difference.as_ref().map(|difference| &difference.facts);
        JsonRow {
            object: &row.object,
            program: &row.program,
            class: between.class,
            difference: between.class.is_difference(),
            insns: row.insns,
            lines: between.lines,
            verdicts: row.verdicts,
            reason: between.reason.as_deref(),
            inputs: &between.inputs,
            as_model: between.as_model,
            kinds: between.kinds().iter().map(Kind::to_string).collect(),
            facts: facts.map(|facts| facts.facts.iter().map(JsonFact::from).collect()).unwrap_or_default(),
            facts_total: facts.map_or(0, |facts| facts.total),
            diff: between.difference.as_ref().map(|difference| difference.unified.as_str()),
        }
    }
}

/// Writes the report as JSON.
pub fn to_json(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let causes = report.causes().into_iter().map(|cause| JsonCause {
        kind: cause.kind,
        text: cause.kind.to_string(),
        count: cause.rows.len(),
        programs: cause.rows.iter().map(|row| row.name()).collect(),
    });
    let json = Json {
        version: 1,
        kernels: &report.kernels,
        programs: report.rows.iter().map(JsonRow::from).collect(),
        causes: causes.collect(),
        totals: Class::ALL.into_iter().map(|class| (class.name(), report.count(class))).collect(),
        incomplete: report.incomplete.as_deref(),
    };
    serde_json::to_writer_pretty(&mut *out, &json)?;
    out.write_all(b"\n")
}

/// Writes the report as JUnit XML: a suite for each object, in which a difference is a failure.
pub fn to_junit(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let [a, b] = &report.kernels;
    let mut junit = quick_junit::Report::new("livediff compare");
    junit.add_test_suites(whole_run(report.incomplete.as_deref(), report.compared()));
    for rows in report.rows.chunk_by(|one, other| one.object == other.object) {
        let Some(first) = rows.first() else { continue };
        let mut suite = quick_junit::TestSuite::new(first.object.as_str());
        suite.add_property(("A", a.release.as_str()));
        suite.add_property(("B", b.release.as_str()));
        suite.add_test_cases(rows.iter().map(case));
        junit.add_test_suite(suite);
    }
    junit.serialize(out).map_err(io::Error::other)
}

fn case(row: &Row) -> quick_junit::TestCase {
    use quick_junit::{NonSuccessKind, TestCaseStatus};
    let (between, class) = (&row.between, row.between.class);
    let mut status = match class {
        _ if class.is_difference() => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Class::NotCompared => TestCaseStatus::skipped(),
        _ => TestCaseStatus::success(),
    };
    if class.is_difference() || class == Class::NotCompared {
        status.set_type(class.name());
        let kind = || between.kind().map(|kind| kind.to_string()).unwrap_or_default();
        status.set_message(between.reason.clone().unwrap_or_else(kind));
        if let Some(difference) = &between.difference {
            status.set_description(format!("{}\n{}", difference.place, difference.unified));
        }
    }
    case_of(&row.object, &row.program, status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::{Change, Difference, Facts, Frame, Site, What};

    fn row(program: &str, class: Class, difference: Option<Difference>) -> Row {
        let mut between = Between::not_compared("why");
        between.class = class;
        if difference.is_some() {
            between.reason = None;
        }
        between.difference = difference;
        Row {
            object: "a.o".into(),
            program: program.into(),
            insns: 3,
            verdicts: [Verdict::NotRun; 2],
            between,
        }
    }

    fn kind(what: What, frame: Option<Frame>) -> Kind {
        Kind { what, frame, change: Change::Grew, site: Some(Site::Call) }
    }

    fn report() -> Report {
        let difference = |kinds: &[Kind]| {
            let fact = Fact {
                kind: kinds[0],
                subprog: Some(0),
                instance: None,
                insn: Some(1),
                holder: String::new(),
                first: None,
                second: None,
                grown: "fp0-8".into(),
                shrunk: String::new(),
                line: 4,
            };
            let facts = Facts { facts: vec![fact], total: 1, kinds: kinds.to_vec() };
            Some(Difference {
                line: 5,
                column: 2,
                unified: "@@ -5 +5 @@\n-x\u{1b}\n+y \n".into(),
                facts,
                ..Difference::default()
            })
        };
        let uses = kind(What::Use, Some(Frame::Caller));
        let regs = kind(What::LiveRegs, None);
        let kernel = |release: &str| Kernel {
            name: "7.2".into(),
            release: release.into(),
            dialect: "7.2".into(),
            accel: "tcg".into(),
            ..Kernel::default()
        };
        Report {
            kernels: [kernel("7.2.1"), kernel("7.2.2")],
            rows: vec![
                row("one", Class::Changed, difference(&[uses, regs])),
                row("two", Class::Changed, difference(&[regs])),
                row("three", Class::Changed, difference(&[uses])),
                row("four", Class::Same, None),
                row("five", Class::OnlyInB, None),
                row("six", Class::NotCompared, None),
                row("seven", Class::Explained, difference(&[uses])),
            ],
            incomplete: None,
        }
    }

    fn plain(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
        let mut stream = anstream::StripStream::new(Vec::new());
        write(&mut stream).unwrap();
        String::from_utf8(stream.into_inner()).unwrap()
    }

    #[test]
    fn causes_are_counted_by_what_shows_first() {
        let report = report();
        let causes = report.causes();
        let counts: Vec<_> = causes.iter().map(|cause| (cause.kind.to_string(), cause.rows.len())).collect();
        assert_eq!(
            counts,
            [
                ("`use:` of the caller's frame: grew, at calls of subprograms".to_owned(), 2),
                ("live registers: grew, at calls of subprograms".to_owned(), 1)
            ]
        );
        assert_eq!(causes[0].others, [(kind(What::LiveRegs, None), 1)]);
        assert_eq!((report.differences(), report.compared()), (4, 6));
    }

    #[test]
    fn people_are_told() {
        let text = plain(|out| to_terminal(&report(), Duration::from_millis(1500), out));
        for part in [
            "    2 `use:` of the caller's frame: grew, at calls of subprograms\n      a.o/one\n      a.o/three\n",
            "      then in 1: live registers: grew, at calls of subprograms\n",
            "       CHANGED a.o/one\n               subprog#0 insn 1 `use:` of the caller's frame: +fp0-8\n               line 5, column 2: ",
            "--- A: kernel 7.2.1\n+++ B: kernel 7.2.2\n@@ -5 +5 @@\n-x\\u{1b}\n+y\u{b7}\n",
            "Analysed in B only\n    1 why\n      a.o/five\n",
            "Not compared\n    1 why\n      a.o/six\n",
            "Explained by the dialects, 7.2 and 7.2: 1 program, where",
            "Summary [1.5 s] 7 programs: 1 same, 1 explained, 0 loaded differently, 3 changed, 0 only in A, 1 only in B, 1 not compared; 0 log lines compared\n",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
    }

    #[test]
    fn machines_are_told() {
        let mut bytes = Vec::new();
        to_json(&report(), &mut bytes).unwrap();
        let found: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(found["totals"]["changed"], 3);
        assert_eq!(found["programs"][0]["facts"][0]["what"], "use");
        assert_eq!(found["programs"][0]["facts"][0]["frame"], "caller");
        assert_eq!(found["programs"][4]["class"], "only_in_b");
        assert_eq!(found["programs"][4]["difference"], true);
        assert_eq!(found["causes"][0]["count"], 2);
        assert_eq!(found["incomplete"], serde_json::Value::Null);
        let mut bytes = Vec::new();
        to_junit(&report(), &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(r#"tests="7" skipped="1" failures="4" errors="0""#), "{text}");
        let mut bytes = Vec::new();
        to_junit(&Report { incomplete: Some("the guest died".into()), ..report() }, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(r#"tests="8" skipped="1" failures="4" errors="1""#), "{text}");
    }
}
