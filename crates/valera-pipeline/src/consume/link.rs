//! How a service reaches NATS: an address, and a client that keeps reconnecting to it.
//!
//! A consumer that stalls throws its client away and asks for a fresh one, so the way to get one is kept, not only the
//! client. It does not hold credentials in its `Debug` form.

use anyhow::Context;
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use std::time::Duration;
use tracing::{info, warn};

/// An address of NATS, and the name to appear under.
#[derive(Clone, Debug)]
pub struct Link {
    url: String,
    name: String,
}

impl Link {
    /// `name` is what `nats server report connections` shows.
    #[must_use]
    pub fn new(url: impl Into<String>, name: impl Into<String>) -> Self {
        Self { url: url.into(), name: name.into() }
    }

    /// Connects; the client then reconnects by itself for as long as it lives.
    ///
    /// # Errors
    /// When the server does not answer within five seconds or refuses the client.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        let name = self.name.clone();
        let connecting = || format!("connecting to NATS at {}", without_password(&self.url));
        let server: ServerAddr = self.url.parse().with_context(connecting)?;
        let options = ConnectOptions::new()
            .name(&self.name)
            .connection_timeout(Duration::from_secs(5))
            .event_callback(move |event| {
                let connection = name.clone();
                async move { report(&connection, &event) }
            });
        with_credentials(options, &server).connect(server).await.with_context(connecting)
    }
}

/// The credentials in an address, which the client does not read by itself: `user:password@`, or a token alone.
fn with_credentials(options: ConnectOptions, server: &ServerAddr) -> ConnectOptions {
    match (server.username(), server.password()) {
        (Some(user), Some(password)) => options.user_and_password(user.to_owned(), password.to_owned()),
        (Some(token), None) => options.token(token.to_owned()),
        (None, _) => options,
    }
}

fn report(connection: &str, event: &Event) {
    match event {
        Event::Connected => info!(connection, "connected to NATS"),
        Event::Disconnected => warn!(connection, "lost the connection to NATS"),
        Event::ServerError(cause) => warn!(connection, %cause, "NATS refused a request"),
        Event::ClientError(cause) => warn!(connection, %cause, "the NATS client failed"),
        other => info!(connection, event = %other, "NATS"),
    }
}

/// The address without what stands before its `@`.
fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) => format!("{}…{}", &url[..scheme + 3], &url[at..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn an_address_is_shown_without_its_password() {
        assert_eq!(without_password("nats://bot:s3cret@host:4222"), "nats://…@host:4222");
        assert_eq!(without_password("nats://host:4222"), "nats://host:4222");
    }
}
