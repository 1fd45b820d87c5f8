//! One mail to one recipient, and what the server's answers to it mean.
//!
//! Until the end of a mail was sent it has not arrived, and after that only an answer says whether it has; so the commands
//! are given one by one. A 5xx to a recipient or a mail is for good. One to the sender is not: it would meet every mail, and
//! is the operator's to mend. It gives nothing on of what the server said but the number, since the words may name a
//! recipient.

use super::relay::Relay;
use anyhow::{Context, anyhow};
use lettre::{
    message::Mailbox,
    transport::smtp::{
        Error,
        client::AsyncSmtpConnection,
        commands::{Data, Mail, Rcpt, Rset},
        extension::ClientId,
    },
};
use std::future::Future;
use tokio::time::{Instant, timeout_at};

/// How it ended with one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Taken,
    Refused(String),
}

/// Why it has not ended with one recipient yet.
pub(super) enum Unsettled {
    /// The server speaks on, and will say something else later.
    Later(anyhow::Error),
    /// It was not sent, and the connection is of no more use.
    Lost(anyhow::Error),
    /// Nobody knows whether it arrived, and the connection is of no more use.
    Unknown(anyhow::Error),
}

/// Connects within the time that an attempt has.
pub(super) async fn connect(relay: &Relay, from: &Mailbox, until: Instant) -> anyhow::Result<AsyncSmtpConnection> {
    let domain = from.email.domain();
    let hello = if domain.is_ascii() { ClientId::Domain(domain.to_owned()) } else { ClientId::default() };
    let connected = timeout_at(until, relay.connect(&hello)).await;
    let connecting = || format!("connecting to {}", relay.host());
    connected
        .map_err(|_| anyhow!("no answer in time"))
        .and_then(|connected| connected.map_err(shown))
        .with_context(connecting)
}

/// One mail to one recipient.
pub(super) async fn send_to_one(
    connection: &mut AsyncSmtpConnection,
    until: Instant,
    from: &Mailbox,
    to: &Mailbox,
    mail: &[u8],
) -> Result<End, Unsettled> {
    // A sender who is refused is refused with every mail: for the operator to mend.
    let sender = Mail::new(Some(from.email.clone()), Vec::new());
    answer(until, connection.command(sender))
        .await
        .map_err(|cause| Unsettled::Lost(cause.into_error("the sender")))?;
    let recipient = Rcpt::new(to.email.clone(), Vec::new());
    let mut said = answer(until, connection.command(recipient)).await;
    if said.is_ok() {
        said = answer(until, connection.command(Data)).await;
        if said.is_ok() {
            // From here on nobody knows but who gets an answer.
            match answer(until, connection.message(mail)).await {
                Err(Failure::Lost(cause)) => return Err(Unsettled::Unknown(cause.context("the mail"))),
                answered => said = answered,
            }
        }
    }
    match said {
        Ok(()) => Ok(End::Taken),
        Err(Failure::Lost(cause)) => Err(Unsettled::Lost(cause)),
        Err(Failure::Permanent(cause)) => Ok(End::Refused(format!("{cause:#}"))),
        Err(Failure::Transient(cause)) => Err(Unsettled::Later(cause)),
    }
}

/// Forgets the mail that was not taken; whether the connection can still be used for another.
pub(super) async fn begins_anew(connection: &mut AsyncSmtpConnection, until: Instant) -> bool {
    answer(until, connection.command(Rset)).await.is_ok()
}

/// How a command failed.
enum Failure {
    /// The server says never, by a 5xx.
    Permanent(anyhow::Error),
    /// The server says not now, by a 4xx.
    Transient(anyhow::Error),
    /// The server says nothing, or nothing that makes sense.
    Lost(anyhow::Error),
}

impl Failure {
    fn into_error(self, what: &'static str) -> anyhow::Error {
        match self {
            Self::Permanent(cause) | Self::Transient(cause) | Self::Lost(cause) => cause.context(what),
        }
    }
}

async fn answer<T>(until: Instant, command: impl Future<Output = Result<T, Error>>) -> Result<(), Failure> {
    match timeout_at(until, command).await {
        Err(_) => Err(Failure::Lost(anyhow!("no answer in time"))),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.is_permanent() => Err(Failure::Permanent(shown(error))),
        Ok(Err(error)) if error.is_transient() => Err(Failure::Transient(shown(error))),
        Ok(Err(error)) => Err(Failure::Lost(shown(error))),
    }
}

/// An error without what the server said: that may name a recipient.
fn shown(error: Error) -> anyhow::Error {
    match error.status() {
        Some(code) => anyhow!("the mail server answers {code}"),
        None => anyhow::Error::new(error),
    }
}
