//! Running make, and other programs that take long: in a process group of their own, their output in a bounded file.

use super::{BuildError, io_error, tools::Tools};
use crate::run::Cancel;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// No log grows beyond this, in bytes.
const LOG_LIMIT: usize = 16 << 20;
/// How many lines of the log an error shows.
const TAIL: usize = 25;
/// Lines are cut there, in bytes.
const LINE_LIMIT: usize = 4096;
/// How long make has to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(10);

/// make, with its folders.
pub(super) struct Make<'a> {
    source: &'a Path,
    out: PathBuf,
    log: PathBuf,
    unclean: PathBuf,
    lock: &'a File,
    tools: &'a Tools,
    jobs: u32,
}

impl<'a> Make<'a> {
    /// For the source in `source`, with `out` and the log in `work`.
    pub(super) fn new(
        source: &'a Path,
        work: &Path,
        lock: &'a File,
        tools: &'a Tools,
        jobs: u32,
    ) -> Result<Make<'a>, BuildError> {
        let make = Make {
            source,
            out: work.join("out"),
            log: work.join("build.log"),
            unclean: work.join("unclean"),
            lock,
            tools,
            jobs,
        };
        // Objects that were being written when everything was killed would pass for finished ones.
        if make.unclean.exists() && make.out.exists() {
            fs::remove_dir_all(&make.out).map_err(io_error("remove", &make.out))?;
        }
        fs::create_dir_all(&make.out).map_err(io_error("make the folder", &make.out))?;
        Ok(make)
    }

    /// The folder with what make writes.
    pub(super) fn out(&self) -> &Path {
        &self.out
    }

    /// Runs make; `what` names it in errors. `sink` is called with each file that make begins with.
    pub(super) fn run<A: AsRef<std::ffi::OsStr>>(
        &self,
        what: &'static str,
        arguments: &[A],
        cancel: &Cancel,
        sink: &mut dyn FnMut(&str),
    ) -> Result<(), BuildError> {
        let mut command = Command::new("make");
        command.arg("--no-print-directory").arg("-C").arg(self.source);
        command.arg(format!("O={}", self.out.display())).arg(format!("-j{}", self.jobs));
        command.args(["ARCH=x86_64", "LOCALVERSION="]).arg(format!("PAHOLE={}", self.tools.pahole.display()));
        // The same source gives the same kernel.
        command.args(["KBUILD_BUILD_USER=livediff", "KBUILD_BUILD_HOST=livediff"]);
        command.arg("KBUILD_BUILD_TIMESTAMP=1970-01-01");
        command.args(arguments);
        fs::write(&self.unclean, "").map_err(io_error("write", &self.unclean))?;
        let outcome = run_logged(what, &mut command, self.lock, &self.log, cancel, &mut |line| {
            if let Some(file) = file_in(line) {
                sink(file);
            }
        });
        // Unless it was killed, make has removed what it did not finish.
        if !matches!(outcome, Err(BuildError::Make { killed: true, .. })) {
            let _ = fs::remove_file(&self.unclean);
        }
        outcome
    }
}

/// The file in a line such as `  CC      kernel/bpf/liveness.o`.
fn file_in(line: &str) -> Option<&str> {
    let mut words = line.strip_prefix("  ")?.split_whitespace();
    let (what, file) = (words.next()?, words.next()?);
    (what.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        && words.next().is_none())
    .then_some(file)
}

