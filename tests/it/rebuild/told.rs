//! What a rebuild says before it is swapped in, and after.

use super::built;
use crate::support::{System, event};
use chrono::Utc;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    rebuild::{Rebuild, swap_back},
    service::Service,
};

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
    let told: Value = serde_json::from_str(&system.says(&["rebuild", "--json"]).out).unwrap();
    assert_eq!(told["pending"], 2, "{told}");

    system.settle().await;
    let said = system.says(&["rebuild", "--yes"]).well();
    assert!(!said.contains("yet to take in"), "{said}");
}
