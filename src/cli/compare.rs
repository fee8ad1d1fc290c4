//! `livediff compare`: kernel against kernel, without a model that decides.

use super::{
    exit::Exit,
    flags::LiveFlags,
    inputs::{self, Inputs},
    kernels::{self, Kernel, Wanted},
    origins::Origins,
    output::{self, Output},
    session::{Session, Turns},
    sources::Sources,
    verdict::{self, REPLAY, ReportFlags, tell_interrupted},
    words::{self, Word, Words},
};
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use livediff::{
    Dialect,
    diff::Difference,
    report::{
        between::{self, Report},
        html, sarif,
        terminal::counted,
    },
};
use livediff_capture::file;
use std::{collections::BTreeSet, path::PathBuf, time::Instant};

#[derive(Debug, Args)]
// It has no parts.
#[command(mut_arg("shard", |flag| flag.hide(true)), mut_arg("costs", |flag| flag.hide(true)))]
#[command(after_help = "\
Every program is in one class:
  same                both kernels say the same, kernel addresses and BTF ids of kernel functions apart
  explained           the kernels are of different dialects, and each says what the model of its dialect says
  loaded_differently  they were not given the same (CO-RE, weak symbols, prototypes of kernel functions), and differ only
                      in what follows from that
  changed             they differ
  only_in_a, _b       one analysed the program; the other refused it before, could not load it, or died on it
  not_compared        neither analysed it, or no answer came in time

Exit status: 0 no difference, 1 at least one program is changed, only_in_a or only_in_b, 2 nothing was decided (usage,
environment or input). A run in which no program could be compared never exits with 0.")]
pub(crate) struct CompareFlags {
    /// BPF objects and folders to search for them [default: corpus/, if it is there]. With --replay, captures and
    /// folders of them.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Compare recorded captures; boot nothing. The kernels are named by how their releases begin (`--kernel 7.2.12`);
    /// without --kernel two PATHs are A and B, each with the captures of one kernel.
    #[arg(long)]
    pub(crate) replay: bool,

    /// Count every program that was not compared as an error.
    #[arg(long)]
    pub(crate) strict: bool,

    #[command(flatten)]
    pub(crate) live: LiveFlags,

    #[command(flatten)]
    pub(crate) reports: ReportFlags,
}

/// Compares, prints and reports.
pub(crate) fn run(mut flags: CompareFlags) -> Result<Exit> {
    flags.live.shard.refuse("compare")?;
    flags.reports.check()?;
    let started = Instant::now();
    let output = Output::new(flags.reports.on_stdout());
    let paths = match &flags.paths {
        paths if !paths.is_empty() => paths.clone(),
        _ => inputs::corpus("no PATH given")?,
    };
    let sources = Sources::default();
    let (mut report, ended_by, session) = if flags.replay {
        let (session, words) = replayed(&flags, &paths, &output)?;
        let [a, b] = words;
        (report(&session, a, b, None, &sources), None, session)
    } else {
        live(&flags, &paths, &output, &sources)?
    };

    let interrupted = session.cancel.is_cancelled();
    if interrupted {
        report.incomplete = Some("the run was interrupted".to_owned());
    }
    if !report.rows.is_empty() {
        output.print(|out| between::to_terminal(&report, started.elapsed(), out));
    }
    let (json, junit) = (flags.reports.json.as_deref(), flags.reports.junit.as_deref());
    let json = json.map(|path| output::write_report(path, |out| between::to_json(&report, out)));
    let junit = junit.map(|path| output::write_report(path, |out| between::to_junit(&report, out)));
    let html = flags.reports.html.as_deref();
    let html = html.map(|path| output::write_report(path, |out| html::between_to_html(&report, out)));
    let sources: sarif::Sources<'_> = &|object, program, insn| sources.noted(object, program, insn);
    let sarif = flags.reports.sarif.as_deref();
    let sarif =
        sarif.map(|path| output::write_report(path, |out| sarif::between_to_sarif(&report, sources, out)));
    output::all_written([json, junit, html, sarif].into_iter().flatten(), report.differences() > 0)?;
    exit(&report, ended_by, interrupted, flags.strict, session.filter.no_program())
}

/// The exit status, with what keeps it from 0 told.
fn exit(
    report: &Report,
    ended_by: Option<anyhow::Error>,
    interrupted: bool,
    strict: bool,
    no_program: &str,
) -> Result<Exit> {
    let (compared, differences) = (report.compared(), report.differences());
    let not_compared = report.rows.len() - compared;
    if interrupted {
        tell_interrupted(!report.rows.is_empty());
    } else if let Some(error) = ended_by {
        if differences == 0 {
            return Err(error);
        }
        output::complain(&error);
    } else if let Some(why) = &report.incomplete {
        output::complain(&anyhow!("not every program had its turn: {why}"));
    } else if compared == 0 {
        return Err(match report.rows.len() {
            0 => anyhow!("{no_program}: nothing was compared"),
            _ => {
                let reason = |row: &between::Row| row.between.reason.clone().unwrap_or_default();
                verdict::nothing_compared(report.rows.iter().map(|row| (row.name(), reason(row))))
            }
        });
    }
    if strict && not_compared > 0 {
        output::complain(&anyhow!("--strict: {} not compared", counted(not_compared, "program")));
    }
    Ok(Exit::of((differences, compared, not_compared), report.incomplete.is_none(), strict))
}

