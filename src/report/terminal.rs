//! The report for people: a line for each program that is not a match as it comes, the diff under a mismatch, and
//! the totals at the end.

use super::{KernelRun, Row, Tone, Totals};
use crate::diff::{Deep, Status};
use anstyle::{AnsiColor, Style};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

pub(super) const HEADING: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const REMOVED: Style = AnsiColor::Red.on_default();
pub(super) const ADDED: Style = AnsiColor::Green.on_default();
const HUNK: Style = AnsiColor::Cyan.on_default();
/// Width of the status column.
pub(super) const STATUS: usize = 14;
/// Most objects and programs named under one reason.
const NAMED: usize = 3;

/// How a status or a class is shown.
pub(super) fn style(of: impl Into<Tone>) -> Style {
    let color = match of.into() {
        Tone::Good => AnsiColor::Green,
        Tone::Bad => AnsiColor::Red,
        Tone::Neutral => AnsiColor::Yellow,
    };
    color.on_default().bold()
}

/// One program: its status, kernel, object and name, and for a mismatch where and what.
///
/// Text that comes from objects, kernels and captures goes through [`printable`], so that no escape sequence in it
/// reaches the terminal.
pub fn row(out: &mut dyn Write, kernel: &KernelRun, row: &Row) -> io::Result<()> {
    let (style, comparison) = (style(row.comparison.status), &row.comparison);
    let status = comparison.status.name().to_uppercase();
    writeln!(
        out,
        "{style}{status:>STATUS$}{style:#} [{}] {}",
        printable(&kernel.name),
        printable(&row.name())
    )?;
    if let Some(reason) = &comparison.reason {
        for line in reason.lines() {
            writeln!(out, "{:STATUS$} {}", "", printable(line))?;
        }
    }
    if let Some(difference) = &comparison.difference {
        let (line, column, place) = (difference.line, difference.column, difference.place.to_string());
        writeln!(out, "{:STATUS$} line {line}, column {column}: {}", "", printable(&place))?;
        writeln!(out, "{REMOVED}--- kernel {}{REMOVED:#}", printable(&kernel.release))?;
        writeln!(out, "{ADDED}+++ model, dialect {}{ADDED:#}", printable(&kernel.dialect))?;
        unified(out, &difference.unified)?;
    }
    Ok(())
}

/// The lines of a unified diff, without their heading.
pub(super) fn unified(out: &mut dyn Write, text: &str) -> io::Result<()> {
    for line in text.lines() {
        let style = match line.as_bytes().first() {
            Some(b'-') => REMOVED,
            Some(b'+') => ADDED,
            Some(b'@') => HUNK,
            Some(b'[' | b'\\') => DIM,
            _ => Style::new(),
        };
        // A blank at the end of a changed line would not be seen.
        let line = printable(line);
        let (line, blanks) = match line.as_bytes().first() {
            Some(b'-' | b'+') => line.split_at(line.trim_end_matches(' ').len().max(1)),
            _ => (line.as_str(), ""),
        };
        writeln!(out, "{style}{line}{}{style:#}", "\u{b7}".repeat(blanks.len()))?;
    }
    Ok(())
}

/// The line that says that a kernel is done, where there are several.
pub fn kernel_done(out: &mut dyn Write, kernel: &KernelRun, elapsed: Duration) -> io::Result<()> {
    let totals = Totals::of([kernel]);
    let (matching, mismatch) = (totals.count(Status::Match), totals.count(Status::Mismatch));
    let style = style(if mismatch > 0 { Status::Mismatch } else { Status::Match });
    writeln!(
        out,
        "Linux {}: done [{:.1} s], {style}{matching} match, {mismatch} mismatch{style:#}, {} not compared",
        printable(&kernel.release),
        elapsed.as_secs_f64(),
        totals.not_compared()
    )
}

