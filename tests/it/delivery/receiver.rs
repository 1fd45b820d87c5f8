//! A receiver of webhooks that misbehaves by script: it answers anything, hangs, or takes a request and cuts the line.

use super::{
    socket::{Stream, listen},
    tls::Identity,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    task::JoinSet,
};

/// What it does with a request, once it has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// A status, and header lines.
    Answers(u16, &'static str),
    Hangs,
    CutsTheLine,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// The receiver; gone on drop.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    seen: Arc<Mutex<Seen>>,
    _connections: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    script: VecDeque<Does>,
    requests: Vec<Request>,
    connections: usize,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let served = seen.clone();
        let (port, connections) = listen(move |stream| serve(stream, served.clone())).await;
        Self { port, seen, _connections: connections }
    }

    /// One that is spoken to over TLS.
    pub(crate) async fn start_as(identity: Identity) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let served = seen.clone();
        let (port, connections) = listen(move |stream| {
            let (served, identity) = (served.clone(), identity.clone());
            async move {
                // The client may not like who it is.
                let Ok(stream) = identity.accept(stream).await else { return };
                serve(stream, served).await;
            }
        })
        .await;
        Self { port, seen, _connections: connections }
    }

    /// What it does with the next requests; with all that follow, it answers 200.
    pub(crate) fn will(&self, script: impl IntoIterator<Item = Does>) {
        self.seen.lock().unwrap().script.extend(script);
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().requests.clone()
    }

    /// How often somebody connected.
    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }
}

/// One request a connection.
async fn serve(stream: impl Stream, seen: Arc<Mutex<Seen>>) {
    seen.lock().unwrap().connections += 1;
    let mut stream = BufReader::new(stream);
    let Some(request) = read(&mut stream).await else { return };
    let does = {
        let mut seen = seen.lock().unwrap();
        seen.requests.push(request);
        seen.script.pop_front().unwrap_or(Does::Answers(200, ""))
    };
    match does {
        Does::Answers(status, headers) => {
            let answer = format!("HTTP/1.1 {status} So\r\n{headers}connection: close\r\ncontent-length: 2\r\n\r\nok");
            // The client may have given up.
            drop(stream.get_mut().write_all(answer.as_bytes()).await);
        }
        Does::Hangs => std::future::pending().await,
        Does::CutsTheLine => {}
    }
}

/// Nothing where the client went away before it had said all.
pub(super) async fn read(stream: &mut BufReader<impl Stream>) -> Option<Request> {
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { path, headers, body: String::from_utf8(body).unwrap() })
}
