//! Services under test: inside this process, or in one of their own that can be killed.

use std::{
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    consume::Watched,
    probe::Probe,
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
    pub(crate) fn start(service: Service, environment: Environment, watched: Watched, probe: Arc<dyn Probe>) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(service.run(environment, watched.clone(), probe, shutdown.clone()));
        Self { watched, shutdown, task: Some(task) }
    }

    /// Stops it gracefully and gives its books.
    pub(crate) async fn stop(mut self) -> Watched {
        self.shutdown.cancel();
        self.task.take().unwrap().await.unwrap().unwrap();
        self.watched.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// `killable` in a process of its own; dropped, it is killed.
pub(crate) struct Process(Child);

impl Process {
    /// `env` is the file that a local system writes.
    pub(crate) fn start(env: &Path, arguments: &[&str]) -> Self {
        let script = format!(". '{}' && exec \"$@\"", env.display());
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_killable")]).args(arguments);
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
