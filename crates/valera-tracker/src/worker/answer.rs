//! What the server answered to a message: stored, not now, or never.
//!
//! Only a PubAck that names our stream says stored. A refusal is for good when it is the message's own fault (the 4xx of
//! JetStream's API errors); anything else may pass.
//!
//! It does not decide what follows.

use crate::publisher::STREAM;
use async_nats::{Message, StatusCode};
use serde::Deserialize;

/// An answer, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The stream has it; of a batch, so many of its messages.
    Stored { duplicate: bool, batch: Option<u64> },
    /// Not now.
    Later(String),
    /// Never, as it is.
    Never(String),
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    stream: String,
    #[serde(default)]
    duplicate: bool,
    count: Option<u64>,
    error: Option<Error>,
}

#[derive(Deserialize)]
struct Error {
    code: u16,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

pub(super) fn read(message: &Message) -> Answer {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Answer::Later("no stream takes the subject".into());
    }
    of_body(&message.payload)
}

fn of_body(body: &[u8]) -> Answer {
    let body = match serde_json::from_slice::<Body>(body) {
        Ok(body) => body,
        Err(_) => return Answer::Later("an answer that is none of JetStream's".into()),
    };
    match body.error {
        Some(Error { code: code @ 400..=499, err_code, description }) if !matches!(code, 408 | 429) => {
            Answer::Never(format!("{description} ({err_code})"))
        }
        Some(Error { err_code, description, .. }) => Answer::Later(format!("{description} ({err_code})")),
        None if body.stream == STREAM => Answer::Stored { duplicate: body.duplicate, batch: body.count },
        None => Answer::Later(format!("stream {:?} answered instead of {STREAM}", body.stream)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pub_ack_of_our_stream_is_an_acknowledgement() {
        let stored = |duplicate, batch| Answer::Stored { duplicate, batch };
        assert_eq!(of_body(br#"{"stream":"ANALYTICS","seq":7}"#), stored(false, None));
        assert_eq!(of_body(br#"{"stream":"ANALYTICS","seq":7,"duplicate":true}"#), stored(true, None));
        assert_eq!(of_body(br#"{"stream":"ANALYTICS","seq":7,"batch":"x","count":3}"#), stored(false, Some(3)));
        for unknown in [&br#"{"stream":"OTHER","seq":7}"#[..], b"{}", b"", b"+OK", b"[]", br#"{"stream":7}"#] {
            assert!(matches!(of_body(unknown), Answer::Later(_)), "{}", String::from_utf8_lossy(unknown));
        }
    }

    #[test]
    fn a_refusal_is_for_good_when_it_is_the_messages_fault() {
        let error = |code: u16| format!(r#"{{"error":{{"code":{code},"err_code":10054,"description":"too big"}}}}"#);
        assert_eq!(of_body(error(400).as_bytes()), Answer::Never("too big (10054)".into()));
        for code in [408, 429, 500, 503] {
            assert_eq!(of_body(error(code).as_bytes()), Answer::Later("too big (10054)".into()), "{code}");
        }
    }
}
