//! What an answer of the Bot API means for the message, told from status and description.
//!
//! The API has few codes and many sentences, and the sentences decide: the same 400 says that the text is wrong, that the
//! message is gone, that the group moved and that nobody knows the chat. Only those that are known are acted on. What
//! somebody has to mend (a kicked bot, a wrong token) is asked for again, slowly and for ever; what is not known is given
//! up for this message when it is said often enough, so that it never holds up the next. It does not send.

use super::{Place, api::Reply};
use serde_json::Value;
use std::{fmt, time::Duration};

/// The shortest and the longest time that Telegram may ask for.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(600);
/// Where it asks without saying for how long.
const UNSAID: Duration = Duration::from_secs(5);

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It stands there; nothing where the answer does not say so.
    Taken(Option<Place>),
    /// It stood there already.
    Same,
    /// There is no message to edit any more.
    Gone,
    /// The markup was not understood.
    Markup,
    /// The group has this id now.
    Moved(String),
    /// The topic is not there, or closed.
    NoThread,
    Later(Duration),
    /// Telegram is out of order; again soon.
    Broken(String),
    /// Nobody knows whether it was shown.
    Unsure(String),
    /// Until somebody mends it; again slowly.
    Misplaced(String),
    /// Not this message, for a reason that is not known here.
    Unwanted(String),
}

impl fmt::Display for Answer {
    /// For operators.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(said) | Self::Unsure(said) | Self::Misplaced(said) | Self::Unwanted(said) => {
                f.write_str(said)
            }
            Self::Later(_) => f.write_str("Telegram asks to wait"),
            senseless => write!(f, "Telegram goes on saying {senseless:?}"),
        }
    }
}

/// Of a 400: parts of descriptions, in lower case.
const GONE: &[&str] = &["message to edit not found", "message can't be edited", "message_id_invalid"];
const MARKUP: &[&str] = &["can't parse entities", "can't find end tag", "unsupported start tag"];
const NO_THREAD: &[&str] = &["thread not found", "topic_deleted", "topic_closed", "topic_id_invalid"];
const NO_CHAT: &[&str] = &["chat not found", "peer_id_invalid", "chat_id is empty"];
const NO_RIGHT: &[&str] =
    &["not enough rights", "have no rights", "chat_write_forbidden", "need administrator rights", "chat_restricted"];

impl Answer {
    pub(super) fn of(reply: &Reply) -> Self {
        let status = reply.status.as_u16();
        let description = reply.body["description"].as_str().unwrap_or_default();
        let said =
            format!("Telegram answers {status}: {}", if description.is_empty() { "nothing" } else { description });
        if reply.body["ok"].as_bool().is_none() {
            return strange(status, reply);
        }
        match status {
            200..300 if reply.body["ok"] == true => Self::Taken(place(&reply.body["result"])),
            400 => of_bad_request(reply, description, said),
            401 | 404 => Self::Misplaced(format!("{said}; is VALERA_TELEGRAM_TOKEN right?")),
            403 => Self::Misplaced(format!("{said}; let the bot of VALERA_TELEGRAM_TOKEN into the chat")),
            429 => Self::Later(asked_for(&reply.body["parameters"]["retry_after"])),
            502 | 504 => Self::Unsure(said),
            500.. => Self::Broken(said),
            _ => Self::Unwanted(said),
        }
    }
}

/// An answer that is not the API's: something stands between, or it is out of order.
fn strange(status: u16, reply: &Reply) -> Answer {
    let said = format!("{status} comes from where the Bot API should be; is VALERA_TELEGRAM_API right?");
    match status {
        // It may have been shown before the answer was spoilt.
        200..300 | 502 | 504 => Answer::Unsure(said),
        429 => Answer::Later(asked_for(&reply.body["parameters"]["retry_after"])),
        408 | 500.. => Answer::Broken(said),
        _ => Answer::Misplaced(said),
    }
}

fn of_bad_request(reply: &Reply, description: &str, said: String) -> Answer {
    let description = description.to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| description.contains(part));
    if let Some(to) = reply.body["parameters"]["migrate_to_chat_id"].as_i64() {
        return Answer::Moved(to.to_string());
    }
    if says(&["message is not modified"]) {
        return Answer::Same;
    }
    if says(GONE) {
        return Answer::Gone;
    }
    if says(MARKUP) {
        return Answer::Markup;
    }
    if says(NO_THREAD) {
        return Answer::NoThread;
    }
    if says(NO_CHAT) {
        return Answer::Misplaced(format!("{said}; is VALERA_TELEGRAM_CHAT_ID right, and the bot in that chat?"));
    }
    if says(NO_RIGHT) {
        return Answer::Misplaced(format!("{said}; let the bot write in the chat"));
    }
    Answer::Unwanted(said)
}

