//! The streams and consumers that the system stands on: what they should be, what they are, and how to make them so.
//!
//! The files in `nats/` are the truth. They are compiled in, the `nats` CLI reads them too, and everything here treats
//! them as JSON, not as a client library's types: a setting that the library does not know yet survives an update.
//!
//! It does not delete anything, ever, and leaves streams and consumers alone that the files do not name.

mod api;
mod bind;
mod compare;
mod error;

use std::fmt;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::Context;
use serde::Serialize;
use serde_json::{Map, Value};

pub use bind::bind;
pub use compare::Difference;
pub use error::TopologyError;

use api::Action;

/// Older servers drop settings without a word: 2.11 `allow_atomic`, 2.9 `filter_subjects`.
const MINIMUM_SERVER: (i64, i64, i64) = (2, 12, 1);
const STREAMS: [&str; 3] = [
    include_str!("../../../../nats/streams/ANALYTICS.json"),
    include_str!("../../../../nats/streams/ALERTS.json"),
    include_str!("../../../../nats/streams/KV_VALERA.json"),
];
/// Each with its stream.
const CONSUMERS: [(&str, &str); 7] = [
    ("ANALYTICS", include_str!("../../../../nats/consumers/persister.json")),
    ("ANALYTICS", include_str!("../../../../nats/consumers/rollups.json")),
    ("ANALYTICS", include_str!("../../../../nats/consumers/alerts.json")),
    ("ALERTS", include_str!("../../../../nats/consumers/notify_log.json")),
    ("ALERTS", include_str!("../../../../nats/consumers/notify_webhook.json")),
    ("ALERTS", include_str!("../../../../nats/consumers/notify_email.json")),
    ("ALERTS", include_str!("../../../../nats/consumers/notify_telegram.json")),
];

/// What a configuration belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// A stream, by name.
    Stream(String),
    /// A durable consumer, by its stream's name and its own.
    Consumer(String, String),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(stream) => write!(f, "stream {stream}"),
            Self::Consumer(stream, consumer) => write!(f, "consumer {stream}/{consumer}"),
        }
    }
}

/// One thing that [`apply`] did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was missing.
    Created(Resource),
    /// It had these differences, and has them no more.
    Updated(Resource, Vec<Difference>),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created(resource) => write!(f, "{resource}: created"),
            Self::Updated(resource, differences) => {
                let fields: Vec<&str> = differences.iter().filter_map(Difference::field).collect();
                write!(f, "{resource}: updated {}", fields.join(", "))
            }
        }
    }
}

/// What should be there, in the order in which it can be created.
#[derive(Clone, Debug)]
pub struct Topology {
    wanted: Vec<(Resource, Map<String, Value>)>,
}

/// What the files in `nats/` ask for.
///
/// # Errors
/// [`TopologyError::File`] when one of the compiled-in files is no configuration, which a test rules out.
pub fn desired() -> Result<Topology, TopologyError> {
    let streams = STREAMS.iter().map(|text| read(text, "name", Resource::Stream));
    let consumer = |stream: &str| {
        let stream = stream.to_owned();
        move |name| Resource::Consumer(stream.clone(), name)
    };
    let consumers = CONSUMERS.iter().map(|(stream, text)| read(text, "durable_name", consumer(stream)));
    Ok(Topology { wanted: streams.chain(consumers).collect::<Result<_, _>>()? })
}

fn read(
    text: &str,
    name: &'static str,
    resource: impl Fn(String) -> Resource,
) -> Result<(Resource, Map<String, Value>), TopologyError> {
    let config: Map<String, Value> = serde_json::from_str(text).map_err(TopologyError::File)?;
    let found = config.get(name).and_then(Value::as_str);
    let found = found.ok_or_else(|| TopologyError::File(serde::de::Error::missing_field(name)))?.to_owned();
    Ok((resource(found), config))
}

impl Topology {
    /// Every stream and consumer with its configuration.
    pub fn resources(&self) -> impl Iterator<Item = (&Resource, &Map<String, Value>)> {
        self.wanted.iter().map(|(resource, config)| (resource, config))
    }

    /// The same with another redelivery time for every consumer: tests of redelivery cannot wait a minute.
    #[must_use]
    pub fn with_ack_wait(mut self, ack_wait: Duration) -> Self {
        let nanoseconds = u64::try_from(ack_wait.as_nanos()).unwrap_or(u64::MAX);
        for (resource, config) in &mut self.wanted {
            if matches!(resource, Resource::Consumer(..)) {
                config.insert("ack_wait".to_owned(), nanoseconds.into());
            }
        }
        self
    }

