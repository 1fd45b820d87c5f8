//! `run gateway`: takes events by HTTP from applications that do not embed the SDK, and answers what they ask of a chat.
//!
//! It relays through the SDK's spool, so that what it answered with 202 survives its death and any outage of NATS for which
//! there is room. `docs/gateway.md` is its reference. It does not store events, and needs Postgres for chats only.

mod admit;
mod body;
mod chats;
mod client;
mod cloudevents;
mod connections;
mod counts;
pub mod openapi;
mod problem;
mod rate;
mod routes;
mod server;
mod split;
mod tokens;

pub use client::{Answered, Client};
pub use connections::PER_ADDRESS;
pub use tokens::Tokens;

use anyhow::Context;
use connections::Connections;
use counts::Counts;
use rate::Share;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use valera_events::PseudonymKeys;
use valera_tracker::{Config, Tracker};

/// What it is called where services are listed.
pub const NAME: &str = "gateway";

/// Requests a second of one client, unless told.
pub const RATE: u32 = 500;

/// Where it listens unless told.
const ADDRESS: &str = "127.0.0.1:8080";
/// How long what is spooled may take to be acknowledged at the end; the rest waits for the next start.
const GRACE: Duration = Duration::from_secs(5);

/// What the gateway needs.
pub struct Settings {
    pub nats_url: String,
    /// For chats.
    pub database_url: Option<String>,
    pub keys: PseudonymKeys,
    pub tokens: Tokens,
    /// `None`: the default one, or any where that is taken.
    pub address: Option<String>,
    /// Where events wait that NATS has not; without it they are answered only once NATS has them.
    pub spool: Option<PathBuf>,
    /// Requests a second of one client.
    pub rate: u32,
    /// Connections of one address at once.
    pub connections: usize,
}

/// A gateway that has its address.
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    settings: Settings,
    tracker: Tracker,
}

impl Gateway {
    /// Takes the address and the spool.
    ///
    /// # Errors
    /// When the address that was asked for cannot be had, or that of NATS is malformed.
    pub async fn bind(settings: Settings) -> anyhow::Result<Self> {
        let listener = match &settings.address {
            Some(address) => {
                TcpListener::bind(address).await.with_context(|| format!("VALERA_GATEWAY_ADDRESS {address}"))?
            }
            None => match TcpListener::bind(ADDRESS).await {
                Ok(listener) => listener,
                Err(cause) => {
                    warn!(%cause, "{ADDRESS} cannot be had; the gateway takes another port");
                    TcpListener::bind("127.0.0.1:0").await.context("taking a port of 127.0.0.1")?
                }
            },
        };
        let address = listener.local_addr()?;
        let config = Config::new(settings.nats_url.clone(), settings.keys.clone());
        let config = match &settings.spool {
            Some(dir) => config.spool_in(dir),
            None => config,
        };
        let tracker = Tracker::start(config)?;
        Ok(Self { listener, address, settings, tracker })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What takes events to the stream: whoever waits for it to be empty flushes it.
    #[must_use]
    pub fn relay(&self) -> Tracker {
        self.tracker.clone()
    }

    /// Serves until shutdown.
    ///
    /// # Errors
    /// When the address of Postgres is malformed.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { listener, address, settings, tracker } = self;
        let Settings { database_url, keys, tokens, rate, connections, .. } = settings;
        let (chats, desk) = chats::chats(database_url.as_deref())?;
        let shares = tokens.names().map(|_| Share::new(rate)).collect();
        info!(%address, clients = tokens.names().count(), "the gateway listens");
        let connections = Connections::new(connections);
        let gateway = Arc::new(routes::Gateway {
            counts: Counts::of(&tokens),
            tokens,
            shares,
            tracker: tracker.clone(),
            keys,
            chats,
            connections: connections.clone(),
        });
        let served = server::serve(listener, routes::router(gateway), &connections, &shutdown);
        futures::join!(served, desk.run(&shutdown));
        let left = tracker.shutdown(GRACE).await;
        info!(?left, "the gateway ended");
        Ok(())
    }
}
