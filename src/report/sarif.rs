//! The discrepancies of a report as SARIF 2.1.0, which editors and code scanning services show beside the source.
//!
//! A run of SARIF is a kernel, or a comparison of two. A result is a program in which kernel and model (or the kernels)
//! differ, or one that a guest died on or hung at, as a warning. Its place is the line of the source that the first
//! differing instruction comes from, where that is known, else the object; the program and its subprogram are its
//! logical places. What was not compared is no result: how many programs that are, and whether all had their turn, is
//! told as a notification.

use super::{Report, Row, Totals, between};
use crate::{
    VERSION,
    diff::{Class, Difference, Kind, Status},
    loader::lines::Line,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    path::Path,
};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Finds the line of the source that an instruction of a program comes from, by object, program and instruction.
pub type Sources<'s> = &'s dyn Fn(&str, &str, u32) -> Option<Line>;

/// What a result can be about.
struct Rule {
    id: &'static str,
    short: &'static str,
    full: &'static str,
    level: &'static str,
}

const MISMATCH: Rule = Rule {
    id: "mismatch",
    short: "The kernel's liveness analysis does not say what the model says",
    full: "The kernel printed another liveness section for this program than the model computes: a bug in the kernel, in \
           a backport, or in livediff.",
    level: "error",
};
const CRASHED: Rule = Rule {
    id: "crashed",
    short: "The kernel died on the program",
    full: "The guest that was given this program did not survive it.",
    level: "warning",
};
const TIMEOUT: Rule = Rule {
    id: "timeout",
    short: "The kernel did not answer in time",
    full: "The guest that was given this program had not finished with it when its time was over.",
    level: "warning",
};
const CHANGED: Rule = Rule {
    id: "changed",
    short: "Two kernels analyse the program differently",
    full: "The liveness sections that the two kernels print for this program differ, and neither their dialects nor what \
           they were given explains it.",
    level: "error",
};
const ONLY_IN_A: Rule = Rule {
    id: "only-in-a",
    short: "Only the first kernel analyses the program",
    full: "The second kernel refused this program before its liveness analysis, could not load it, or died on it.",
    level: "error",
};
const ONLY_IN_B: Rule = Rule {
    id: "only-in-b",
    short: "Only the second kernel analyses the program",
    full: "The first kernel refused this program before its liveness analysis, could not load it, or died on it.",
    level: "error",
};

/// What one result is made of.
struct Found<'r> {
    rule: usize,
    object: &'r str,
    program: &'r str,
    name: String,
    message: String,
    difference: Option<&'r Difference>,
    kind: Option<Kind>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: Vec<Value>,
}

/// Writes the report of a run.
pub fn to_sarif(report: &Report, sources: Sources<'_>, out: &mut dyn Write) -> io::Result<()> {
    const RULES: [Rule; 3] = [MISMATCH, CRASHED, TIMEOUT];
    let runs = report.kernels.iter().map(|kernel| {
        let results = kernel.rows.iter().filter_map(|row| {
            let rule = match row.comparison.status {
                Status::Mismatch => 0,
                Status::Crashed => 1,
                Status::Timeout => 2,
                Status::Match | Status::RejectedEarly | Status::NotLoadable => return None,
            };
            let difference = row.comparison.difference.as_ref();
            let found = Found {
                rule,
                object: &row.object,
                program: &row.program,
                name: row.name(),
                message: message(row, &kernel.release),
                difference,
                kind: row.comparison.kind(),
            };
            Some(found.result(&RULES, ["kernel", "model"], sources))
        });
        let totals = Totals::of([kernel]);
        run(
            &format!("diff/{}/", kernel.name),
            &RULES,
            results.collect(),
            (totals.compared(), totals.not_compared(), report.incomplete.as_deref()),
            json!({"release": kernel.release, "dialect": kernel.dialect, "accel": kernel.accel}),
        )
    });
    write(runs.collect(), out)
}

/// Writes the comparison of two kernels.
pub fn between_to_sarif(
    report: &between::Report,
    sources: Sources<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    const RULES: [Rule; 3] = [CHANGED, ONLY_IN_A, ONLY_IN_B];
    let results = report.rows.iter().filter_map(|row| {
        let between = &row.between;
        let rule = match between.class {
            Class::Changed => 0,
            Class::OnlyInA => 1,
            Class::OnlyInB => 2,
            Class::Same | Class::Explained | Class::LoadedDifferently | Class::NotCompared => return None,
        };
        let difference = between.difference.as_ref();
        let kinds = between.kinds();
        let what = match (kinds.first(), &between.reason) {
            (Some(kind), _) => kind.to_string(),
            (None, reason) => reason.clone().unwrap_or_default(),
        };
        let place = difference.map(|difference| format!("\n{}", difference.place)).unwrap_or_default();
        let found = Found {
            rule,
            object: &row.object,
            program: &row.program,
            name: row.name(),
            message: format!("{}: {}: {what}{place}", row.name(), RULES[rule].short),
            difference,
            kind: kinds.first().copied(),
        };
        Some(found.result(&RULES, ["a", "b"], sources))
    });
    let [a, b] = &report.kernels;
    let not_compared = report.rows.len() - report.compared();
    let run = run(
        &format!("compare/{}/{}/", a.name, b.name),
        &RULES,
        results.collect(),
        (report.compared(), not_compared, report.incomplete.as_deref()),
        json!({"a": a, "b": b}),
    );
    write(vec![run], out)
}

