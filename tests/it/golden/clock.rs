//! Late events, early clocks, and whose clock it is that judges them: JetStream's, at the moment it took the message.

use super::{LETTERS, assert_table, settle};
use crate::support::{System, event, eventually};
use chrono::{Months, SubsecRound, TimeDelta, TimeZone, Utc};
use serde_json::json;
use valera_events::id;
use valera_pipeline::{service::STREAM, topology};

const OUTCOMES: &str = "SELECT chat_id FROM analytics_events ORDER BY chat_id";

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_nine_minutes_ahead_is_accepted_and_one_eleven_minutes_ahead_is_not() {
    let system = System::start().await;
    event("ai_dialog_started", 9, Utc::now() + TimeDelta::minutes(9), json!({})).publish(&system).await;
    event("ai_dialog_started", 11, Utc::now() + TimeDelta::minutes(11), json!({})).publish(&system).await;
    settle(&system).await;
    assert_table(&system, OUTCOMES, "9").await;
    assert_table(&system, LETTERS, "ai_dialog_started  occurred_at_out_of_range  occurred_at  open").await;
}

/// Processed by the time of processing, both events would be judged the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn the_verdict_stays_what_it_was_when_the_message_was_received() {
    let system = System::start().await;
    let (ahead, behind) = (TimeDelta::minutes(10), TimeDelta::hours(366 * 24));
    let margin = TimeDelta::seconds(4);
    let published = Utc::now();
    event("ai_dialog_started", 1, published + ahead + margin, json!({})).publish(&system).await;
    event("ai_dialog_started", 2, published - behind + margin, json!({})).publish(&system).await;
    assert!(Utc::now() - published < margin, "the machine is too slow to tell anything");
    eventually("both verdicts would be others by now", || async { Utc::now() - published > margin }).await;
    let expected = "ai_dialog_started  occurred_at_out_of_range  occurred_at  open";

    settle(&system).await;
    assert_table(&system, OUTCOMES, "2").await;
    assert_table(&system, LETTERS, expected).await;

    deliver_everything_again(&system).await;
    settle(&system).await;
    assert_table(&system, OUTCOMES, "2").await;
    assert_table(&system, LETTERS, expected).await;
}

async fn deliver_everything_again(system: &System) {
    let context = system.jetstream().await;
    let stream = context.get_stream(STREAM).await.unwrap();
    for consumer in ["persister", "rollups"] {
        stream.delete_consumer(consumer).await.unwrap();
    }
    topology::apply(&context).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn late_events_land_in_the_hours_they_belong_to_and_too_late_ones_in_the_dead_letters() {
    let system = System::start().await;
    let now = Utc::now();
    for days in [40_i64, 364, 365, 367] {
        event("ai_dialog_started", days, now - TimeDelta::days(days), json!({})).publish(&system).await;
    }
    settle(&system).await;
    assert_table(
        &system,
        OUTCOMES,
        "40
         364
         365",
    )
    .await;
    assert_table(&system, LETTERS, "ai_dialog_started  occurred_at_out_of_range  occurred_at  open").await;
    let counted: Vec<(i64,)> = system
        .rows(
            "SELECT h.events
             FROM analytics_events AS e
             JOIN rollups.event_counts_hourly AS h ON h.hour = date_trunc('hour', e.occurred_at, 'UTC')",
        )
        .await;
    assert_eq!(counted, [(1,), (1,), (1,)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_minted_in_the_month_before_its_event_is_found_by_its_id_and_counted_by_its_time() {
    let system = System::start().await;
    let last_month = Utc::now() - Months::new(1);
    let first =
        Utc.with_ymd_and_hms(chrono::Datelike::year(&last_month), chrono::Datelike::month(&last_month), 1, 2, 0, 0);
    let occurred_at = first.unwrap().trunc_subsecs(6);
    let event_id = id::mint(occurred_at - TimeDelta::hours(3), rand::random());
    let early = event("cart_confirmed", 1, occurred_at, json!({})).id(event_id).unchecked_by_broker();
    early.publish(&system).await;
    early.publish(&system).await;
    settle(&system).await;

    let stored: Vec<(uuid::Uuid, chrono::DateTime<Utc>, bool)> = system
        .rows(
            "SELECT event_id, occurred_at,
                tableoid::regclass::text = to_char(occurred_at AT TIME ZONE 'UTC' - interval '1 month',
                    '\"analytics_events_y\"YYYY\"m\"MM')
             FROM analytics_events",
        )
        .await;
    assert_eq!(stored, [(event_id, occurred_at, true)]);
    let hours: Vec<(chrono::DateTime<Utc>, i64)> =
        system.rows("SELECT hour, events FROM rollups.event_counts_hourly").await;
    assert_eq!(hours, [(occurred_at, 1)]);
    assert_table(&system, LETTERS, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_more_than_a_day_off_its_event_is_refused() {
    let system = System::start().await;
    let occurred_at = Utc::now() - TimeDelta::days(3);
    for (chat, hours) in [(1, 23), (2, 25), (3, -23), (4, -25)] {
        let minted = id::mint(occurred_at + TimeDelta::hours(hours), rand::random());
        event("cart_confirmed", chat, occurred_at, json!({})).id(minted).publish(&system).await;
    }
    settle(&system).await;
    assert_table(
        &system,
        OUTCOMES,
        "1
         3",
    )
    .await;
    assert_table(
        &system,
        LETTERS,
        "cart_confirmed  bad_event_id  event_id  open
         cart_confirmed  bad_event_id  event_id  open",
    )
    .await;
}
