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
    pin::pin,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The argument that makes this binary the product's.
pub(crate) const PRODUCT: &str = "product";

/// How often the memory of a process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

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

/// What a command took.
pub(crate) struct Took {
    pub(crate) seconds: f64,
    pub(crate) peak_rss_mb: f64,
}

/// Runs a command of the product to its end.
pub(crate) async fn command(ground: &Ground, arguments: &[&str]) -> anyhow::Result<Took> {
    let mut command = product(ground)?;
    command.args(arguments);
    let began = Instant::now();
    let (_, peak_rss_mb) = ended_well(command).await?;
    Ok(Took { seconds: began.elapsed().as_secs_f64(), peak_rss_mb })
}

/// Runs a sender to its end; what it said.
pub(crate) async fn send(arguments: &[String]) -> anyhow::Result<Sent> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(SENDER).args(arguments).stdin(Stdio::null());
    let (said, _) = ended_well(command).await?;
    serde_json::from_slice(&said).context("reading what the sender said")
}

/// What it wrote to standard output, and its peak memory in MB.
async fn ended_well(mut command: Command) -> anyhow::Result<(Vec<u8>, f64)> {
    let what = format!("{:?}", command.get_args());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = tokio::process::Command::from(command).spawn().context("starting a process of our own")?;
    let pid = child.id().context("a process that was just started has ended")?;
    let mut ended = pin!(child.wait_with_output());
    let mut peak_rss_mb = f64::NAN;
    let ended = loop {
        tokio::select! {
            ended = &mut ended => break ended.context("waiting for a process of our own")?,
            // The kernel keeps the peak, and forgets it with the process: what it grows by after the last look is missed.
            () = tokio::time::sleep(LOOK_EVERY) => peak_rss_mb = usage::peak_rss_mb(pid).unwrap_or(peak_rss_mb),
        }
    };
    ensure!(ended.status.success(), "{what} failed: {}", String::from_utf8_lossy(&ended.stderr));
    Ok((ended.stdout, peak_rss_mb))
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
