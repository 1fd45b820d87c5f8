//! Publishes what the backlog holds, with many acks in flight, and sends again what was not acknowledged.
//!
//! With a backlog, records go in atomic batches, which share one sync of the server's disk; one known id refuses a whole
//! batch, so its records then go one by one. Where answers stay away, a single probe at a time asks whether they come again:
//! a server that never answers costs a message every few seconds, not a flood.
//!
//! It does not decide what is stored: answers do.

use super::{
    answer::{self, Answer},
    backlog::{Backlog, Held},
    flights::{Flight, Flights},
    link::Link,
};
use crate::{stats::Stats, throttle::Throttle};
use async_nats::{
    HeaderMap, Message,
    client::PublishErrorKind,
    header::{NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE},
};
use std::{collections::VecDeque, time::Duration};
use tokio::time::{Instant, timeout};
use tracing::{error, warn};
use uuid::Uuid;
use valera_events::headers;

/// Publishes whose acks are awaited at once, and their bytes.
const MOST_RECORDS: usize = 2_048;
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// Records of an atomic batch (the server takes 1,000), their bytes, and from how many on one is worth it.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 1024 * 1024;
const BATCH_FROM: usize = 64;
/// Batches in flight: the server syncs one while it receives the other.
const BATCHES: usize = 2;
/// Pauses between probes, and before batches are tried again.
const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(5);
const BATCHLESS: Duration = Duration::from_secs(2);
const LONGEST_BATCHLESS: Duration = Duration::from_secs(60);
/// How long a connection that gives no answer is kept.
const SILENCE: Duration = Duration::from_secs(30);
/// How long the client may take to accept a message.
const ACCEPTANCE: Duration = Duration::from_secs(1);

pub(super) struct Outbox {
    flights: Flights,
    /// Sent before, to be sent again.
    again: VecDeque<Held>,
    /// One at a time, until an answer comes.
    probing: bool,
    pause: Duration,
    resume: Instant,
    batchless: Duration,
    batches_from: Instant,
    /// Since when no answer came to anything.
    silent_since: Option<Instant>,
    link_is_dead: bool,
    /// Set aside since `take_aside` was last called, and whether they could be parked.
    aside: Vec<(Uuid, bool)>,
    complaint: Throttle,
    refusal: Throttle,
}

