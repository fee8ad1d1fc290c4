//! `livediff diff`: every program into every kernel, and the model's words against the kernel's.

use super::{
    exit::Exit,
    flags::DiffFlags,
    inputs::{self, Inputs},
    kernels::{self, Kernel, Wanted},
    origins::Origins,
    output::{self, Output},
    session::{Finished, Ran, Session},
    shard::{self, Share, Unit},
    sources::Sources,
    targets,
    verdict::{self, REPLAY, ReportFlags},
};
use anyhow::{Result, anyhow, bail};
use livediff::{
    Dialect,
    diff::{self, Comparison, Deep, Status},
    guard,
    report::{Beside, KernelRun, Picture, Report, Row, Totals, html::Kept, terminal},
};
use livediff_capture::{Capture, Loaded, Said, file, trace::Records};
use livediff_harness::run;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Instant,
};

/// The comparison that the flags ask for.
struct Config {
    session: Session,
    inputs: Inputs,
    /// The source of what kernels say.
    plan: Plan,
    /// The kernels were named, so that nothing may be put in their place.
    kernels_named: bool,
    strict: bool,
    /// The targets of `vmtest.toml` that cannot be run, each with the reason.
    left_out: Vec<String>,
    /// What tracing programs read is compared too.
    deep: bool,
    reports: ReportFlags,
    /// How much is kept of what is drawn of programs, for a page.
    pictures: Kept,
    /// Where the sources of mismatches are.
    sources: Sources,
}

/// What is run and what is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// Objects in kernels, and the captures that were named.
    Live,
    /// Captures only, because `--replay` says so.
    Replay,
    /// Captures only, because there are no objects.
    OnlyCaptures,
}

impl Config {
    fn new(flags: DiffFlags) -> Result<Config> {
        let mut session = Session::new(&flags.live)?;
        let kernels_named = !session.kernels.is_empty();
        flags.reports.check()?;
        let paths = match flags.paths {
            paths if !paths.is_empty() => paths,
            _ => inputs::corpus("no PATH given")?,
        };
        let inputs = Inputs::collect(&paths)?;
        flags.reports.spare(inputs.files())?;
        let objects = inputs.objects.len() + inputs.broken.len();
        let captures = inputs.captures.len() + inputs.found_captures.len();
        let shown = || paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        let plan = match (flags.replay, objects, captures) {
            (true, _, 0) => {
                bail!(
                    "no capture (*.{}) in {}{}; `livediff record` writes them",
                    file::EXTENSION,
                    shown(),
                    inputs.ignored()
                )
            }
            (true, _, _) => Plan::Replay,
            (false, 0, 0) => return Err(inputs.nothing(&paths)),
            (false, 0, _) => Plan::OnlyCaptures,
            (false, _, _) => Plan::Live,
        };
        if kernels_named && plan != Plan::Live {
            bail!(
                "--kernel says which kernel to boot, and nothing is booted: captures are replayed as recorded"
            );
        }
        let mut left_out = Vec::new();
        if !kernels_named && plan == Plan::Live {
            (session.kernels, left_out) = Wanted::defaults()?;
        }
        if flags.deep {
            if plan != Plan::Live || !inputs.captures.is_empty() {
                bail!(
                    "--deep compares what is read from a kernel's memory while it loads a program, and captures hold \
                     none of it: name objects, and leave captures and --replay out"
                );
            }
            session.trace();
        }
        let mut config = Config {
            session,
            inputs,
            plan,
            kernels_named,
            strict: flags.strict,
            left_out,
            deep: flags.deep,
            reports: flags.reports,
            pictures: Kept::default(),
            sources: Sources::default(),
        };
        config.deal()?;
        Ok(config)
    }

