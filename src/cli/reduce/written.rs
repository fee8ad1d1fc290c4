//! The files that come out: a source and an object, each loaded once more alone.

use super::{
    Run, Told,
    finding::{Finding, Found},
};
use crate::cli::{
    corpus::{self, Built},
    inputs::ObjectFile,
    kernels::Kernel,
    output::{self, tell},
};
use anyhow::{Context, Result, bail};
use livediff::{
    assemble,
    report::terminal::{counted, printable},
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where the result goes.
pub(super) struct Files {
    pub(super) source: PathBuf,
    pub(super) object: PathBuf,
}

impl Files {
    pub(super) fn new(path: &Path) -> Result<Files> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let stem = [".bpf.c", ".bpf.o", ".c", ".o"].iter().find_map(|ending| name.strip_suffix(ending));
        let stem = stem.unwrap_or(name);
        if stem.is_empty() {
            bail!("-o takes the name of a file, such as reduced.bpf.c");
        }
        output::check_folder_of(path)?;
        Ok(Files {
            source: path.with_file_name(format!("{stem}.bpf.c")),
            object: path.with_file_name(format!("{stem}.bpf.o")),
        })
    }
}

/// How long the result may take to show the discrepancy once more.
const TIME: Duration = Duration::from_secs(600);

impl Run<'_> {
    /// Writes source and object, and loads the object again, alone, in guests of its own. Returns what it shows.
    ///
    /// The object is the one that clang builds of the source, where there is clang, and else our own.
    pub(super) fn write(&self, told: &Told) -> Result<Found> {
        let Files { source, object } = &self.config.files;
        let program = &told.done.program;
        let own = assemble::object(std::slice::from_ref(program)).context("the reduced program")?;
        // Where the search was interrupted, there is no guest left.
        let (shown, confirmed) = match &told.shown {
            Some(shown) => (shown.clone(), false),
            None => (self.alone(told, &own)?, true),
        };
        let text = assemble::source(program, &self.comment(told, &shown)).context("the reduced program")?;
        output::write_report(source, |out| out.write_all(text.as_bytes()))?;
        let put = |bytes: &[u8]| output::write_report(object, |out| out.write_all(bytes));
        let trouble = match corpus::build(std::slice::from_ref(source), false)? {
            Built::Done => {
                let built = fs::read(object).with_context(|| object.display().to_string())?;
                match self.alone(told, &built) {
                    Ok(shown) => return Ok(shown),
                    Err(error) => format!("the object that clang builds of it is another: {error:#}"),
                }
            }
            Built::NoCompiler => {
                "it was NOT built, because there is no clang of version 22 or later".to_owned()
            }
            Built::Failed | Built::Differs => "it does not build, for the reason given above".to_owned(),
        };
        put(&own)?;
        let shown = if confirmed { shown } else { self.alone(told, &own)? };
        let text = format!(
            "WARNING: {}: {trouble}. {} was written without clang and shows the discrepancy",
            source.display(),
            object.display()
        );
        tell(printable(&text));
        Ok(shown)
    }

    /// What an object shows in guests of its own.
    fn alone(&self, told: &Told, bytes: &[u8]) -> Result<Found> {
        let name = self.config.files.object.to_string_lossy().into_owned();
        let object = ObjectFile { name, bytes: bytes.to_vec().into() };
        // What an interrupted search found is checked all the same.
        let finding = self.with_guests(&self.config.cancel_all, TIME, |mut asker| {
            asker.original(&object, &told.done.program.name)
        })?;
        match finding {
            Finding::Differs(_, shown) if shown.kind == told.found.kind => Ok(shown),
            Finding::Differs(_, shown) => {
                bail!(
                    "the reduced program, alone, shows something else: {}, not {}",
                    shown.kind,
                    told.found.kind
                )
            }
            Finding::Same { .. } => {
                bail!("the reduced program, alone, does not show the discrepancy any more")
            }
            Finding::NotCompared(reason) | Finding::Lost(reason) | Finding::NoAnswer(_, reason) => {
                bail!("the reduced program cannot be loaded alone: {reason}")
            }
        }
    }

    fn comment(&self, told: &Told, shown: &Found) -> String {
        let Run { config, kernels, .. } = self;
        let Told { done, insns, .. } = told;
        let file = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let described = |kernel: &Kernel| {
            format!("kernel {}: Linux {}, {}", kernel.name, kernel.image.release, kernel.described())
        };
        let sides = match kernels {
            [kernel] => format!("- {}\n+ the model", described(kernel)),
            [first, second] => format!("- {}\n+ {}", described(first), described(second)),
            _ => String::new(),
        };
        let names: String = kernels.iter().map(|kernel| format!(" --kernel {}", kernel.name)).collect();
        let command = if kernels.len() == 1 { "diff" } else { "compare" };
        let forced = config.dialect.map_or(String::new(), |dialect| format!(" --dialect {}", dialect.id()));
        let minimal = if done.minimal {
            ""
        } else {
            "\nThe search was ended before its time: there may be a smaller one.\n"
        };
        format!(
            "{}\n\nFound by\n  livediff {command} {}{names}{forced}\n\nReduced from {} to {} with seed {}, from the program \
             {} of {}.\n{minimal}\n{sides}\n{}",
            shown.kind,
            file(&config.files.object),
            counted(*insns, "instruction"),
            done.program.len(),
            config.seed,
            config.program,
            file(Path::new(&config.object.name)),
            shown.unified
        )
    }
}
