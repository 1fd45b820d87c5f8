//! Retries that are killed, repeated and made by two at once: one row, one letter, closed.

use super::{BOOKING, LETTERS, LetterRow, everything, lacking, row};
use crate::support::{Said, System, assert_rollups_agree, eventually};
use chrono::Utc;
use std::process::{Child, Stdio};
use valera_pipeline::service::Service;

const RETRY: [&str; 7] = ["dead-letters", "retry", "--event", "booking_request_created", "--wait", "0", "--set"];
const ONE: &str = "properties.services_count=1";
const TWO: &str = "properties.services_count=2";

/// Bookings in the dead letters.
async fn system_with_letters(letters: i64) -> System {
    let system = System::start().await;
    for chat in 0..letters {
        system.publish(BOOKING, &[], lacking(chat, Utc::now()).to_string()).await;
    }
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM dead_letters WHERE status = 'open'").await, letters);
    system
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persister_killed_between_publish_and_close_stores_each_retry_once_and_closes_it() {
    let system = system_with_letters(20).await;
    system.says(&[&RETRY[..], &[ONE]].concat()).well();
    for point in ["pulled", "before-commit", "after-commit"] {
        let mut persister = system.spawn(&["persister", point, "1", "--batch", "7"]);
        persister.ended(&format!("the persister dies at {point}")).await;
    }
    system.settle().await;
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, vec![row("closed", "stored", 1, "missing_property"); 20]);
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 20);
    assert_rollups_agree(&system).await;
}

/// As if the command was killed after it had counted its attempt: the letter is retried, and no message came of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_was_killed_before_it_published_is_made_good_by_the_next() {
    let system = system_with_letters(2).await;
    sqlx::query("UPDATE dead_letters SET status = 'retried', attempts = 1")
        .execute(&mut system.postgres().await)
        .await
        .unwrap();
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM dead_letters WHERE status = 'retried'").await, 2);
    system.says(&[&RETRY[..], &[ONE]].concat()).well();
    system.settle().await;
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, vec![row("closed", "stored", 2, "missing_property"); 2]);
}

fn at_work(system: &System, set: &str) -> Child {
    let mut command = system.program();
    command.args(RETRY).arg(set).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Two operators with two opinions, while the persister is at work: for each letter one of them is right, and the other
/// adds nothing.
#[tokio::test(flavor = "multi_thread")]
async fn two_retries_at_once_store_each_event_once() {
    let system = system_with_letters(150).await;
    let services = Service::ALL.map(|service| system.run(service));
    let both = [ONE, TWO, ONE].map(|set| at_work(&system, set));
    for retry in both {
        Said::from(retry.wait_with_output().unwrap()).well();
    }
    system.drained().await;
    for service in services {
        let watched = service.stop().await;
        assert_eq!(watched.counters.received(), watched.counters.settled(), "{watched:?}");
    }
    let closed =
        "SELECT count(*) FROM dead_letters WHERE status = 'closed' AND reasons->0->>'reason' = 'missing_property'";
    assert_eq!(system.count(closed).await, 150);
    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, 150);
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 150);

    let whole = everything(&system).await;
    system.settle().await;
    assert_eq!(everything(&system).await, whole);
}

/// What a retry says of its one letter when another operator changes that between its reading and its claim.
async fn retried_while_another(change: &'static str) -> Said {
    let system = system_with_letters(1).await;
    let mut other = system.postgres().await;
    sqlx::raw_sql("BEGIN").execute(&mut other).await.unwrap();
    sqlx::raw_sql(change).execute(&mut other).await.unwrap();
    let retry = at_work(&system, ONE);
    eventually("the retry has read the letter and cannot claim it", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE application_name = 'valera dead-letters' AND wait_event_type = 'Lock'";
        system.count(waiting).await == 1
    })
    .await;
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    let said = Said::from(retry.wait_with_output().unwrap());
    assert_eq!(system.count("SELECT count(*) FROM dead_letters WHERE attempts > 0").await, 0, "it was claimed");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_another_operator_finishes_meanwhile_is_told_as_finished() {
    let discard = "UPDATE dead_letters SET status = 'discarded', status_reason = 'mine', closed_at = now()";
    let said = retried_while_another(discard).await.well();
    assert!(said.contains("finished") && said.contains("discarded: mine"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_another_operator_retries_as_another_event_meanwhile_is_not_published() {
    let retry = "UPDATE dead_letters SET status = 'retried', retried_as = gen_random_uuid()";
    let said = retried_while_another(retry).await;
    said.complaining(1, &["1 letters were not published"]);
    assert!(said.out.contains("retried already"), "{said:?}");
}