fn write(runs: Vec<Value>, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Log { schema: SCHEMA, version: "2.1.0", runs })?;
    out.write_all(b"\n")
}

/// What is wrong with the program, in a few lines.
fn message(row: &Row, release: &str) -> String {
    let comparison = &row.comparison;
    let mut text = format!("{} of {} in Linux {release}", comparison.status, row.name());
    if let Some(reason) = &comparison.reason {
        text.push_str(&format!(": {reason}"));
    }
    if let Some(difference) = &comparison.difference {
        let said = |text: &Option<String>| text.as_deref().map_or("nothing", str::trim_end).to_owned();
        let (kernel, model) = (said(&difference.minus), said(&difference.plus));
        text.push_str(&format!("\n{}\nkernel: {kernel}\nmodel: {model}", difference.place));
    }
    text
}

fn run(
    category: &str,
    rules: &[Rule],
    results: Vec<Value>,
    (compared, not_compared, incomplete): (usize, usize, Option<&str>),
    properties: Value,
) -> Value {
    let notes = [
        incomplete.map(|why| ("error", format!("not every program had its turn: {why}"))),
        (compared == 0).then(|| ("error", "no program was compared".to_owned())),
        (not_compared > 0).then(|| ("note", format!("programs that were not compared: {not_compared}"))),
    ];
    let notes = notes.into_iter().flatten();
    let notes = notes.map(|(level, text)| json!({"level": level, "message": {"text": text}}));
    let rules = rules.iter().map(|rule| {
        json!({
            "id": rule.id,
            "shortDescription": {"text": rule.short},
            "fullDescription": {"text": rule.full},
            "defaultConfiguration": {"level": rule.level},
        })
    });
    json!({
        "tool": {"driver": {
            "name": "livediff",
            "version": VERSION,
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "rules": rules.collect::<Vec<_>>(),
        }},
        "automationDetails": {"id": format!("livediff/{category}")},
        "invocations": [{
            "executionSuccessful": incomplete.is_none() && compared > 0,
            "toolExecutionNotifications": notes.collect::<Vec<_>>(),
        }],
        "columnKind": "utf16CodeUnits",
        "results": results,
        "properties": properties,
    })
}

impl Found<'_> {
    fn result(&self, rules: &[Rule], sides: [&str; 2], sources: Sources<'_>) -> Value {
        let rule = &rules[self.rule];
        let place = self.difference.map(|difference| &difference.place);
        let insn = place.and_then(|place| place.insn.as_ref());
        let line = self
            .difference
            .and_then(Difference::insn)
            .and_then(|insn| sources(self.object, self.program, insn));
        let object = json!({"artifactLocation": {"uri": uri(self.object)}});
        let mut logical = Vec::new();
        if !self.program.is_empty() {
            logical.push(json!({"name": self.program, "fullyQualifiedName": self.name, "kind": "function"}));
        }
        if let Some((number, name)) = place.and_then(|place| place.subprog.as_ref()) {
            let number = format!("subprog#{number}");
            let name = name.as_ref().map_or_else(|| number.clone(), |name| format!("{number} {name}"));
            let full = format!("{}/{number}", self.name);
            logical.push(json!({"name": name, "fullyQualifiedName": full, "kind": "function"}));
        }
        let mut properties = json!({});
        if let Some(difference) = self.difference {
            properties["logLine"] = difference.line.into();
            properties["pass"] = difference.place.pass.clone().into();
            properties[sides[0]] = difference.minus.clone().into();
            properties[sides[1]] = difference.plus.clone().into();
            properties["diff"] = difference.unified.clone().into();
        }
        if let Some((insn, text)) = insn {
            properties["insn"] = (*insn).into();
            properties["insnText"] = text.clone().into();
        }
        // What stays the same from run to run, as long as the program shows the same kind of discrepancy.
        let kind = self.kind.map(|kind| kind.to_string()).unwrap_or_default();
        let print = format!("{}: {}: {kind}", rule.id, self.name);
        let mut result = json!({
            "ruleId": rule.id,
            "ruleIndex": self.rule,
            "level": rule.level,
            "message": {"text": self.message},
            "partialFingerprints": {"livediffProgramAndKind/v1": print},
            "properties": properties,
        });
        let physical = match &line {
            Some(line) => {
                let mut region = json!({"startLine": line.line});
                if line.column > 0 {
                    region["startColumn"] = line.column.into();
                }
                if !line.text.is_empty() {
                    region["snippet"] = json!({"text": &*line.text});
                }
                result["relatedLocations"] =
                    json!([{"id": 1, "message": {"text": "The object"}, "physicalLocation": object}]);
                json!({"artifactLocation": {"uri": uri(&line.file)}, "region": region})
            }
            None => object,
        };
        result["locations"] = json!([{"physicalLocation": physical, "logicalLocations": logical}]);
        result
    }
}

