//! SIGINT, SIGTERM and SIGHUP: watched for from the first moment on.
//!
//! What takes long asks for [`cancel`] and ends in good order when it is used. Everything else ends at once, but never
//! while it has a file half written.

use super::output::tell;
use anyhow::{Context, Result, bail};
use livediff_harness::{process, run::Cancel};
use std::sync::{
    LazyLock, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

static CANCEL: LazyLock<Cancel> = LazyLock::new(Cancel::new);
/// For the second signal.
static AGAIN: LazyLock<Cancel> = LazyLock::new(Cancel::new);
/// Somebody looks at [`CANCEL`].
static IN_GOOD_ORDER: AtomicBool = AtomicBool::new(false);
/// Held while there is a file that must be finished or removed.
static WRITING: Mutex<()> = Mutex::new(());

/// Begins to watch; `status` is the exit status of what ends at once.
pub(crate) fn watch(status: u8) -> Result<()> {
    let (first, again) = (CANCEL.clone(), AGAIN.clone());
    // Whoever said `nohup` wants this to go on when the terminal is closed.
    process::keep_ignoring_hangup();
    ctrlc::set_handler(move || {
        if first.is_cancelled() {
            again.cancel();
        }
        first.cancel();
        if !IN_GOOD_ORDER.load(Ordering::SeqCst) {
            let _whole = writing();
            tell("interrupted");
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