/// The end of a run: what was not compared by reason, a table by kernel, and one line of totals.
pub fn summary(out: &mut dyn Write, kernels: &[KernelRun], elapsed: Duration) -> io::Result<()> {
    let totals = Totals::of(kernels);
    not_compared(out, kernels)?;
    if totals.count(Status::Mismatch) > 0 {
        mismatches(out, kernels)?;
    }
    differing(out, kernels)?;
    table(out, kernels)?;
    let (matching, mismatch) = (totals.count(Status::Match), totals.count(Status::Mismatch));
    let status = style(if mismatch > 0 { Status::Mismatch } else { Status::Match });
    if let Some(Deep { instances, masks, constants, postorder, answers, .. }) = totals.deep {
        writeln!(
            out,
            "\nBeyond the logs: {masks} masks of {instances} function instances, {constants} constants, {postorder} \
             instructions in postorder and {answers} answers to the path walk compared"
        )?;
    }
    writeln!(
        out,
        "\n{HEADING}Summary{HEADING:#} [{:.1} s] {}: {status}{matching} match, {mismatch} mismatch{status:#}, \
         {} not compared; {}, {} compared",
        elapsed.as_secs_f64(),
        counted(totals.all(), "program"),
        totals.not_compared(),
        counted(totals.insns, "instruction"),
        counted(totals.lines, "log line"),
    )
}

/// Every program that mismatches, once, with the kernels in which it does.
fn mismatches(out: &mut dyn Write, kernels: &[KernelRun]) -> io::Result<()> {
    let style = style(Status::Mismatch);
    writeln!(out, "\n{style}Mismatches{style:#}")?;
    let mut programs: BTreeMap<String, Vec<(&KernelRun, &Row)>> = BTreeMap::new();
    for kernel in kernels {
        for row in kernel.rows.iter().filter(|row| row.comparison.status == Status::Mismatch) {
            programs.entry(row.name()).or_default().push((kernel, row));
        }
    }
    for (name, rows) in programs {
        let place = |row: &Row| match &row.comparison.difference {
            Some(difference) => format!(": {}", printable(&difference.place.to_string())),
            None => String::new(),
        };
        match rows.as_slice() {
            [(kernel, row)] => {
                writeln!(out, "  [{}] {}{}", printable(&kernel.name), printable(&name), place(row))?;
            }
            rows => {
                writeln!(out, "  {}", printable(&name))?;
                for (kernel, row) in rows {
                    writeln!(out, "    [{}]{}", printable(&kernel.name), place(row))?;
                }
            }
        }
    }
    Ok(())
}

