//! `livediff record`: what kernels saw and said, one file for each program.

use super::{
    exit::Exit,
    flags::RecordFlags,
    inputs::Inputs,
    kernels::{self, Kernel, Wanted},
    output::{self, Output, tell},
    session::{Finished, Ran, Session},
};
use anyhow::{Context, Result, anyhow, bail};
use livediff::{
    diff::Status,
    report::{
        qualified,
        terminal::{counted, printable},
    },
};
use livediff_capture::{Capture, file};
use livediff_harness::run;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::File,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long a program's verification may take, for the verdict's sake. The liveness section is complete in any case.
const VERIFICATION: Duration = Duration::from_secs(1);

/// Runs the kernels and writes the captures.
pub(crate) fn run(flags: RecordFlags) -> Result<Exit> {
    let mut session = Session::new(&flags.live)?;
    session.allow_verification(VERIFICATION);
    if session.kernels.is_empty() {
        session.kernels = Wanted::default()?;
    }
    let inputs = Inputs::collect(&flags.paths)?;
    if inputs.objects.is_empty() {
        if let Some((name, reason)) = inputs.broken.first() {
            bail!("nothing to record: no BPF object in the given paths is whole; {name}: {reason}");
        }
        bail!("no BPF object in the given paths{}: nothing to record", inputs.ignored());
    }
    inputs.refuse_captures("what is recorded are objects")?;
    session.deal(&inputs.objects, []);
    let output = Output::new(false);
    if let Some(share) = session.filter.share() {
        output.line(&share.announced());
        if let Some(why) = share.why_empty() {
            bail!("nothing was recorded: {why}");
        }
    }
    let open = |wanted: &Wanted, progress: &dyn Fn(&str)| Kernel::open(wanted, session.dialect, progress);
    let kernels = kernels::open_all(&session.kernels, &output, open)?;
    std::fs::create_dir_all(&flags.output).with_context(|| format!("{}", flags.output.display()))?;
    let files = Files::new(flags.output.clone(), flags.together);
    let recorder = Recorder { session: &session, inputs: &inputs, output: &output, files: &files };
    let turns = session.each_kernel(&kernels, &|kernel, options| recorder.one_kernel(kernel, options));

    // What keeps the run from being a success.
    let mut lacks = Vec::new();
    let interrupted = session.cancel.is_cancelled();
    if interrupted {
        tell("interrupted: the captures are those of the part that was done");
    } else if turns.ended_by.is_none() {
        lacks.extend(turns.incomplete.iter().map(|why| format!("not every program had its turn: {why}")));
    }
    if !inputs.broken.is_empty() {
        lacks.push(format!("{} not recorded, see above", counted(inputs.broken.len(), "object")));
    }
    if let Some(text) = inputs.not_looked_at() {
        output.line(&text);
    }
    for (name, reason) in &inputs.broken {
        output.line(&format!("not recorded: {}: {}", printable(name), printable(reason)));
    }
    for (kernel, done) in kernels.iter().zip(turns.done) {
        let name = printable(&kernel.name);
        let Some(Done { recorded, failed, unwritten }) = done else {
            output.line(&format!("[{name}] nothing was recorded"));
            continue;
        };
        if unwritten > 0 {
            let what = counted(unwritten, "capture");
            let folder = flags.output.display();
            lacks.push(format!("kernel {name}: {what} could not be written to {folder}, see above"));
        } else if recorded == 0 {
            let why = if failed > 0 { "see above" } else { session.filter.no_program() };
            lacks.push(format!("kernel {name}: nothing was recorded, {why}"));
        }
    }
    for lack in &lacks {
        output::complain(&anyhow!("{lack}"));
    }
    match turns.ended_by {
        Some(error) => Err(error),
        None if lacks.is_empty() && !interrupted => Ok(Exit::Clean),
        None => Ok(Exit::Error),
    }
}

/// What is the same for all kernels.
struct Recorder<'r> {
    session: &'r Session,
    inputs: &'r Inputs,
    output: &'r Output,
    files: &'r Files,
}

/// What became of a kernel.
struct Done {
    /// Captures written.
    recorded: usize,
    /// Programs and objects of which there is no capture.
    failed: usize,
    /// Captures that could not be written, and older ones that could not be removed.
    unwritten: usize,
}

