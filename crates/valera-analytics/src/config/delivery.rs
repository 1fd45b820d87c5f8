//! What alerts are told with, and where: the channels that are configured.
//!
//! A channel exists once what it needs is set, so a system without any tells its own log. It connects to nothing.

use super::{LanguageArgs, TelegramArgs, email::EmailArgs, secret, set, webhook::WebhookArgs};
use anyhow::{Context as _, ensure};
use clap::Args;
use std::path::Path;
use valera_pipeline::alerts::{
    delivery::{Configured, Notifier, Texts},
    digest::{self, DigestAt},
};

pub(super) const HEADING: &str = "Channels";

/// How people are told.
#[derive(Debug, Clone, Args)]
pub struct DeliveryArgs {
    #[command(flatten)]
    pub language: LanguageArgs,
    /// Directory with texts that stand in the place of the shipped ones, such as booking.txt
    #[arg(long = "alert-templates", env = "VALERA_ALERT_TEMPLATES", value_name = "DIR")]
    pub templates: Option<String>,
    /// Local time of the morning message about yesterday, or off
    #[arg(long, env = "VALERA_DIGEST_AT", value_name = "TIME", default_value = "09:00")]
    pub digest_at: DigestAt,
    #[command(flatten)]
    webhook: WebhookArgs,
    #[command(flatten)]
    email: EmailArgs,
    #[command(flatten)]
    pub telegram: TelegramArgs,
}

impl DeliveryArgs {
    /// What all channels are served with; times are told in `time_zone`, UTC when not given.
    ///
    /// # Errors
    /// When a text is at fault, or there is no such zone.
    pub fn notifier(&self, nats_url: &str, time_zone: Option<&str>) -> anyhow::Result<Notifier> {
        Ok(Notifier::new(nats_url, self.texts(time_zone)?))
    }

    /// The texts alone.
    ///
    /// # Errors
    /// As [`Self::notifier`].
    pub fn texts(&self, time_zone: Option<&str>) -> anyhow::Result<Texts> {
        Texts::new(self.language.language, time_zone, set(self.templates.as_deref()).map(Path::new))
    }

    /// What morning messages are made with; `None` when there are none.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn digest(
        &self,
        nats_url: &str,
        database_url: &str,
        time_zone: Option<&str>,
    ) -> anyhow::Result<Option<digest::Settings>> {
        if !self.digest_at.is_on() {
            return Ok(None);
        }
        let zone = time_zone.map(|name| {
            name.parse().ok().with_context(|| format!("VALERA_TIMEZONE, or --timezone: there is no time zone {name}"))
        });
        let (nats_url, database_url) = (nats_url.to_owned(), database_url.to_owned());
        Ok(Some(digest::Settings { nats_url, at: self.digest_at, database_url, zone: zone.transpose()? }))
    }

    /// The channels that are configured; the log always is.
    ///
    /// # Errors
    /// When one lacks something, or has something that cannot be.
    pub fn channels(&self) -> anyhow::Result<Vec<Configured>> {
        let telegram = self.telegram.settings()?.map(Configured::Telegram);
        let webhook = self.webhook.settings()?.map(Configured::Webhook);
        let email = self.email.settings()?.map(Configured::Email);
        Ok([Some(Configured::Log), telegram, webhook, email].into_iter().flatten().collect())
    }

    /// The channel of this name.
    ///
    /// # Errors
    /// As [`Self::channels`], and when it is not configured.
    pub fn channel(&self, name: &str) -> anyhow::Result<Configured> {
        let found = self.channels()?.into_iter().find(|channel| channel.name() == name);
        found.with_context(|| format!("the channel {name} is not configured"))
    }
}

/// A secret that need not be there; one that is there is not empty.
pub(super) fn secret_of(name: &str, file: Option<&str>, value: Option<&str>) -> anyhow::Result<Option<String>> {
    let (file, value) = (set(file), set(value));
    let Some((text, _)) = secret(name, file.map(Path::new), value)? else { return Ok(None) };
    ensure!(!text.trim().is_empty(), "{name}_FILE is an empty file");
    Ok(Some(text))
}
