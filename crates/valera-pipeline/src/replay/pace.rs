//! At most so many messages a second, over any time: what was waited for is not made up for.
//!
//! Each batch puts the next one off by its share, counted from when it was handed in and not from the beginning. A pause for
//! live traffic, or Postgres away for an hour, would be credit otherwise, spent at full speed. It does not sleep and reads no
//! clock.

use std::time::{Duration, Instant};

/// See the module.
pub(super) struct Pace {
    /// Messages a second; `None` is as fast as it goes.
    rate: Option<u32>,
    /// When the next batch may be handed in.
    due: Option<Instant>,
}

impl Pace {
    pub(super) fn new(rate: Option<u32>) -> Self {
        Self { rate, due: None }
    }

    /// So many messages were handed in at `now`.
    pub(super) fn handed_in(&mut self, messages: usize, now: Instant) {
        let Some(rate) = self.rate else { return };
        let from = self.due.map_or(now, |due| due.max(now));
        self.due = Some(from + Duration::from_secs_f64(messages as f64 / f64::from(rate)));
    }

    /// How long the next batch has to wait.
    pub(super) fn due_in(&self, now: Instant) -> Duration {
        self.due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_BATCH: usize = 125;
    const A_QUARTER: Duration = Duration::from_millis(250);

    #[test]
    fn batches_come_at_the_rate_whatever_each_took_to_commit() {
        let mut pace = Pace::new(Some(500));
        let mut now = Instant::now();
        assert_eq!(pace.due_in(now), Duration::ZERO);
        for commit in [1, 240, 0, 100].map(Duration::from_millis) {
            pace.handed_in(A_BATCH, now);
            assert_eq!(pace.due_in(now + commit), A_QUARTER - commit);
            now += A_QUARTER;
        }
    }

    #[test]
    fn a_wait_is_no_credit() {
        let mut pace = Pace::new(Some(500));
        let mut now = Instant::now();
        pace.handed_in(A_BATCH, now);
        now += Duration::from_secs(600);
        assert_eq!(pace.due_in(now), Duration::ZERO);
        for _ in 0..3 {
            pace.handed_in(A_BATCH, now);
            assert_eq!(pace.due_in(now), A_QUARTER);
            now += A_QUARTER;
        }
    }

    #[test]
    fn a_batch_that_comes_before_its_time_does_not_shorten_the_next_wait() {
        let mut pace = Pace::new(Some(500));
        let now = Instant::now();
        pace.handed_in(A_BATCH, now);
        pace.handed_in(A_BATCH, now);
        assert_eq!(pace.due_in(now), 2 * A_QUARTER);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut pace = Pace::new(None);
        let now = Instant::now();
        pace.handed_in(1_000_000, now);
        assert_eq!(pace.due_in(now), Duration::ZERO);
    }
}
