//! The report as GitHub Actions shows it: annotations, which are commands among the lines that a step prints, and the
//! summary of the job, which is Markdown.

use super::{
    KernelRun, Report, Row, Totals,
    terminal::{counted, printable, printable_lines},
};
use crate::diff::Status;
use std::io::{self, Write};

/// Most annotations; GitHub shows ten of a step and drops the others.
const ANNOTATIONS: usize = 10;
/// Most programs of a table in the summary, which may have a mebibyte.
const LISTED: usize = 200;

/// Writes an `::error` for each mismatch, and for each program that a guest died on or hung with a `::warning`.
pub fn annotations(kernels: &[KernelRun], out: &mut dyn Write) -> io::Result<()> {
    let wanted = |status| {
        let rows = kernels.iter().flat_map(|kernel| kernel.rows.iter().map(move |row| (kernel, row)));
        rows.filter(move |(_, row)| row.comparison.status == status)
    };
    let shown = |level: &str, rows: &mut dyn Iterator<Item = (&KernelRun, &Row)>, out: &mut dyn Write| {
        let rows: Vec<_> = rows.collect();
        // The last place is for those that have none.
        let fit = if rows.len() > ANNOTATIONS { ANNOTATIONS - 1 } else { rows.len() };
        for (kernel, row) in rows.iter().take(fit) {
            let title = format!("{} of {} in {}", row.comparison.status, row.name(), kernel.release);
            command(out, level, Some(&row.object), &title, &message(row))?;
        }
        if rows.len() > fit {
            let title = format!("and {} more", rows.len() - fit);
            command(out, level, None, &title, "They are in the report and in the output of this step.")?;
        }
        io::Result::Ok(())
    };
    shown("error", &mut wanted(Status::Mismatch), out)?;
    shown("warning", &mut wanted(Status::Crashed).chain(wanted(Status::Timeout)), out)
}

/// What is wrong with the program, in a few lines.
fn message(row: &Row) -> String {
    let comparison = &row.comparison;
    match &comparison.difference {
        Some(difference) => {
            let line = |who: &str, text: &Option<String>| {
                let text = text.as_deref().map_or("nothing", str::trim_end);
                format!("\n{who}: {text}")
            };
            format!(
                "line {}: {}{}{}",
                difference.line,
                difference.place,
                line("kernel", &difference.minus),
                line("model", &difference.plus)
            )
        }
        None => comparison.reason.clone().unwrap_or_default(),
    }
}

/// A workflow command: `::LEVEL file=FILE,title=TITLE::MESSAGE`.
fn command(
    out: &mut dyn Write,
    level: &str,
    file: Option<&str>,
    title: &str,
    message: &str,
) -> io::Result<()> {
    write!(out, "::{level} ")?;
    if let Some(file) = file {
        write!(out, "file={},", property(&printable(file)))?;
    }
    writeln!(out, "title={}::{}", property(&printable(title)), data(&printable_lines(message)))
}

/// What stands after the second `::`, so that it ends neither the line nor the command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// What a run has come to, as its exit status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// At least one difference.
    Differences,
    /// None, and what was asked for was compared.
    NoDifference,
    /// None in what was compared, and that is not all that was asked for.
    Undecided,
}

