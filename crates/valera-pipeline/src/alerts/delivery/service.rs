//! The service `notify_<channel>`: in its term, the consumer loop with the channel's teller behind it.
//!
//! What was told stands in the bucket, so a term begins with nothing to read. It does not know what a channel is.

use super::{
    Configured, Texts,
    channel::{Channel, Message, Shown},
    memory::Memory,
    teller::Teller,
    troubles::Troubles,
};
use crate::{
    alerts::{
        history::STREAM,
        lease::Held,
        office::{Office, rest},
    },
    consume::{Consumer, Limits, Link, Source, Watched},
    probe::Probe,
};
use anyhow::Context as _;
use async_nats::jetstream;
use chrono::TimeDelta;
use futures::FutureExt as _;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How long a holder of the lease may be silent.
const LEASE: Duration = Duration::from_secs(10);
/// What is older when it gets to a channel is told together.
const LATE: TimeDelta = TimeDelta::hours(1);
/// For so long a message may be left for later before readiness says so.
const OVERDUE: Duration = Duration::from_secs(60);
/// Steps in one batch: some hours of trouble.
const STEPS: usize = 1_000;

/// What all channels are served with.
#[derive(Clone)]
pub struct Notifier {
    pub nats_url: String,
    pub texts: Arc<Texts>,
    pub limits: Limits,
    /// For how long a holder of the lease that is not heard of keeps others out.
    pub lease: Duration,
    /// What is older when it gets to a channel is told together.
    pub late: TimeDelta,
    /// For how long a message may be left for later before readiness says so.
    pub overdue: Duration,
}

impl Notifier {
    /// With the product's limits.
    #[must_use]
    pub fn new(nats_url: &str, texts: Texts) -> Self {
        let limits = Limits { messages: STEPS, ..Limits::default() };
        let (nats_url, texts) = (nats_url.to_owned(), Arc::new(texts));
        Self { nats_url, texts, limits, lease: LEASE, late: LATE, overdue: OVERDUE }
    }

    /// The durable consumer of a channel, which is also its name as a service.
    #[must_use]
    pub fn durable(channel: &str) -> String {
        format!("notify_{channel}")
    }

    /// Serves one channel until shutdown.
    ///
    /// # Errors
    /// When the channel cannot be made ready, or decoding panicked, which is a bug.
    pub async fn run(
        self,
        channel: Configured,
        watched: Watched,
        probe: Arc<dyn Probe>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let name = Self::durable(channel.name());
        // What cannot work is said before the first alert.
        drop(channel.open().with_context(|| format!("the channel {}", channel.name()))?);
        let link = Link::new(&self.nats_url, format!("valera-{name}"));
        let office = Office { name: &name, link: &link, lease: self.lease, health: &watched.health };
        let work =
            |context, held, term| self.work(&name, &channel, &link, context, held, &watched, &probe, term).boxed();
        office.serve(work, &shutdown).await
    }

    /// One term.
    #[allow(clippy::too_many_arguments, reason = "a term has what the service has, and what its lease gives")]
    async fn work(
        &self,
        name: &str,
        channel: &Configured,
        link: &Link,
        context: jetstream::Context,
        held: Held,
        watched: &Watched,
        probe: &Arc<dyn Probe>,
        term: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut channel = channel.open()?;
        let (memory, learned) = loop {
            match remember(&context, channel.name()).await {
                Ok(remembered) => break remembered,
                Err(cause) => watched.health.nats_fails(&cause),
            }
            rest(Duration::from_secs(1), &term).await;
            if term.is_cancelled() {
                return Ok(());
            }
        };
        if let Some(learned) = &learned {
            channel.recall(learned);
        }
        let teller = Teller {
            channel,
            context,
            memory,
            texts: self.texts.clone(),
            held,
            term: term.clone(),
            probe: probe.clone(),
            late: self.late,
            learned,
            troubles: Troubles::new(self.overdue),
            not_before: None,
            advanced: false,
            unsent: None,
        };
        let source = Source::new(link.clone(), STREAM, name, self.limits);
        Consumer::new(source, teller, watched, probe.clone(), term).run().await
    }

    /// Shows a message now, apart from the order of the stream; what is told by hand is not remembered.
    ///
    /// # Errors
    /// When it was not shown, or nobody knows.
    pub async fn show(channel: &mut dyn Channel, message: &Message) -> anyhow::Result<Shown> {
        channel.show(message, None).await.with_context(|| format!("showing it on {}", channel.name()))
    }
}

/// What a channel has told of, and what it has learned, before this term.
async fn remember(
    context: &jetstream::Context,
    channel: &'static str,
) -> anyhow::Result<(Memory, Option<serde_json::Value>)> {
    let memory = Memory::of(context.clone(), channel).await?;
    let learned = memory.learned().await?;
    Ok((memory, learned))
}
