//! The report as JSON, version 1. Fields may be added, none is taken away.

use super::{KernelRun, Row, Totals};
use crate::diff::{Difference, Status};
use livediff_capture::Verdict;
use serde::Serialize;
use std::io;

#[derive(Serialize)]
struct Report<'r> {
    version: u32,
    kernels: Vec<Kernel<'r>>,
    totals: Counts,
}

#[derive(Serialize)]
struct Kernel<'r> {
    name: &'r str,
    release: &'r str,
    dialect: &'r str,
    /// There only where it is true.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dialect_forced: bool,
    accel: &'r str,
    programs: Vec<Program<'r>>,
}

#[derive(Serialize)]
struct Program<'r> {
    object: &'r str,
    program: &'r str,
    status: Status,
    insns: usize,
    lines: usize,
    verdict: Verdict,
    reason: Option<&'r str>,
    /// A unified diff, from the kernel to the model.
    diff: Option<&'r str>,
    /// Where the first difference is.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<First<'r>>,
}

#[derive(Serialize)]
struct First<'r> {
    line: usize,
    column: usize,
    pass: Option<&'r str>,
    subprog: Option<u32>,
    insn: Option<u32>,
    kernel: Option<&'r str>,
    model: Option<&'r str>,
}

#[derive(Serialize)]
struct Counts {
    #[serde(rename = "match")]
    matching: usize,
    mismatch: usize,
    not_compared: usize,
}

impl<'r> From<&'r Row> for Program<'r> {
    fn from(row: &'r Row) -> Self {
        let comparison = &row.comparison;
        let difference = comparison.difference.as_ref();
        Program {
            object: &row.object,
            program: &row.program,
            status: comparison.status,
            insns: row.insns,
            lines: comparison.lines,
            verdict: row.verdict,
            reason: comparison.reason.as_deref(),
            diff: difference.map(|difference| difference.unified.as_str()),
            first: difference.map(First::from),
        }
    }
}

impl<'r> From<&'r Difference> for First<'r> {
    fn from(difference: &'r Difference) -> Self {
        let place = &difference.place;
        First {
            line: difference.line,
            column: difference.column,
            pass: place.pass.as_deref(),
            subprog: place.subprog.as_ref().map(|(subprog, _)| *subprog),
            insn: place.insn.as_ref().map(|(insn, _)| *insn),
            kernel: difference.kernel.as_deref(),
            model: difference.model.as_deref(),
        }
    }
}

/// Writes the report of a run as JSON.
pub fn to_json(kernels: &[KernelRun], out: &mut dyn io::Write) -> io::Result<()> {
    let totals = Totals::of(kernels);
    let report = Report {
        version: 1,
        kernels: kernels
            .iter()
            .map(|kernel| Kernel {
                name: &kernel.name,
                release: &kernel.release,
                dialect: &kernel.dialect,
                dialect_forced: kernel.dialect_forced,
                accel: &kernel.accel,
                programs: kernel.rows.iter().map(Program::from).collect(),
            })
            .collect(),
        totals: Counts {
            matching: totals.count(Status::Match),
            mismatch: totals.count(Status::Mismatch),
            not_compared: totals.not_compared(),
        },
    };
    serde_json::to_writer_pretty(&mut *out, &report)?;
    out.write_all(b"\n")
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
                    kernel: None,
                    model: Some("x".into()),
                    unified: "@@ -3,0 +3,1 @@\n+x\n".into(),
                }),
                ..matching.comparison.clone()
            },
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
        to_json(&[kernel, forced], &mut bytes).unwrap();
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
                               "kernel": null, "model": "x"}},
                    {"object": "a.o", "program": "", "status": "not_loadable",
                     "insns": 0, "lines": 0, "verdict": "not_run", "reason": "cut", "diff": null}]},
                {"name": "", "release": "", "dialect": "", "dialect_forced": true, "accel": "", "programs": []}],
            "totals": {"match": 1, "mismatch": 1, "not_compared": 1}});
        assert_eq!(found, expected);
    }
}
