//! The report as JSON, version 1. Fields may be added, none is taken away.

use super::{KernelRun, Report, Row, Shard, Totals};
use crate::diff::{Comparison, Deep, Difference, Place, Status};
use livediff_capture::Verdict;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, io};

/// The version that is written and read.
const VERSION: u32 = 1;

/// Text of a report that is written, or read.
type Text<'r> = Cow<'r, str>;

#[derive(Serialize, Deserialize)]
struct File<'r> {
    version: u32,
    kernels: Vec<Kernel<'r>>,
    totals: Counts,
    /// There only in the report of a part.
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<Shard>,
    /// Why not every program had its turn; there only where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<Text<'r>>,
}

#[derive(Serialize, Deserialize)]
struct Kernel<'r> {
    name: Text<'r>,
    release: Text<'r>,
    dialect: Text<'r>,
    /// There only where it is true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dialect_forced: bool,
    accel: Text<'r>,
    programs: Vec<Program<'r>>,
}

#[derive(Serialize, Deserialize)]
struct Program<'r> {
    object: Text<'r>,
    program: Text<'r>,
    status: Status,
    insns: usize,
    lines: usize,
    verdict: Verdict,
    reason: Option<Text<'r>>,
    /// A unified diff, from the kernel to the model.
    diff: Option<Text<'r>>,
    /// Where the first difference is.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<First<'r>>,
    /// What was compared beyond the log, where something was.
    #[serde(skip_serializing_if = "Option::is_none")]
    deep: Option<Deep>,
}

#[derive(Serialize, Deserialize)]
struct First<'r> {
    line: usize,
    column: usize,
    pass: Option<Text<'r>>,
    subprog: Option<u32>,
    /// There only where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    subprog_name: Option<Text<'r>>,
    insn: Option<u32>,
    /// There only where `insn` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    insn_text: Option<Text<'r>>,
    kernel: Option<Text<'r>>,
    model: Option<Text<'r>>,
}

#[derive(Serialize, Deserialize)]
struct Counts {
    #[serde(rename = "match")]
    matching: usize,
    mismatch: usize,
    not_compared: usize,
    /// Only where something was compared beyond the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    deep: Option<Deep>,
}

impl From<&Totals> for Counts {
    fn from(totals: &Totals) -> Counts {
        Counts {
            matching: totals.count(Status::Match),
            mismatch: totals.count(Status::Mismatch),
            not_compared: totals.not_compared(),
            deep: totals.deep,
        }
    }
}

impl<'r> From<&'r Row> for Program<'r> {
    fn from(row: &'r Row) -> Self {
        let comparison = &row.comparison;
        let difference = comparison.difference.as_ref();
        Program {
            object: Cow::from(&row.object),
            program: Cow::from(&row.program),
            status: comparison.status,
            insns: row.insns,
            lines: comparison.lines,
            verdict: row.verdict,
            reason: comparison.reason.as_deref().map(Cow::from),
            diff: difference.map(|difference| Cow::from(&difference.unified)),
            first: difference.map(First::from),
            deep: row.deep,
        }
    }
}

impl From<Program<'_>> for Row {
    fn from(program: Program<'_>) -> Row {
        let unified = program.diff.map(Cow::into_owned);
        let difference = program.first.map(|first| Difference {
            line: first.line,
            column: first.column,
            place: Place {
                pass: first.pass.map(Cow::into_owned),
                subprog: first.subprog.map(|subprog| (subprog, first.subprog_name.map(Cow::into_owned))),
                insn: first.insn.map(|insn| (insn, first.insn_text.map(Cow::into_owned).unwrap_or_default())),
            },
            minus: first.kernel.map(Cow::into_owned),
            plus: first.model.map(Cow::into_owned),
            unified: unified.unwrap_or_default(),
            ..Difference::default()
        });
        Row {
            object: program.object.into_owned(),
            program: program.program.into_owned(),
            insns: program.insns,
            verdict: program.verdict,
            comparison: Comparison {
                status: program.status,
                lines: program.lines,
                reason: program.reason.map(Cow::into_owned),
                difference,
            },
            picture: None,
            deep: program.deep,
        }
    }
}

