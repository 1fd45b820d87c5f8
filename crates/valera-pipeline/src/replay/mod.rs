//! Hands a part of the stream, or exported files, to a handler once more: for backfill, and after a repair.
//!
//! The handlers are the live ones, so whatever was there before is a duplicate and a replay over live traffic, over
//! itself or a second time changes nothing. How far it is stands in Postgres and moves after each commit: a killed
//! replay goes on there. It reads by a consumer of its own, hence moves no live one, and never alerts.

mod courtesy;
mod drive;
mod files;
mod ledger;
mod opened;
mod pace;
mod preview;
pub(crate) mod reader;
pub(crate) mod request;
pub(crate) mod restored;
mod steps;

pub(crate) use courtesy::Courtesy;
pub use files::is_exported;
pub use preview::{PreviewRow, preview, preview_files};
pub use request::Bound;
pub use steps::Progress;

use crate::{
    consume::Link,
    persister::Persister,
    probe::NoProbe,
    rollups::Rollups,
    service::{Environment, Service},
    store::{
        Calendar, OtherZone, Writer,
        replays::{self, ReplayRow},
    },
};
use anyhow::{Context, anyhow, ensure};
use async_nats::jetstream;
use files::BrokenOff;
use ledger::{locked, released, row, row_of_files, session, write_end, written_down};
use opened::{Opened, left_to_nats};
use std::{future::Future, path::PathBuf, sync::Arc};
use steps::Steps;
use tokio_util::sync::CancellationToken;

/// The one consumer that every replay reads by.
pub const CONSUMER: &str = "replay";

/// What is to be replayed.
#[derive(Debug, Clone)]
pub struct Request {
    /// The row's; made of the rest when not given.
    pub name: Option<String>,
    /// Whose handler gets the messages.
    pub into: Service,
    pub from: Option<Bound>,
    pub to: Option<Bound>,
    pub subject: String,
}

/// Which exported files are to be replayed.
#[derive(Debug, Clone)]
pub struct FilesRequest {
    /// As [`Request::name`].
    pub name: Option<String>,
    /// Whose handler gets the events.
    pub into: Service,
    /// In this order, plain or compressed by zstd.
    pub files: Vec<PathBuf>,
}

/// How a replay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All of it is durable.
    Done,
    /// An operator paused it.
    Paused,
    /// An operator cancelled it.
    Cancelled,
    /// This process was told to stop; it can be resumed.
    Stopped,
}

/// A replay that this process alone is at.
pub struct Replay {
    environment: Environment,
    /// Of a database that agrees on zone and key.
    calendar: Arc<Calendar>,
    service: Service,
    row: ReplayRow,
    ledger: Writer,
}

impl Replay {
    /// Writes a new replay down, or goes on with an open one that asked for the same under the same name.
    ///
    /// # Errors
    /// When another is at work, an open one of that name asked for something else, nothing in the stream is asked for, the
    /// database was made with another zone or key, or a server does not answer.
    pub async fn begin(environment: &Environment, request: &Request) -> anyhow::Result<Self> {
        Self::begin_row(environment, row(environment, request)).await
    }

    /// As [`Replay::begin`], of exported files.
    ///
    /// # Errors
    /// As [`Replay::begin`], and when a file cannot be read.
    pub async fn begin_files(environment: &Environment, request: &FilesRequest) -> anyhow::Result<Self> {
        Self::begin_row(environment, async { row_of_files(request) }).await
    }

    async fn begin_row(
        environment: &Environment,
        row: impl Future<Output = anyhow::Result<ReplayRow>>,
    ) -> anyhow::Result<Self> {
        // Before the row is made: one that was refused would stay open with nothing to resume.
        let calendar = environment.calendar().await?;
        let mut ledger = locked(session(environment)?).await?;
        match written_down(environment, row, &mut ledger).await {
            Ok(row) => Self::open(environment, calendar, ledger, row).await,
            Err(cause) => released(ledger, Err(cause)).await,
        }
    }

