//! What only one instance does at a time, for as long as it holds the lease: a term, and then it waits for the next.
//!
//! Losing the lease ends the term, not the service: messages in hand go back, and it stands by like the others. It does
//! not know what is done in a term.

use super::lease::{Held, Lease};
use crate::{consume::Link, health::Health};
use async_nats::jetstream;
use futures::future::BoxFuture;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::info;
use uuid::Uuid;

/// Between attempts to get somewhere.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Office<'a> {
    /// What stands in the lease's key.
    pub(crate) name: &'a str,
    pub(crate) link: &'a Link,
    /// For how long a holder that is not heard of keeps others out.
    pub(crate) lease: Duration,
    pub(crate) health: &'a Health,
}

impl Office<'_> {
    /// Serves terms until shutdown; `work` is one, and ends soon after its token is cancelled.
    ///
    /// # Errors
    /// Whatever ended a term with an error.
    pub(crate) async fn serve<'w>(
        &self,
        work: impl Fn(jetstream::Context, Held, CancellationToken) -> BoxFuture<'w, anyhow::Result<()>> + Sync,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        let holder = Uuid::now_v7().to_string();
        while !shutdown.is_cancelled() {
            let Some((context, mut lease)) = self.await_lease(&holder, shutdown).await else { break };
            let term = shutdown.child_token();
            let worked = tokio::select! {
                worked = work(context, lease.held(), term.clone()) => worked,
                () = lease.keep(&term) => Ok(()),
            };
            lease.release().await;
            worked?;
        }
        Ok(())
    }

    /// Tries to come in until it can; `None` on shutdown.
    async fn await_lease(&self, holder: &str, shutdown: &CancellationToken) -> Option<(jetstream::Context, Lease)> {
        let mut context = None;
        let mut waits = false;
        while !shutdown.is_cancelled() {
            match self.try_lease(&mut context, holder).await {
                Ok(Some(lease)) => return Some((context?, lease)),
                Ok(None) => {
                    self.health.nats_answers();
                    if !std::mem::replace(&mut waits, true) {
                        info!(consumer = self.name, "another instance holds the lease; standing by");
                    }
                }
                Err(cause) => {
                    self.health.nats_fails(&cause);
                    context = None;
                }
            }
            rest(PAUSE.min(self.lease / 4), shutdown).await;
        }
        None
    }

    async fn try_lease(
        &self,
        context: &mut Option<jetstream::Context>,
        holder: &str,
    ) -> anyhow::Result<Option<Lease>> {
        let context = match context {
            Some(context) => context,
            None => context.insert(jetstream::new(self.link.connect().await?)),
        };
        Lease::try_acquire(context, self.name, holder, self.lease).await
    }
}

/// Sleeps, or until the token is cancelled.
pub(crate) async fn rest(pause: Duration, until: &CancellationToken) {
    tokio::select! {
        () = until.cancelled() => {}
        () = tokio::time::sleep(pause) => {}
    }
}