/// Runs a program to its end. Its output goes to `log` and, by lines, to `sink`. Cancelled, it and all that it has
/// started are ended first.
pub(super) fn run_logged(
    what: &'static str,
    command: &mut Command,
    lock: &File,
    log: &Path,
    cancel: &Cancel,
    sink: &mut dyn FnMut(&str),
) -> Result<(), BuildError> {
    for name in [
        "ARCH",
        "CROSS_COMPILE",
        "KBUILD_OUTPUT",
        "KBUILD_EXTMOD",
        "KCONFIG_CONFIG",
        "KCONFIG_ALLCONFIG",
        "KCFLAGS",
        "KCPPFLAGS",
        "LLVM",
        "LOCALVERSION",
        "MAKEFLAGS",
        "MAKELEVEL",
        "MFLAGS",
        "O",
        "V",
        "W",
    ] {
        // What the caller has set for a build of this call's own stays.
        if !command.get_envs().any(|(set, _)| set == name) {
            command.env_remove(name);
        }
    }
    let stdin = lock.try_clone().map_err(io_error("use", log))?;
    let (reader, writer) = std::io::pipe().map_err(io_error("make a pipe for", log))?;
    let errors = writer.try_clone().map_err(io_error("make a pipe for", log))?;
    command.env("LC_ALL", "C").process_group(0).stdin(stdin).stdout(writer).stderr(errors);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(io_error("run", Path::new(&program)))?;
    // Else this end of the pipe would be kept open.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());

    let (send, receive) = mpsc::channel::<String>();
    let path = log.to_path_buf();
    let writer = thread::spawn(move || copy_lines(reader, &path, &send));
    let mut stopped = false;
    loop {
        match receive.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => sink(&line),
            Err(RecvTimeoutError::Timeout) => {}
            // The last process that could have written is gone.
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if cancel.is_cancelled() {
            stopped = true;
            break;
        }
    }
    let status = if stopped { stop(&mut child) } else { child.wait() };
    let written = writer.join();
    if stopped {
        return match status {
            // Not ended by itself, so nothing of it was cleaned up.
            Ok(status) if killed(status) => Err(BuildError::Make {
                what,
                status: "killed, since it was asked to stop and did not".into(),
                log: log.into(),
                tail: String::new(),
                killed: true,
            }),
            _ => Err(BuildError::Cancelled),
        };
    }
    if let Ok(Err(error)) = written {
        return Err(io_error("write", log)(error));
    }
    let status = status.map_err(io_error("wait for", Path::new(&program)))?;
    if status.success() {
        return Ok(());
    }
    let killed = killed(status);
    let status = match status.code() {
        Some(code) => format!("status {code}"),
        None => format!("{status}"),
    };
    Err(BuildError::Make { what, status, log: log.into(), tail: tail_of(log), killed })
}

fn killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(Signal::SIGKILL as i32)
}

/// Ends the child and its process group, in good order if it can be had.
fn stop(child: &mut Child) -> std::io::Result<ExitStatus> {
    let group = Pid::from_raw(child.id().cast_signed());
    let _ = killpg(group, Signal::SIGTERM);
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            // Compilers that outlive make.
            let _ = killpg(group, Signal::SIGKILL);
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(20));
    }
    let _ = killpg(group, Signal::SIGKILL);
    child.wait()
}

/// Copies lines to a file, up to its limit, and to a channel. Reads on whatever fails: who writes must not be
/// stopped by it.
fn copy_lines(reader: impl std::io::Read, path: &Path, send: &mpsc::Sender<String>) -> std::io::Result<()> {
    let mut outcome = Ok(());
    let mut file = File::create(path).map_err(|error| outcome = Err(error)).ok();
    let mut left = LOG_LIMIT;
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = std::io::Read::take(&mut reader, LINE_LIMIT as u64);
        match limited.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return outcome,
            Ok(_) => {}
        }
        if let Some(open) = &mut file {
            if line.len() > left {
                let _ = open.write_all(b"(the log ends here: it became too long)\n");
                file = None;
            } else if let Err(error) = open.write_all(&line) {
                outcome = Err(error);
                file = None;
            }
            left = left.saturating_sub(line.len());
        }
        let _ = send.send(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
}

