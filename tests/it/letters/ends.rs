//! What ends a letter and what does not: its own event, stored in any way; never a header that anybody can send.

use super::{BOOKING, LETTERS, LetterRow, everything, lacking, row, the_letter, then};
use crate::support::{System, assert_rollups_agree, event};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use valera_events::id;

#[tokio::test(flavor = "multi_thread")]
async fn storing_an_event_by_any_way_closes_the_letter_of_its_id_and_content() {
    let system = System::start().await;
    let received_at = Utc::now() - TimeDelta::minutes(1);
    let event_id = id::mint(received_at, rand::random());
    let mut body = lacking(1, received_at);
    body["properties"]["services_count"] = json!(1);
    body["event_id"] = json!(event_id);
    let refused = then(&body, &[], received_at);
    refused.is_refused(&system).await;
    let mut other = body.clone();
    other["properties"]["services_count"] = json!(2);
    then(&other, &[], received_at).is_refused(&system).await;

    // Spelled otherwise, the content is the same.
    system.publish(BOOKING, &[], serde_json::to_vec_pretty(&body).unwrap()).await;
    system.settle().await;
    let letters: Vec<(String, String, bool)> = system
        .rows(
            "SELECT status, coalesce(status_reason, '-'), convert_from(payload, 'UTF8')::jsonb->'properties'->'services_count' = '1'
             FROM dead_letters ORDER BY 3 DESC",
        )
        .await;
    let expected = [("closed".to_owned(), "stored".to_owned(), true), ("open".to_owned(), "-".to_owned(), false)];
    assert_eq!(letters, expected);
}

/// More letters than a worker keeps in mind: then it asks for those of its batch.
#[tokio::test(flavor = "multi_thread")]
async fn storing_an_event_closes_its_letter_among_a_hundred_thousand_others() {
    let system = System::start().await;
    sqlx::query(
            "INSERT INTO dead_letters (id, event_id, event_name, subject, reasons, payload, headers, stream_seq, received_at, status)
             SELECT gen_random_uuid(), gen_random_uuid(), 'a', 'analytics.a', '[]', '', '{}', n, now(), 'open'
             FROM generate_series(1, 100001) AS n",
        )
        .execute(&mut system.postgres().await)
        .await
        .unwrap();
    let received_at = Utc::now() - TimeDelta::minutes(1);
    let mut body = lacking(1, received_at);
    body["properties"]["services_count"] = json!(1);
    body["event_id"] = json!(id::mint(received_at, rand::random()));
    then(&body, &[], received_at).is_refused(&system).await;
    system.publish(BOOKING, &[], body.to_string()).await;
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM dead_letters WHERE status_reason = 'stored'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_is_refused_again_opens_its_letter_with_the_new_reasons_and_adds_none() {
    let system = System::start().await;
    let body = lacking(1, Utc::now());
    system.publish(BOOKING, &[("Nats-Msg-Id", "booking/1")], body.to_string()).await;
    system.settle().await;
    let letter = the_letter(&system).await;
    let event_id: Vec<(uuid::Uuid,)> = system.rows("SELECT event_id FROM dead_letters").await;

    let mut again = body.clone();
    again["event_id"] = json!(event_id[0].0);
    again["properties"]["services_count"] = json!("two");
    publish_retry(&system, letter, 1, &again).await;
    system.settle().await;
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, [row("open", "-", 0, "wrong_type")]);

    let retry = ["dead-letters", "retry", "--all", "--wait", "0", "--set", "properties.services_count=1"];
    system.says(&retry).well();
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, [row("retried", "-", 1, "wrong_type")]);
    system.says(&retry).well();
    system.settle().await;
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, [row("closed", "stored", 2, "wrong_type")]);

    // Late, and of another content: neither opens what is closed.
    let whole = everything(&system).await;
    again["properties"]["services_count"] = json!(3);
    publish_retry(&system, letter, 9, &again).await;
    again["properties"]["services_count"] = json!("two");
    publish_retry(&system, letter, 10, &again).await;
    system.settle().await;
    assert_eq!(everything(&system).await, whole);
    assert_rollups_agree(&system).await;
}

/// The verdict on an earlier attempt says nothing of the one under way: reopened by it, the letter could go out as another
/// event, and both be stored.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_verdict_on_the_last_attempt_opens_a_letter_again() {
    let system = System::start().await;
    let mut body = lacking(1, Utc::now());
    system.publish(BOOKING, &[], body.to_string()).await;
    system.settle().await;
    let letter = the_letter(&system).await;
    let event_id: Vec<(uuid::Uuid,)> = system.rows("SELECT event_id FROM dead_letters").await;
    sqlx::query("UPDATE dead_letters SET status = 'retried', attempts = 2")
        .execute(&mut system.postgres().await)
        .await
        .unwrap();
    body["event_id"] = json!(event_id[0].0);
    body["properties"]["services_count"] = json!("two");
    for (attempt, expected) in
        [(1, row("retried", "-", 2, "missing_property")), (2, row("open", "-", 2, "wrong_type"))]
    {
        publish_retry(&system, letter, attempt, &body).await;
        system.settle().await;
        assert_eq!(system.rows::<LetterRow>(LETTERS).await, [expected]);
    }
}

pub(super) async fn publish_retry(system: &System, letter: uuid::Uuid, attempt: i32, body: &Value) {
    let (letter_id, msg_id) = (letter.to_string(), format!("retry/{letter}/{attempt}"));
    let headers = [("Nats-Msg-Id", &*msg_id), ("Valera-Origin", "retry"), ("Valera-Dead-Letter", &*letter_id)];
    system.publish(BOOKING, &headers, body.to_string()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_names_a_strangers_letter_ends_nothing_and_hides_nothing() {
    let system = System::start().await;
    system.publish(BOOKING, &[], lacking(1, Utc::now()).to_string()).await;
    system.settle().await;
    let letter = the_letter(&system).await.to_string();
    let forged = [("Valera-Dead-Letter", &*letter), ("Valera-Origin", "retry")];
    system.publish("analytics.cart_confirmed", &forged, r#"{"chat_id":7}"#).await;
    system.publish(BOOKING, &forged, lacking(8, Utc::now()).to_string()).await;
    system.publish(BOOKING, &[("Valera-Dead-Letter", "no id")], lacking(9, Utc::now()).to_string()).await;
    system.settle().await;
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, vec![row("open", "-", 0, "missing_property"); 3]);
    assert_eq!(system.count("SELECT chat_id FROM analytics_events").await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_stored_with_other_content_is_retried_only_as_an_event_of_its_own() {
    let system = System::start().await;
    let first = event("cart_confirmed", 1, Utc::now(), json!({"services_count": 1})).unchecked_by_broker();
    first.publish(&system).await;
    first.with("properties", json!({"services_count": 2})).publish(&system).await;
    system.settle().await;

    let said = system.says(&["dead-letters", "retry", "--all", "--wait", "0"]);
    said.complaining(1, &["1 letters were not published"]);
    assert!(said.out.contains("--as-new"), "{said:?}");
    for _ in 0..2 {
        system.says(&["dead-letters", "retry", "--all", "--wait", "0", "--as-new"]).well();
    }
    system.settle().await;
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, [row("closed", "stored", 2, "conflicting_duplicate")]);
    let counts = "SELECT string_agg(properties->>'services_count', ' ' ORDER BY properties->>'services_count')
        FROM analytics_events";
    assert_eq!(system.rows::<(String,)>(counts).await, [("1 2".to_owned(),)]);
    assert_rollups_agree(&system).await;
}
