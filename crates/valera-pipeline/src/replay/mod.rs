//! Hands a part of the stream, or exported files, to a handler once more: for backfill, and after a repair.
//!
//! The handlers are the live ones, so whatever was there before is a duplicate and a replay over live traffic, over
//! itself or a second time changes nothing. How far it is stands in Postgres and moves after each commit: a killed
//! replay goes on there. It reads by a consumer of its own, hence moves no live one, and never alerts.

mod courtesy;
mod drive;
mod files;
mod preview;
pub(crate) mod reader;
pub(crate) mod request;
pub(crate) mod restored;
mod steps;

pub(crate) use courtesy::Courtesy;
pub use files::is_exported;
pub use preview::PreviewRow;
pub use request::Bound;
pub use steps::Progress;

use crate::{
    consume::{Limits, Link},
    handler::Outcome,
    persister::Persister,
    probe::NoProbe,
    rollups::Rollups,
    service::{Environment, Service},
    store::{
        Writer,
        replays::{self, ReplayRow},
    },
};
use anyhow::{Context, anyhow, ensure};
use async_nats::jetstream;
use drive::{Committed, Place, drive};
use files::Files;
use preview::Preview;
use reader::Reader;
use request::Part;
use restored::Restore;
use sqlx::types::Json;
use std::{collections::BTreeMap, future::Future, path::PathBuf, sync::Arc};
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
    service: Service,
    row: ReplayRow,
    ledger: Writer,
}

impl Replay {
    /// Writes a new replay down, or goes on with an open one that asked for the same under the same name.
    ///
    /// # Errors
    /// When another is at work, an open one of that name asked for something else, the part is empty, or a server does
    /// not answer.
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
        let mut ledger = locked(environment).await?;
        match written_down(row, &mut ledger).await {
            Ok(row) => Self::open(environment, ledger, row).await,
            Err(cause) => released(ledger, Err(cause)).await,
        }
    }

    /// Goes on with an open replay.
    ///
    /// # Errors
    /// When there is none of that name, another is at work, or a server does not answer.
    pub async fn resume(environment: &Environment, name: &str) -> anyhow::Result<Self> {
        let mut ledger = locked(environment).await?;
        let refusal = match replays::find(ledger.connection().await?, name).await? {
            Some(row) if row.is_open() => return Self::open(environment, ledger, row).await,
            Some(row) => anyhow!("the replay {name} is {}; there is nothing to resume", row.status),
            None => anyhow!("there is no replay {name}; `valera-analytics replay list` names them"),
        };
        released(ledger, Err(refusal)).await
    }

    async fn open(environment: &Environment, mut ledger: Writer, row: ReplayRow) -> anyhow::Result<Self> {
        let service = Service::ALL.into_iter().find(|service| service.name() == row.consumer);
        let service = service.with_context(|| format!("the replay {} is for {}", row.name, row.consumer))?;
        if !replays::take(ledger.connection().await?, &row.name).await? {
            return released(ledger, Err(anyhow!("the replay {} has just been ended", row.name))).await;
        }
        Ok(Self { environment: environment.clone(), service, row, ledger })
    }

    /// What is written down of it.
    #[must_use]
    pub fn row(&self) -> &ReplayRow {
        &self.row
    }

    /// Replays until the end, a pause, or shutdown, at most `rate` messages a second; gives the row as it is then.
    ///
    /// # Errors
    /// When the database disagrees on zone or key, or another replay has taken over.
    pub async fn run(
        self,
        rate: Option<u32>,
        watch: impl FnMut(&Progress),
        shutdown: &CancellationToken,
    ) -> anyhow::Result<(End, ReplayRow)> {
        let Self { environment, service, row, ledger } = self;
        let opened = async {
            let calendar = environment.calendar().await?;
            anyhow::Ok((calendar, Opened::of(&environment, &row, rate)?))
        };
        let (calendar, mut opened) = match opened.await {
            Ok(opened) => opened,
            Err(cause) => return released(ledger, Err(cause)).await,
        };
        let (url, keys, probe) = (&environment.database_url, environment.keys.clone(), Arc::new(NoProbe));
        let mut steps = Steps::new(&environment, service, row, ledger, rate, watch, shutdown);
        let ended = match service {
            Service::Persister => {
                opened.drive(Persister::new(url, calendar, keys, probe)?, &mut steps, shutdown).await
            }
            Service::Rollups => opened.drive(Rollups::new(url, calendar, keys, probe)?, &mut steps, shutdown).await,
        };
        let closed = opened.close().await;
        let finished = steps.finish(ended).await?;
        closed.map(|()| finished)
    }
}