    /// Draws a program that was judged, if a page is wanted. A mismatch shows what the kernel says, too. If SARIF is
    /// wanted, the line of the source is looked for.
    fn draw(&self, row: &mut Row, loaded: &Loaded, said: &Said, dialect: Dialect) {
        if let (Some(_), Some(insn)) = (&self.reports.sarif, row.comparison.insn()) {
            self.sources.note(&row.object, &row.program, loaded, insn);
        }
        if self.reports.html.is_none() {
            return;
        }
        let beside = match row.comparison.status {
            Status::Match => Beside::Same,
            Status::Mismatch => Beside::Differing(said),
            _ => Beside::Nothing,
        };
        row.picture = Some(self.pictures.keep(Picture::new(
            loaded,
            dialect,
            beside,
            self.sources.of(&row.object).lines(),
        )));
    }

    /// Has the session choose its part, where only a part is wanted.
    fn deal(&mut self) -> Result<()> {
        if !self.session.is_sharded() {
            return Ok(());
        }
        let Inputs { objects, broken, captures, found_captures, .. } = &self.inputs;
        let found: &[PathBuf] = if self.plan == Plan::Live { &[] } else { found_captures };
        let captures = captures.iter().chain(found).map(|path| {
            // A file is read by one part only, so it is not split.
            let bytes = inputs::read(path)?;
            let name = unit_name(path);
            Ok(Unit { name, size: bytes.len() as u64, contents: shard::hash(&bytes), programs: Vec::new() })
        });
        let mut others = captures.collect::<Result<Vec<Unit>>>()?;
        let objects: &[_] = if self.plan == Plan::Live { objects } else { &[] };
        if self.plan == Plan::Live {
            let broken = broken.iter().filter(|(name, _)| self.session.filter.matches(name, ""));
            others.extend(broken.map(|(name, _)| Unit { name: name.clone(), ..Unit::default() }));
        }
        self.session.deal(objects, others);
        Ok(())
    }
}

/// Under which name a file of captures is dealt out.
fn unit_name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Compares, prints as results come, and reports.
pub(crate) fn run(flags: DiffFlags) -> Result<Exit> {
    let config = Config::new(flags)?;
    let output = Output::new(config.reports.on_stdout());
    let started = Instant::now();
    let mut run =
        Run { config: &config, output: &output, kernels: Vec::new(), ended_by: None, complete: true };
    run.work()?;
    let Run { mut kernels, ended_by, complete, .. } = run;
    kernels.iter_mut().for_each(KernelRun::sort);

    let totals = Totals::of(&kernels);
    if totals.all() > 0 {
        output.print(|out| terminal::summary(out, &kernels, started.elapsed()));
    }
    let interrupted = config.session.cancel.is_cancelled();
    let mut incomplete = match &ended_by {
        _ if interrupted => vec!["the run was interrupted".to_owned()],
        Some(error) => vec![format!("{error:#}")],
        None if complete => Vec::new(),
        None => vec!["the guest did not report on every program".to_owned()],
    };
    if config.strict && !config.left_out.is_empty() {
        incomplete.push(format!("--strict, and {} left out: {}", targets::FILE, config.left_out.join("; ")));
    }
    let incomplete = (!incomplete.is_empty()).then(|| incomplete.join("; "));
    let shard = config.session.filter.share().map(|share| share.described());
    let report = Report { kernels, shard, incomplete };
    config.reports.write(&report, &config.sources)?;
    let exit = verdict::exit(&report, config.strict);
    verdict::tell_github(&report, exit, &output);
    if interrupted {
        verdict::tell_interrupted(totals.all() > 0);
    } else if let Some(error) = ended_by {
        // A discrepancy found before is still one, and the exit says so; the cause of the end is told in any case.
        let error = match totals.compared() {
            0 => error,
            count => error.context(format!("the run ended early, after {count} programs")),
        };
        if totals.count(Status::Mismatch) == 0 {
            return Err(error);
        }
        output::complain(&error);
    } else {
        if let Some(why) = &report.incomplete {
            output::complain(&anyhow!("not every program had its turn: {why}"));
        }
        if totals.compared() == 0 {
            return Err(nothing_compared(&config, &report.kernels));
        }
    }
    verdict::explain(&report, config.strict);
    Ok(exit)
}

