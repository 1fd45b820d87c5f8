//! What the server answered to a message: stored, not now, or never.
//!
//! Only a PubAck that names our stream says stored. A refusal is for good when it is the message's own fault: it is too large.
//! Any other may pass, and many a 4xx of JetStream's API errors does, as limits of the account or a sealed stream; of a batch,
//! a 4xx says that its messages may pass one by one.
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
    /// Not so: a batch not as a batch, and a message alone not now.
    Refused(String),
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

/// The errors that are a message's own fault: its body, or its headers, are beyond what the stream takes.
const TOO_LARGE: [u32; 2] = [10_054, 10_097];

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
            let cause = format!("{description} ({err_code})");
            if TOO_LARGE.contains(&err_code) { Answer::Never(cause) } else { Answer::Refused(cause) }
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
        let answer = |code: u16, err_code: u32| {
            let error = format!(r#"{{"error":{{"code":{code},"err_code":{err_code},"description":"no"}}}}"#);
            of_body(error.as_bytes())
        };
        for err_code in [10_054, 10_097] {
            assert_eq!(answer(400, err_code), Answer::Never(format!("no ({err_code})")));
        }
        for code in [408, 429, 500, 503] {
            assert_eq!(answer(code, 10_054), Answer::Later("no (10054)".into()), "{code}");
        }
        // The account is at its limit, the stream is sealed, the account has no JetStream, the same id is under way.
        for (code, err_code) in [(400, 10_002), (400, 10_109), (400, 10_120), (409, 10_158)] {
            assert_eq!(answer(code, err_code), Answer::Refused(format!("no ({err_code})")));
        }
    }
}