/// The programs that do not end alike in all kernels, those that differ alike together.
fn differing(out: &mut dyn Write, kernels: &[KernelRun]) -> io::Result<()> {
    let mut programs: BTreeMap<String, Vec<Option<Status>>> = BTreeMap::new();
    // A kernel that had no turn differs from the others in that, and the table shows it.
    let kernels: Vec<&KernelRun> = kernels.iter().filter(|kernel| !kernel.rows.is_empty()).collect();
    for (at, kernel) in kernels.iter().enumerate() {
        for row in &kernel.rows {
            let statuses = programs.entry(row.name()).or_insert_with(|| vec![None; kernels.len()]);
            if let Some(status) = statuses.get_mut(at) {
                *status = Some(row.comparison.status);
            }
        }
    }
    let mut alike: BTreeMap<Vec<Option<Status>>, Vec<String>> = BTreeMap::new();
    for (name, statuses) in programs {
        if statuses.windows(2).any(|pair| pair[0] != pair[1]) {
            alike.entry(statuses).or_default().push(name);
        }
    }
    if alike.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{HEADING}Not alike in all kernels{HEADING:#}")?;
    for (statuses, names) in alike {
        let mut by_status: BTreeMap<Option<Status>, Vec<String>> = BTreeMap::new();
        for (kernel, status) in kernels.iter().zip(statuses) {
            by_status.entry(status).or_default().push(printable(&kernel.name));
        }
        // What is so in most kernels is told last and without their names.
        let most = by_status.iter().max_by_key(|(_, kernels)| kernels.len());
        let most = most.filter(|(_, kernels)| kernels.len() > 1).map(|(status, _)| *status);
        let rest = most.and_then(|status| Some((status, by_status.remove(&status)?)));
        let part = |status: Option<Status>, place: String| {
            let name = status.map_or("not there", Status::name);
            let style = status.map_or(DIM, style);
            format!("{style}{name}{style:#} {place}")
        };
        let mut parts: Vec<String> = by_status
            .into_iter()
            .map(|(status, kernels)| part(status, format!("in {}", kernels.join(", "))))
            .collect();
        parts.extend(rest.map(|(status, _)| part(status, "in the others".to_owned())));
        writeln!(out, "{:>5} {}", names.len(), parts.join("; "))?;
        some_of(out, &names)?;
    }
    Ok(())
}

/// A few of the names under a heading, and how many more there are.
pub(super) fn some_of(out: &mut dyn Write, names: &[String]) -> io::Result<()> {
    for name in names.iter().take(NAMED) {
        writeln!(out, "      {DIM}{}{DIM:#}", printable(name))?;
    }
    if names.len() > NAMED {
        writeln!(out, "      {DIM}and {} more{DIM:#}", names.len() - NAMED)?;
    }
    Ok(())
}

fn not_compared(out: &mut dyn Write, kernels: &[KernelRun]) -> io::Result<()> {
    let mut reasons: BTreeMap<(Status, &str), Vec<String>> = BTreeMap::new();
    let rows = kernels.iter().flat_map(|kernel| kernel.rows.iter().map(move |row| (kernel, row)));
    for (kernel, row) in rows {
        if !row.comparison.status.is_compared() {
            let reason = row.comparison.reason.as_deref().unwrap_or_default();
            let reason = reason.lines().next().unwrap_or_default();
            let name = row.name();
            let name = if kernels.len() > 1 { format!("[{}] {name}", kernel.name) } else { name };
            reasons.entry((row.comparison.status, reason)).or_default().push(name);
        }
    }
    if reasons.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{HEADING}Not compared{HEADING:#}")?;
    for ((status, reason), names) in reasons {
        let style = style(status);
        writeln!(out, "{:>5} {style}{status}{style:#}: {}", names.len(), printable(reason))?;
        some_of(out, &names)?;
    }
    Ok(())
}

fn table(out: &mut dyn Write, kernels: &[KernelRun]) -> io::Result<()> {
    let width =
        kernels.iter().map(|kernel| printable(&kernel.release).chars().count()).max().unwrap_or(0).max(6);
    // `*` stands behind one that is forced.
    let dialect =
        |kernel: &KernelRun| printable(&kernel.dialect) + if kernel.dialect_forced { "*" } else { "" };
    let dialects = kernels.iter().map(|kernel| dialect(kernel).chars().count()).max().unwrap_or(0).max(7);
    write!(out, "\n{HEADING}{:<width$}  {:<dialects$}  {:<6}", "kernel", "dialect", "accel")?;
    for status in Status::ALL {
        write!(out, "  {:>width$}", status.name(), width = status.name().len().max(6))?;
    }
    writeln!(out, "{HEADING:#}")?;
    for kernel in kernels {
        let totals = Totals::of([kernel]);
        let accel = if kernel.accel.is_empty() { "-" } else { &kernel.accel };
        let (release, dialect) = (printable(&kernel.release), dialect(kernel));
        write!(out, "{release:<width$}  {dialect:<dialects$}  {accel:<6}")?;
        for status in Status::ALL {
            let count = totals.count(status);
            let style = if count == 0 { DIM } else { style(status) };
            write!(out, "  {style}{count:>width$}{style:#}", width = status.name().len().max(6))?;
        }
        writeln!(out)?;
    }
    if kernels.iter().any(|kernel| kernel.dialect_forced) {
        writeln!(out, "* forced with --dialect, whatever the kernel's BTF says")?;
    }
    Ok(())
}

/// `1 program`, `2 programs`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Text with control characters made visible, tabs kept.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let plain = c == '\t' || !c.is_control();
            let escaped = (!plain).then(|| c.escape_default());
            plain.then_some(c).into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

/// The same for a text of several lines.
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
        let mut stream = anstream::StripStream::new(Vec::new());
        write(&mut stream).unwrap();
        String::from_utf8(stream.into_inner()).unwrap()
    }

    #[test]
    fn a_mismatch_says_where_and_what() {
        let mut mismatch = Row::differing("a.o", "p\u{1b}[2J", Some((0, "main")), "(95) exit", "x ");
        mismatch.insns = 3;
        if let Some(difference) = &mut mismatch.comparison.difference {
            difference.plus = Some("x".into());
            difference.unified = "@@ -4,1 +4,1 @@\n-x  \n+x\n".into();
        }
        let kernel = KernelRun {
            name: "7.2".into(),
            release: "7.2.12".into(),
            dialect: "7.2".into(),
            accel: "tcg".into(),
            rows: vec![mismatch.clone(), Row::not_loaded("b.o", "", Status::NotLoadable, "cut short")],
            ..KernelRun::default()
        };
        assert_eq!(
            plain(|out| row(out, &kernel, &mismatch)),
            "      MISMATCH [7.2] a.o/p\\u{1b}[2J
               line 4, column 2: live registers, subprog#0 main, insn 2: (95) exit
--- kernel 7.2.12
+++ model, dialect 7.2
@@ -4,1 +4,1 @@
-x\u{b7}\u{b7}
+x
"
        );
        let summary = plain(|out| summary(out, &[kernel], Duration::from_millis(1500)));
        assert!(summary.contains("    1 not_loadable: cut short\n      b.o\n"), "{summary}");
        assert!(
            summary.contains("[7.2] a.o/p\\u{1b}[2J: live registers, subprog#0 main, insn 2"),
            "{summary}"
        );
        assert!(
            summary.ends_with(
                "Summary [1.5 s] 2 programs: 0 match, 1 mismatch, 1 not compared; 3 instructions, 9 log lines compared\n"
            ),
            "{summary}"
        );
    }

    #[test]
    fn programs_that_differ_between_kernels_stand_together() {
        let row = |program: &str, status| Row::not_loaded("a.o", program, status, "why");
        let kernel = |name: &str, rows| KernelRun {
            name: name.into(),
            release: name.into(),
            dialect: "7.2".into(),
            rows,
            ..KernelRun::default()
        };
        use Status::{Match, Mismatch, NotLoadable};
        let mut kernels = [
            kernel(
                "6.18",
                vec![row("p", Match), row("q", NotLoadable), row("r", NotLoadable), row("s", Mismatch)],
            ),
            kernel("7.2", vec![row("p", Match), row("q", Match), row("r", Match), row("s", Mismatch)]),
            kernel("7.3", vec![row("p", Match), row("q", Match), row("r", Match)]),
        ];
        kernels[2].dialect_forced = true;
        let text = plain(|out| summary(out, &kernels, Duration::ZERO));
        assert!(
            text.contains(
                "
Mismatches
  a.o/s
    [6.18]
    [7.2]

Not alike in all kernels
    1 not there in 7.3; mismatch in the others
      a.o/s
    2 not_loadable in 6.18; match in the others
      a.o/q
      a.o/r

kernel  dialect"
            ) || {
                eprintln!("{text}");
                false
            },
        );
        assert!(text.contains("    2 not_loadable: why\n      [6.18] a.o/q\n"), "{text}");
        assert!(text.contains("7.3     7.2*  "), "{text}");
        assert!(text.contains("* forced with --dialect"), "{text}");
        // One that was not run is in the table, and no reason to list every program.
        kernels[1].rows.clear();
        let text = plain(|out| summary(out, &kernels[..2], Duration::ZERO));
        assert!(!text.contains("Not alike"), "{text}");
        assert!(text.contains("\n7.2     7.2      -            0 "), "{text}");
        let same = plain(|out| summary(out, &kernels[..1], Duration::ZERO));
        assert!(!same.contains("Not alike"), "{same}");
    }
}
