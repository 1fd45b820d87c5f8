//! How a channel stands: how far its consumer is, who serves it, and when it last showed something.
//!
//! All of it stands in NATS, so any process may ask while another one serves. It judges nothing, and does not know whether
//! the channel is configured: nobody serves one that is not.

use super::{Notifier, memory};
use crate::{
    alerts::{history::STREAM, lease},
    progress::Progress,
};
use async_nats::jetstream;
use chrono::{DateTime, Utc};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub progress: Progress,
    /// The instance that holds the lease, as it calls itself in its log.
    pub holder: Option<String>,
    pub last_shown_at: Option<DateTime<Utc>>,
}

impl Standing {
    /// Asks for a channel.
    ///
    /// # Errors
    /// When NATS does not answer or `topology apply` has not run.
    pub async fn of(context: &jetstream::Context, channel: &str) -> anyhow::Result<Self> {
        let durable = Notifier::durable(channel);
        Ok(Self {
            progress: Progress::on(context, STREAM, &durable).await?,
            holder: lease::holder(context, &durable).await?,
            last_shown_at: memory::last_shown_at(context, channel).await?,
        })
    }
}
