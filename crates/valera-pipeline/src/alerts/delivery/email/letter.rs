//! One mail: what stands in it, whatever its texts are.
//!
//! Its `Message-ID` is made of the incident and not of chance or time: a mail that had to be sent twice is recognised as one
//! by programs that read mail, and the resolution answers the mail that opened the incident without anybody keeping that
//! one's id. Addresses are parsed and headers encoded by the library; what a text could break out of a header with is gone
//! before. It does not send.

use super::super::channel::Message;
use crate::alerts::Phase;
use anyhow::Context;
use lettre::message::{
    Mailbox,
    header::{ContentType, HeaderName, HeaderValue},
};

/// Characters of a subject; a longer one says nothing more.
const LONGEST_SUBJECT: usize = 150;

/// What is said, and in answer to what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Letter {
    /// The part of `Message-ID` before the @.
    pub(super) id: String,
    answers: Option<String>,
    subject: String,
    text: String,
}

impl Letter {
    /// What a message says by mail; nothing where an incident goes on that was told of.
    pub(super) fn of(message: &Message, is_shown: bool) -> Option<Self> {
        let (id, answers) = match &message.alert {
            None => (message.key.clone(), None),
            Some(step) => {
                let of = |moment: &str| format!("{}.{}.{moment}", step.rule, step.incident);
                match step.phase {
                    Phase::Resolved => (of("resolved"), Some(of("opened"))),
                    Phase::Firing | Phase::Updated if is_shown => return None,
                    Phase::Firing | Phase::Updated => (of("opened"), None),
                }
            }
        };
        let (id, answers) = (local_part(&id), answers.as_deref().map(local_part));
        Some(Self { id, answers, subject: subject(&message.title), text: message.text.clone() })
    }

    /// The bytes that are sent to one of the recipients.
    pub(super) fn to(&self, from: &Mailbox, to: &Mailbox) -> anyhow::Result<Vec<u8>> {
        let full = |id: &str| format!("<{id}@{}>", from.email.domain());
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let mut builder = lettre::Message::builder()
            .from(from.clone())
            .to(to.clone())
            .subject(&self.subject)
            .date_now()
            .message_id(Some(full(&self.id)))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
        if let Some(answered) = &self.answers {
            builder = builder.in_reply_to(full(answered)).references(full(answered));
        }
        let mail = builder.header(ContentType::TEXT_PLAIN).body(self.text.clone()).context("composing a mail")?;
        Ok(mail.formatted())
    }
}

/// As an id may be written (RFC 5322, 3.6.4): what is none of its characters becomes a dot.
fn local_part(id: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let parts: Vec<_> = id.split(|c| !is_plain(c)).filter(|part| !part.is_empty()).collect();
    parts.join(".")
}

/// One line, not too long.
fn subject(title: &str) -> String {
    let words: Vec<_> =
        title.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(LONGEST_SUBJECT).collect()
}
