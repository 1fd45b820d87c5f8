//! Hands a part of the stream, or exported files, to a handler once more: for backfill, and after a repair.
//!
//! The handlers are the live ones, so whatever was there before is a duplicate and a replay over live traffic, over
//! itself or a second time changes nothing. How far it is stands in Postgres and moves after each commit: a killed
//! replay goes on there. It reads by a consumer of its own, hence moves no live one, and never alerts.

mod courtesy;
mod drive;
mod files;
mod pace;
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
    persister::Persister,
    probe::NoProbe,
    rollups::Rollups,
    service::{Environment, Service},
    store::{
        OtherZone, Writer,
        replays::{self, ReplayRow},
    },
};
use anyhow::{Context, anyhow, ensure};
use async_nats::jetstream;
use drive::{Watch, drive};
use files::Files;
use preview::Preview;
use reader::Reader;
use request::Part;
use restored::Restore;
use sqlx::types::Json;
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
        let mut ledger = locked(session(environment)?).await?;
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
        let mut ledger = locked(session(environment)?).await?;
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
    /// When the database disagrees on zone or key, also later on, or another replay has taken over.
    pub async fn run(
        self,
        rate: Option<u32>,
        watch: impl FnMut(&Progress),
        shutdown: &CancellationToken,
    ) -> anyhow::Result<(End, ReplayRow)> {
        let Self { environment, service, row, mut ledger } = self;
        let opened = async {
            let calendar = environment.calendar().await?;
            anyhow::Ok((calendar, Opened::of(&environment, &row, rate)?))
        };
        let (calendar, mut opened) = match opened.await {
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
            Err(cause) => Err(cause),
        };
        released(ledger, finished).await
    }
}

/// Writes the end down, unless there is more to do, and gives the row.
async fn write_end(ledger: &mut Writer, begun: &ReplayRow, is_all: bool) -> anyhow::Result<(End, ReplayRow)> {
    let name = &begun.name;
    let connection = ledger.connection().await?;
    if is_all {
        replays::end(connection, name, begun.bytes()).await?;
    }
    let row = replays::find(connection, name).await?.with_context(|| format!("the replay {name} is gone"))?;
    let end = match row.status.as_str() {
        "done" => End::Done,
        "paused" => End::Paused,
        "cancelled" => End::Cancelled,
        _ => End::Stopped,
    };
    // The lock is let go next.
    Ok((end, ReplayRow { at_work: false, ..row }))
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
        handler: &mut H,
        watch: &mut impl Watch,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<bool> {
        match self {
            Self::Stream(reader) => {
                let decoder = handler.decoder();
                drive(reader.as_mut(), decoder, handler, watch, shutdown).await
            }
            Self::Files(files) => {
                let restorer = handler.restorer();
                drive(files, restorer, handler, watch, shutdown).await
            }
        }
    }

    async fn close(self) {
        if let Self::Stream(reader) = self {
            left_to_nats(reader.close().await);
        }
    }
}

/// What a replay would do, by day and event; reads at most `rate` messages a second.
///
/// # Errors
/// As [`Replay::begin`], and when Postgres fails or it is told to stop before the end.
pub async fn preview(
    environment: &Environment,
    request: &Request,
    rate: Option<u32>,
    watch: impl FnMut(&Progress),
    shutdown: &CancellationToken,
) -> anyhow::Result<Vec<PreviewRow>> {
    let mut writer = locked(dry_session(environment)?).await?;
    let counted = async {
        let row = row(environment, request).await?;
        count(environment, &mut writer, request.into, &row, rate, watch, shutdown).await
    };
    let counted = counted.await;
    released(writer, counted).await
}

/// As [`preview`], of exported files.
///
/// # Errors
/// As [`preview`], and when a file is cut off.
pub async fn preview_files(
    environment: &Environment,
    request: &FilesRequest,
    rate: Option<u32>,
    watch: impl FnMut(&Progress),
    shutdown: &CancellationToken,
) -> anyhow::Result<Vec<PreviewRow>> {
    let row = row_of_files(request)?;
    // No consumer is read by, so others may be at work.
    let mut writer = dry_session(environment)?;
    count(environment, &mut writer, request.into, &row, rate, watch, shutdown).await
}

async fn count(
    environment: &Environment,
    writer: &mut Writer,
    into: Service,
    row: &ReplayRow,
    rate: Option<u32>,
    watch: impl FnMut(&Progress),
    shutdown: &CancellationToken,
) -> anyhow::Result<Vec<PreviewRow>> {
    let calendar = environment.calendar().await?;
    let mut handler = Preview::of(into, writer, calendar, environment.keys.clone()).await?;
    let mut opened = Opened::of(environment, row, rate)?;
    let mut steps = Steps::new(environment, into, row, None, rate, watch, shutdown);
    let ended = opened.drive(&mut handler, &mut steps, shutdown).await;
    opened.close().await;
    ensure!(ended?, "stopped before the end: the counts would be too low");
    Ok(handler.into_rows())
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

/// A consumer that nobody reads by is in nobody's way: the next replay makes it anew, and the server forgets it.
fn left_to_nats(removed: anyhow::Result<()>) {
    if let Err(cause) = removed {
        tracing::warn!(
            cause = format!("{cause:#}"),
            "the consumer replay was left to NATS, which forgets it in minutes"
        );
    }
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

/// Where a replay is written down.
fn session(environment: &Environment) -> anyhow::Result<Writer> {
    Writer::new(&environment.database_url, "valera replay", "")
}

/// Where a dry run counts.
fn dry_session(environment: &Environment) -> anyhow::Result<Writer> {
    Writer::new(&environment.database_url, "valera replay, dry run", replays::PREVIEW_SESSION)
}

/// The same session, which holds the lock of replays.
async fn locked(mut ledger: Writer) -> anyhow::Result<Writer> {
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
