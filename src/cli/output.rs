//! Where words to people go: results to standard output, or to standard error where a machine reads the former;
//! progress to standard error if that is a terminal.

use super::{exit::Exit, interrupt};
use anyhow::{Context, Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use livediff::report::terminal::{printable, printable_lines};
use std::{
    collections::BTreeSet,
    fmt::Display,
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The terminal.
pub(crate) struct Output {
    to_stderr: bool,
    bars: MultiProgress,
}

impl Output {
    /// `to_stderr` if standard output is taken by a machine's report.
    pub(crate) fn new(to_stderr: bool) -> Output {
        // Hides itself where standard error is no terminal.
        Output { to_stderr, bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()) }
    }

    /// Prints above the progress bars.
    pub(crate) fn print(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        self.bars.suspend(|| {
            let written =
                if self.to_stderr { write(&mut anstream::stderr()) } else { write(&mut anstream::stdout()) };
            if let Err(error) = written {
                lose(error);
            }
        });
    }

    /// Columns of the terminal that words go to; nothing if they go elsewhere.
    pub(crate) fn width(&self) -> Option<usize> {
        let size = if self.to_stderr {
            terminal_size::terminal_size_of(io::stderr())
        } else {
            terminal_size::terminal_size_of(io::stdout())
        };
        size.map(|(width, _)| width.0.into())
    }

    /// Prints a line above the progress bars.
    pub(crate) fn line(&self, text: &str) {
        self.print(|out| writeln!(out, "{text}"));
    }

    /// A task with a progress bar of its own, which goes when the task is dropped.
    pub(crate) fn task(&self, what: &str) -> Task {
        let bar = self.bars.add(ProgressBar::new(0));
        let style = ProgressStyle::with_template("{spinner} {msg} [{elapsed}] {bar:30} {pos}/{len}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let task = Task { bar, hidden: self.bars.is_hidden() };
        task.doing(what);
        task
    }
}

/// Says something on standard error. Where that is closed or full, nobody can be told, and the exit status has to do.
pub(crate) fn tell(text: impl Display) {
    let _ = anstream::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Says what went wrong.
pub(crate) fn complain(error: &anyhow::Error) {
    let label = anstyle::AnsiColor::Red.on_default().bold();
    tell(format_args!("{label}error{label:#}: {}", printable_lines(&with_causes(error))));
}

/// An error with its causes, but for those that it names itself.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(|cause| cause.to_string()).filter(|cause| !cause.is_empty()) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Whether the locale is one in which signs beyond ASCII can be shown.
pub(crate) fn shows_unicode() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(std::env::var_os);
    let locale = set.into_iter().find(|value| !value.is_empty()).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Standard output, for subcommands that have no use for an [`Output`]. What cannot be written is lost as it is there.
pub(crate) fn stdout() -> impl Write {
    Words(anstream::stdout())
}

struct Words<W>(W);

impl<W: Write> Write for Words<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.0.write_all(bytes) {
            lose(error);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Err(error) = self.0.flush() {
            lose(error);
        }
        Ok(())
    }
}

/// What kept words from their reader, the first time.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

fn lose(error: io::Error) {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}

/// The exit of a run that otherwise ends with `exit`; `unsaid` is that of a run that could not say what it found.
pub(crate) fn judge(exit: Exit, unsaid: Exit) -> Exit {
    let lost = LOST.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(error) = lost.or_else(|| io::stdout().flush().err()) else { return exit };
    if error.kind() != io::ErrorKind::BrokenPipe {
        tell(format_args!("error: the results could not be written out whole: {error}"));
    }
    without_words(exit, unsaid, error.kind())
}

/// A run that could not say what it found has not been a success. A reader that went away (`| head`) is no reason to
/// complain, and the exit status still counts: but not git's, for which nothing but a judgement that can be read may
/// look like one.
fn without_words(exit: Exit, unsaid: Exit, error: io::ErrorKind) -> Exit {
    match (exit, unsaid) {
        (Exit::Interrupted, _) => exit,
        (_, Exit::Untestable) => unsaid,
        (Exit::Clean, _) if error != io::ErrorKind::BrokenPipe => unsaid,
        _ => exit,
    }
}

/// Something that takes time.
pub(crate) struct Task {
    bar: ProgressBar,
    hidden: bool,
}

impl Task {
    /// Says what is going on; not shown where there is no terminal.
    pub(crate) fn doing(&self, what: &str) {
        self.bar.enable_steady_tick(Duration::from_millis(120));
        self.bar.set_message(printable(what));
    }

    /// Says what takes long: on a terminal for the time that it takes, else as a line on standard error.
    pub(crate) fn notice(&self, what: &str) {
        if self.hidden {
            tell(printable(what));
        } else {
            self.doing(what);
        }
    }

    /// More programs to come.
    pub(crate) fn expect(&self, programs: usize) {
        self.bar.inc_length(programs as u64);
    }

    /// A program is done.
    pub(crate) fn advance(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// An error if one of the reports, each with its flag, could not be written at the end; else whether one goes to standard
/// output.
pub(crate) fn check_reports(reports: &[(&str, &Option<PathBuf>)]) -> Result<bool> {
    let named = || reports.iter().filter_map(|(_, path)| path.as_deref());
    let on_stdout = named().filter(|path| *path == Path::new("-")).count();
    if on_stdout > 1 {
        let flags: Vec<&str> = reports.iter().map(|(flag, _)| *flag).collect();
        let (last, rest) = flags.split_last().unwrap_or((&"", &[]));
        bail!("only one of {} and {last} can go to standard output", rest.join(", "));
    }
    let mut seen = BTreeSet::new();
    for file in named().filter(|file| *file != Path::new("-")) {
        if file.is_dir() {
            bail!("{}: a folder, and the report is a file", file.display());
        }
        if !is_special(file) {
            check_folder_of(file)?;
            if !seen.insert(Identity::of(file)) {
                bail!("{}: two reports cannot be written to one file", file.display());
            }
        }
    }
    Ok(on_stdout > 0)
}

/// An error if one of the reports is one of the inputs, by whatever name: it would take its place.
pub(crate) fn spare_inputs<'p>(
    reports: impl IntoIterator<Item = &'p Path>,
    inputs: impl IntoIterator<Item = &'p Path>,
) -> Result<()> {
    let is_file = |path: &Path| path.is_file() && !is_special(path);
    let reports = reports.into_iter().filter(|path| *path != Path::new("-") && is_file(path));
    let reports: Vec<(&Path, Identity)> = reports.map(|path| (path, Identity::of(path))).collect();
    if reports.is_empty() {
        return Ok(());
    }
    for input in inputs {
        let identity = Identity::of(input);
        if let Some((report, _)) = reports.iter().find(|(_, other)| *other == identity) {
            let (report, input) = (report.display(), input.display());
            bail!("{report}: what is written would overwrite an input, {input}");
        }
    }
    Ok(())
}

/// What two names of one file have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    /// A file that is there: its device and its number.
    There(u64, u64),
    /// One that is not there yet.
    Place(PathBuf),
}

impl Identity {
    fn of(file: &Path) -> Identity {
        if let Ok(about) = file.metadata() {
            return Identity::There(about.dev(), about.ino());
        }
        let folder = fs::canonicalize(folder_of(file)).unwrap_or_else(|_| folder_of(file).to_owned());
        Identity::Place(folder.join(file.file_name().unwrap_or_default()))
    }
}

/// A device, a pipe, or a name of something that is open (`/dev/stdout`): it is written to and never replaced.
fn is_special(path: &Path) -> bool {
    let open = path.is_symlink() && ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder));
    open || path.metadata().is_ok_and(|metadata| !metadata.is_file())
}

