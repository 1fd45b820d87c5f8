//! Telegram: an incident is one message, which is edited for as long as the incident goes on.
//!
//! The Bot API knows no idempotency: a request that got no answer may have been shown, and asking again may show it twice.
//! So what is certain is told apart from what is not by `answer`; after a lost answer a message is sent again only once the
//! API has answered a question that nobody sees, and from the third time on ever more rarely. What can be mended at once
//! (markup that Telegram does not read, a message that is gone, a group that moved, a topic that was closed) is mended here,
//! each once, before anybody waits. New messages come before edits where the chat's limit is near. The token stands in the URL, so no URL is shown.
//!
//! It does not remember what it has shown, and reads nothing that is written in the chat.

mod answer;
mod api;
mod cut;
mod limits;

pub use api::Token;
pub use limits::Rates;

use super::{
    channel::{Channel, Message, Shown, Undelivered},
    pace::{Pace, Pauses},
};
use answer::Answer;
use anyhow::{anyhow, ensure};
use api::{Api, Request};
use futures::future::BoxFuture;
use limits::Limits;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tracing::warn;

/// As in `notify_<name>`.
pub const NAME: &str = "telegram";
/// Where the Bot API is.
pub const API: &str = "https://api.telegram.org";
/// For all requests that one message may take.
const WITHIN: Duration = Duration::from_secs(25);
/// For one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often a message is asked for otherwise at once: without markup, anew, elsewhere, outside a topic.
const MENDED_TIMES: usize = 4;
/// How often a message is refused for a reason that is not known here, before that is believed.
const UNWANTED_TIMES: u32 = 4;

/// Who writes where.
#[derive(Debug, Clone)]
pub struct Settings {
    pub token: Token,
    /// A number (below zero for a group), or `@name` of a public one.
    pub chat: String,
    /// The topic, in a group that has them.
    pub thread: Option<i64>,
    pub api: String,
    pub rates: Rates,
    pub answer_within: Duration,
    /// After a failure that may be over soon.
    pub soon: Pauses,
    /// After one that somebody has to mend.
    pub slow: Pauses,
}

impl Settings {
    /// With the product's limits and pauses.
    ///
    /// # Errors
    /// When the chat is none.
    pub fn new(token: Token, chat: &str) -> anyhow::Result<Self> {
        let chat = chat.trim().to_owned();
        let is_name = chat.strip_prefix('@').is_some_and(|name| !name.is_empty());
        ensure!(
            is_name || chat.parse::<i64>().is_ok_and(|id| id != 0),
            "a chat is a number, for example -1001234567890, or the @name of a public group"
        );
        let is_group = is_name || chat.starts_with('-');
        Ok(Self {
            token,
            chat,
            thread: None,
            api: API.to_owned(),
            rates: if is_group { Rates::GROUP } else { Rates::PRIVATE },
            answer_within: ANSWER_WITHIN,
            soon: Pauses::SOON,
            slow: Pauses::SLOW,
        })
    }
}

/// The channel.
pub struct Telegram {
    api: Api,
    /// Where the operator wants it written, and where that is now.
    configured: String,
    chat: String,
    thread: Option<i64>,
    limits: Limits,
    pace: Pace,
    soon: Pauses,
    slow: Pauses,
    /// How often a message was refused for an unknown reason, by its key.
    unwanted: BTreeMap<String, u32>,
    /// Whether the answer to a new message was lost and the API has answered nothing since.
    is_in_doubt: bool,
}

