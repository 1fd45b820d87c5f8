//! The verdict on one message.
//!
//! One pure function that the SDK, the gateway and every consumer call, so that they cannot disagree; time enters
//! only as the moment JetStream received the message, so that a replay years later reaches the same verdict. It names
//! all the faults it can see at once: whoever repairs a dead letter wants to do so once.
//!
//! It does not know a time zone or a key, hence derives neither session nor hash.

mod envelope;
mod properties;
mod time;

use chrono::{DateTime, Utc};

use crate::catalogue::Catalogue;
use crate::event::{Event, Rejection};
use crate::headers::Headers;
use crate::json::{self, Path};
use crate::reason::{Reason, ReasonCode, Reasons};
use crate::subject;

pub use time::parse_rfc3339;
pub(crate) use time::{ID_DRIFT, cut};

/// The longest body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// Accepted, or rejected with at least one reason.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// May be stored.
    Accepted(Event<'a>),
    /// Belongs to the dead letters.
    Rejected(Rejection),
}

/// Judges one message as JetStream received it.
pub fn check<'a>(subject: &'a str, headers: &Headers<'a>, body: &'a [u8], received_at: DateTime<Utc>) -> Verdict<'a> {
    check_under(Catalogue::OURS, subject, headers, body, received_at)
}

/// Judges one message as [`check`] would if this were our catalogue.
pub fn check_under<'a>(
    catalogue: Catalogue,
    subject: &'a str,
    headers: &Headers<'a>,
    body: &'a [u8],
    received_at: DateTime<Utc>,
) -> Verdict<'a> {
    let mut faults = Reasons::default();
    let name = subject::event_name(subject);
    if name.is_none() {
        faults.push(ReasonCode::BadEventName, &Path::ROOT.key("subject"), || {
            "analytics.<event name>, a name being a lower-case letter and up to 49 of a-z, 0-9 and _".into()
        });
    }
    if body.len() > MAX_BODY {
        let expected = format!("a body of at most {MAX_BODY} bytes; got {}", body.len());
        faults.add(Reason::new(ReasonCode::TooLarge, &Path::ROOT, expected));
    }
    let Some(members) = json::read_object(body, &mut faults) else {
        return rejected(name, faults, None, None);
    };
    let envelope = envelope::read(members, name, &mut faults);
    let window = time::Window::new(received_at, headers.origin);
    let when = time::resolve(&envelope, received_at, &window, &mut faults);
    let spec = name.and_then(|name| catalogue.find(name));
    if let Some(spec) = spec {
        properties::judge(&envelope.properties, spec, &mut faults);
    }
    match (name, envelope.chat_id, when.occurred_at) {
        (Some(name), Some(chat_id), Some(occurred_at)) if faults.is_empty() => Verdict::Accepted(Event {
            sent_id: when.sent_id,
            name,
            spec,
            chat_id,
            occurred_at,
            session_id: envelope.session_id,
            platform: envelope.platform.unwrap_or("telegram".into()),
            properties: envelope.properties,
            msg_id: headers.msg_id,
            origin: headers.origin,
        }),
        _ => rejected(name, faults, when.sent_id, when.sent_at),
    }
}

fn rejected<'a>(
    name: Option<&str>,
    faults: Reasons,
    sent_id: Option<uuid::Uuid>,
    occurred_at: Option<DateTime<Utc>>,
) -> Verdict<'a> {
    Verdict::Rejected(Rejection {
        reasons: faults.into_vec(),
        event_name: name.map(str::to_owned),
        sent_id,
        occurred_at,
    })
}
