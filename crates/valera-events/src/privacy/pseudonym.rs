//! Keyed pseudonyms: `p<key id>_` and 26 characters of base32, 128 bits.
//!
//! HMAC-SHA-256(key, "ctx:v1:" ‖ field ‖ 0 ‖ normalised value), in the order of NIST SP 800-108 (label, zero,
//! context). Without the key, a hash of a phone number is a lookup table of ten thousand million rows. The field is
//! in it, so that equal values in different fields do not show as equal.
//!
//! It does not make data anonymous: who holds the key can test a guess.

use data_encoding::BASE32_NOPAD;

use super::normalise::normalise;
use crate::catalogue::PersonalKind;
use crate::keys::{PseudonymKey, is_key_id};

/// Characters of 128 bits in base32.
const ENCODED: usize = 26;

/// The pseudonym of a value of a field (the key's name in lower case).
pub(super) fn of(value: &str, field: &str, kind: PersonalKind, key: &PseudonymKey) -> String {
    let value = normalise(value, kind);
    let hash = key.hash(&[b"ctx:v1:", field.as_bytes(), &[0], value.as_bytes()]);
    let mut encoded = BASE32_NOPAD.encode(&hash);
    encoded.make_ascii_lowercase();
    format!("p{}_{encoded}", key.id())
}

/// Whether a text has the shape of a pseudonym, of whatever key: one that was rotated out must stay as well.
pub fn is_pseudonym(text: &str) -> bool {
    let Some((id, encoded)) = text.strip_prefix('p').and_then(|rest| rest.split_once('_')) else {
        return false;
    };
    is_key_id(id) && encoded.len() == ENCODED && encoded.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
}
