//! Events that Postgres refuses although the contract accepts them: each is named, and its neighbours are stored.

use crate::support::{System, event, eventually};
use chrono::{TimeDelta, Utc};
use futures::{StreamExt, stream};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};
use uuid::Uuid;
use valera_pipeline::{consume::Link, handler::Outcome, service::Service, verify};

/// Refuses marked events the way a type would: with a data exception.
const REFUSING: &str = "
    CREATE FUNCTION refuse_marked() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'marked' USING ERRCODE = 'numeric_value_out_of_range';
    END $$;
    CREATE TRIGGER refuse_marked BEFORE INSERT ON analytics_events
        FOR EACH ROW WHEN (NEW.properties ? 'marked') EXECUTE FUNCTION refuse_marked();";

#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_refuses_is_named_and_its_neighbours_are_stored() {
    let system = System::start().await;
    sqlx::raw_sql(REFUSING).execute(&mut system.postgres().await).await.unwrap();
    let events: Vec<_> = (0..500)
        .map(|n| {
            let properties = if [0, 250, 499].contains(&n) { json!({"marked": true}) } else { json!({}) };
            event("cart_confirmed", n, Utc::now() - TimeDelta::minutes(n), properties)
        })
        .collect();
    let context = system.jetstream().await;
    let publish = |event: crate::support::EventBuilder| {
        let context = context.clone();
        async move { context.publish(event.subject(), event.body()).await.unwrap().await.unwrap() }
    };
    stream::iter(events.clone()).map(publish).buffer_unordered(64).collect::<Vec<_>>().await;
    let marked: BTreeSet<Uuid> = [0, 250, 499].map(|n: usize| events[n].event_id()).into();

    let [persister, rollups] = Service::ALL.map(|service| system.run(service));
    system.drained().await;
    let (persister, rollups) = (persister.stop().await, rollups.stop().await);

    let counters = &persister.counters;
    assert_eq!((counters.of(Outcome::Stored), counters.of(Outcome::Rejected)), (497, 3));
    assert_eq!((counters.received(), counters.settled()), (500, 500));
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 497);
    let letters: Vec<(Uuid, String, String)> =
        system.rows("SELECT event_id, reasons->0->>'reason', reasons->0->>'expected' FROM dead_letters").await;
    assert!(letters.iter().all(|(_, reason, said)| reason == "refused_by_database" && said.contains("22003")));
    assert_eq!(letters.into_iter().map(|(id, ..)| id).collect::<BTreeSet<_>>(), marked);
    // The rollups cannot know what the raw table refuses. Exactly the letters' events are theirs alone.
    assert_eq!(rollups.counters.of(Outcome::Stored), 500);
    let folded_only: Vec<(Uuid,)> =
        system.rows("SELECT event_id FROM rollups.inbox EXCEPT SELECT event_id FROM analytics_events").await;
    assert_eq!(folded_only.into_iter().map(|(id,)| id).collect::<BTreeSet<_>>(), marked);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_refuses_is_named_by_verify_taken_out_of_the_rollups_and_counted_once_it_is_stored() {
    let system = System::start().await;
    sqlx::raw_sql(REFUSING).execute(&mut system.postgres().await).await.unwrap();
    let events: Vec<_> = (0..5)
        .map(|n| event("cart_confirmed", n, Utc::now(), if n == 3 { json!({"marked": 1}) } else { json!({}) }))
        .collect();
    for event in &events {
        event.publish(&system).await;
    }
    // The refused id once more, with other content: it ends with it, under a name.
    let other = events[3].clone().with("chat_id", json!(33)).unchecked_by_broker();
    other.publish(&system).await;
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, 2);

    let (link, url) = (Link::new(system.local.nats.url(), "verify"), system.local.postgres.url());
    let verdict = || async { verify::verify(&link, &url, Duration::from_secs(60), |_| {}).await.unwrap() };
    let refused = verdict().await;
    assert_eq!((refused.refused.as_slice(), refused.unstored.len()), ([events[3].event_id()].as_slice(), 0));
    assert!(!refused.agrees() && refused.is_repairable());

    // While a retry is under way, raw may get the event that a repair would forget.
    for (status, is_repaired) in [("retried", false), ("open", true)] {
        let set = sqlx::query("UPDATE dead_letters SET status = $1").bind(status);
        set.execute(&mut system.postgres().await).await.unwrap();
        let repaired = verify::repair(&url, Duration::ZERO, |_| {}).await;
        assert_eq!(repaired.is_ok(), is_repaired, "{status}: {repaired:?}");
        if let Ok(repaired) = repaired {
            assert_eq!((repaired.refused, repaired.disagreeing), (1, 0));
        }
    }
    let without = verdict().await;
    assert!(without.agrees() && without.refused.is_empty(), "{without:?}");
    assert_eq!(system.count("SELECT count(*) FROM rollups.chats").await, 4);

    let allowing = "DROP TRIGGER refuse_marked ON analytics_events";
    sqlx::raw_sql(allowing).execute(&mut system.postgres().await).await.unwrap();
    system.publish(&events[3].subject(), &[("Nats-Msg-Id", "retry/1")], events[3].body()).await;
    system.settle().await;
    let retried = verdict().await;
    assert!(retried.agrees(), "{retried:?}");
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 5);
    assert_eq!(system.count("SELECT count(*) FROM rollups.chats").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_refuses_again_under_the_id_of_a_moved_retry_is_refused_too() {
    let system = System::start().await;
    sqlx::raw_sql(REFUSING).execute(&mut system.postgres().await).await.unwrap();
    event("cart_confirmed", 1, Utc::now(), json!({"marked": 1})).publish(&system).await;
    system.settle().await;
    let moved = format!("occurred_at={}", (Utc::now() - TimeDelta::days(3)).to_rfc3339());
    system.says(&["dead-letters", "retry", "--all", "--wait", "0", "--set", &moved]).well();
    system.settle().await;
    let repaired = verify::repair(&system.local.postgres.url(), Duration::ZERO, |_| {}).await.unwrap();
    assert_eq!((repaired.refused, repaired.disagreeing), (2, 0));
    system.says(&["verify", "--wait", "0"]).well();
}

/// As if `retry` was killed before it published: the letter waits for a verdict that never comes, and with it whoever waits
/// for raw.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_event_whose_retry_never_came_is_no_obstacle_for_good() {
    let system = System::start().await;
    sqlx::raw_sql(REFUSING).execute(&mut system.postgres().await).await.unwrap();
    event("cart_confirmed", 1, Utc::now(), json!({"marked": 1})).publish(&system).await;
    system.settle().await;
    let retried = "UPDATE dead_letters SET status = 'retried', attempts = 1 RETURNING id";
    let letters: Vec<(Uuid,)> = system.rows(retried).await;

    const WAY_OUT: &str = "dead-letters list --status retried";
    let verified = system.says(&["verify", "--wait", "0"]);
    assert!(verified.out.contains(WAY_OUT), "{verified:?}");
    system.says(&["rebuild", "--yes", "--wait", "1"]).complaining(1, &[WAY_OUT]);
    let repaired = verify::repair(&system.local.postgres.url(), Duration::ZERO, |_| {}).await.unwrap_err();
    assert!(repaired.to_string().contains(WAY_OUT), "{repaired:#}");

    system.says(&["dead-letters", "discard", &letters[0].0.to_string(), "--reason", "its row is broken"]).well();
    system.says(&["verify", "--repair", "--wait", "0"]).well();
    system.says(&["rebuild", "--yes", "--wait", "1"]).well();
    assert_eq!(system.count("SELECT count(*) FROM rollups.chats").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_that_somebody_added_delays_events_and_fills_no_dead_letters() {
    let system = System::start().await;
    let add = "ALTER TABLE analytics_events ADD CONSTRAINT somebody CHECK (platform <> 'telegram') NOT VALID";
    sqlx::raw_sql(add).execute(&mut system.postgres().await).await.unwrap();
    for n in 0..30 {
        event("cart_confirmed", n, Utc::now(), json!({})).publish(&system).await;
    }
    let persister = system.run(Service::Persister);
    let health = persister.watched.health.clone();
    eventually("it says why it does not store", async || {
        health.ready().is_err_and(|cause| cause.contains("23514") && cause.contains("somebody"))
    })
    .await;
    let mend = "ALTER TABLE analytics_events DROP CONSTRAINT somebody";
    sqlx::raw_sql(mend).execute(&mut system.postgres().await).await.unwrap();
    system.consumer_drained(Service::Persister).await;
    let counters = persister.stop().await.counters;
    assert_eq!((counters.of(Outcome::Stored), counters.settled()), (30, 30));
    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, 0);
}
