//! A whole system of one's own in a directory: both servers, keys, schema and topology.
//!
//! `up` keeps it, `demo` and the tests throw it away. What a second process needs to be part of it is written to the
//! file `env` in the directory, by rename and only when everything is ready. It runs no service.

use crate::{
    embedded::{NatsOptions, NatsServer, PgOptions, Postgres, Tools},
    gateway,
};
use anyhow::{Context, anyhow, bail};
use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use valera_events::{ContentKey, Keys, PseudonymKeys};
use valera_pipeline::{
    consume::{Limits, Link},
    service::Environment,
    store::migrate,
    topology,
};

/// What may differ between a kept system and a test's.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub nats: NatsOptions,
    pub postgres: PgOptions,
    /// The zone in which a new database cuts its days; UTC when not given.
    pub time_zone: Option<String>,
    /// After how long an unacknowledged message is delivered again; a minute when not given. For tests.
    pub ack_wait: Option<Duration>,
    /// A gateway is to be part of it: the file `env` is written once that is announced, and not before.
    pub with_gateway: bool,
}

/// The gateway's clients.
const TOKENS: &str = "gateway.tokens";

/// How often the servers are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A running system; dropped, its servers are killed.
pub struct LocalSystem {
    pub nats: NatsServer,
    pub postgres: Postgres,
    pub environment: Environment,
    dir: PathBuf,
    keys: KeyFiles,
}

