//! What a tracker needs to know, and where a program finds it: the only module here that reads the environment.
//!
//! Secrets come as values or, better, as `…_FILE`: an environment is visible to others, a file is not.
//!
//! It opens nothing but key files.

use crate::spool::disk::{Directory, Disk};
use async_nats::ServerAddr;
use chrono_tz::Tz;
use std::{fs, sync::Arc, time::Duration};
use valera_events::PseudonymKeys;

/// How a tracker is made. [`Config::new`] has the defaults, [`Config::from_env`] reads the environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// One address or several, with commas: `nats://user:password@host:4222`.
    pub nats_url: String,
    /// The keys that personal values are hidden with.
    pub pseudonym_keys: PseudonymKeys,
    /// Where events wait; without it they wait in memory only, and end with the process.
    pub spool: Option<Arc<dyn Disk>>,
    /// The zone in which a day of [`Tracker::dialog_started`](crate::Tracker::dialog_started) begins.
    pub time_zone: Tz,
    /// What the subjects of answers begin with, where the server allows the bot but one; else `_INBOX`.
    pub inbox_prefix: Option<String>,
    pub limits: Limits,
}

/// How much a tracker takes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Events in the queue, and their bytes. What stands there is lost when the bot is killed: milliseconds' worth.
    pub queue_events: usize,
    pub queue_bytes: usize,
    /// Bytes of events that wait in memory because the spool takes none.
    pub memory_bytes: usize,
    /// Bytes of the spool.
    pub spool_bytes: u64,
    /// Bytes of one of its segments: at most about so many are sent again after a crash.
    pub segment_bytes: u64,
    /// After how long without an answer an event is sent again.
    pub ack_patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_events: 16_384,
            queue_bytes: 16 * 1024 * 1024,
            memory_bytes: 16 * 1024 * 1024,
            spool_bytes: 1024 * 1024 * 1024,
            segment_bytes: 1024 * 1024,
            ack_patience: Duration::from_secs(5),
        }
    }
}

