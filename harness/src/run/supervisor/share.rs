//! Whether a guest that takes long was given the processors that it has work for.
//!
//! ```text
//! available = time * processors that it has work for, but for the time in which somebody had stopped it
//! share     = what it used, or available - what it waited for a processor, whichever is more
//! ```
//! A guest that hangs idle waits for no processor: it leaves its share unused, and what it does is late in time. One
//! whose host is busy waits, and has more time.

use crate::run::vm::Usage;
use std::time::{Duration, Instant};

/// The account of one guest.
#[derive(Default)]
pub(super) struct Share {
    last: Option<(Instant, Usage)>,
    available: Duration,
}

/// The account at some time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    usage: Usage,
    available: Duration,
}

impl Share {
    /// Whether so much time has passed since the last entry, or there is none.
    pub(super) fn is_older_than(&self, time: Duration) -> bool {
        self.last.is_none_or(|(at, _)| at.elapsed() >= time)
    }

    /// Notes what the guest has used by now. Since the last entry it had work for so many processors.
    pub(super) fn note(&mut self, now: Instant, usage: Option<Usage>, processors: u32) {
        if let (Some(usage), Some((then, before))) = (usage, self.last)
            && !usage.is_stopped
            && !before.is_stopped
        {
            self.available += now.saturating_duration_since(then) * processors;
        }
        self.last = usage.map(|usage| (now, usage));
    }

    /// The account by now; nothing where it is not known what the guest uses.
    pub(super) fn given(&self) -> Option<Given> {
        self.last.map(|(_, usage)| Given { usage, available: self.available })
    }
}

impl Given {
    /// The guest's share since `before`.
    pub(super) fn since(&self, before: &Given) -> Duration {
        let used = self.usage.used.saturating_sub(before.usage.used);
        let waited = self.usage.waited.zip(before.usage.waited);
        let left = waited.map(|(now, then)| {
            self.available.saturating_sub(before.available).saturating_sub(now.saturating_sub(then))
        });
        used.max(left.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of a guest that has used and waited for so many seconds in a minute, with work for two processors.
    fn share(used: u64, waited: Option<u64>, stopped: &[u64]) -> u64 {
        let (begun, mut share) = (Instant::now(), Share::default());
        let mut first = None;
        for second in 0..=60 {
            let part = |whole: u64| Duration::from_millis(1000 * whole * second / 60);
            // What is waited for is known when the waiting has an end.
            let waited = waited.map(|waited| if second % 10 == 0 { part(waited) } else { Duration::ZERO });
            let waited = waited.map(|now| {
                let before = share.last.and_then(|(_, usage)| usage.waited).unwrap_or_default();
                now.max(before)
            });
            let usage = Usage { used: part(used), waited, is_stopped: stopped.contains(&second) };
            share.note(begun + Duration::from_secs(second), Some(usage), 2);
            first = first.or(share.given());
        }
        share.given().unwrap().since(&first.unwrap()).as_secs()
    }

    #[test]
    fn what_is_left_unused_counts_and_what_is_waited_for_does_not() {
        assert_eq!(share(120, Some(0), &[]), 120);
        assert_eq!(share(0, Some(0), &[]), 120, "idle");
        assert_eq!(share(20, Some(100), &[]), 20, "the host is busy");
        assert_eq!(share(20, Some(40), &[]), 80, "half of the time it had nothing to do");
        assert_eq!(share(0, Some(500), &[]), 0);
        // Where it is not known, only what was used counts.
        assert_eq!(share(20, None, &[]), 20);
        let stopped: Vec<u64> = (10..40).collect();
        assert_eq!(share(0, Some(0), &stopped), 58);
    }

    #[test]
    fn of_a_guest_that_is_no_process_nothing_is_known() {
        let mut share = Share::default();
        share.note(Instant::now(), None, 2);
        assert!(share.given().is_none() && share.is_older_than(Duration::ZERO));
    }
}
