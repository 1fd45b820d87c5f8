//! CloudEvents 1.0 as events of the contract: `type` is the name, `time` is when it occurred, `data` is the rest.
//!
//! `data` holds `chat_id`, and whichever of `session_id`, `platform` and `properties`. An `id` that is a UUIDv7 is the event's;
//! of any other the id is derived, with the source, as consumers derive it of a `Nats-Msg-Id` `source/id`: then `time` is
//! required, since the id holds it. Other attributes are left out: they say how the event came and not what it is.
//!
//! It does not judge what the event says.

use super::split::{Piece, reason};
use axum::http::HeaderMap;
use std::borrow::Cow;
use valera_events::{
    Reason, ReasonCode,
    check::parse_rfc3339,
    id,
    json::{self, Members, Node},
};

struct Attributes<'a> {
    version: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
}

/// An event in structured mode.
pub(super) fn structured(piece: Piece<'_>) -> Piece<'_> {
    let text = piece.text.and_then(|text| {
        let sent = json::parse_object(text.as_bytes())
            .ok_or_else(|| reason(ReasonCode::NotAnObject, "", "a CloudEvent: an object of at most 32 levels"))?;
        let attribute = |name: &str| match member(&sent, name) {
            Some(Node::String(text)) => Some(Cow::Borrowed(text.as_ref())),
            _ => None,
        };
        let attributes = Attributes {
            version: attribute("specversion"),
            id: attribute("id"),
            source: attribute("source"),
            kind: attribute("type"),
            time: attribute("time"),
        };
        let data = match member(&sent, "data") {
            Some(Node::Object(data)) => data.clone(),
            _ => return Err(reason(ReasonCode::NotAnObject, "data", "an object with chat_id and properties")),
        };
        event(&attributes, data).map(Cow::Owned)
    });
    Piece { index: piece.index, text }
}

/// An event in binary mode: the body is its data.
pub(super) fn binary(headers: &HeaderMap, body: &str) -> Result<String, Vec<Reason>> {
    let attribute = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(Cow::Borrowed);
    let attributes = Attributes {
        version: attribute("ce-specversion"),
        id: attribute("ce-id"),
        source: attribute("ce-source"),
        kind: attribute("ce-type"),
        time: attribute("ce-time"),
    };
    let data = json::parse_object(body.as_bytes())
        .ok_or_else(|| reason(ReasonCode::NotAnObject, "data", "an object with chat_id and properties"))?;
    event(&attributes, data)
}

fn event<'a>(attributes: &'a Attributes<'a>, mut data: Members<'a>) -> Result<String, Vec<Reason>> {
    let required = |name: &str, value: &'a Option<Cow<'a, str>>| {
        let missing = || reason(ReasonCode::MissingProperty, name, "an attribute of CloudEvents 1.0, a string");
        value.as_deref().filter(|text| !text.is_empty()).ok_or_else(missing)
    };
    if required("specversion", &attributes.version)? != "1.0" {
        return Err(reason(ReasonCode::OutOfRange, "specversion", "1.0"));
    }
    let (sent_id, source) = (required("id", &attributes.id)?, required("source", &attributes.source)?);
    let kind = required("type", &attributes.kind)?;
    let event_id = match (id::parse(sent_id).filter(|id| id::is_v7(*id)), attributes.time.as_deref()) {
        (Some(own), _) => own,
        (None, Some(time)) => {
            let expected = "an RFC 3339 time, since the event's id is made of it";
            let at = parse_rfc3339(time).ok_or_else(|| reason(ReasonCode::BadOccurredAt, "time", expected))?;
            id::of_message(at, &format!("{source}/{sent_id}"))
        }
        (None, None) => {
            let expected = "a UUIDv7, or another id together with `time`: sent again it is to be the same event";
            return Err(reason(ReasonCode::BadEventId, "id", expected));
        }
    };
    // What stands in the attributes is said there.
    data.retain(|(key, _)| !matches!(key.as_ref(), "event_id" | "event_name" | "occurred_at"));
    let text = |value: &str| Node::String(Cow::Owned(value.to_owned()));
    data.push(("event_id".into(), text(&event_id.to_string())));
    data.push(("event_name".into(), text(kind)));
    if let Some(time) = attributes.time.as_deref() {
        data.push(("occurred_at".into(), text(time)));
    }
    let mut written = Vec::new();
    Node::Object(data).write(&mut written);
    String::from_utf8(written).map_err(|_| reason(ReasonCode::NotJson, "data", "UTF-8"))
}

fn member<'a, 'b>(members: &'b Members<'a>, name: &str) -> Option<&'b Node<'a>> {
    members.iter().find(|(key, _)| key == name).map(|(_, node)| node)
}
