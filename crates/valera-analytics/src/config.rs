//! Where configuration comes from: flags, over `VALERA_*` environment variables, over a `.env` file.
//!
//! The only module that reads the environment. A secret can come as a value or, better, as `…_FILE`: an environment is
//! visible to others, a file is not. Nothing is opened here but key files.

mod delivery;
mod email;
mod telegram;
mod webhook;

pub use delivery::DeliveryArgs;
pub use telegram::TelegramArgs;

use crate::gateway::{self, Tokens};
use anyhow::Context;
use clap::Args;
use std::{
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
};
use tracing_subscriber::EnvFilter;
use valera_events::{ContentKey, Keys, PseudonymKeys};
use valera_pipeline::{
    alerts::{self, Language, Rules},
    consume::Limits,
    service::Environment,
};

/// Reads `.env` of the working directory, and of no other, and chooses the TLS provider; before anything else, while there is one thread.
///
/// # Errors
/// When there is a `.env` that cannot be read.
pub fn prepare() -> anyhow::Result<()> {
    // Fails only where a provider was chosen already.
    drop(rustls::crypto::ring::default_provider().install_default());
    match dotenvy::from_path(".env") {
        Err(cause) if !cause.not_found() => Err(cause).context("reading .env"),
        _ => Ok(()),
    }
}

/// Logs go to standard error: standard output belongs to results. `quiet` shows warnings only.
pub fn log_to_stderr(quiet: bool) {
    let default = if quiet { "warn" } else { "info,async_nats=warn,sqlx=warn" };
    let asked = variable("VALERA_LOG");
    let asked = set(asked.as_deref()).and_then(|filter| EnvFilter::try_new(filter).ok());
    let filter = asked.unwrap_or_else(|| EnvFilter::new(default));
    let colour = std::io::stderr().is_terminal() && !no_color();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour);
    let json = variable("VALERA_LOG_FORMAT").is_some_and(|format| format == "json");
    if json { builder.json().init() } else { builder.init() }
}

/// Whether the user asked for no colour (<https://no-color.org>).
#[must_use]
pub fn no_color() -> bool {
    variable("NO_COLOR").is_some_and(|value| !value.is_empty())
}

#[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Where NATS is.
#[derive(Debug, Clone, Args)]
pub struct NatsArgs {
    /// Address of the NATS server
    #[arg(
        long,
        env = "NATS_URL",
        hide_env_values = true,
        default_value = "nats://127.0.0.1:4222",
        value_name = "URL"
    )]
    pub nats_url: String,
}

/// Where Postgres is.
#[derive(Debug, Clone, Args)]
pub struct DatabaseArgs {
    /// Address of the database: postgres://user@host:port/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: String,
}

/// In which zone days are cut.
#[derive(Debug, Clone, Args)]
pub struct ZoneArgs {
    /// Zone in which days are cut, an IANA name [default of a new database: UTC]
    #[arg(long = "timezone", env = "VALERA_TIMEZONE", value_name = "ZONE")]
    pub time_zone: Option<String>,
}

/// The key of content hashes.
#[derive(Debug, Clone, Args)]
pub struct ContentKeyArgs {
    /// File with the key of content hashes: 64 hex digits, never changed
    #[arg(long, env = "VALERA_CONTENT_KEY_FILE", value_name = "FILE")]
    content_key_file: Option<PathBuf>,
    /// The key itself; prefer the file
    #[arg(long, env = "VALERA_CONTENT_KEY", hide = true, hide_env_values = true)]
    content_key: Option<String>,
}

/// The keys of pseudonyms.
#[derive(Debug, Clone, Args)]
pub struct PseudonymKeysArgs {
    /// File with the keys of pseudonyms, a line each, the current one first: `ID:64 hex digits`
    #[arg(long, env = "VALERA_PSEUDONYM_KEYS_FILE", value_name = "FILE")]
    pseudonym_keys_file: Option<PathBuf>,
    /// The keys themselves; prefer the file
    #[arg(long, env = "VALERA_PSEUDONYM_KEYS", hide = true, hide_env_values = true)]
    pseudonym_keys: Option<String>,
}

impl ContentKeyArgs {
    /// Reads the key.
    ///
    /// # Errors
    /// When there is none, or it is malformed.
    pub fn load(&self) -> anyhow::Result<ContentKey> {
        let (text, given) = key("VALERA_CONTENT_KEY", self.content_key_file.as_deref(), self.content_key.as_deref())?;
        ContentKey::from_hex(text.trim()).context(given)
    }
}

impl PseudonymKeysArgs {
    /// Reads the keys.
    ///
    /// # Errors
    /// When there is none, or one is malformed.
    pub fn load(&self) -> anyhow::Result<PseudonymKeys> {
        let (text, given) =
            key("VALERA_PSEUDONYM_KEYS", self.pseudonym_keys_file.as_deref(), self.pseudonym_keys.as_deref())?;
        PseudonymKeys::parse(text.trim()).context(given)
    }
}

/// By which rules alerts are raised.
#[derive(Debug, Clone, Default, Args)]
pub struct RulesArgs {
    /// Rule file of the alerts [default: the rules that are compiled in, as `alerts rules` prints them]
    #[arg(long = "alert-rules", env = "VALERA_ALERT_RULES", value_name = "FILE")]
    pub rules: Option<String>,
}

impl RulesArgs {
    /// Reads the rules.
    ///
    /// # Errors
    /// When the rule file cannot be read or has faults; all of them are named.
    pub fn load(&self) -> anyhow::Result<Rules> {
        let rules = match set(self.rules.as_deref()) {
            None => Rules::shipped(),
            Some(file) => {
                let text = fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
                Rules::parse(&text)
            }
        };
        rules.map_err(|faults| {
            let faults: Vec<_> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
            anyhow::anyhow!("the alert rules have faults:{}", faults.concat())
        })
    }