impl Recorder<'_> {
    fn one_kernel(&self, kernel: &Kernel, options: &run::Options) -> Result<(Done, Ran)> {
        let task = self.output.task(&format!("Linux {}", kernel.image.release));
        let mut recorded = 0;
        // Programs and objects of which there is no capture, and why.
        let mut failures: Vec<(String, String)> = Vec::new();
        let mut unwritten = 0;
        let work = |finished: Finished| self.write(finished, kernel);
        let ran = self.session.run(
            kernel,
            &self.inputs.objects,
            options,
            (self.output, &task),
            &work,
            &mut |outcome| {
                task.advance();
                match outcome {
                    Ok(()) => recorded += 1,
                    Err(Failure { program, reason, of_the_folder }) => {
                        unwritten += usize::from(of_the_folder);
                        failures.push((program, reason));
                    }
                }
            },
        )?;
        drop(task);
        failures.sort();
        for (name, reason) in &failures {
            let text = format!("[{}] not recorded: {name}: {reason}", kernel.name);
            self.output.line(&printable(&text));
        }
        self.output.line(&format!(
            "Linux {} ({}): {} in {}, {} not recorded",
            printable(&kernel.image.release),
            printable(&kernel.described()),
            counted(recorded, "capture"),
            self.files.folder.display(),
            counted(failures.len(), "program"),
        ));
        Ok((Done { recorded, failed: failures.len(), unwritten }, ran))
    }

    fn write(&self, finished: Finished, kernel: &Kernel) -> Result<(), Failure> {
        let (object, program) = (finished.object.clone(), finished.program.clone());
        let reported = finished.is_reported();
        let fail = |reason: String, of_the_folder| Failure {
            program: qualified(&object, &program),
            reason,
            of_the_folder,
        };
        let identity = livediff_capture::Kernel {
            release: kernel.image.release.clone(),
            dialect: kernel.dialect.id().to_owned(),
            dialect_forced: kernel.forced.is_some(),
        };
        match finished.into_loaded() {
            Ok(pair) => {
                let (loaded, said) = *pair;
                let capture = Capture {
                    object: object.clone(),
                    program: program.clone(),
                    kernel: identity,
                    loaded,
                    said,
                };
                self.files.put(capture).map_err(|error| fail(format!("{error:#}"), true))
            }
            Err((status, reason)) => {
                // What the kernel will not load any more must not be shown by an older capture as if it did.
                let gone = if reported && status == Status::NotLoadable && !program.is_empty() {
                    self.files.forget(&identity, &object, &program)
                } else {
                    Ok(())
                };
                let reason = format!("{status}: {reason}");
                Err(match gone {
                    Ok(()) => fail(reason, false),
                    Err(error) => {
                        fail(format!("{reason}; its older capture is still there: {error:#}"), true)
                    }
                })
            }
        }
    }
}

/// Why there is no capture of a program.
struct Failure {
    /// The object and the program.
    program: String,
    reason: String,
    /// The folder's fault, not the program's.
    of_the_folder: bool,
}

/// The files of a folder of captures.
struct Files {
    folder: PathBuf,
    /// All kernels of a program in one file.
    together: bool,
    /// The paths in use, each with the object and program that it belongs to.
    taken: Mutex<BTreeMap<PathBuf, (String, String)>>,
    /// Held while a file that several kernels share is changed.
    changing: Mutex<()>,
}

impl Files {
    fn new(folder: PathBuf, together: bool) -> Files {
        Files { folder, together, taken: Mutex::default(), changing: Mutex::default() }
    }

    /// Writes the capture to its place.
    fn put(&self, capture: Capture) -> Result<()> {
        let path = self.place(&capture.kernel.release, &capture.object, &capture.program);
        if !self.together {
            return Ok(file::write(&path, &[capture])?);
        }
        let _changing = self.change();
        let mut captures = if path.exists() { file::read(&path)? } else { Vec::new() };
        match captures.iter_mut().find(|old| old.kernel.is_same(&capture.kernel)) {
            Some(old) => *old = capture,
            None => captures.push(capture),
        }
        // The same, whichever kernel was the first to be done.
        captures.sort_by(|a, b| order(&a.kernel).cmp(&order(&b.kernel)));
        Ok(file::write(&path, &captures)?)
    }

