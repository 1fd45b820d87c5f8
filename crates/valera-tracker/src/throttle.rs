//! Says something at most once a minute, and how often it happened since.
//!
//! What a tracker has to complain of comes by the thousand, and a log that is flooded is a fault of its own.
//!
//! It does not log: the caller does, with what it is given.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

const EVERY_S: u64 = 60;

/// One complaint. It takes no lock: it stands on the host's path.
#[derive(Debug)]
pub(crate) struct Throttle {
    began: Instant,
    /// Seconds after `began`, plus one, at which it was last said; 0 is never.
    said: AtomicU64,
    since: AtomicU64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { began: Instant::now(), said: AtomicU64::new(0), since: AtomicU64::new(0) }
    }
}

impl Throttle {
    /// Counts one; the count since the last time when it may be said again.
    pub(crate) fn pass(&self) -> Option<u64> {
        self.pass_at(self.began.elapsed().as_secs() + 1)
    }

    fn pass_at(&self, now: u64) -> Option<u64> {
        self.since.fetch_add(1, Ordering::Relaxed);
        let said = self.said.load(Ordering::Relaxed);
        if said != 0 && now < said + EVERY_S {
            return None;
        }
        let won = self.said.compare_exchange(said, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        won.then(|| self.since.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_heard_once_a_minute_with_its_count() {
        let throttle = Throttle::default();
        assert_eq!(throttle.pass_at(1), Some(1));
        assert_eq!([throttle.pass_at(1), throttle.pass_at(60)], [None, None]);
        assert_eq!(throttle.pass_at(61), Some(3));
        assert_eq!(throttle.pass_at(62), None);
    }
}
