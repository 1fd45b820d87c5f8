//! Ids: UUIDv7, sent or derived, and the ids of dead letters.
//!
//! A derived id is a pure function of the message, so that a redelivery, a replay and another consumer all give the
//! same one, and it is v7-shaped (RFC 9562), because raw tables are partitioned by the time in the id.
//!
//! It does not draw random numbers or read the clock.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid, Variant};

use crate::event::Arrival;

/// The time in a UUIDv7: milliseconds since 1970.
pub fn millis(id: Uuid) -> i64 {
    (id.as_u128() >> 80) as i64
}

/// The time in a UUIDv7; `None` never happens for 48 bits, but chrono cannot know.
pub fn time(id: Uuid) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis(id))
}

/// Mints a random UUIDv7 at `at`, from 10 random bytes of the caller's. A time before 1970 counts as 1970.
pub fn mint(at: DateTime<Utc>, random: [u8; 10]) -> Uuid {
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// Reads a hyphenated UUID, in either case; `None` for every other spelling.
pub fn parse(text: &str) -> Option<Uuid> {
    // Of the spellings that `try_parse` takes, only the hyphenated one has 36 characters.
    if text.len() != 36 { None } else { Uuid::try_parse(text).ok() }
}

/// Whether an id has the version and the variant of a UUIDv7.
pub fn is_v7(id: Uuid) -> bool {
    id.get_version_num() == 7 && id.get_variant() == Variant::RFC4122
}

/// The id that consumers derive for a message of this time and `Nats-Msg-Id`, for who wants to know it beforehand.
pub fn of_message(at: DateTime<Utc>, msg_id: &str) -> Uuid {
    derive(at, Some(msg_id), &Arrival { stream: "", sequence: 0, received_at: at })
}

/// The id of an event that names none: its time, then a hash of `Nats-Msg-Id` if there is one, else of its place and
/// moment in the stream (a stream that lost its tail hands out the same sequence again, so the sequence alone would
/// not do).
pub(crate) fn derive(at: DateTime<Utc>, msg_id: Option<&str>, arrival: &Arrival<'_>) -> Uuid {
    let mut hash = Sha256::new();
    match msg_id.filter(|id| !id.is_empty()) {
        Some(msg_id) => {
            hash.update(b"valera:event-id:v1:msg-id:");
            hash.update(msg_id.as_bytes());
        }
        None => {
            hash.update(b"valera:event-id:v1:arrival:");
            hash.update(arrival.sequence.to_be_bytes());
            hash.update(arrival.received_at.timestamp().to_be_bytes());
            hash.update(arrival.received_at.timestamp_subsec_nanos().to_be_bytes());
            hash.update(arrival.stream.as_bytes());
        }
    }
    let digest = hash.finalize();
    let mut bits = [0; 10];
    bits.copy_from_slice(&digest[..10]);
    mint(at, bits)
}

/// The id of a repaired event that cannot keep its letter's: the same for the same `origin` and millisecond. `origin` is
/// the event's id where its time has moved, and the letter's where it shall be an event of its own.
pub fn rederive(origin: Uuid, at: DateTime<Utc>) -> Uuid {
    let digest =
        Sha256::new().chain_update(b"valera:event-id:v1:repaired:").chain_update(origin.as_bytes()).finalize();
    let mut bits = [0; 10];
    bits.copy_from_slice(&digest[..10]);
    mint(at, bits)
}

/// The id of a dead letter: a hash of the event's id and the payload, v8-shaped, so that a replay adds no second
/// letter.
pub fn letter_id(event_id: Uuid, payload: &[u8]) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(b"valera:letter-id:v1:");
    hash.update(event_id.as_bytes());
    hash.update(payload);
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(stream: &str, sequence: u64, nanos: i64) -> Arrival<'_> {
        Arrival { stream, sequence, received_at: DateTime::from_timestamp_nanos(nanos) }
    }

    #[test]
    fn a_derived_id_hangs_on_the_msg_id_or_else_on_the_arrival() {
        let at = DateTime::from_timestamp_millis(1_761_984_000_123).unwrap();
        let (one, other) = (arrival("ANALYTICS", 7, 1), arrival("ANALYTICS", 8, 2));
        let id = derive(at, Some("rails/1"), &one);
        assert!(is_v7(id));
        assert_eq!(millis(id), 1_761_984_000_123);
        assert_eq!(id, derive(at, Some("rails/1"), &other));
        assert_ne!(id, derive(at, Some("rails/2"), &one));

        let id = derive(at, None, &one);
        assert_eq!(id, derive(at, Some(""), &one));
        for different in [arrival("ANALYTICS", 8, 1), arrival("ANALYTICS", 7, 2), arrival("OTHER", 7, 1)] {
            assert_ne!(id, derive(at, None, &different));
        }
    }

    #[test]
    fn derived_ids_never_change() {
        let at = DateTime::from_timestamp_millis(1_761_984_000_123).unwrap();
        let here = arrival("ANALYTICS", 7, 1_761_984_000_123_456_789);
        assert_eq!(derive(at, Some("rails/1"), &here).to_string(), "019a3e6e-307b-711b-8494-ca9a183adee1");
        assert_eq!(derive(at, None, &here).to_string(), "019a3e6e-307b-782c-9047-8146ff45e68e");
        assert_eq!(letter_id(Uuid::nil(), b"{}").to_string(), "877178c2-8108-897c-abb3-788396016266");
        assert_eq!(rederive(Uuid::nil(), at).to_string(), "019a3e6e-307b-7681-a0f0-dc5b0dda1ea3");
    }

    #[test]
    fn times_before_1970_do_not_panic() {
        assert_eq!(millis(mint(DateTime::<Utc>::MIN_UTC, [0; 10])), 0);
        assert!(is_v7(mint(DateTime::<Utc>::MAX_UTC, [255; 10])));
    }

    #[test]
    fn letters_are_told_apart_by_event_and_payload() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(letter_id(a, b"x"), letter_id(a, b"x"));
        assert_ne!(letter_id(a, b"x"), letter_id(b, b"x"));
        assert_ne!(letter_id(a, b"x"), letter_id(a, b"y"));
        assert_eq!(letter_id(a, b"x").get_version_num(), 8);
    }
}
