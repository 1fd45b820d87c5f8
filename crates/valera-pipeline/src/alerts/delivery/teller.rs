//! A channel's handler: shows of each incident where it stands, and remembers that it did.
//!
//! The order is send, then remember, then ack. Whoever is killed between the first two shows one message twice, which
//! cannot be helped where the other side knows no idempotency; edits, and sides that do, make nothing of it. What came of
//! a message decides what happens next: a refused one is given up with a log line, one whose answer was lost is sent again
//! when its channel says so, and everything else is a fault of ours, after which the loop comes back. What waits by itself
//! is given back, so that it holds up nobody. It does not decide what is worth telling: detection does.

use super::{
    channel::{Channel, Message, Shown, Undelivered},
    memory::{Memory, Told},
    news::{self, News},
    texts::Texts,
    troubles::Troubles,
};
use crate::{
    alerts::{
        Alert, Phase,
        digest::Summary,
        lease::{Held, server_time},
        office::rest,
    },
    handler::{Delivery, Handler, Ours, Outcome},
    probe::{Point, Probe},
};
use anyhow::anyhow;
use async_nats::jetstream;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Steps that are late, in one message to a program: some 50 KB.
const LATE_STEPS: usize = 100;
/// For so long a batch is told before the rest of it is given back: less than the consumer's `ack_wait`.
const BUDGET: Duration = Duration::from_secs(20);
/// A channel that asks for a longer pause is waited for outside of the batch.
const SHORT: Duration = Duration::from_secs(5);
/// What the message of all that is late is about.
const LATE: &str = "late";

/// See the module.
pub(super) struct Teller {
    pub(super) channel: Box<dyn Channel>,
    pub(super) context: jetstream::Context,
    pub(super) memory: Memory,
    pub(super) texts: Arc<Texts>,
    pub(super) held: Held,
    pub(super) term: CancellationToken,
    pub(super) probe: Arc<dyn Probe>,
    /// What is older when it gets here is told together.
    pub(super) late: TimeDelta,
    /// What the bucket keeps of what the channel has learned.
    pub(super) learned: Option<Value>,
    pub(super) troubles: Troubles,
    /// Until when the channel wants to be left alone.
    pub(super) not_before: Option<Instant>,
    /// Whether anything came to its end in the last attempt.
    pub(super) advanced: bool,
    /// The morning that was claimed, while it is known that nothing was sent.
    pub(super) unsent: Option<String>,
}

/// An incident that is to be told.
struct Due<'a> {
    news: News<'a>,
    shown: Option<Shown>,
    /// Where it is a morning, which is told once.
    summary: Option<Summary>,
}

impl Handler for Teller {
    type Batch = Vec<Option<Alert>>;

