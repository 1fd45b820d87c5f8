//! Makes of what the bot said what travels: concealed, checked, with an id minted at its time.
//!
//! Concealing comes first, so that the verdict is on the bytes that are sent, and so that a flawed event hides its personal
//! values too. An event is walked twice and never parsed for it.
//!
//! It does not queue or count.

use crate::{event::Event, record::Record};
use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use std::borrow::Cow;
use valera_events::{
    Headers, PseudonymKeys, Reason, Verdict, catalogue, check, id,
    json::{Node, write_string},
    privacy, subject,
};

/// The longest body that is sent, in bytes. The contract allows 64 KiB; what lies between survives as a dead letter.
pub const MAX_BODY: usize = 512 * 1024;

/// Ready to be queued.
pub(crate) struct Prepared {
    pub(crate) record: Record,
    /// What the contract has against it.
    pub(crate) flaws: Vec<Reason>,
}

/// `None` when the body would be longer than [`MAX_BODY`].
pub(crate) fn prepare(event: Event, keys: &PseudonymKeys, now: DateTime<Utc>) -> Option<Prepared> {
    let Event { name, chat_id, occurred_at, session_id, platform, mut properties, size } = event;
    if size.saturating_add(name.len()) > MAX_BODY {
        return None;
    }
    let occurred_at = occurred_at.unwrap_or(now).trunc_subsecs(6);
    let event_id = id::mint(occurred_at, rand::random());
    let subject = subject::of_event(&name);
    // A legal name holds nothing but letters and digits, too short for a secret.
    let shown = if subject.is_some() { Cow::Borrowed(&*name) } else { privacy::scrub(&name) };
    privacy::conceal(&mut properties, catalogue::find(&name), keys);

    let mut body = Vec::with_capacity(256 + size);
    let mut id_text = uuid::Uuid::encode_buffer();
    body.extend_from_slice(b"{\"event_id\":\"");
    body.extend_from_slice(event_id.hyphenated().encode_lower(&mut id_text).as_bytes());
    body.extend_from_slice(b"\",\"event_name\":");
    write_string(&shown, &mut body);
    body.extend_from_slice(b",\"chat_id\":");
    body.extend_from_slice(chat_id.to_string().as_bytes());
    body.extend_from_slice(b",\"occurred_at\":\"");
    body.extend_from_slice(occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true).as_bytes());
    body.push(b'"');
    for (field, value) in [("session_id", session_id), ("platform", platform)] {
        if let Some(value) = value {
            body.extend_from_slice(format!(",\"{field}\":").as_bytes());
            write_string(&privacy::scrub(&value), &mut body);
        }
    }
    body.extend_from_slice(b",\"properties\":");
    Node::Object(properties).write(&mut body);
    body.push(b'}');
    if body.len() > MAX_BODY {
        return None;
    }

    let subject = subject.unwrap_or_else(|| subject::INVALID.to_owned());
    let flaws = match check(&subject, &Headers::default(), &body, now) {
        Verdict::Accepted(_) => Vec::new(),
        Verdict::Rejected(rejection) => rejection.reasons,
    };
    Some(Prepared { record: Record { event_id, subject, body: body.into() }, flaws })
}
