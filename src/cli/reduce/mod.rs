//! `livediff reduce`: the smallest program that still shows a discrepancy.

pub(super) mod finding;
pub(super) mod oracle;
mod written;

use super::{
    exit::Exit,
    flags::GuestFlags,
    guest::Guest,
    inputs::{Inputs, ObjectFile},
    interrupt,
    kernels::{self, Kernel, Wanted},
    output::{self, Output},
    session,
};
use anyhow::{Context, Result, bail};
use clap::Args;
use finding::{Finding, Found};
use livediff::{
    Dialect,
    assemble::{self, Program},
    bpf::btf::Btf,
    reduce::{self, Reduced},
    report::terminal::{counted, printable, printable_lines},
};
use livediff_harness::run::{self, Cancel};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use oracle::Asker;
use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use written::Files;

#[derive(Debug, Args)]
#[command(mut_arg("timeout", |flag| flag.default_value("20")))]
#[command(after_help = "\
With one kernel, the discrepancy is the model's against the kernel; with two, the first kernel's against the second. What \
is kept is its kind: what differs, in whose frame, in which direction, and at what sort of instruction. The program that \
comes out need not be accepted by the verifier: what is compared is printed before it walks the program's paths.

Two files are written: FILE.bpf.c, a source that `livediff corpus build` takes, with the difference in a comment, and \
FILE.bpf.o. Both were loaded once more, alone, before the command ends.

The same seed, program and kernels give the same result, unless the time runs out. After Ctrl-C or when the time is \
over, the smallest program so far is written, and said to be not minimal.

Exit status: 0 the program shows no discrepancy, 1 it does, and the reduced program is written, 2 nothing was decided \
or written (usage, environment or input).")]
pub(crate) struct ReduceFlags {
    /// The BPF object.
    #[arg(value_name = "OBJECT")]
    object: PathBuf,

    /// The program in it.
    #[arg(value_name = "PROGRAM")]
    program: String,

    /// A kernel, named as for `diff`. Given twice, the two are held against each other [default: the only target of
    /// vmtest.toml, if it is there, else 7.2].
    #[arg(long = "kernel", value_name = "KERNEL")]
    kernels: Vec<String>,

    /// What to write: the source, and beside it the object. An ending `.bpf.c`, `.bpf.o`, `.c` or `.o` is put aside.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Where the search begins among choices that are equally good.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Seconds after which the search ends, wherever it is.
    #[arg(long, value_name = "SECS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time: u64,

    #[command(flatten)]
    guest: GuestFlags,
}

/// What is to be reduced, and how.
pub(super) struct Config {
    object: ObjectFile,
    program: String,
    /// The program's section in the object.
    section: String,
    kernels: Vec<Wanted>,
    dialect: Option<Dialect>,
    files: Files,
    seed: u64,
    time: Duration,
    options: run::Options,
    /// Set by Ctrl-C: ends the search.
    cancel: Cancel,
    /// Set by Ctrl-C once more: ends everything.
    cancel_all: Cancel,
}

impl Config {
    fn new(flags: ReduceFlags) -> Result<Config> {
        let mut kernels: Vec<Wanted> =
            flags.kernels.iter().map(|text| Wanted::parse(text)).collect::<Result<_>>()?;
        if kernels.is_empty() {
            kernels.push(Wanted::only_default()?);
        }
        if kernels.len() > 2 {
            bail!(
                "one kernel is held against the model, or two against each other; {} were given",
                kernels.len()
            );
        }
        let mut inputs = Inputs::collect(std::slice::from_ref(&flags.object))?;
        let (Some(object), 0) = (inputs.objects.pop(), inputs.objects.len()) else {
            bail!("{}: `reduce` takes one BPF object", flags.object.display());
        };
        let section = section_of(&object, &flags.program)?;
        let options = session::guest_options(&flags.guest, kernels.len());
        session::limit_threads(&flags.guest)?;
        let files = Files::new(&flags.output)?;
        output::spare_inputs([files.source.as_path(), &files.object], [flags.object.as_path()])?;
        let (cancel, cancel_all) = (interrupt::cancel(), interrupt::cancel_again());
        Ok(Config {
            object,
            program: flags.program,
            section,
            kernels,
            dialect: flags.guest.dialect,
            files,
            seed: flags.seed,
            time: Duration::from_secs(flags.time),
            options,
            cancel,
            cancel_all,
        })
    }
}

