//! How much of the gateway one client may take: requests a second, and requests at once.
//!
//! A bucket a client: one that floods is told to wait, and the others do not notice. It does not know tokens.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::sync::Semaphore;

/// Requests of one client that are read or wait for the disk at once: bounds the memory that their bodies take.
const AT_ONCE: usize = 16;

/// One client's share.
#[derive(Debug)]
pub(super) struct Share {
    per_second: f64,
    bucket: Mutex<(f64, Instant)>,
    pub(super) at_once: Arc<Semaphore>,
}

impl Share {
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        let bucket = Mutex::new((2.0 * per_second, Instant::now()));
        Self { per_second, bucket, at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Whether there is one left. The bucket holds two seconds' worth.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, since) = *bucket;
        let left =
            (left + now.saturating_duration_since(since).as_secs_f64() * self.per_second).min(2.0 * self.per_second);
        let takes = left >= 1.0;
        *bucket = (if takes { left - 1.0 } else { left }, now.max(since));
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn two_seconds_worth_may_come_at_once_and_then_the_rate_holds() {
        let share = Share::new(10);
        let start = Instant::now();
        assert_eq!((0..100).filter(|_| share.take(start)).count(), 20);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| share.take(later)).count(), 5);
    }
}
