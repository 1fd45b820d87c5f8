//! What is done to each letter: patched, judged, claimed and published.
//!
//! A letter may be claimed by someone else between its reading and its claim, so what the claim leaves out is read again
//! and told. It does not wait for the persister.

use crate::report::{self, Outlook};
use anyhow::Context;
use async_nats::HeaderMap;
use chrono::{SecondsFormat, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::HashMap;
use uuid::Uuid;
use valera_events::{PseudonymKeys, Verdict, headers, id, retry::Patch};
use valera_pipeline::{
    handler::Delivery,
    retry,
    store::{
        Writer,
        letters::{
            Kept,
            desk::{self, Filter},
        },
    },
};
use valera_tracker::Publisher;

/// Acks in flight.
const IN_FLIGHT: usize = 64;

/// See the module.
pub(super) struct Way {
    pub(super) patch: Patch,
    pub(super) as_new: bool,
    pub(super) keys: PseudonymKeys,
}

/// A letter that the contract accepts as it would be published.
pub(super) struct Ready {
    letter_id: Uuid,
    event_id: Uuid,
    event_name: String,
    message: Delivery,
}

impl Way {
    /// What the contract says of the letter's retry; it joins `ready` when that is good.
    pub(super) fn judge(&self, letter: &Kept, ready: &mut Vec<Ready>) -> Outlook {
        let event_name = letter.event_name.clone().unwrap_or_default();
        let outlook = |verdict, detail| Outlook { id: letter.id, event_name: event_name.clone(), verdict, detail };
        if letter.status == "closed" || letter.status == "discarded" {
            return outlook(report::FINISHED, finished(&letter.status, letter.status_reason.as_deref()));
        }
        let message = match retry::message(letter, &self.patch, self.as_new, &self.keys, Utc::now()) {
            Ok(message) => message,
            Err(unready) => return outlook(report::NOT_PUBLISHED, unready.to_string()),
        };
        let event_id = match message.check() {
            Verdict::Accepted(event) => event.event_id(&message.arrival()),
            Verdict::Rejected(rejection) => return outlook(report::NOT_PUBLISHED, rejection.to_string()),
        };
        let under_way = letter.retried_as.filter(|_| letter.status == "retried");
        if let Some(other) = under_way.filter(|other| *other != event_id) {
            return outlook(report::NOT_PUBLISHED, already(other));
        }
        ready.push(Ready { letter_id: letter.id, event_id, event_name: event_name.clone(), message });
        outlook(report::ACCEPTED, String::new())
    }

    /// Counts the attempts, then publishes; `published` learns of each that was. Gives the outlooks of those that someone
    /// else was quicker with.
    pub(super) async fn publish(
        &self,
        writer: &mut Writer,
        publisher: &Publisher,
        ready: Vec<Ready>,
        published: &mut HashMap<Uuid, String>,
    ) -> anyhow::Result<Vec<Outlook>> {
        let retries: Vec<_> = ready.iter().map(|ready| (ready.letter_id, ready.event_id)).collect();
        let attempts: HashMap<Uuid, i32> =
            desk::claim(writer.connection().await?, &retries).await?.into_iter().collect();
        let claimed = ready.iter().filter_map(|ready| Some((ready, *attempts.get(&ready.letter_id)?)));
        let sending = claimed.map(|(ready, attempt)| async move {
            let mut header_map = HeaderMap::new();
            for (name, value) in &ready.message.headers {
                header_map.insert(name.as_str(), value.as_str());
            }
            header_map.insert(headers::MSG_ID, retry::msg_id(ready.letter_id, attempt));
            publisher.publish_with_headers(&ready.message.subject, &header_map, &ready.message.body).await?;
            anyhow::Ok((ready.letter_id, ready.event_name.clone()))
        });
        let sent: Vec<_> = stream::iter(sending).buffer_unordered(IN_FLIGHT).try_collect().await.context(
            "publishing a retry; the letters stay as retried: the same command once more is safe, \
             `dead-letters discard ID` gives one up",
        )?;
        published.extend(sent);
        let ids = retries.into_iter().map(|(letter_id, _)| letter_id).filter(|id| !attempts.contains_key(id));
        self.passed_over(writer, ids.collect()).await
    }

    async fn passed_over(&self, writer: &mut Writer, ids: Vec<Uuid>) -> anyhow::Result<Vec<Outlook>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(ids.len())?;
        let filter = Filter { ids, ..Filter::default() };
        let letters = desk::page(writer.connection().await?, &filter, None, limit).await?;
        let outlooks = letters.iter().map(|letter| match self.judge(letter, &mut Vec::new()) {
            // Claimed by another and refused since.
            outlook if outlook.verdict == report::ACCEPTED => {
                let detail = "another retry of it came first, and was refused".to_owned();
                Outlook { verdict: report::NOT_PUBLISHED, detail, ..outlook }
            }
            outlook => outlook,
        });
        Ok(outlooks.collect())
    }
}

/// Why a letter is not retried any more.
pub(super) fn finished(status: &str, why: Option<&str>) -> String {
    format!("{status}: {}", why.unwrap_or_default())
}

fn already(event_id: Uuid) -> String {
    let at = id::time(event_id).map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default();
    format!(
        "it is retried already, as event {event_id} (of {at}), which is not judged yet: both could be stored. Let the \
         persister judge that one, or repeat that retry"
    )
}
