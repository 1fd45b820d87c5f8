//! The morning message on one channel: looks at the clock, waits until the day is counted, claims it, and tells of it once.
//!
//! Everything that can take long comes before the claim. What goes wrong before the request went out is tried again at the
//! next look, as long as the local day lasts; once nobody knows whether the message arrived, it is not sent again. It does
//! not keep the time by itself in tests: `now` is an argument.

use super::{
    claims::{Claims, Standing},
    counted,
    schedule::DigestAt,
};
use crate::{
    alerts::{
        delivery::{
            Texts,
            channel::{Channel, Message, Undelivered},
        },
        mutes::bucket,
    },
    probe::{Point, Probe},
    store::{Settings as StoreSettings, Writer, reports},
};
use anyhow::{Context as _, anyhow, ensure};
use async_nats::jetstream::{self, kv};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use std::sync::Arc;
use tracing::{info, warn};

/// For so long a day that is not counted is waited for; then it is told of as far as it is.
const PATIENCE: TimeDelta = TimeDelta::hours(3);
/// No attempt of a channel's takes as long.
const SENDING: TimeDelta = TimeDelta::minutes(2);
/// No channel is believed that wants to be left alone for longer.
const LONGEST_REST: TimeDelta = TimeDelta::hours(1);

/// What morning messages are configured with.
#[derive(Clone)]
pub struct Settings {
    pub at: DigestAt,
    pub database_url: String,
    /// When given, it has to be the database's.
    pub zone: Option<Tz>,
    pub texts: Arc<Texts>,
}

/// The morning messages of one channel.
pub struct Morning {
    settings: Settings,
    writer: Writer,
    probe: Arc<dyn Probe>,
    channel: &'static str,
    claims: Claims,
    /// The zone of the database, once it was asked.
    zone: Option<Tz>,
    /// The day that is due and was not told of yet, and since when it has been waited for to be counted.
    pending: Option<(NaiveDate, Option<DateTime<Utc>>)>,
    /// The last day that there is nothing more to do about.
    done: Option<NaiveDate>,
    /// The revision of the claim under which something was shown, until it is marked.
    unmarked: Option<u64>,
    /// When the channel may be tried again.
    rest_until: Option<DateTime<Utc>>,
}

impl Morning {
    /// Of the channel with this name.
    ///
    /// # Errors
    /// When the address of the database is none.
    pub fn new(settings: Settings, channel: &'static str, probe: Arc<dyn Probe>) -> anyhow::Result<Self> {
        let writer = Writer::new(&settings.database_url, "valera digest", "")?;
        let claims = Claims::new(channel);
        let zone = settings.zone;
        Ok(Self {
            settings,
            writer,
            probe,
            channel,
            claims,
            zone,
            pending: None,
            done: None,
            unmarked: None,
            rest_until: None,
        })
    }

    /// One look at the clock. What is due is told of on this channel, unless somebody has; `channel` is the one that this
    /// was made for.
    ///
    /// # Errors
    /// When something is away or a day is not to be had yet: look again in a minute.
    pub async fn look(
        &mut self,
        now: DateTime<Utc>,
        context: &jetstream::Context,
        channel: &mut dyn Channel,
    ) -> anyhow::Result<()> {
        if self.unmarked.is_some() {
            self.mark(&bucket(context).await?, now).await?;
        }
        let due = self.settings.at.due(now, self.zone().await?);
        self.let_lapse(due);
        let Some(day) = due.filter(|day| self.done != Some(*day)) else { return Ok(()) };
        let bucket = bucket(context).await?;
        let over = match self.claims.standing(&bucket, day).await? {
            Standing::Open(revision) => revision,
            Standing::Told => {
                info!(channel = self.channel, %day, "this day was told of already");
                self.finish(day);
                return Ok(());
            }
            // Another instance may be at it right now.
            Standing::Unknown(since) if now - since < SENDING => {
                info!(channel = self.channel, %day, "another instance has claimed this day");
                return Ok(());
            }
            Standing::Unknown(since) => {
                self.doubt(day, &format!("it was claimed at {} and never marked as sent", since.format("%F %T UTC")));
                self.finish(day);
                return Ok(());
            }
        };
        self.pending.get_or_insert((day, None));
        if self.rest_until.is_some_and(|until| now < until) {
            return Ok(());
        }
        let Some(message) = self.prepare(day, now, context).await? else { return Ok(()) };
        let Some(claimed) = self.claims.take(&bucket, day, now, over).await? else {
            // Another instance was quicker; the next look sees how it ended.
            return Ok(());
        };
        self.send(&bucket, &message, (day, claimed), now, channel).await
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
    ) -> anyhow::Result<Option<Message>> {
        let zone = self.zone().await?;
        let stored = self.store_settings().await?.time_zone;
        if stored != zone.name() {
            // Without a zone of its own it follows the database, after a rebuild in another one.
            self.zone = self.settings.zone;
            ensure!(self.zone.is_none(), "VALERA_TIMEZONE is {zone}, but this database cuts its days in {stored}");
            return Ok(None);
        }
        let end = reports::end_of_day(self.writer.connection().await?, day).await;
        let end = self.unless_broken(end)?.with_context(|| format!("the calendar does not know {day}"))?;
        let is_complete = counted::is_counted(context, end, now).await?;
        if !is_complete && !self.has_waited(day, now) {
            return Ok(None);
        }
        let digest = reports::digest(self.writer.connection().await?, day).await;
        let digest = self.unless_broken(digest)?;
        self.settings.texts.digest(&digest, is_complete, format!("digest/{day}")).map(Some)
    }

