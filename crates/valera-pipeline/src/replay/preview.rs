//! A dry run: what a replay would do, by event and day, without doing it.
//!
//! It is a handler like the others, so it reads the same messages by the same way and judges by the same contract,
//! identity and horizon; only it asks the tables instead of writing them. It writes nothing but a temporary table.

use super::{
    FilesRequest, Progress, Request,
    ledger::{dry_session, locked, released, require_messages, row, row_of_files},
    opened::Opened,
    restored::{self, FileLine, Refusals, Restore},
    steps::Steps,
};
use crate::{
    handler::{Delivery, Handler, Ours, Outcome},
    identity::{Identified, Identities},
    service::{Environment, Service},
    store::{Calendar, Settings, Writer, inbox, previewed, raw, replays::ReplayRow},
};
use anyhow::{Context, ensure};
use chrono::{NaiveDate, Utc};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use valera_events::{Keys, Verdict, id, recorded::Recorded, subject};

/// What would become of the messages of one event and local day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PreviewRow {
    /// Local day of `occurred_at`; of the receipt where that is not known.
    pub day: NaiveDate,
    /// Empty where the subject names none.
    pub event_name: String,
    pub messages: u64,
    /// Would be stored, or folded.
    pub new: u64,
    pub duplicate: u64,
    pub conflicting: u64,
    pub rejected: u64,
    pub expired: u64,
}

/// What a replay would do, by day and event; reads at most `rate` messages a second.
///
/// # Errors
/// As [`super::Replay::begin`], and when Postgres fails or it is told to stop before the end.
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
        require_messages(environment, &row).await?;
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

/// What a dry run has come by stands in a table of its session: in another one each id would be new once more.
#[derive(Debug, thiserror::Error)]
#[error("a dry run counts in one session of Postgres, which has failed: run it again")]
pub(super) struct SessionLost;

/// The handler of a dry run.
struct Preview<'a> {
    /// Of [`previewed::SESSION`].
    writer: &'a mut Writer,
    table: &'static str,
    horizon: i64,
    calendar: Arc<Calendar>,
    keys: Arc<Keys>,
    tally: BTreeMap<(NaiveDate, String), PreviewRow>,
}

/// Messages with what they would be counted under.
struct Judged {
    labels: Vec<(NaiveDate, String)>,
    events: Identities<()>,
    outcomes: Vec<Outcome>,
}

impl<'a> Preview<'a> {
    async fn of(
        service: Service,
        writer: &'a mut Writer,
        calendar: Arc<Calendar>,
        keys: Arc<Keys>,
    ) -> anyhow::Result<Self> {
        let settings = Settings::load(writer.connection().await?).await?;
        let table = match service {
            Service::Persister => raw::TABLE,
            Service::Rollups => inbox::TABLE,
        };
        let horizon = settings.horizon.timestamp_millis();
        Ok(Self { writer, table, horizon, calendar, keys, tally: BTreeMap::new() })
    }

    /// What it has counted, by day and event.
    fn into_rows(self) -> Vec<PreviewRow> {
        self.tally.into_values().collect()
    }

    async fn judge(&mut self, batch: &Judged) -> anyhow::Result<Vec<Outcome>> {
        let connection = self.writer.connection().await?;
        let first = &batch.events.first;
        let ids: Vec<Uuid> = first.iter().map(|event| event.event_id).collect();
        let known = previewed::known(connection, self.table, &ids).await?;
        let expired = first.iter().enumerate().filter(|(_, event)| id::millis(event.event_id) < self.horizon);
        let expired: HashMap<usize, Outcome> = expired.map(|(at, _)| (at, Outcome::Expired)).collect();
        let contents: Vec<Vec<u8>> = first.iter().map(|event| event.content_hash.to_vec()).collect();
        previewed::remember(connection, &ids, &contents).await?;
        let mut outcomes = batch.outcomes.clone();
        batch.events.judge(&known, &expired, &mut outcomes);
        Ok(outcomes)
    }
}

impl Restore for Preview<'_> {
    fn restorer(&self) -> impl Fn(Vec<FileLine>) -> Judged + Send + Sync + 'static {
        let (keys, calendar, refusals) = (self.keys.clone(), self.calendar.clone(), Refusals::default());
        move |lines| {
            let (unsealed, outcomes) = restored::unseal(&lines, &keys.content, &refusals);
            // Of a line that is refused neither day nor event is known: it counts under today.
            let mut labels = vec![(calendar.day(Utc::now()).day, String::new()); lines.len()];
            for line in &unsealed {
                let Recorded { event_name, occurred_at, .. } = &line.event;
                labels[line.delivery] = (calendar.day(*occurred_at).day, event_name.clone().into_owned());
            }
            Judged { labels, events: Identities::of(unsealed).map(|_| ()), outcomes }
        }
    }
}

impl Handler for Preview<'_> {
    type Batch = Judged;

    fn decoder(&self) -> impl Fn(Vec<Delivery>) -> Judged + Send + Sync + 'static {
        let (keys, calendar) = (self.keys.clone(), self.calendar.clone());
        move |deliveries| {
            let mut outcomes = vec![Outcome::Rejected; deliveries.len()];
            let mut labels = Vec::with_capacity(deliveries.len());
            let mut accepted = Vec::with_capacity(deliveries.len());
            for (position, delivery) in deliveries.iter().enumerate() {
                let at = match delivery.check() {
                    Verdict::Accepted(event) => {
                        outcomes[position] = Outcome::Later;
                        let at = event.occurred_at;
                        accepted.push(Identified::of(position, delivery, event, &keys));
                        at
                    }
                    Verdict::Rejected(rejection) => rejection.occurred_at.unwrap_or(delivery.received_at),
                };
                let name = subject::event_name(&delivery.subject).unwrap_or_default();
                labels.push((calendar.day(at).day, name.to_owned()));
            }
            Judged { labels, events: Identities::of(accepted).map(|_| ()), outcomes }
        }
    }

    async fn handle(&mut self, batch: &Judged) -> Result<Vec<Outcome>, Ours> {
        let judged = self.judge(batch).await;
        if judged.is_err() {
            self.writer.forget();
        }
        let outcomes = judged.context(SessionLost)?;
        for (label, outcome) in batch.labels.iter().zip(&outcomes) {
            let row = self.tally.entry(label.clone()).or_default();
            (row.day, row.event_name) = label.clone();
            row.messages += 1;
            match outcome {
                Outcome::Stored => row.new += 1,
                Outcome::Duplicate => row.duplicate += 1,
                Outcome::Conflicting => row.conflicting += 1,
                Outcome::Rejected => row.rejected += 1,
                Outcome::Expired => row.expired += 1,
                Outcome::Erased | Outcome::Later => {}
            }
        }
        Ok(outcomes)
    }
}
