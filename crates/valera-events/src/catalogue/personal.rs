//! The keys whose values are personal wherever they stand, at any depth of any event.
//!
//! A list of names rather than a guess at values: a plate or a name has no shape that a scrubber could know.
//!
//! It does not find personal values in free text: `privacy::scrub` does.

/// How a personal value is normalised before it is hashed, so that two spellings give one pseudonym.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonalKind {
    /// To E.164: `+` and digits.
    Phone,
    /// NFKC, lower case, trimmed.
    Email,
    /// NFKC, lower case, white space collapsed.
    Text,
}

/// Lower-case keys; case is ignored where they are looked up.
pub static PERSONAL_KEYS: &[(&str, PersonalKind)] = &[
    ("phone_number", PersonalKind::Phone),
    ("customer_phone", PersonalKind::Phone),
    ("email", PersonalKind::Email),
    ("address", PersonalKind::Text),
    ("full_name", PersonalKind::Text),
    ("customer_name", PersonalKind::Text),
    ("plate_number", PersonalKind::Text),
    ("vin", PersonalKind::Text),
    ("username", PersonalKind::Text),
];

/// The field (in lower case) and the kind of a personal key; `None` for any other key.
pub fn personal_kind(key: &str) -> Option<(&'static str, PersonalKind)> {
    let row = PERSONAL_KEYS.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
    row.copied()
}
