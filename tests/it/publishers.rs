//! The examples of `docs/publish.md`, as whoever copies them runs them: what each publishes becomes the row that the SDK's
//! event becomes, once, under the least permissions that a publisher can have.

use crate::support::{Said, System, checkout, nats_cli, node, python};
use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use std::{process::Command, time::Duration};
use valera_tracker::{Config, Event, Tracked, Tracker};

const CHAT: &str = "-42";
const BOOKING: &str = "7";

/// The arguments of every example, the same event each time.
fn booking(command: &mut Command, at: DateTime<Utc>) -> Said {
    Said::by(command.args([CHAT, BOOKING, &at.to_rfc3339_opts(SecondsFormat::Micros, true)]))
}

/// Runs an example on a system of its own and holds its row against the SDK's.
async fn gives_the_row_of_the_sdk(example: impl FnOnce(&System) -> Command) -> String {
    let system = System::start().await;
    let at = (Utc::now() - TimeDelta::minutes(1)).trunc_subsecs(6);
    let environment = system.environment();
    let tracker = Tracker::start(Config::new(system.publisher_url(), environment.keys.pseudonym.clone())).unwrap();
    let event = Event::booking_created(CHAT.parse().unwrap(), BOOKING.parse::<i64>().unwrap(), 2, "27500.00").at(at);
    assert_eq!(tracker.track(event), Tracked::Queued);
    assert!(tracker.flush(Duration::from_secs(60)).await.is_nothing());

    let mut example = example(&system);
    let out = booking(example.env("NATS_URL", system.publisher_url()), at).well();
    assert_eq!(system.last_sequence().await, 2, "the broker took the second time for another: {out}");
    system.settle().await;
    let rows: Vec<(i64, i64, i64)> = system
        .rows(
            "SELECT count(*), count(DISTINCT event_id),
                count(DISTINCT (event_name, chat_id, session_id, properties, occurred_at, platform, content_hash))
             FROM analytics_events",
        )
        .await;
    assert_eq!(rows, [(2, 2, 1)], "two events, one content");
    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, 0);
    out
}

/// The second time, both examples in a language say that the broker knew it.
fn assert_known_the_second_time(out: &str) {
    let words: Vec<_> = out.lines().filter_map(|line| line.split(' ').next_back()).collect();
    assert_eq!(words, ["stored", "known"], "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_python_gives_the_row_of_the_sdk() {
    let example = |_: &System| {
        let mut python = python();
        python.arg(checkout().join("examples/publish/publish.py"));
        python
    };
    assert_known_the_second_time(&gives_the_row_of_the_sdk(example).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_with_node_gives_the_row_of_the_sdk() {
    let example = |system: &System| node(system.dir(), "examples/publish/node", "publish.mjs");
    assert_known_the_second_time(&gives_the_row_of_the_sdk(example).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_with_the_nats_cli_gives_the_row_of_the_sdk() {
    let example = |_: &System| {
        let cli = nats_cli("");
        let mut script = Command::new("sh");
        script.arg(checkout().join("examples/publish/publish.sh")).env("NATS_CLI", cli.get_program());
        script.env("XDG_CONFIG_HOME", "/nonexistent");
        script
    };
    gives_the_row_of_the_sdk(example).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_may_publish_events_and_nothing_else_says_the_nats_cli() {
    let system = System::start().await;
    let url = system.publisher_url();
    let publish = |subject: &str| {
        Said::by(nats_cli(&url).args([
            "--timeout",
            "1s",
            "pub",
            "--no-templates",
            "--jetstream",
            subject,
            r#"{"chat_id":1}"#,
        ]))
    };
    publish("analytics.review_left").well();
    assert_ne!(publish("alerts.booking").code, Some(0));
    assert_ne!(Said::by(nats_cli(&url).args(["--timeout", "1s", "stream", "info", "ANALYTICS"])).code, Some(0));
    assert_eq!(system.last_sequence().await, 1);
}
