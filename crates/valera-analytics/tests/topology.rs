//! Streams and consumers on a real nats-server: applied, compared, bound, and never deleted.
//!
//! The `nats` CLI, where `scripts/setup` could build it, reads the same files and must make the same of them.
//!
//! It does not test what services do with a consumer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use async_nats::jetstream::{self, Context, consumer::pull, stream};
use tempfile::TempDir;
use valera_analytics::embedded::{NatsOptions, NatsServer, Tools, scratch_dir, setting};
use valera_pipeline::topology::{self, Change, Difference, TopologyError};

struct Broker {
    context: Context,
    server: NatsServer,
    _dir: TempDir,
}

async fn broker() -> Broker {
    let dir = scratch_dir().unwrap();
    let tools = Tools::locate().unwrap();
    let server = NatsServer::start(&tools, dir.path().join("nats"), NatsOptions::default()).await.unwrap();
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    Broker { context, server, _dir: dir }
}

async fn told(context: &Context) -> Vec<String> {
    topology::diff(context).await.unwrap().iter().map(Difference::to_string).collect()
}

fn persister(max_ack_pending: i64) -> pull::Config {
    pull::Config { durable_name: Some("persister".into()), max_ack_pending, ..pull::Config::default() }
}

#[tokio::test]
async fn applying_creates_everything_and_applying_again_changes_nothing() {
    let Broker { context, server: _server, _dir } = broker().await;
    assert_eq!(told(&context).await.len(), 10);
    let created = topology::apply(&context).await.unwrap();
    assert_eq!(created.len(), 10);
    assert!(created.iter().all(|change| matches!(change, Change::Created(_))), "{created:?}");
    assert!(told(&context).await.is_empty());
    assert_eq!(topology::apply(&context).await.unwrap(), []);
}

#[tokio::test]
async fn drift_is_named_and_repaired_and_what_is_not_ours_is_left_alone() {
    let Broker { context, server: _server, _dir } = broker().await;
    topology::apply(&context).await.unwrap();
    let events = context.get_stream("ANALYTICS").await.unwrap();
    let mut config = events.cached_info().config.clone();
    config.duplicate_window = Duration::from_secs(60);
    config.metadata.insert("team".into(), "shop".into());
    context.update_stream(&config).await.unwrap();
    let foreign = pull::Config { durable_name: Some("somebody".into()), ..pull::Config::default() };
    events.create_consumer(foreign).await.unwrap();
    let other = stream::Config { name: "OTHER".into(), subjects: vec!["other".into()], ..Default::default() };
    context.create_stream(other).await.unwrap();

    let expected = "stream ANALYTICS: duplicate_window is 60000000000, wanted 600000000000";
    assert_eq!(told(&context).await, [expected]);
    let changes = topology::apply(&context).await.unwrap();
    let changes: Vec<String> = changes.iter().map(Change::to_string).collect();
    assert_eq!(changes, ["stream ANALYTICS: updated duplicate_window"]);

    let repaired = context.get_stream("ANALYTICS").await.unwrap();
    let config = &repaired.cached_info().config;
    assert_eq!(config.duplicate_window, Duration::from_secs(600));
    assert_eq!(config.metadata.get("team").map(String::as_str), Some("shop"));
    repaired.get_consumer::<pull::Config>("somebody").await.unwrap();
    context.get_stream("OTHER").await.unwrap();
}

#[tokio::test]
async fn a_service_binds_only_to_a_consumer_it_can_rely_on() {
    let Broker { context, server: _server, _dir } = broker().await;
    let refused = topology::bind(&context, "ANALYTICS", "persister").await.unwrap_err();
    assert!(matches!(refused, TopologyError::Missing(_)), "{refused}");
    assert!(refused.to_string().contains("valera-analytics topology apply"), "{refused}");

    topology::apply(&context).await.unwrap();
    topology::bind(&context, "ANALYTICS", "persister").await.unwrap();

    context.delete_consumer_from_stream("persister", "ANALYTICS").await.unwrap();
    context.create_consumer_on_stream(persister(1000), "ANALYTICS").await.unwrap();
    let refused = topology::bind(&context, "ANALYTICS", "persister").await.unwrap_err().to_string();
    assert!(refused.contains("max_ack_pending is 1000, wanted 150000"), "{refused}");
    assert!(refused.contains("valera-analytics topology apply"), "{refused}");
}

