//! The Bot API on the wire: one method, one JSON body, one answer.
//!
//! Every URL holds the token, so errors are stripped of it before anybody sees them, no redirect is followed (it would be
//! handed on), and the token itself prints as nothing. Whether a request left is said with every failure, because that
//! decides whether a message may stand in the chat. It does not judge answers.

use super::chat_value;
use anyhow::{Context, ensure};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde_json::{Value, json};
use std::{fmt, str::FromStr, time::Duration};

/// For a connection, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Answers are a few hundred bytes; what is longer is none.
const LONGEST_ANSWER: usize = 64 * 1024;

/// What @BotFather gives: an id, a colon, a secret.
#[derive(Clone)]
pub struct Token(String);

impl FromStr for Token {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let is_token = text.trim().split_once(':').is_some_and(|(id, secret)| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            id.parse::<u64>().is_ok() && secret.len() >= 30 && secret.bytes().all(is_plain)
        });
        ensure!(is_token, "is no token of a bot, as @BotFather gives it: digits, a colon, 35 letters");
        Ok(Self(text.trim().to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// One call of a method.
pub(super) struct Request {
    method: &'static str,
    body: Value,
}

impl Request {
    pub(super) fn send(chat: &str, thread: Option<i64>, text: &str, is_plain: bool) -> Self {
        let mut body = Self::body(chat, text, is_plain);
        if let Some(thread) = thread {
            body["message_thread_id"] = thread.into();
        }
        Self { method: "sendMessage", body }
    }

    pub(super) fn edit(chat: &str, message: i64, text: &str, is_plain: bool) -> Self {
        let mut body = Self::body(chat, text, is_plain);
        body["message_id"] = message.into();
        Self { method: "editMessageText", body }
    }

    /// What nobody sees: it only shows that the API answers.
    pub(super) fn who_am_i() -> Self {
        Self { method: "getMe", body: json!({}) }
    }

    fn body(chat: &str, text: &str, is_plain: bool) -> Value {
        let mut body = json!({
            "chat_id": chat_value(chat),
            "text": text,
            "link_preview_options": {"is_disabled": true},
        });
        if !is_plain {
            body["parse_mode"] = "HTML".into();
        }
        body
    }
}

/// What was answered, whatever it means; the body is null where it was no JSON.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

/// Why there is no answer, and whether the request may have been read.
#[derive(Debug)]
pub(super) struct NoReply {
    pub(super) was_sent: bool,
    pub(super) cause: anyhow::Error,
}

/// The way to the Bot API.
pub(super) struct Api {
    client: Client,
    root: Url,
    token: Token,
    answer_within: Duration,
}

impl Api {
    /// # Errors
    /// When `root` is no address of a server, or there are no root certificates on this machine.
    pub(super) fn new(root: &str, token: Token, answer_within: Duration) -> anyhow::Result<Self> {
        let root = Url::parse(root.trim()).context("is no URL, as https://api.telegram.org")?;
        ensure!(matches!(root.scheme(), "https" | "http"), "has to be https:// (or http:// to a server of your own)");
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .user_agent(concat!("valera-analytics/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(reqwest::Error::without_url)
            .context("making an HTTP client; are there root certificates (ca-certificates)?")?;
        Ok(Self { client, root, token, answer_within })
    }

    /// Asks once, for at most so long.
    pub(super) async fn ask(&self, request: &Request, within: Duration) -> Result<Reply, NoReply> {
        let url = format!("{}/bot{}/{}", self.root.as_str().trim_end_matches('/'), self.token.0, request.method);
        let sending = self.client.post(url).timeout(within.min(self.answer_within)).json(&request.body).send();
        let response = sending.await.map_err(|failure| NoReply::of(failure, false))?;
        let status = response.status();
        let body = read(response).await.map_err(|failure| NoReply::of(failure, true))?;
        Ok(Reply { status, body: serde_json::from_slice(&body).unwrap_or_default() })
    }
}

async fn read(mut response: Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            return Ok(Vec::new());
        }
    }
    Ok(body)
}

impl NoReply {
    fn of(failure: reqwest::Error, was_answered: bool) -> Self {
        let was_sent = was_answered || !(failure.is_connect() || failure.is_builder());
        Self { was_sent, cause: failure.without_url().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "123456:stub-token_stub-token_stub-token-1";

    #[test]
    fn a_token_never_prints() {
        let token: Token = TOKEN.parse().unwrap();
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn what_is_no_token_is_refused_without_repeating_it() {
        for text in
            ["", "123456", "abc:stub-token_stub-token_stub-token-1", "1:short", "1:stub/../token?stub-token_stub-tok"]
        {
            let Err(cause) = text.parse::<Token>() else { panic!("{text:?} is taken") };
            assert!(text.is_empty() || !cause.to_string().contains(text));
        }
    }
}
