//! An accepted event, and what is still known of a rejected one.
//!
//! An event borrows the message it was read from: a consumer judges tens of thousands a second, and most of their
//! text goes into the table as it came.
//!
//! It does not come into being but by `check`, in the product, or from the row that an accepted one became.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::catalogue::{self, EventSpec, PropertyKind};
use crate::headers::Origin;
use crate::json::{self, Members, Node};
use crate::keys::{ContentHash, ContentKey, PseudonymKeys};
use crate::reason::{Reason, Reasons};
use crate::{content, id, privacy};

/// Where and when JetStream received the message: what a derived id hangs on when the message names no id of its own.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Name of the stream.
    pub stream: &'a str,
    /// Sequence in it.
    pub sequence: u64,
    /// The server's time, with its nanoseconds.
    pub received_at: DateTime<Utc>,
}

/// An event that `check` accepted. Borrows the body where it can.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// As sent in the body; [`Event::event_id`] derives one where it is absent.
    pub sent_id: Option<Uuid>,
    /// The token in the subject.
    pub name: &'a str,
    /// `None` for a name outside the catalogue.
    pub spec: Option<&'static EventSpec>,
    /// The Telegram chat.
    pub chat_id: i64,
    /// Whole microseconds.
    pub occurred_at: DateTime<Utc>,
    /// As sent; the persister derives one where it is absent.
    pub session_id: Option<Cow<'a, str>>,
    /// As sent, else `telegram`.
    pub platform: Cow<'a, str>,
    /// Top-level members as sent, in order; decimals that came as strings are still strings here.
    pub properties: Members<'a>,
    /// `Nats-Msg-Id`.
    pub msg_id: Option<&'a str>,
    /// `Valera-Origin`.
    pub origin: Origin,
}

impl<'a> Event<'a> {
    /// An event as the raw table holds it: accepted once, under whatever catalogue, so it is not judged again. It has no id
    /// in it, and its session is the row's. `properties` is JSON text; `None` when that is no object.
    pub fn recorded(
        name: &'a str,
        chat_id: i64,
        occurred_at: DateTime<Utc>,
        platform: &'a str,
        properties: &'a str,
    ) -> Option<Self> {
        Some(Self {
            sent_id: None,
            name,
            spec: catalogue::find(name),
            chat_id,
            occurred_at,
            session_id: None,
            platform: platform.into(),
            properties: json::read_object(properties.as_bytes(), &mut Reasons::default())?,
            msg_id: None,
            origin: Origin::Live,
        })
    }

    /// The id in the body, else one derived from the time and `Nats-Msg-Id` or the arrival.
    pub fn event_id(&self, arrival: &Arrival<'_>) -> Uuid {
        self.sent_id.unwrap_or_else(|| id::derive(self.occurred_at, self.msg_id, arrival))
    }

    /// What tells two events of one id apart: everything but the id. Taken before [`Event::pseudonymise`], since
    /// pseudonyms change with their key.
    pub fn content_hash(&self, key: &ContentKey) -> ContentHash {
        key.content_hash(&content::encode(self))
    }

    /// Replaces personal values by pseudonyms and scrubs free text, in place. Idempotent.
    pub fn pseudonymise(&mut self, keys: &PseudonymKeys) {
        privacy::pseudonymise(&mut self.properties, self.spec, keys);
    }

    /// Appends the properties as the JSON text that is stored: decimals as numbers, all else as sent.
    pub fn write_properties(&self, out: &mut Vec<u8>) {
        json::write_object(&self.properties, out, |name, node, out| match node {
            Node::String(text) if self.kind(name) == Some(PropertyKind::Decimal) => {
                out.extend_from_slice(text.as_bytes());
            }
            node => node.write(out),
        });
    }

    /// A declared text property as rollups key it; `None` when absent or null.
    pub fn text(&self, property: &str) -> Option<&str> {
        match (self.kind(property)?, self.property(property)?) {
            (PropertyKind::Text | PropertyKind::IntegerOrText, Node::String(text)) => Some(text),
            _ => None,
        }
    }

    /// A declared integer property; `None` when absent, null or (where text is allowed too) text.
    pub fn integer(&self, property: &str) -> Option<i64> {
        match (self.kind(property)?, self.property(property)?) {
            (PropertyKind::Integer { .. } | PropertyKind::IntegerOrText, Node::Number(text)) => text.parse().ok(),
            _ => None,
        }
    }

    /// A declared number or decimal property, in the spelling it was sent in (a JSON number); `None` when absent or
    /// null.
    pub fn number(&self, property: &str) -> Option<&str> {
        match (self.kind(property)?, self.property(property)?) {
            (PropertyKind::Number { .. } | PropertyKind::Decimal, Node::Number(text)) => Some(text),
            (PropertyKind::Decimal, Node::String(text)) => Some(text),
            _ => None,
        }
    }

    fn kind(&self, property: &str) -> Option<PropertyKind> {
        self.spec?.property(property).map(|row| row.kind)
    }

    fn property(&self, name: &str) -> Option<&Node<'a>> {
        self.properties.iter().find(|(key, _)| key == name).map(|(_, node)| node)
    }
}

/// What is known of an event that `check` rejected.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// At least one.
    pub reasons: Vec<Reason>,
    /// From the subject, when it is a legal name.
    pub event_name: Option<String>,
    /// The id in the body when it is a UUIDv7 and, with its time in range, usable.
    pub sent_id: Option<Uuid>,
    /// When it parsed and is in range.
    pub occurred_at: Option<DateTime<Utc>>,
}

impl fmt::Display for Rejection {
    /// The reasons, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.reasons.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{reason}")?;
        }
        Ok(())
    }
}

impl Rejection {
    /// The id of its dead letter's event: as sent, else derived from `occurred_at` if known, else from when it was
    /// received.
    pub fn event_id(&self, msg_id: Option<&str>, arrival: &Arrival<'_>) -> Uuid {
        let at = self.occurred_at.unwrap_or(arrival.received_at);
        self.sent_id.unwrap_or_else(|| id::derive(at, msg_id, arrival))
    }
}
