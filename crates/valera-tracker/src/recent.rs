//! What was said a moment ago, or today, and need not be said again.
//!
//! Both memories stand on the host's path: a short lock around a look-up, never around anything that waits.
//!
//! It does not outlive the process; the worker's memory of dialogs does.

use chrono::NaiveDate;
use std::{
    collections::{HashSet, VecDeque, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A failure that is told again within this time is the same one.
const SAME_FAILURE: Duration = Duration::from_secs(5);
/// Failures that are remembered.
const FAILURES: usize = 256;

/// Failures told within the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    hasher: RandomState,
    told: Mutex<VecDeque<(Instant, u64)>>,
}

impl Failures {
    /// Whether a failure is new, and notes it.
    pub(crate) fn is_new(&self, chat_id: i64, class: &str, message: &str) -> bool {
        self.is_new_at(Instant::now(), chat_id, class, message)
    }

    fn is_new_at(&self, now: Instant, chat_id: i64, class: &str, message: &str) -> bool {
        let failure = self.hasher.hash_one((chat_id, class, message));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        while told.front().is_some_and(|(at, _)| now.duration_since(*at) >= SAME_FAILURE) {
            told.pop_front();
        }
        if told.iter().any(|(_, known)| *known == failure) {
            return false;
        }
        if told.len() == FAILURES {
            told.pop_front();
        }
        told.push_back((now, failure));
        true
    }
}

/// Chats whose dialog of today was told by this process.
#[derive(Debug, Default)]
pub(crate) struct Today(Mutex<(NaiveDate, HashSet<i64>)>);

impl Today {
    /// Whether the chat is new on that day, and notes it.
    pub(crate) fn is_new(&self, chat_id: i64, day: NaiveDate) -> bool {
        let mut today = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if today.0 != day {
            *today = (day, HashSet::new());
        }
        today.1.insert(chat_id)
    }

    /// Takes it back: the dialog was not sent after all.
    pub(crate) fn forget(&self, chat_id: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&chat_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_within_seconds_is_one() {
        let (failures, now) = (Failures::default(), Instant::now());
        let is_new =
            |after, chat_id, message| failures.is_new_at(now + Duration::from_secs(after), chat_id, "E", message);
        assert!(is_new(0, 1, "timeout"));
        assert!(!is_new(0, 1, "timeout") && !is_new(4, 1, "timeout"));
        assert!(is_new(4, 2, "timeout") && is_new(4, 1, "refused"));
        assert!(is_new(5, 1, "timeout"));
    }

    #[test]
    fn a_chat_is_new_once_a_day() {
        let today = Today::default();
        let day = NaiveDate::from_ymd_opt(2025, 11, 1).unwrap();
        assert!(today.is_new(1, day) && today.is_new(2, day));
        assert!(!today.is_new(1, day));
        today.forget(1);
        assert!(today.is_new(1, day));
        assert!(today.is_new(2, day.succ_opt().unwrap()));
    }
}