/// The last lines of a log; errors first, where there are any.
fn tail_of(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    // With many compilers at once the error is not what was said last.
    let lines: Vec<&str> = text.lines().filter(|line| file_in(line).is_none()).collect();
    let from = lines
        .iter()
        .position(|line| line.contains("error:") || line.contains("*** "))
        .map_or(lines.len().saturating_sub(TAIL), |first| first.min(lines.len().saturating_sub(TAIL / 2)));
    let shown = lines.get(from..).unwrap_or_default();
    shown.iter().take(TAIL).map(|line| format!("  {line}\n")).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, cancel: &Cancel, sink: &mut dyn FnMut(&str)) -> (Result<(), BuildError>, String) {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let lock = File::create(folder.path().join("lock")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let outcome = run_logged("the test", &mut command, &lock, &log, cancel, sink);
        (outcome, fs::read_to_string(log).unwrap())
    }

    #[test]
    fn output_is_kept_and_passed_on() {
        let mut seen = Vec::new();
        let (outcome, log) =
            run("echo one; echo two >&2", &Cancel::new(), &mut |line| seen.push(line.to_owned()));
        outcome.unwrap();
        assert_eq!((seen, log.as_str()), (vec!["one".to_owned(), "two".to_owned()], "one\ntwo\n"));
    }

    #[test]
    fn a_failure_shows_the_error() {
        let script = "echo '  CC      a.o'; echo 'a.c:1: error: no such thing'; echo '  CC      b.o'; exit 2";
        let (outcome, _) = run(script, &Cancel::new(), &mut |_| {});
        let Err(BuildError::Make { status, tail, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!((status.as_str(), tail.as_str()), ("status 2", "  a.c:1: error: no such thing"));
    }

    #[test]
    fn only_a_kill_leaves_no_time_to_clean_up() {
        for (signal, expected) in [("KILL", true), ("TERM", false)] {
            let (outcome, _) = run(&format!("kill -{signal} $$"), &Cancel::new(), &mut |_| {});
            assert!(
                matches!(outcome, Err(BuildError::Make { killed, .. }) if killed == expected),
                "{outcome:?}"
            );
        }
    }

    #[test]
    fn an_interruption_ends_the_whole_group() {
        let cancel = Cancel::new();
        let stop = cancel.clone();
        let mut processes = Vec::new();
        // A child that ignores being asked, of a parent that does not.
        let script = "(trap '' TERM; sleep 600) & echo $! $$; wait";
        let started = Instant::now();
        let (outcome, _) = run(script, &cancel, &mut |line| {
            processes = line.split(' ').map(|id| id.parse::<i32>().unwrap()).collect();
            stop.cancel();
        });
        assert!(matches!(outcome, Err(BuildError::Cancelled)), "{outcome:?}");
        assert!(started.elapsed() < Duration::from_secs(300));
        for process in processes {
            // Zombies count as gone: whoever inherits them may take its time. So may one that was killed on a machine
            // that does other work.
            let status = || fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let is_gone = || status().is_empty() || status().contains(") Z ");
            while !is_gone() && started.elapsed() < Duration::from_secs(300) {
                std::thread::sleep(Duration::from_millis(10));
            }
            assert!(is_gone(), "{}", status());
        }
    }

    #[test]
    fn logs_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (send, receive) = mpsc::channel();
        copy_lines(
            std::io::Read::take(std::io::repeat(b'x'), (LOG_LIMIT + LINE_LIMIT * 3) as u64),
            &path,
            &send,
        )
        .unwrap();
        drop(send);
        assert!(receive.into_iter().all(|line| line.len() <= LINE_LIMIT));
        let size = fs::metadata(&path).unwrap().len() as usize;
        assert!((LOG_LIMIT..LOG_LIMIT + 100).contains(&size), "{size}");
    }

    #[test]
    fn progress_is_told_from_other_lines() {
        assert_eq!(file_in("  CC      kernel/bpf/liveness.o"), Some("kernel/bpf/liveness.o"));
        assert_eq!(file_in("  VDSO2C  arch/x86/vdso64-image.c"), Some("arch/x86/vdso64-image.c"));
        assert_eq!(file_in("  HOSTCC  scripts/kconfig/conf.o"), Some("scripts/kconfig/conf.o"));
        for other in ["make[1]: Entering directory '/x'", "  note: in x.h", "", "  CC", "a.c:1: error: x"] {
            assert_eq!(file_in(other), None, "{other}");
        }
    }
}
