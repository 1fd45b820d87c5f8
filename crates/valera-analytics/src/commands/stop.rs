//! When to stop: Ctrl-C or SIGTERM asks, a second one insists.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// A token that is cancelled by the first SIGINT or SIGTERM; the second ends the process at once.
///
/// # Errors
/// When signals cannot be listened to.
#[allow(clippy::disallowed_methods, reason = "listens for the life of the process, beside the services")]
pub(super) fn on_signal() -> anyhow::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        let mut asked = 0;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            asked += 1;
            if asked > 1 {
                warn!("stopping at once; what was not committed will be delivered again");
                std::process::exit(130);
            }
            info!("stopping; once more to stop at once");
            token.cancel();
        }
    });
    Ok(shutdown)
}