/// A path as a reference to it: one that is absolute as a URI, others relative to where the user stands.
fn uri(path: &str) -> String {
    // Compilers are often given `./a.c`, and code scanning compares names.
    let mut path = path;
    while let Some(rest) = path.strip_prefix("./") {
        path = rest.trim_start_matches('/');
    }
    let mut uri = String::new();
    if Path::new(path).is_absolute() {
        uri.push_str("file://");
    } else if path.split('/').next().is_some_and(|first| first.contains(':')) || path.is_empty() {
        // What stands before a colon in the first part would be the scheme.
        uri.push_str("./");
    }
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(byte.into())
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::KernelRun;

    fn report() -> Report {
        let row = |program: &str, status| match status {
            Status::Mismatch => {
                Row::differing("a b/c.bpf.o", program, Some((1, "callee")), "(95) exit", "a\n")
            }
            _ => Row::not_loaded("a b/c.bpf.o", program, status, "why"),
        };
        let rows = Status::ALL.into_iter().map(|status| row(status.name(), status)).collect();
        let kernel = KernelRun { name: "7.2".into(), release: "7.2.13".into(), rows, ..KernelRun::default() };
        Report { kernels: vec![kernel], ..Report::default() }
    }

    fn sarif(report: &Report, sources: Sources<'_>) -> Value {
        let mut bytes = Vec::new();
        to_sarif(report, sources, &mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn results_are_what_is_wrong() {
        let report = report();
        let found = sarif(&report, &|_, _, _| None);
        let results = found["runs"][0]["results"].as_array().unwrap();
        let rules: Vec<_> = results.iter().map(|result| result["ruleId"].as_str().unwrap()).collect();
        assert_eq!(rules, ["mismatch", "crashed", "timeout"]);
        for result in results {
            let rule =
                &found["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
            assert_eq!(rule["id"], result["ruleId"]);
            assert_eq!(rule["defaultConfiguration"]["level"], result["level"]);
        }
        assert_eq!(
            results[0]["message"]["text"],
            "mismatch of a b/c.bpf.o/mismatch in Linux 7.2.13\n\
             live registers, subprog#1 callee, insn 2: (95) exit\nkernel: a\nmodel: nothing"
        );
        let place = &results[0]["locations"][0];
        assert_eq!(place["physicalLocation"]["artifactLocation"]["uri"], "a%20b/c.bpf.o");
        assert_eq!(place["logicalLocations"][1]["name"], "subprog#1 callee");
        let invocation = &found["runs"][0]["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], true);
        assert_eq!(
            invocation["toolExecutionNotifications"][0]["message"]["text"],
            "programs that were not compared: 4"
        );
    }

    #[test]
    fn the_source_comes_first_where_it_is_known() {
        let line = Line { file: "src/x y.c".into(), line: 7, column: 3, text: "return 0;".into() };
        let source = |object: &str, program: &str, insn| {
            assert_eq!((object, program, insn), ("a b/c.bpf.o", "mismatch", 2));
            Some(line.clone())
        };
        let found = sarif(&report(), &source);
        let result = &found["runs"][0]["results"][0];
        let physical = &result["locations"][0]["physicalLocation"];
        assert_eq!(physical["artifactLocation"]["uri"], "src/x%20y.c");
        assert_eq!(
            physical["region"],
            json!({"startLine": 7, "startColumn": 3, "snippet": {"text": "return 0;"}})
        );
        let object = &result["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        assert_eq!(object, "a%20b/c.bpf.o");
    }

    #[test]
    fn a_run_that_decided_nothing_was_not_successful() {
        let mut report = report();
        report.incomplete = Some("the run was interrupted".into());
        let successful = |report: &Report| {
            sarif(report, &|_, _, _| None)["runs"][0]["invocations"][0]["executionSuccessful"].clone()
        };
        assert_eq!(successful(&report), false);
        report.incomplete = None;
        report.kernels[0].rows.retain(|row| !row.comparison.status.is_compared());
        assert_eq!(successful(&report), false);
    }

    #[test]
    fn paths_are_references() {
        assert_eq!(uri("/a b/ü.o"), "file:///a%20b/%C3%BC.o");
        assert_eq!(uri("a:b/c:d.o"), "./a%3Ab/c%3Ad.o");
        assert_eq!(uri("a/b.o"), "a/b.o");
        assert_eq!(uri("././a/./b.o"), "a/./b.o");
        assert_eq!(uri(".//b.o"), "b.o");
        assert_eq!(uri("../b.o"), "../b.o");
        assert_eq!(uri(""), "./");
    }
}
