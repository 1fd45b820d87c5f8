//! `verify --repair`: where raw and rollups hold different events, the rollups become what raw says.

use super::{differences, flip, publish, verdict, verdict_while};
use crate::support::{System, event};
use chrono::Utc;
use serde_json::{Value, json};
use valera_pipeline::{
    rollups::ALL,
    service::{STREAM, Service},
    verify,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_command_repairs_only_when_asked_to_and_says_what_it_did() {
    let system = System::start().await;
    publish(&system, 3).await;
    system.settle().await;
    let counts = ALL.iter().find(|rollup| rollup.name == "event_counts_hourly").unwrap();
    flip(&system, counts, "events").await;

    system.says(&["verify"]).complaining(1, &["raw events and rollups differ"]);
    let told: Value = serde_json::from_str(&system.says(&["verify", "--repair", "--json"]).well()).unwrap();
    assert_eq!(told["repaired"], json!({"disagreeing": 0, "refused": 0, "buckets": 1}));
    assert_eq!(told["raw_events"], json!(15));
    let told: Value = serde_json::from_str(&system.says(&["verify", "--repair", "--json"]).well()).unwrap();
    assert_eq!(told.get("repaired"), None, "nothing was to be repaired");
}

/// The stream loses one content of an id between the rollups, who have folded it, and the persister, who gets another.
#[tokio::test(flavor = "multi_thread")]
async fn an_awaited_event_that_comes_with_other_content_is_named_and_repaired() {
    let system = System::start().await;
    let folded = event("cart_confirmed", 1, Utc::now(), json!({})).unchecked_by_broker();
    folded.publish(&system).await;
    system.run_dry(Service::Rollups).await;
    let stream = system.jetstream().await.get_stream(STREAM).await.unwrap();
    stream.delete_message(1).await.unwrap();
    let stored = folded.clone().with("chat_id", json!(2));
    stored.publish(&system).await;

    let before = verdict_while(&system, system.run_dry(Service::Persister)).await;
    assert_eq!((before.late, before.disagreeing.as_slice()), (1, [folded.event_id()].as_slice()), "{before:?}");
    assert!(!before.agrees());
    // Chat 1 is to go and chat 2 to come.
    let chats: Vec<_> = differences(&before).into_iter().filter(|(name, _)| *name == "chats").collect();
    let [(_, gone), (_, come)] = chats.as_slice() else { panic!("{chats:?}") };
    assert_eq!((&gone.recounted, &come.kept), (&Value::Null, &Value::Null));

    let repaired = verify::repair(&system.local.postgres.url(), std::time::Duration::ZERO, |_| {}).await.unwrap();
    assert_eq!((repaired.disagreeing, repaired.refused), (1, 0));
    let after = verdict(&system).await;
    assert!(after.agrees(), "{after:?}");
    // The message that raw stored is still on its way to the rollups, which know it now.
    system.settle().await;
    assert!(verdict(&system).await.agrees());
    assert_eq!(system.count("SELECT sum(events)::bigint FROM rollups.event_counts_hourly").await, 1);
}
