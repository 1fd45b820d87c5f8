//! What each channel is configured with. One that lacks its address is not there; one that has it and lacks something else is
//! a mistake.
//!
//! It connects to nothing.

use super::{secret, set};
use anyhow::{Context as _, anyhow, ensure};
use clap::Args;
use std::path::Path;
use valera_pipeline::alerts::delivery::{
    email::{self, Relay},
    webhook::{self, Secret, Target},
};

pub(super) const HEADING: &str = "Channels";

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

/// Who gets mail.
#[derive(Debug, Clone, Args)]
pub(super) struct EmailArgs {
    /// Mail server: smtps://user@host, smtp://user@host?tls=required (STARTTLS), or smtp://host
    #[arg(long, env = "VALERA_SMTP_URL", hide_env_values = true, value_name = "URL", help_heading = HEADING)]
    smtp_url: Option<String>,
    /// File with the password of the mail server's user
    #[arg(long, env = "VALERA_SMTP_PASSWORD_FILE", value_name = "FILE", help_heading = HEADING)]
    smtp_password_file: Option<String>,
    /// The password itself; prefer the file
    #[arg(long, env = "VALERA_SMTP_PASSWORD", hide = true, hide_env_values = true)]
    smtp_password: Option<String>,
    /// Whom mails are from
    #[arg(long, env = "VALERA_EMAIL_FROM", hide_env_values = true, value_name = "ADDRESS", help_heading = HEADING)]
    email_from: Option<String>,
    /// Whom they are to, separated by commas
    #[arg(long, env = "VALERA_EMAIL_TO", hide_env_values = true, value_name = "ADDRESSES", help_heading = HEADING)]
    email_to: Option<String>,
}

impl EmailArgs {
    /// # Errors
    /// When the server cannot be one, or an address is none.
    pub(super) fn settings(&self) -> anyhow::Result<Option<email::Settings>> {
        let (url, to) = (set(self.smtp_url.as_deref()), set(self.email_to.as_deref()));
        if url.is_none() && to.is_none() {
            return Ok(None);
        }
        let url = url.context("VALERA_EMAIL_TO is set and VALERA_SMTP_URL is not")?;
        let to = to.context("VALERA_SMTP_URL is set and VALERA_EMAIL_TO is not")?;
        let from = set(self.email_from.as_deref());
        let from = from.context("VALERA_EMAIL_TO is set and VALERA_EMAIL_FROM is not")?;
        let password =
            secret_of("VALERA_SMTP_PASSWORD", self.smtp_password_file.as_deref(), self.smtp_password.as_deref())?;
        let relay = Relay::parse(url, password.as_deref()).context("VALERA_SMTP_URL")?;
        Ok(Some(email::Settings::new(relay, from, to)?))
    }
}

/// A secret that need not be there; one that is there is not empty.
pub(super) fn secret_of(name: &str, file: Option<&str>, value: Option<&str>) -> anyhow::Result<Option<String>> {
    let (file, value) = (set(file), set(value));
    if file.is_none() && value.is_none() {
        return Ok(None);
    }
    let text = secret(name, file.map(Path::new), value)?;
    ensure!(!text.trim().is_empty(), "{name}_FILE is an empty file");
    Ok(Some(text))
}
