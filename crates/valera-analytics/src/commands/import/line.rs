//! One line of an imported file: what is published of it, or why nothing is.
//!
//! A second import must find every event where the first one put it. So a line is published only if its identity
//! hangs on nothing but its own text: its id and its time, or its time and a `Nats-Msg-Id` made from the line. One whose
//! time is when it is received would be another event, or another dead letter, each time.
//!
//! It does not publish.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, de::IgnoredAny};
use valera_events::{Headers, Keys, Origin, Rejection, Verdict, check, privacy::pseudonymise_body, subject};
use valera_tracker::{MAX_BODY, Outgoing};

/// What becomes of a line.
pub(super) enum Line {
    /// It is published; where it is flawed, for the dead letters.
    Publish { message: Outgoing, flaws: Option<Rejection> },
    /// It stays in the file, for this reason.
    LeftOut(String),
}

/// What makes a line one that can be found again.
const ADD: &str = "add a usable occurred_at (RFC 3339) or event_id (a UUIDv7)";

/// What decides where a line goes and whether it can be found again; a null is nothing.
#[derive(Deserialize, Default)]
struct Fields {
    event_name: Option<String>,
    event_id: Option<IgnoredAny>,
    occurred_at: Option<IgnoredAny>,
}

/// Reads a line, without its line end; one that is not `whole` was longer than an event can be.
pub(super) fn read(line: &[u8], whole: bool, keys: &Keys, now: DateTime<Utc>) -> Line {
    if !whole {
        return Line::LeftOut(format!("expected a line of at most {MAX_BODY} bytes, which the broker takes"));
    }
    let fields = serde_json::from_slice::<Fields>(line).unwrap_or_default();
    let name = fields.event_name.unwrap_or_default();
    let subject = subject::of_event_or_invalid(&name);
    let msg_id = keys.content.import_id(line);
    let judge =
        |body: &[u8]| match check(&subject, &Headers { msg_id: Some(&msg_id), origin: Origin::Import }, body, now) {
            Verdict::Accepted(_) => None,
            Verdict::Rejected(rejection) => Some(rejection),
        };
    let Some(body) = pseudonymise_body(&subject, line, &keys.pseudonym) else {
        return Line::LeftOut(judge(line).map(|flaws| flaws.to_string()).unwrap_or_default());
    };
    let flaws = judge(&body);
    match &flaws {
        None if fields.event_id.is_none() && fields.occurred_at.is_none() => {
            return Line::LeftOut(format!("{ADD}: with neither, each import would store another event"));
        }
        Some(flaws) if flaws.sent_id.is_none() && flaws.occurred_at.is_none() => {
            return Line::LeftOut(format!("{ADD}: with neither, each import would add a dead letter; {flaws}"));
        }
        _ => {}
    }
    let body = Bytes::from(body.into_owned());
    Line::Publish { message: Outgoing { subject, msg_id: Some(msg_id), origin: Origin::Import, body }, flaws }
}
