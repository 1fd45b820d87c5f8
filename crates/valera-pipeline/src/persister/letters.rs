//! What a batch does to dead letters: adds those of what it refuses, ends those whose event it stores.
//!
//! A letter that is retried is named by a header, which anybody can send: it counts only where the event's id is the
//! letter's or derived from it. Then the event's end is the letter's, and a retry that is refused again opens its letter
//! anew and adds none. Beside that, storing an event by any way ends the letters of its id and content: a mended
//! catalogue and a replay do so. All of it is in the transaction that stores the events.
//!
//! It does not retry anything.

use super::{Batch, Stored};
use crate::{
    handler::Outcome,
    retry,
    store::letters::{Letter, ends, insert},
};
use sqlx::PgConnection;
use std::{
    collections::{BTreeSet, HashSet},
    time::{Duration, Instant},
};
use uuid::Uuid;
use valera_events::{ContentKey, Verdict, headers, retry::is_of_letter};

/// How long the ids of unfinished letters are believed.
///
/// A query a batch would cost the hot path 12–22 ms of planning and 1–6 ms of execution for 10,000 ids. What another
/// worker adds in the meantime is missed only by an event with the letter's own content, hence by a replay under another
/// catalogue: its letter then stays open, and its retry finds the event stored.
const BELIEVED: Duration = Duration::from_secs(30);

/// How many unfinished letters are known by their event. An event type that is refused for hours leaves millions, and
/// reading them all would take longer than a statement may: then each batch asks for its own.
const KNOWN: u32 = 100_000;

/// The events whose letters a stored event could end. It may name too many, never too few of this worker's own.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    /// `None` where there are more than are worth knowing.
    event_ids: Option<HashSet<Uuid>>,
    read: Option<Instant>,
}

impl Unfinished {
    /// Asks again, if the last answer is old.
    pub(super) async fn refresh(&mut self, connection: &mut PgConnection) -> sqlx::Result<()> {
        if self.read.is_none_or(|read| read.elapsed() > BELIEVED) {
            self.event_ids = ends::unfinished(connection, KNOWN).await?.map(HashSet::from_iter);
            self.read = Some(Instant::now());
        }
        Ok(())
    }

    fn add<'a>(&mut self, letters: impl Iterator<Item = &'a Letter>) {
        if let Some(event_ids) = &mut self.event_ids {
            event_ids.extend(letters.map(|letter| letter.event_id));
        }
    }

    fn may_hold(&self, event_id: Uuid) -> bool {
        self.event_ids.as_ref().is_none_or(|event_ids| event_ids.contains(&event_id))
    }
}

/// Writes all that the batch says of letters.
pub(super) async fn write(
    connection: &mut PgConnection,
    batch: &Batch,
    stored: &Stored,
    key: &ContentKey,
    unfinished: &mut Unfinished,
) -> sqlx::Result<()> {
    let mut letters = batch.letters.clone();
    letters.append(&mut batch.conflict_letters(&stored.known, &stored.unstored));
    letters.extend(stored.refused.iter().cloned());
    let (retried, new): (Vec<_>, Vec<_>) = letters.into_iter().partition(|letter| letter.retry_of.is_some());
    // First, because a replay may hold a rejected message and its retry in one batch.
    insert(connection, &new).await?;
    unfinished.add(new.iter().chain(&retried));
    if !batch.retries.is_empty() || !retried.is_empty() {
        end_retried(connection, batch, stored, &retried).await?;
    }
    let ended = ended_by_content(connection, batch, stored, key, unfinished).await?;
    ends::close(connection, &ended).await
}

/// Ends the letters that the batch's retries name, or opens them again.
async fn end_retried(
    connection: &mut PgConnection,
    batch: &Batch,
    stored: &Stored,
    refused: &[Letter],
) -> sqlx::Result<()> {
    let accepted = batch.retries.iter().map(|retried| retried.letter_id);
    let named: BTreeSet<Uuid> = accepted.chain(refused.iter().filter_map(|letter| letter.retry_of)).collect();
    let owners = ends::lock(connection, &Vec::from_iter(named)).await?;
    let belongs = |letter_id: Uuid, event_id| {
        owners.get(&letter_id).is_some_and(|owner| is_of_letter(event_id, letter_id, *owner))
    };
    let (again, strangers): (Vec<_>, Vec<_>) =
        refused.iter().partition(|letter| letter.retry_of.is_some_and(|id| belongs(id, letter.event_id)));
    insert(connection, &strangers.into_iter().cloned().collect::<Vec<_>>()).await?;

    let outcomes = batch.judge(&stored.known, &stored.unstored);
    let ended = batch.retries.iter().filter(|retried| belongs(retried.letter_id, retried.event_id));
    let ended = ended.map(|retried| (retried.letter_id, outcomes[retried.delivery]));
    let ended = ended.filter(|(_, outcome)| ends_a_letter(*outcome)).map(|(id, outcome)| (id, outcome.as_str()));
    ends::close(connection, &ended.collect::<Vec<_>>()).await?;
    let again = again.iter().filter_map(|letter| Some((letter.retry_of?, attempt(letter), *letter)));
    ends::reopen(connection, &again.collect::<Vec<_>>()).await
}

/// Which attempt at its letter a refused retry was; one that does not say so is before the first.
fn attempt(refused: &Letter) -> i32 {
    let msg_id = refused.headers.iter().find(|(name, _)| name == headers::MSG_ID);
    msg_id.and_then(|(_, msg_id)| retry::attempt(msg_id)).unwrap_or(0)
}

fn ends_a_letter(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Stored | Outcome::Duplicate | Outcome::Expired | Outcome::Erased)
}

/// The letters whose message, judged today, is an event that is stored now: the same id, the same content.
async fn ended_by_content(
    connection: &mut PgConnection,
    batch: &Batch,
    stored: &Stored,
    key: &ContentKey,
    unfinished: &Unfinished,
) -> sqlx::Result<Vec<(Uuid, &'static str)>> {
    let events = &batch.events.first;
    let concerned = events.iter().enumerate().filter(|(_, event)| unfinished.may_hold(event.event_id));
    let concerned = concerned.filter(|(row, _)| !stored.unstored.contains_key(row));
    let concerned: Vec<Uuid> = concerned.map(|(_, event)| event.event_id).collect();
    let mut ended = Vec::new();
    if concerned.is_empty() {
        return Ok(ended);
    }
    for letter in ends::unfinished_of(connection, &concerned).await? {
        // Sorted by id.
        let row = events.binary_search_by_key(&letter.event_id, |event| event.event_id);
        let now_stored = row.ok().map(|row| events[row].content_hash.as_slice());
        let (content, outcome) = match stored.known.get(&letter.event_id) {
            Some(content) => (Some(content.as_slice()), Outcome::Duplicate),
            None => (now_stored, Outcome::Stored),
        };
        let delivery = retry::delivery(&letter);
        let Verdict::Accepted(event) = delivery.check() else { continue };
        if content == Some(event.content_hash(key).as_slice()) {
            ended.push((letter.id, outcome.as_str()));
        }
    }
    Ok(ended)
}
