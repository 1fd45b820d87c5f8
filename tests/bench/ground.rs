//! The servers that are measured on, and the way back to a clean start between two measurements.
//!
//! A stream is filled once for all runs that read it: each gets a copy of the migrated database, and consumers made anew
//! that begin at the stream's beginning.
//!
//! It does not measure.

use anyhow::Context;
use async_nats::jetstream;
use futures::{StreamExt, TryStreamExt, stream};
use sqlx::{Connection, PgConnection};
use std::path::Path;
use tempfile::TempDir;
use uuid::Uuid;
use valera_analytics::{
    embedded::{Tools, scratch_dir},
    local::{LocalSystem, Options},
    output,
};
use valera_pipeline::{
    consume::Link,
    service::{Environment, STREAM, Service},
    topology,
};

use crate::corpus::Message;

/// The most that the server takes in one atomic batch.
const ATOMIC: usize = 1_000;

/// Servers as shipped.
pub(crate) struct Ground {
    system: LocalSystem,
    environment: Environment,
    context: jetstream::Context,
    _scratch: TempDir,
}

impl Ground {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        output::print("starting nats-server and Postgres\n")?;
        let scratch = scratch_dir()?;
        let system = LocalSystem::start(&Tools::locate()?, &scratch.path().join("bench"), Options::default()).await?;
        let database_url = database(&system.postgres.url(), "bench");
        let environment = Environment { database_url, ..system.environment.clone() };
        let client = Link::new(&environment.nats_url, "valera-bench").connect().await?;
        let ground = Self { system, environment, context: jetstream::new(client), _scratch: scratch };
        ground.fresh_database().await?;
        Ok(ground)
    }

    /// Where things are; the database is the one that is measured on.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Where the key files are.
    pub(crate) fn dir(&self) -> &Path {
        self.system.dir()
    }

    pub(crate) fn context(&self) -> &jetstream::Context {
        &self.context
    }

    pub(crate) fn postgres_pid(&self) -> u32 {
        self.system.postgres.pid()
    }

    pub(crate) fn nats_pid(&self) -> u32 {
        self.system.nats.pid()
    }

    pub(crate) async fn postgres(&self) -> anyhow::Result<PgConnection> {
        PgConnection::connect(&self.environment.database_url).await.context("connecting to Postgres")
    }

    /// An empty, migrated database in place of the one there was, and nothing left to be written for it.
    pub(crate) async fn fresh_database(&self) -> anyhow::Result<()> {
        let mut server = PgConnection::connect(&database(&self.system.postgres.url(), "postgres")).await?;
        for statement in
            ["DROP DATABASE IF EXISTS bench WITH (FORCE)", "CREATE DATABASE bench TEMPLATE valera", "CHECKPOINT"]
        {
            sqlx::query(statement).execute(&mut server).await.context(statement)?;
        }
        server.close().await?;
        Ok(())
    }

    /// Consumers that have seen nothing.
    pub(crate) async fn rewind(&self) -> anyhow::Result<()> {
        let stream = self.context.get_stream(STREAM).await?;
        for service in Service::ALL {
            stream.delete_consumer(service.name()).await?;
        }
        topology::apply(&self.context).await?;
        Ok(())
    }

    /// A stream without messages in place of the one there was.
    pub(crate) async fn empty_stream(&self) -> anyhow::Result<()> {
        self.context.delete_stream(STREAM).await?;
        topology::apply(&self.context).await?;
        Ok(())
    }

    /// Publishes in atomic batches, which share one sync of the disk.
    pub(crate) async fn fill(&self, messages: impl Iterator<Item = Message>) -> anyhow::Result<()> {
        // Two in flight: the server syncs one while it receives the other.
        let mut batches = stream::iter(messages).chunks(ATOMIC).map(|batch| self.publish_batch(batch)).buffered(2);
        while batches.try_next().await?.is_some() {}
        Ok(())
    }

    async fn publish_batch(&self, batch: Vec<Message>) -> anyhow::Result<()> {
        let client = self.context.client();
        let batch_id = Uuid::now_v7().simple().to_string();
        let size = batch.len();
        for (position, message) in batch.into_iter().enumerate() {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert(async_nats::header::NATS_MESSAGE_ID, message.event_id.to_string());
            headers.insert(async_nats::header::NATS_BATCH_ID, batch_id.as_str());
            headers.insert(async_nats::header::NATS_BATCH_SEQUENCE, (position + 1).to_string());
            if position + 1 < size {
                client.publish_with_headers(message.subject, headers, message.body).await?;
                continue;
            }
            headers.insert(async_nats::header::NATS_BATCH_COMMIT, async_nats::header::NATS_BATCH_COMMIT_FINAL);
            let reply = client.request_with_headers(message.subject, headers, message.body).await?;
            let answer = String::from_utf8_lossy(&reply.payload);
            anyhow::ensure!(!answer.contains("\"error\""), "the server refused a batch: {answer}");
        }
        Ok(())
    }

    /// Whether a service has nothing left to do.
    pub(crate) async fn is_drained(&self, service: Service) -> anyhow::Result<bool> {
        let stream = self.context.get_stream_no_info(STREAM).await?;
        let info = stream.consumer_info(service.name()).await?;
        Ok(info.num_pending == 0 && info.num_ack_pending == 0)
    }

    /// Events that a service has made durable.
    pub(crate) async fn count(&self, service: Service) -> anyhow::Result<usize> {
        let query = match service {
            Service::Persister => "SELECT count(*) FROM analytics_events",
            Service::Rollups => "SELECT sum(events)::bigint FROM rollups.event_counts_hourly",
        };
        let count: i64 = sqlx::query_scalar(query).fetch_one(&mut self.postgres().await?).await?;
        Ok(usize::try_from(count)?)
    }
}

fn database(url: &str, name: &str) -> String {
    let server = url.rsplit_once('/').map_or(url, |(server, _)| server);
    format!("{server}/{name}")
}