/// Writes a machine's report to a file, which appears whole or not at all, or to standard output for `-`.
pub(crate) fn write_report(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let failed = || format!("the report cannot be written to {}", path.display());
    if path == Path::new("-") {
        let mut out = io::BufWriter::new(io::stdout().lock());
        return write(&mut out).and_then(|()| out.flush()).with_context(failed);
    }
    if is_special(path) {
        let waiting = interrupt::waiting();
        let mut out = fs::OpenOptions::new().append(true).open(path).with_context(failed)?;
        drop(waiting);
        return write(&mut out).with_context(failed);
    }
    // A link stays one: what it leads to is replaced.
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = folder_of(&place);
    let _writing = interrupt::writing();
    let mut builder = tempfile::Builder::new();
    use std::os::unix::fs::PermissionsExt;
    builder.prefix(".livediff-").permissions(fs::Permissions::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).with_context(failed)?;
    let mut out = io::BufWriter::new(file.as_file_mut());
    write(&mut out).and_then(|()| out.flush()).with_context(failed)?;
    drop(out);
    file.persist(&place).map_err(|error| error.error).with_context(failed)?;
    Ok(())
}

/// An error if one of the reports could not be written, unless a discrepancy was found, which decides the exit status:
/// then it is told only. Every failure but the one returned is told.
pub(crate) fn all_written(
    reports: impl IntoIterator<Item = Result<()>>,
    discrepancy_found: bool,
) -> Result<()> {
    let mut failures = reports.into_iter().filter_map(Result::err);
    let first = if discrepancy_found { None } else { failures.next() };
    failures.for_each(|error| complain(&error));
    first.map_or(Ok(()), Err)
}

