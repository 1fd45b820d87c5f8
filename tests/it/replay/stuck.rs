//! A replay that does not get on, because its store, its zone or its stream fails it: an operator is heard all the same.

use super::{all_into, interrupted::system_that_lost_its_store, position};
use crate::support::{A_MINUTE, Load, Process, Said, System, eventually};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    consume::Link,
    replay::{FilesRequest, Replay, Request, cancel},
    service::Service,
};

async fn status(system: &System) -> String {
    let rows: Vec<(String,)> = system.rows("SELECT status FROM replays").await;
    let [(status,)] = rows.as_slice() else { panic!("{rows:?}") };
    status.clone()
}

async fn is_at_work(system: &System) -> bool {
    let list = system.says(&["replay", "list", "--json"]).well();
    serde_json::from_str::<Value>(&list).unwrap()[0]["at_work"] == true
}

async fn ends_well(process: &mut Process) {
    assert!(process.ended("the replay ends").await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_whose_batch_does_not_get_through_is_paused_and_cancelled_like_any_other() {
    let (system, ledger) = system_that_lost_its_store(200).await;
    let nothing_more = "ALTER TABLE analytics_events ADD CONSTRAINT nothing_more CHECK (false) NOT VALID";
    sqlx::raw_sql(nothing_more).execute(&mut system.postgres().await).await.unwrap();
    let mut process = system.start_program(&["replay", "--into", "persister", "--name", "one"]);
    eventually("it is at work", async || is_at_work(&system).await).await;
    system.says(&["replay", "pause", "one"]).well();
    ends_well(&mut process).await;
    assert_eq!((status(&system).await.as_str(), position(&system).await), ("paused", 0));

    let mut process = system.start_program(&["replay", "resume", "one"]);
    eventually("it is at work again", async || is_at_work(&system).await).await;
    system.says(&["replay", "cancel", "one"]).well();
    ends_well(&mut process).await;
    assert_eq!(status(&system).await, "cancelled");

    let as_before = "ALTER TABLE analytics_events DROP CONSTRAINT nothing_more";
    sqlx::raw_sql(as_before).execute(&mut system.postgres().await).await.unwrap();
    for into in ["persister", "rollups"] {
        system.says(&["replay", "--into", into]).well();
    }
    ledger.assert_exact(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_in_another_zone_ends_a_replay_into_rollups_and_says_how_to_go_on() {
    let mut system = System::start().await;
    let ledger = Load::start(&system, 4_000, 2_000).await.stop().await;
    system.settle().await;
    let mut command = system.program();
    command.args(["replay", "--into", "rollups", "--name", "one", "--rate", "100"]);
    let replaying = async { tokio::process::Command::from(command).kill_on_drop(true).output().await };
    let rebuilding = async {
        eventually("it is at work", async || position(&system).await > 0).await;
        system.says(&["rebuild", "--yes", "--timezone", "Australia/Sydney"]).well();
    };
    let ended = tokio::time::timeout(2 * A_MINUTE, async { futures::join!(replaying, rebuilding).0 }).await;
    let said = Said::from(ended.expect("the replay ends").unwrap());
    said.complaining(1, &["Australia/Sydney", "start it again", "valera-analytics replay resume one"]);
    assert_eq!(status(&system).await, "running");

    system.says(&["replay", "resume", "one"]).complaining(1, &["Australia/Sydney"]);
    system.local.environment.time_zone = Some("Australia/Sydney".to_owned());
    system.says(&["replay", "resume", "one"]).well();
    ledger.assert_exact(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_cannot_read_is_cancelled_while_nats_is_away() {
    let (mut system, _) = system_that_lost_its_store(100).await;
    let request = Request { name: Some("one".to_owned()), ..all_into(Service::Persister) };
    drop(Replay::begin(system.environment(), &request).await.unwrap());
    eventually("its session has ended", async || !is_at_work(&system).await).await;
    system.local.nats.kill().await.unwrap();
    let mut process = system.start_program(&["replay", "resume", "one"]);
    eventually("it is at work", async || is_at_work(&system).await).await;
    system.says(&["replay", "cancel", "one"]).well();
    ends_well(&mut process).await;
    assert_eq!(status(&system).await, "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_nobody_is_at_is_cancelled_while_nats_is_away() {
    let (mut system, _) = system_that_lost_its_store(100).await;
    let file = system.dir().join("nothing.ndjson");
    std::fs::write(&file, "").unwrap();
    let of_files = FilesRequest { name: None, into: Service::Rollups, files: vec![file] };
    let stopped = CancellationToken::new();
    stopped.cancel();
    let begun = Replay::begin(system.environment(), &all_into(Service::Persister)).await.unwrap();
    let (_, one) = begun.run(None, |_| {}, &stopped).await.unwrap();
    let begun = Replay::begin_files(system.environment(), &of_files).await.unwrap();
    let two = begun.row().clone();
    drop(begun);
    system.local.nats.kill().await.unwrap();
    let environment = system.environment();
    for name in [&one.name, &two.name] {
        cancel(&environment.database_url, &Link::new(&environment.nats_url, "test"), name).await.unwrap();
        system.says(&["replay", "cancel", name]).complaining(1, &["no open replay"]);
    }
    assert_eq!(system.count("SELECT count(*) FROM replays WHERE status = 'cancelled'").await, 2);
}