/// The section of the program; an error with what programs there are if there is none of that name.
fn section_of(object: &ObjectFile, program: &str) -> Result<String> {
    let file = object::File::parse(&*object.bytes).with_context(|| object.name.clone())?;
    let mut programs = Vec::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_global()) {
        let section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
        let Some(section) = section.and_then(|section| section.name().ok().map(str::to_owned)) else {
            continue;
        };
        match symbol.name() {
            Ok(name) if section != ".text" && name == program => return Ok(section),
            Ok(name) if section != ".text" => programs.push(name.to_owned()),
            _ => {}
        }
    }
    programs.sort();
    bail!("{}: there is no program `{program}`, only {}", object.name, programs.join(", "))
}

/// Finds the discrepancy, makes the program small, writes it.
pub(crate) fn run(flags: ReduceFlags) -> Result<Exit> {
    let config = Config::new(flags)?;
    let output = Output::new(false);
    let open = |wanted: &Wanted, progress: &dyn Fn(&str)| Kernel::open(wanted, config.dialect, progress);
    let kernels = kernels::open_all(&config.kernels, &output, open)?;
    let btfs: Vec<Btf<'_>> = kernels
        .iter()
        .map(|kernel| {
            Btf::parse(&kernel.image.btf).with_context(|| format!("kernel {}: its BTF", kernel.name))
        })
        .collect::<Result<_>>()?;
    let run = Run {
        config: &config,
        kernels: &kernels,
        btfs: &btfs,
        output: &output,
        task: &output.task("reducing"),
    };
    let Some(told) = run.search()? else { return Ok(Exit::Clean) };
    run.finish(&told)?;
    Ok(Exit::Discrepancy)
}

/// A program that shows something in one kernel, against the model.
pub(crate) struct Task<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) btf: &'a Btf<'a>,
    pub(crate) dialect: Option<Dialect>,
    pub(crate) object: ObjectFile,
    pub(crate) program: &'a str,
    pub(crate) section: &'a str,
    /// As `-o`.
    pub(crate) output: &'a Path,
    pub(crate) seed: u64,
    pub(crate) time: Duration,
    pub(crate) options: &'a run::Options,
    pub(crate) cancel: &'a Cancel,
    pub(crate) terminal: &'a Output,
}

/// Reduces what was found otherwise than by [`run`], and writes it.
pub(crate) fn of_kernel(task: Task<'_>) -> Result<()> {
    let config = Config {
        object: task.object,
        program: task.program.to_owned(),
        section: task.section.to_owned(),
        kernels: Vec::new(),
        dialect: task.dialect,
        files: Files::new(task.output)?,
        seed: task.seed,
        time: task.time,
        options: task.options.clone(),
        cancel: task.cancel.clone(),
        cancel_all: interrupt::cancel_again(),
    };
    let run = Run {
        config: &config,
        kernels: std::slice::from_ref(task.kernel),
        btfs: std::slice::from_ref(task.btf),
        output: task.terminal,
        task: &task.terminal.task("reducing"),
    };
    let told = run.search()?.context("it is not found again")?;
    run.finish(&told)
}

/// What the work is done with.
struct Run<'a> {
    config: &'a Config,
    kernels: &'a [Kernel],
    btfs: &'a [Btf<'a>],
    output: &'a Output,
    task: &'a output::Task,
}

/// What the search came to.
struct Told {
    /// The discrepancy of the whole program.
    found: Found,
    done: Reduced,
    /// What the reduced program shows, if there was a guest left to ask.
    shown: Option<Found>,
    /// Instructions before.
    insns: usize,
    took: Duration,
}