/// Writes the summary of a job: what it has come to, a table of the kernels, and one of what is wrong.
pub fn summary(report: &Report, finding: Finding, out: &mut dyn Write) -> io::Result<()> {
    let heading = match finding {
        Finding::Differences => "differences found",
        Finding::NoDifference => "no difference",
        Finding::Undecided => "not decided",
    };
    writeln!(out, "### livediff: {heading}\n")?;
    if let Some(why) = &report.incomplete {
        writeln!(out, "Not every program had its turn: {}\n", markdown(why))?;
    }
    write!(out, "| kernel | release | dialect | accel |")?;
    Status::ALL.into_iter().try_for_each(|status| write!(out, " {status} |"))?;
    write!(out, "\n| --- | --- | --- | --- |")?;
    Status::ALL.into_iter().try_for_each(|_| write!(out, " ---: |"))?;
    writeln!(out)?;
    for kernel in &report.kernels {
        let totals = Totals::of([kernel]);
        let forced = if kernel.dialect_forced { " (forced)" } else { "" };
        let (name, release) = (markdown(&kernel.name), markdown(&kernel.release));
        write!(
            out,
            "| {name} | {release} | {}{forced} | {} |",
            markdown(&kernel.dialect),
            markdown(&kernel.accel)
        )?;
        Status::ALL.into_iter().try_for_each(|status| write!(out, " {} |", totals.count(status)))?;
        writeln!(out)?;
    }
    let rows = report.kernels.iter().flat_map(|kernel| kernel.rows.iter().map(move |row| (kernel, row)));
    let bad = |status| matches!(status, Status::Mismatch | Status::Crashed | Status::Timeout);
    let rows: Vec<_> = rows.filter(|(_, row)| bad(row.comparison.status)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n| program | kernel | status | where |\n| --- | --- | --- | --- |")?;
    for (kernel, row) in rows.iter().take(LISTED) {
        let place = match &row.comparison.difference {
            Some(difference) => difference.place.to_string(),
            None => row.comparison.reason.clone().unwrap_or_default(),
        };
        let place = place.lines().next().unwrap_or_default();
        let (program, kernel) = (markdown(&row.name()), markdown(&kernel.name));
        writeln!(out, "| {program} | {kernel} | {} | {} |", row.comparison.status, markdown(place))?;
    }
    if rows.len() > LISTED {
        writeln!(out, "\nand {}", counted(rows.len() - LISTED, "more program"))?;
    }
    Ok(())
}

/// Text on one line that Markdown takes for nothing else. Names and logs come from objects, and so from anybody.
fn markdown(text: &str) -> String {
    let mut shown = String::new();
    for c in printable(text).chars() {
        // Punctuation of ASCII can be escaped; what would be HTML is better shown by its entity.
        match c {
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '&' => shown.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' | '@' | '(' | ')' => {
                shown.push('\\');
                shown.push(c);
            }
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mismatch(object: &str, program: &str) -> Row {
        Row::differing(object, program, None, "(07) r1 %= 7", "a: 100%\n")
    }

    fn text(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn kernel(rows: Vec<Row>) -> KernelRun {
        KernelRun {
            name: "7.2".into(),
            release: "7.2.13".into(),
            dialect: "7.2".into(),
            rows,
            ..KernelRun::default()
        }
    }

    #[test]
    fn a_mismatch_is_one_command_on_one_line() {
        let rows = vec![
            Row::not_loaded("a.o", "fine", Status::Match, ""),
            mismatch("a,b:c.o", "p\n::error::q"),
            Row::not_loaded("a.o", "p", Status::Crashed, "died\r\nof it"),
            Row::not_loaded("a.o", "p", Status::NotLoadable, "no"),
        ];
        assert_eq!(
            text(|out| annotations(&[kernel(rows)], out)),
            "::error file=a%2Cb%3Ac.o,title=mismatch of a%2Cb%3Ac.o/p\\n%3A%3Aerror%3A%3Aq in 7.2.13::\
             line 4: live registers, insn 2: (07) r1 %25= 7%0Akernel: a: 100%25%0Amodel: nothing\n\
             ::warning file=a.o,title=crashed of a.o/p in 7.2.13::died\\r%0Aof it\n"
        );
        assert_eq!(data("50% \r\n"), "50%25 %0D%0A");
    }

    #[test]
    fn github_shows_ten() {
        let rows = |count: usize| (0..count).map(|at| mismatch("a.o", &format!("p{at}"))).collect();
        let lines = |count: usize| text(|out| annotations(&[kernel(rows(count))], out));
        assert_eq!(lines(10).lines().count(), 10);
        assert_eq!(lines(25).lines().count(), 10);
        assert!(lines(25).lines().last().unwrap().starts_with("::error title=and 16 more::"));
        assert_eq!(lines(0), "");
    }

    #[test]
    fn the_summary_is_a_table() {
        let mut report = Report {
            kernels: vec![kernel(vec![
                mismatch("a.o", "x|y<b>`z`\n# q"),
                Row::not_loaded("a.o", "f", Status::Match, ""),
            ])],
            ..Report::default()
        };
        let shown = text(|out| summary(&report, Finding::Differences, out));
        assert!(shown.starts_with("### livediff: differences found\n\n| kernel |"), "{shown}");
        assert!(shown.contains("\n| 7.2 | 7.2.13 | 7.2 |  | 1 | 1 | 0 | 0 | 0 | 0 |\n"), "{shown}");
        let row = "\n| a.o/x\\|y&lt;b&gt;\\`z\\`\\\\n\\# q | 7.2 | mismatch | live registers, insn 2: \\(07\\) r1 %= 7 |\n";
        assert!(shown.contains(row), "{shown}");
        report.kernels[0].rows.remove(0);
        let shown = text(|out| summary(&report, Finding::NoDifference, out));
        assert!(shown.starts_with("### livediff: no difference\n"));
        report.incomplete = Some("interrupted".into());
        let shown = text(|out| summary(&report, Finding::Undecided, out));
        assert!(
            shown.starts_with("### livediff: not decided\n\nNot every program had its turn: interrupted\n")
        );
    }
}
