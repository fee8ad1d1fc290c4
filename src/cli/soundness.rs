//! `livediff soundness`: is what the analysis calls dead never read?

mod judge;
mod smaller;
mod tell;

use super::{
    analyze,
    exit::Exit,
    flags::LiveFlags,
    inputs::{self, Inputs, ObjectFile},
    kernels::{self, Kernel},
    output::{self, Output},
    session::{Finished, Ran, Session},
    verdict,
};
use anyhow::{Context, Result, bail};
use clap::Args;
use judge::{Judged, Subject};
use livediff::{
    Dialect, assemble,
    bpf::{Callable, btf::Btf},
    fuzz::{self, Generator, Material},
    loader,
    soundness::Limits,
};
use livediff_capture::{Capture, file};
use livediff_harness::run;
use rayon::prelude::*;
use std::{collections::HashMap, path::PathBuf, sync::Mutex};
use tell::Report;

#[derive(Debug, Args)]
// It has no parts.
#[command(mut_arg("shard", |flag| flag.hide(true)), mut_arg("costs", |flag| flag.hide(true)))]
#[command(after_help = "\
Without --kernel nothing is booted: objects are opened as `analyze` does it, captures are taken as recorded, and the \
analysis is the model's, which `diff` holds against the kernel's.

Exit status: 0 nothing was found, 1 at least one finding, 2 nothing was decided (usage, environment or input, or no \
program of which anything was checked), or the run was not completed.")]
pub(crate) struct SoundnessFlags {
    /// BPF objects, captures, and folders to search for them [default: corpus/, if it is there, unless --random is
    /// given].
    #[arg(value_name = "PATH")]
    objects: Vec<PathBuf>,

    /// As many random programs as well.
    #[arg(long, value_name = "N")]
    random: Option<u64>,

    /// What the random paths, and the random programs, depend on.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Random paths from each entry of a program: the program itself, its global functions, and callbacks that the
    /// kernel runs later.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    paths: u32,

    /// Instructions of a path at most.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    steps: u32,

    /// Recorded captures only.
    #[arg(long, conflicts_with = "random")]
    replay: bool,

    /// Write the outcome as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the programs of findings, reduced, as sources and objects to this folder; made if it is not there. What a
    /// kernel alone found is written whole.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    #[command(flatten)]
    live: LiveFlags,
}

/// The dialect of a program that no kernel stands for.
const DIALECT: Dialect = Dialect::V7_2;
/// Findings of one program that are kept.
const FINDINGS: usize = 16;
/// Of so many random programs one is left as it is made, and one is tamed; the others are made such that kernels take
/// them, mostly.
const KINDS: u64 = 8;
/// Random programs that are made at a time.
const BATCH: u64 = 512;

/// Random programs in an object.
const PACK: u64 = 48;

/// Does what the subcommand says.
pub(crate) fn run(mut flags: SoundnessFlags) -> Result<Exit> {
    flags.live.shard.refuse("soundness")?;
    let to_stdout = output::check_reports(&[("--json", &flags.json)])?;
    let session = Session::new(&flags.live)?;
    let paths = match &flags.objects {
        paths if !paths.is_empty() || flags.random.is_some() => paths.clone(),
        _ => inputs::corpus("no PATH given, no --random")?,
    };
    let inputs = Inputs::collect(&paths)?;
    output::spare_inputs(flags.json.as_deref(), inputs.files())?;
    let Inputs { objects, broken, captures, found_captures, .. } = &inputs;
    let some = objects.len() + broken.len() + captures.len() + found_captures.len() > 0;
    if !some && !flags.replay && flags.random.is_none() {
        return Err(inputs.nothing(&paths));
    }
    if let Some(folder) = &flags.output {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let limits = Limits { seed: flags.seed, paths: flags.paths, steps: flags.steps, findings: FINDINGS };
    let output = Output::new(to_stdout);
    if let Some(text) = inputs.not_looked_at() {
        output.line(&text);
    }
    let mut run = Run {
        flags: &flags,
        session: &session,
        inputs: &inputs,
        limits,
        output: &output,
        report: Mutex::new(Report::new(flags.seed, limits)),
    };
    let worked = run.work();
    let mut report = run.report.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    report.finish();
    let found = report.findings() > 0;
    let worked = if found { worked.err() } else { worked.map(|()| None)? };
    let failures = smaller::reduce_all(&mut report, &flags, limits, &session.cancel, &output);
    report.tell(&output);
    let written = flags.json.as_ref().map(|path| output::write_report(path, |out| report.to_json(out)));
    // What failed must not hide what was found.
    output::all_written(worked.into_iter().chain(failures).map(Err).chain(written), found)?;
    if session.cancel.is_cancelled() {
        verdict::tell_interrupted(true);
    }
    match (report.findings(), report.checked()) {
        (1.., _) => Ok(Exit::Discrepancy),
        (0, 0) => bail!("nothing was decided: there is no program of which any read was checked"),
        (0, _) if session.cancel.is_cancelled() => Ok(Exit::Error),
        (0, _) => match report.incomplete.as_slice() {
            [] => Ok(Exit::Clean),
            reasons => bail!("not every program had its turn: {}", reasons.join("; ")),
        },
    }
}

struct Run<'r> {
    flags: &'r SoundnessFlags,
    session: &'r Session,
    inputs: &'r Inputs,
    limits: Limits,
    output: &'r Output,
    report: Mutex<Report>,
}

