//! The product in a process of its own.
//!
//! Its CPU and memory are then its own and nobody else's, and two workers are two processes, as in production.
//!
//! It does not stop politely: it is killed once it has nothing left to do.

use crate::{
    ground::Ground,
    sender::{SENDER, Sent},
    usage,
};
use anyhow::{Context, ensure};
use std::{
    process::{Child, Command, Stdio},
    time::Instant,
};

/// The argument that makes this binary the product's.
pub(crate) const PRODUCT: &str = "product";

/// The product, set up for a database of the ground's by its environment.
fn product(ground: &Ground) -> anyhow::Result<Command> {
    let environment = ground.environment();
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(PRODUCT)
        .env("NATS_URL", &environment.nats_url)
        .env("DATABASE_URL", &environment.database_url)
        .env("VALERA_CONTENT_KEY_FILE", ground.dir().join("content.key"))
        .env("VALERA_PSEUDONYM_KEYS_FILE", ground.dir().join("pseudonym.keys"))
        .env("VALERA_LOG", "warn")
        .stdin(Stdio::null());
    Ok(command)
}

/// Runs a command of the product to its end; how many seconds that took.
pub(crate) async fn command(ground: &Ground, arguments: &[&str]) -> anyhow::Result<f64> {
    let mut command = product(ground)?;
    command.args(arguments);
    let began = Instant::now();
    ended_well(command).await?;
    Ok(began.elapsed().as_secs_f64())
}

/// Runs a sender to its end; what it said.
pub(crate) async fn send(arguments: &[String]) -> anyhow::Result<Sent> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(SENDER).args(arguments).stdin(Stdio::null());
    serde_json::from_slice(&ended_well(command).await?).context("reading what the sender said")
}

/// What it wrote to standard output.
async fn ended_well(command: Command) -> anyhow::Result<Vec<u8>> {
    let what = format!("{:?}", command.get_args());
    let ended = tokio::process::Command::from(command).output().await.context("starting a process of our own")?;
    ensure!(ended.status.success(), "{what} failed: {}", String::from_utf8_lossy(&ended.stderr));
    Ok(ended.stdout)
}

/// `valera-analytics run …`; dropped, it is killed.
pub(crate) struct Worker(Child);

impl Worker {
    /// Starts services on a database of the ground's.
    pub(crate) fn start(ground: &Ground, services: &[&str]) -> anyhow::Result<Self> {
        let mut command = product(ground)?;
        command.arg("run").args(services);
        command.spawn().map(Self).context("starting the product")
    }

    /// Fails when it has ended, which it was not asked to.
    pub(crate) fn must_run(&mut self) -> anyhow::Result<()> {
        let ended = self.0.try_wait()?;
        ensure!(ended.is_none(), "the product ended uninvited: {ended:?}");
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// CPU seconds so far.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        usage::cpu_seconds(self.pid())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
