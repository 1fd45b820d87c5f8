//! A patch that moves `occurred_at` far gives the event another id. Until that one is judged no second goes out, so one
//! letter is one event, whoever retries it how often.

use super::{BOOKING, LETTERS, LetterRow, lacking, row, the_letter, then};
use crate::support::{Said, System, assert_rollups_agree};
use chrono::{TimeDelta, Utc};
use serde_json::json;
use std::process::Stdio;

fn days_ago(days: i64) -> String {
    format!("occurred_at={}", (Utc::now() - TimeDelta::days(days)).format("%FT09:00:00Z"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_under_way_as_one_event_is_not_retried_as_another() {
    let system = System::start().await;
    system.publish(BOOKING, &[], lacking(1, Utc::now()).to_string()).await;
    system.settle().await;
    let letter = the_letter(&system).await.to_string();
    let retry = ["dead-letters", "retry", &letter, "--wait", "0", "--set", "properties.services_count=1"];
    let (near, far) = (days_ago(3), days_ago(9));
    let (near, far) = (near.as_str(), far.as_str());
    let moved = |to| [&retry[..], &["--set", to]].concat();
    system.says(&moved(near)).well();
    for other in [moved(far), retry.to_vec(), [&moved(far)[..], &["--dry-run"]].concat()] {
        let said = system.says(&other);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.out.contains("not published") && said.out.contains("already"), "{said:?}");
    }
    system.says(&moved(near)).well();
    system.settle().await;
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, [row("closed", "stored", 2, "missing_property")]);
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 1);
    assert!(system.says(&moved(far)).well().contains("finished"));
    assert_rollups_agree(&system).await;
    let shown = system.says(&["dead-letters", "show", &letter]).well();
    assert!(shown.contains("2, the last as event"), "{shown}");
}

/// What was refused is no event: after the verdict the letter may go out as another.
#[tokio::test(flavor = "multi_thread")]
async fn a_letter_whose_retry_was_refused_may_go_out_as_another_event() {
    let system = System::start().await;
    let mut body = lacking(1, Utc::now());
    body["properties"]["services_count"] = json!(1);
    let (_, event_id) = then(&body, &[], Utc::now()).is_refused(&system).await;
    // Another event has the letter's id.
    body["event_id"] = json!(event_id);
    body["chat_id"] = json!(2);
    system.publish(BOOKING, &[], body.to_string()).await;
    let retry = ["dead-letters", "retry", "--all", "--wait", "0"];
    system.says(&retry).well();
    let as_new = [&retry[..], &["--as-new"]].concat();
    system.settle().await;
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, [row("open", "-", 1, "conflicting_duplicate")]);
    system.says(&as_new).well();
    system.settle().await;
    assert_eq!(system.rows::<LetterRow>(LETTERS).await, [row("closed", "stored", 2, "conflicting_duplicate")]);
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_who_move_letters_to_two_days_store_each_event_once() {
    let system = System::start().await;
    for chat in 0..40 {
        let mut body = lacking(chat, Utc::now());
        body["properties"]["services_count"] = json!(1);
        then(&body, &[], Utc::now()).is_refused(&system).await;
    }
    let both = [3, 9, 3].map(|days| {
        let mut retry = system.program();
        retry.args(["dead-letters", "retry", "--all", "--wait", "0", "--set", &days_ago(days)]);
        retry.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    for retry in both {
        let said = Said::from(retry.wait_with_output().unwrap());
        assert!(said.code == Some(0) || said.err.contains("letters were not published"), "{said:?}");
    }
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM dead_letters WHERE status = 'closed'").await, 40);
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 40);
    assert_rollups_agree(&system).await;
}