impl<'a> Run<'a> {
    /// Calls `work` with guests of all kernels, which end with it.
    fn with_guests<T>(
        &self,
        cancel: &'a Cancel,
        time: Duration,
        work: impl FnOnce(Asker<'a>) -> Result<T>,
    ) -> Result<T> {
        thread::scope(|scope| {
            let guests = self.kernels.iter().zip(self.btfs).map(|(kernel, btf)| {
                Guest::start(scope, kernel, btf, kernel.options(&self.config.options), cancel)
            });
            work(Asker::new(guests.collect(), self.output, cancel, Instant::now() + time))
        })
    }

    /// Writes what the search came to, and says so.
    fn finish(&self, told: &Told) -> Result<()> {
        let shown = self.write(told)?;
        let Told { done: Reduced { program, round, minimal }, insns, took, .. } = told;
        let files = &self.config.files;
        self.output.line(&printable_lines(&format!(
            "{}\n{}{} -> {}, {}, {}, {:.1} s, seed {}: {}, {}",
            shown.kind,
            shown.unified,
            counted(*insns, "instruction"),
            program.len(),
            counted(round.rounds, "round"),
            counted(round.candidates, "candidate"),
            took.as_secs_f32(),
            self.config.seed,
            files.source.display(),
            files.object.display()
        )));
        if !minimal {
            self.output
                .line("NOT minimal: the search was ended before its time; there may be a smaller program.");
        }
        Ok(())
    }

    /// Finds the discrepancy and makes the program small; nothing if there is none.
    fn search(&self) -> Result<Option<Told>> {
        let Config { object, program, section, seed, .. } = self.config;
        let started = Instant::now();
        let qualified = format!("{}/{program}", object.name);
        self.with_guests(&self.config.cancel, self.config.time, |mut asker| {
            let (loaded, found) = match asker.original(object, program)? {
                Finding::Same { lines, .. } => {
                    self.output.line(&printable(&format!(
                        "{qualified}: no discrepancy, {} alike: nothing to reduce",
                        counted(lines, "line")
                    )));
                    return Ok(None);
                }
                Finding::NotCompared(reason) | Finding::Lost(reason) | Finding::NoAnswer(_, reason) => {
                    bail!("{qualified}: nothing to compare: {reason}")
                }
                Finding::Differs(loaded, found) => (loaded, found),
            };
            let whole = Program::import(program, section, &loaded, self.btfs.first().context("no kernel")?)
                .with_context(|| format!("{qualified} cannot be taken apart"))?;
            let insns = whole.len();
            self.output.line(&printable(&format!(
                "{qualified}, {}: {}",
                counted(insns, "instruction"),
                found.kind
            )));
            asker.target = Some(found.kind);
            let begin = begin(&mut asker, whole, &found)?;
            asker.told = Some(self.task);
            let mut done = reduce::reduce(begin, *seed, &mut asker);
            if let Some(error) = asker.failed.take() {
                return Err(error.context("the search could not go on"));
            }
            let took = started.elapsed();
            done.program.name = assemble::program_name(program);
            let own = assemble::object(std::slice::from_ref(&done.program)).context("the reduced program")?;
            let own = ObjectFile { name: "reduced.bpf.o".into(), bytes: own.into() };
            let shown = match asker.original(&own, &done.program.name) {
                Ok(Finding::Differs(_, shown)) if shown.kind == found.kind => Some(shown),
                _ => None,
            };
            Ok(Some(Told { found, done, shown, insns, took }))
        })
    }
}

/// The program taken apart and put together again, in the simplest of some forms in which it still shows it.
fn begin(asker: &mut Asker<'_>, whole: Program, found: &Found) -> Result<Program> {
    let forms = |sections: &[&str]| {
        let mut forms: Vec<Program> = Vec::new();
        for program in [whole.portable(), whole.clone()] {
            let of = |section: &&str| Program { section: (*section).to_owned(), ..program.clone() };
            forms.extend(sections.iter().map(of));
        }
        forms.dedup();
        forms
    };
    let [simplest, others @ ..] = reduce::SECTIONS;
    let mut instead = String::new();
    // The search finds simpler sections by itself. Others are needed here only where the section alone does not do, as
    // with a `struct_ops` program, which also needs the map that it implements a part of.
    for sections in [&[simplest, &whole.section][..], &others] {
        let forms = forms(sections);
        let findings = asker.findings(&forms)?;
        if let Some(place) = findings.iter().position(|finding| asker.is_wanted(finding)) {
            return forms.into_iter().nth(place).context("the program was lost");
        }
        if instead.is_empty() {
            instead = match findings.last() {
                Some(Finding::Differs(_, other)) => format!("it shows another one ({})", other.kind),
                Some(Finding::Same { .. }) => "it shows none".to_owned(),
                Some(Finding::NotCompared(reason) | Finding::Lost(reason) | Finding::NoAnswer(_, reason)) => {
                    format!("it cannot be compared: {reason}")
                }
                None => "it was not tried".to_owned(),
            };
        }
    }
    bail!(
        "there is a discrepancy ({}), but the program cannot be reduced: taken apart and put together again, {instead}",
        found.kind
    )
}
