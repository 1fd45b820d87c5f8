//! A changed catalogue, tried on what was recorded: what it would refuse that is accepted today, and why.
//!
//! A catalogue that demands what nobody sends refuses every such event from the moment it is deployed, and says so only in
//! the dead letters. The stream knows before: each message is judged by both catalogues as it would be live.
//!
//! It reads by a consumer of its own, hence moves none; it stores nothing.

use crate::{
    consume::{Limits, Link},
    handler::Delivery,
    replay::{
        reader::Reader,
        request::{Bound, Part},
    },
    retry,
    store::letters::{
        UNFINISHED,
        desk::{self, Filter},
    },
};
use async_nats::jetstream;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use valera_events::{Catalogue, Verdict, subject};

/// Letters read at once.
const PAGE: i64 = 100;

/// What a changed catalogue would do to one event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// Empty where the subject names none.
    pub event_name: String,
    /// In the part of the stream that was read.
    pub messages: u64,
    /// Of these: accepted now.
    pub accepted: u64,
    /// Of those accepted now: refused by the changed catalogue.
    pub refused: u64,
    /// Of the messages: refused now, and accepted by the changed catalogue.
    pub mended: u64,
    /// Dead letters that wait for an end: refused now as they are, and accepted by the changed catalogue. One that was
    /// refused for another reason than the catalogue's, as `conflicting_duplicate`, is not among them.
    pub letters_mended: u64,
    /// Why `refused` are, by reason and place, the most frequent first.
    pub faults: Vec<Fault>,
}

/// What is wrong with so many messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub reason: &'static str,
    /// As `properties.services_count`.
    pub path: String,
    pub messages: u64,
}

impl Tried {
    /// Whether more than this share, in percent, of what is accepted now would be refused. What is refused already does not
    /// count: beside it the loss of all the rest could look small.
    #[must_use]
    pub fn exceeds(&self, percent: f64) -> bool {
        self.refused as f64 * 100.0 > percent * self.accepted as f64
    }

    fn blame(&mut self, reason: &'static str, path: String) {
        match self.faults.iter_mut().find(|fault| fault.reason == reason && fault.path == path) {
            Some(fault) => fault.messages += 1,
            None => self.faults.push(Fault { reason, path, messages: 1 }),
        }
    }
}

/// Two catalogues, and how they differ on what they have seen.
#[derive(Debug)]
pub struct Trial {
    before: Catalogue,
    after: Catalogue,
    events: BTreeMap<String, Tried>,
}

impl Trial {
    /// Tries `after` where `before` judges now.
    #[must_use]
    pub fn new(before: Catalogue, after: Catalogue) -> Self {
        Self { before, after, events: BTreeMap::new() }
    }

    /// Judges everything in the stream that was received from `from` on until now; `progress` hears how many messages of
    /// how many sequences are read.
    ///
    /// # Errors
    /// When NATS cannot be reached. Once it reads, it tries for ever.
    pub async fn read_stream(
        &mut self,
        link: &Link,
        from: DateTime<Utc>,
        mut progress: impl FnMut(u64, u64),
    ) -> anyhow::Result<()> {
        let context = jetstream::new(link.connect().await?);
        let part = Part::of(&context, Some(Bound::Received(from)), None).await?;
        let after = part.first - 1;
        let shutdown = CancellationToken::new();
        let limits = Limits::default();
        // A name of its own: two trials at once must not take each other's consumer.
        let consumer = format!("catalogue_check_{}", Uuid::now_v7().simple());
        let mut reader = Reader::new(link.clone(), &consumer, subject::ALL_EVENTS, after, part.last, limits);
        while let Some(read) = reader.next(&shutdown).await {
            read.items.iter().for_each(|delivery| self.judge(delivery));
            progress(read.upto.position - after, part.last.saturating_sub(after));
        }
        reader.close().await
    }

    /// Judges the dead letters that wait for an end by both catalogues.
    ///
    /// # Errors
    /// When Postgres does not answer.
    pub async fn read_letters(&mut self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let filter = Filter { statuses: UNFINISHED.map(str::to_owned).to_vec(), ..Filter::default() };
        let mut after = None;
        loop {
            let page = desk::page(connection, &filter, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            for letter in page.iter().filter(|letter| letter.payload_cleared_at.is_none()) {
                let delivery = retry::delivery(letter);
                let verdicts = (delivery.check_under(self.before), delivery.check_under(self.after));
                let is_mended = matches!(verdicts, (Verdict::Rejected(_), Verdict::Accepted(_)));
                self.event(&delivery).letters_mended += u64::from(is_mended);
            }
        }
    }

    /// Judges one message by both catalogues.
    pub fn judge(&mut self, delivery: &Delivery) {
        let before = delivery.check_under(self.before);
        let after = delivery.check_under(self.after);
        let event = self.event(delivery);
        event.messages += 1;
        event.accepted += u64::from(matches!(before, Verdict::Accepted(_)));
        match (before, after) {
            (Verdict::Accepted(_), Verdict::Rejected(rejection)) => {
                event.refused += 1;
                for reason in rejection.reasons {
                    event.blame(reason.reason.as_str(), reason.path);
                }
            }
            (Verdict::Rejected(_), Verdict::Accepted(_)) => event.mended += 1,
            _ => {}
        }
    }

    fn event(&mut self, delivery: &Delivery) -> &mut Tried {
        let name = subject::event_name(&delivery.subject).unwrap_or_default();
        self.events
            .entry(name.to_owned())
            .or_insert_with(|| Tried { event_name: name.to_owned(), ..Tried::default() })
    }

    /// What was found, by event.
    #[must_use]
    pub fn into_rows(self) -> Vec<Tried> {
        let mut rows: Vec<_> = self.events.into_values().collect();
        for row in &mut rows {
            row.faults.sort_by_key(|fault| std::cmp::Reverse(fault.messages));
        }
        rows
    }
}