fn nothing_compared(config: &Config, kernels: &[KernelRun]) -> anyhow::Error {
    if let Some(why) = config.session.filter.share().and_then(Share::why_empty) {
        return anyhow!(
            "nothing was compared: {why} (the report is written all the same, for `livediff merge`)"
        );
    }
    match Totals::of(kernels).all() {
        0 => anyhow!("{}: nothing was compared", config.session.filter.no_program()),
        _ => verdict::nothing_compared(verdict::reasons(kernels)),
    }
}

/// A comparison that is going on.
struct Run<'c> {
    config: &'c Config,
    output: &'c Output,
    kernels: Vec<KernelRun>,
    /// What ended it early.
    ended_by: Option<anyhow::Error>,
    /// Every program had its turn.
    complete: bool,
}

impl Run<'_> {
    fn work(&mut self) -> Result<()> {
        let inputs = &self.config.inputs;
        if let Some(share) = self.config.session.filter.share() {
            self.say(format_args!("{}", share.announced()));
        }
        match self.config.plan {
            Plan::Replay | Plan::OnlyCaptures => {
                self.say(match self.config.plan {
                    Plan::Replay => format_args!("Replaying recorded captures; nothing is booted."),
                    _ => {
                        format_args!("There are captures and no objects: replaying them; nothing is booted.")
                    }
                });
                self.replay(&[inputs.captures.as_slice(), &inputs.found_captures].concat())?;
                if let Some(text) = inputs.not_looked_at() {
                    self.say(format_args!("{text}"));
                }
                Ok(())
            }
            Plan::Live => {
                if !self.live()? {
                    return Ok(());
                }
                let ignored = inputs.found_captures.len();
                if ignored > 0 {
                    self.say(format_args!(
                        "Files of captures beside the objects that were not replayed: {ignored}; --replay compares with them."
                    ));
                }
                if !inputs.captures.is_empty() && !self.config.session.cancel.is_cancelled() {
                    self.replay(&inputs.captures)?;
                }
                Ok(())
            }
        }
    }

    fn say(&self, text: std::fmt::Arguments<'_>) {
        self.output.line(&text.to_string());
    }

    /// Runs the objects in every kernel. False where captures took the kernel's place.
    fn live(&mut self) -> Result<bool> {
        let session = &self.config.session;
        let kernels = match self.open() {
            Ok(kernels) => kernels,
            // Of several machines, all or none have to do so, and they know nothing of each other.
            Err(error)
                if !self.config.kernels_named
                    && !self.config.strict
                    && !session.is_sharded()
                    && !self.config.deep
                    && !session.cancel.is_cancelled()
                    && !self.config.inputs.found_captures.is_empty() =>
            {
                self.say(format_args!(
                    "No kernel can be run here ({}): comparing with the recorded captures instead.",
                    terminal::printable(&format!("{error:#}"))
                ));
                let inputs = &self.config.inputs;
                self.replay(&[inputs.captures.as_slice(), &inputs.found_captures].concat())?;
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let several = kernels.len() > 1;
        let config = self.config;
        let output = self.output;
        let turns = session.each_kernel(&kernels, &|kernel, options| {
            let started = Instant::now();
            let done = one_kernel(config, output, kernel, options);
            if let (true, Ok((run, _))) = (several, &done) {
                output.print(|out| terminal::kernel_done(out, run, started.elapsed()));
            }
            done
        });
        self.complete &= turns.incomplete.is_empty();
        self.ended_by = turns.ended_by;
        // One that had no turn is not to be missed for that.
        let runs = kernels.iter().zip(turns.done).map(|(kernel, run)| run.unwrap_or_else(|| not_run(kernel)));
        self.kernels.extend(runs);
        if let Some(text) = self.config.inputs.not_looked_at() {
            self.say(format_args!("{text}"));
        }
        Ok(true)
    }

    fn open(&self) -> Result<Vec<Kernel>> {
        let session = &self.config.session;
        kernels::open_all(&session.kernels, self.output, |wanted, progress| {
            let kernel = Kernel::open(wanted, session.dialect, progress)?;
            if self.config.deep {
                diff::deep::check(kernel.dialect).map_err(|reason| {
                    anyhow!("kernel {} ({}): {reason}", kernel.name, kernel.image.release)
                })?;
            }
            Ok(kernel)
        })
    }

    /// Compares captures, those of one kernel under one heading.
    fn replay(&mut self, paths: &[PathBuf]) -> Result<()> {
        let (config, output) = (self.config, self.output);
        let task = output.task("replaying");
        task.expect(paths.len());
        let mut kernels: BTreeMap<(Dialect, String, String), KernelRun> = BTreeMap::new();
        let (unreadable, origins) = thread::scope(|threads| {
            let (send, receive) = mpsc::channel::<Replayed<'_>>();
            let collector = threads.spawn(|| {
                let mut unreadable = 0;
                let mut origins = Origins::default();
                for Replayed { path, captures, error } in receive {
                    task.advance();
                    if let Some(error) = error {
                        unreadable += 1;
                        let error = terminal::printable(&format!("{error:#}"));
                        output.print(|out| writeln!(out, "{error}"));
                    }
                    for Judged { kernel, dialect, name, row } in captures {
                        let key = (dialect, kernel.release.clone(), kernel.dialect.clone());
                        let run = kernels.entry(key).or_insert_with(|| KernelRun {
                            name: kernel.release.clone(),
                            release: kernel.release.clone(),
                            dialect: dialect.to_string(),
                            dialect_forced: kernel.dialect_forced,
                            accel: REPLAY.into(),
                            rows: Vec::new(),
                        });
                        let news = origins.add(name, &kernel, path);
                        let Some(row) = row else { continue };
                        if row.comparison.status != Status::Match {
                            output.print(|out| terminal::row(out, run, &row));
                        }
                        if news {
                            run.rows.push(row);
                        }
                    }
                }
                (unreadable, origins)
            });
            config.session.pool.in_place_scope(|pool| {
                for path in paths {
                    let send = send.clone();
                    pool.spawn(move |_| {
                        if !config.session.cancel.is_cancelled() {
                            // The other end lives until the scope ends.
                            let _ = send.send(replayed(path, config));
                        }
                    });
                }
            });
            drop(send);
            collector.join().map_err(|_| anyhow!("printing the results failed"))
        })?;
        self.kernels.extend(kernels.into_values());
        // A capture that cannot be read has no program to be listed under, and must not go unnoticed.
        let unreadable =
            (unreadable > 0).then(|| anyhow!("{unreadable} of {} captures could not be read", paths.len()));
        for error in unreadable.into_iter().chain(origins.twice()) {
            self.complete = false;
            match &self.ended_by {
                None => self.ended_by = Some(error),
                // One decides what the run ends with; none is kept back.
                Some(_) => output::complain(&error),
            }
        }
        Ok(())
    }
}

/// A kernel that no program has been run in.
fn not_run(kernel: &Kernel) -> KernelRun {
    KernelRun {
        name: kernel.name.clone(),
        release: kernel.image.release.clone(),
        dialect: kernel.dialect.to_string(),
        dialect_forced: kernel.forced.is_some(),
        ..KernelRun::default()
    }
}

/// Runs the objects in one kernel.
fn one_kernel(
    config: &Config,
    output: &Output,
    kernel: &Kernel,
    options: &run::Options,
) -> Result<(KernelRun, Ran)> {
    let mut run = not_run(kernel);
    output.line(&terminal::printable(&format!(
        "Linux {} ({}): {}",
        run.release,
        kernel.described(),
        terminal::counted(config.inputs.objects.len() + config.inputs.broken.len(), "object")
    )));
    for (object, reason) in &config.inputs.broken {
        if config.session.filter.wants(object, "") {
            let row = Row::not_loaded(object, "", Status::NotLoadable, reason);
            output.print(|out| terminal::row(out, &run, &row));
            run.rows.push(row);
        }
    }
    let dialect = kernel.dialect;
    let work = |mut finished: Finished| {
        let records = finished.records.take();
        let (object, program, reported) =
            (finished.object.clone(), finished.program.clone(), finished.is_reported());
        let row = match finished.into_loaded() {
            Ok(pair) => {
                let mut row = match config.deep {
                    true => judged_deep(object, program, (&pair.0, &pair.1), dialect, records.as_ref()),
                    false => judged(object, program, &pair.0, &pair.1, dialect),
                };
                config.draw(&mut row, &pair.0, &pair.1, dialect);
                row
            }
            Err((status, reason)) => Row::not_loaded(&object, &program, status, reason),
        };
        (row, reported)
    };
    let task = output.task(&format!("Linux {}", run.release));
    let mut rows = Vec::new();
    let ran = config.session.run(
        kernel,
        &config.inputs.objects,
        options,
        (output, &task),
        &work,
        &mut |(row, reported)| {
            task.advance();
            // What an interrupted run did not come to is in the summary, under one heading.
            if reported && row.comparison.status != Status::Match {
                output.print(|out| terminal::row(out, &run, &row));
            }
            rows.push(row);
        },
    )?;
    run.rows.append(&mut rows);
    if let Some((accel, _)) = ran.booted {
        run.accel = accel.to_string();
    }
    Ok((run, ran))
}

/// What came of a file of captures.
struct Replayed<'p> {
    path: &'p Path,
    /// Those that are not filtered out and that this program knows the dialect of.
    captures: Vec<Judged>,
    /// What kept others from being judged.
    error: Option<anyhow::Error>,
}