impl Telegram {
    /// # Errors
    /// When there are no root certificates on this machine, or the API's address is none.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        Ok(Self {
            api: Api::new(&settings.api, settings.token, settings.answer_within)?,
            configured: settings.chat.clone(),
            chat: settings.chat,
            thread: settings.thread,
            limits: Limits::new(settings.rates),
            pace: Pace::default(),
            soon: settings.soon,
            slow: settings.slow,
            unwanted: BTreeMap::new(),
            is_in_doubt: false,
        })
    }

    /// One message, with what can be mended on the way.
    async fn deliver(&mut self, message: &Message, shown: Option<&Shown>) -> Result<Shown, Undelivered> {
        self.pace.require()?;
        let place = shown.and_then(Place::read);
        self.limits.require(Instant::now(), place.is_some()).map_err(Undelivered::Busy)?;
        let deadline = Instant::now() + WITHIN;
        if self.is_in_doubt && place.is_none() {
            self.ask_whether_it_answers(deadline).await?;
        }
        let mut attempt = Attempt { place, is_plain: false };
        let mut answer = self.ask(&attempt, message, deadline).await?;
        for _ in 0..MENDED_TIMES {
            let Some(next) = self.mend(&attempt, &answer) else { break };
            attempt = next;
            answer = self.ask(&attempt, message, deadline).await?;
        }
        self.judge(answer, attempt, message)
    }

    async fn ask(&mut self, attempt: &Attempt, message: &Message, deadline: Instant) -> Result<Answer, Undelivered> {
        let text = if attempt.is_plain { cut::text(&message.text) } else { cut::html(&message.html) };
        let request = match &attempt.place {
            Some(place) => Request::edit(&place.chat, place.message, &text, attempt.is_plain),
            None => Request::send(&self.chat, self.thread, &text, attempt.is_plain),
        };
        self.limits.asked(Instant::now());
        let asked = self.put(&request, deadline).await;
        let is_lost = matches!(asked, Err(Undelivered::Unknown(_)) | Ok(Answer::Unsure(_)));
        self.is_in_doubt |= is_lost && attempt.place.is_none();
        asked
    }

    /// A question that shows nothing: where it gets no answer, a message would get none either.
    async fn ask_whether_it_answers(&mut self, deadline: Instant) -> Result<(), Undelivered> {
        let undelivered = match self.put(&Request::who_am_i(), deadline).await {
            Ok(Answer::Taken(_)) => {
                self.is_in_doubt = false;
                return Ok(());
            }
            Ok(answer) => self.undelivered(&answer),
            Err(undelivered) => undelivered,
        };
        Err(match undelivered {
            Undelivered::Unknown(cause) => Undelivered::Away(cause),
            certain => certain,
        })
    }

    async fn put(&mut self, request: &Request, deadline: Instant) -> Result<Answer, Undelivered> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.api.ask(request, left).await {
            Ok(reply) => Ok(Answer::of(&reply)),
            Err(failure) => {
                let cause = failure.cause.context("asking the Bot API");
                self.pace.failed(self.soon, &format!("{cause:#}"));
                Err(if failure.was_sent { Undelivered::Unknown(cause) } else { Undelivered::Away(cause) })
            }
        }
    }

    /// What to ask instead, where that is known.
    fn mend(&mut self, attempt: &Attempt, answer: &Answer) -> Option<Attempt> {
        match answer {
            Answer::Markup if !attempt.is_plain => {
                warn!(channel = NAME, "markup was not understood; sent without it");
                Some(Attempt { is_plain: true, ..attempt.clone() })
            }
            Answer::Gone if attempt.place.is_some() => Some(Attempt { place: None, ..attempt.clone() }),
            // Ids of messages do not move with a group.
            Answer::Moved(to) if *to != self.chat => {
                self.move_to(to);
                Some(Attempt { place: None, ..attempt.clone() })
            }
            Answer::Moved(_) if attempt.place.is_some() => Some(Attempt { place: None, ..attempt.clone() }),
            Answer::NoThread if attempt.place.is_none() && self.thread.is_some() => {
                warn!(
                    channel = NAME,
                    "there is no such topic; set VALERA_TELEGRAM_THREAD_ID; written into the group"
                );
                self.thread = None;
                Some(attempt.clone())
            }
            _ => None,
        }
    }

    fn move_to(&mut self, to: &str) {
        warn!(channel = NAME, to, "the group has moved; set VALERA_TELEGRAM_CHAT_ID to where it is now");
        to.clone_into(&mut self.chat);
    }

    fn judge(&mut self, answer: Answer, attempt: Attempt, message: &Message) -> Result<Shown, Undelivered> {
        match answer {
            Answer::Taken(place) => {
                self.settled(&message.key);
                Ok(place.or(attempt.place).map(Place::write).unwrap_or_default())
            }
            Answer::Same => {
                self.settled(&message.key);
                Ok(attempt.place.map(Place::write).unwrap_or_default())
            }
            Answer::Later(_) | Answer::Unsure(_) | Answer::Misplaced(_) | Answer::Broken(_) => {
                Err(self.undelivered(&answer))
            }
            // What is left of the others makes no sense where it is said.
            other => {
                let times = self.unwanted.entry(message.key.clone()).or_default();
                *times += 1;
                if *times < UNWANTED_TIMES {
                    return Err(self.undelivered(&other));
                }
                self.settled(&message.key);
                Err(Undelivered::Refused(other.to_string()))
            }
        }
    }

    /// What comes of an answer that is none to a message: the channel rests.
    fn undelivered(&mut self, answer: &Answer) -> Undelivered {
        let cause = answer.to_string();
        match answer {
            Answer::Later(after) => {
                self.pace.leave_alone(*after, &cause);
                return Undelivered::Busy(*after);
            }
            Answer::Misplaced(_) => self.pace.failed(self.slow, &cause),
            _ => self.pace.failed(self.soon, &cause),
        }
        let is_unsure = matches!(answer, Answer::Unsure(_));
        let cause = anyhow!(cause);
        if is_unsure { Undelivered::Unknown(cause) } else { Undelivered::Away(cause) }
    }

    /// The channel works, whatever became of this message.
    fn settled(&mut self, key: &str) {
        self.pace.worked();
        self.unwanted.remove(key);
    }
}

