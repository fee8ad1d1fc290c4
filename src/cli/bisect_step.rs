//! `livediff bisect-step`: one step of `git bisect run`. The tree is built, booted and judged, and the exit status tells
//! git what to do: 0 good, 1 bad, 125 try another commit, 130 stop.
//!
//! Nothing but a judgement may look like one to git, which takes every status from 1 to 127, but 125, for bad. So all
//! that goes wrong before the judgement, a defect of this program included, ends in 125.

use super::{
    bisect::{Alike, WhatFlags, alike, gather_one},
    build,
    exit::Exit,
    kernels::{self, Kernel, Wanted},
    output::{self, Output, tell},
    words::{self, Word, Words},
};
use anyhow::{Context, Result, bail};
use clap::Args;
use livediff::{
    diff::Status,
    guard,
    report::{
        KernelRun, Row, Totals,
        between::{self, Report},
        qualified,
        terminal::{self, counted, printable},
    },
};
use livediff_harness::{
    build::{Request, Source},
    run::{self, Cancel},
};
use std::{collections::BTreeSet, path::PathBuf, sync::OnceLock, thread, time::Instant};

#[derive(Debug, Args)]
#[command(after_help = "\
For `git bisect run livediff bisect-step --tree . OBJECT PROGRAM`. Only what changed since the last step is compiled;
the tree itself is not written to.

Exit status, as git takes it: 0 good: something was compared, and there is no discrepancy; 1 bad: a discrepancy; 125 this
commit cannot be judged: it does not configure, build or boot, its analysis is of no known dialect, nothing could be
compared, a program crashed the guest or gave no answer while no other shows a discrepancy, something is missing on this
machine, or the results could not be written out; 130 interrupted, which ends the bisection. A command line that is wrong
exits with 2, which git takes for bad: try the command by hand first.")]
pub(crate) struct StepFlags {
    /// The kernel source tree, in the state that git has checked out.
    #[arg(long, value_name = "DIR")]
    pub(crate) tree: PathBuf,

    /// Judge by what this kernel makes of the programs, a packaged one or an image, instead of by what the model says:
    /// bad is what is not like it, as for `bisect`.
    #[arg(long, value_name = "KERNEL")]
    pub(crate) against: Option<String>,

    #[command(flatten)]
    pub(crate) what: WhatFlags,
}

/// Judges the tree.
pub(crate) fn run(flags: StepFlags) -> Exit {
    let cancel = OnceLock::new();
    let outcome = guard::guarded(|| judge(&flags, &cancel));
    if cancel.get().is_some_and(Cancel::is_cancelled) {
        tell("interrupted: git bisect ends here");
        return Exit::Interrupted;
    }
    match outcome {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) => {
            output::complain(&error);
            tell("this commit cannot be judged");
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
        jobs: flags.what.guest.jobs.unwrap_or(jobs),
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
        let reference = Kernel::open(wanted, dialect, &|what| tell(printable(what)))
            .and_then(|kernel| gather_one(&session, &kernel, &objects, &output))
            .with_context(|| format!("the kernel to judge by, {name}"))?;
        let rows = words::pair(&session.pool, &reference, &words);
        let alike = alike(&rows, &reference, &words, &BTreeSet::new());
        let report = Report { kernels: [reference.kernel, words.kernel], rows, incomplete: None };
        output.print(|out| between::to_terminal(&report, started.elapsed(), out));
        return verdict(alike, &format!("not like {name}"), report.compared(), report.rows.len());
    }
    let rows = words.judged(&session.pool);
    let alike = as_the_model(&rows, &words);
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
    let bad = format!("a discrepancy in {}", counted(totals.count(Status::Mismatch), "program"));
    verdict(alike, &bad, totals.compared(), totals.all())
}

/// Whether the kernel says of the programs what the model says. One discrepancy is enough, and without it one program
/// that gave no answer; one that was refused before the analysis or could not be loaded says nothing of it.
fn as_the_model(rows: &[Row], words: &Words) -> Alike {
    let mut unknown = None;
    for row in rows {
        let comparison = &row.comparison;
        let word = words::find(words, &(row.object.clone(), row.program.clone()));
        match (comparison.status, word) {
            (Status::Mismatch, _) => return Alike::No,
            // Not loadable after the kernel's words is a log that was cut.
            (Status::Crashed | Status::Timeout, _)
            | (Status::NotLoadable, None | Some(Word::Said(_) | Word::Not { reported: false, .. })) => {
                let why = comparison.reason.as_deref().unwrap_or("it gave no answer");
                unknown = Some(format!("{}: {why}", qualified(&row.object, &row.program)));
            }
            _ => {}
        }
    }
    unknown.map_or(Alike::Yes, Alike::Unknown)
}