/// Why there is no tracker. Names what is wrong, never a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{name}: {cause}")]
    Malformed { name: &'static str, cause: String },
    #[error("{0}_FILE is not set: without keys personal values could not be hidden")]
    Missing(&'static str),
    #[error("the tracker's thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl Config {
    /// Without a spool, in UTC.
    pub fn new(nats_url: impl Into<String>, pseudonym_keys: PseudonymKeys) -> Self {
        Self {
            nats_url: nats_url.into(),
            pseudonym_keys,
            spool: None,
            time_zone: Tz::UTC,
            inbox_prefix: None,
            limits: Limits::default(),
        }
    }

    /// Keeps events in a directory, which one process may own. It is made where there is none.
    #[must_use]
    pub fn spool_in(self, dir: impl Into<std::path::PathBuf>) -> Self {
        Self { spool: Some(Arc::new(Directory::new(dir))), ..self }
    }

    /// Reads the environment; `None` where tracking is off.
    ///
    /// | variable | default |
    /// |---|---|
    /// | `VALERA_ANALYTICS_ENABLED` | on where `VALERA_ENV`, else `RAILS_ENV`, is `production` or `staging` |
    /// | `NATS_URL` | `nats://127.0.0.1:4222` |
    /// | `VALERA_PSEUDONYM_KEYS_FILE`, `VALERA_PSEUDONYM_KEYS` | none: one is required |
    /// | `VALERA_SPOOL_DIR` | none: events wait in memory |
    /// | `VALERA_TIMEZONE` | `UTC` |
    /// | `VALERA_NATS_INBOX_PREFIX` | `_INBOX` |
    ///
    /// # Errors
    /// When a value is malformed, or there are no keys.
    pub fn from_env() -> Result<Option<Self>, ConfigError> {
        Self::from_variables(&variable)
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, ConfigError> {
        if !is_enabled(variable)? {
            return Ok(None);
        }
        let nats_url = variable("NATS_URL").unwrap_or_else(|| "nats://127.0.0.1:4222".into());
        let mut config = Self::new(nats_url, pseudonym_keys(variable)?);
        config.servers()?;
        if let Some(zone) = variable("VALERA_TIMEZONE") {
            let cause = |_| malformed("VALERA_TIMEZONE", format!("{zone:?} is no IANA time zone"));
            config.time_zone = zone.parse().map_err(cause)?;
        }
        config.inbox_prefix = variable(INBOX_PREFIX);
        config.check_inbox_prefix()?;
        Ok(Some(match variable("VALERA_SPOOL_DIR") {
            Some(dir) => config.spool_in(dir),
            None => config,
        }))
    }

    /// Under a prefix that is no subject no answer could be listened to, and nothing would ever be acknowledged.
    pub(crate) fn check_inbox_prefix(&self) -> Result<(), ConfigError> {
        let Some(prefix) = &self.inbox_prefix else { return Ok(()) };
        let is_token = |token: &str| {
            !token.is_empty()
                && !token.contains(|sign: char| sign.is_whitespace() || sign.is_control() || "*>".contains(sign))
        };
        if prefix.split('.').all(is_token) {
            return Ok(());
        }
        Err(malformed(INBOX_PREFIX, format!("{prefix:?} is no subject: parts without * or >, joined by single dots")))
    }

    pub(crate) fn servers(&self) -> Result<Vec<ServerAddr>, ConfigError> {
        let servers = self.nats_url.split(',').map(|url| url.trim().parse::<ServerAddr>());
        // The address may hold a password: it is not shown.
        servers.collect::<Result<_, _>>().map_err(|cause| malformed("NATS_URL", cause.to_string()))
    }
}

const INBOX_PREFIX: &str = "VALERA_NATS_INBOX_PREFIX";

fn malformed(name: &'static str, cause: String) -> ConfigError {
    ConfigError::Malformed { name, cause }
}

fn is_enabled(variable: &dyn Fn(&str) -> Option<String>) -> Result<bool, ConfigError> {
    const NAME: &str = "VALERA_ANALYTICS_ENABLED";
    match variable(NAME).map(|value| value.to_ascii_lowercase()).as_deref() {
        Some("true" | "1" | "yes" | "on") => Ok(true),
        Some("false" | "0" | "no" | "off") => Ok(false),
        Some(other) => Err(malformed(NAME, format!("expected true or false; got {other:?}"))),
        None => {
            let environment = variable("VALERA_ENV").or_else(|| variable("RAILS_ENV"));
            Ok(matches!(environment.as_deref(), Some("production" | "staging")))
        }
    }
}

fn pseudonym_keys(variable: &dyn Fn(&str) -> Option<String>) -> Result<PseudonymKeys, ConfigError> {
    const NAME: &str = "VALERA_PSEUDONYM_KEYS";
    let text = match variable("VALERA_PSEUDONYM_KEYS_FILE") {
        Some(file) => fs::read_to_string(&file)
            .map_err(|cause| malformed("VALERA_PSEUDONYM_KEYS_FILE", format!("reading {file}: {cause}")))?,
        None => variable(NAME).ok_or(ConfigError::Missing(NAME))?,
    };
    PseudonymKeys::parse(text.trim()).map_err(|cause| malformed(NAME, cause.to_string()))
}

/// An empty variable is as good as none: `docker compose` sets those.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const KEYS: (&str, &str) =
        ("VALERA_PSEUDONYM_KEYS", "k1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");

    fn read(variables: &[(&str, &str)]) -> Result<Option<Config>, String> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        Config::from_variables(&|name| variables.get(name).map(ToString::to_string))
            .map_err(|cause| cause.to_string())
    }

    #[test]
    fn tracking_is_off_unless_it_is_set_or_the_environment_is_a_real_one() {
        let is_on = |variables: &[_]| read(&[variables, &[KEYS]].concat()).unwrap().is_some();
        assert!(!is_on(&[]) && !is_on(&[("RAILS_ENV", "test")]) && !is_on(&[("VALERA_ENV", "development")]));
        assert!(is_on(&[("RAILS_ENV", "staging")]) && is_on(&[("VALERA_ENV", "production")]));
        assert!(!is_on(&[("VALERA_ENV", "test"), ("RAILS_ENV", "production")]));
        assert!(is_on(&[("VALERA_ANALYTICS_ENABLED", "1")]));
        assert!(!is_on(&[("VALERA_ANALYTICS_ENABLED", "False"), ("VALERA_ENV", "production")]));
    }

    #[test]
    fn a_mistake_is_named_and_no_secret_shown() {
        let on = ("VALERA_ANALYTICS_ENABLED", "true");
        assert!(read(&[on]).unwrap_err().contains("VALERA_PSEUDONYM_KEYS_FILE"));
        assert!(read(&[("VALERA_ANALYTICS_ENABLED", "ja")]).unwrap_err().contains("true or false"));
        assert!(read(&[on, KEYS, ("VALERA_TIMEZONE", "Moscow")]).unwrap_err().contains("Moscow"));
        for prefix in ["_INBOX_bot.", ".bot", "a..b", "a b", "bot.>", "bot.*"] {
            let shown = read(&[on, KEYS, ("VALERA_NATS_INBOX_PREFIX", prefix)]).unwrap_err();
            assert!(shown.contains("VALERA_NATS_INBOX_PREFIX"), "{shown}");
        }
        let prefix = read(&[on, KEYS, ("VALERA_NATS_INBOX_PREFIX", "_INBOX.bot")]).unwrap().unwrap().inbox_prefix;
        assert_eq!(prefix.as_deref(), Some("_INBOX.bot"));
        let unreadable = read(&[on, ("VALERA_PSEUDONYM_KEYS_FILE", "/nowhere/keys")]).unwrap_err();
        assert!(unreadable.contains("/nowhere/keys"), "{unreadable}");
        let shown = read(&[on, KEYS, ("NATS_URL", "nats://bot:s3cret@host:port")]).unwrap_err();
        assert!(shown.contains("NATS_URL") && !shown.contains("s3cret"), "{shown}");
        let half = read(&[on, ("VALERA_PSEUDONYM_KEYS", "k1:00ff")]).unwrap_err();
        assert!(!half.contains("00ff"), "{half}");
    }
}
