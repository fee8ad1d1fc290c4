//! The report as JUnit XML: a suite for each kernel and object, a case for each program. A mismatch is a failure, a
//! guest that died or hung an error, and what was not compared is skipped with its reason.

use super::{KernelRun, Row};
use crate::diff::Status;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::io;

/// Writes the report of a run as JUnit XML.
pub fn to_junit(kernels: &[KernelRun], out: &mut dyn io::Write) -> io::Result<()> {
    let mut report = Report::new("livediff");
    for kernel in kernels {
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
    let name = if row.program.is_empty() { "(object)" } else { row.program.as_str() };
    let mut case = TestCase::new(name, status);
    case.set_classname(row.object.as_str());
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::Comparison;
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
        };
        let mut rows: Vec<Row> = Status::ALL.into_iter().map(|status| row("a.o", status)).collect();
        rows.push(row("b.o", Status::Match));
        let kernel = KernelRun { name: "7.2".into(), rows, ..KernelRun::default() };
        let mut bytes = Vec::new();
        to_junit(&[kernel], &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.contains(r#"<testsuites name="livediff" tests="7" skipped="2" failures="1" errors="2""#),
            "{text}"
        );
        assert_eq!(text.matches("<testsuite ").count(), 2, "{text}");
        assert_eq!(text.matches("<skipped ").count(), 2, "{text}");
        assert!(text.contains(r#"name="p&lt;&amp;&gt;""#), "{text}");
    }
}
