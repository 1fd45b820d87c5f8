//! The secrets: one for content hashes and sessions, never rotated; one or more for pseudonyms.
use chrono::NaiveDate;
pub type ContentHash = [u8; 16];
/// Never rotated. `Debug` shows the fingerprint only.
#[derive(Clone)]
pub struct ContentKey {}
impl ContentKey {
    /// 64 hex digits.
    pub fn from_hex(text: &str) -> Result<Self, BadKey> { let _ = text; Ok(Self {}) }
    /// 16 hex digits that say which key this is and give nothing of it away.
    pub fn fingerprint(&self) -> String { String::new() }
    /// The session of a chat on a local day: 32 hex digits.
    pub fn session_id(&self, chat_id: i64, local_day: NaiveDate) -> String { let _ = (chat_id, local_day); String::new() }
}
/// One pseudonym key: `<id>:<64 hex digits>`, id `[a-z0-9]{1,8}`.
#[derive(Clone)]
pub struct PseudonymKey {}
/// The first is used for new pseudonyms.
#[derive(Clone)]
pub struct PseudonymKeys {}
impl PseudonymKeys {
    /// Comma or line separated [`PseudonymKey`]s, the current first.
    pub fn parse(text: &str) -> Result<Self, BadKey> { let _ = text; Ok(Self {}) }
}
/// What a consumer needs.
#[derive(Clone)]
pub struct Keys { pub content: ContentKey, pub pseudonym: PseudonymKeys }
/// Which key is malformed and how; never its text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadKey(pub String);
