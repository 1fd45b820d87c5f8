//! The connections: so many at most, each with a time limit for the head of a request.
//!
//! `axum::serve` has no such limit: a client that sends a byte a minute would hold its connection for ever. What one
//! connection does is no other's fault, so its errors are not logged. It does not know what is served.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Connections at once: those beyond wait in the queue of the system.
const CONNECTIONS: usize = 512;
/// How long the head of a request may take, from the end of the last one.
const HEAD: Duration = Duration::from_secs(10);
/// How long requests in hand may take once the end has come.
const GRACE: Duration = Duration::from_secs(15);

pub(super) async fn serve(listener: TcpListener, router: Router, shutdown: &CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let place = room.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await, place))
        };
        let (accepted, place) = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            Some(accepted) = accepted => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(cause) => {
                warn!(%cause, "no connection can be taken now");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        // An answer is small and waited for.
        stream.set_nodelay(true).ok();
        let service = TowerToHyperService::new(router.clone());
        let ending = shutdown.clone();
        connections.spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(64 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            tokio::select! {
                ended = connection.as_mut() => drop(ended),
                () = ending.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    drop(connection.await);
                }
            }
            drop(place);
        });
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        warn!(left = connections.len(), "connections did not end in time");
    }
}