/// Good, bad (what that is, `bad` says), or why neither.
fn verdict(alike: Alike, bad: &str, compared: usize, all: usize) -> Result<Exit> {
    match alike {
        Alike::No => {
            tell(format_args!("bad: {}", printable(bad)));
            Ok(Exit::Discrepancy)
        }
        Alike::Unknown(why) => bail!("{why}"),
        Alike::Yes if compared == 0 => {
            bail!("nothing could be compared: none of {}", counted(all, "program"))
        }
        Alike::Yes => {
            tell(format_args!("good: no discrepancy in {}", counted(compared, "program")));
            Ok(Exit::Clean)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_judgement_is_one() {
        assert_eq!(verdict(Alike::No, "bad", 1, 1).unwrap(), Exit::Discrepancy);
        // Another end than the reference's is bad, even where no section could be compared.
        assert_eq!(verdict(Alike::No, "bad", 0, 1).unwrap(), Exit::Discrepancy);
        assert_eq!(verdict(Alike::Yes, "bad", 1, 9).unwrap(), Exit::Clean);
        assert!(verdict(Alike::Yes, "bad", 0, 9).is_err());
        assert!(verdict(Alike::Unknown("why".into()), "bad", 8, 9).is_err());
    }

    #[test]
    fn a_program_without_an_answer_leaves_only_a_discrepancy_standing() {
        let name = |program: &str| ("a.o".to_owned(), program.to_owned());
        let of = |statuses: &[(Status, bool)]| {
            let mut words = Words::default();
            let mut rows = Vec::new();
            for (at, (status, reported)) in statuses.iter().enumerate() {
                let word = Word::Not { status: *status, reason: "why".into(), reported: *reported };
                words.programs.insert(name(&at.to_string()), word);
                rows.push(Row::not_loaded("a.o", &at.to_string(), *status, "why"));
            }
            as_the_model(&rows, &words)
        };
        use Status::{Crashed, Match, Mismatch, NotLoadable, RejectedEarly, Timeout};
        let decided = [(Match, true), (RejectedEarly, true), (NotLoadable, true)];
        assert_eq!(of(&decided), Alike::Yes);
        for undecided in [(Crashed, true), (Timeout, true), (NotLoadable, false)] {
            for place in 0..=decided.len() {
                let mut statuses = decided.to_vec();
                statuses.insert(place, undecided);
                assert_eq!(of(&statuses), Alike::Unknown(format!("a.o/{place}: why")));
                statuses.push((Mismatch, true));
                assert_eq!(of(&statuses), Alike::No);
            }
        }
    }

    /// A log that was cut agrees as far as it goes, which is no judgement.
    #[test]
    fn a_cut_log_is_no_answer() {
        use livediff::Dialect;
        use livediff_capture::{Capture, Insn, Kernel, Loaded, Said, Verdict};
        let exit = Insn { code: 0x95, ..Insn::default() };
        let loaded = Loaded { insns: vec![exit], prog_type: 1, ..Loaded::default() };
        let section = livediff::log::section(&loaded, Dialect::V7_2).text;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let of = |log: &str, truncated| {
            let (verdict, errno) = if truncated { (Verdict::Rejected, 28) } else { (Verdict::Accepted, 0) };
            let said = Said { verdict, errno, log: log.into(), truncated };
            let (object, program, kernel) = ("a.o".into(), "p".into(), Kernel::default());
            let capture = Capture { object, program, kernel, loaded: loaded.clone(), said };
            let word = Word::captured(capture, Dialect::V7_2).unwrap();
            let programs = [(("a.o".to_owned(), "p".to_owned()), word)].into();
            let words = Words { programs, ..Words::default() };
            as_the_model(&words.judged(&pool), &words)
        };
        assert_eq!(of(&section, false), Alike::Yes);
        assert!(matches!(of(&section[..section.len() / 2], true), Alike::Unknown(_)));
    }
}