impl<'r> From<&'r Difference> for First<'r> {
    fn from(difference: &'r Difference) -> Self {
        let place = &difference.place;
        First {
            line: difference.line,
            column: difference.column,
            pass: place.pass.as_deref().map(Cow::from),
            subprog: place.subprog.as_ref().map(|(subprog, _)| *subprog),
            subprog_name: place.subprog.as_ref().and_then(|(_, name)| name.as_deref().map(Cow::from)),
            insn: place.insn.as_ref().map(|(insn, _)| *insn),
            insn_text: place.insn.as_ref().map(|(_, text)| Cow::from(text)),
            kernel: difference.minus.as_deref().map(Cow::from),
            model: difference.plus.as_deref().map(Cow::from),
        }
    }
}

/// Writes the report of a run as JSON.
pub fn to_json(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let file = File {
        version: VERSION,
        kernels: report
            .kernels
            .iter()
            .map(|kernel| Kernel {
                name: Cow::from(&kernel.name),
                release: Cow::from(&kernel.release),
                dialect: Cow::from(&kernel.dialect),
                dialect_forced: kernel.dialect_forced,
                accel: Cow::from(&kernel.accel),
                programs: kernel.rows.iter().map(Program::from).collect(),
            })
            .collect(),
        totals: Counts::from(&Totals::of(&report.kernels)),
        shard: report.shard.clone(),
        incomplete: report.incomplete.as_deref().map(Cow::from),
    };
    serde_json::to_writer_pretty(&mut *out, &file)?;
    out.write_all(b"\n")
}

/// Why a file is no report that can be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ReadError {
    #[error("it is no report of `livediff diff --json`, or not a whole one: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is a report of version {version}, and this program reads version {VERSION}")]
    Version { version: u32 },
    #[error("its totals are not those of the programs in it: it was cut or altered")]
    Totals,
}

