//! What is done to each letter: patched, judged, claimed and published.
//!
//! A letter may be claimed by someone else between its reading and its claim, so what the claim leaves out is read again
//! and told. It does not wait for the persister.

use crate::report::{self, Outlook};
use anyhow::Context;
use async_nats::HeaderMap;
use chrono::{SecondsFormat, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use std::{borrow::Cow, collections::HashMap};
use uuid::Uuid;
use valera_events::{Event, PseudonymKeys, Verdict, headers, id, retry::Patch};
use valera_pipeline::{
    handler::Delivery,
    retry,
    store::{
        Writer,
        letters::{
            Kept,
            desk::{self, Content, Filter},
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
    content: Content,
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
        let content = match message.check() {
            Verdict::Accepted(event) => self.content(event, &message),
            Verdict::Rejected(rejection) => return outlook(report::NOT_PUBLISHED, rejection.to_string()),
        };
        let under_way = letter.retried_as.filter(|_| letter.status == "retried");
        if let Some(other) = under_way.filter(|other| *other != content.event_id) {
            return outlook(report::NOT_PUBLISHED, already(other));
        }
        ready.push(Ready { letter_id: letter.id, content, message });
        outlook(report::ACCEPTED, String::new())
    }

    /// What will be stored of the message.
    fn content(&self, mut event: Event<'_>, message: &Delivery) -> Content {
        event.pseudonymise(&self.keys);
        let mut properties = Vec::new();
        event.write_properties(&mut properties);
        Content {
            event_id: event.event_id(&message.arrival()),
            event_name: event.name.to_owned(),
            chat_id: event.chat_id,
            session_id: event.session_id.map(Cow::into_owned),
            platform: event.platform.into_owned(),
            occurred_at: event.occurred_at,
            properties: String::from_utf8_lossy(&properties).into_owned(),
        }
    }

    /// Counts the attempts, then publishes; `published` learns of each that was. Gives the outlooks of those that someone
    /// else was quicker with.
    pub(super) async fn publish(
        &self,
        writer: &mut Writer,
        publisher: &Publisher,
        ready: Vec<Ready>,
        published: &mut HashMap<Uuid, Content>,
    ) -> anyhow::Result<Vec<Outlook>> {
        let retries: Vec<_> = ready.iter().map(|ready| (ready.letter_id, ready.content.event_id)).collect();
        let attempts: HashMap<Uuid, i32> =
            desk::claim(writer.connection().await?, &retries).await?.into_iter().collect();
        let claimed = ready.into_iter().filter_map(|ready| Some((attempts.get(&ready.letter_id)?, ready)));
        let sending = claimed.map(|(attempt, ready)| async move {
            let mut header_map = HeaderMap::new();
            for (name, value) in &ready.message.headers {
                header_map.insert(name.as_str(), value.as_str());
            }
            header_map.insert(headers::MSG_ID, retry::msg_id(ready.letter_id, *attempt));
            publisher.publish_with_headers(&ready.message.subject, &header_map, &ready.message.body).await?;
            anyhow::Ok((ready.letter_id, ready.content))
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
