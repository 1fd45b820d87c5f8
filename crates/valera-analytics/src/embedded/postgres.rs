//! An embedded PostgreSQL with one role and one database, both `valera`.
//!
//! It listens on loopback TCP alone: a socket file's path would have to stay under 108 bytes, which a deep temporary
//! directory does not. The cluster is made beside its final place and renamed, so one that a kill left half made is
//! never mistaken for a database.
//!
//! It does not create tables (`valera-analytics migrate` does).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection};

use super::Tools;
use super::home::{Home, is_free, until};
use super::server::{self, Server};
use super::spawn::Signal;

const NAME: &str = "valera";

/// What may differ between a kept system and a test's.
#[derive(Clone, Debug)]
pub struct PgOptions {
    /// The port on 127.0.0.1; `None` takes the previous run's, else any free one.
    pub port: Option<u16>,
    /// Whether commits reach the disk. Without it only a crash of the machine, not of the server, loses any. For tests.
    pub fsync: bool,
    /// Further settings, by name, as `postgres -c` takes them.
    pub settings: Vec<(String, String)>,
}

impl Default for PgOptions {
    fn default() -> Self {
        Self { port: None, fsync: true, settings: Vec::new() }
    }
}

/// A running PostgreSQL; dropped, it is killed.
pub struct Postgres {
    server: Server,
    binary: PathBuf,
    options: PgOptions,
    port: u16,
}

impl Postgres {
    /// Starts a server whose cluster, log and port are in `dir`, creates what is missing, and waits until the database
    /// takes connections.
    ///
    /// # Errors
    /// When `dir` is in use or out of reach or holds another major version's cluster, the port is taken, or the server
    /// does not start; the text ends with its log.
    pub async fn start(tools: &Tools, dir: impl AsRef<Path>, options: PgOptions) -> Result<Self> {
        let home = Home::open(dir.as_ref()).await?;
        prepare_cluster(tools, &home, options.fsync).await?;
        // Chosen last: making a cluster takes seconds, in which others choose theirs.
        let port = home.port(options.port)?;
        let binary = tools.postgres_bin.join("postgres");
        let command = command(&binary, &home.dir, port, &options);
        let mut server = Server::launch("postgres", command, home).await?;
        server.ready(async || ensure_database(port).await).await?;
        Ok(Self { server, binary, options, port })
    }

    /// `postgres://valera@127.0.0.1:<port>/valera`, the same after a restart.
    pub fn url(&self) -> String {
        format!("postgres://{NAME}@127.0.0.1:{}/{NAME}", self.port)
    }

    /// Where the server is, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The postmaster's process id.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Whether the postmaster has not ended. A paused one is running.
    pub fn is_running(&mut self) -> bool {
        self.server.is_running()
    }

    /// Fast shutdown: open transactions are rolled back. After 20 s the server is killed.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn stop(&mut self) -> Result<()> {
        self.server.stop(Signal::Interrupt).await
    }

    /// SIGKILL to the postmaster and every backend, now.
    ///
    /// # Errors
    /// When they cannot be signalled or do not end.
    pub async fn kill(&mut self) -> Result<()> {
        self.server.kill().await
    }

    /// Freezes the postmaster and every backend: connections stay open and nothing answers.
    ///
    /// # Errors
    /// When it is not running.
    pub fn pause(&mut self) -> Result<()> {
        self.server.pause()
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    /// When it is not running.
    pub fn resume(&mut self) -> Result<()> {
        self.server.resume()
    }

    /// Starts the server again on the same port and cluster, after stopping it if it runs.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        let port = self.port;
        ensure!(
            until(Duration::from_secs(5), || is_free(port)).await,
            "port {port} was taken while postgres was down"
        );
        let command = command(&self.binary, &self.server.home().dir, port, &self.options);
        self.server.relaunch(command).await?;
        self.server.ready(async || ensure_database(port).await).await
    }
}

/// Makes the cluster on the first start, and refuses one that this version cannot read.
async fn prepare_cluster(tools: &Tools, home: &Home, fsync: bool) -> Result<()> {
    let (cluster, unfinished) = (home.dir.join("data"), home.dir.join("data.new"));
    if let Ok(major) = fs::read_to_string(cluster.join("PG_VERSION")) {
        let (major, ours) = (major.trim(), tools.postgres_major()?.to_string());
        ensure!(
            major == ours,
            "{} was made by PostgreSQL {major}, and this is {ours}: dump it and start anew, or set VALERA_PG_BIN",
            cluster.display()
        );
        // Nothing runs here (the home saw to that), yet another process may have the number in it by now.
        return remove(&cluster.join("postmaster.pid"));
    }
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| format!("removing {}", unfinished.display()))?;
    }
    let mut initdb = Command::new(tools.postgres_bin.join("initdb"));
    initdb
        .arg("-D")
        .arg(&unfinished)
        .args(["-U", NAME, "-A", "trust", "-E", "UTF8", "--locale=C"])
        .env("LC_ALL", "C");
    if !fsync {
        initdb.arg("--no-sync");
    }
    server::run("initdb", initdb, home).await?;
    fs::rename(&unfinished, &cluster).with_context(|| format!("moving the new cluster to {}", cluster.display()))
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", file.display()))
        }
        _ => Ok(()),
    }
}

fn command(binary: &Path, dir: &Path, port: u16, options: &PgOptions) -> Command {
    let port = port.to_string();
    let fsync = if options.fsync { "on" } else { "off" };
    let fixed = [
        ("listen_addresses", "127.0.0.1"),
        ("port", port.as_str()),
        ("unix_socket_directories", ""),
        ("shared_buffers", "128MB"),
        ("fsync", fsync),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
    ];
    let extra = options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut command = Command::new(binary);
    command.arg("-D").arg(dir.join("data")).env("LC_ALL", "C");
    for (name, value) in fixed.into_iter().chain(extra) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    command
}

/// Connects, which is the proof of readiness, and creates the database where it is missing.
async fn ensure_database(port: u16) -> Result<(), sqlx::Error> {
    let server = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username(NAME)
        .database("postgres")
        .ssl_mode(PgSslMode::Disable);
    let mut connection = server.connect().await?;
    let exists = sqlx::query("SELECT FROM pg_database WHERE datname = 'valera'");
    if exists.fetch_optional(&mut connection).await?.is_none() {
        sqlx::query("CREATE DATABASE valera").execute(&mut connection).await?;
    }
    connection.close().await
}
