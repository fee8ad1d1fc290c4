//! What comes at the end of a run and of a merge alike: the reports that were asked for, and the exit status.

use super::{
    exit::Exit,
    output::{self, Output, tell},
    sources::Sources,
};
use anyhow::{Context, Result, anyhow};
use clap::Args;
use livediff::{
    diff::Status,
    report::{
        self, KernelRun, Report, Totals, github, html, sarif,
        terminal::{counted, printable},
    },
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What stands for the accelerator where no kernel ran.
pub(crate) const REPLAY: &str = "replay";

/// Where reports are written to.
#[derive(Debug, Default, Args)]
pub(crate) struct ReportFlags {
    /// Write the report as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write the report as JUnit XML; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Write the report as one HTML file that browsers show from disk; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Write the discrepancies as SARIF 2.1.0, for editors and code scanning; `-` is standard output. They are placed in
    /// the source where the object is there and says which lines its instructions come from (built with -g), and in the
    /// object otherwise, as always by `merge`.
    #[arg(long, value_name = "FILE")]
    pub(crate) sarif: Option<PathBuf>,
}

impl ReportFlags {
    /// An error if the reports could not be written at the end.
    pub(crate) fn check(&self) -> Result<()> {
        output::check_reports(&[
            ("--json", &self.json),
            ("--junit", &self.junit),
            ("--html", &self.html),
            ("--sarif", &self.sarif),
        ])
        .map(drop)
    }

    /// An error if one of them is one of the inputs.
    pub(crate) fn spare<'p>(&'p self, inputs: impl IntoIterator<Item = &'p Path>) -> Result<()> {
        output::spare_inputs(self.files(), inputs)
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.json, &self.junit, &self.html, &self.sarif].into_iter().flatten().map(PathBuf::as_path)
    }

    /// Standard output is taken by a report.
    pub(crate) fn on_stdout(&self) -> bool {
        self.files().any(|file| file == Path::new("-"))
    }

    /// Writes them; the sources are for SARIF. One that cannot be written does not keep the others from being written,
    /// and is an error unless there is a discrepancy, which decides the exit status; then it is told all the same.
    pub(crate) fn write(&self, report: &Report, sources: &Sources) -> Result<()> {
        let json =
            self.json.as_ref().map(|path| output::write_report(path, |out| report::to_json(report, out)));
        let junit =
            self.junit.as_ref().map(|path| output::write_report(path, |out| report::to_junit(report, out)));
        let html =
            self.html.as_ref().map(|path| output::write_report(path, |out| html::to_html(report, out)));
        let sources: sarif::Sources<'_> = &|object, program, insn| sources.noted(object, program, insn);
        let sarif = self
            .sarif
            .as_ref()
            .map(|path| output::write_report(path, |out| sarif::to_sarif(report, sources, out)));
        let found = Totals::of(&report.kernels).count(Status::Mismatch) > 0;
        output::all_written([json, junit, html, sarif].into_iter().flatten(), found)
    }
}

/// Where GitHub Actions runs this: annotations, and the summary of the job. A part leaves both to `livediff merge`, or
/// every difference would be shown twice.
pub(crate) fn tell_github(report: &Report, exit: Exit, output: &Output) {
    if std::env::var_os("GITHUB_ACTIONS").is_none_or(|value| value != "true") || report.shard.is_some() {
        return;
    }
    output.print(|out| github::annotations(&report.kernels, out));
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from) else { return };
    let write = || -> Result<()> {
        // Steps add to it.
        let file = fs::OpenOptions::new().create(true).append(true).open(&path);
        let mut file = file.with_context(|| path.display().to_string())?;
        let finding = match exit {
            Exit::Discrepancy => github::Finding::Differences,
            Exit::Clean => github::Finding::NoDifference,
            Exit::Error | Exit::Untestable | Exit::Interrupted => github::Finding::Undecided,
        };
        Ok(github::summary(report, finding, &mut file)?)
    };
    if let Err(error) = write() {
        // The reports are written and the exit status is right: this is for looking at only.
        output::complain(&error.context("the summary of the job cannot be written (GITHUB_STEP_SUMMARY)"));
    }
}