impl Outbox {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            flights: Flights::new(patience),
            again: VecDeque::new(),
            probing: false,
            pause: SHORTEST,
            resume: Instant::now(),
            batchless: BATCHLESS,
            batches_from: Instant::now(),
            silent_since: None,
            link_is_dead: false,
            aside: Vec::new(),
            complaint: Throttle::default(),
            refusal: Throttle::default(),
        }
    }

    /// Sends as much as may be in flight.
    pub(super) async fn send(&mut self, link: &Link, backlog: &mut Backlog, stats: &mut Stats) {
        self.give_up_overdue(stats);
        while link.is_connected() && self.may_send() {
            if let Some(held) = self.again.pop_front() {
                self.publish(link, held, backlog, stats).await;
                continue;
            }
            let may_batch = self.may_batch(link);
            let most = if self.probing { 1 } else { BATCH.min(MOST_RECORDS - self.flights.records()) };
            let mut next = backlog.next(most, BATCH_BYTES);
            match next.len() {
                0 => return,
                BATCH_FROM.. if may_batch => self.publish_batch(link, next).await,
                _ => {
                    let rest = next.split_off(1);
                    self.again.extend(rest);
                    for held in next {
                        self.publish(link, held, backlog, stats).await;
                    }
                }
            }
        }
    }

    fn may_send(&self) -> bool {
        if self.probing {
            return self.flights.records() == 0 && self.resume <= Instant::now();
        }
        self.flights.records() < MOST_RECORDS
            && self.flights.bytes() < MOST_BYTES
            && self.flights.batches() < BATCHES
            && self.resume <= Instant::now()
    }

    fn may_batch(&self, link: &Link) -> bool {
        !self.probing && self.batches_from <= Instant::now() && link.client.is_server_compatible(2, 12, 1)
    }

    async fn publish(&mut self, link: &Link, held: Held, backlog: &mut Backlog, stats: &mut Stats) {
        let record = held.record.clone();
        let token = self.flights.depart(Flight::One(held));
        self.silent_since.get_or_insert_with(Instant::now);
        let sent = link.client.publish_with_reply_and_headers(
            record.subject,
            link.reply(token),
            id_header(&record.event_id),
            record.body,
        );
        match timeout(ACCEPTANCE, sent).await {
            Ok(Ok(())) => {}
            Ok(Err(cause)) if cause.kind() == PublishErrorKind::MaxPayloadExceeded => {
                let held = self.flights.land(token).map(Flight::into_held).unwrap_or_default();
                self.set_aside(held, &cause.to_string(), backlog, stats);
            }
            // As if it had been lost on its way: its time will be over.
            Ok(Err(_)) | Err(_) => self.hold_back("the client takes no messages"),
        }
    }

    async fn publish_batch(&mut self, link: &Link, batch: Vec<Held>) {
        let records: Vec<_> = batch.iter().map(|held| held.record.clone()).collect();
        let size = records.len();
        let token = self.flights.depart(Flight::Batch(batch));
        self.silent_since.get_or_insert_with(Instant::now);
        let batch_id = Uuid::now_v7().simple().to_string();
        for (position, record) in records.into_iter().enumerate() {
            let mut headers = id_header(&record.event_id);
            headers.insert(NATS_BATCH_ID, batch_id.as_str());
            headers.insert(NATS_BATCH_SEQUENCE, (position + 1).to_string());
            let sent = async {
                if position + 1 < size {
                    link.client.publish_with_headers(record.subject, headers, record.body).await
                } else {
                    headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
                    let reply = link.reply(token);
                    link.client.publish_with_reply_and_headers(record.subject, reply, headers, record.body).await
                }
            };
            // An incomplete batch is refused, or its time will be over.
            if !matches!(timeout(ACCEPTANCE, sent).await, Ok(Ok(()))) {
                self.hold_back("the client takes no messages");
                return;
            }
        }
    }

    /// Takes an answer in; gives the records that are stored now, and whether the broker knew them.
    pub(super) fn answered(
        &mut self,
        message: &Message,
        backlog: &mut Backlog,
        stats: &mut Stats,
    ) -> Vec<(Held, bool)> {
        let token = message.subject.rsplit_once('.').and_then(|(_, token)| token.parse().ok());
        let Some(flight) = token.and_then(|token| self.flights.land(token)) else { return Vec::new() };
        self.silent_since = None;
        match (answer::read(message), flight) {
            (Answer::Stored { duplicate, .. }, Flight::One(held)) => {
                self.answers_come();
                vec![(held, duplicate)]
            }
            (Answer::Stored { batch, .. }, Flight::Batch(held)) if batch == Some(held.len() as u64) => {
                self.answers_come();
                self.batchless = BATCHLESS;
                held.into_iter().map(|held| (held, false)).collect()
            }
            // Also from a server that knows no batches: it took each message for itself.
            (Answer::Stored { .. } | Answer::Never(_) | Answer::Refused(_), Flight::Batch(held)) => {
                self.one_by_one(held);
                Vec::new()
            }
            (Answer::Never(cause), Flight::One(held)) => {
                self.answers_come();
                self.set_aside(vec![held], &cause, backlog, stats);
                Vec::new()
            }
            (Answer::Later(cause) | Answer::Refused(cause), flight) => {
                stats.unacknowledged += 1;
                self.hold_back(&cause);
                self.one_by_one(flight.into_held());
                Vec::new()
            }
        }
    }

    fn answers_come(&mut self) {
        self.probing = false;
        self.pause = SHORTEST;
    }

    /// A refused batch: one id in it was known, or the server takes no batches.
    fn one_by_one(&mut self, held: Vec<Held>) {
        if held.len() > 1 {
            self.batches_from = Instant::now() + self.batchless;
            self.batchless = (self.batchless * 2).min(LONGEST_BATCHLESS);
        }
        self.again.extend(held);
    }

    fn give_up_overdue(&mut self, stats: &mut Stats) {
        while let Some(flight) = self.flights.overdue(Instant::now()) {
            stats.unacknowledged += 1;
            self.hold_back("no answer");
            self.one_by_one(flight.into_held());
        }
    }

    fn hold_back(&mut self, cause: &str) {
        if let Some(times) = self.complaint.pass() {
            warn!(cause, times, "events are not acknowledged; they are sent again");
        }
        // Those that fail together are one failure.
        if self.resume <= Instant::now() {
            self.resume = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(LONGEST);
        }
        self.probing = true;
    }

    /// Puts records aside that would be refused for ever, so that they hold nothing up.
    fn set_aside(&mut self, held: Vec<Held>, cause: &str, backlog: &mut Backlog, stats: &mut Stats) {
        for Held { place, record } in held {
            let parked = backlog.park(&record);
            if let Some(times) = self.refusal.pass() {
                let (id, subject) = (record.event_id, &record.subject);
                error!(event.id = %id, subject, cause, parked = parked.is_ok(), times, "refused for good");
            }
            match parked {
                Ok(()) => stats.parked += 1,
                Err(_) => stats.lost += 1,
            }
            self.aside.push((record.event_id, parked.is_ok()));
            backlog.settled(place);
        }
    }

    /// What was refused for good since the last call, and whether it is parked on the disk.
    pub(super) fn take_aside(&mut self) -> Vec<(Uuid, bool)> {
        std::mem::take(&mut self.aside)
    }

    /// There is a new connection: answers to what was sent over the old one will not come.
    pub(super) fn reconnected(&mut self) {
        self.forget_flights();
        self.probing = false;
        (self.pause, self.resume) = (SHORTEST, Instant::now());
    }

    /// Everything in flight is to be sent again.
    pub(super) fn forget_flights(&mut self) {
        self.link_is_dead = false;
        self.silent_since = None;
        let abandoned = self.flights.abandon();
        self.again.extend(abandoned);
    }

    /// The link's subscription has ended.
    pub(super) fn give_link_up(&mut self) {
        self.link_is_dead = true;
    }

    /// Whether the connection stands and yet nothing comes over it.
    pub(super) fn wants_another_link(&self, connected: bool) -> bool {
        self.link_is_dead || connected && self.silent_since.is_some_and(|since| since.elapsed() > SILENCE)
    }

    /// When something is to be done that no answer calls for.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let paused = (self.resume > Instant::now()).then_some(self.resume);
        self.flights.next_overdue().into_iter().chain(paused).min()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.flights.records()
    }

    /// Records that only memory holds.
    pub(super) fn in_memory(&self) -> usize {
        self.flights.volatile() + self.again.iter().filter(|held| held.place.is_none()).count()
    }

    /// Whether records of the spool are not acknowledged.
    pub(super) fn has_spooled(&self) -> bool {
        self.flights.records() > self.flights.volatile() || self.again.iter().any(|held| held.place.is_some())
    }
}

fn id_header(event_id: &Uuid) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(headers::MSG_ID, event_id.to_string());
    headers
}
