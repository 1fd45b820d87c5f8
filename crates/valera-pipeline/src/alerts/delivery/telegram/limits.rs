//! What Telegram takes from a bot in one chat: one message a second, and twenty a minute in a group.
//!
//! The last minute's requests are remembered, so that no minute ever holds more, at the start neither; a bucket of tokens
//! would let twice as many through in its first. There is one chat and so these limits lie below the thirty a second that
//! hold over all chats. A part of each minute is kept for new messages: edits of a storm must not hold up a booking. Time is
//! an argument. It does not wait, and forgets at a restart: what was asked before it, Telegram says with 429.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How much may be asked of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    pub a_minute: usize,
    /// From one request to the next.
    pub apart: Duration,
}

impl Rates {
    pub const GROUP: Self = Self { a_minute: 20, apart: Duration::from_secs(1) };
    pub const PRIVATE: Self = Self { a_minute: 60, apart: Duration::from_secs(1) };
}

const MINUTE: Duration = Duration::from_secs(60);

/// The last minute.
#[derive(Debug)]
pub(super) struct Limits {
    rates: Rates,
    asked: VecDeque<Instant>,
}

impl Limits {
    pub(super) fn new(rates: Rates) -> Self {
        Self { rates, asked: VecDeque::new() }
    }

    /// # Errors
    /// With how long to wait, where the limit is reached.
    pub(super) fn require(&self, now: Instant, is_edit: bool) -> Result<(), Duration> {
        let kept = if is_edit { self.rates.a_minute / 4 } else { 0 };
        let at_once = (self.rates.a_minute - kept).max(1);
        let full = self
            .asked
            .len()
            .checked_sub(at_once)
            .map_or(Duration::ZERO, |oldest| (self.asked[oldest] + MINUTE).saturating_duration_since(now));
        let apart = self
            .asked
            .back()
            .map_or(Duration::ZERO, |last| (*last + self.rates.apart).saturating_duration_since(now));
        let wait = full.max(apart);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// Counts a request, taken or not.
    pub(super) fn asked(&mut self, now: Instant) {
        self.asked.push_back(now);
        while self.asked.len() > self.rates.a_minute {
            self.asked.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of so many requests is let through, in milliseconds, asked for as soon as they may be.
    fn times(rates: Rates, count: usize, is_edit: impl Fn(usize) -> bool) -> Vec<u64> {
        let (start, mut limits) = (Instant::now(), Limits::new(rates));
        let mut now = start;
        (0..count)
            .map(|index| {
                while let Err(wait) = limits.require(now, is_edit(index)) {
                    now += wait;
                }
                limits.asked(now);
                (now - start).as_millis().try_into().unwrap()
            })
            .collect()
    }

    #[test]
    fn no_minute_holds_more_than_it_may() {
        for (rates, is_edit) in [(Rates::GROUP, false), (Rates::GROUP, true), (Rates::PRIVATE, false)] {
            let times = times(rates, 200, |_| is_edit);
            for (index, begin) in times.iter().enumerate() {
                let within = times[index..].iter().filter(|time| **time < begin + 60_000).count();
                assert!(within <= rates.a_minute, "{within} from {begin} ms");
            }
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 1_000));
        }
    }

    #[test]
    fn a_new_message_does_not_wait_behind_edits() {
        let times = times(Rates::GROUP, 16, |index| index < 15);
        assert_eq!(times[15], 15_000);
        let edits = super::tests::times(Rates::GROUP, 16, |_| true);
        assert_eq!(edits[15], 60_000);
    }
}