    /// Goes on with an open replay.
    ///
    /// # Errors
    /// When there is none of that name, another is at work, the database was made with another zone or key, or a server
    /// does not answer.
    pub async fn resume(environment: &Environment, name: &str) -> anyhow::Result<Self> {
        let calendar = environment.calendar().await?;
        let mut ledger = locked(session(environment)?).await?;
        let refusal = match replays::find(ledger.connection().await?, name).await? {
            Some(row) if row.is_open() => return Self::open(environment, calendar, ledger, row).await,
            Some(row) => anyhow!("the replay {name} is {}; there is nothing to resume", row.status),
            None => anyhow!("there is no replay {name}; `valera-analytics replay list` names them"),
        };
        released(ledger, Err(refusal)).await
    }

    async fn open(
        environment: &Environment,
        calendar: Arc<Calendar>,
        mut ledger: Writer,
        row: ReplayRow,
    ) -> anyhow::Result<Self> {
        let service = Service::ALL.into_iter().find(|service| service.name() == row.consumer);
        let service = service.with_context(|| format!("the replay {} is for {}", row.name, row.consumer))?;
        if !replays::take(ledger.connection().await?, &row.name).await? {
            return released(ledger, Err(anyhow!("the replay {} has just been ended", row.name))).await;
        }
        Ok(Self { environment: environment.clone(), calendar, service, row, ledger })
    }

    /// What is written down of it.
    #[must_use]
    pub fn row(&self) -> &ReplayRow {
        &self.row
    }

    /// Replays until the end, a pause, or shutdown, at most `rate` messages a second; gives the row as it is then.
    ///
    /// # Errors
    /// When a rebuild has changed the zone, files cannot be read to their end, or another replay has taken over.
    pub async fn run(
        self,
        rate: Option<u32>,
        watch: impl FnMut(&Progress),
        shutdown: &CancellationToken,
    ) -> anyhow::Result<(End, ReplayRow)> {
        let Self { environment, calendar, service, row, mut ledger } = self;
        let mut opened = match Opened::of(&environment, &row, rate) {
            Ok(opened) => opened,
            Err(cause) => return released(ledger, Err(cause)).await,
        };
        let (url, keys, probe) = (&environment.database_url, environment.keys.clone(), Arc::new(NoProbe));
        let mut steps = Steps::new(&environment, service, &row, Some(&mut ledger), rate, watch, shutdown);
        let ended = match service {
            Service::Persister => {
                opened.drive(&mut Persister::new(url, calendar, keys, probe)?, &mut steps, shutdown).await
            }
            Service::Rollups => {
                opened.drive(&mut Rollups::new(url, calendar, keys, probe)?, &mut steps, shutdown).await
            }
        };
        opened.close().await;
        let finished = match ended {
            Ok(is_all) => write_end(&mut ledger, &row, is_all).await,
            Err(cause) if cause.is::<OtherZone>() => Err(cause.context(format!(
                "the replay {name} is interrupted; `valera-analytics replay resume {name}` goes on in the new zone",
                name = row.name
            ))),
            Err(cause) if cause.is::<BrokenOff>() => Err(anyhow!(
                "{cause:#}; all whole lines before are stored. A whole file in its place is another one: end this replay \
                 with `valera-analytics replay cancel {name}` and replay that; or, if this file can be read again, \
                 `valera-analytics replay resume {name}` goes on",
                name = row.name
            )),
            Err(cause) => Err(cause),
        };
        released(ledger, finished).await
    }
}

/// Ends an open replay for good: what it has stored stays.
///
/// # Errors
/// When there is no open one of that name, or Postgres does not answer.
pub async fn cancel(database_url: &str, nats: &Link, name: &str) -> anyhow::Result<()> {
    let mut ledger = Writer::new(database_url, "valera replay", "")?;
    let connection = ledger.connection().await?;
    let known = replays::set_status(connection, name, "cancelled").await?;
    ensure!(known, "there is no open replay {name}");
    let reads_the_stream = replays::find(connection, name).await?.is_some_and(|row| row.files.is_none());
    // One at work sees it and clears up itself.
    if reads_the_stream && replays::lock(connection).await.is_ok() {
        let removed = async { reader::remove(&jetstream::new(nats.connect().await?), CONSUMER).await };
        left_to_nats(removed.await);
        return released(ledger, Ok(())).await;
    }
    Ok(())
}