    /// What the service `alerts` needs.
    ///
    /// # Errors
    /// As [`RulesArgs::load`], and when there is no such zone.
    pub fn settings(&self, nats_url: &str, time_zone: Option<&str>) -> anyhow::Result<alerts::Settings> {
        alerts::Settings::new(nats_url, self.load()?, time_zone)
    }
}

/// In which language people are told.
#[derive(Debug, Clone, Args)]
pub struct LanguageArgs {
    /// Language of what people are told: ru or en
    #[arg(long, env = "VALERA_ALERT_LANGUAGE", value_name = "LANGUAGE", default_value = "ru", value_parser = language)]
    pub language: Language,
}

fn language(text: &str) -> Result<Language, &'static str> {
    match text {
        "ru" => Ok(Language::Russian),
        "en" => Ok(Language::English),
        _ => Err("expected ru or en"),
    }
}

/// What the gateway needs beside NATS and Postgres.
#[derive(Debug, Clone, Args)]
pub struct GatewayArgs {
    /// File of the gateway's clients, a line each: `client:token` or `client:sha256:HEX`
    #[arg(long = "gateway-tokens-file", env = "VALERA_GATEWAY_TOKENS_FILE", value_name = "FILE")]
    pub tokens_file: Option<PathBuf>,
    /// Where the gateway listens [default: 127.0.0.1:8080, or another port where that is taken]
    #[arg(long = "gateway-address", env = "VALERA_GATEWAY_ADDRESS", value_name = "HOST:PORT")]
    address: Option<String>,
    /// Directory where the gateway keeps events until NATS has them; of one process only
    #[arg(long = "gateway-spool", env = "VALERA_GATEWAY_SPOOL", value_name = "DIR")]
    spool: Option<PathBuf>,
    /// Requests a second of one client of the gateway
    #[arg(long = "gateway-rate", env = "VALERA_GATEWAY_RATE", default_value_t = gateway::RATE, value_name = "N")]
    rate: u32,
    /// Connections of one address at once; more where clients come by way of a proxy
    #[arg(long = "gateway-connections", env = "VALERA_GATEWAY_CONNECTIONS", default_value_t = gateway::PER_ADDRESS, value_name = "N")]
    connections: usize,
}

impl GatewayArgs {
    /// Reads tokens and keys.
    ///
    /// # Errors
    /// When there is no file of tokens, or it or the keys are malformed.
    pub fn settings(&self, service: &ServiceArgs) -> anyhow::Result<gateway::Settings> {
        let tokens = self.tokens_file.as_deref().context(
            "VALERA_GATEWAY_TOKENS_FILE is not set: point it at a file with a line client:token for each client",
        )?;
        Ok(gateway::Settings {
            nats_url: service.nats.nats_url.clone(),
            database_url: set(service.database_url.as_deref()).map(str::to_owned),
            keys: service.pseudonym_keys.load()?,
            tokens: Tokens::read(tokens)?,
            address: set(self.address.as_deref()).map(str::to_owned),
            spool: self.spool.clone(),
            rate: self.rate,
            connections: self.connections,
        })
    }
}

/// Everything a service on Postgres needs.
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
    #[command(flatten)]
    pub nats: NatsArgs,
    /// Address of the database: postgres://user@host:port/database; services other than persister and rollups start without
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
    #[command(flatten)]
    pub zone: ZoneArgs,
    #[command(flatten)]
    pub content_key: ContentKeyArgs,
    #[command(flatten)]
    pub pseudonym_keys: PseudonymKeysArgs,
}

impl ServiceArgs {
    /// Reads the keys.
    ///
    /// # Errors
    /// When there is no address of a database, or a key is missing or malformed.
    pub fn environment(&self) -> anyhow::Result<Environment> {
        let database_url = self.database_url.clone();
        let database_url = database_url.context("DATABASE_URL is not set: postgres://user@host:port/database")?;
        let keys = Keys { content: self.content_key.load()?, pseudonym: self.pseudonym_keys.load()? };
        Ok(Environment {
            nats_url: self.nats.nats_url.clone(),
            database_url,
            keys: Arc::new(keys),
            time_zone: self.zone.time_zone.clone(),
            limits: Limits::default(),
        })
    }
}

/// What a variable holds: an empty one is an unset one, since that is how docker compose hands on what is not in `.env`.
pub(crate) fn set(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

/// A key of events, and where it was given.
fn key(name: &str, file: Option<&Path>, value: Option<&str>) -> anyhow::Result<(String, String)> {
    secret(name, file, value)?.with_context(|| {
        format!(
            "{name}_FILE is not set: point it, or {}, at the key file (`up` makes one beside its data)",
            option(name)
        )
    })
}

/// A secret, and where it was given; `None` when it was not.
fn secret(name: &str, file: Option<&Path>, value: Option<&str>) -> anyhow::Result<Option<(String, String)>> {
    let Some(file) = file else { return Ok(value.map(|value| (value.to_owned(), name.to_owned()))) };
    // Whoever used the option does not look for a variable.
    let given = format!("{name}_FILE or {}, {}", option(name), file.display());
    let text = fs::read_to_string(file).with_context(|| format!("reading {given}"))?;
    Ok(Some((text, given)))
}

/// The option beside the variable of a secret's file.
fn option(name: &str) -> String {
    format!("--{}-file", name.trim_start_matches("VALERA_").replace('_', "-").to_lowercase())
}
