//! What a rebuild says before it is swapped in, and after.

use super::{beside::refuse, built};
use crate::support::{Said, System, event, eventually};
use chrono::Utc;
use serde_json::{Value, json};
use std::{fs::File, process::Stdio, time::Duration};
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    rebuild::{Rebuild, swap_back},
    service::Service,
};

fn told(out: &str) -> Value {
    serde_json::from_str(out).unwrap_or_else(|cause| panic!("{cause}: {out}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_materialised_view_is_named_before_anything_is_built_and_once_more_at_the_swap() {
    let system = System::start().await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    let named = |cause: anyhow::Error| {
        let cause = cause.to_string();
        assert!(cause.contains("materialised view") && cause.contains("busiest"), "{cause}");
    };
    let run = async |sql: &'static str| {
        sqlx::raw_sql(sql).execute(&mut system.postgres().await).await.unwrap();
    };
    let late = built(&system).await;
    let view = "CREATE MATERIALIZED VIEW public.busiest AS SELECT chat_id FROM rollups.chats";
    run(view).await;
    named(late.swap(|_| {}).await.unwrap_err());

    let shutdown = CancellationToken::new();
    let mut stages = Vec::new();
    let early = Rebuild::build(system.environment(), Duration::from_secs(1), |stage| stages.push(stage), &shutdown);
    named(early.await.err().unwrap());
    assert_eq!(stages, []);

    run("DROP MATERIALIZED VIEW public.busiest").await;
    built(&system).await.swap(|_| {}).await.unwrap();
    run(view).await;
    let back = swap_back(system.environment(), Duration::from_secs(1), |stage| stages.push(stage), &shutdown);
    named(back.await.unwrap_err());
    assert_eq!(stages, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_for_want_of_events_that_only_wait_is_told_from_a_fault() {
    let system = System::start().await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    for chat in [2, 3] {
        event("cart_confirmed", chat, Utc::now(), json!({})).publish(&system).await;
    }
    system.run_dry(Service::Persister).await;
    let said = system.says(&["rebuild"]);
    assert!(said.out.contains("buckets differ"), "{said:?}");
    assert!(said.out.contains("2 events that the rollups have yet to take in"), "{said:?}");
    let told = told(&system.says(&["rebuild", "--json"]).out);
    assert_eq!((&told["pending"], &told["swapped"]), (&json!(2), &Value::Null), "{told}");

    system.settle().await;
    let said = system.says(&["rebuild", "--yes"]).well();
    assert!(!said.contains("yet to take in"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_told_what_a_swap_did_and_what_it_left_out() {
    let system = System::start().await;
    let lost = event("cart_confirmed", 2, Utc::now(), json!({}));
    lost.publish(&system).await;
    system.settle().await;
    sqlx::raw_sql("TRUNCATE analytics_events").execute(&mut system.postgres().await).await.unwrap();
    refuse(&system, lost.event_id()).await;

    let said = told(&system.says(&["rebuild", "--yes", "--json", "--wait", "1"]).well());
    assert!(said["differences"].as_array().is_some_and(|rollups| !rollups.is_empty()), "{said}");
    let swapped = &said["swapped"];
    assert_eq!((&swapped["refused"], &swapped["time_zone"]), (&json!([lost.event_id()]), &json!("Europe/Moscow")));
    assert!(swapped["held_ms"].is_u64(), "{said}");

    let said = told(&system.says(&["rebuild", "--swap-back", "--json"]).well());
    assert_eq!(said["swapped"]["refused"], json!([]), "{said}");
    assert_eq!(said.get("differences"), None, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_job_says_once_that_a_rebuild_waits_for_the_persister() {
    let system = System::start().await;
    for chat in 1..=3 {
        event("cart_confirmed", chat, Utc::now(), json!({})).publish(&system).await;
    }
    system.run_dry(Service::Rollups).await;
    let log = system.dir().join("job.log");
    let mut job = system.program();
    job.args(["rebuild", "--yes", "--wait", "1"]).stderr(File::create(&log).unwrap());
    let mut job = job.stdout(Stdio::null()).spawn().unwrap();
    let logged = || std::fs::read_to_string(&log).unwrap();
    let line = "waiting for the persister: 3 events\n";
    eventually("the job says what it waits for", async || logged().contains(line)).await;
    system.run_dry(Service::Persister).await;
    let ended = tokio::task::spawn_blocking(move || job.wait().unwrap()).await.unwrap();
    assert!(ended.success(), "{}", logged());
    assert_eq!(logged().matches("waiting for the persister").count(), 1, "{}", logged());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_back_takes_no_zone_and_a_wait_is_at_least_a_second() {
    let system = System::start().await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    system.says(&["rebuild", "--wait", "0", "--yes"]).complaining(2, &["--wait"]);
    system.says(&["rebuild", "--yes"]).well();
    let zone = ["rebuild", "--swap-back", "--timezone", "UTC"];
    system.says(&zone).complaining(2, &["leave out --timezone"]);
    // The environment's is for every command, and does not speak of this one.
    let said = Said::by(system.program().env("VALERA_TIMEZONE", "UTC").args(["rebuild", "--swap-back"]));
    assert!(said.well().contains("days are cut in Europe/Moscow"));
}
