//! `livediff bisect-step`: one step of `git bisect run`. The tree is built, booted and judged, and the exit status tells
//! git what to do: 0 good, 1 bad, 125 try another commit, 130 stop.
//!
//! Nothing but a judgement may look like one to git, which takes every status from 1 to 127, but 125, for bad. So all
//! that goes wrong before the judgement, a defect of this program included, ends in 125.

use super::{
    bisect::{WhatFlags, gather_one},
    build,
    exit::Exit,
    kernels::{self, Kernel, Wanted},
    output::Output,
    say_error, words,
};
use anyhow::{Context, Result, bail};
use clap::Args;
use livediff::{
    diff::Status,
    report::{
        KernelRun, Totals,
        between::{self, Report},
        terminal::{self, counted, printable},
    },
};
use livediff_harness::{
    build::{Request, Source},
    run::{self, Cancel},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::OnceLock,
    thread,
    time::Instant,
};

#[derive(Debug, Args)]
#[command(after_help = "\
For `git bisect run livediff bisect-step --tree . OBJECT PROGRAM`. Only what changed since the last step is compiled;
the tree itself is not written to.

Exit status, as git takes it: 0 good: something was compared, and there is no discrepancy; 1 bad: a discrepancy; 125 this
commit cannot be judged: it does not configure, build or boot, its analysis is of no known dialect, nothing could be
compared, or something is missing on this machine; 130 interrupted, which ends the bisection. A command line that is wrong
exits with 2, which git takes for bad: try the command by hand first.")]
pub(crate) struct StepFlags {
    /// The kernel source tree, in the state that git has checked out.
    #[arg(long, value_name = "DIR")]
    pub(crate) tree: PathBuf,

    /// Judge by what this kernel says, a packaged one or an image, instead of by what the model says: bad is what differs
    /// from it.
    #[arg(long, value_name = "KERNEL")]
    pub(crate) against: Option<String>,

    #[command(flatten)]
    pub(crate) what: WhatFlags,
}

/// Judges the tree.
pub(crate) fn run(flags: StepFlags) -> Exit {
    let cancel = OnceLock::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| judge(&flags, &cancel)));
    if cancel.get().is_some_and(Cancel::is_cancelled) {
        anstream::eprintln!("interrupted: git bisect ends here");
        return Exit::Interrupted;
    }
    match outcome {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) => {
            say_error(&error);
            anstream::eprintln!("this commit cannot be judged");
            Exit::Untestable
        }
        // The message is there already.
        Err(_) => Exit::Untestable,
    }
}

fn judge(flags: &StepFlags, cancelled: &OnceLock<Cancel>) -> Result<Exit> {
    let started = Instant::now();
    let (session, objects) = flags.what.session()?;
    let _ = cancelled.set(session.cancel.clone());
    run::check_qemu()?;
    // Before anything is built.
    let against = flags.against.as_deref().map(Wanted::parse).transpose()?;
    kernels::check(against.as_slice())?;
    let output = Output::new(false);
    let jobs = thread::available_parallelism().map_or(1, |count| count.get() as u32);
    let request = Request {
        source: Source::Tree(flags.tree.clone()),
        patches: Vec::new(),
        jobs: flags.what.jobs.unwrap_or(jobs),
        name: None,
    };
    let built = build::with_progress(&request, &session.cancel).context("no kernel could be built")?;
    let dialect = session.dialect;
    let mut kernel = Kernel::open(&Wanted::Image(built.image), dialect, &|_| {})?;
    kernel.name = flags.tree.display().to_string();
    output.line(&printable(&format!(
        "Linux {} ({}), built in {:.0} s",
        kernel.image.release,
        kernel.described(),
        started.elapsed().as_secs_f64()
    )));
    let words = gather_one(&session, &kernel, &objects, &output)?;

    if let (Some(wanted), Some(name)) = (&against, &flags.against) {
        let reference = Kernel::open(wanted, dialect, &|what| anstream::eprintln!("{}", printable(what)))
            .and_then(|kernel| gather_one(&session, &kernel, &objects, &output))
            .with_context(|| format!("the kernel to judge by, {name}"))?;
        let rows = words::pair(&session.pool, &reference, &words);
        let report = Report { kernels: [reference.kernel, words.kernel], rows, incomplete: None };
        output.print(|out| between::to_terminal(&report, started.elapsed(), out));
        return verdict(report.differences(), report.compared(), report.rows.len());
    }
    let rows = words.judged(&session.pool);
    let run = KernelRun {
        name: kernel.name.clone(),
        release: words.kernel.release,
        dialect: words.kernel.dialect,
        dialect_forced: words.kernel.dialect_forced,
        accel: words.kernel.accel,
        rows,
    };
    for row in run.rows.iter().filter(|row| row.comparison.status != Status::Match) {
        output.print(|out| terminal::row(out, &run, row));
    }
    let totals = Totals::of([&run]);
    verdict(totals.count(Status::Mismatch), totals.compared(), totals.all())
}

/// Good, bad, or why neither.
fn verdict(differences: usize, compared: usize, all: usize) -> Result<Exit> {
    if differences > 0 {
        anstream::eprintln!("bad: a discrepancy in {}", counted(differences, "program"));
        return Ok(Exit::Discrepancy);
    }
    if compared == 0 {
        bail!("nothing could be compared: none of {}", counted(all, "program"));
    }
    anstream::eprintln!("good: no discrepancy in {}", counted(compared, "program"));
    Ok(Exit::Clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_judgement_is_one() {
        assert_eq!(verdict(1, 1, 1).unwrap(), Exit::Discrepancy);
        assert_eq!(verdict(0, 1, 9).unwrap(), Exit::Clean);
        assert!(verdict(0, 0, 9).is_err());
    }
}
