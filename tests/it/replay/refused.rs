//! A replay that is refused: it says why, and nothing of it stays behind.

use super::{all_into, system_with_history};
use crate::support::{Said, System};
use std::fs;
use valera_pipeline::{
    replay::{Replay, Request},
    service::Service,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_with_another_key_or_zone_is_neither_written_down_nor_taken_up() {
    let system = system_with_history().await;
    let key = system.dir().join("other.key");
    fs::write(&key, "ab".repeat(32)).unwrap();
    let other_key = ["--content-key-file", key.to_str().unwrap()];
    let other_zone = ["--timezone", "Asia/Tokyo"];
    for (other, named) in [(other_key, "KEY"), (other_zone, "Asia/Tokyo")] {
        system
            .says(&[&["replay", "--into", "rollups", "--name", "one"][..], &other].concat())
            .complaining(1, &[named]);
    }
    assert_eq!(system.count("SELECT count(*) FROM replays").await, 0);

    let request = Request { name: Some("one".to_owned()), ..all_into(Service::Rollups) };
    drop(Replay::begin(system.environment(), &request).await.unwrap());
    system.says(&["replay", "pause", "one"]).well();
    for other in [other_key, other_zone] {
        system.says(&[&["replay", "resume", "one"][..], &other].concat()).complaining(1, &[]);
        assert_eq!(system.count("SELECT count(*) FROM replays WHERE status = 'paused'").await, 1);
    }
}

/// A replay and a dry run of it.
fn both(system: &System, part: &[&str]) -> [Said; 2] {
    [&[][..], &["--dry-run"]].map(|dry| system.says(&[&["replay", "--into", "persister"], part, dry].concat()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_nothing_that_is_in_the_stream_is_refused_as_its_dry_run_is() {
    let system = system_with_history().await;
    let last = system.last_sequence().await.to_string();
    for part in [
        &["--subject", "analytics.cart_confirmd"][..],
        &["--subject", "analytics.*.*"],
        // There is one, but not here.
        &["--subject", "analytics.booking_request_created", "--from", &last],
    ] {
        for refused in both(&system, part) {
            refused.complaining(1, &["no message from", "--subject", part[1]]);
        }
    }
    for refused in both(&system, &["--from", "999999"]) {
        refused.complaining(1, &["no message in this part"]);
    }
    assert_eq!(system.count("SELECT count(*) FROM replays").await, 0);
    for part in [["--subject", "analytics.review_left"], ["--subject", "analytics.*"]] {
        for done in both(&system, &part) {
            done.well();
        }
    }
}
