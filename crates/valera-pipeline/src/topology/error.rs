//! What can go wrong with streams and consumers, by what the caller can do about it.
//!
//! It does not retry: a service backs off, a command reports.

use std::fmt;

use async_nats::jetstream::context::RequestError;
use async_nats::jetstream::stream::ConsumerError;

use super::{Difference, Resource};

/// Why the topology could not be read, changed or relied on.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Not created yet. An operator's step is missing.
    #[error("{0} does not exist: run `valera-analytics topology apply`")]
    Missing(Resource),
    /// It exists with settings under which a service would lose or choke on messages.
    #[error("{}: run `valera-analytics topology apply`", List(.0))]
    Differs(Vec<Difference>),
    /// The files do not describe it.
    #[error("{0} is none of those in nats/")]
    Unknown(Resource),
    /// The server would drop settings silently.
    #[error("nats-server {found} is older than {}.{}.{}: run `make setup` or upgrade it", minimum.0, minimum.1, minimum.2)]
    OldServer {
        /// The version that the server announces.
        found: String,
        /// The oldest version that keeps every setting.
        minimum: (i64, i64, i64),
    },
    /// No server has been reached yet. Another try may succeed.
    #[error("not connected to a nats-server yet")]
    NotConnected,
    /// No answer: not connected, too slow, JetStream off or without permission. Another try may succeed.
    #[error("asking about {resource}")]
    Unanswered {
        /// What the request was about.
        resource: Resource,
        /// How it failed.
        source: RequestError,
    },
    /// The server answered no.
    #[error("the server refuses {resource}: {reason}")]
    Refused {
        /// What the request was about.
        resource: Resource,
        /// The server's words.
        reason: async_nats::jetstream::Error,
    },
    /// It vanished between being checked and being bound, or the connection did.
    #[error("binding to {resource}")]
    Unbound {
        /// What was to be bound.
        resource: Resource,
        /// How it failed.
        source: ConsumerError,
    },
    /// One of the compiled-in files is no configuration.
    #[error("reading a file of nats/")]
    File(#[source] serde_json::Error),
}

struct List<'a>(&'a [Difference]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, difference) in self.0.iter().enumerate() {
            write!(f, "{}{difference}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