/// What a replay reads.
enum Opened {
    Stream(Box<Reader>),
    Files(Files),
}

impl Opened {
    fn of(environment: &Environment, row: &ReplayRow, rate: Option<u32>) -> anyhow::Result<Self> {
        let limits = paced(environment.limits, rate);
        let (position, last) = (sequence(row.position), sequence(row.last_seq));
        if let Some(Json(listed)) = &row.files {
            files::require_same(listed)?;
            return Ok(Self::Files(Files::new(listed.clone(), position, limits)));
        }
        let reader = Reader::new(link(environment), CONSUMER, &row.subject, position, last, limits);
        Ok(Self::Stream(Box::new(reader)))
    }

    async fn drive<H: Restore>(
        &mut self,
        mut handler: H,
        watch: &mut impl Committed,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<bool> {
        match self {
            Self::Stream(reader) => {
                let decoder = handler.decoder();
                drive(reader.as_mut(), decoder, &mut handler, watch, shutdown).await
            }
            Self::Files(files) => {
                let restorer = handler.restorer();
                drive(files, restorer, &mut handler, watch, shutdown).await
            }
        }
    }

    async fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Stream(reader) => reader.close().await,
            Self::Files(_) => Ok(()),
        }
    }
}

/// What a replay would do, by day and event.
///
/// # Errors
/// As [`Replay::begin`].
pub async fn preview(
    environment: &Environment,
    request: &Request,
    mut watch: impl FnMut(&Progress),
    shutdown: &CancellationToken,
) -> anyhow::Result<Vec<PreviewRow>> {
    let ledger = locked(environment).await?;
    let counted = async {
        let row = row(environment, request).await?;
        count(environment, request.into, &row, &mut watch, shutdown).await
    };
    let counted = counted.await;
    released(ledger, counted).await
}

/// As [`preview`], of exported files.
///
/// # Errors
/// As [`Replay::begin_files`], and when a file is cut off.
pub async fn preview_files(
    environment: &Environment,
    request: &FilesRequest,
    mut watch: impl FnMut(&Progress),
    shutdown: &CancellationToken,
) -> anyhow::Result<Vec<PreviewRow>> {
    let row = row_of_files(request)?;
    count(environment, request.into, &row, &mut watch, shutdown).await
}

