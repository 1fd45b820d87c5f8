//! The verdict on one message.
use chrono::{DateTime, Utc};
use crate::{event::{Event, Rejection}, headers::Headers};

#[derive(Debug)]
pub enum Verdict<'a> { Accepted(Event<'a>), Rejected(Rejection) }

/// Judges one message as JetStream received it.
pub fn check<'a>(subject: &'a str, headers: &Headers<'a>, body: &'a [u8], received_at: DateTime<Utc>) -> Verdict<'a> {
    let _ = (subject, headers, body, received_at);
    Verdict::Rejected(Rejection { reasons: vec![], event_name: None, sent_id: None, occurred_at: None })
}
