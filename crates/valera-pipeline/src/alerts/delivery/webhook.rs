//! Webhook: each step of an incident as one signed POST, in order.
//!
//! The receiver is a program, so it gets the step itself and not only what a person reads. It gets it at least once: the
//! same `webhook-id` on every repeat lets it count each once. Order is kept because the next step is sent only when the
//! one before was taken or refused for good. Where requests may go is decided by `target`, what answers mean by `answer`.
//! It does not log, and shows nothing of the URL but its host.

mod addresses;
mod answer;
mod signature;
mod target;

pub use addresses::Allowed;
pub use signature::Secret;
pub use target::Target;

use super::{
    channel::{Channel, Message, Shown, Undelivered},
    pace::{Pace, Pauses},
};
use answer::Answer;
use anyhow::anyhow;
use chrono::Utc;
use futures::future::BoxFuture;
use reqwest::{Client, Response, header};
use serde_json::json;

/// The channel's name.
pub(super) const NAME: &str = "webhook";
/// How often a receiver may say that it does not want a message before it is believed.
const UNWANTED_TIMES: u32 = 8;

/// Where steps are posted to.
#[derive(Debug, Clone)]
pub struct Settings {
    pub target: Target,
    pub secret: Secret,
    /// After a failure that may be over soon.
    pub soon: Pauses,
    /// After one that somebody has to mend.
    pub slow: Pauses,
}

impl Settings {
    /// With the product's pauses.
    #[must_use]
    pub fn new(target: Target, secret: Secret) -> Self {
        Self { target, secret, soon: Pauses::SOON, slow: Pauses::SLOW }
    }
}

/// The channel.
pub struct Webhook {
    settings: Settings,
    client: Client,
    pace: Pace,
    /// How often in a row the message in hand was not wanted.
    unwanted: u32,
}

impl Webhook {
    /// # Errors
    /// When there are no root certificates on this machine.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        let client = settings.target.client()?;
        Ok(Self { settings, client, pace: Pace::default(), unwanted: 0 })
    }

    async fn post(&self, id: &str, body: Vec<u8>) -> reqwest::Result<Response> {
        let timestamp = Utc::now().timestamp();
        self.client
            .post(self.settings.target.url())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", self.settings.secret.sign(id, timestamp, &body))
            .header("idempotency-key", id)
            .body(body)
            .send()
            .await
            .map_err(reqwest::Error::without_url)
    }

    fn judge(&mut self, response: &Response) -> Result<(), Undelivered> {
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let host = self.settings.target.host();
        let is_unwanted = std::mem::take(&mut self.unwanted);
        match Answer::of(status, retry_after, Utc::now()) {
            Answer::Taken => {
                self.pace.worked();
                return Ok(());
            }
            Answer::Gone => return Err(Undelivered::Refused(format!("{host} answers {status}: it wants no more"))),
            Answer::Later(after) => {
                self.pace.leave_alone(after, &format!("{host} answers {status}"));
                return Err(Undelivered::Busy(after));
            }
            Answer::Unwanted if is_unwanted + 1 >= UNWANTED_TIMES => {
                self.pace.worked();
                return Err(Undelivered::Refused(format!("{host} answered {status} {UNWANTED_TIMES} times")));
            }
            Answer::Unwanted => {
                self.unwanted = is_unwanted + 1;
                self.pace.failed(self.settings.soon, &format!("{host} answers {status}"));
            }
            Answer::Broken => self.pace.failed(self.settings.soon, &format!("{host} answers {status}")),
            Answer::Misplaced if status.is_redirection() => self.pace.failed(
                self.settings.slow,
                &format!(
                    "{host} answers {status}, and no redirect is followed; set VALERA_WEBHOOK_URL to where it leads"
                ),
            ),
            Answer::Misplaced => self.pace.failed(
                self.settings.slow,
                &format!(
                    "{host} answers {status}; is VALERA_WEBHOOK_URL right, and VALERA_WEBHOOK_SECRET the receiver's?"
                ),
            ),
        }
        Err(Undelivered::Away(anyhow!("{}", self.pace.cause())))
    }

    /// A request without an answer may have arrived; but it can be repeated, since its id tells the receiver so.
    fn judge_failure(&mut self, failure: reqwest::Error) -> Undelivered {
        let host = self.settings.target.host();
        if let Some(forbidden) = target::forbidden(&failure) {
            self.pace.failed(self.settings.slow, forbidden);
            return Undelivered::Away(anyhow!("{forbidden}"));
        }
        let cause = anyhow::Error::new(failure).context(format!("posting to {host}"));
        self.pace.failed(self.settings.soon, &format!("{cause:#}"));
        Undelivered::Away(cause)
    }
}

/// The body: a Standard Webhooks payload.
fn body(message: &Message) -> Vec<u8> {
    let payload = match &message.alert {
        Some(step) => json!({"type": format!("alert.{}", step.phase.as_str()), "timestamp": step.at, "data": step}),
        None => {
            let mut data = json!({"title": message.title, "text": message.text});
            if !message.missed.is_empty() {
                data["steps"] = json!(message.missed);
            }
            json!({"type": "message", "timestamp": Utc::now(), "data": data})
        }
    };
    payload.to_string().into_bytes()
}

impl Channel for Webhook {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants_every_step(&self) -> bool {
        true
    }

    fn show<'a>(
        &'a mut self,
        message: &'a Message,
        _shown: Option<&'a Shown>,
    ) -> BoxFuture<'a, Result<Shown, Undelivered>> {
        Box::pin(async move {
            self.pace.require()?;
            let response = self.post(&message.key, body(message)).await;
            let response = response.map_err(|failure| self.judge_failure(failure))?;
            self.judge(&response)?;
            Ok(Shown::default())
        })
    }
}
