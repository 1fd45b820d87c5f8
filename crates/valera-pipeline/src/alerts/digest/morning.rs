//! What yesterday came to: looks at the clock, waits until the day is counted, and puts it on the stream once.
//!
//! The stream is the arbiter: a day is published over the one that stands there, so of any number of instances one gets
//! through, and whoever looks again finds it. What goes wrong is tried again at the next look, as long as the local day
//! lasts. It does not keep the time by itself: `now` is an argument.

use super::{Settings, Summary, counted};
use crate::{
    alerts::{Alert, history::STREAM, publish},
    consume::stored,
    store::{Settings as StoreSettings, Writer, reports},
};
use anyhow::{Context as _, ensure};
use async_nats::jetstream::{self, context::PublishErrorKind};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::json;
use tracing::{info, warn};
use valera_events::subject;

/// For so long a day that is not counted is waited for; then it is told of as far as it is.
const PATIENCE: TimeDelta = TimeDelta::hours(3);

/// One instance's mornings.
pub struct Morning {
    settings: Settings,
    writer: Writer,
    /// The zone of the database, once it was asked.
    zone: Option<Tz>,
    /// The day that is due and was not told of yet, and since when it has been waited for to be counted.
    pending: Option<(NaiveDate, Option<DateTime<Utc>>)>,
    /// The last day that there is nothing more to do about.
    done: Option<NaiveDate>,
}

/// The message that stands on the stream.
struct Last {
    sequence: u64,
    day: Option<NaiveDate>,
}

impl Morning {
    /// # Errors
    /// When the address of the database is none.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        let writer = Writer::new(&settings.database_url, "valera digest", "")?;
        let zone = settings.zone;
        Ok(Self { settings, writer, zone, pending: None, done: None })
    }

    /// One look at the clock. What is due is told of, unless somebody has.
    ///
    /// # Errors
    /// When something is away: look again in a minute.
    pub async fn look(&mut self, now: DateTime<Utc>, context: &jetstream::Context) -> anyhow::Result<()> {
        let due = self.settings.at.due(now, self.zone().await?);
        self.let_lapse(due);
        let Some(day) = due.filter(|day| self.done != Some(*day)) else { return Ok(()) };
        let last = last(context).await?;
        if last.day.is_some_and(|told| told >= day) {
            info!(%day, "this day was told of already");
            self.finish(day);
            return Ok(());
        }
        self.pending.get_or_insert((day, None));
        let Some(step) = self.prepare(day, now, context).await? else { return Ok(()) };
        let ack = publish::send(context, &step, Some(last.sequence)).await?.await;
        match ack {
            Ok(ack) => ensure!(ack.stream == STREAM, "the morning message was taken by the stream {}", ack.stream),
            // Another instance was quicker; the next look sees how it ended.
            Err(cause) if cause.kind() == PublishErrorKind::WrongLastSequence => return Ok(()),
            Err(cause) => return Err(cause).context("publishing the morning message"),
        }
        info!(%day, "told of the day");
        self.finish(day);
        Ok(())
    }

    async fn zone(&mut self) -> anyhow::Result<Tz> {
        if let Some(zone) = self.zone {
            return Ok(zone);
        }
        let name = self.store_settings().await?.time_zone;
        let zone =
            name.parse::<Tz>().ok().with_context(|| format!("days are cut in {name}, which is unknown here"))?;
        Ok(*self.zone.insert(zone))
    }

    async fn store_settings(&mut self) -> anyhow::Result<StoreSettings> {
        let loaded = StoreSettings::load(self.writer.connection().await?).await;
        self.unless_broken(loaded)
    }

    /// After any doubt the connection is thrown away.
    fn unless_broken<T>(&mut self, answer: anyhow::Result<T>) -> anyhow::Result<T> {
        if answer.is_err() {
            self.writer.forget();
        }
        answer
    }

    /// The message of a day; `None` while it is waited for to be counted.
    async fn prepare(
        &mut self,
        day: NaiveDate,
        now: DateTime<Utc>,
        context: &jetstream::Context,
    ) -> anyhow::Result<Option<Alert>> {
        let zone = self.zone().await?;
        let stored = self.store_settings().await?.time_zone;
        if stored != zone.name() {
            // Without a zone of its own it follows the database, after a rebuild in another one.
            self.zone = self.settings.zone;
            ensure!(
                self.zone.is_none(),
                "VALERA_TIMEZONE, or --timezone, is {zone}, but this database cuts its days in {stored}"
            );
            return Ok(None);
        }
        let (end, until) = (self.end_of(day).await?, self.end_of(day + TimeDelta::days(1)).await?);
        let is_complete = counted::is_counted(context, end, now).await?;
        if !is_complete && !self.has_waited(day, now) {
            return Ok(None);
        }
        let figures = reports::digest(self.writer.connection().await?, day).await;
        let figures = self.unless_broken(figures)?;
        Summary { figures, is_complete, until }.step(now).map(Some)
    }

    async fn end_of(&mut self, day: NaiveDate) -> anyhow::Result<DateTime<Utc>> {
        let end = reports::end_of_day(self.writer.connection().await?, day).await;
        self.unless_broken(end)?.with_context(|| format!("the calendar does not know {day}"))
    }

    /// Whether a day that is not counted has been waited for long enough.
    fn has_waited(&mut self, day: NaiveDate, now: DateTime<Utc>) -> bool {
        let since = match self.pending {
            Some((pending, Some(since))) if pending == day => since,
            _ => {
                info!(%day, "the morning message waits until the day is counted");
                self.pending = Some((day, Some(now)));
                now
            }
        };
        now - since >= PATIENCE
    }

    fn finish(&mut self, day: NaiveDate) {
        self.done = Some(day);
        self.pending = None;
    }

    /// Gives up the day before: an old morning is no news.
    fn let_lapse(&mut self, due: Option<NaiveDate>) {
        if let Some((day, _)) = self.pending.take_if(|(day, _)| due != Some(*day)) {
            warn!(%day, "nobody was told of this day in time; `valera-analytics alerts digest --day {day}` shows it");
        }
    }
}

/// The last morning message that anybody published.
async fn last(context: &jetstream::Context) -> anyhow::Result<Last> {
    let subject = subject::of_alert(super::NAME).context("spelling the subject of the morning message")?;
    let found = stored::get(context, STREAM, json!({"last_by_subj": subject})).await?;
    let Some(found) = found else { return Ok(Last { sequence: 0, day: None }) };
    // What is not ours to read was not told by us.
    let step = serde_json::from_slice(&found.body).ok();
    let day = step.and_then(|step| Summary::of(&step)).map(|summary| summary.day());
    Ok(Last { sequence: found.sequence, day })
}