    /// Removes the capture of the program from this kernel, if there is one.
    fn forget(&self, kernel: &livediff_capture::Kernel, object: &str, program: &str) -> Result<()> {
        let path = self.place(&kernel.release, object, program);
        let _changing = self.change();
        if !path.exists() {
            return Ok(());
        }
        let mut captures = file::read(&path)?;
        captures.retain(|capture| !capture.kernel.is_same(kernel));
        if captures.is_empty() {
            std::fs::remove_file(&path).with_context(|| format!("{}", path.display()))
        } else {
            Ok(file::write(&path, &captures)?)
        }
    }

    /// Keeps this run's other kernels, and other runs, from changing files until what is returned is dropped.
    fn change(&self) -> (MutexGuard<'_, ()>, Option<File>) {
        let ours = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        // Of the folder itself, so that nothing is left of the lock. Some file systems have no locks.
        let folder = File::open(&self.folder).ok();
        (ours, folder.filter(|folder| folder.lock().is_ok()))
    }

    /// The program's path, which is its own also where two names become the same once they are harmless.
    fn place(&self, release: &str, object: &str, program: &str) -> PathBuf {
        let release = (!self.together).then_some(release);
        let plain = self.folder.join(file::relative_path(release, object, program));
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut path = plain.clone();
        for count in 2.. {
            match taken.entry(path) {
                Entry::Vacant(entry) => {
                    let path = entry.key().clone();
                    entry.insert((object.to_owned(), program.to_owned()));
                    return path;
                }
                Entry::Occupied(entry)
                    if (entry.get().0.as_str(), entry.get().1.as_str()) == (object, program) =>
                {
                    return entry.key().clone();
                }
                Entry::Occupied(_) => path = plain.with_extension(format!("{count}.{}", file::EXTENSION)),
            }
        }
        plain
    }
}

/// Kernels in the order of their dialects, then of their releases.
fn order(kernel: &livediff_capture::Kernel) -> (Option<livediff::Dialect>, &str, &str) {
    (livediff::Dialect::from_id(&kernel.dialect), &kernel.release, &kernel.dialect)
}

#[cfg(test)]
mod tests {
    use super::*;
    use livediff_capture::{Kernel, Loaded, Said, Verdict};

    fn capture(program: &str, dialect: &str, log: &str) -> Capture {
        Capture {
            object: "a.o".into(),
            program: program.into(),
            kernel: Kernel { release: format!("{dialect}.1"), dialect: dialect.into(), ..Kernel::default() },
            loaded: Loaded::default(),
            said: Said { verdict: Verdict::Accepted, errno: 0, log: log.into(), truncated: false },
        }
    }

    #[test]
    fn kernels_share_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.o/p.capture");
        let dialects = || {
            let captures = file::read(&path).unwrap();
            captures.iter().map(|c| (c.kernel.dialect.clone(), c.said.log.clone())).collect::<Vec<_>>()
        };
        let pair = |dialect: &str, log: &str| (dialect.to_owned(), log.to_owned());
        let files = Files::new(folder.path().into(), true);
        files.put(capture("p", "7.3", "one")).unwrap();
        files.put(capture("p", "dynamic-6.18", "two")).unwrap();
        assert_eq!(dialects(), [pair("dynamic-6.18", "two"), pair("7.3", "one")]);
        // Another run replaces what is of its kernel and leaves the rest.
        let files = Files::new(folder.path().into(), true);
        files.put(capture("p", "7.3", "three")).unwrap();
        assert_eq!(dialects(), [pair("dynamic-6.18", "two"), pair("7.3", "three")]);
        files.forget(&capture("p", "7.3", "").kernel, "a.o", "p").unwrap();
        assert_eq!(dialects(), [pair("dynamic-6.18", "two")]);
        files.forget(&capture("p", "dynamic-6.18", "").kernel, "a.o", "p").unwrap();
        assert!(!path.exists());
        files.forget(&capture("p", "dynamic-6.18", "").kernel, "a.o", "p").unwrap();
    }

    #[test]
    fn names_that_become_the_same_have_files_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        for together in [true, false] {
            let files = Files::new(folder.path().join(together.to_string()), together);
            files.put(capture("a?", "7.2", "")).unwrap();
            files.put(capture("a!", "7.2", "")).unwrap();
            files.put(capture("a?", "7.3", "")).unwrap();
            let first = files.place("7.2.1", "a.o", "a?");
            let second = files.place("7.2.1", "a.o", "a!");
            assert_ne!(first, second);
            assert_eq!(file::read(&first).unwrap().len(), if together { 2 } else { 1 });
            assert_eq!(file::read(&second).unwrap()[0].program, "a!");
        }
    }
}