    fn decoder(&self) -> impl Fn(Vec<Delivery>) -> Self::Batch + Send + Sync + 'static {
        |deliveries| deliveries.iter().map(step).collect()
    }

    fn has_advanced(&mut self) -> bool {
        self.advanced
    }

    fn complaint(&self) -> Option<String> {
        self.troubles.complaint(Instant::now())
    }

    async fn handle(&mut self, batch: &Self::Batch) -> Result<Vec<Outcome>, Ours> {
        self.advanced = false;
        self.leave_alone()?;
        // What is no step is nobody's news.
        let mut outcomes = vec![Outcome::Rejected; batch.len()];
        let mut settle = |places: &[usize], outcome| places.iter().for_each(|&place| outcomes[place] = outcome);
        let now = server_time(&self.context).await?;
        let (mut fresh, mut edits, mut late) = (Vec::new(), Vec::new(), Vec::new());
        let wants_every_step = self.channel.wants_every_step();
        let longest = self.late;
        let by_itself = |step: &Alert| wants_every_step && now - step.at <= longest;
        // Incidents that this batch tells of already.
        let mut begun = HashSet::new();
        for news in news::of(batch, by_itself) {
            let told = self.memory.recall(&news.step.incident).await?;
            let summary = Summary::of(news.step);
            let is_known = told.is_some() || begun.contains(&news.step.incident);
            if told.as_ref().is_some_and(|told| told.revision >= news.step.revision) {
                settle(&news.places, Outcome::Duplicate);
            } else if !is_worth_telling(&news, is_known) {
                settle(&news.places, Outcome::Stored);
            } else {
                begun.insert(&news.step.incident);
                let is_late = told.is_none() && summary.is_none() && now - news.step.at > longest;
                let pile = if is_late {
                    &mut late
                } else if told.is_none() || wants_every_step {
                    &mut fresh
                } else {
                    &mut edits
                };
                pile.push(Due { news, shown: told.map(|told| told.shown), summary });
            }
        }
        let until = Instant::now() + BUDGET;
        // People are told of everything at once, a program gets no more data than it takes.
        for late in late.chunks(if wants_every_step { LATE_STEPS } else { usize::MAX }) {
            let outcome = self.tell_late(late, now).await?;
            late.iter().for_each(|due| settle(&due.news.places, outcome));
        }
        // A booking waits neither behind the edits of a storm nor behind what else is new.
        if !wants_every_step {
            fresh.sort_by_key(|due: &Due<'_>| due.news.step.kind != "event");
        }
        for due in fresh.iter().chain(&edits) {
            let has_time = Instant::now() < until && !self.term.is_cancelled();
            let outcome = if has_time { self.tell(due, now).await? } else { Outcome::Later };
            if outcome == Outcome::Later {
                self.troubles.put_off(&due.news.step.incident, Instant::now());
            }
            settle(&due.news.places, outcome);
        }
        self.memory.put_away();
        Ok(outcomes)
    }
}

/// An incident that a person knows to be open is told to its end, whatever withholds the step.
fn is_worth_telling(news: &News<'_>, is_known: bool) -> bool {
    news.is_meant || (is_known && news.step.phase == Phase::Resolved)
}

