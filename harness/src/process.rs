//! Other programs that are run to their end: each in a process group of its own, so that a terminal's Ctrl-C is this
//! program's to deal with, and gone when this program is.

use crate::run::Cancel;
use nix::{
    sys::{
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, killpg, sigaction},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};
use std::{
    io::{self, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How often a program that runs is looked at.
const TICK: Duration = Duration::from_millis(20);
/// How long a program has to end after it was interrupted.
const PATIENCE: Duration = Duration::from_secs(5);

/// Has the kernel kill the child when the thread that started it is gone.
#[allow(unsafe_code)]
pub(crate) fn die_with_parent(command: &mut Command) {
    use nix::{
        sys::prctl,
        unistd::{getpid, getppid},
    };
    let parent = getpid();
    let prepare = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the line above.
        if getppid() == parent { Ok(()) } else { Err(io::Error::other("the parent has died")) }
    };
    // SAFETY: between fork and exec, `prepare` makes system calls only.
    unsafe { command.pre_exec(prepare) };
}

/// Keeps the signal of a terminal that is closed from ending this program, if whoever started it said so (`nohup`), whatever
/// is done about that signal later. To be called before there are other threads, which inherit it.
pub fn keep_ignoring_hangup() {
    let about = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = about.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    if ignored >> (Signal::SIGHUP as u32 - 1) & 1 == 1 {
        // Where that cannot be done, the signal ends the program in good order.
        let _ = SigSet::from(Signal::SIGHUP).thread_block();
    }
}

/// Runs a program to its end. Cancelled, it is interrupted with all that it has started in its group, and killed if it
/// does not end of that; then nothing is returned.
pub fn status(command: &mut Command, cancel: &Cancel) -> io::Result<Option<ExitStatus>> {
    let mut child = start(command)?;
    wait(&mut child, cancel)
}

/// As [`status`], and returns what the program wrote.
pub(crate) fn output(command: &mut Command, cancel: &Cancel) -> io::Result<Option<Output>> {
    let mut child = start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::scope(|threads| {
        let stdout = threads.spawn(|| read(stdout));
        let stderr = threads.spawn(|| read(stderr));
        let status = wait(&mut child, cancel);
        let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
        Ok(status?.map(|status| Output { status, stdout, stderr }))
    })
}

#[allow(unsafe_code)]
fn start(command: &mut Command) -> io::Result<Child> {
    die_with_parent(command.process_group(0));
    // Where this program was started in the background, it was told to ignore the interrupt that is to end the child,
    // and a child inherits that.
    let prepare = || {
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: the default action is no handler of ours.
        unsafe { sigaction(Signal::SIGINT, &default) }?;
        Ok(())
    };
    // SAFETY: between fork and exec, `prepare` makes a system call only.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}

fn read(from: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What came before an error is kept; whether the program was successful its status says.
    let _ = from.map(|mut from| from.read_to_end(&mut bytes));
    bytes
}

/// Whether the process has ended. It is not waited for, so that its number stays its own.
pub(crate) fn has_ended(child: &Child) -> bool {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let Ok(pid) = i32::try_from(child.id()) else { return true };
    !matches!(waitid(Id::Pid(Pid::from_raw(pid)), peek), Ok(WaitStatus::StillAlive))
}

/// Signals the process, which was not waited for yet, and all in its group.
fn signal_group(child: &Child, signal: Signal) {
    let group = i32::try_from(child.id()).map(Pid::from_raw);
    let _ = group.map(|group| killpg(group, signal));
}

/// Kills the process and all in its group, waits for it, and returns its status if it had ended by itself.
pub(crate) fn kill_group(child: &mut Child) -> Option<ExitStatus> {
    let ended = has_ended(child);
    signal_group(child, Signal::SIGKILL);
    let _ = child.kill();
    child.wait().ok().filter(|_| ended)
}

fn wait(child: &mut Child, cancel: &Cancel) -> io::Result<Option<ExitStatus>> {
    while !has_ended(child) {
        if cancel.is_cancelled() {
            signal_group(child, Signal::SIGINT);
            let end = Instant::now() + PATIENCE;
            while !has_ended(child) && Instant::now() < end {
                thread::sleep(TICK);
            }
            // What it has left running too.
            kill_group(child);
            return Ok(None);
        }
        thread::sleep(TICK);
    }
    child.wait().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_is_run_to_its_end() {
        let output = output(&mut shell("echo one; echo two >&2; exit 3"), &Cancel::new()).unwrap().unwrap();
        assert_eq!((output.stdout, output.stderr), (b"one\n".to_vec(), b"two\n".to_vec()));
        assert_eq!(output.status.code(), Some(3));
        assert!(status(&mut Command::new("/there/is/none"), &Cancel::new()).is_err());
    }

    #[test]
    fn a_cancelled_program_is_ended_with_what_it_started() {
        let (cancel, folder) = (Cancel::new(), tempfile::tempdir().unwrap());
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (ready, cleaned) = (path("ready"), path("cleaned"));
        let script = format!(
            "trap 'echo yes > {cleaned}; exit 0' INT; sleep 300 & echo yes > {ready}; while :; do sleep 0.1; done"
        );
        thread::scope(|threads| {
            let run = threads.spawn(|| output(&mut shell(&script), &cancel));
            while !run.is_finished() && !Path::new(&ready).exists() {
                thread::sleep(TICK);
            }
            cancel.cancel();
            // What it has started holds the pipes, so that this ends only with it.
            assert!(run.join().unwrap().unwrap().is_none());
        });
        // It was killed only after it had the time to clean up.
        assert!(Path::new(&cleaned).exists());
    }
}
