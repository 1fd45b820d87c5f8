//! One running server process with its children: how it becomes ready, stops, is killed, frozen and let go on.
//!
//! Stopping is polite but bounded; killing is for tests of what a crash leaves, and spares no child. A server that is
//! dropped is killed, so a test that panics leaves nothing running.
//!
//! It does not know how either server is configured.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::home::{Home, until};
use super::processes;
use super::spawn::{self, Signal};
use super::user;

/// Recovery after a crash included.
const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);
const KILL_LIMIT: Duration = Duration::from_secs(5);

pub(super) struct Server {
    name: &'static str,
    child: Child,
    home: Home,
}

impl Server {
    /// Starts `command` in `home`, its output in the home's log. It is not ready yet.
    pub(super) async fn launch(name: &'static str, command: Command, home: Home) -> Result<Self> {
        let child = launch(command, &home).await.with_context(|| format!("starting {name}"))?;
        Ok(Self { name, child, home })
    }

    /// Starts `command` in place of a process that has ended.
    pub(super) async fn relaunch(&mut self, command: Command) -> Result<()> {
        self.child = launch(command, &self.home).await.with_context(|| format!("starting {}", self.name))?;
        Ok(())
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// Waits until `probe` succeeds. Fails at once when the process ends, and after a minute.
    pub(super) async fn ready<E>(&mut self, mut probe: impl AsyncFnMut() -> Result<(), E>) -> Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        while probe().await.is_err() {
            if !self.is_running() {
                bail!("{} ended at its start; {}", self.name, self.home.log_tail());
            }
            if Instant::now() > deadline {
                bail!("{} is not ready after {READY_LIMIT:?}; {}", self.name, self.home.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends `polite`, waits 20 s at most, then kills. One that is not running is stopped already.
    pub(super) async fn stop(&mut self, polite: Signal) -> Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        self.resume()?;
        spawn::send(self.pid(), polite).with_context(|| format!("stopping {}", self.name))?;
        if until(STOP_LIMIT, || !matches!(self.child.try_wait(), Ok(None))).await {
            return Ok(());
        }
        tracing::warn!(server = self.name, "did not stop in time and is killed");
        self.kill().await
    }

    /// SIGKILL to the process and its children, as when the machine's memory runs out.
    pub(super) async fn kill(&mut self) -> Result<()> {
        let name = self.name;
        let killing = || format!("killing {name}");
        let mut killed = Vec::new();
        if self.is_running() {
            killed = self.kill_all().with_context(killing)?;
            self.child.wait().with_context(killing)?;
        }
        let gone = || !processes::any_alive(&killed) && processes::living_in(&self.home.dir).is_empty();
        if !until(KILL_LIMIT, gone).await {
            bail!("processes of {name} live on in {}", self.home.dir.display());
        }
        Ok(())
    }

    /// Frozen first, so that no new child appears between the look and the blow. Returns whom it hit.
    fn kill_all(&mut self) -> io::Result<Vec<u32>> {
        spawn::send(self.pid(), Signal::Pause)?;
        let children = processes::children(self.pid());
        for pid in &children {
            spawn::send(*pid, Signal::Kill)?;
        }
        spawn::send(self.pid(), Signal::Kill)?;
        Ok(children)
    }

    /// Freezes the process, then its children: nothing answers, yet every connection stays open.
    pub(super) fn pause(&mut self) -> Result<()> {
        self.send_to_all(Signal::Pause).with_context(|| format!("pausing {}", self.name))
    }

    pub(super) fn resume(&mut self) -> Result<()> {
        self.send_to_all(Signal::Resume).with_context(|| format!("resuming {}", self.name))
    }

    fn send_to_all(&mut self, signal: Signal) -> Result<()> {
        if !self.is_running() {
            bail!("it is not running");
        }
        spawn::send(self.pid(), signal)?;
        for child in processes::children(self.pid()) {
            spawn::send(child, signal)?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.is_running() {
            return;
        }
        let killed = self.kill_all().and_then(|_| self.child.wait());
        if let Err(error) = killed {
            tracing::warn!(server = self.name, %error, "could not be killed");
        }
    }
}

/// Runs a program of the server's to its end, e.g. `initdb`.
pub(super) async fn run(name: &'static str, command: Command, home: &Home) -> Result<()> {
    let mut child = launch(command, home).await.with_context(|| format!("starting {name}"))?;
    let mut status = None;
    let ended = until(READY_LIMIT, || {
        status = child.try_wait().ok().flatten();
        status.is_some()
    });
    if !ended.await {
        child.kill().with_context(|| format!("killing {name}"))?;
        child.wait().with_context(|| format!("killing {name}"))?;
    }
    match status {
        Some(status) if status.success() => Ok(()),
        _ => bail!("{name} failed; {}", home.log_tail()),
    }
}

async fn launch(mut command: Command, home: &Home) -> Result<Child> {
    let program = Path::new(command.get_program()).to_path_buf();
    let obstacle = home.user.and_then(|user| user::obstacle(&program, user));
    if let Some(obstacle) = obstacle {
        bail!("the servers' user may not pass {}: run `make setup` as root, or as another user", obstacle.display());
    }
    let log = home.log()?;
    // The directory is also how a leftover process is recognised.
    command.current_dir(&home.dir).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    spawn::spawn(command, home.user).await.with_context(|| program.display().to_string())
}