/// An error if the file could not be written: to be found out before the work, not after it.
pub(crate) fn check_folder_of(file: &Path) -> Result<()> {
    let folder = folder_of(file);
    if !folder.is_dir() {
        bail!("{}: there is no folder {} to write to", file.display(), folder.display());
    }
    // It has no name, so that nothing is left of it.
    tempfile::tempfile_in(folder).map(drop).with_context(|| {
        format!("{}: no file can be written to the folder {}", file.display(), folder.display())
    })
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As root, `--json /dev/stdout > file` would put a file into the place of `/dev/stdout`.
    #[test]
    fn what_is_open_is_written_to_and_a_link_stays_one() {
        use std::os::{fd::AsRawFd, unix::fs::symlink};
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        let mut open = fs::File::create(&file).unwrap();
        open.write_all(b"words\n").unwrap();
        let write = |path: &Path| write_report(path, |out| out.write_all(b"report\n"));
        let name = PathBuf::from(format!("/dev/fd/{}", open.as_raw_fd()));
        assert!(is_special(&name) && is_special(Path::new("/dev/null")) && !is_special(&file));
        write(&name).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "words\nreport\n");

        symlink("file", &link).unwrap();
        write(&link).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "report\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "something is left");
    }

    #[test]
    fn each_cause_is_told_once() {
        let told = |error: Result<()>| with_causes(&error.unwrap_err());
        let twice: Result<()> = livediff::report::from_json(b"x").map(drop).context("a.json");
        let text = told(twice);
        assert!(text.starts_with("a.json: it is no report of"), "{text}");
        assert_eq!(text.matches("expected value").count(), 1, "{text}");
        let missing = fs::read("/no/such/file").map(drop).context("inner").context("outer");
        assert_eq!(told(missing), "outer: inner: No such file or directory (os error 2)");
    }

    #[test]
    fn what_could_not_be_said_is_no_success_and_for_git_no_judgement() {
        use Exit::{Clean, Discrepancy, Error, Interrupted, Untestable};
        use io::ErrorKind::{BrokenPipe, StorageFull};
        for (exit, full, gone) in
            [(Clean, Error, Clean), (Discrepancy, Discrepancy, Discrepancy), (Error, Error, Error)]
        {
            assert_eq!(without_words(exit, Error, StorageFull), full);
            assert_eq!(without_words(exit, Error, BrokenPipe), gone);
        }
        for lost in [StorageFull, BrokenPipe] {
            for exit in [Clean, Discrepancy, Untestable] {
                assert_eq!(without_words(exit, Untestable, lost), Untestable);
            }
            assert_eq!(without_words(Interrupted, Untestable, lost), Interrupted);
        }
    }
}