/// Reads what [`to_json`] has written. What a later version of this program has added is passed over.
pub fn from_json(bytes: &[u8]) -> Result<Report, ReadError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_slice(bytes)?;
    if version != VERSION {
        return Err(ReadError::Version { version });
    }
    let file: File<'_> = serde_json::from_slice(bytes)?;
    let kernels: Vec<KernelRun> = file
        .kernels
        .into_iter()
        .map(|kernel| KernelRun {
            name: kernel.name.into_owned(),
            release: kernel.release.into_owned(),
            dialect: kernel.dialect.into_owned(),
            dialect_forced: kernel.dialect_forced,
            accel: kernel.accel.into_owned(),
            rows: kernel.programs.into_iter().map(Row::from).collect(),
        })
        .collect();
    let totals = Totals::of(&kernels);
    let Counts { matching, mismatch, not_compared, deep } = Counts::from(&totals);
    let told = file.totals;
    if (matching, mismatch, not_compared, deep)
        != (told.matching, told.mismatch, told.not_compared, told.deep)
    {
        return Err(ReadError::Totals);
    }
    Ok(Report { kernels, shard: file.shard, incomplete: file.incomplete.map(Cow::into_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::{Comparison, Place};
    use serde_json::json;

    #[test]
    fn the_report_is_version_1() {
        let matching = Row {
            object: "corpus/stack/spill.bpf.o".into(),
            program: "spill_fill".into(),
            insns: 14,
            verdict: Verdict::Accepted,
            comparison: Comparison { status: Status::Match, lines: 52, reason: None, difference: None },
            picture: None,
            deep: None,
        };
        let mismatch = Row {
            program: "other".into(),
            comparison: Comparison {
                status: Status::Mismatch,
                difference: Some(Difference {
                    line: 3,
                    column: 5,
                    place: Place {
                        pass: Some("arg tracking".into()),
                        subprog: Some((0, None)),
                        insn: Some((2, "(95) exit".into())),
                    },
                    minus: None,
                    plus: Some("x".into()),
                    unified: "@@ -3,0 +3,1 @@\n+x\n".into(),
                    ..Difference::default()
                }),
                ..matching.comparison.clone()
            },
            deep: Some(Deep {
                instances: 2,
                masks: 90,
                constants: 7,
                postorder: 14,
                answers: 5,
                differing: 1,
            }),
            ..matching.clone()
        };
        let kernel = KernelRun {
            name: "7.2".into(),
            release: "7.2.12+deb13-cloud-amd64".into(),
            dialect: "7.2".into(),
            accel: "tcg".into(),
            rows: vec![matching, mismatch, Row::not_loaded("a.o", "", Status::NotLoadable, "cut")],
            ..KernelRun::default()
        };
        let forced = KernelRun { dialect_forced: true, ..KernelRun::default() };
        let mut bytes = Vec::new();
        let mut report = Report { kernels: vec![kernel, forced], ..Report::default() };
        to_json(&report, &mut bytes).unwrap();
        let found: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let expected = json!({"version": 1,
            "kernels": [{"name": "7.2", "release": "7.2.12+deb13-cloud-amd64", "dialect": "7.2", "accel": "tcg",
                "programs": [
                    {"object": "corpus/stack/spill.bpf.o", "program": "spill_fill", "status": "match",
                     "insns": 14, "lines": 52, "verdict": "accepted", "reason": null, "diff": null},
                    {"object": "corpus/stack/spill.bpf.o", "program": "other", "status": "mismatch",
                     "insns": 14, "lines": 52, "verdict": "accepted", "reason": null,
                     "diff": "@@ -3,0 +3,1 @@\n+x\n",
                     "first": {"line": 3, "column": 5, "pass": "arg tracking", "subprog": 0, "insn": 2,
                               "insn_text": "(95) exit", "kernel": null, "model": "x"},
                     "deep": {"instances": 2, "masks": 90, "constants": 7, "postorder": 14, "answers": 5,
                              "differing": 1}},
                    {"object": "a.o", "program": "", "status": "not_loadable",
                     "insns": 0, "lines": 0, "verdict": "not_run", "reason": "cut", "diff": null}]},
                {"name": "", "release": "", "dialect": "", "dialect_forced": true, "accel": "", "programs": []}],
            "totals": {"match": 1, "mismatch": 1, "not_compared": 1,
                       "deep": {"instances": 2, "masks": 90, "constants": 7, "postorder": 14, "answers": 5,
                                "differing": 1}}});
        assert_eq!(found, expected);

        // What is read is what was written, to the byte.
        report.shard = Some(Shard { index: 2, count: 5, of: "00ff".into() });
        report.incomplete = Some("the run was interrupted".into());
        let written = |report: &Report| {
            let mut bytes = Vec::new();
            to_json(report, &mut bytes).unwrap();
            bytes
        };
        let bytes = written(&report);
        assert_eq!(String::from_utf8(written(&from_json(&bytes).unwrap())), String::from_utf8(bytes));
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let mut bytes = Vec::new();
        let kernel = KernelRun {
            rows: vec![Row::not_loaded("a.o", "p", Status::Timeout, "")],
            ..KernelRun::default()
        };
        to_json(&Report { kernels: vec![kernel], ..Report::default() }, &mut bytes).unwrap();
        from_json(&bytes).unwrap();
        for cut in 0..bytes.len() - 1 {
            assert!(from_json(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let text = String::from_utf8(bytes).unwrap();
        let altered = |from: &str, to: &str| from_json(text.replacen(from, to, 1).as_bytes());
        assert!(matches!(
            altered("\"version\": 1", "\"version\": 2"),
            Err(ReadError::Version { version: 2 })
        ));
        assert!(matches!(altered("\"not_compared\": 1", "\"not_compared\": 0"), Err(ReadError::Totals)));
        assert!(matches!(altered("timeout", "late"), Err(ReadError::Json(_))));
    }
}
