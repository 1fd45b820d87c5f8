//! A system of the test's own: both servers on random ports, migrated, with short redelivery, gone on drop.

use super::{A_MINUTE, Process, Running, within};
use crate::users::USERS;
use async_nats::{
    HeaderMap,
    jetstream::{self, publish::PublishAck},
};
use bytes::Bytes;
use sqlx::{Connection, FromRow, PgConnection, postgres::PgRow};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use valera_analytics::{
    embedded::{NatsOptions, PgOptions, Tools, scratch_dir, setting},
    local::{LocalSystem, Options},
};
use valera_pipeline::{
    consume::{Limits, Link},
    probe::{NoProbe, Probe},
    service::{Environment, STREAM, Service},
};

/// What the inbox of `publisher` begins with.
pub(crate) const PUBLISHER_INBOX: &str = "_INBOX_shop";

/// Which Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// The one that set-up fetches.
    Current,
    /// The oldest that the SQL has to run on.
    Fifteen,
}

pub(crate) struct System {
    pub(crate) local: LocalSystem,
    /// How long a consumer may make no headway while it is waited for.
    pub(crate) patience: Duration,
    dir: tempfile::TempDir,
}

impl System {
    /// On the current Postgres, days cut in Moscow.
    pub(crate) async fn start() -> Self {
        Self::start_on(Version::Current, "Europe/Moscow").await
    }

    pub(crate) async fn start_on(version: Version, time_zone: &str) -> Self {
        Self::start_with(version, time_zone, Duration::from_secs(2)).await
    }

    /// Where redelivery would take as long.
    pub(crate) async fn start_with_ack_wait(ack_wait: Duration) -> Self {
        Self::start_with(Version::Current, "Europe/Moscow", ack_wait).await
    }

    async fn start_with(version: Version, time_zone: &str, ack_wait: Duration) -> Self {
        let mut tools = Tools::locate().unwrap();
        if version == Version::Fifteen {
            let bin = setting("VALERA_PG15_BIN").expect("Postgres 15 is missing: scripts/setup --with-postgres-15");
            tools = tools.with_postgres(bin).unwrap();
        }
        let dir = scratch_dir().unwrap();
        let options = Options {
            nats: NatsOptions {
                sync_interval: Some(Duration::from_secs(1)),
                appended: USERS,
                ..NatsOptions::default()
            },
            postgres: PgOptions { fsync: false, ..PgOptions::default() },
            time_zone: Some(time_zone.to_owned()),
            ack_wait: Some(ack_wait),
            ..Options::default()
        };
        let mut local = LocalSystem::start(&tools, &dir.path().join("system"), options).await.unwrap();
        local.environment.limits = Limits {
            stall: Duration::from_secs(2),
            patience: Duration::from_millis(200),
            ..local.environment.limits
        };
        Self { local, patience: A_MINUTE, dir }
    }

    /// The address under which nobody may publish an event.
    pub(crate) fn mute_url(&self) -> String {
        self.local.nats.url().replace("://", "://mute:mute@")
    }

    /// The address under which events may be published and nothing else done: no switch can be read.
    pub(crate) fn talker_url(&self) -> String {
        self.local.nats.url().replace("://", "://talker:talker@")
    }

    /// The address under which events may be published and their acks heard, in [`PUBLISHER_INBOX`].
    pub(crate) fn publisher_url(&self) -> String {
        self.local.nats.url().replace("://", "://publisher:publisher@")
    }

    /// The SDK under the same permissions.
    pub(crate) fn publisher_config(&self) -> valera_tracker::Config {
        let keys = self.environment().keys.pseudonym.clone();
        let inbox_prefix = Some(PUBLISHER_INBOX.to_owned());
        valera_tracker::Config { inbox_prefix, ..valera_tracker::Config::new(self.publisher_url(), keys) }
    }

