//! Delivery: brings what stands on `ALERTS` to people, channel by channel.
//!
//! Each channel has a durable consumer of its own, so a slow one holds up no other, and one instance at a time that sends,
//! so that there is one order and one rate. It needs NATS only.
//!
//! `teller` is the handler behind each, `news` says what a batch is worth telling, `memory` what was told, `once` how a
//! morning is, `troubles` what is not getting through, `texts` how it reads; a way to people is one file and its line in
//! [`Configured`].

pub mod channel;
pub mod email;
mod log;
mod memory;
mod news;
mod once;
pub mod pace;
mod samples;
mod service;
mod standing;
pub mod telegram;
mod teller;
mod texts;
mod troubles;
pub mod webhook;

pub use service::Notifier;
pub use standing::Standing;
pub use texts::Texts;

use channel::Channel;

/// A channel that is to be served, with what it needs.
#[derive(Debug, Clone)]
pub enum Configured {
    /// The service's own log.
    Log,
    /// Programs.
    Webhook(webhook::Settings),
    /// Mail boxes.
    Email(email::Settings),
    Telegram(telegram::Settings),
}

impl Configured {
    /// Every channel that there is.
    pub const NAMES: [&str; 4] = ["log", telegram::NAME, webhook::NAME, email::NAME];

    /// As in `notify_<name>`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Webhook(_) => webhook::NAME,
            Self::Email(_) => email::NAME,
            Self::Telegram(_) => telegram::NAME,
        }
    }

    /// Makes it ready; connects to nothing.
    ///
    /// # Errors
    /// When what it is configured with cannot work.
    pub fn open(&self) -> anyhow::Result<Box<dyn Channel>> {
        Ok(match self {
            Self::Log => Box::new(log::Log),
            Self::Webhook(settings) => Box::new(webhook::Webhook::new(settings.clone())?),
            Self::Email(settings) => Box::new(email::Email::new(settings.clone())),
            Self::Telegram(settings) => Box::new(telegram::Telegram::new(settings.clone())?),
        })
    }
}
