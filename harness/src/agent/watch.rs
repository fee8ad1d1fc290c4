//! Cutting a load short once the kernel has said enough.
//!
//! The kernel writes the log into the loader's buffer as it goes. A thread beside each loader watches that buffer.
//! When the last line that is wanted has stood there for a while and the load still runs, it sends the loader a
//! signal: a signal that is pending makes the verifier give up with -EAGAIN.
//!
//! The signal is blocked but during a load, and one that comes too late is taken away before the next.

#![allow(unsafe_code)]

use super::lock;
use crate::protocol::Stop;
use nix::{
    libc,
    sys::{
        pthread::{Pthread, pthread_kill, pthread_self},
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    },
};
use std::{
    io, ptr,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const SIGNAL: Signal = Signal::SIGUSR1;
/// How often the buffer is looked at.
const PERIOD: Duration = Duration::from_millis(20);
/// How much of it is looked at in one go.
const CHUNK: usize = 64 << 10;

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

/// What a load is watched for.
struct Watched {
    /// Tells it from the loads before.
    number: u64,
    /// Address and size of the log buffer, zeroed beyond what the kernel has written.
    buffer: (usize, usize),
    /// Lines after the marker that are wanted.
    lines: usize,
    signalled: bool,
}

#[derive(Default)]
struct State {
    loads: AtomicU64,
    watched: Mutex<Option<Watched>>,
    changed: Condvar,
}

/// The watcher of one loader thread.
pub(super) struct Watcher {
    state: Arc<State>,
}

impl Watcher {
    /// Starts the watcher of the calling thread.
    pub(super) fn start(stop: Stop) -> io::Result<Watcher> {
        let state = Arc::new(State::default());
        let (shared, loader) = (Arc::clone(&state), pthread_self());
        thread::Builder::new().name("watcher".into()).spawn(move || watch(&shared, loader, &stop))?;
        Ok(Watcher { state })
    }

    /// Runs a load into `buffer`, which is all zero, and cuts it short when `lines` lines after the marker are
    /// there for long enough. Returns what the load returns, and whether it was told to stop.
    pub(super) fn run<R>(
        &self,
        buffer: &mut [u8],
        lines: usize,
        load: impl FnOnce(&mut [u8]) -> R,
    ) -> (R, bool) {
        let place = (buffer.as_ptr() as usize, buffer.len());
        let number = self.state.loads.fetch_add(1, Ordering::Relaxed);
        *lock(&self.state.watched) = Some(Watched { number, buffer: place, lines, signalled: false });
        self.state.changed.notify_one();
        // Neither can fail for a mask with a signal that exists.
        let _ = mask().thread_unblock();
        let result = load(buffer);
        let _ = mask().thread_block();
        // From here on no signal is sent for this load.
        let watched = lock(&self.state.watched).take();
        let signalled = watched.is_some_and(|watched| watched.signalled);
        if signalled {
            let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: both structures live through the call; information on the signal is not asked for.
            unsafe { libc::sigtimedwait(mask().as_ref(), ptr::null_mut(), &now) };
        }
        (result, signalled)
    }
}

fn watch(state: &State, loader: Pthread, stop: &Stop) {
    let mut watched = lock(&state.watched);
    loop {
        while watched.is_none() {
            watched = state.changed.wait(watched).unwrap_or_else(PoisonError::into_inner);
        }
        let mut progress = Progress::default();
        while let Some(load) = watched.as_mut() {
            // The lock is held while the buffer is read, so the load has not ended and the buffer is there.
            let enough = progress.enough(load.buffer, stop.marker.as_bytes(), load.lines);
            if enough.is_some_and(|since| since.elapsed() >= stop.grace) && !load.signalled {
                load.signalled = pthread_kill(loader, SIGNAL).is_ok();
            }
            let number = load.number;
            watched = state.changed.wait_timeout(watched, PERIOD).unwrap_or_else(PoisonError::into_inner).0;
            if watched.as_ref().is_some_and(|load| load.number != number) {
                // That load has ended and another has begun.
                break;
            }
        }
    }
}

/// How far the log was looked through.
#[derive(Default)]
struct Progress {
    /// Bytes that need not be looked at again.
    seen: usize,
    /// The marker was found; lines after it are counted.
    found: bool,
    lines: usize,
    since: Option<Instant>,
}

impl Progress {
    /// Since when all that is wanted has been in the buffer.
    fn enough(&mut self, buffer: (usize, usize), marker: &[u8], lines: usize) -> Option<Instant> {
        while self.since.is_none() {
            let chunk = read(buffer, self.seen);
            let written = chunk.iter().position(|byte| *byte == 0).unwrap_or(chunk.len());
            let chunk = chunk.get(..written).unwrap_or_default();
            if !self.found {
                match find(chunk, marker) {
                    Some(at) => {
                        self.found = true;
                        self.seen += at + marker.len();
                        continue;
                    }
                    // The last bytes may be the beginning of the marker, or be taken back by the kernel.
                    None => self.seen += chunk.len().saturating_sub(marker.len() + 1),
                }
                if chunk.len() < CHUNK {
                    return None;
                }
                continue;
            }
            self.lines += chunk.iter().filter(|byte| **byte == b'\n').count();
            self.seen += chunk.len();
            // The first of them ends the marker's own line.
            if self.lines > lines {
                self.since = Some(Instant::now());
            } else if chunk.len() < CHUNK {
                return None;
            }
        }
        self.since
    }
}

/// Where `marker` is in the text.
pub(super) fn find(text: &[u8], marker: &[u8]) -> Option<usize> {
    text.windows(marker.len().max(1)).position(|window| window == marker)
}

/// A copy of the bytes from `at` on, at most [`CHUNK`].
fn read((address, size): (usize, usize), at: usize) -> Vec<u8> {
    let length = size.saturating_sub(at).min(CHUNK);
    let mut copy = vec![0u8; length];
    for (i, byte) in copy.iter_mut().enumerate() {
        // SAFETY: the buffer is there while the state that names it is locked, and `at + i` lies in it. The kernel
        // may write it meanwhile; a volatile read of a byte gives what is there before or after.
        *byte = unsafe { ptr::read_volatile((address as *const u8).add(at + i)) };
        if *byte == 0 {
            break;
        }
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `log` into the buffer piece by piece and tells after which piece enough is there.
    fn enough_after(pieces: &[&str], lines: usize) -> Option<usize> {
        let mut buffer = vec![0u8; 512 << 10];
        let mut progress = Progress::default();
        let mut used = 0;
        pieces.iter().position(|piece| {
            buffer[used..used + piece.len()].copy_from_slice(piece.as_bytes());
            used += piece.len();
            progress.enough((buffer.as_ptr() as usize, buffer.len()), b"Table:", lines).is_some()
        })
    }

    #[test]
    fn enough_is_the_marker_and_all_its_lines() {
        assert_eq!(enough_after(&["func\nTab", "le:\n0: a\n", "1: b", "\n", "2: c\n"], 2), Some(3));
        assert_eq!(enough_after(&["Table:\n0: a\n1: b\n"], 2), Some(0));
        assert_eq!(enough_after(&["Table:\n0: a\n1: b"], 2), None);
        assert_eq!(enough_after(&["table\n0: a\n1: b\n"], 2), None);
        let long = "x".repeat(CHUNK * 2 + 17);
        assert_eq!(enough_after(&[&long, "\nTable:\n", &long, "\n"], 1), Some(3));
    }

    #[test]
    fn a_load_that_goes_on_is_told_to_stop_and_the_next_is_not() {
        // The mask is the thread's own; the handler is the process's and does nothing.
        install().unwrap();
        let stop = Stop { marker: "Table:".into(), grace: Duration::from_millis(50) };
        let watcher = Watcher::start(stop).unwrap();
        let mut buffer = vec![0u8; 4096];
        let (interrupted, signalled) = watcher.run(&mut buffer, 1, |buffer| {
            buffer[..12].copy_from_slice(b"Table:\n0: a\n");
            let long = libc::timespec { tv_sec: 20, tv_nsec: 0 };
            // SAFETY: the structure lives through the call; the rest of the time is not asked for.
            unsafe { libc::nanosleep(&long, ptr::null_mut()) != 0 }
        });
        assert!(interrupted && signalled);
        buffer.fill(0);
        let (interrupted, signalled) = watcher.run(&mut buffer, 1, |_| {
            let short = libc::timespec { tv_sec: 0, tv_nsec: 200_000_000 };
            // SAFETY: as above.
            unsafe { libc::nanosleep(&short, ptr::null_mut()) != 0 }
        });
        assert!(!interrupted && !signalled);
    }
}
