//! What becomes of one event: concealed, given an id, judged by `check`, ready to be relayed.
//!
//! What breaks the contract is relayed all the same and becomes a dead letter, as with the SDK. Only what nothing can vouch
//! for (no object, too deep, text that would not survive: personal values could hide there) or what no stream takes is refused.
//!
//! It does not know in what form the event came.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use valera_events::{
    Headers, PseudonymKeys, Reason, ReasonCode, Verdict, check,
    check::parse_rfc3339,
    id,
    json::{self, Members, Node, Path},
    privacy, subject,
};
use valera_tracker::{MAX_BODY, Relayed};

/// Makes of an event what is sent, or says why it can be kept nowhere.
pub(super) fn admit(text: &str, keys: &PseudonymKeys, now: DateTime<Utc>) -> Result<Relayed, Vec<Reason>> {
    if text.len() > MAX_BODY {
        return Err(vec![too_large(text.len())]);
    }
    let refused = || reasons(subject::INVALID, text.as_bytes(), now);
    let named = json::parse_object(text.as_bytes()).ok_or_else(refused)?;
    let shown = privacy::scrub(text_of(&named, "event_name").unwrap_or_default());
    let subject = subject::of_event_or_invalid(&shown);
    let concealed = privacy::conceal_body(&subject, text.as_bytes(), keys).ok_or_else(refused)?;
    let mut members = json::parse_object(&concealed).ok_or_else(refused)?;
    let was = members.len();
    members.retain(|(key, node)| key != "event_id" || *node != Node::Null);
    let mut changed = members.len() < was;
    let at = text_of(&members, "occurred_at").and_then(parse_rfc3339).unwrap_or(now);
    let event_id = match members.iter().find(|(key, _)| key == "event_id") {
        None => {
            let minted = id::mint(at, rand::random());
            members.insert(0, ("event_id".into(), Node::String(minted.to_string().into())));
            changed = true;
            minted
        }
        Some((_, Node::String(sent))) => {
            id::parse(sent).filter(|id| id::is_v7(*id)).unwrap_or_else(|| of_bytes(text))
        }
        Some(_) => of_bytes(text),
    };
    let body = if changed {
        let mut written = Vec::with_capacity(text.len() + 64);
        Node::Object(members).write(&mut written);
        written
    } else {
        concealed.into_owned()
    };
    if body.len() > MAX_BODY {
        return Err(vec![too_large(body.len())]);
    }
    let flaws = match check(&subject, &Headers::default(), &body, now) {
        Verdict::Accepted(_) => Vec::new(),
        Verdict::Rejected(rejection) => rejection.reasons,
    };
    Ok(Relayed { event_id, subject, body: body.into(), flaws })
}

fn text_of<'a>(members: &'a Members<'_>, field: &str) -> Option<&'a str> {
    members.iter().find_map(|(key, node)| match node {
        Node::String(text) if key == field => Some(text.as_ref()),
        _ => None,
    })
}

/// Of an event whose own id is none: the same bytes, sent again, are swallowed by the broker.
fn of_bytes(text: &str) -> Uuid {
    let digest = Sha256::digest(text.as_bytes());
    id::of_message(DateTime::UNIX_EPOCH, &format!("gateway/{digest:x?}"))
}

fn too_large(bytes: usize) -> Reason {
    Reason::new(ReasonCode::TooLarge, &Path::ROOT, format!("an event of at most {MAX_BODY} bytes; got {bytes}"))
}

fn reasons(subject: &str, body: &[u8], now: DateTime<Utc>) -> Vec<Reason> {
    match check(subject, &Headers::default(), body, now) {
        Verdict::Rejected(rejection) => rejection.reasons,
        Verdict::Accepted(_) => Vec::new(),
    }
}
