//! Of two retries of a letter with different contents one is stored, and whoever sent the other is told so.

use super::{BOOKING, lacking};
use crate::support::{Said, System, eventually};
use chrono::Utc;
use serde_json::json;
use std::process::{Child, Stdio};

/// A retry that waits for its verdict.
fn waiting(system: &System, set: &str) -> Child {
    let mut retry = system.program();
    retry.args(["dead-letters", "retry", "--all", "--set", set]);
    retry.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_whose_content_is_not_the_stored_one_is_not_told_stored() {
    let system = System::start().await;
    for chat in 0..3 {
        let mut body = lacking(chat, Utc::now());
        // What is stored is not spelt as it was sent.
        body["properties"]["customer_phone"] = json!("+7 916 123-45-67");
        body["properties"]["note"] = json!("call +7 916 123-45-67");
        body["properties"]["weights"] = serde_json::from_str("[1.50, 1e2]").unwrap();
        system.publish(BOOKING, &[], body.to_string()).await;
    }
    system.settle().await;

    // Nobody judges yet: the first is mended by a second, which another operator repeats as the first was.
    let [one, five] = ["properties.services_count=1", "properties.services_count=5"];
    system.says(&["dead-letters", "retry", "--all", "--wait", "0", "--set", one]).well();
    let mended = waiting(&system, five);
    eventually("it is published", async || system.last_sequence().await == 9).await;
    let repeated = waiting(&system, one);
    eventually("that one too", async || system.last_sequence().await == 12).await;
    system.settle().await;

    let said = Said::from(mended.wait_with_output().unwrap());
    said.complaining(1, &["3 letters ended with other content"]);
    assert!(said.out.contains("overtaken"), "{said:?}");
    // Stored by the first or by this one: the content is the same.
    Said::from(repeated.wait_with_output().unwrap()).well();
    let closed = "SELECT count(*) FROM dead_letters WHERE status = 'closed' AND attempts = 3";
    assert_eq!(system.count(closed).await, 3);
    let first = "SELECT count(*) FROM analytics_events WHERE properties->>'services_count' = '1'";
    assert_eq!(system.count(first).await, 3);
}
