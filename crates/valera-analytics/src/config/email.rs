//! The channel `email`: there once a server or a recipient is set; one without the other is a mistake.
//!
//! It connects to nothing.

use super::{
    delivery::{HEADING, secret_of},
    set,
};
use anyhow::Context as _;
use clap::Args;
use valera_pipeline::alerts::delivery::email::{self, Relay};

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