    /// A directory that goes with the system.
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.local.environment
    }

    pub(crate) fn link(&self) -> Link {
        Link::new(self.local.nats.url(), "a test")
    }

    pub(crate) async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(async_nats::connect(self.local.nats.url()).await.unwrap())
    }

    /// Publishes a body as it is and waits for the ack.
    pub(crate) async fn publish(
        &self,
        subject: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> PublishAck {
        let mut header_map = HeaderMap::new();
        for (name, value) in headers {
            header_map.append(*name, *value);
        }
        let context = self.jetstream().await;
        context.publish_with_headers(subject.to_owned(), header_map, body.into()).await.unwrap().await.unwrap()
    }

    /// Starts a service in this process.
    pub(crate) fn run(&self, service: Service) -> Running {
        self.run_with(service, Arc::new(NoProbe))
    }

    pub(crate) fn run_with(&self, service: Service, probe: Arc<dyn Probe>) -> Running {
        self.run_until(service, probe, CancellationToken::new())
    }

    /// Starts a service that ends when `shutdown` is cancelled.
    pub(crate) fn run_until(&self, service: Service, probe: Arc<dyn Probe>, shutdown: CancellationToken) -> Running {
        Running::start(service, self.environment().clone(), probe, shutdown)
    }

    /// Starts a service in a process that can be killed, or kills itself: `arguments` are `killable`'s.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Process {
        Process::killable(&self.dir().join("system").join("env"), arguments)
    }

    /// Runs both services until everything that was published is settled, and checks their books.
    pub(crate) async fn settle(&self) {
        let services = Service::ALL.map(|service| self.run(service));
        self.drained().await;
        for service in services {
            let watched = service.stop().await;
            assert_eq!(watched.counters.received(), watched.counters.settled(), "{watched:?}");
        }
    }

    /// Runs one service until it has nothing left to do.
    pub(crate) async fn run_dry(&self, service: Service) {
        let running = self.run(service);
        self.consumer_drained(service).await;
        running.stop().await;
    }

    /// Waits until no consumer has anything left to do; fails when one makes no headway within the patience.
    pub(crate) async fn drained(&self) {
        for service in Service::ALL {
            self.consumer_drained(service).await;
        }
    }

    pub(crate) async fn consumer_drained(&self, service: Service) {
        self.durable_drained(service.name()).await;
    }

    pub(crate) async fn durable_drained(&self, durable: &str) {
        self.drained_of(STREAM, durable).await;
    }

    pub(crate) async fn drained_of(&self, stream: &str, durable: &str) {
        let context = self.jetstream().await;
        let left = || async {
            let info = context.get_stream(stream).await.ok()?.consumer_info(durable).await.ok()?;
            Some(info.num_pending + info.num_ack_pending as u64)
        };
        let mut least = u64::MAX;
        while least > 0 {
            let mut now = least;
            within(self.patience, &format!("{durable} has fewer than {least} messages left"), async || {
                now = left().await.unwrap_or(least);
                now < least
            })
            .await;
            least = now;
        }
    }

    /// The sequence of the last message in the stream.
    pub(crate) async fn last_sequence(&self) -> u64 {
        self.jetstream().await.get_stream(STREAM).await.unwrap().cached_info().state.last_sequence
    }

    /// Makes the broker forget ids after a fifth of a second.
    pub(crate) async fn forget_ids_soon(&self) {
        let context = self.jetstream().await;
        let mut config = context.get_stream(STREAM).await.unwrap().cached_info().config.clone();
        config.duplicate_window = Duration::from_millis(200);
        context.update_stream(config).await.unwrap();
    }

    pub(crate) async fn postgres(&self) -> PgConnection {
        PgConnection::connect(&self.local.postgres.url()).await.unwrap()
    }

    /// All rows of a query.
    pub(crate) async fn rows<T>(&self, query: &'static str) -> Vec<T>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        sqlx::query_as(query).fetch_all(&mut self.postgres().await).await.unwrap()
    }

    /// The one number that a query gives.
    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut self.postgres().await).await.unwrap()
    }
}
