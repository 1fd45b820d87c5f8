//! The fault that this system exists for: a catalogue that demands what nobody sends, for months. It is seen, repaired in
//! one command, and the funnel is then what it should have been.

use super::{BOOKING, LETTERS, everything, lacking, row};
use crate::support::{System, assert_rollups_agree, event};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;
use valera_events::id;
use valera_pipeline::service::Service;

const FUNNEL: &str = "SELECT chats, dialogs, bookings, dialogs_with_booking,
        coalesce(conversion_rate::text, '-'), coalesce(conversion_of_chats::text, '-')
    FROM rollups.funnel_daily ORDER BY day";

type FunnelRow = (i64, i64, i64, i64, String, String);

fn funnel(chats: i64, dialogs: i64, bookings: i64, converted: i64, rate: &str, of_chats: &str) -> Vec<FunnelRow> {
    vec![(chats, dialogs, bookings, converted, rate.to_owned(), of_chats.to_owned())]
}

/// Noon in Moscow, two days ago.
fn noon() -> DateTime<Utc> {
    let day = (Utc::now() - TimeDelta::days(2)).date_naive();
    day.and_hms_opt(9, 0, 0).unwrap().and_utc()
}

/// Five dialogs, and bookings of two of these chats and of one that never had a dialog; each booking sent in its own way.
async fn say_the_day(system: &System) {
    for chat in 1..=5 {
        event("ai_dialog_started", chat, noon(), json!({})).publish(system).await;
    }
    let event_id = id::mint(noon(), rand::random());
    let mut with_id = lacking(1, noon());
    with_id["event_id"] = json!(event_id);
    send(system, &with_id.to_string(), Some(&event_id.to_string())).await;
    send(system, &lacking(2, noon()).to_string(), Some("booking/2")).await;
    send(system, &lacking(6, noon()).to_string(), None).await;
}

async fn send(system: &System, body: &str, msg_id: Option<&str>) {
    let headers: Vec<_> = msg_id.map(|id| ("Nats-Msg-Id", id)).into_iter().collect();
    system.publish(BOOKING, &headers, body.to_owned()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bookings_that_a_catalogue_refused_come_back_and_the_funnel_is_what_it_should_have_been() {
    let system = System::start().await;
    say_the_day(&system).await;
    system.settle().await;
    assert_eq!(system.rows::<FunnelRow>(FUNNEL).await, funnel(5, 5, 0, 0, "0.00", "0.00"));
    let open = vec![row("open", "-", 0, "missing_property"); 3];
    assert_eq!(system.rows::<super::LetterRow>(LETTERS).await, open);
    let list = system.says(&["dead-letters", "list"]).well();
    for part in ["booking_request_created", "missing_property", "properties.services_count", "3"] {
        assert!(list.contains(part), "no {part} in:\n{list}");
    }

    let retry = ["dead-letters", "retry", "--event", "booking_request_created"];
    let unchanged = system.says(&retry);
    unchanged.complaining(1, &["3 letters were not published"]);
    assert!(unchanged.out.contains("properties.services_count"), "{unchanged:?}");
    let with_count = [&retry[..], &["--set", "properties.services_count=1"]].concat();
    let dry = system.says(&[&with_count[..], &["--dry-run"]].concat()).well();
    assert_eq!(dry.matches("accepted").count(), 3, "{dry}");
    assert_eq!(system.rows::<super::LetterRow>(LETTERS).await, open, "a dry run has changed a letter");

    let services = Service::ALL.map(|service| system.run(service));
    let said = system.says(&with_count).well();
    assert!(said.contains("stored"), "{said}");
    system.drained().await;
    for service in services {
        service.stop().await;
    }
    assert_eq!(system.rows::<FunnelRow>(FUNNEL).await, funnel(6, 5, 3, 2, "40.00", "50.00"));
    assert_eq!(
        system.rows::<super::LetterRow>(LETTERS).await,
        vec![row("closed", "stored", 1, "missing_property"); 3]
    );
    assert_rollups_agree(&system).await;

    // A second time by the same words, and by the letters' ids.
    let whole = everything(&system).await;
    let said = system.says(&with_count).well();
    assert!(said.contains("no letters of this kind"), "{said}");
    let ids: Vec<(Uuid,)> = system.rows("SELECT id FROM dead_letters").await;
    let ids: Vec<String> = ids.into_iter().map(|(id,)| id.to_string()).collect();
    let by_id: Vec<&str> = ["dead-letters", "retry", "--set", "properties.services_count=1"]
        .into_iter()
        .chain(ids.iter().map(String::as_str))
        .collect();
    let said = system.says(&by_id).well();
    assert!(said.contains("finished") && said.contains("closed: stored"), "{said}");
    system.settle().await;
    assert_eq!(everything(&system).await, whole);

    // And the originals, delivered from the first one on.
    deliver_everything_again(&system).await;
    system.settle().await;
    assert_eq!(everything(&system).await, whole);
    replay_everything(&system);
    assert_eq!(everything(&system).await, whole);
}

fn replay_everything(system: &System) {
    for into in Service::ALL {
        system.says(&["replay", "--into", into.name()]).well();
    }
}

async fn deliver_everything_again(system: &System) {
    let context = system.jetstream().await;
    let stream = context.get_stream(valera_pipeline::service::STREAM).await.unwrap();
    for service in Service::ALL {
        stream.delete_consumer(service.name()).await.unwrap();
    }
    valera_pipeline::topology::apply(&context).await.unwrap();
}

/// The catalogue of then refused the message, an operator repaired it, and today's accepts the original: the row that is
/// stored stands, and the letter that is there stands for the other.
#[tokio::test(flavor = "multi_thread")]
async fn the_original_under_a_catalogue_that_accepts_it_adds_no_row_and_no_letter() {
    let system = System::start().await;
    let mut body = lacking(1, noon());
    body["properties"]["services_count"] = json!(1);
    let original = super::then(&body, &[("Nats-Msg-Id", "booking/1")], noon() + TimeDelta::minutes(1));
    original.is_refused(&system).await;
    let retry = ["dead-letters", "retry", "--all", "--wait", "0", "--set", "properties.services_count=2"];
    system.says(&retry).well();
    system.settle().await;
    let whole = everything(&system).await;
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 1);

    system.publish(BOOKING, &[("Nats-Msg-Id", "booking/1")], original.body.clone()).await;
    system.settle().await;
    assert_eq!(everything(&system).await, whole);
    replay_everything(&system);
    assert_eq!(everything(&system).await, whole);
}
