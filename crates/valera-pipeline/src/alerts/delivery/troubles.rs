//! What does not get through on a channel although the loop goes on, so that readiness can tell of it.
//!
//! A message that has to wait by itself is given back, lest it hold up the others, and comes again within seconds: one whose
//! answer was lost again and again, and an edit for which the channel's limit has no room. A message that was given up is
//! told of until the next is taken, since nobody knows whether that will fare better. Time is an argument. It does not
//! wait, and knows no channel.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// What was put off comes again within seconds; after so long it is gone from the stream.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// By what messages are about: an incident, or what is late.
#[derive(Debug)]
pub(super) struct Troubles {
    /// For so long a message may be put off before that is a trouble.
    overdue: Duration,
    lost: HashMap<String, Lost>,
    put_off: HashMap<String, PutOff>,
    /// Why the last message was given up, while none was taken after it.
    given_up: Option<String>,
}

/// A message whose answer was lost.
#[derive(Debug)]
struct Lost {
    times: u32,
    not_before: Instant,
    cause: String,
}

/// A message that was left for later, the first and the last time.
#[derive(Debug)]
struct PutOff {
    since: Instant,
    seen: Instant,
}

impl Troubles {
    pub(super) fn new(overdue: Duration) -> Self {
        Self { overdue, lost: HashMap::new(), put_off: HashMap::new(), given_up: None }
    }

    /// It was shown, or counts as shown.
    pub(super) fn shown(&mut self, about: &str) {
        self.forget(about);
        self.given_up = None;
    }

    /// It is over with a message, however.
    pub(super) fn forget(&mut self, about: &str) {
        self.lost.remove(about);
        self.put_off.remove(about);
    }

    pub(super) fn gave_up(&mut self, about: &str, cause: &str) {
        self.forget(about);
        self.given_up = Some(format!("a message was refused for good: {cause}"));
    }

    /// Its answer was lost, for that many times now.
    pub(super) fn lost(&mut self, about: &str, now: Instant, cause: &str) -> u32 {
        let fresh = || Lost { times: 0, not_before: now, cause: String::new() };
        let lost = self.lost.entry(about.to_owned()).or_insert_with(fresh);
        lost.times = lost.times.saturating_add(1);
        cause.clone_into(&mut lost.cause);
        lost.times
    }

    /// It is not sent again before so long.
    pub(super) fn leave(&mut self, about: &str, not_before: Instant) {
        if let Some(lost) = self.lost.get_mut(about) {
            lost.not_before = not_before;
        }
    }

    pub(super) fn has_to_wait(&self, about: &str, now: Instant) -> bool {
        self.lost.get(about).is_some_and(|lost| now < lost.not_before)
    }

    pub(super) fn put_off(&mut self, about: &str, now: Instant) {
        self.put_off.entry(about.to_owned()).or_insert(PutOff { since: now, seen: now }).seen = now;
    }

    /// The same words for as long as it is the same trouble.
    pub(super) fn complaint(&self, now: Instant) -> Option<String> {
        let lost = self.lost.values().filter(|lost| now < lost.not_before).map(|lost| &lost.cause).min().cloned();
        let waits = |put_off: &PutOff| now - put_off.since > self.overdue && now - put_off.seen < GONE_AFTER;
        let put_off = || {
            let text = format!("the channel keeps a message waiting for more than {} s", self.overdue.as_secs());
            self.put_off.values().any(waits).then_some(text)
        };
        lost.or_else(|| self.given_up.clone()).or_else(put_off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lost_answer_is_complained_of_while_its_message_waits() {
        let (mut troubles, now) = (Troubles::new(seconds(60)), Instant::now());
        assert_eq!(troubles.lost("a", now, "cut"), 1);
        assert!(!troubles.has_to_wait("a", now) && troubles.complaint(now).is_none());
        assert_eq!(troubles.lost("a", now, "cut"), 2);
        troubles.leave("a", now + seconds(30));
        assert!(troubles.has_to_wait("a", now) && !troubles.has_to_wait("b", now));
        assert_eq!(troubles.complaint(now).unwrap(), "cut");
        assert!(!troubles.has_to_wait("a", now + seconds(30)) && troubles.complaint(now + seconds(30)).is_none());
        troubles.shown("a");
        assert_eq!(troubles.lost("a", now, "cut"), 1);
    }

    #[test]
    fn an_edit_that_waits_for_more_than_a_minute_is_complained_of_for_as_long_as_it_comes_again() {
        let (mut troubles, now) = (Troubles::new(seconds(60)), Instant::now());
        for after in (0..=60).step_by(5) {
            troubles.put_off("a", now + seconds(after));
            assert_eq!(troubles.complaint(now + seconds(after)), None);
        }
        assert!(troubles.complaint(now + seconds(61)).is_some());
        assert_eq!(troubles.complaint(now + seconds(121)), None, "it is gone from the stream");
        troubles.put_off("a", now + seconds(125));
        assert!(troubles.complaint(now + seconds(126)).is_some());
        troubles.shown("a");
        assert_eq!(troubles.complaint(now + seconds(127)), None);
    }

    #[test]
    fn a_message_that_was_given_up_is_complained_of_until_one_is_taken() {
        let (mut troubles, now) = (Troubles::new(seconds(60)), Instant::now());
        troubles.gave_up("a", "answers 410");
        assert!(troubles.complaint(now + seconds(86_400)).unwrap().contains("answers 410"));
        troubles.shown("b");
        assert_eq!(troubles.complaint(now), None);
    }
}