async fn count(
    environment: &Environment,
    into: Service,
    row: &ReplayRow,
    watch: &mut impl FnMut(&Progress),
    shutdown: &CancellationToken,
) -> anyhow::Result<Vec<PreviewRow>> {
    let calendar = environment.calendar().await?;
    let handler = Preview::of(into, &environment.database_url, calendar, environment.keys.clone()).await?;
    let tally = handler.tally();
    let mut opened = Opened::of(environment, row, None)?;
    let mut look = |upto: Place, _: &[Outcome]| watch(&Progress::of(row, upto, None));
    let ended = opened.drive(handler, &mut look, shutdown).await;
    opened.close().await?;
    ensure!(ended?, "stopped before the end: the counts would be too low");
    let rows = std::mem::take(&mut *tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    Ok(BTreeMap::into_values(rows).collect())
}

/// Ends an open replay for good: what it has stored stays.
///
/// # Errors
/// When there is no open one of that name, or a server does not answer.
pub async fn cancel(database_url: &str, nats: &Link, name: &str) -> anyhow::Result<()> {
    let mut ledger = Writer::new(database_url, "valera replay", "")?;
    let connection = ledger.connection().await?;
    let known = replays::set_status(connection, name, "cancelled").await?;
    ensure!(known, "there is no open replay {name}");
    // One at work sees it and clears up itself.
    if replays::lock(connection).await.is_ok() {
        let removed = async { reader::remove(&jetstream::new(nats.connect().await?), CONSUMER).await };
        return released(ledger, removed.await).await;
    }
    Ok(())
}

/// The row of an open replay that asked for the same, or a new one.
async fn written_down(
    row: impl Future<Output = anyhow::Result<ReplayRow>>,
    ledger: &mut Writer,
) -> anyhow::Result<ReplayRow> {
    let row = row.await?;
    if let Some(open) = replays::find(ledger.connection().await?, &row.name).await?.filter(ReplayRow::is_open) {
        let asked = |row: &ReplayRow| {
            let ReplayRow { consumer, subject, asked_from, asked_to, files, .. } = row.clone();
            (consumer, subject, asked_from, asked_to, files)
        };
        ensure!(
            asked(&open) == asked(&row),
            "the replay {name} is open and asked for something else: `valera-analytics replay resume {name}` goes on \
             with it, `replay cancel {name}` ends it, --name gives this one another name",
            name = open.name
        );
        return Ok(open);
    }
    ensure!(row.files.is_some() || row.first_seq <= row.last_seq, "there is no message in this part of the stream");
    replays::begin(ledger.connection().await?, &row).await?;
    Ok(row)
}

async fn row(environment: &Environment, request: &Request) -> anyhow::Result<ReplayRow> {
    let context = jetstream::new(link(environment).connect().await?);
    let part = Part::of(&context, request.from, request.to).await?;
    let asked = |bound: Option<Bound>| bound.map_or_else(|| "-".to_owned(), |bound| bound.to_string());
    let seq = |sequence: u64| i64::try_from(sequence).unwrap_or(i64::MAX);
    let into = request.into.name();
    Ok(ReplayRow {
        name: request.name.clone().unwrap_or_else(|| format!("{into}-{}-{}", part.first, part.last)),
        subject: request.subject.clone(),
        asked_from: asked(request.from),
        asked_to: asked(request.to),
        first_seq: seq(part.first),
        last_seq: seq(part.last),
        position: seq(part.first - 1),
        ..ReplayRow::new(into)
    })
}

fn row_of_files(request: &FilesRequest) -> anyhow::Result<ReplayRow> {
    let listed: Vec<_> = request.files.iter().map(|file| files::identify(file)).collect::<anyhow::Result<_>>()?;
    ensure!(!listed.is_empty(), "there is no file to replay");
    let into = request.into.name();
    let name = request.name.clone().unwrap_or_else(|| format!("{into}-{}", files::name(&listed)));
    Ok(ReplayRow { name, files: Some(Json(listed)), ..ReplayRow::new(into) })
}

/// A session that holds the lock of replays.
async fn locked(environment: &Environment) -> anyhow::Result<Writer> {
    let mut ledger = Writer::new(&environment.database_url, "valera replay", "")?;
    replays::lock(ledger.connection().await?).await?;
    Ok(ledger)
}

/// Lets the lock of replays go, so that the next one need not wait until Postgres misses this session.
async fn released<T>(mut ledger: Writer, ended: anyhow::Result<T>) -> anyhow::Result<T> {
    let unlocked = async { replays::unlock(ledger.connection().await?).await };
    if let Err(cause) = unlocked.await {
        tracing::debug!(cause = format!("{cause:#}"), "could not let the lock of replays go");
    }
    ended
}

fn link(environment: &Environment) -> Link {
    Link::new(&environment.nats_url, "valera-replay")
}

fn sequence(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

/// With a rate, batches of a quarter of a second: it is kept between them.
fn paced(limits: Limits, rate: Option<u32>) -> Limits {
    let most = rate.map_or(limits.messages, |rate| usize::try_from(rate.div_ceil(4)).unwrap_or(limits.messages));
    Limits { messages: limits.messages.min(most), ..limits }
}
