//! The only place that spawns tasks: it starts services by name, tells them when to stop, and says why one ended.
//!
//! A service that ends uninvited takes the others down: a process that looks alive while one of its consumers is
//! gone is the silent failure this system exists to prevent. It does not restart anything; the process manager does.

use anyhow::{Context, anyhow};
use std::{future::Future, time::Duration};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// Runs services until one ends or all are told to stop.
pub struct Supervisor {
    shutdown: CancellationToken,
    services: JoinSet<(String, anyhow::Result<()>)>,
}

impl Supervisor {
    /// Services watch `shutdown` and return once it is cancelled.
    #[must_use]
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { shutdown, services: JoinSet::new() }
    }

    /// Starts a service.
    #[allow(clippy::disallowed_methods, reason = "the supervisor is where tasks are spawned")]
    pub fn start(&mut self, name: &str, service: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let name = name.to_owned();
        info!(service = name, "starting");
        self.services.spawn(async move {
            let ended = service.await;
            (name, ended)
        });
    }

    /// Waits until every service has ended, at most `grace` after shutdown began.
    ///
    /// # Errors
    /// The first service that failed or ended uninvited, or those that outlived the grace.
    pub async fn wait(mut self, grace: Duration) -> anyhow::Result<()> {
        let mut verdict = Ok(());
        let first = tokio::select! {
            () = self.shutdown.cancelled() => None,
            ended = self.services.join_next() => ended,
        };
        if let Some(ended) = first {
            verdict = verdict.and(self.judge(ended));
        }
        self.shutdown.cancel();
        let rest = async {
            let mut verdict = Ok(());
            while let Some(ended) = self.services.join_next().await {
                let judged = self.judge(ended);
                verdict = verdict.and(judged);
            }
            verdict
        };
        let rest = tokio::time::timeout(grace, rest)
            .await
            .unwrap_or_else(|_| Err(anyhow!("services did not stop within {} s", grace.as_secs())));
        verdict.and(rest)
    }

    fn judge(&self, ended: Result<(String, anyhow::Result<()>), JoinError>) -> anyhow::Result<()> {
        let (name, result) = ended.context("a service panicked")?;
        match result {
            Ok(()) if self.shutdown.is_cancelled() => {
                info!(service = name, "stopped");
                Ok(())
            }
            Ok(()) => Err(anyhow!("service {name} ended uninvited")),
            Err(cause) => {
                error!(service = name, cause = format!("{cause:#}"), "failed");
                Err(cause.context(format!("service {name} failed")))
            }
        }
    }
}