/// Seconds within bounds; where it is no number, a guess.
fn asked_for(retry_after: &Value) -> Duration {
    let seconds = retry_after.as_f64().or_else(|| retry_after.as_str()?.trim().parse().ok());
    let Some(seconds) = seconds.filter(|seconds: &f64| seconds.is_finite()) else { return UNSAID };
    Duration::from_secs_f64(seconds.clamp(SHORTEST.as_secs_f64(), LONGEST.as_secs_f64()))
}

fn place(result: &Value) -> Option<Place> {
    let chat = result["chat"]["id"].as_i64()?.to_string();
    Some(Place { chat, message: result["message_id"].as_i64()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;
    use serde_json::json;

    fn answer(status: u16, body: Value) -> Answer {
        Answer::of(&Reply { status: StatusCode::from_u16(status).unwrap(), body })
    }

    fn refused(status: u16, description: &str) -> Answer {
        answer(status, json!({"ok": false, "error_code": status, "description": description}))
    }

    #[test]
    fn a_message_that_was_taken_has_a_place() {
        let body = json!({"ok": true, "result": {"message_id": 7, "chat": {"id": -5}}});
        assert_eq!(answer(200, body), Answer::Taken(Some(Place { chat: "-5".to_owned(), message: 7 })));
        assert_eq!(answer(200, json!({"ok": true, "result": true})), Answer::Taken(None));
    }

    #[test]
    fn sentences_decide_what_a_400_means() {
        assert_eq!(refused(400, "Bad Request: message is not modified: specified new…"), Answer::Same);
        assert_eq!(refused(400, "Bad Request: message to edit not found"), Answer::Gone);
        assert_eq!(refused(400, "Bad Request: message can't be edited"), Answer::Gone);
        assert_eq!(refused(400, "Bad Request: can't parse entities: Unsupported start tag"), Answer::Markup);
        assert_eq!(refused(400, "Bad Request: message thread not found"), Answer::NoThread);
        assert!(matches!(refused(400, "Bad Request: chat not found"), Answer::Misplaced(_)));
        assert!(matches!(refused(400, "Bad Request: not enough rights to send text messages"), Answer::Misplaced(_)));
        let moved = json!({"ok": false, "description": "Bad Request: group chat was upgraded to a supergroup chat",
            "parameters": {"migrate_to_chat_id": -1_001_234_567_890_i64}});
        assert_eq!(answer(400, moved), Answer::Moved("-1001234567890".to_owned()));
    }

    #[test]
    fn what_somebody_has_to_mend_is_told_from_what_passes_and_from_what_is_unknown() {
        for status in [401, 403, 404] {
            assert!(matches!(refused(status, "Forbidden: bot was kicked"), Answer::Misplaced(_)), "{status}");
        }
        for status in [400, 405, 409, 413, 418, 451] {
            assert!(matches!(refused(status, "I am a teapot"), Answer::Unwanted(_)), "{status}");
        }
        assert!(matches!(refused(500, "Internal Server Error"), Answer::Broken(_)));
        assert!(matches!(refused(502, "Bad Gateway"), Answer::Unsure(_)));
        // Not the Bot API's words.
        assert!(matches!(answer(200, Value::Null), Answer::Unsure(_)));
        assert!(matches!(answer(403, Value::Null), Answer::Misplaced(_)));
        assert!(matches!(answer(503, json!([])), Answer::Broken(_)));
        assert!(matches!(answer(302, Value::Null), Answer::Misplaced(_)));
    }

    #[test]
    fn telegram_is_left_alone_for_as_long_as_it_asks_within_bounds() {
        for (asked, seconds) in [
            (json!(7), 7),
            (json!(0), 1),
            (json!(-3), 1),
            (json!(1_000_000_000), 600),
            (json!(1e300), 600),
            (json!("7"), 7),
            (json!("NaN"), 5),
            (json!("soon"), 5),
            (json!(null), 5),
            (json!([1]), 5),
        ] {
            let body = json!({"ok": false, "error_code": 429, "parameters": {"retry_after": asked}});
            assert_eq!(answer(429, body), Answer::Later(Duration::from_secs(seconds)), "{asked}");
        }
    }
}
