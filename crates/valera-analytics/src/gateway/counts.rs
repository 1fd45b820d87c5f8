//! What became of the requests of each client, and how the gateway fares: `GET /metrics`, as Prometheus reads it.
//!
//! A label is a name of the token file or a status, never what a request says: there are as many series as there are clients
//! and statuses. It does not decide anything.

use super::{connections::Connections, tokens::Tokens};
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use valera_tracker::Stats;

/// What they are written in.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Of all clients, in the order of the token file.
#[derive(Debug)]
pub(super) struct Counts {
    clients: Vec<Mutex<Client>>,
    unknown: AtomicU64,
}

#[derive(Debug, Default)]
struct Client {
    requests: BTreeMap<u16, u64>,
    accepted: u64,
    rejected: u64,
    bytes: u64,
}

/// The events of one request that was answered with 202.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) accepted: usize,
    pub(super) rejected: usize,
    /// Of the body, unpacked.
    pub(super) bytes: usize,
}

/// A series a client: its name, what it is, and its value by further labels.
type Series = (&'static str, &'static str, fn(&Client) -> Vec<(String, u64)>);

const SERIES: [Series; 3] = [
    ("valera_gateway_requests_total", "Requests that were answered, by status", |client| {
        client.requests.iter().map(|(status, count)| (format!(",status=\"{status}\""), *count)).collect()
    }),
    (
        "valera_gateway_events_total",
        "Events that were answered with 202; a rejected one becomes a dead letter",
        |client| {
            [("accepted", client.accepted), ("rejected", client.rejected)]
                .map(|(verdict, count)| (format!(",verdict=\"{verdict}\""), count))
                .into()
        },
    ),
    ("valera_gateway_event_bytes_total", "Bytes of the bodies of those events, unpacked", |client| {
        vec![(String::new(), client.bytes)]
    }),
];

impl Counts {
    pub(super) fn of(tokens: &Tokens) -> Self {
        Self { clients: tokens.names().map(|_| Mutex::default()).collect(), unknown: AtomicU64::new(0) }
    }

    /// A request of a client's was answered so.
    pub(super) fn answered(&self, client: usize, status: u16) {
        self.on(client, |counts| *counts.requests.entry(status).or_default() += 1);
    }

    /// Events of a client's were taken.
    pub(super) fn taken(&self, client: usize, Taken { accepted, rejected, bytes }: Taken) {
        self.on(client, |counts| {
            counts.accepted += accepted as u64;
            counts.rejected += rejected as u64;
            counts.bytes += bytes as u64;
        });
    }

    /// A request came without a token, or with one that is nobody's.
    pub(super) fn unknown(&self) {
        self.unknown.fetch_add(1, Ordering::Relaxed);
    }

    fn on(&self, client: usize, change: impl FnOnce(&mut Client)) {
        if let Some(counts) = self.clients.get(client) {
            change(&mut counts.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// All of it as text.
    pub(super) fn render(&self, tokens: &Tokens, connections: &Connections, relay: &Stats) -> String {
        let mut text = String::new();
        for (name, help, values) in SERIES {
            head(&mut text, name, help);
            for (client, counts) in tokens.names().zip(&self.clients) {
                for (labels, value) in values(&counts.lock().unwrap_or_else(PoisonError::into_inner)) {
                    // A String takes what is written to it.
                    writeln!(text, "{name}{{client=\"{client}\"{labels}}} {value}").ok();
                }
            }
        }
        let unknown = self.unknown.load(Ordering::Relaxed);
        for (name, help, value) in [
            ("valera_gateway_unauthorized_total", "Requests without a token, or with one that is nobody's", unknown),
            ("valera_gateway_connections", "Connections that are open", connections.open() as u64),
            (
                "valera_gateway_connections_refused_total",
                "Connections that their address had no place for",
                connections.refused(),
            ),
            ("valera_gateway_nats_connected", "Whether there is a connection to NATS", u64::from(relay.connected)),
            ("valera_gateway_acknowledged_total", "Events that the stream has acknowledged", relay.acknowledged),
            ("valera_gateway_spool_bytes", "Bytes of the spool on the disk", relay.spool_bytes),
        ] {
            head(&mut text, name, help);
            writeln!(text, "{name} {value}").ok();
        }
        text
    }
}

fn head(text: &mut String, name: &str, help: &str) {
    let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
}
