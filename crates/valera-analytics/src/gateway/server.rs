//! The connections: so many at most, each with a time limit for the head of a request.
//!
//! `axum::serve` has no such limit: a client that sends a byte a minute would hold its connection for ever. What one
//! connection does is no other's fault, so its errors are not logged. It does not know what is served.

use super::connections::Connections;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{io::Write, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How long the head of a request may take, from the end of the last one.
const HEAD: Duration = Duration::from_secs(10);
/// How long requests in hand may take once the end has come.
const GRACE: Duration = Duration::from_secs(15);

pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    places: &Arc<Connections>,
    shutdown: &CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let room = places.room().await?;
            Some((listener.accept().await, room))
        };
        let (accepted, room) = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            Some(accepted) = accepted => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(cause) => {
                warn!(%cause, "no connection can be taken now");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let Some(place) = places.take(room, from.ip()) else {
            refuse(stream);
            continue;
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

/// Says why and hangs up, without having read a byte and without waiting: whoever floods is not to be waited for.
fn refuse(stream: TcpStream) {
    const BODY: &str = r#"{"type":"about:blank","title":"Too Many Requests","status":429,"detail":"too many connections of this address at once: use fewer, or raise VALERA_GATEWAY_CONNECTIONS where they come by way of a proxy"}"#;
    let answer = format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    if let Ok(mut stream) = stream.into_std() {
        // It may have gone, or not be listening.
        drop(stream.write(answer.as_bytes()));
    }
}
