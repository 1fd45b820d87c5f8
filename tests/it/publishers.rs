//! The examples of `docs/publish.md`, as whoever copies them runs them: what each publishes becomes the row that the SDK's
//! event becomes, once, under the least permissions that a publisher can have.

use crate::{
    gateway::wire::{Served, TOKEN},
    support::{PUBLISHER_INBOX, Said, System, checkout, eventually, nats_cli, node, python, ruby},
};
use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use std::{process::Command, time::Duration};
use valera_tracker::{Event, Tracked, Tracker};

const CHAT: &str = "-42";
const BOOKING: &str = "7";

/// The arguments of every example, the same event each time.
fn booking(command: &mut Command, at: DateTime<Utc>) -> Said {
    Said::by(command.args([CHAT, BOOKING, &at.to_rfc3339_opts(SecondsFormat::Micros, true)]))
}

/// Runs an example on a fresh system and holds its row against the SDK's.
async fn gives_the_row_of_the_sdk(system: &System, mut example: Command) -> String {
    let at = (Utc::now() - TimeDelta::minutes(1)).trunc_subsecs(6);
    let tracker = Tracker::start(system.publisher_config()).unwrap();
    let event = Event::booking_created(CHAT.parse().unwrap(), BOOKING.parse::<i64>().unwrap(), 2, "27500.00").at(at);
    assert_eq!(tracker.track(event), Tracked::Queued);
    assert!(tracker.flush(Duration::from_secs(60)).await.is_nothing());

    example.env("NATS_URL", system.publisher_url()).env("NATS_INBOX_PREFIX", PUBLISHER_INBOX);
    let out = booking(&mut example, at).well();
    // By way of the gateway an event may still be in its spool.
    eventually("the example's event is on the stream", async || system.last_sequence().await >= 2).await;
    system.settle().await;
    assert_eq!(system.last_sequence().await, 2, "the broker took the second time for another: {out}");
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
    let system = System::start().await;
    let mut python = python();
    python.arg(checkout().join("examples/publish/publish.py"));
    assert_known_the_second_time(&gives_the_row_of_the_sdk(&system, python).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_with_node_gives_the_row_of_the_sdk() {
    let system = System::start().await;
    let node = node(system.dir(), "examples/publish/node", "publish.mjs");
    assert_known_the_second_time(&gives_the_row_of_the_sdk(&system, node).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_with_the_nats_cli_gives_the_row_of_the_sdk() {
    let system = System::start().await;
    let cli = nats_cli("");
    let mut script = Command::new("sh");
    script.arg(checkout().join("examples/publish/publish.sh")).env("NATS_CLI", cli.get_program());
    script.env("XDG_CONFIG_HOME", "/nonexistent");
    gives_the_row_of_the_sdk(&system, script).await;
}

/// An example that publishes by way of a gateway.
async fn gives_the_row_of_the_sdk_by_http(mut example: Command, file: &str) {
    let system = System::start().await;
    let served = Served::start(&system, &[]).await;
    example.arg(checkout().join("examples/publish").join(file));
    example.env("VALERA_GATEWAY_URL", format!("http://{}", served.at)).env("VALERA_GATEWAY_TOKEN", TOKEN);
    example.env("VALERA_SPILL_DIR", system.dir().join("spill"));
    gives_the_row_of_the_sdk(&system, example).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_with_curl_gives_the_row_of_the_sdk() {
    gives_the_row_of_the_sdk_by_http(Command::new("sh"), "gateway.sh").await;
}

/// In a module of its name, which is left out where there is no Ruby.
mod ruby {
    #[tokio::test(flavor = "multi_thread")]
    async fn the_example_in_ruby_gives_the_row_of_the_sdk() {
        super::gives_the_row_of_the_sdk_by_http(super::ruby(), "publish.rb").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_may_publish_events_and_nothing_else_says_the_nats_cli() {
    let system = System::start().await;
    let url = system.publisher_url();
    let publish = |subject: &str| {
        Said::by(nats_cli(&url).args([
            "--inbox-prefix",
            PUBLISHER_INBOX,
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
    let asking = ["--inbox-prefix", PUBLISHER_INBOX, "--timeout", "1s", "stream", "info", "ANALYTICS"];
    assert_ne!(Said::by(nats_cli(&url).args(asking)).code, Some(0));
    assert_eq!(system.last_sequence().await, 1);
}