impl LocalSystem {
    /// Starts the servers with their data in `dir`, migrates, applies the topology, and writes `env`.
    ///
    /// # Errors
    /// When a server does not start, or the directory holds a system of another zone.
    pub async fn start(tools: &Tools, dir: &Path, options: Options) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let env_file = dir.join("env");
        let keys = KeyFiles::in_dir(dir)?;
        let (nats, postgres) = futures::future::try_join(
            NatsServer::start(tools, dir.join("nats"), options.nats),
            Postgres::start(tools, dir.join("postgres"), options.postgres),
        )
        .await?;
        // Only now: until the servers had their directories, the file could have been a running system's.
        match fs::remove_file(&env_file) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause).context("removing the old env"),
            _ => {}
        }
        let loaded = keys.load()?;
        let settings = migrate::migrate(&postgres.url(), options.time_zone.as_deref(), &loaded.content).await?;
        let client = Link::new(nats.url(), "valera-up").connect().await?;
        let mut wanted = topology::desired()?;
        if let Some(ack_wait) = options.ack_wait {
            wanted = wanted.with_ack_wait(ack_wait);
        }
        wanted.apply(&async_nats::jetstream::new(client)).await?;
        let environment = Environment {
            nats_url: nats.url(),
            database_url: postgres.url(),
            keys: Arc::new(loaded),
            time_zone: Some(settings.time_zone),
            limits: Limits::default(),
        };
        let system = Self { nats, postgres, environment, dir: dir.to_owned(), keys };
        if !options.with_gateway {
            system.write_env(&[])?;
        }
        Ok(system)
    }

    /// Where its data is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Waits until a server ends that nobody stopped, and says which.
    pub async fn lost_server(&mut self) -> anyhow::Error {
        loop {
            let (nats, postgres) = (self.nats.is_running(), self.postgres.is_running());
            for (name, is_running) in [("nats", nats), ("postgres", postgres)] {
                if !is_running {
                    let log = self.dir.join(name).join("log");
                    return anyhow!("{name} ended and was not asked to; its log is {}", log.display());
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Stops both servers; their data stays.
    ///
    /// # Errors
    /// When a server cannot be stopped.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let (nats, postgres) = futures::join!(self.nats.stop(), self.postgres.stop());
        nats.and(postgres)
    }

    /// What a gateway of this system needs: a token of its own, made once and kept in the directory, and a spool there.
    ///
    /// # Errors
    /// When the files cannot be written or read.
    pub fn gateway(&self) -> anyhow::Result<gateway::Settings> {
        let dir = std::path::absolute(&self.dir)?;
        keep(&dir.join(TOKENS), || format!("up:{}", ContentKey::from_bytes(rand::random()).to_hex()))?;
        Ok(gateway::Settings {
            nats_url: self.environment.nats_url.clone(),
            database_url: Some(self.environment.database_url.clone()),
            keys: self.environment.keys.pseudonym.clone(),
            tokens: gateway::Tokens::read(&dir.join(TOKENS))?,
            address: None,
            spool: Some(dir.join("gateway-spool")),
            rate: gateway::RATE,
            connections: gateway::PER_ADDRESS,
        })
    }

    /// The token of this system's own client of its gateway.
    ///
    /// # Errors
    /// When the file of tokens cannot be read, or has no client `up`.
    pub fn gateway_token(&self) -> anyhow::Result<String> {
        let tokens = fs::read_to_string(self.dir.join(TOKENS)).context("reading the gateway's token")?;
        let token = tokens.lines().find_map(|line| line.strip_prefix("up:"));
        Ok(token.context("the gateway has no client `up`")?.to_owned())
    }

    /// Writes the file `env`, with where the gateway is and the token that it knows.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn announce_gateway(&self, url: &str) -> anyhow::Result<()> {
        self.write_env(&[("VALERA_GATEWAY_URL", url), ("VALERA_GATEWAY_TOKEN", &self.gateway_token()?)])
    }

    fn write_env(&self, more: &[(&str, &str)]) -> anyhow::Result<()> {
        let path = self.dir.join("env");
        let Environment { nats_url, database_url, time_zone, .. } = &self.environment;
        let (content, pseudonym) = (self.keys.content.to_string_lossy(), self.keys.pseudonym.to_string_lossy());
        let own = [
            ("NATS_URL", nats_url.as_str()),
            ("DATABASE_URL", database_url),
            ("VALERA_TIMEZONE", time_zone.as_deref().unwrap_or("UTC")),
            ("VALERA_CONTENT_KEY_FILE", &content),
            ("VALERA_PSEUDONYM_KEYS_FILE", &pseudonym),
        ];
        let lines: Vec<_> =
            own.iter().chain(more).map(|(name, value)| format!("export {name}={}\n", shell_quoted(value))).collect();
        let part = path.with_extension("part");
        // For its owner alone: it may hold a token.
        drop(fs::remove_file(&part));
        let written = File::options().write(true).create_new(true).mode(0o600).open(&part);
        written
            .and_then(|mut file| file.write_all(lines.concat().as_bytes()))
            .with_context(|| format!("writing {}", part.display()))?;
        fs::rename(&part, &path).with_context(|| format!("writing {}", path.display()))
    }
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The key files of a system, made when it is first started.
struct KeyFiles {
    content: PathBuf,
    pseudonym: PathBuf,
}

impl KeyFiles {
    fn in_dir(dir: &Path) -> anyhow::Result<Self> {
        let dir = std::path::absolute(dir)?;
        let files = Self { content: dir.join("content.key"), pseudonym: dir.join("pseudonym.keys") };
        keep(&files.content, || ContentKey::from_bytes(rand::random()).to_hex())?;
        keep(&files.pseudonym, || format!("k1:{}", ContentKey::from_bytes(rand::random()).to_hex()))?;
        Ok(files)
    }

    fn load(&self) -> anyhow::Result<Keys> {
        let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
        Ok(Keys {
            content: ContentKey::from_hex(read(&self.content)?.trim())?,
            pseudonym: PseudonymKeys::parse(read(&self.pseudonym)?.trim())?,
        })
    }
}

/// Writes a secret file that only its owner reads, unless it is there.
fn keep(path: &Path, secret: impl FnOnce() -> String) -> anyhow::Result<()> {
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => writeln!(file, "{}", secret()).with_context(|| format!("writing {}", path.display())),
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(cause) => bail!("creating {}: {cause}", path.display()),
    }
}
