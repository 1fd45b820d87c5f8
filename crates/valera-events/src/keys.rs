//! The secrets: one for content hashes and sessions, never rotated; one or more for pseudonyms.
//!
//! Each key is expanded into its HMAC state once, since every event pays for its use. `Debug` shows fingerprints and
//! key ids only, so that a key cannot reach a log by way of a struct that holds it.
//!
//! It does not read files or the environment.

use std::fmt;

use chrono::NaiveDate;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// 16 bytes of HMAC-SHA-256 over an event's content.
pub type ContentHash = [u8; 16];

/// A key of 32 bytes and the HMAC state that it makes.
#[derive(Clone)]
struct Secret {
    bytes: [u8; 32],
    mac: Hmac<Sha256>,
}

impl Secret {
    fn new(bytes: [u8; 32]) -> Self {
        // HMAC pads a short key with zeros to the hash's block; doing so here makes the construction infallible.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&bytes);
        Self { bytes, mac: Hmac::new(&block.into()) }
    }

    fn from_hex(text: &str) -> Result<Self, BadKey> {
        let digits = text.trim().to_ascii_lowercase();
        let bytes = HEXLOWER.decode(digits.as_bytes()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let shape = || format!("a key is 64 hexadecimal digits; got {} characters", digits.chars().count());
        bytes.map(Self::new).ok_or_else(|| BadKey(shape()))
    }

    /// The first 16 bytes of the HMAC over the parts, one after another.
    fn hash(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(part);
        }
        let digest = mac.finalize().into_bytes();
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        first
    }
}

/// The key of content hashes and sessions. Never rotated: hashes taken before the change would all read as conflicts.
#[derive(Clone)]
pub struct ContentKey(Secret);

impl ContentKey {
    /// Reads 64 hex digits; white space around them is ignored. Errors say how the text is malformed, never what it
    /// is.
    pub fn from_hex(text: &str) -> Result<Self, BadKey> {
        Secret::from_hex(text).map(Self)
    }

    /// A key from 32 random bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// The key itself as 64 hex digits, for the file that keeps it.
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0.bytes)
    }

    /// 16 hex digits that say which key this is and give nothing of it away.
    pub fn fingerprint(&self) -> String {
        HEXLOWER.encode(&self.0.hash(&[b"fingerprint:v1:"])[..8])
    }

    /// The session of a chat on a local day: 32 hex digits.
    pub fn session_id(&self, chat_id: i64, local_day: NaiveDate) -> String {
        let day = local_day.to_string();
        HEXLOWER.encode(&self.0.hash(&[b"session:v1:", &chat_id.to_be_bytes(), day.as_bytes()]))
    }

    /// The `Nats-Msg-Id` of a line of an imported file: the same line has the same one for ever, whatever the pseudonym
    /// keys are by then. Keyed, because the stream keeps it, and a plain hash of a line would confirm any guess at the
    /// personal values that were taken out of it.
    pub fn import_id(&self, line: &[u8]) -> String {
        format!("import/{}", HEXLOWER.encode(&self.0.hash(&[b"import:v1:", line])))
    }

    /// The seal of a line of an exported file.
    pub(crate) fn seal(&self, line: &[u8]) -> [u8; 16] {
        self.0.hash(&[b"export:v1:", line])
    }

    pub(crate) fn content_hash(&self, encoded: &[u8]) -> ContentHash {
        self.0.hash(&[b"content:v1:", encoded])
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentKey({})", self.fingerprint())
    }
}

/// One pseudonym key: `<id>:<64 hex digits>`, id `[a-z0-9]{1,8}`.
#[derive(Clone)]
pub struct PseudonymKey {
    id: String,
    secret: Secret,
}

impl PseudonymKey {
    /// Reads `<id>:<64 hex digits>`. Errors say how the text is malformed, never what it is.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let missing = || BadKey("a pseudonym key is <id>:<64 hexadecimal digits>; got no colon".into());
        let (id, digits) = text.trim().split_once(':').ok_or_else(missing)?;
        let secret = Secret::from_hex(digits)?;
        Self::new(id, secret)
    }

    /// A key from its id and 32 random bytes. Errors when the id is not `[a-z0-9]{1,8}`.
    pub fn from_bytes(id: &str, bytes: [u8; 32]) -> Result<Self, BadKey> {
        Self::new(id, Secret::new(bytes))
    }

    fn new(id: &str, secret: Secret) -> Result<Self, BadKey> {
        if !is_key_id(id) {
            return Err(BadKey("the id of a pseudonym key is 1 to 8 of the characters a-z and 0-9".into()));
        }
        Ok(Self { id: id.into(), secret })
    }

    /// Stands in every pseudonym that this key makes.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key itself as `<id>:<64 hex digits>`, for the file that keeps it.
    pub fn to_text(&self) -> String {
        format!("{}:{}", self.id, HEXLOWER.encode(&self.secret.bytes))
    }

    pub(crate) fn hash(&self, parts: &[&[u8]]) -> [u8; 16] {
        self.secret.hash(parts)
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PseudonymKey({})", self.id)
    }
}

