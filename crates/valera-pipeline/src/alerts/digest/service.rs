//! The daily sending: a look at the clock every minute, on every channel by itself.
//!
//! Channels here are instances of their own, so that a morning waits for no storm of alerts and holds none up. Any number
//! of processes may look: the claims let one of them tell. A trouble is logged when it begins, when it becomes another and
//! when it is over, not every minute. It decides nothing: `morning` does.

use super::{Morning, Settings};
use crate::{
    alerts::{
        delivery::{Configured, channel::Channel},
        office::rest,
    },
    consume::Link,
    probe::Probe,
};
use async_nats::jetstream;
use chrono::Utc;
use futures::future::try_join_all;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

const LOOK: Duration = Duration::from_secs(60);

impl Settings {
    /// Tells of each day on these channels until shutdown.
    ///
    /// # Errors
    /// When the address of the database is none, or a channel cannot be made ready.
    pub async fn run(
        self,
        nats_url: String,
        channels: Vec<Configured>,
        probe: Arc<dyn Probe>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let link = Link::new(nats_url, "valera-digest");
        let kept = channels.iter().map(|channel| keep(self.clone(), &link, channel, &probe, &shutdown));
        try_join_all(kept).await.map(drop)
    }
}

async fn keep(
    settings: Settings,
    link: &Link,
    channel: &Configured,
    probe: &Arc<dyn Probe>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let (name, mut channel) = (channel.name(), channel.open()?);
    let mut morning = Morning::new(settings, name, probe.clone())?;
    let mut context = None;
    let mut trouble = None;
    while !shutdown.is_cancelled() {
        let cause =
            look(&mut morning, link, &mut context, &mut *channel).await.err().map(|cause| format!("{cause:#}"));
        match &cause {
            None if trouble.is_some() => info!(channel = name, "the morning message is under way again"),
            Some(cause) if trouble.as_ref() != Some(cause) => {
                warn!(channel = name, cause, "the morning message has to wait; trying again every minute");
            }
            _ => {}
        }
        trouble = cause;
        rest(LOOK, shutdown).await;
    }
    Ok(())
}

async fn look(
    morning: &mut Morning,
    link: &Link,
    context: &mut Option<jetstream::Context>,
    channel: &mut dyn Channel,
) -> anyhow::Result<()> {
    let context = match context {
        Some(context) => context,
        None => context.insert(jetstream::new(link.connect().await?)),
    };
    morning.look(Utc::now(), context, channel).await
}