/// The incident becomes part of a key.
fn step(delivery: &Delivery) -> Option<Alert> {
    let step: Option<Alert> = serde_json::from_slice(&delivery.body).ok();
    step.filter(|step| {
        !step.incident.is_empty()
            && step.incident.len() <= 64
            && step.incident.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

impl Teller {
    /// Tells of one incident.
    async fn tell(&mut self, due: &Due<'_>, now: DateTime<Utc>) -> Result<Outcome, Ours> {
        let step = due.news.step;
        let message = self.texts.step(step)?;
        if let Some(summary) = &due.summary {
            let outcome = self.tell_once(&step.incident, summary, &message, now).await?;
            self.keep_learned().await?;
            return Ok(outcome);
        }
        let (outcome, shown) = self.show(&step.incident, &message, due.shown.as_ref()).await?;
        if outcome != Outcome::Later {
            self.remember(&due.news, shown).await?;
            self.keep_learned().await?;
        }
        Ok(outcome)
    }

    /// Tells of all that happened while the channel was away, in one message.
    async fn tell_late(&mut self, late: &[Due<'_>], now: DateTime<Utc>) -> Result<Outcome, Ours> {
        let steps: Vec<&Alert> = late.iter().map(|due| due.news.step).collect();
        let message = self.texts.late(&steps, now)?;
        let (outcome, _) = self.show(LATE, &message, None).await?;
        if outcome != Outcome::Later {
            for due in late {
                // It cannot be edited as if it were about one of them.
                self.remember(&due.news, Shown::default()).await?;
                self.troubles.forget(&due.news.step.incident);
            }
            self.keep_learned().await?;
        }
        Ok(outcome)
    }

    /// Brings a message to its end: shown, refused, or sent so often that it must have been shown. One that has to wait by
    /// itself is left for later.
    pub(super) async fn show(
        &mut self,
        about: &str,
        message: &Message,
        shown: Option<&Shown>,
    ) -> Result<(Outcome, Shown), Ours> {
        let morning = message.alert.as_ref().and_then(Summary::of);
        let shown = shown.filter(|shown| !shown.0.is_empty());
        let later = Ok((Outcome::Later, Shown::default()));
        if self.troubles.has_to_wait(about, Instant::now()) {
            return later;
        }
        loop {
            self.held.require()?;
            let tried = self.channel.show(message, shown).await;
            self.probe.reached(Point::BeforeCommit);
            let channel = self.channel.name();
            match tried {
                Ok(shown) => {
                    self.troubles.shown(about);
                    info!(channel, alert.key = message.key, "shown");
                    return Ok((Outcome::Stored, shown));
                }
                // What comes after it may be new, and has room that is not an edit's.
                Err(Undelivered::Busy(_)) if shown.is_some() => return later,
                Err(Undelivered::Busy(pause)) if pause <= SHORT && !self.term.is_cancelled() => {
                    rest(pause, &self.term).await;
                }
                Err(Undelivered::Busy(pause)) => {
                    self.not_before = Some(Instant::now() + pause);
                    return Err(wants_rest());
                }
                Err(Undelivered::Refused(cause)) => {
                    self.troubles.gave_up(about, &cause);
                    warn!(
                        channel,
                        alert.key = message.key,
                        cause,
                        "refused for good; `alerts list` shows what it was about"
                    );
                    return Ok((Outcome::Rejected, Shown::default()));
                }
                Err(Undelivered::Away(cause)) => return Err(Ours(cause)),
                Err(Undelivered::Unknown(cause)) => {
                    match &morning {
                        Some(morning) => {
                            self.say_by_hand(morning, &format!("may be missing, and is not sent again: {cause:#}"));
                        }
                        None => self.doubt(about, message, shown.is_some(), &cause)?,
                    }
                    return Ok((Outcome::Stored, Shown::default()));
                }
            }
        }
    }

    /// The answer to a message was lost, so nobody knows whether it was shown.
    ///
    /// # Errors
    /// Where it is to be sent again; else it counts as shown.
    fn doubt(&mut self, about: &str, message: &Message, is_edit: bool, cause: &anyhow::Error) -> Result<(), Ours> {
        let now = Instant::now();
        let complaint = format!("no answer whether it was shown: {cause:#}");
        let times = self.troubles.lost(about, now, &complaint);
        if let Some(pause) = self.channel.again_after(times, is_edit) {
            self.troubles.leave(about, now + pause);
            return Err(Ours(anyhow!(complaint)));
        }
        self.troubles.shown(about);
        warn!(
            channel = self.channel.name(),
            alert.key = message.key,
            times,
            cause = format!("{cause:#}"),
            "sent often without an answer, so perhaps shown as often; not sent again"
        );
        Ok(())
    }

    async fn remember(&mut self, news: &News<'_>, shown: Shown) -> Result<(), Ours> {
        let told = Told { revision: news.step.revision, shown };
        self.memory.keep(&news.step.incident, told).await?;
        self.advanced = true;
        Ok(())
    }

    /// Keeps what the channel has found out, for the term after this one.
    async fn keep_learned(&mut self) -> Result<(), Ours> {
        let learned = self.channel.learned().filter(|learned| self.learned.as_ref() != Some(learned));
        if let Some(learned) = learned {
            self.memory.keep_learned(&learned).await?;
            self.learned = Some(learned);
        }
        Ok(())
    }

    /// Fails for as long as the channel wants to be left alone.
    fn leave_alone(&mut self) -> Result<(), Ours> {
        self.held.require()?;
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Err(wants_rest());
        }
        self.not_before = None;
        Ok(())
    }
}

/// The same words each time: health logs a cause once.
fn wants_rest() -> Ours {
    Ours(anyhow!("the channel asked to be left alone for a while"))
}
