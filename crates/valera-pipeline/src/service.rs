//! Puts a consumer together from what a process was configured with.
//!
//! A service first agrees with the database on zone and key, then binds. While Postgres is away it waits, because an
//! outage at start is an outage like any other; a disagreement ends it, because waiting cannot mend that.

use crate::{
    consume::{Consumer, Limits, Link, Source, Watched},
    persister::{self, Persister},
    probe::Probe,
    rollups::{self, Rollups},
    store::{Calendar, Settings, Writer},
};
use anyhow::Context;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use valera_events::Keys;

/// The stream that events are consumed from.
pub const STREAM: &str = "ANALYTICS";

/// What every service is configured with.
#[derive(Clone)]
pub struct Environment {
    pub nats_url: String,
    pub database_url: String,
    pub keys: Arc<Keys>,
    /// When given, it has to be the database's.
    pub time_zone: Option<String>,
    pub limits: Limits,
}

/// A consumer that writes to Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Persister,
    Rollups,
}

impl Service {
    /// Both, in the order in which they are listed to people.
    pub const ALL: [Self; 2] = [Self::Persister, Self::Rollups];

    /// Its name, which is its durable consumer's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Persister => persister::NAME,
            Self::Rollups => rollups::NAME,
        }
    }

    /// How long a batch waits at least for company after its first message.
    ///
    /// A fold costs nearly the same for one event as for fifty, and nobody looks at a dashboard twice in a blink.
    fn linger(self) -> Duration {
        match self {
            Self::Persister => Duration::ZERO,
            Self::Rollups => Duration::from_millis(40),
        }
    }

    /// Runs it until shutdown.
    ///
    /// # Errors
    /// When the database disagrees on zone or key, or decoding panicked.
    pub async fn run(
        self,
        environment: Environment,
        watched: Watched,
        probe: Arc<dyn Probe>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let Some(calendar) = agree(&environment, &shutdown).await? else { return Ok(()) };
        watched.health.store_answers();
        let Environment { database_url, keys, .. } = &environment;
        let source = environment.waiting(self.linger()).source(self.name());
        match self {
            Self::Persister => {
                let handler = Persister::new(database_url, calendar, keys.clone(), probe.clone())?;
                Consumer::new(source, handler, &watched, probe, shutdown).run().await
            }
            Self::Rollups => {
                let handler = Rollups::new(database_url, calendar, keys.clone(), probe.clone())?;
                Consumer::new(source, handler, &watched, probe, shutdown).run().await
            }
        }
    }
}

impl Environment {
    /// Where a durable consumer of the events' stream pulls from.
    #[must_use]
    pub fn source(&self, consumer: &str) -> Source {
        let link = Link::new(&self.nats_url, format!("valera-{consumer}"));
        Source::new(link, STREAM, consumer, self.limits)
    }

    fn waiting(&self, linger: Duration) -> Self {
        let limits = Limits { linger: self.limits.linger.max(linger), ..self.limits };
        Self { limits, ..self.clone() }
    }

    /// Compares itself with the database's settings and reads the calendar.
    ///
    /// # Errors
    /// When Postgres does not answer, was not migrated, or was made with another zone or key.
    pub async fn calendar(&self) -> anyhow::Result<Arc<Calendar>> {
        let mut writer = Writer::new(&self.database_url, "valera start-up", "")?;
        let connection = writer.connection().await?;
        let settings = Settings::load(connection).await?;
        settings.require(self.time_zone.as_deref(), &self.keys.content)?;
        Ok(Arc::new(Calendar::load(connection).await?))
    }
}

/// Waits for Postgres, then agrees with it; `None` when told to stop before.
async fn agree(environment: &Environment, shutdown: &CancellationToken) -> anyhow::Result<Option<Arc<Calendar>>> {
    while !shutdown.is_cancelled() {
        match environment.calendar().await {
            Err(cause) if is_unreachable(&cause) => {
                warn!(cause = format!("{cause:#}"), "waiting for Postgres");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            answered => return answered.map(Some).context("starting with this database"),
        }
    }
    Ok(None)
}

fn is_unreachable(cause: &anyhow::Error) -> bool {
    let is_outage = |error: &sqlx::Error| match error {
        sqlx::Error::Io(_) => true,
        // Connections that break, are all taken, or are ended by a server that stops or starts.
        sqlx::Error::Database(refusal) => {
            refusal.code().is_some_and(|code| ["08", "53", "57P"].iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    };
    cause.downcast_ref::<sqlx::Error>().is_some_and(is_outage)
}