/// How a message is asked for.
#[derive(Debug, Clone)]
struct Attempt {
    /// Where one stands that it is to replace.
    place: Option<Place>,
    is_plain: bool,
}

/// A message in a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    chat: String,
    message: i64,
}

impl Place {
    fn read(shown: &Shown) -> Option<Self> {
        let chat = shown.0.get("chat")?.as_str()?.to_owned();
        Some(Self { chat, message: shown.0.get("message")?.as_i64()? })
    }

    fn write(self) -> Shown {
        Shown(
            [("chat".to_owned(), self.chat.into()), ("message".to_owned(), self.message.into())]
                .into_iter()
                .collect(),
        )
    }
}

impl Channel for Telegram {
    fn name(&self) -> &'static str {
        NAME
    }

    fn show<'a>(
        &'a mut self,
        message: &'a Message,
        shown: Option<&'a Shown>,
    ) -> BoxFuture<'a, Result<Shown, Undelivered>> {
        Box::pin(self.deliver(message, shown))
    }

    /// A booking that is told twice costs a glance, and one that is not, a customer; but one that is told ten times teaches
    /// people to look away.
    fn again_after(&self, lost: u32, is_edit: bool) -> Option<Duration> {
        let rarely = lost.checked_sub(2).filter(|_| !is_edit);
        Some(rarely.map_or(Duration::ZERO, |times| self.slow.after(times)))
    }

    fn learned(&self) -> Option<Value> {
        (self.chat != self.configured).then(|| json!({"from": self.configured, "to": self.chat}))
    }

    fn recall(&mut self, learned: &Value) {
        // Said by another setting, it is about another group.
        let to = learned["to"].as_str().filter(|_| learned["from"] == self.configured);
        if let Some(to) = to {
            self.move_to(to);
        }
    }
}

/// A number as a number, a name as a name: how the Bot API takes a chat.
fn chat_value(chat: &str) -> Value {
    chat.parse::<i64>().map_or_else(|_| chat.into(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_a_number_or_a_name() {
        let token: Token = "123456:stub-token_stub-token_stub-token-1".parse().unwrap();
        let rates = |chat| Settings::new(token.clone(), chat).map(|settings| settings.rates);
        assert_eq!(rates(" 42 ").unwrap(), Rates::PRIVATE);
        assert_eq!(rates("-1001234567890").unwrap(), Rates::GROUP);
        assert_eq!(rates("@garage").unwrap(), Rates::GROUP);
        for none in ["", "0", "@", "garage", "1e3", "4 2"] {
            assert!(rates(none).is_err(), "{none:?}");
        }
    }

    #[test]
    fn a_place_outlives_a_restart() {
        let place = Place { chat: "-100".to_owned(), message: 7 };
        assert_eq!(Place::read(&place.clone().write()), Some(place));
        assert_eq!(Place::read(&Shown::default()), None);
    }
}