    /// Creates what is missing and updates what differs; says what it did, in order.
    ///
    /// # Errors
    /// When the server cannot be reached in time or refuses, e.g. to change what cannot be changed. What was done
    /// before stays done, and applying again goes on from there.
    pub async fn apply(&self, context: &Context) -> Result<Vec<Change>, TopologyError> {
        require_server(&context.client())?;
        let mut changes = Vec::new();
        for (resource, wanted) in &self.wanted {
            let Some(found) = api::find(context, resource).await? else {
                api::submit(context, resource, wanted, Action::Create).await?;
                changes.push(Change::Created(resource.clone()));
                continue;
            };
            let differences = compare::compare(resource, wanted, &found);
            if !differences.is_empty() {
                let merged = compare::resolve(found, &differences);
                api::submit(context, resource, &merged, Action::Update).await?;
                changes.push(Change::Updated(resource.clone(), differences));
            }
        }
        Ok(changes)
    }

    /// What [`Topology::apply`] would change. Reads only.
    ///
    /// # Errors
    /// When the server cannot be reached in time, refuses, or is too old.
    pub async fn diff(&self, context: &Context) -> Result<Vec<Difference>, TopologyError> {
        require_server(&context.client())?;
        let mut differences = Vec::new();
        for (resource, wanted) in &self.wanted {
            match api::find(context, resource).await? {
                Some(found) => differences.extend(compare::compare(resource, wanted, &found)),
                None => differences.push(Difference::Missing { resource: resource.clone() }),
            }
        }
        Ok(differences)
    }
}

/// [`Topology::apply`] of what the files ask for.
///
/// # Errors
/// As [`Topology::apply`].
pub async fn apply(context: &Context) -> Result<Vec<Change>, TopologyError> {
    desired()?.apply(context).await
}

/// [`Topology::diff`] of what the files ask for.
///
/// # Errors
/// As [`Topology::diff`].
pub async fn diff(context: &Context) -> Result<Vec<Difference>, TopologyError> {
    desired()?.diff(context).await
}

/// Refuses a nats-server that would drop settings silently.
///
/// # Errors
/// [`TopologyError::OldServer`] below 2.12.1, [`TopologyError::NotConnected`] before the server has said its version.
pub fn require_server(client: &Client) -> Result<(), TopologyError> {
    let (major, minor, patch) = MINIMUM_SERVER;
    if client.is_server_compatible(major, minor, patch) {
        return Ok(());
    }
    match client.server_info().version {
        unknown if unknown.is_empty() => Err(TopologyError::NotConnected),
        found => Err(TopologyError::OldServer { found, minimum: MINIMUM_SERVER }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::jetstream::{consumer::pull, stream};

    #[test]
    fn every_file_is_a_configuration_that_the_client_library_reads_too() {
        for (resource, config) in desired().unwrap().wanted {
            let config = Value::Object(config);
            match resource {
                Resource::Stream(_) => drop(serde_json::from_value::<stream::Config>(config).unwrap()),
                Resource::Consumer(..) => drop(serde_json::from_value::<pull::Config>(config).unwrap()),
            }
        }
    }

    #[test]
    fn durations_are_what_the_design_says() {
        let stream: stream::Config = serde_json::from_str(STREAMS[0]).unwrap();
        assert_eq!(stream.max_age, Duration::from_secs(400 * 24 * 60 * 60));
        assert_eq!(stream.duplicate_window, Duration::from_secs(10 * 60));
        assert_eq!(stream.subjects, [valera_events::subject::ALL_EVENTS]);
        let alerts: stream::Config = serde_json::from_str(STREAMS[1]).unwrap();
        assert_eq!(alerts.max_age, Duration::from_secs(90 * 24 * 60 * 60));
        assert_eq!(alerts.duplicate_window, Duration::from_secs(24 * 60 * 60));
        let persister: pull::Config = serde_json::from_str(CONSUMERS[0].1).unwrap();
        assert_eq!(persister.ack_wait, Duration::from_secs(60));
    }

    #[test]
    fn the_streams_fit_the_store_that_the_server_is_given() {
        let sizes = STREAMS.iter().map(|text| serde_json::from_str::<stream::Config>(text).unwrap().max_bytes);
        assert!(sizes.clone().all(|size| size > 0), "an unbounded stream fills the disk");
        assert!(include_str!("../../../../nats/server.conf").contains("max_file_store: 12GB"));
        assert!(sizes.sum::<i64>() < 12_000_000_000);
    }
}