impl Run<'_> {
    fn work(&mut self) -> Result<()> {
        let Inputs { objects, broken, captures, found_captures, .. } = self.inputs;
        if self.flags.replay && captures.is_empty() && found_captures.is_empty() {
            bail!("--replay: there is no capture (*.{}) in the given paths", file::EXTENSION);
        }
        if !self.session.kernels.is_empty() && self.flags.random.unwrap_or(0) == 0 {
            if self.flags.replay || objects.is_empty() {
                bail!(
                    "--kernel says which kernel to boot, and nothing is booted: captures are taken as recorded, and \
                     there is neither an object nor --random"
                );
            }
            let functions = |object: &ObjectFile| self.session.filter.functions(object);
            if objects.iter().all(|object| functions(object).is_some_and(|names| names.is_empty())) {
                bail!("--kernel says which kernel to boot, and --filter leaves no program for it");
            }
        }
        for (object, reason) in broken.iter().filter(|(object, _)| self.session.filter.wants(object, "")) {
            self.add(Judged::not_decided(object.clone(), String::new(), None, reason.clone()));
        }
        let replayed = match self.flags.replay || objects.is_empty() {
            true => [captures.as_slice(), found_captures].concat(),
            false => captures.clone(),
        };
        self.replay(&replayed);
        let objects: &[ObjectFile] = if self.flags.replay { &[] } else { objects };
        if self.session.kernels.is_empty() {
            self.open(objects)?;
            return self.random();
        }
        self.in_kernels(objects)
    }

    fn add(&self, judged: Judged) {
        self.report.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).add(judged);
    }

    fn judge(&self, subject: Subject) {
        if !self.session.cancel.is_cancelled() {
            self.add(judge::judge(subject, &self.limits));
        }
    }

    /// Captures as they were recorded.
    fn replay(&self, paths: &[PathBuf]) {
        if paths.is_empty() {
            return;
        }
        let task = self.output.task("replaying");
        task.expect(paths.len());
        self.session.pool.install(|| {
            paths.par_iter().for_each(|path| {
                match file::read(path) {
                    Ok(captures) => captures.into_iter().for_each(|capture| self.capture(capture)),
                    Err(error) => {
                        let name = path.display().to_string();
                        self.add(Judged::not_decided(name, String::new(), None, error.to_string()));
                    }
                }
                task.advance();
            })
        });
    }

    fn capture(&self, capture: Capture) {
        let Capture { object, program, kernel, loaded, said } = capture;
        if !self.session.filter.wants(&object, &program) {
            return;
        }
        let recorded = Dialect::from_id(&kernel.dialect);
        let observed = recorded.is_some_and(observes);
        let dialect = match recorded {
            Some(_) if observed => Some(self.session.dialect.unwrap_or(DIALECT)),
            recorded => self.session.dialect.or(recorded),
        };
        match dialect {
            Some(dialect) => {
                // Another dialect's answers are not to be those of the kernel.
                let said = Some(said).filter(|_| observed || recorded == Some(dialect));
                let kernel = Some(kernel.release);
                self.judge(Subject {
                    object,
                    program,
                    kernel,
                    dialect,
                    loaded,
                    said,
                    observed,
                    random: None,
                    invented: false,
                });
            }
            None => {
                let reason = format!("recorded for dialect `{}`, which is not known", kernel.dialect);
                self.add(Judged::not_decided(object, program, Some(kernel.release), reason));
            }
        }
    }

    /// Objects, without a kernel.
    fn open(&self, objects: &[ObjectFile]) -> Result<()> {
        if objects.is_empty() {
            return Ok(());
        }
        let kernel = analyze::types(None, self.session.dialect, self.output)?;
        let types = kernel.as_ref().map(|kernel| Btf::parse(&kernel.image.btf).context("the kernel's BTF"));
        let types = types.transpose()?;
        let dialect =
            self.session.dialect.unwrap_or_else(|| kernel.as_ref().map_or(DIALECT, |kernel| kernel.dialect));
        let callable = types.as_ref().zip(kernel.as_ref());
        let callable = callable.map(|(types, kernel)| Callable::new(types, dialect, &kernel.image.btf_ids));
        let against = match (&kernel, &types, &callable) {
            (Some(kernel), Some(types), Some(callable)) => {
                Some(loader::Kernel::new(&kernel.image.btf, types, callable)?)
            }
            _ => None,
        };
        let task = self.output.task("objects");
        task.expect(objects.len());
        self.session.pool.install(|| {
            objects.par_iter().for_each(|object| {
                match loader::open(&object.name, &object.bytes, against.as_ref()) {
                    Ok(programs) => programs.into_iter().for_each(|program| {
                        if !self.session.filter.wants(&object.name, &program.name) {
                            return;
                        }
                        match program.loaded {
                            Ok(loaded) => self.judge(Subject {
                                object: object.name.clone(),
                                program: program.name,
                                kernel: None,
                                dialect,
                                loaded,
                                said: None,
                                observed: false,
                                random: None,
                                invented: false,
                            }),
                            Err(reason) => {
                                self.add(Judged::not_decided(
                                    object.name.clone(),
                                    program.name,
                                    None,
                                    reason,
                                ));
                            }
                        }
                    }),
                    Err(error) => self.add(Judged::not_decided(
                        object.name.clone(),
                        String::new(),
                        None,
                        error.to_string(),
                    )),
                }
                task.advance();
            })
        });
        Ok(())
    }

    /// Objects, and random programs, in kernels.
    fn in_kernels(&self, objects: &[ObjectFile]) -> Result<()> {
        let kernels = kernels::open_all(&self.session.kernels, self.output, |wanted, progress| {
            let kernel = Kernel::open(wanted, None, progress);
            match (kernel, self.session.dialect) {
                (Ok(kernel), Some(_)) if observes(kernel.dialect) => Ok(kernel),
                (_, Some(dialect)) => Kernel::open(wanted, Some(dialect), progress),
                (kernel, None) => kernel,
            }
        })?;
        let turns = self
            .session
            .each_kernel(&kernels, &|kernel, options| Ok(((), self.in_kernel(kernel, options, objects)?)));
        let mut report = self.report.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        report.incomplete.extend(turns.incomplete);
        Ok(())
    }

    /// Everything in one kernel, whose path walks are run to their end.
    fn in_kernel(&self, kernel: &Kernel, options: &run::Options, objects: &[ObjectFile]) -> Result<Ran> {
        let mut objects = objects.to_vec();
        let random = self.random_objects(kernel)?;
        let mut invented: HashMap<String, Vec<assemble::Program>> = HashMap::new();
        for (object, programs) in random {
            invented.insert(object.name.clone(), programs);
            objects.push(object);
        }
        let observed = observes(kernel.dialect);
        let dialect = if observed { self.session.dialect.unwrap_or(DIALECT) } else { kernel.dialect };
        let options = run::Options { stop: None, ..options.clone() };
        let task = self.output.task(&format!("Linux {}", kernel.image.release));
        let release = &kernel.image.release;
        let work = |finished: Finished| {
            let (object, program) = (finished.object.clone(), finished.program.clone());
            let kernel = Some(release.clone());
            match finished.into_loaded() {
                Ok(pair) => {
                    let (loaded, said) = *pair;
                    let said = Some(said);
                    let made = invented.get(&object);
                    let random = made.and_then(|made| made.iter().find(|made| made.name == program)).cloned();
                    let invented = made.is_some();
                    self.judge(Subject {
                        object,
                        program,
                        kernel,
                        dialect,
                        loaded,
                        said,
                        observed,
                        random,
                        invented,
                    });
                }
                Err((_, reason)) => self.add(Judged::not_decided(object, program, kernel, reason)),
            }
        };
        let session = self.session;
        session.run(kernel, &objects, &options, (self.output, &task), &work, &mut |()| task.advance())
    }

    /// Random programs for a kernel, in objects.
    fn random_objects(&self, kernel: &Kernel) -> Result<Vec<(ObjectFile, Vec<assemble::Program>)>> {
        let Some(wanted) = self.flags.random else { return Ok(Vec::new()) };
        let btf =
            Btf::parse(&kernel.image.btf).with_context(|| format!("kernel {}: its BTF", kernel.name))?;
        let mut generator = Generator::new(self.flags.seed, kernel.dialect, Material::of(&btf));
        let task = self.output.task("random programs");
        task.expect(usize::try_from(wanted).unwrap_or(usize::MAX));
        let mut objects = Vec::new();
        let mut from = 0;
        while from < wanted && !self.session.cancel.is_cancelled() {
            let numbers = from..from.saturating_add(PACK).min(wanted);
            let first = numbers.start;
            from = numbers.end;
            let made = self.session.pool.install(|| {
                generator.batch(numbers, |numbers, make| numbers.into_par_iter().map(make).collect())
            });
            let mut programs: Vec<assemble::Program> = made.into_iter().map(|(program, _)| program).collect();
            self.session.pool.install(|| {
                programs
                    .par_iter_mut()
                    .enumerate()
                    .for_each(|(place, program)| alter(program, first + place as u64));
            });
            let name = format!("{}-{first}.bpf.o", random_object(self.flags.seed));
            programs.retain(|program| match program.check() {
                Ok(()) => true,
                Err(_) if !self.session.filter.wants(&name, &program.name) => false,
                Err(error) => {
                    let (name, program) = (name.clone(), program.name.clone());
                    self.add(Judged::not_decided(name, program, None, error.to_string()));
                    false
                }
            });
            if !programs.is_empty() {
                let bytes = assemble::object(&programs).with_context(|| name.clone())?;
                objects.push((ObjectFile { name, bytes: bytes.into() }, programs));
            }
            (0..PACK).for_each(|_| task.advance());
        }
        Ok(objects)
    }

    /// Random programs, without a kernel.
    fn random(&self) -> Result<()> {
        let Some(wanted) = self.flags.random else { return Ok(()) };
        let dialect = self.session.dialect.unwrap_or(DIALECT);
        let mut generator = Generator::new(self.flags.seed, dialect, Material::without_kernel());
        let task = self.output.task("random programs");
        task.expect(usize::try_from(wanted).unwrap_or(usize::MAX));
        let mut from = 0;
        while from < wanted && !self.session.cancel.is_cancelled() {
            let numbers = from..from.saturating_add(BATCH).min(wanted);
            from = numbers.end;
            self.session.pool.install(|| {
                let programs =
                    generator.batch(numbers, |numbers, make| numbers.into_par_iter().map(make).collect());
                let first = from.saturating_sub(programs.len() as u64);
                programs.into_par_iter().enumerate().for_each(|(place, (mut program, _))| {
                    let (object, name) = (random_object(self.flags.seed), program.name.clone());
                    if !self.session.filter.wants(&object, &name) {
                        return task.advance();
                    }
                    alter(&mut program, first + place as u64);
                    match fuzz::loaded(&program) {
                        Ok(loaded) => self.judge(Subject {
                            object,
                            program: name,
                            kernel: None,
                            dialect,
                            loaded,
                            said: None,
                            observed: false,
                            random: Some(program),
                            invented: true,
                        }),
                        Err(error) => self.add(Judged::not_decided(object, name, None, error.to_string())),
                    }
                    task.advance();
                });
            });
        }
        Ok(())
    }
}

/// What becomes of the random program of this number.
fn alter(program: &mut assemble::Program, number: u64) {
    match number % KINDS {
        // Many of its paths end soon, but it does what no verifier would let pass.
        0 => {}
        4 => fuzz::tame(program),
        _ => fuzz::lawful(program),
    }
}

/// A kernel of the dialect keeps what its path walk sees, and has no static answers.
fn observes(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Dynamic6_18 | Dialect::Dynamic6_19 | Dialect::Dynamic7_0)
}

/// What stands for the object of random programs.
fn random_object(seed: u64) -> String {
    format!("random-{seed}")
}
