//! The daily telling: a look at the clock every minute.
//!
//! Any number of processes may look: the stream takes one message a day. It needs no lease and knows no channel; what is
//! wrong stands in its health, and is logged when it begins and when it is over. It decides nothing: `morning` does.

use super::{DigestAt, Morning};
use crate::{
    alerts::office::rest,
    consume::{Link, Watched},
};
use async_nats::jetstream;
use chrono::Utc;
use chrono_tz::Tz;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LOOK: Duration = Duration::from_secs(60);

/// What morning messages are made with.
#[derive(Clone)]
pub struct Settings {
    pub nats_url: String,
    pub at: DigestAt,
    pub database_url: String,
    /// When given, it has to be the database's.
    pub zone: Option<Tz>,
}

impl Settings {
    /// Its name as a service.
    pub const NAME: &str = super::NAME;

    /// Tells of each day until shutdown.
    ///
    /// # Errors
    /// When the address of the database is none.
    pub async fn run(self, watched: Watched, shutdown: CancellationToken) -> anyhow::Result<()> {
        let link = Link::new(&self.nats_url, "valera-digest");
        let mut morning = Morning::new(self)?;
        let mut context = None;
        while !shutdown.is_cancelled() {
            match reach(&link, &mut context).await {
                Ok(context) => {
                    watched.health.nats_answers();
                    match morning.look(Utc::now(), context).await {
                        Ok(()) => watched.health.store_answers(),
                        Err(cause) => watched.health.store_fails(&cause),
                    }
                }
                Err(cause) => watched.health.nats_fails(&cause),
            }
            rest(LOOK, &shutdown).await;
        }
        Ok(())
    }
}

async fn reach<'c>(
    link: &Link,
    context: &'c mut Option<jetstream::Context>,
) -> anyhow::Result<&'c jetstream::Context> {
    Ok(match context {
        Some(context) => context,
        None => context.insert(jetstream::new(link.connect().await?)),
    })
}
