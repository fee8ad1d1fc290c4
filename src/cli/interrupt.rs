//! SIGINT, SIGTERM and SIGHUP: watched for from the first moment on.
//!
//! What takes long asks for [`cancel`] and ends in good order when it is used. Everything else ends at once, and so does
//! whatever the third signal finds, but never while it has a file half written.

use super::output::tell;
use anyhow::{Context, Result, bail};
use livediff_harness::{process, run::Cancel};
use std::{
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

static CANCEL: LazyLock<Cancel> = LazyLock::new(Cancel::new);
/// For the second signal.
static AGAIN: LazyLock<Cancel> = LazyLock::new(Cancel::new);
/// Somebody looks at [`CANCEL`].
static IN_GOOD_ORDER: AtomicBool = AtomicBool::new(false);
/// As many [`Waiting`] live.
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// Held while there is a file that must be finished or removed.
static WRITING: Mutex<()> = Mutex::new(());

/// The signal after which nothing is done in good order any more: some system call may never return.
const LAST: u32 = 3;
/// How long standard error, too, may keep the end waiting.
const MOMENT: Duration = Duration::from_millis(200);

/// Begins to watch; `status` is the exit status of what ends at once.
pub(crate) fn watch(status: u8) -> Result<()> {
    let (first, again) = (CANCEL.clone(), AGAIN.clone());
    // Whoever said `nohup` wants this to go on when the terminal is closed.
    process::keep_ignoring_hangup();
    let mut signals = 0u32;
    ctrlc::set_handler(move || {
        signals = signals.saturating_add(1);
        if first.is_cancelled() {
            again.cancel();
        }
        first.cancel();
        let in_good_order = IN_GOOD_ORDER.load(Ordering::SeqCst) && WAITING.load(Ordering::SeqCst) == 0;
        let whole = match (in_good_order, signals) {
            (false, _) => Some(writing()),
            (true, LAST..) => written(),
            (true, _) => None,
        };
        if whole.is_some() {
            let (send, told) = mpsc::channel();
            // Nobody may read it any more.
            thread::spawn(move || {
                tell("interrupted");
                let _ = send.send(());
            });
            let _ = told.recv_timeout(MOMENT);
            std::process::exit(status.into());
        }
    })
    .context("signals cannot be watched for")
}

/// What a signal uses. From here on it is up to the caller to end.
pub(crate) fn cancel() -> Cancel {
    IN_GOOD_ORDER.store(true, Ordering::SeqCst);
    CANCEL.clone()
}

/// What a second signal uses, for work that is worth a last effort after the first.
pub(crate) fn cancel_again() -> Cancel {
    AGAIN.clone()
}

/// What the next signal uses, the first or the second.
pub(crate) fn cancel_next() -> Cancel {
    if CANCEL.is_cancelled() { cancel_again() } else { cancel() }
}

/// Takes back what [`cancel`] said: from here on a signal ends the program at once. An error if there was one already.
pub(crate) fn at_once() -> Result<()> {
    IN_GOOD_ORDER.store(false, Ordering::SeqCst);
    if CANCEL.is_cancelled() { bail!("interrupted") } else { Ok(()) }
}

/// While what is returned lives, no signal ends the program.
pub(crate) fn writing() -> MutexGuard<'static, ()> {
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As [`writing`]; nothing if there is such a file.
fn written() -> Option<MutexGuard<'static, ()>> {
    match WRITING.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// While it lives a signal ends the program at once, whatever was said to [`cancel`].
pub(crate) struct Waiting(());

/// For system calls that wait until somebody else does something, such as to open the other end of a pipe.
pub(crate) fn waiting() -> Waiting {
    WAITING.fetch_add(1, Ordering::SeqCst);
    Waiting(())
}

/// As [`waiting`], where nothing was done yet that would be lost: an error if there was a signal already.
pub(crate) fn reading() -> Result<Waiting> {
    let waiting = waiting();
    if CANCEL.is_cancelled() { bail!("interrupted") } else { Ok(waiting) }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_half_written_is_not_cut_by_the_last_signal() {
        let half = writing();
        assert!(thread::spawn(|| written().is_none()).join().unwrap());
        drop(half);
        assert!(written().is_some());
    }
}
