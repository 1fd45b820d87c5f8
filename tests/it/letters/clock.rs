//! A retry is held to the clock of the day on which its message was received, however much later it comes.

use super::{BOOKING, LETTERS, LetterRow, lacking, row, then};
use crate::support::{System, assert_rollups_agree};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

const RETRY: [&str; 5] = ["dead-letters", "retry", "--all", "--wait", "0"];

fn complete(occurred_at: DateTime<Utc>) -> Value {
    let mut body = lacking(1, occurred_at);
    body["properties"]["services_count"] = json!(1);
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_two_years_ago_is_no_late_event_today() {
    let system = System::start().await;
    let received_at = Utc::now() - TimeDelta::days(730);
    let mut implied = complete(received_at);
    implied.as_object_mut().unwrap().remove("occurred_at");
    then(&implied, &[], received_at).is_refused(&system).await;
    then(&complete(received_at - TimeDelta::days(300)), &[], received_at).is_refused(&system).await;
    system.says(&RETRY).well();
    system.settle().await;
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, vec![row("closed", "stored", 1, "missing_property"); 2]);
    let days: Vec<(i32,)> =
        system.rows("SELECT extract(day FROM now() - occurred_at)::int FROM analytics_events ORDER BY 1").await;
    assert_eq!(days, [(730,), (1030,)]);
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_does_not_heal_a_clock_that_ran_ahead() {
    let system = System::start().await;
    let received_at = Utc::now() - TimeDelta::days(30);
    let ahead = then(&complete(received_at + TimeDelta::days(3)), &[], received_at);
    ahead.is_refused(&system).await;
    let said = system.says(&RETRY);
    said.complaining(1, &["1 letters were not published"]);
    assert!(said.out.contains("occurred_at_out_of_range"), "{said:?}");

    let moved = format!("occurred_at={}", received_at.to_rfc3339());
    for _ in 0..2 {
        system.says(&[&RETRY[..], &["--set", &moved]].concat()).well();
    }
    system.settle().await;
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, [row("closed", "stored", 2, "missing_property")]);
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 1);
    assert_rollups_agree(&system).await;
}

/// No verdict knows whose letter a header names.
#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_header_sets_the_clock_back_to_the_horizon_and_never_forward() {
    let system = System::start().await;
    let letter = Uuid::now_v7().to_string();
    for (occurred_at, received_at) in [
        ("2014-11-01T12:00:00Z".to_owned(), "2014-11-02T12:00:00Z".to_owned()),
        ("2015-06-01T12:00:00Z".to_owned(), "2015-06-02T12:00:00Z".to_owned()),
        ((Utc::now() + TimeDelta::days(1)).to_rfc3339(), (Utc::now() + TimeDelta::days(2)).to_rfc3339()),
    ] {
        let headers = [("Valera-Dead-Letter", &*letter), ("Valera-Received-At", &*received_at)];
        let mut body = complete(Utc::now());
        body["occurred_at"] = json!(occurred_at);
        system.publish(BOOKING, &headers, body.to_string()).await;
    }
    system.settle().await;
    let stored: Vec<(i32,)> = system.rows("SELECT extract(year FROM occurred_at)::int FROM analytics_events").await;
    assert_eq!(stored, [(2015,)]);
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, [row("open", "-", 0, "occurred_at_out_of_range")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imports_letter_reaches_as_far_back_as_the_import() {
    let system = System::start().await;
    let old = complete("2016-02-01T12:00:00Z".parse().unwrap());
    then(&old, &[("Valera-Origin", "import"), ("Nats-Msg-Id", "a")], Utc::now()).is_refused(&system).await;
    system.says(&RETRY).well();
    system.settle().await;
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, [row("closed", "stored", 1, "missing_property")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_below_the_horizon_ends_as_expired() {
    let system = System::start().await;
    let received_at = Utc::now() - TimeDelta::days(300);
    then(&complete(received_at), &[], received_at).is_refused(&system).await;
    sqlx::query("UPDATE settings SET horizon = now() - interval '100 days'")
        .execute(&mut system.postgres().await)
        .await
        .unwrap();
    system.says(&RETRY).well();
    system.settle().await;
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, [row("closed", "expired", 1, "missing_property")]);
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 0);
}
