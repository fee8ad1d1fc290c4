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
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How often a program that runs is looked at.
const TICK: Duration = Duration::from_millis(20);
/// How long a program has to end after it was interrupted.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long what a program has left running may write to its pipes before it is killed, and again before it is no longer
/// listened to.
const MOMENT: Duration = Duration::from_secs(1);

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

/// Runs a program to its end, and ends what it has left running in its group. Cancelled, it is interrupted with all that
/// it has started in its group, and killed if it does not end of that; then nothing is returned.
pub fn status(command: &mut Command, cancel: &Cancel) -> io::Result<Option<ExitStatus>> {
    let mut child = start(command)?;
    if !has_ended_before(&mut child, cancel) {
        return Ok(None);
    }
    end(&mut child).map(Some)
}

/// As [`status`], and returns what the program wrote. Whoever else holds its pipes is not waited for.
pub(crate) fn output(command: &mut Command, cancel: &Cancel) -> io::Result<Option<Output>> {
    let mut child = start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let listeners = (Listener::new(child.stdout.take()), Listener::new(child.stderr.take()));
    if !has_ended_before(&mut child, cancel) {
        return Ok(None);
    }
    let are_done = || listeners.0.is_done() && listeners.1.is_done();
    let wait = || {
        let until = Instant::now() + MOMENT;
        while !are_done() && !cancel.is_cancelled() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    };
    wait();
    let status = end(&mut child)?;
    wait();
    Ok(Some(Output { status, stdout: listeners.0.heard(), stderr: listeners.1.heard() }))
}

/// Reads a pipe, for as long as somebody wants to know.
struct Listener {
    /// What came so far.
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Listener {
    fn new(from: Option<impl Read + Send + 'static>) -> Listener {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let wanted = Arc::downgrade(&bytes);
        let thread = thread::spawn(move || {
            let Some(mut from) = from else { return };
            let mut buffer = [0; 1 << 14];
            loop {
                let count = match from.read(&mut buffer) {
                    Ok(count @ 1..) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    // What came before an error is kept; whether the program was successful its status says.
                    Ok(0) | Err(_) => return,
                };
                let Some(bytes) = wanted.upgrade() else { return };
                let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
            }
        });
        Listener { bytes, thread }
    }

    /// Nobody has the other end any more.
    fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    fn heard(self) -> Vec<u8> {
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
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

/// Waits until the process has ended by itself. False if it was cancelled before, and then ended with its group.
fn has_ended_before(child: &mut Child, cancel: &Cancel) -> bool {
    while !has_ended(child) {
        if cancel.is_cancelled() {
            signal_group(child, Signal::SIGINT);
            let end = Instant::now() + PATIENCE;
            while !has_ended(child) && Instant::now() < end {
                thread::sleep(TICK);
            }
            // What it has left running too.
            kill_group(child);
            return false;
        }
        thread::sleep(TICK);
    }
    true
}

/// The status of a process that has ended. What it has left running in its group is killed.
fn end(child: &mut Child) -> io::Result<ExitStatus> {
    signal_group(child, Signal::SIGKILL);
    child.wait()
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
    /// What it has left running holds its pipes open.
    #[test]
    fn what_a_program_has_left_behind_is_not_waited_for() {
        use nix::sys::signal::kill;
        let begun = Instant::now();
        let run = |script: &str, cancel: &Cancel| output(&mut shell(script), cancel).unwrap().unwrap();
        let number = |output: &Output| {
            let text = String::from_utf8_lossy(&output.stdout);
            Pid::from_raw(text.trim().parse().expect("the number of a process"))
        };
        let has_gone = |pid: Pid| {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            state.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with(['Z', 'X']))
        };
        let in_group = run("sleep 300 & echo $!; exit 0", &Cancel::new());
        assert!(in_group.status.success());
        let pid = number(&in_group);
        while !has_gone(pid) && begun.elapsed() < Duration::from_secs(30) {
            thread::sleep(TICK);
        }
        assert!(has_gone(pid), "it is left");
        let status = status(&mut shell("sleep 300 & exit 4"), &Cancel::new()).unwrap().unwrap();
        assert_eq!(status.code(), Some(4));
        // Out of reach, and what was said is heard all the same.
        let script = "setsid sh -c 'echo $$; exec sleep 300' & sleep 0.5; echo words >&2; exit 3";
        let left = run(script, &Cancel::new());
        kill(number(&left), Signal::SIGKILL).unwrap();
        assert_eq!((left.status.code(), left.stderr.as_slice()), (Some(3), &b"words\n"[..]));
        // What is on its way to its end is heard.
        let late = run("(sleep 0.2; echo late) & exit 0", &Cancel::new());
        assert_eq!(late.stdout, b"late\n");
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}
