//! Room for what one thread hands to another.

use std::sync::{Condvar, Mutex, PoisonError};

/// A bound, in bytes, on what waits between threads.
#[derive(Debug)]
pub struct Room {
    limit: usize,
    taken: Mutex<usize>,
    less: Condvar,
}

impl Room {
    /// Room for so many bytes.
    pub fn of(limit: usize) -> Room {
        Room { limit, taken: Mutex::new(0), less: Condvar::new() }
    }

    /// Waits until there is room, and takes it. What is larger than all of it has it for itself.
    pub fn take(&self, bytes: usize) {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |taken: &mut usize| *taken > 0 && taken.saturating_add(bytes) > self.limit;
        let mut taken = self.less.wait_while(taken, full).unwrap_or_else(PoisonError::into_inner);
        *taken = taken.saturating_add(bytes);
    }

    /// Gives back what was taken.
    pub fn give_back(&self, bytes: usize) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = taken.saturating_sub(bytes);
        self.less.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread, time::Duration};

    #[test]
    fn no_more_waits_than_there_is_room_for() {
        let room = Room::of(100);
        // Larger than all of it, and alone.
        room.take(1000);
        let (send, receive) = mpsc::channel();
        thread::scope(|threads| {
            threads.spawn(|| {
                for bytes in [60, 60] {
                    room.take(bytes);
                    send.send(bytes).unwrap();
                }
            });
            let soon = Duration::from_millis(50);
            assert!(receive.recv_timeout(soon).is_err());
            room.give_back(1000);
            assert_eq!(receive.recv_timeout(Duration::from_secs(20)), Ok(60));
            assert!(receive.recv_timeout(soon).is_err());
            room.give_back(60);
            assert_eq!(receive.recv_timeout(Duration::from_secs(20)), Ok(60));
        });
    }
}