#[tokio::test]
async fn tests_may_choose_when_messages_are_redelivered() {
    let Broker { context, server: _server, _dir } = broker().await;
    let ack_wait = Duration::from_millis(700);
    topology::desired().unwrap().with_ack_wait(ack_wait).apply(&context).await.unwrap();
    let consumer = topology::bind(&context, "ANALYTICS", "persister").await.unwrap();
    assert_eq!(consumer.cached_info().config.ack_wait, ack_wait);
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_in_the_servers_words() {
    let Broker { context, server: _server, _dir } = broker().await;
    let config = stream::Config {
        name: "ANALYTICS".into(),
        subjects: vec!["analytics.>".into()],
        storage: stream::StorageType::Memory,
        ..Default::default()
    };
    context.create_stream(config).await.unwrap();
    let refused = topology::apply(&context).await.unwrap_err().to_string();
    assert!(refused.contains("stream ANALYTICS") && refused.contains("storage"), "{refused}");
}

#[tokio::test]
async fn the_bucket_is_a_bucket_to_every_client() {
    let Broker { context, server: _server, _dir } = broker().await;
    topology::apply(&context).await.unwrap();
    let bucket = context.get_key_value("VALERA").await.unwrap();
    let revision = bucket.create("lease.alerts", "one".into()).await.unwrap();
    assert!(bucket.update("lease.alerts", "two".into(), revision + 1).await.is_err());
    bucket.update("lease.alerts", "two".into(), revision).await.unwrap();
    bucket.delete("lease.alerts").await.unwrap();
    bucket.purge("lease.alerts").await.unwrap();
    assert_eq!(bucket.get("lease.alerts").await.unwrap(), None);
}

#[tokio::test]
async fn events_can_be_deleted_one_by_one_but_not_purged() {
    let Broker { context, server: _server, _dir } = broker().await;
    topology::apply(&context).await.unwrap();
    let ack = context.publish("analytics.cart_confirmed", "{}".into()).await.unwrap().await.unwrap();
    let events = context.get_stream("ANALYTICS").await.unwrap();
    assert!(events.purge().await.is_err());
    assert!(events.delete_message(ack.sequence).await.unwrap());
}

#[tokio::test]
async fn the_nats_cli_makes_the_same_of_the_files() {
    let cli = setting("VALERA_NATS_CLI").expect("the nats CLI is missing: install Go, then run scripts/setup");
    let Broker { context, server, _dir } = broker().await;
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../nats");
    let nats = |arguments: &[&str], file: &str| -> Output {
        let command = &mut Command::new(&cli);
        command.args(["--server", &server.url()]).args(arguments).arg("--config").arg(files.join(file));
        command.output().unwrap()
    };
    for stream in ["ANALYTICS", "ALERTS", "KV_VALERA"] {
        let output = nats(&["stream", "add"], &format!("streams/{stream}.json"));
        assert!(output.status.success(), "{output:?}");
    }
    let channels = ["notify_email", "notify_log", "notify_telegram", "notify_webhook"];
    for (stream, consumers) in [("ANALYTICS", ["persister", "rollups", "alerts"].as_slice()), ("ALERTS", &channels)] {
        for consumer in consumers {
            let output = nats(&["consumer", "add", stream], &format!("consumers/{consumer}.json"));
            assert!(output.status.success(), "{output:?}");
        }
    }
    assert_eq!(told(&context).await, Vec::<String>::new());
}
