//! Cutting a load short once the kernel has said enough.
//!
//! What is wanted of the log is written before the verifier walks the program's paths, and a signal that is pending
//! makes the walk give up with -EAGAIN at its next instruction. Nothing before the walk asks for signals. So a timer
//! runs beside each load, and its signal, if it comes early, waits in the kernel for the walk to begin. Whether the
//! log holds what is wanted is for the loader to see: a kernel that gave up before is asked again without the timer.
//!
//! The signal is blocked but during a load, and its handler does nothing.

#![allow(unsafe_code)]

use nix::{
    libc,
    sys::{
        signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction},
        time::TimeSpec,
        timer::{Expiration, Timer, TimerSetTimeFlags},
    },
    time::ClockId,
    unistd::gettid,
};
use std::{
    io,
    time::{Duration, Instant},
};

const SIGNAL: Signal = Signal::SIGUSR1;
/// How long after the timer is set its signal comes at the earliest: the load should have begun.
const FIRST: Duration = Duration::from_micros(200);
/// How often it comes again, in case that the load had not.
const PERIOD: Duration = Duration::from_millis(1);

/// Prepares the process: called before any thread is started.
pub(super) fn install() -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing, which is safe at any moment.
    unsafe { sigaction(SIGNAL, &action) }?;
    Ok(mask().thread_block()?)
}

fn mask() -> SigSet {
    let mut mask = SigSet::empty();
    mask.add(SIGNAL);
    mask
}

/// Stops the loads of the thread that made it.
pub(super) struct Stopper {
    timer: Timer,
    after: Duration,
}

impl Stopper {
    /// A stopper of the calling thread, which lets the walk go on until `after` has passed since the load began.
    pub(super) fn new(after: Duration) -> io::Result<Stopper> {
        let notify = SigevNotify::SigevThreadId { signal: SIGNAL, thread_id: gettid().as_raw(), si_value: 0 };
        let timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(notify))?;
        Ok(Stopper { timer, after: after.max(FIRST) })
    }

    /// Runs a load. Returns what it returns, and whether it was told to stop.
    pub(super) fn run<R>(&mut self, load: impl FnOnce() -> R) -> (R, bool) {
        let begun = Instant::now();
        let expiration =
            Expiration::IntervalDelayed(TimeSpec::from_duration(self.after), TimeSpec::from_duration(PERIOD));
        // Neither masking can fail for a signal that exists. A load without its timer runs to its end.
        let _ = mask().thread_unblock();
        let _ = self.timer.set(expiration, TimerSetTimeFlags::empty());
        let result = load();
        let told = begun.elapsed() >= self.after;
        let _ = self
            .timer
            .set(Expiration::OneShot(TimeSpec::from_duration(Duration::ZERO)), TimerSetTimeFlags::empty());
        let _ = mask().thread_block();
        (result, told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a sleep of that length was interrupted.
    fn interrupted(sleep: Duration) -> bool {
        let time = *TimeSpec::from_duration(sleep).as_ref();
        // SAFETY: the structure lives through the call; the rest of the time is not asked for.
        unsafe { libc::nanosleep(&time, std::ptr::null_mut()) != 0 }
    }

    #[test]
    fn a_load_that_goes_on_is_told_to_stop_and_what_follows_is_not() {
        // The mask is the thread's own; the handler is the process's and does nothing.
        install().unwrap();
        let mut stopper = Stopper::new(Duration::from_millis(50)).unwrap();
        assert_eq!(stopper.run(|| interrupted(Duration::from_secs(20))), (true, true));
        // Not behind a load, and not at once in the next.
        assert!(!interrupted(Duration::from_millis(100)));
        let mut patient = Stopper::new(Duration::from_secs(20)).unwrap();
        assert_eq!(patient.run(|| interrupted(Duration::from_millis(1))), (false, false));
        let mut at_once = Stopper::new(Duration::ZERO).unwrap();
        for _ in 0..100 {
            assert_eq!(at_once.run(|| interrupted(Duration::from_secs(20))), (true, true));
        }
    }
}
