//! Detection at work: keeps observations in the order of the stream, publishes what they lead to, and only then lets the
//! loop ack.
//!
//! JetStream hands messages over out of order: those of a holder that died come again after `ack_wait`, long after newer
//! ones. Windows need the stream's order, so whatever lies between the last judged message and the one in hand is read
//! from the stream first, and what comes a second time is known by its place. Steps wait in `outbox` until the broker has
//! them; a batch that is handed in again finds its messages judged and its steps still there. It knows of one lease, and
//! without it does nothing.

use super::{
    Alert, bucket, history,
    lease::{Held, server_time},
    mutes::Mutes,
    observation::Observation,
    publish,
    rules::{Reading, Rules},
    state::{Position, State},
    stretch,
};
use crate::{
    consume::Link,
    handler::Outcome,
    probe::{Point, Probe},
    progress::Progress,
    room::Room,
    service::STREAM,
};
use anyhow::{Context as _, ensure};
use async_nats::jetstream::{self, kv};
use chrono::{TimeDelta, Utc};
use chrono_tz::Tz;
use std::sync::Arc;

/// Steps on their way to the broker at once.
const IN_FLIGHT: usize = 256;
/// How long after a message's time it may still appear in the stream.
const STORING: TimeDelta = TimeDelta::seconds(1);
/// As old as anything on `ALERTS` gets: a consumer that was reset raises nothing older anew.
const OLDEST: TimeDelta = TimeDelta::days(90);

/// See the module.
pub(crate) struct Watch {
    link: Link,
    context: jetstream::Context,
    bucket: kv::Store,
    held: Held,
    rules: Arc<Rules>,
    probe: Arc<dyn Probe>,
    state: State,
    outbox: Vec<Alert>,
}

impl Watch {
    /// Reads its state back and judges what was handed to an earlier holder.
    ///
    /// # Errors
    /// When NATS does not answer, or the lease is lost.
    pub(crate) async fn begin(
        link: Link,
        context: jetstream::Context,
        rules: Arc<Rules>,
        zone: Tz,
        held: Held,
        probe: Arc<dyn Probe>,
    ) -> anyhow::Result<Self> {
        let bucket = bucket(&context).await?;
        let state = State::load(&link, &context, &rules, zone).await?;
        let mut watch = Self { link, context, bucket, held, rules, probe, state, outbox: Vec::new() };
        watch.hear_mutes().await?;
        let delivered = watch.state.delivered;
        watch.fill_up_to(delivered).await?;
        watch.publish().await?;
        Ok(watch)
    }

    /// Judges a batch; returns how each message ended, once what it led to is on the stream.
    ///
    /// # Errors
    /// When NATS does not answer, or the lease is lost; the batch may be handed in again.
    pub(crate) async fn take(&mut self, batch: &[Observation]) -> anyhow::Result<Vec<Outcome>> {
        self.held.require()?;
        self.hear_mutes().await?;
        let mut outcomes: Vec<Outcome> = batch.iter().map(|observation| observation.outcome).collect();
        let mut in_order: Vec<usize> = (0..batch.len()).collect();
        in_order.sort_by_key(|&place| batch[place].sequence);
        for place in in_order {
            let observation = &batch[place];
            if self.is_known(observation) {
                if observation.outcome == Outcome::Stored {
                    outcomes[place] = Outcome::Duplicate;
                }
                continue;
            }
            self.fill_up_to(observation.sequence.saturating_sub(1)).await?;
            self.observe(observation);
        }
        self.publish().await?;
        self.held.require()?;
        Ok(outcomes)
    }

    /// Lets time pass while nothing comes, and asks how far consumers are and how full the stream is.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(crate) async fn tick(&mut self) -> anyhow::Result<()> {
        self.held.require()?;
        self.hear_mutes().await?;
        let now = server_time(&self.context).await?;
        let events = self.context.get_stream(STREAM).await.context("asking for the events' stream")?;
        // Asked after the time: whatever was received before it has been judged when nothing is left.
        let own = events.consumer_info(super::NAME).await.context("asking for the consumer of alerts")?;
        if own.num_pending == 0 && own.num_ack_pending == 0 {
            self.state.detector.pass(now - STORING, &mut self.outbox);
        }
        for consumer in self.rules.clone().consumers() {
            let progress = Progress::of(&self.context, consumer).await?;
            self.state.detector.read(now, &Reading::Consumer(&progress), &mut self.outbox);
        }
        if let Some(room) = Room::of(events.cached_info()) {
            self.state.detector.read(now, &Reading::Stream(STREAM, room), &mut self.outbox);
        }
        self.publish().await
    }

    fn is_known(&self, observation: &Observation) -> bool {
        self.state.position.is_some_and(|position| {
            observation.sequence <= position.sequence && observation.received_at <= position.received_at
        })
    }

    fn observe(&mut self, observation: &Observation) {
        self.state.detector.observe(observation, &mut self.outbox);
        let Observation { sequence, received_at, .. } = *observation;
        self.state.position = Some(Position { sequence, received_at });
    }

    /// Judges what lies between the last judged message and this sequence, inclusive.
    async fn fill_up_to(&mut self, sequence: u64) -> anyhow::Result<()> {
        let next = self.state.position.map_or(1, |position| position.sequence + 1);
        if next > sequence {
            return Ok(());
        }
        let (link, context, rules) = (self.link.clone(), self.context.clone(), self.rules.clone());
        stretch::read(&link, &context, STREAM, next..=sequence, |delivery| {
            self.observe(&Observation::of(&delivery, &rules));
        })
        .await
    }

    async fn hear_mutes(&mut self) -> anyhow::Result<()> {
        self.state.detector.mute(Mutes::load(&self.bucket).await?);
        Ok(())
    }

    /// Publishes what is in the outbox and empties it.
    async fn publish(&mut self) -> anyhow::Result<()> {
        let oldest = Utc::now() - OLDEST;
        let published = &mut self.state.published;
        self.outbox.retain(|step| step.at > oldest && !published.contains(&step.msg_id()));
        if self.outbox.is_empty() {
            return Ok(());
        }
        self.held.require()?;
        self.probe.reached(Point::BeforeCommit);
        for steps in self.outbox.chunks(IN_FLIGHT) {
            // Sent one after another, so that an incident's steps stand on the stream in their order.
            let mut acks = Vec::with_capacity(steps.len());
            for step in steps {
                acks.push(publish::send(&self.context, step, None).await?);
            }
            for ack in acks {
                let ack = ack.await.context("publishing an alert")?;
                ensure!(ack.stream == history::STREAM, "an alert was taken by the stream {}", ack.stream);
            }
        }
        self.outbox.clear();
        Ok(())
    }
}
