//! A stored event as one line of an exported file, under a seal with which it can be put back as it was.
//!
//! What is stored has been judged, cleaned of personal values and completed, so neither its verdict nor its content hash
//! can be found again from what is left. Both are taken over from the line, and therefore only where the seal holds: a
//! keyed hash of every byte of the line before it. A line that was edited, cut or laid out anew has none that holds.
//!
//! It does not read files, and judges nothing.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::event::Event;
use crate::json::write_string;
use crate::keys::{ContentHash, ContentKey};

/// The longest line that an export writes, in bytes: Postgres spells a number such as `1e308` out, so what was sent in 64 KiB
/// comes back up to 52 times as long.
pub const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// What stands before the seal, and after it.
const SEAL: (&[u8], &[u8]) = (br#","seal":""#, br#""}"#);

/// Of 16 bytes, in hex digits.
const DIGITS: usize = 32;

/// A stored event. Borrows the line it was read from where it can.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded<'a> {
    /// Its identity.
    pub event_id: Uuid,
    /// The token in the subject.
    pub event_name: Cow<'a, str>,
    /// The Telegram chat.
    pub chat_id: i64,
    /// Whole microseconds.
    pub occurred_at: DateTime<Utc>,
    /// As stored, sent or derived.
    pub session_id: Cow<'a, str>,
    /// As stored.
    pub platform: Cow<'a, str>,
    /// JSON text of an object, as Postgres spells it.
    pub properties: &'a str,
    /// Of the event as it was sent.
    pub content_hash: ContentHash,
    /// Where in the stream it came from.
    pub stream_seq: i64,
}

/// The members of a line but its seal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members<'a> {
    event_id: Uuid,
    #[serde(borrow)]
    event_name: Cow<'a, str>,
    chat_id: i64,
    occurred_at: DateTime<Utc>,
    #[serde(borrow)]
    session_id: Cow<'a, str>,
    #[serde(borrow)]
    platform: Cow<'a, str>,
    #[serde(borrow)]
    properties: &'a RawValue,
    content_hash: &'a str,
    stream_seq: i64,
    #[serde(rename = "seal")]
    _seal: &'a str,
}

/// Why a line is not taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsealed {
    /// It does not end in a seal.
    #[error("it does not end in a seal: it is cut off, or not a line of `export`")]
    NotExported,
    /// The seal is not of these bytes under this key.
    #[error("its seal does not hold: the line was changed, or exported under another content key")]
    Broken,
    /// Sealed by us, and yet not as this version writes it.
    #[error("its seal holds, and yet it is no event as this version exports it")]
    Unknown,
}

impl<'a> Recorded<'a> {
    /// Appends the line, with its end.
    pub fn write(&self, key: &ContentKey, out: &mut Vec<u8>) {
        let begins = out.len();
        self.write_envelope(out);
        out.extend_from_slice(br#","content_hash":""#);
        out.extend_from_slice(HEXLOWER.encode(&self.content_hash).as_bytes());
        out.extend_from_slice(br#"","stream_seq":"#);
        out.extend_from_slice(self.stream_seq.to_string().as_bytes());
        let seal = key.seal(&out[begins..]);
        out.extend_from_slice(SEAL.0);
        out.extend_from_slice(HEXLOWER.encode(&seal).as_bytes());
        out.extend_from_slice(SEAL.1);
        out.push(b'\n');
    }

    /// Reads a line, without its end, whose seal holds.
    ///
    /// # Errors
    /// [`Unsealed`].
    pub fn read(line: &'a [u8], key: &ContentKey) -> Result<Self, Unsealed> {
        let (sealed, digits) = apart(line).ok_or(Unsealed::NotExported)?;
        if HEXLOWER.encode(&key.seal(sealed)).as_bytes() != digits {
            return Err(Unsealed::Broken);
        }
        let members: Members<'a> = serde_json::from_slice(line).map_err(|_| Unsealed::Unknown)?;
        let content_hash = HEXLOWER.decode(members.content_hash.as_bytes()).ok();
        let content_hash = content_hash.and_then(|hash| ContentHash::try_from(hash).ok()).ok_or(Unsealed::Unknown)?;
        let recorded = Self {
            event_id: members.event_id,
            event_name: members.event_name,
            chat_id: members.chat_id,
            occurred_at: members.occurred_at,
            session_id: members.session_id,
            platform: members.platform,
            properties: members.properties.get(),
            content_hash,
            stream_seq: members.stream_seq,
        };
        if recorded.properties.starts_with('{') { Ok(recorded) } else { Err(Unsealed::Unknown) }
    }

    /// The event, as [`Event::recorded`] makes it.
    pub fn event(&self) -> Option<Event<'_>> {
        Event::recorded(&self.event_name, self.chat_id, self.occurred_at, &self.platform, self.properties)
    }

    /// The body of a message that would carry what is stored.
    pub fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.properties.len() + 256);
        self.write_envelope(&mut out);
        out.push(b'}');
        out
    }

    /// The members of the wire contract, the object left open.
    fn write_envelope(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"event_id":""#);
        out.extend_from_slice(self.event_id.hyphenated().to_string().as_bytes());
        out.extend_from_slice(br#"","event_name":"#);
        write_string(&self.event_name, out);
        out.extend_from_slice(br#","chat_id":"#);
        out.extend_from_slice(self.chat_id.to_string().as_bytes());
        out.extend_from_slice(br#","occurred_at":""#);
        out.extend_from_slice(self.occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true).as_bytes());
        out.extend_from_slice(br#"","session_id":"#);
        write_string(&self.session_id, out);
        out.extend_from_slice(br#","platform":"#);
        write_string(&self.platform, out);
        out.extend_from_slice(br#","properties":"#);
        out.extend_from_slice(self.properties.as_bytes());
    }
}

/// Whether a line looks as if it had been exported, whatever its seal says.
pub fn is_exported(line: &[u8]) -> bool {
    apart(line).is_some()
}

/// What is sealed, and the digits of the seal.
fn apart(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, digits) = line.strip_suffix(SEAL.1)?.split_last_chunk::<DIGITS>()?;
    let sealed = rest.strip_suffix(SEAL.0)?;
    digits.iter().all(u8::is_ascii_hexdigit).then_some((sealed, digits))
}
