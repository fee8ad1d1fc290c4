//! `livediff merge`: the reports of all parts of a run into the report, and the exit status, of the whole.

use super::{
    exit::Exit,
    inputs,
    output::{self, Output},
    sources::Sources,
    verdict::{self, ReportFlags},
};
use anyhow::{Context, Result};
use clap::Args;
use livediff::{
    diff::Status,
    report::{self, Totals, terminal},
};
use std::{path::PathBuf, time::Instant};

#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: that of `diff` without --shard: 0 no discrepancy, 1 at least one, 2 nothing was decided. Parts that are
missing, that are there twice, that are of different kernels, or that were not dealt out together are errors.")]
pub(crate) struct MergeFlags {
    /// The JSON reports of all parts, in any order.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// Count every program that was not compared as an error.
    #[arg(long)]
    pub(crate) strict: bool,

    #[command(flatten)]
    pub(crate) reports: ReportFlags,
}

/// Reads, merges, prints and reports.
pub(crate) fn run(flags: MergeFlags) -> Result<Exit> {
    let started = Instant::now();
    flags.reports.check()?;
    flags.reports.spare(flags.files.iter().map(PathBuf::as_path))?;
    let mut parts = Vec::new();
    for file in &flags.files {
        let name = file.display().to_string();
        let bytes = inputs::read(file)?;
        let report = report::from_json(&bytes).with_context(|| name.clone())?;
        parts.push((name, report));
    }
    let merged = report::merge(parts)?;

    let output = Output::new(flags.reports.on_stdout());
    for kernel in &merged.kernels {
        for row in kernel.rows.iter().filter(|row| row.comparison.status == Status::Mismatch) {
            output.print(|out| terminal::row(out, kernel, row));
        }
    }
    let totals = Totals::of(&merged.kernels);
    if totals.all() > 0 {
        output.print(|out| terminal::summary(out, &merged.kernels, started.elapsed()));
    }
    flags.reports.write(&merged, &Sources::default())?;
    let exit = verdict::exit(&merged, flags.strict);
    verdict::tell_github(&merged, exit, &output);
    if let Some(why) = &merged.incomplete {
        output::complain(&anyhow::anyhow!("not every program had its turn: {why}"));
    } else if totals.compared() == 0 {
        return Err(verdict::nothing_compared(verdict::reasons(&merged.kernels)));
    }
    verdict::explain(&merged, flags.strict);
    Ok(exit)
}