fn report(session: &Session, a: Words, b: Words, incomplete: Option<String>, sources: &Sources) -> Report {
    let rows = words::pair(&session.pool, &a, &b);
    for row in &rows {
        let Some(insn) = row.between.difference.as_ref().and_then(Difference::insn) else { continue };
        let name = (row.object.clone(), row.program.clone());
        // The place of a difference is in what B was given.
        if let Some(loaded) = words::find(&b, &name).and_then(Word::loaded) {
            sources.note(&row.object, &row.program, loaded, insn);
        }
    }
    Report { kernels: [a.kernel, b.kernel], rows, incomplete }
}

/// Runs both kernels.
fn live(
    flags: &CompareFlags,
    paths: &[PathBuf],
    output: &Output,
    sources: &Sources,
) -> Result<(Report, Option<anyhow::Error>, Session)> {
    let session = Session::new(&flags.live)?;
    if session.kernels.len() != 2 {
        bail!(
            "compare takes two kernels, A and B: --kernel A --kernel B; {} named",
            match session.kernels.len() {
                0 => "none is".to_owned(),
                1 => "one is".to_owned(),
                count => format!("{count} are"),
            }
        );
    }
    let inputs = Inputs::collect(paths)?;
    flags.reports.spare(inputs.files())?;
    if inputs.objects.is_empty() && inputs.broken.is_empty() {
        bail!(
            "no BPF object (*.o) in the given paths{}{}",
            inputs.ignored(),
            if inputs.captures.len() + inputs.found_captures.len() > 0 {
                "; --replay compares captures"
            } else {
                ""
            }
        );
    }
    inputs.refuse_captures("--replay compares captures")?;
    let open = |wanted: &Wanted, progress: &dyn Fn(&str)| Kernel::open(wanted, session.dialect, progress);
    let kernels = kernels::open_all(&session.kernels, output, open)?;
    let Turns { done, ended_by, incomplete } = session.each_kernel(&kernels, &|kernel, options| {
        let task = output.task(&format!("Linux {}", kernel.image.release));
        words::gather(&session, kernel, &inputs.objects, options, (output, &task))
    });
    if let Some(text) = inputs.not_looked_at() {
        output.line(&text);
    }
    let incomplete = (!incomplete.is_empty()).then(|| incomplete.join("; "));
    let mut words: Vec<Words> = Vec::new();
    for (kernel, said) in kernels.iter().zip(done) {
        words.push(match said {
            Some(mut said) => {
                words::add_broken(&mut said, &session, &inputs);
                said
            }
            None => Words::none(kernel),
        });
    }
    let (b, a) = (words.pop().unwrap_or_default(), words.pop().unwrap_or_default());
    if ended_by.is_none() && !session.cancel.is_cancelled() {
        for (words, other) in [(&a, &b), (&b, &a)] {
            takes_some(words, other)?;
        }
    }
    // Of a kernel that had no turn nothing is known: no program is there in one only.
    let stopped = ended_by.is_some() || session.cancel.is_cancelled();
    let report = if stopped && (a.programs.is_empty() || b.programs.is_empty()) {
        Report { kernels: [a.kernel, b.kernel], rows: Vec::new(), incomplete }
    } else {
        report(&session, a, b, incomplete, sources)
    };
    Ok((report, ended_by, session))
}

/// A kernel that could load nothing of several objects, always for the same reason, is one that cannot be judged, and
/// not one that has changed in each program.
fn takes_some(words: &Words, other: &Words) -> Result<()> {
    let loaded: BTreeSet<&str> = other
        .programs
        .iter()
        .filter(|(_, word)| matches!(word, Word::Said(_)))
        .map(|((object, _), _)| object.as_str())
        .collect();
    let mut reasons = BTreeSet::new();
    for word in words.programs.values() {
        match word {
            Word::Said(_) => return Ok(()),
            Word::Not { reason, .. } => reasons.insert(reason.lines().next().unwrap_or_default()),
        };
    }
    match reasons.first() {
        Some(reason) if reasons.len() == 1 && loaded.len() > 1 => bail!(
            "kernel {}, Linux {}: none of the programs could be loaded: {reason}",
            words.kernel.name,
            words.kernel.release
        ),
        _ => Ok(()),
    }
}

