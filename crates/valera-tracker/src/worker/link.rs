//! The connection to NATS, with one inbox for all answers.
//!
//! A subscription of its own, rather than the client's requests: those keep something of each that never gets its answer,
//! and answers that never come are what an outage is made of.
//!
//! It does not publish.

use crate::{config::Config, throttle::Throttle};
use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber, connection::State};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use tracing::{info, warn};

/// Between two attempts to connect: so much more each time, up to the longest. A server that is back is not kept waiting.
const RETRIES: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(1);

pub(super) struct Link {
    pub(super) client: Client,
    pub(super) answers: Subscriber,
    pub(super) connections: Connections,
    inbox: String,
}

/// The connections that the client makes, one after another.
pub(super) struct Connections {
    signals: Arc<Signals>,
    /// How many there were when `changed` last said so.
    seen: u64,
}

#[derive(Default)]
struct Signals {
    connections: AtomicU64,
    changed: Notify,
    refusal: Throttle,
}

impl Link {
    /// Does not wait for the connection: the client makes it, and makes it anew, for as long as it lives.
    pub(super) async fn open(config: &Config) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let signals = Arc::new(Signals::default());
        let told = signals.clone();
        let mut options = ConnectOptions::new()
            .name("valera-tracker")
            .connection_timeout(Duration::from_secs(5))
            .ping_interval(Duration::from_secs(10))
            .retry_on_initial_connect()
            .reconnect_delay_callback(|attempts| RETRIES.saturating_mul(attempts as u32).min(LONGEST_RETRY))
            .event_callback(move |event| {
                let signals = told.clone();
                async move { signals.heard(&event) }
            });
        if let Some(prefix) = &config.inbox_prefix {
            options = options.custom_inbox_prefix(prefix);
        }
        let servers = config.servers()?;
        let client = with_credentials(options, &servers).connect(servers).await?;
        let inbox = client.new_inbox();
        let answers = client.subscribe(format!("{inbox}.*")).await?;
        Ok(Self { client, answers, connections: Connections { signals, seen: 0 }, inbox })
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Where the answer to a message goes.
    pub(super) fn reply(&self, token: u64) -> String {
        format!("{}.{token}", self.inbox)
    }
}

impl Connections {
    /// Ends when there is a connection that was not there before.
    pub(super) async fn changed(&mut self) {
        loop {
            let connections = self.signals.connections.load(Ordering::Acquire);
            if connections > self.seen {
                self.seen = connections;
                return;
            }
            self.signals.changed.notified().await;
        }
    }
}

/// Gives the client the credentials in an address, which it would not read by itself: `user:password@`, or a token alone. Of
/// several addresses the first that has any speaks for all.
fn with_credentials(options: ConnectOptions, servers: &[ServerAddr]) -> ConnectOptions {
    let credentials = servers.iter().find_map(|server| Some((server.username()?, server.password())));
    match credentials {
        Some((user, Some(password))) => options.user_and_password(user.to_owned(), password.to_owned()),
        Some((token, None)) => options.token(token.to_owned()),
        None => options,
    }
}

impl Signals {
    fn heard(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.connections.fetch_add(1, Ordering::Release);
                self.changed.notify_one();
                info!("connected to NATS");
            }
            Event::Disconnected => info!("lost the connection to NATS"),
            // A refusal by permission arrives in no other way.
            Event::ServerError(cause) => self.complain(&cause.to_string()),
            Event::ClientError(cause) => self.complain(&cause.to_string()),
            _ => {}
        }
    }

    fn complain(&self, cause: &str) {
        if let Some(times) = self.refusal.pass() {
            warn!(cause, times, "NATS refuses");
        }
    }
}
