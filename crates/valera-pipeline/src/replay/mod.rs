//! Hands a part of the stream to a handler once more: for backfill, and after a repair.
//!
//! The handlers are the live ones, so whatever was there before is a duplicate and a replay over live traffic, over
//! itself or a second time changes nothing. How far it is stands in Postgres and moves after each commit: a killed
//! replay goes on there. It reads by a consumer of its own, hence moves no live one, and never alerts.

mod courtesy;
mod preview;
pub(crate) mod reader;
pub(crate) mod request;
mod steps;

pub(crate) use courtesy::Courtesy;
pub use preview::PreviewRow;
pub use request::Bound;
pub use steps::Progress;

use crate::{
    consume::{Limits, Link, pause, pauses},
    handler::{Handler, Outcome},
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
use chrono::Utc;
use preview::Preview;
use reader::{Read, Reader};
use request::Part;
use std::{collections::BTreeMap, sync::Arc};
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
        let mut ledger = locked(environment).await?;
        match written_down(environment, request, &mut ledger).await {
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
        let calendar = environment.calendar().await?;
        let (position, last) = (sequence(row.position), sequence(row.last_seq));
        let limits = paced(environment.limits, rate);
        let mut reader = Reader::new(link(&environment), CONSUMER, &row.subject, position, last, limits);
        let (url, keys, probe) = (&environment.database_url, environment.keys.clone(), Arc::new(NoProbe));
        let mut steps = Steps::new(&environment, service, row, ledger, rate, watch, shutdown);
        let ended = match service {
            Service::Persister => {
                drive(&mut reader, Persister::new(url, calendar, keys, probe)?, &mut steps, shutdown).await
            }
            Service::Rollups => {
                drive(&mut reader, Rollups::new(url, calendar, keys, probe)?, &mut steps, shutdown).await
            }
        };
        let closed = reader.close().await;
        let finished = steps.finish(ended).await?;
        closed.map(|()| finished)
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
    let counted = count(environment, request, &mut watch, shutdown).await;
    released(ledger, counted).await
}

async fn count(
    environment: &Environment,
    request: &Request,
    watch: &mut impl FnMut(&Progress),
    shutdown: &CancellationToken,
) -> anyhow::Result<Vec<PreviewRow>> {
    let row = row(environment, request).await?;
    let calendar = environment.calendar().await?;
    let handler = Preview::of(request.into, &environment.database_url, calendar, environment.keys.clone()).await?;
    let tally = handler.tally();
    let (first, last) = (sequence(row.first_seq), sequence(row.last_seq));
    let mut reader =
        Reader::new(link(environment), CONSUMER, &row.subject, sequence(row.position), last, environment.limits);
    let mut look = |upto: u64, _: &[Outcome]| watch(&Progress { first, last, position: upto, behind: None });
    let ended = drive(&mut reader, handler, &mut look, shutdown).await;
    reader.close().await?;
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

/// What hears of each batch once it is durable.
trait Committed {
    /// `upto` is the sequence up to which everything is durable; `false` ends the replay here.
    async fn committed(&mut self, upto: u64, outcomes: &[Outcome]) -> anyhow::Result<bool>;
}

impl<F: FnMut(u64, &[Outcome])> Committed for F {
    async fn committed(&mut self, upto: u64, outcomes: &[Outcome]) -> anyhow::Result<bool> {
        self(upto, outcomes);
        Ok(true)
    }
}

/// Reads and decodes a batch while the one before commits; whether it came to the end.
async fn drive<H: Handler>(
    reader: &mut Reader,
    mut handler: H,
    watch: &mut impl Committed,
    shutdown: &CancellationToken,
) -> anyhow::Result<bool> {
    let decoder = Arc::new(handler.decoder());
    let mut ready: Option<(u64, H::Batch)> = None;
    loop {
        let commit = async {
            let Some((upto, batch)) = ready.take() else { return Ok(true) };
            match insist(&mut handler, &batch, shutdown).await {
                Some(outcomes) => watch.committed(upto, &outcomes).await,
                None => Ok(false),
            }
        };
        let next = async {
            let Some(Read { deliveries, upto }) = reader.next(shutdown).await else { return Ok(None) };
            let decoder = decoder.clone();
            let decoded = tokio::task::spawn_blocking(move || decoder(deliveries)).await;
            anyhow::Ok(Some((upto, decoded.context("decoding a batch")?)))
        };
        let (next, goes_on) = futures::join!(next, commit);
        if !goes_on? {
            return Ok(false);
        }
        ready = next?;
        if ready.is_none() {
            return Ok(!shutdown.is_cancelled());
        }
    }
}

/// Hands the batch in until it is durable; `None` on shutdown.
async fn insist<H: Handler>(handler: &mut H, batch: &H::Batch, shutdown: &CancellationToken) -> Option<Vec<Outcome>> {
    let mut pauses = pauses();
    loop {
        match handler.handle(batch).await {
            Ok(outcomes) => return Some(outcomes),
            Err(cause) => {
                tracing::warn!(consumer = CONSUMER, cause = format!("{:#}", cause.0), "not durable yet; again");
                if shutdown.is_cancelled() {
                    return None;
                }
                pause(&mut pauses, shutdown).await;
            }
        }
    }
}

/// The row of an open replay that asked for the same, or a new one.
async fn written_down(
    environment: &Environment,
    request: &Request,
    ledger: &mut Writer,
) -> anyhow::Result<ReplayRow> {
    let row = row(environment, request).await?;
    if let Some(open) = replays::find(ledger.connection().await?, &row.name).await?.filter(ReplayRow::is_open) {
        let asked = |row: &ReplayRow| {
            (row.consumer.clone(), row.subject.clone(), row.asked_from.clone(), row.asked_to.clone())
        };
        ensure!(
            asked(&open) == asked(&row),
            "the replay {name} is open and asked for something else: `valera-analytics replay resume {name}` goes on \
             with it, `replay cancel {name}` ends it, --name gives this one another name",
            name = open.name
        );
        return Ok(open);
    }
    ensure!(row.first_seq <= row.last_seq, "there is no message in this part of the stream");
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
        consumer: into.to_owned(),
        subject: request.subject.clone(),
        asked_from: asked(request.from),
        asked_to: asked(request.to),
        first_seq: seq(part.first),
        last_seq: seq(part.last),
        position: seq(part.first - 1),
        status: "running".to_owned(),
        at_work: true,
        stored: 0,
        duplicate: 0,
        conflicting: 0,
        rejected: 0,
        expired: 0,
        erased: 0,
        updated_at: Utc::now(),
    })
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
