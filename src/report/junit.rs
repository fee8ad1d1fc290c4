//! The report as JUnit XML: a suite for each kernel and object, a case for each program. A mismatch is a failure, a
//! guest that died or hung an error, and what was not compared is skipped with its reason. So is a kernel that no
//! program was run in. What kept a run from its end is an error of a case of its own, and so is a run that compared
//! nothing: they are no successes, and nobody who reads only this is to take them for one.

use super::{Report as Found, Row, Totals};
use crate::diff::Status;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::io;

/// Writes the report of a run as JUnit XML.
pub fn to_junit(found: &Found, out: &mut dyn io::Write) -> io::Result<()> {
    let mut report = Report::new("livediff");
    let compared = Totals::of(&found.kernels).compared();
    report.add_test_suites(whole_run(found.incomplete.as_deref(), compared));
    for kernel in &found.kernels {
        if kernel.rows.is_empty() {
            let mut status = TestCaseStatus::skipped();
            status.set_message("no program was run in it");
            let mut suite = TestSuite::new(kernel.name.as_str());
            suite.add_test_case(TestCase::new("(kernel)", status));
            report.add_test_suite(suite);
        }
        for rows in kernel.rows.chunk_by(|a, b| a.object == b.object) {
            let Some(first) = rows.first() else { continue };
            let mut suite = TestSuite::new(format!("{}: {}", kernel.name, first.object));
            suite.add_property(("release", kernel.release.as_str()));
            suite.add_property(("dialect", kernel.dialect.as_str()));
            if kernel.dialect_forced {
                suite.add_property(("dialect_forced", "true"));
            }
            suite.add_test_cases(rows.iter().map(case));
            report.add_test_suite(suite);
        }
    }
    report.serialize(out).map_err(io::Error::other)
}

/// A suite for the run as a whole, where it was not brought to its end or compared nothing.
pub(super) fn whole_run(incomplete: Option<&str>, compared: usize) -> Option<TestSuite> {
    let (kind, message) = match (incomplete, compared) {
        (Some(why), _) => ("incomplete", format!("not every program had its turn: {why}")),
        (None, 0) => ("nothing_compared", "no program was compared".to_owned()),
        (None, _) => return None,
    };
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type(kind).set_message(message);
    let mut suite = TestSuite::new("livediff");
    suite.add_test_case(TestCase::new("(run)", status));
    Some(suite)
}

/// The case of a program; `program` is empty for an object that could not be opened.
pub(super) fn case_of(object: &str, program: &str, status: TestCaseStatus) -> TestCase {
    let name = if program.is_empty() { "(object)" } else { program };
    let mut case = TestCase::new(name, status);
    case.set_classname(object);
    case
}

fn case(row: &Row) -> TestCase {
    let comparison = &row.comparison;
    let reason = comparison.reason.clone().unwrap_or_default();
    let mut status = match comparison.status {
        Status::Match => TestCaseStatus::success(),
        Status::Mismatch => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Status::Crashed | Status::Timeout => TestCaseStatus::non_success(NonSuccessKind::Error),
        Status::RejectedEarly | Status::NotLoadable => TestCaseStatus::skipped(),
    };
    if comparison.status != Status::Match {
        status.set_type(comparison.status.name());
        match &comparison.difference {
            Some(difference) => {
                status.set_message(format!("line {}: {}", difference.line, difference.place));
                status.set_description(format!("{reason}\n{}", difference.unified));
            }
            None => {
                status.set_message(reason);
            }
        }
    }
    case_of(&row.object, &row.program, status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diff::Comparison, report::KernelRun};
    use livediff_capture::Verdict;

    #[test]
    fn every_program_is_a_case() {
        let row = |object: &str, status| Row {
            object: object.into(),
            program: "p<&>".into(),
            insns: 1,
            verdict: Verdict::Accepted,
            comparison: Comparison { status, lines: 1, reason: Some("why".into()), difference: None },
            picture: None,
            deep: None,
        };
        let mut rows: Vec<Row> = Status::ALL.into_iter().map(|status| row("a.o", status)).collect();
        rows.push(row("b.o", Status::Match));
        let kernel = KernelRun { name: "7.2".into(), rows, ..KernelRun::default() };
        let mut bytes = Vec::new();
        let none = KernelRun { name: "7.3".into(), ..KernelRun::default() };
        let mut report = Found { kernels: vec![kernel, none], ..Found::default() };
        to_junit(&report, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.contains(r#"<testsuites name="livediff" tests="8" skipped="3" failures="1" errors="2""#),
            "{text}"
        );
        assert_eq!(text.matches("<testsuite ").count(), 3, "{text}");
        assert_eq!(text.matches("<skipped ").count(), 3, "{text}");
        assert!(text.contains("<testsuite name=\"7.3\""), "{text}");
        assert!(text.contains(r#"name="p&lt;&amp;&gt;""#), "{text}");

        let told = |report: &Found| {
            let mut bytes = Vec::new();
            to_junit(report, &mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        report.incomplete = Some("the run was interrupted".into());
        let text = told(&report);
        assert!(text.contains(r#"tests="9" skipped="3" failures="1" errors="3""#), "{text}");
        assert!(text.contains("not every program had its turn: the run was interrupted"), "{text}");
        report.incomplete = None;
        report.kernels[0].rows.retain(|row| !row.comparison.status.is_compared());
        let text = told(&report);
        assert!(text.contains(r#"tests="6" skipped="3" failures="0" errors="3""#), "{text}");
        assert!(text.contains("no program was compared"), "{text}");
    }
}
