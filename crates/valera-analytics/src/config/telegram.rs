//! The channel `telegram`: there once a bot's token and a chat are set.
//!
//! The token is read from a file where there is one, since others on the machine may see an environment. It connects to
//! nothing.

use super::{
    delivery::{HEADING, secret_of},
    set,
};
use anyhow::{Context, bail};
use clap::Args;
use valera_pipeline::alerts::delivery::telegram::{API, Settings};

/// Who writes where.
#[derive(Debug, Clone, Args)]
pub struct TelegramArgs {
    /// File with the token of the bot that tells, as @BotFather gives it
    #[arg(long, env = "VALERA_TELEGRAM_TOKEN_FILE", value_name = "FILE", help_heading = HEADING)]
    telegram_token_file: Option<String>,
    /// The token itself; prefer the file
    #[arg(long, env = "VALERA_TELEGRAM_TOKEN", hide = true, hide_env_values = true)]
    telegram_token: Option<String>,
    /// Chat that is told: its number (below zero for a group), or the @name of a public one
    #[arg(long, env = "VALERA_TELEGRAM_CHAT_ID", value_name = "CHAT", allow_hyphen_values = true, help_heading = HEADING)]
    telegram_chat_id: Option<String>,
    /// Number of the topic, in a group that has them
    #[arg(long, env = "VALERA_TELEGRAM_THREAD_ID", value_name = "NUMBER", help_heading = HEADING)]
    telegram_thread_id: Option<String>,
    /// Address of the Bot API, where a server of one's own is used
    #[arg(long, env = "VALERA_TELEGRAM_API", value_name = "URL", hide = true)]
    telegram_api: Option<String>,
}

impl TelegramArgs {
    /// `None` when neither token nor chat is set.
    ///
    /// # Errors
    /// When one is set without the other, or something cannot be.
    pub fn settings(&self) -> anyhow::Result<Option<Settings>> {
        const TOKEN: &str = "VALERA_TELEGRAM_TOKEN";
        let token = secret_of(TOKEN, self.telegram_token_file.as_deref(), self.telegram_token.as_deref())?;
        let (token, chat) = match (token, set(self.telegram_chat_id.as_deref())) {
            (Some(token), Some(chat)) => (token, chat),
            (None, None) => return Ok(None),
            (Some(_), None) => bail!("VALERA_TELEGRAM_CHAT_ID is not set: the chat that {TOKEN} is to write in"),
            (None, Some(_)) => bail!("{TOKEN}_FILE is not set: the token of the bot, as @BotFather gives it"),
        };
        let token = token.trim().parse().context(TOKEN)?;
        let settings = Settings::new(token, chat).context("VALERA_TELEGRAM_CHAT_ID")?;
        let thread = set(self.telegram_thread_id.as_deref()).map(str::parse).transpose();
        let thread = thread.context("VALERA_TELEGRAM_THREAD_ID is no number")?;
        let api = set(self.telegram_api.as_deref()).unwrap_or(API).to_owned();
        Ok(Some(Settings { thread, api, ..settings }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Parser, error::ErrorKind};

    #[derive(Debug, Parser)]
    #[command(no_binary_name = true)]
    struct Given {
        #[command(flatten)]
        telegram: TelegramArgs,
    }

    const TOKEN: &str = "--telegram-token=123456:stub-token_stub-token_stub-token-1";

    fn given(arguments: &[&str]) -> anyhow::Result<Option<Settings>> {
        Given::try_parse_from(arguments).unwrap().telegram.settings()
    }

    #[test]
    fn there_is_a_channel_once_both_are_set_and_one_alone_is_a_fault() {
        assert!(given(&[]).unwrap().is_none());
        assert!(given(&["--telegram-token=", "--telegram-chat-id="]).unwrap().is_none());
        let settings = given(&[TOKEN, "--telegram-chat-id", "-1001", "--telegram-thread-id="]).unwrap().unwrap();
        assert_eq!((settings.chat.as_str(), settings.thread, settings.api.as_str()), ("-1001", None, API));
        for (arguments, named) in [
            (&[TOKEN][..], "VALERA_TELEGRAM_CHAT_ID"),
            (&["--telegram-chat-id=-1001"], "VALERA_TELEGRAM_TOKEN"),
            (&[TOKEN, "--telegram-chat-id=garage"], "VALERA_TELEGRAM_CHAT_ID"),
            (&[TOKEN, "--telegram-chat-id=-1001", "--telegram-thread-id=x"], "VALERA_TELEGRAM_THREAD_ID"),
            (&["--telegram-token=secret", "--telegram-chat-id=-1001"], "VALERA_TELEGRAM_TOKEN"),
        ] {
            let fault = format!("{:#}", given(arguments).unwrap_err());
            assert!(fault.starts_with(named) && !fault.contains("secret"), "{fault}");
        }
    }

    #[test]
    fn help_does_not_show_the_token() {
        let help = Given::try_parse_from(["--help"]).unwrap_err();
        assert!(help.kind() == ErrorKind::DisplayHelp && !help.to_string().contains("--telegram-token "));
    }
}