/// One capture.
struct Judged {
    kernel: livediff_capture::Kernel,
    dialect: Dialect,
    /// The object and the program.
    name: (String, String),
    /// Nothing where it is in another part.
    row: Option<Row>,
}

/// Reads a file and judges what is in it.
fn replayed<'p>(path: &'p Path, config: &Config) -> Replayed<'p> {
    let mut replayed = Replayed { path, captures: Vec::new(), error: None };
    let filter = &config.session.filter;
    let ours = filter.share().is_none_or(|share| share.has(&unit_name(path), ""));
    let captures = match file::read(path) {
        Ok(captures) => captures,
        Err(error) => return Replayed { error: Some(error.into()), ..replayed },
    };
    for Capture { object, program, mut kernel, loaded, said } in captures {
        if !filter.matches(&object, &program) {
            continue;
        }
        let dialect = match (config.session.dialect, Dialect::from_id(&kernel.dialect)) {
            (Some(dialect), _) => {
                kernel.dialect_forced = true;
                dialect
            }
            (None, Some(dialect)) => dialect,
            (None, None) => {
                replayed.error.get_or_insert_with(|| {
                    anyhow!(
                        "{}: recorded for dialect `{}`, which this program does not know",
                        path.display(),
                        kernel.dialect
                    )
                });
                continue;
            }
        };
        let name = (object, program);
        let row = ours.then(|| {
            let mut row = judged(name.0.clone(), name.1.clone(), &loaded, &said, dialect);
            config.draw(&mut row, &loaded, &said, dialect);
            row
        });
        replayed.captures.push(Judged { kernel, dialect, name, row });
    }
    replayed
}

/// The row of a program that was loaded. A model that breaks down on a program costs that program only.
pub(super) fn judged(object: String, program: String, loaded: &Loaded, said: &Said, dialect: Dialect) -> Row {
    judged_by(object, program, loaded, said, &|| (diff::judge(loaded, said, dialect), None))
}

/// As [`judged`], with what was traced of the program besides its log.
fn judged_deep(
    object: String,
    program: String,
    (loaded, said): (&Loaded, &Said),
    dialect: Dialect,
    records: Option<&Records>,
) -> Row {
    judged_by(object, program, loaded, said, &|| {
        diff::deepen(diff::judge(loaded, said, dialect), loaded, said, dialect, records)
    })
}

fn judged_by(
    object: String,
    program: String,
    loaded: &Loaded,
    said: &Said,
    judge: &dyn Fn() -> (Comparison, Option<Deep>),
) -> Row {
    let (comparison, deep) = guard::guarded(judge).unwrap_or_else(|cause| {
        let reason = guard::broke_down(&cause);
        (Comparison { status: Status::Mismatch, lines: 0, reason: Some(reason), difference: None }, None)
    });
    Row { object, program, insns: loaded.insns.len(), verdict: said.verdict, comparison, deep, picture: None }
}