/// The exit status of a report. A kernel that nothing was compared in is not covered by another's programs.
pub(crate) fn exit(report: &Report, strict: bool) -> Exit {
    let complete = report.incomplete.is_none() && bare(report).next().is_none();
    let totals = Totals::of(&report.kernels);
    let counts = (totals.count(Status::Mismatch), totals.compared(), totals.not_compared());
    Exit::of(counts, complete, strict)
}

/// Says on standard error what keeps a report from being clean, beside discrepancies and what made it incomplete.
pub(crate) fn explain(report: &Report, strict: bool) {
    for kernel in bare(report) {
        tell(format_args!(
            "error: kernel {}: nothing was compared in it ({})",
            printable(&kernel.name),
            counted(kernel.rows.len(), "program")
        ));
    }
    let not_compared = Totals::of(&report.kernels).not_compared();
    if strict && not_compared > 0 {
        tell(format_args!("error: --strict: {} not compared", counted(not_compared, "program")));
    }
}

/// Why nothing was compared: the reason of the only program, or of most of them; `programs` are their names, each with its
/// reason, of which the first line is shown.
pub(crate) fn nothing_compared(programs: impl IntoIterator<Item = (String, String)>) -> anyhow::Error {
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, reason) in programs {
        reasons.entry(reason.lines().next().unwrap_or_default().to_owned()).or_default().push(name);
    }
    let count: usize = reasons.values().map(Vec::len).sum();
    let Some((reason, names)) = reasons.iter().max_by_key(|(_, names)| names.len()) else {
        return anyhow!("nothing was compared: there is no program");
    };
    let name = names.first().map_or("", String::as_str);
    match (count, names.len()) {
        (1, _) => anyhow!("nothing was compared: {name}: {reason}"),
        (_, all) if all == count => anyhow!("nothing was compared, in any of {count} programs: {reason}"),
        (_, 1) => anyhow!("nothing was compared, in any of {count} programs, such as {name}: {reason}"),
        (_, most) => anyhow!("nothing was compared, in any of {count} programs; in {most} of them: {reason}"),
    }
}

/// The programs of a report that were not compared, for [`nothing_compared`].
pub(crate) fn reasons(kernels: &[KernelRun]) -> impl Iterator<Item = (String, String)> {
    kernels.iter().flat_map(|kernel| &kernel.rows).map(|row| {
        let comparison = &row.comparison;
        (row.name(), format!("{}: {}", comparison.status, comparison.reason.as_deref().unwrap_or_default()))
    })
}

/// The kernels that were to be run and that nothing was compared in.
fn bare(report: &Report) -> impl Iterator<Item = &KernelRun> {
    let run = report.kernels.iter().filter(|kernel| kernel.accel != REPLAY);
    run.filter(|kernel| Totals::of([*kernel]).compared() == 0)
}

/// Says that the run was interrupted; `done` if there are totals.
pub(crate) fn tell_interrupted(done: bool) {
    tell(if done {
        "interrupted: the totals are those of the part that was done"
    } else {
        "interrupted: nothing was compared"
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_most_is_told_where_nothing_was_compared() {
        let told = |reasons: &[&str]| {
            let programs =
                reasons.iter().enumerate().map(|(at, reason)| (format!("p{at}"), (*reason).to_owned()));
            nothing_compared(programs).to_string()
        };
        assert_eq!(told(&["cut\nand more"]), "nothing was compared: p0: cut");
        assert_eq!(told(&["cut", "cut"]), "nothing was compared, in any of 2 programs: cut");
        assert_eq!(
            told(&["cut", "no", "no"]),
            "nothing was compared, in any of 3 programs; in 2 of them: no"
        );
        assert_eq!(told(&["a", "b"]), "nothing was compared, in any of 2 programs, such as p1: b");
    }
}
