//! The product in a process of its own.
//!
//! Its CPU and memory are then its own and nobody else's, and two workers are two processes, as in production.
//!
//! It does not stop politely: it is killed once it has nothing left to do.

use crate::{ground::Ground, usage};
use anyhow::{Context, ensure};
use std::process::{Child, Command, Stdio};

/// The argument that makes this binary the product's.
pub(crate) const PRODUCT: &str = "product";

/// `valera-analytics run …`; dropped, it is killed.
pub(crate) struct Worker(Child);

impl Worker {
    /// Starts services on a database of the ground's.
    pub(crate) fn start(ground: &Ground, services: &[&str]) -> anyhow::Result<Self> {
        let environment = ground.environment();
        let key = |name: &str| ground.dir().join(name);
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args([PRODUCT, "run"])
            .args(services)
            .args(["--nats-url", &environment.nats_url, "--database-url", &environment.database_url])
            .arg("--content-key-file")
            .arg(key("content.key"))
            .arg("--pseudonym-keys-file")
            .arg(key("pseudonym.keys"))
            .env("VALERA_LOG", "warn")
            .stdin(Stdio::null());
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
