//! `livediff record`: what a kernel saw and said, one file for each program.

use super::{
    exit::Exit,
    flags::RecordFlags,
    inputs::Inputs,
    kernels::{self, Kernel, Wanted},
    output::Output,
    session::{Finished, Session},
};
use anyhow::{Context, Result, bail};
use livediff::report::{qualified, terminal::printable};
use livediff_capture::{Capture, file};
use std::{collections::BTreeMap, path::PathBuf, sync::Mutex};

/// Runs the kernels and writes the captures.
pub(crate) fn run(flags: RecordFlags) -> Result<Exit> {
    let mut session = Session::new(&flags.live)?;
    if session.kernels.is_empty() {
        session.kernels.push(Wanted::Packaged(kernels::DEFAULT.into()));
    }
    let inputs = Inputs::collect(&flags.paths)?;
    if inputs.objects.is_empty() {
        bail!("no BPF object in the given paths: nothing to record");
    }
    livediff_harness::run::check_qemu()?;
    std::fs::create_dir_all(&flags.output).with_context(|| format!("{}", flags.output.display()))?;

    let output = Output::new(false);
    let mut recorded = 0;
    let mut complete = inputs.broken.is_empty();
    let mut failures: Vec<(String, String)> = inputs.broken;
    for wanted in &session.kernels {
        let kernel = Kernel::open(wanted, &|what| output.notice(what))?;
        let places = Places::new(flags.output.clone());
        let work = |finished: Finished| write(finished, &kernel, &places);
        let ran = session.run(&kernel, &inputs.objects, &output, &work, &mut |outcome| {
            output.advance();
            match outcome {
                Ok(()) => recorded += 1,
                Err(failure) => failures.push(failure),
            }
        })?;
        complete &= ran.is_complete();
        if let Some(error) = ran.ended_by {
            output.finish();
            let error = anyhow::Error::new(error);
            return Err(
                error.context(format!("kernel {}: the run ended after {recorded} captures", kernel.name))
            );
        }
    }
    output.finish();
    failures.sort();
    for (name, reason) in &failures {
        output.line(&format!("not recorded: {}: {}", printable(name), printable(reason)));
    }
    output.line(&format!(
        "{recorded} captures in {}, {} programs not recorded",
        flags.output.display(),
        failures.len()
    ));
    Ok(if complete && recorded > 0 { Exit::Clean } else { Exit::Error })
}

fn write(finished: Finished, kernel: &Kernel, places: &Places) -> Result<(), (String, String)> {
    let (object, program) = (finished.object.clone(), finished.program.clone());
    let fail = |reason: String| (qualified(&object, &program), reason);
    let pair = finished.into_loaded().map_err(|(status, reason)| fail(format!("{status}: {reason}")))?;
    let (loaded, said) = *pair;
    let identity = livediff_capture::Kernel {
        release: kernel.image.release.clone(),
        dialect: kernel.dialect.id().to_owned(),
    };
    let path = places.place(&kernel.image.release, &object, &program);
    let capture =
        Capture { object: object.clone(), program: program.clone(), kernel: identity, loaded, said };
    file::write(&path, &capture).map_err(|error| fail(error.to_string()))
}

/// Gives every program a path of its own, also where two names become the same once they are harmless.
struct Places {
    folder: PathBuf,
    taken: Mutex<BTreeMap<PathBuf, usize>>,
}

impl Places {
    fn new(folder: PathBuf) -> Places {
        Places { folder, taken: Mutex::default() }
    }

    fn place(&self, release: &str, object: &str, program: &str) -> PathBuf {
        let path = self.folder.join(file::relative_path(release, object, program));
        let mut taken = self.taken.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let count = taken.entry(path.clone()).or_default();
        *count += 1;
        if *count == 1 { path } else { path.with_extension(format!("{count}.{}", file::EXTENSION)) }
    }
}