    /// Whether a day that is not counted has been waited for long enough.
    fn has_waited(&mut self, day: NaiveDate, now: DateTime<Utc>) -> bool {
        let since = match self.pending {
            Some((pending, Some(since))) if pending == day => since,
            _ => {
                info!(channel = self.channel, %day, "the morning message waits until the day is counted");
                self.pending = Some((day, Some(now)));
                now
            }
        };
        now - since >= PATIENCE
    }

    async fn send(
        &mut self,
        bucket: &kv::Store,
        message: &Message,
        (day, claimed): (NaiveDate, u64),
        now: DateTime<Utc>,
        channel: &mut dyn Channel,
    ) -> anyhow::Result<()> {
        let tried = channel.show(message, None).await;
        self.probe.reached(Point::BeforeCommit);
        match tried {
            Ok(_) => {
                info!(channel = self.channel, %day, "told of the day");
                self.unmarked = Some(claimed);
                self.finish(day);
                return self.mark(bucket, now).await;
            }
            Err(Undelivered::Unknown(cause)) => {
                self.doubt(day, &format!("{cause:#}"));
                self.finish(day);
            }
            Err(Undelivered::Refused(why)) => {
                warn!(channel = self.channel, %day, why, "the morning message was refused; {}", by_hand(day, self.channel));
                self.finish(day);
            }
            Err(Undelivered::Busy(pause)) => {
                let pause = TimeDelta::from_std(pause).unwrap_or(LONGEST_REST).min(LONGEST_REST);
                self.rest_until = Some(now + pause);
                self.claims.give_back(bucket, claimed).await?;
                return Err(anyhow!("the channel wants to be left alone for {} s", pause.num_seconds()));
            }
            Err(Undelivered::Away(cause)) => {
                self.claims.give_back(bucket, claimed).await?;
                return Err(cause);
            }
        }
        Ok(())
    }

    /// Marks what was shown, also where an earlier attempt to do so failed.
    async fn mark(&mut self, bucket: &kv::Store, now: DateTime<Utc>) -> anyhow::Result<()> {
        if let Some(revision) = self.unmarked {
            self.claims.mark(bucket, now, revision).await?;
            self.unmarked = None;
        }
        Ok(())
    }

    fn finish(&mut self, day: NaiveDate) {
        self.done = Some(day);
        self.pending = None;
    }

    /// Gives up the day before: an old morning is no news.
    fn let_lapse(&mut self, due: Option<NaiveDate>) {
        if let Some((day, _)) = self.pending.take_if(|(day, _)| due != Some(*day)) {
            warn!(channel = self.channel, %day, "the morning message was not sent in time; {}", by_hand(day, self.channel));
        }
    }

    fn doubt(&self, day: NaiveDate, cause: &str) {
        let by_hand = by_hand(day, self.channel);
        warn!(channel = self.channel, %day, cause, "the morning message may be missing, and is not sent again; {by_hand}");
    }
}

fn by_hand(day: NaiveDate, channel: &str) -> String {
    format!("`valera-analytics alerts digest --day {day} --to {channel}` sends it")
}
