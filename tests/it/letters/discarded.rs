//! What an operator discards: only what he means, with his words; and what becomes of it when its event comes all the same.

use super::{BOOKING, LETTERS, LetterRow, ends::publish_retry, lacking, row, the_letter, then};
use crate::support::{System, assert_rollups_agree};
use chrono::Utc;
use serde_json::{Value, json};
use uuid::Uuid;

const RETRY: [&str; 6] = ["dead-letters", "retry", "--all", "--wait", "0", "--set"];
const COUNT: &str = "properties.services_count=1";

async fn system_with_letters(letters: i64) -> System {
    let system = System::start().await;
    for chat in 0..letters {
        system.publish(BOOKING, &[], lacking(chat, Utc::now()).to_string()).await;
    }
    system.settle().await;
    system
}

fn discard<'a>(which: &[&'a str]) -> Vec<&'a str> {
    [&["dead-letters", "discard", "--reason", "a test of the bot's"][..], which].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_no_reason_to_discard_and_a_dry_run_discards_nothing() {
    let system = system_with_letters(2).await;
    let open = vec![row("open", "-", 0, "missing_property"); 2];
    system
        .says(&["dead-letters", "discard", "--all", "--reason", "not_json"])
        .complaining(2, &["not_json is a code by which `list` and `retry` filter", "in words"]);
    system.says(&["dead-letters", "discard", "--all", "--reason", " "]).complaining(2, &["words"]);
    let dry = system.says(&discard(&["--all", "--dry-run"])).well();
    for part in ["2 letters would be discarded", "booking_request_created", "missing_property"] {
        assert!(dry.contains(part), "no {part} in:\n{dry}");
    }
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, open);
    let told: Value = serde_json::from_str(&system.says(&discard(&["--since", "1h", "--json"])).well()).unwrap();
    assert_eq!((&told["dry_run"], told["discarded"].as_array().unwrap().len()), (&json!(false), 2));
    let discarded = vec![row("discarded", "a test of the bot's", 0, "missing_property"); 2];
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, discarded);
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_wait_for_their_retry_are_discarded_only_by_their_ids() {
    let system = system_with_letters(2).await;
    system.says(&[&RETRY[..], &[COUNT]].concat()).well();
    let said = system.says(&discard(&["--event", "booking_request_created"])).well();
    assert!(said.contains("0 letters discarded") && said.contains("2 letters are left as they are"), "{said}");
    assert!(said.contains("dead-letters list --status retried"), "{said}");

    let ids: Vec<(Uuid,)> = system.rows("SELECT id FROM dead_letters ORDER BY id").await;
    let first = ids[0].0.to_string();
    let told = system.says(&discard(&[&first, "--json"])).well();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["discarded"], &told["may_be_stored"]), (&json!([first]), &json!([first])));
    assert_eq!(system.count("SELECT count(*) FROM dead_letters WHERE status = 'retried'").await, 1);

    // The retry was on its way all the same: what is stored is not said to be discarded.
    system.settle().await;
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, vec![row("closed", "stored", 1, "missing_property"); 2]);
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 2);
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_refusal_does_not_open_a_discarded_letter() {
    let system = system_with_letters(1).await;
    let letter = the_letter(&system).await;
    let event_id: Vec<(Uuid,)> = system.rows("SELECT event_id FROM dead_letters").await;
    sqlx::query("UPDATE dead_letters SET status = 'retried', attempts = 1")
        .execute(&mut system.postgres().await)
        .await
        .unwrap();
    let mut body = lacking(0, Utc::now());
    body["event_id"] = json!(event_id[0].0);
    publish_retry(&system, letter, 1, &body).await;
    let said = system.says(&discard(&[&letter.to_string()])).well();
    assert!(said.contains("1 of them are retried and not judged yet"), "{said}");
    system.settle().await;
    let discarded = row("discarded", "a test of the bot's", 1, "missing_property");
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, [discarded]);
}

/// Events are judged without asking the letters: a replay under the catalogue that refused it adds nothing, one under a
/// catalogue that accepts it stores it.
#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_event_is_stored_by_a_replay_under_a_catalogue_that_accepts_it() {
    let system = System::start().await;
    let mut body = lacking(1, Utc::now());
    body["properties"]["services_count"] = json!(1);
    let original = then(&body, &[("Nats-Msg-Id", "booking/1")], Utc::now());
    original.is_refused(&system).await;
    system.says(&discard(&["--all"])).well();
    system.publish(BOOKING, &[("Nats-Msg-Id", "booking/1")], original.body.clone()).await;
    system.settle().await;
    let discarded = row("discarded", "a test of the bot's", 0, "missing_property");
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, [discarded]);
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 1);
    assert_rollups_agree(&system).await;
}
