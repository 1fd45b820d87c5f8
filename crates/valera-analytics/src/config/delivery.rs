//! What alerts are told with, and where: the channels that are configured.
//!
//! A channel exists once what it needs is set, so a system without any tells its own log. It connects to nothing.

use super::LanguageArgs;
use clap::Args;
use std::path::PathBuf;
use valera_pipeline::alerts::delivery::{Configured, Notifier, Texts};

/// How people are told.
#[derive(Debug, Clone, Args)]
pub struct DeliveryArgs {
    #[command(flatten)]
    pub language: LanguageArgs,
    /// Directory with texts that stand in the place of the shipped ones, such as booking.txt
    #[arg(long = "alert-templates", env = "VALERA_ALERT_TEMPLATES", value_name = "DIR")]
    pub templates: Option<PathBuf>,
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
        Texts::new(self.language.language, time_zone, self.templates.as_deref())
    }

    /// The channels that are configured; the log always is.
    ///
    /// # Errors
    /// When one lacks something, or has something that cannot be.
    pub fn channels(&self) -> anyhow::Result<Vec<Configured>> {
        Ok(vec![Configured::Log])
    }
}
