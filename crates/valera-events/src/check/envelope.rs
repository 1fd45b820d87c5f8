//! The top-level fields, each judged on its own.
//!
//! A null equals an absent field (Rails sends nil), and of a key that stands twice the first is judged.
//!
//! It does not relate fields to each other or to the clock: `time` does.

use std::borrow::Cow;

use uuid::Uuid;

use super::time;
use crate::id;
use crate::json::{Members, Node, Path, is_integer};
use crate::reason::{ReasonCode, Reasons};
use chrono::{DateTime, Utc};

/// What a field says: nothing, something wrong (already reported), or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field<T> {
    Absent,
    Bad,
    Value(T),
}

/// The fields as sent; what was wrong is left out.
pub(super) struct Envelope<'a> {
    pub(super) event_id: Field<Uuid>,
    pub(super) occurred_at: Field<DateTime<Utc>>,
    pub(super) chat_id: Option<i64>,
    pub(super) session_id: Option<Cow<'a, str>>,
    pub(super) platform: Option<Cow<'a, str>>,
    pub(super) properties: Members<'a>,
}

/// Reads the fields of a body whose subject names `name`.
pub(super) fn read<'a>(members: Members<'a>, name: Option<&str>, faults: &mut Reasons) -> Envelope<'a> {
    let mut fields = Fields::default();
    for (key, node) in members {
        fields.take(&key, node, faults);
    }
    judge_name(fields.event_name, name, faults);
    Envelope {
        event_id: event_id(fields.event_id, faults),
        occurred_at: occurred_at(fields.occurred_at, faults),
        chat_id: chat_id(fields.chat_id, faults),
        session_id: short_text(fields.session_id, "session_id", 64, ReasonCode::BadSessionId, faults),
        platform: short_text(fields.platform, "platform", 20, ReasonCode::BadPlatform, faults),
        properties: properties(fields.properties, faults),
    }
}

#[derive(Default)]
struct Fields<'a> {
    event_id: Option<Node<'a>>,
    event_name: Option<Node<'a>>,
    chat_id: Option<Node<'a>>,
    occurred_at: Option<Node<'a>>,
    session_id: Option<Node<'a>>,
    platform: Option<Node<'a>>,
    properties: Option<Node<'a>>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, key: &str, node: Node<'a>, faults: &mut Reasons) {
        let slot = match key {
            "event_id" => &mut self.event_id,
            "event_name" => &mut self.event_name,
            "chat_id" => &mut self.chat_id,
            "occurred_at" => &mut self.occurred_at,
            "session_id" => &mut self.session_id,
            "platform" => &mut self.platform,
            "properties" => &mut self.properties,
            _ => {
                faults.push(ReasonCode::UnknownField, &Path::ROOT.key(key), || {
                    "only event_id, event_name, chat_id, occurred_at, session_id, platform and properties; \
                     all else belongs into properties"
                        .into()
                });
                return;
            }
        };
        if slot.is_none() && node != Node::Null {
            *slot = Some(node);
        }
    }
}

fn judge_name(sent: Option<Node<'_>>, subject: Option<&str>, faults: &mut Reasons) {
    let path = Path::ROOT.key("event_name");
    match (sent, subject) {
        (None, _) => {}
        (Some(Node::String(sent)), Some(name)) if sent != name => {
            faults.push(ReasonCode::NameMismatch, &path, || format!("{name}, as in the subject, or no event_name"));
        }
        // Without a name in the subject there is nothing to compare with, and that fault is reported already.
        (Some(Node::String(_)), _) => {}
        (Some(other), _) => faults.push(ReasonCode::BadEventName, &path, || {
            format!("a string equal to the subject's event name; got {}", other.shape())
        }),
    }
}

fn event_id(sent: Option<Node<'_>>, faults: &mut Reasons) -> Field<Uuid> {
    let Some(node) = sent else {
        return Field::Absent;
    };
    let parsed = match &node {
        Node::String(text) => id::parse(text),
        _ => None,
    };
    match parsed {
        Some(id) if id::is_v7(id) => return Field::Value(id),
        Some(id) => faults.push(ReasonCode::BadEventId, &Path::ROOT.key("event_id"), || {
            let (version, variant) = (id.get_version_num(), id.get_variant());
            let kind = if version == 7 { format!("the variant {variant:?}") } else { format!("a UUIDv{version}") };
            format!("a UUIDv7; got {kind}: send an id of your own as Nats-Msg-Id, together with occurred_at")
        }),
        None => faults.push(ReasonCode::BadEventId, &Path::ROOT.key("event_id"), || {
            format!("a UUIDv7 of 36 characters with hyphens; got {}", node.shape())
        }),
    }
    Field::Bad
}

fn occurred_at(sent: Option<Node<'_>>, faults: &mut Reasons) -> Field<DateTime<Utc>> {
    let Some(node) = sent else {
        return Field::Absent;
    };
    let parsed = match &node {
        Node::String(text) => time::parse_rfc3339(text),
        _ => None,
    };
    if let Some(time) = parsed {
        return Field::Value(time);
    }
    faults.push(ReasonCode::BadOccurredAt, &Path::ROOT.key("occurred_at"), || {
        format!("an RFC 3339 time such as 2025-11-01T12:00:00.123456Z, its second below 60; got {}", node.shape())
    });
    Field::Bad
}

fn chat_id(sent: Option<Node<'_>>, faults: &mut Reasons) -> Option<i64> {
    let path = Path::ROOT.key("chat_id");
    let Some(node) = sent else {
        faults.push(ReasonCode::MissingChatId, &path, || "an integer, the Telegram chat; got nothing".into());
        return None;
    };
    let parsed = match &node {
        Node::Number(text) if is_integer(text) => text.parse().ok(),
        _ => None,
    };
    if parsed.is_none() {
        let range = matches!(&node, Node::Number(text) if is_integer(text));
        faults.push(ReasonCode::BadChatId, &path, || {
            let beyond = if range { " beyond 64 bits" } else { "" };
            format!(
                "an integer of 64 bits, written without quotes, fraction and exponent; got {}{beyond}",
                node.shape()
            )
        });
    }
    parsed
}

fn short_text<'a>(
    sent: Option<Node<'a>>,
    field: &str,
    longest: usize,
    reason: ReasonCode,
    faults: &mut Reasons,
) -> Option<Cow<'a, str>> {
    match sent? {
        // A scalar takes at least one byte, which spares the count for texts of ordinary length.
        Node::String(text) if !text.is_empty() && (text.len() <= longest || text.chars().count() <= longest) => {
            Some(text)
        }
        other => {
            faults.push(reason, &Path::ROOT.key(field), || {
                format!("a string of 1 to {longest} characters; got {}", other.shape())
            });
            None
        }
    }
}

fn properties<'a>(sent: Option<Node<'a>>, faults: &mut Reasons) -> Members<'a> {
    match sent {
        None => Members::new(),
        Some(Node::Object(members)) => members,
        Some(other) => {
            faults.push(ReasonCode::BadProperties, &Path::ROOT.key("properties"), || {
                format!("an object; got {}", other.shape())
            });
            Members::new()
        }
    }
}