/// Whether a text may be the id of a pseudonym key.
pub(crate) fn is_key_id(text: &str) -> bool {
    (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// The pseudonym keys of an installation. The first is used for new pseudonyms, the others are kept to look values
/// up.
#[derive(Debug, Clone)]
pub struct PseudonymKeys {
    current: PseudonymKey,
    older: Vec<PseudonymKey>,
}

impl PseudonymKeys {
    /// Reads comma or line separated [`PseudonymKey`]s, the current first. Errors on none, a malformed one or two of
    /// one id.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let parts = text.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty());
        let mut keys = parts.map(PseudonymKey::parse).collect::<Result<Vec<_>, _>>()?.into_iter();
        let current = keys.next().ok_or_else(|| BadKey("no pseudonym key given".into()))?;
        let keys = Self { current, older: keys.collect() };
        let mut ids: Vec<&str> = keys.iter().map(PseudonymKey::id).collect();
        ids.sort_unstable();
        match ids.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(BadKey(format!("two pseudonym keys have the id {}", pair[0]))),
            None => Ok(keys),
        }
    }

    /// The key that makes new pseudonyms.
    pub fn current(&self) -> &PseudonymKey {
        &self.current
    }

    /// Every key, the current first.
    pub fn iter(&self) -> impl Iterator<Item = &PseudonymKey> {
        std::iter::once(&self.current).chain(&self.older)
    }
}

impl From<PseudonymKey> for PseudonymKeys {
    fn from(current: PseudonymKey) -> Self {
        Self { current, older: Vec::new() }
    }
}

/// What a consumer needs.
#[derive(Debug, Clone)]
pub struct Keys {
    /// For content hashes and sessions.
    pub content: ContentKey,
    /// For pseudonyms.
    pub pseudonym: PseudonymKeys,
}

/// Which key is malformed and how; never its text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadKey(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn keys_survive_their_file_and_hide_from_debug() {
        let key = ContentKey::from_hex(&format!(" {}\n", HEX.to_uppercase())).unwrap();
        assert_eq!(key.to_hex(), HEX);
        let keys = PseudonymKeys::parse(&format!("k2:{HEX}\n\nk1:{HEX},")).unwrap();
        assert_eq!(keys.current().to_text(), format!("k2:{HEX}"));
        let shown = format!("{:?}", Keys { content: key, pseudonym: keys });
        assert!(!shown.contains("0405"), "{shown}");
        assert!(shown.contains("k1") && shown.contains("k2"));
    }

    #[test]
    fn malformed_keys_are_refused_without_being_shown() {
        let short = &HEX[..62];
        for text in ["", short, "zz", &format!("{HEX}00")] {
            let error = ContentKey::from_hex(text).unwrap_err().to_string();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
        let doubled = format!("k1:{HEX},k1:{HEX}");
        let (upper, long) = (format!("K1:{HEX}"), format!("k12345678:{HEX}"));
        for text in ["", " , ", HEX, ":", &format!(":{HEX}"), &upper, &long, &doubled] {
            let error = PseudonymKeys::parse(text).unwrap_err().to_string();
            assert!(!error.contains(HEX), "{error}");
        }
    }

    #[test]
    fn sessions_fingerprints_and_import_ids_never_change() {
        let key = ContentKey::from_hex(HEX).unwrap();
        let day = NaiveDate::from_ymd_opt(2025, 11, 1).unwrap();
        assert_eq!(key.fingerprint(), "ecda64b7a04545dc");
        assert_eq!(key.session_id(-100_123, day), "c2103800314a66f71bc7442b55837259");
        assert_eq!(key.import_id(b"{}"), "import/3718b0e76916c69700f6dc98def59268");
        assert_ne!(key.session_id(1, day), key.session_id(2, day));
        assert_ne!(key.session_id(1, day), key.session_id(1, day.succ_opt().unwrap()));
    }
}