/// Reads what two kernels said from captures.
fn replayed(flags: &CompareFlags, paths: &[PathBuf], output: &Output) -> Result<(Session, [Words; 2])> {
    // The names are those of releases, and no kernel that could be run.
    let live = LiveFlags { kernels: Vec::new(), ..flags.live.clone() };
    let session = Session::new(&live)?;
    let task = output.task("reading captures");
    let inputs = |paths: &[PathBuf]| -> Result<Inputs> {
        let inputs = Inputs::collect(paths)?;
        flags.reports.spare(inputs.files())?;
        if let Some(text) = inputs.not_looked_at() {
            output.line(&text);
        }
        Ok(inputs)
    };
    let words = match (flags.live.kernels.as_slice(), paths) {
        ([a, b], paths) => {
            let inputs = inputs(paths)?;
            [side(&session, paths, &inputs, Some(a))?, side(&session, paths, &inputs, Some(b))?]
        }
        ([], [a, b]) => {
            let [a, b] = [a, b].map(std::slice::from_ref);
            let (of_a, of_b) = (inputs(a)?, inputs(b)?);
            [side(&session, a, &of_a, None)?, side(&session, b, &of_b, None)?]
        }
        ([], _) => bail!(
            "--replay compares two kernels: --kernel A --kernel B, or two PATHs with the captures of one each"
        ),
        (names, _) => bail!(
            "--replay compares two kernels, and {} named",
            if names.len() == 1 { "one is" } else { "more are" }
        ),
    };
    drop(task);
    Ok((session, words))
}

/// The captures among `inputs`, found in `paths`, of the one kernel whose release begins with `wanted`, or of the only one there is.
fn side(session: &Session, paths: &[PathBuf], inputs: &Inputs, wanted: Option<&str>) -> Result<Words> {
    let shown = || paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let files = [inputs.captures.as_slice(), &inputs.found_captures].concat();
    if files.is_empty() {
        bail!(
            "no capture (*.{}) in {}{}; `livediff record` writes them",
            file::EXTENSION,
            shown(),
            inputs.ignored()
        );
    }
    let mut words = Words::default();
    let mut releases = BTreeSet::new();
    let mut others = BTreeSet::new();
    let mut origins = Origins::default();
    for path in &files {
        if session.cancel.is_cancelled() {
            bail!("interrupted: nothing was compared");
        }
        for capture in file::read(path)? {
            if !session.filter.matches(&capture.object, &capture.program) {
                continue;
            }
            let kernel = &capture.kernel;
            if wanted.is_some_and(|wanted| !is_named(&kernel.release, wanted)) {
                others.insert(kernel.release.clone());
                continue;
            }
            let dialect =
                session.dialect.or_else(|| Dialect::from_id(&kernel.dialect)).with_context(|| {
                    format!(
                        "{}: recorded for dialect `{}`, which this program does not know",
                        path.display(),
                        kernel.dialect
                    )
                })?;
            releases.insert((kernel.release.clone(), kernel.dialect.clone()));
            words.kernel = between::Kernel {
                name: wanted.unwrap_or(&kernel.release).to_owned(),
                release: kernel.release.clone(),
                dialect: dialect.id().to_owned(),
                dialect_forced: kernel.dialect_forced || session.dialect.is_some(),
                accel: REPLAY.to_owned(),
            };
            let name = (capture.object.clone(), capture.program.clone());
            origins.add(name.clone(), kernel, path);
            words.programs.insert(name, Word::captured(capture, dialect)?);
        }
    }
    origins.check()?;
    let list =
        |names: &mut dyn Iterator<Item = &String>| names.map(String::as_str).collect::<Vec<_>>().join(", ");
    match releases.len() {
        1 => Ok(words),
        0 => match wanted {
            Some(wanted) if !others.is_empty() => {
                bail!(
                    "{}: no capture is of a kernel {wanted}; there are {}",
                    shown(),
                    list(&mut others.iter())
                )
            }
            _ => bail!("{}: no capture matches --filter", shown()),
        },
        _ => {
            let names = list(&mut releases.iter().map(|(release, _)| release));
            bail!(
                "{}: captures of several kernels, {names}: name one with --kernel, by how its release begins",
                shown()
            )
        }
    }
}

/// `7.2.12` and `7.2` name `7.2.12+deb13-cloud-amd64`, and `7.2.1` does not.
fn is_named(release: &str, wanted: &str) -> bool {
    release.strip_prefix(wanted).is_some_and(|rest| {
        rest.is_empty()
            || !wanted.ends_with(|c: char| c.is_ascii_digit())
            || !rest.starts_with(|c: char| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_named_by_their_beginning() {
        let release = "7.2.12+deb13-cloud-amd64";
        for wanted in ["7.2", "7.2.12", "7.2.12+deb13", release] {
            assert!(is_named(release, wanted), "{wanted}");
        }
        for wanted in ["7.2.1", "7.3", "2.12", "7.2.12+deb13-cloud-amd64x"] {
            assert!(!is_named(release, wanted), "{wanted}");
        }
    }
}
