//! Services under test: inside this process, or in one of their own that can be killed.

use super::eventually;
use std::{
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    alerts::{
        self,
        delivery::{Configured, Notifier},
    },
    consume::Watched,
    probe::{NoProbe, Probe},
    service::{Environment, Service},
};

/// A service in this process; dropped, it is told to stop.
pub(crate) struct Running {
    pub(crate) watched: Watched,
    shutdown: CancellationToken,
    task: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Running {
    #[allow(clippy::disallowed_methods, reason = "the test is the supervisor")]
    pub(crate) fn start(
        service: Service,
        environment: Environment,
        probe: Arc<dyn Probe>,
        shutdown: CancellationToken,
    ) -> Self {
        let watched = Watched::new(service.name());
        let task = tokio::spawn(service.run(environment, watched.clone(), probe, shutdown.clone()));
        Self { watched, shutdown, task: Some(task) }
    }

    #[allow(clippy::disallowed_methods, reason = "the test is the supervisor")]
    pub(crate) fn alerts(settings: alerts::Settings) -> Self {
        let (watched, shutdown) = (Watched::new(alerts::NAME), CancellationToken::new());
        let task = tokio::spawn(settings.run(watched.clone(), Arc::new(NoProbe), shutdown.clone()));
        Self { watched, shutdown, task: Some(task) }
    }

    #[allow(clippy::disallowed_methods, reason = "the test is the supervisor")]
    pub(crate) fn notifier(notifier: Notifier, channel: Configured) -> Self {
        let (watched, shutdown) = (Watched::of_channel(channel.name()), CancellationToken::new());
        let task = tokio::spawn(notifier.run(channel, watched.clone(), Arc::new(NoProbe), shutdown.clone()));
        Self { watched, shutdown, task: Some(task) }
    }

    /// Stops it gracefully and gives its books.
    pub(crate) async fn stop(self) -> Watched {
        self.shutdown.cancel();
        self.ended().await
    }

    /// Waits for a service that is told to stop by someone else, and gives its books.
    pub(crate) async fn ended(mut self) -> Watched {
        self.task.take().unwrap().await.unwrap().unwrap();
        self.watched.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A process that can be killed; dropped, it is.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn of(mut command: Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    /// `killable`; `env` is the file that a local system writes.
    pub(crate) fn killable(env: &Path, arguments: &[&str]) -> Self {
        Self::of(Self::killable_command(env, arguments))
    }

    /// The same before it is started.
    pub(crate) fn killable_command(env: &Path, arguments: &[&str]) -> Command {
        let script = format!(". '{}' && exec \"$@\"", env.display());
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_killable")]).args(arguments);
        command
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self, what: &str) -> ExitStatus {
        let mut status = None;
        eventually(what, || {
            status = self.has_ended();
            let has_ended = status.is_some();
            async move { has_ended }
        })
        .await;
        status.unwrap()
    }

    /// Sends a signal by its name without SIG.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success(), "kill -s {name} failed");
    }

    /// Whether it was stopped by a signal and waits for SIGCONT.
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T'))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
