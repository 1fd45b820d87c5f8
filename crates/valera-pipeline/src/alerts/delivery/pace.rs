//! How long a receiver that failed is left alone, whoever asks meanwhile.
//!
//! The loop of a consumer tries again within seconds, which is right for a database of one's own and wrong for somebody
//! else's server: asked every second what it refuses, it comes to refuse more. So a channel that fails keeps its peace for a
//! while and answers with what was wrong, without a word on the wire; readiness stays red with that cause. It does not sleep.

use super::channel::Undelivered;
use anyhow::anyhow;
use std::time::{Duration, Instant};

/// From the first pause to the longest, each twice the one before.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    pub first: Duration,
    pub longest: Duration,
}

impl Pauses {
    /// Where it may be over soon: a restart, a network.
    pub const SOON: Self = Self { first: Duration::from_secs(1), longest: Duration::from_secs(60) };
    /// Where somebody has to mend it, or has asked for peace.
    pub const SLOW: Self = Self { first: Duration::from_secs(30), longest: Duration::from_secs(600) };

    /// The pause after so many failures before the last.
    pub(super) fn after(self, failures: u32) -> Duration {
        self.first.saturating_mul(2_u32.saturating_pow(failures)).min(self.longest)
    }
}

/// Since when, until when and why a receiver is left alone.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    failures: u32,
    until: Option<Instant>,
    /// Whether it asked for that itself, and so is not broken.
    has_asked: bool,
    cause: String,
}

impl Pace {
    /// # Errors
    /// While the receiver is left alone; with what was wrong.
    pub(crate) fn require(&self) -> Result<(), Undelivered> {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        match left.filter(|left| !left.is_zero()) {
            Some(left) if self.has_asked => Err(Undelivered::Busy(left)),
            Some(_) => Err(Undelivered::Away(anyhow!("{}", self.cause))),
            None => Ok(()),
        }
    }

    /// It failed, once more in a row.
    pub(crate) fn failed(&mut self, pauses: Pauses, cause: &impl ToString) {
        self.leave_alone(pauses.after(self.failures), cause);
        self.has_asked = false;
    }

    /// It asks to be left alone for so long.
    pub(crate) fn leave_alone(&mut self, pause: Duration, cause: &impl ToString) {
        self.failures = self.failures.saturating_add(1);
        self.has_asked = true;
        self.until = Some(Instant::now() + pause);
        self.cause = cause.to_string();
    }

    /// What was wrong when it failed last.
    pub(crate) fn cause(&self) -> &str {
        &self.cause
    }

    /// It works.
    pub(crate) fn worked(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_fails_is_left_alone_ever_longer_and_says_why() {
        let mut pace = Pace::default();
        assert!(pace.require().is_ok());
        pace.failed(Pauses::SLOW, &"answers 404");
        let Err(Undelivered::Away(cause)) = pace.require() else { panic!("is not left alone") };
        assert_eq!(cause.to_string(), "answers 404");
        let pauses: Vec<_> = (0..6).map(|failures| Pauses::SLOW.after(failures).as_secs()).collect();
        assert_eq!(pauses, [30, 60, 120, 240, 480, 600]);
        assert_eq!(Pauses::SLOW.after(u32::MAX), Pauses::SLOW.longest);
        pace.leave_alone(Duration::from_secs(3600), &"asks for it");
        assert!(matches!(pace.require(), Err(Undelivered::Busy(left)) if left > Duration::from_secs(3000)));
        pace.leave_alone(Duration::ZERO, &"asks for it");
        assert!(pace.require().is_ok());
        pace.failed(Pauses::SOON, &"answers 500");
        pace.worked();
        assert!(pace.require().is_ok() && pace.failures == 0);
    }
}
