//! The channel `webhook`: there once it has a URL; one that has that and lacks something else is a mistake.
//!
//! It connects to nothing.

use super::{
    delivery::{HEADING, secret_of},
    set,
};
use anyhow::{Context as _, anyhow};
use clap::Args;
use valera_pipeline::alerts::delivery::webhook::{self, Secret, Target};

/// Where incidents are posted to.
#[derive(Debug, Clone, Args)]
pub(super) struct WebhookArgs {
    /// URL that each step of an incident is posted to
    #[arg(long, env = "VALERA_WEBHOOK_URL", hide_env_values = true, value_name = "URL", help_heading = HEADING)]
    webhook_url: Option<String>,
    /// File with the secret that requests are signed with: whsec_ and base64
    #[arg(long, env = "VALERA_WEBHOOK_SECRET_FILE", value_name = "FILE", help_heading = HEADING)]
    webhook_secret_file: Option<String>,
    /// The secret itself; prefer the file
    #[arg(long, env = "VALERA_WEBHOOK_SECRET", hide = true, hide_env_values = true)]
    webhook_secret: Option<String>,
    /// Private addresses that it may lead to: true, or a list of blocks and names of hosts, for example 10.0.0.0/8
    #[arg(long, env = "VALERA_WEBHOOK_ALLOW_PRIVATE", value_name = "LIST", help_heading = HEADING)]
    webhook_allow_private: Option<String>,
}

impl WebhookArgs {
    /// # Errors
    /// When the URL may not be posted to, or there is no secret worth the name.
    pub(super) fn settings(&self) -> anyhow::Result<Option<webhook::Settings>> {
        let Some(url) = set(self.webhook_url.as_deref()) else { return Ok(None) };
        let allowed = set(self.webhook_allow_private.as_deref()).unwrap_or_default().parse();
        let allowed = allowed.map_err(|cause: String| anyhow!("VALERA_WEBHOOK_ALLOW_PRIVATE: {cause}"))?;
        let target = Target::parse(url, allowed).context("VALERA_WEBHOOK_URL")?;
        let secret =
            secret_of("VALERA_WEBHOOK_SECRET", self.webhook_secret_file.as_deref(), self.webhook_secret.as_deref())?;
        let secret =
            secret.context("VALERA_WEBHOOK_URL is set and VALERA_WEBHOOK_SECRET_FILE is not: requests are signed")?;
        let secret = Secret::parse(&secret).context("VALERA_WEBHOOK_SECRET")?;
        Ok(Some(webhook::Settings::new(target, secret)))
    }
}
