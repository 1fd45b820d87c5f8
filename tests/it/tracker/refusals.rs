//! Events that somebody refuses: the contract, the SDK, the server. Each is named, and none holds up another.

use super::{assert_stored, config, flushed, nth, spool, spooling, track};
use crate::support::{System, eventually};
use serde_json::json;
use valera_events::ReasonCode;
use valera_pipeline::topology;
use valera_tracker::{Cause, Event, Tracked, Tracker};

#[tokio::test(flavor = "multi_thread")]
async fn a_flawed_event_is_told_and_becomes_a_dead_letter_with_its_bytes() {
    let system = System::start().await;
    let tracker = spooling(&system);
    let flawed = [
        (Event::new("booking_request_created", 7).with("booking_id", 1), ReasonCode::MissingProperty),
        (Event::new("ai_response_time", 7).with("duration_ms", 1.5).with("model_used", "m"), ReasonCode::WrongType),
        (Event::new("Не имя", 7), ReasonCode::BadEventName),
        (Event::new("", 7), ReasonCode::BadEventName),
        (Event::new("review_left", 7).with("text", "x".repeat(70_000)), ReasonCode::TooLarge),
        (Event::new("review_left", 7).with("text", "\0"), ReasonCode::UnstorableText),
        (Event::new("review_left", 7).with("deep", nested(200)), ReasonCode::TooDeep),
        (Event::new("review_left", 7).platform("п".repeat(21)), ReasonCode::BadPlatform),
        (Event::new("review_left", 7).at("1999-01-01T00:00:00Z".parse().unwrap()), ReasonCode::OccurredAtOutOfRange),
    ];
    let count = flawed.len() as u64;
    for (event, code) in flawed {
        let Tracked::Flawed(reasons) = tracker.track(event) else { panic!("{code:?} is not told") };
        assert!(reasons.iter().any(|reason| reason.reason == code), "{reasons:?}");
    }
    track(&tracker, 0..10);
    flushed(&tracker).await;
    assert_eq!((tracker.stats().flawed, tracker.stats().queued), (count, 10));
    assert_stored(&system, 0..10).await;
    let reasons: Vec<(String,)> = system.rows("SELECT DISTINCT reasons->0->>'reason' FROM dead_letters").await;
    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, count as i64, "{reasons:?}");
    assert_eq!(
        system.count("SELECT count(*) FROM analytics_events WHERE chat_id = 7 AND NOT properties ? 'n'").await,
        0
    );
}

fn nested(levels: usize) -> serde_json::Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_half_a_mebibyte_is_dropped_and_counted() {
    let system = System::start().await;
    let tracker = spooling(&system);
    let sizes = [511 * 1024, 513 * 1024, 600 * 1024];
    let tracked = sizes.map(|size| tracker.track(Event::new("review_left", 1).with("text", "x".repeat(size))));
    assert!(matches!(tracked[0], Tracked::Flawed(_)), "{:?}", tracked[0]);
    assert_eq!(tracked[1..], [Tracked::Dropped(Cause::TooLarge), Tracked::Dropped(Cause::TooLarge)]);
    flushed(&tracker).await;
    let stats = tracker.stats();
    assert_eq!((stats.flawed, stats.too_large, stats.calls(), stats.acknowledged), (1, 2, 3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_for_good_is_parked_and_blocks_nothing() {
    let system = System::start().await;
    let context = system.jetstream().await;
    let mut stream = context.get_stream("ANALYTICS").await.unwrap().cached_info().config.clone();
    stream.max_message_size = 2_000;
    context.update_stream(stream.clone()).await.unwrap();

    let tracker = spooling(&system);
    track(&tracker, 0..100);
    assert_eq!(tracker.track_durable(nth(100).with("text", "x".repeat(5_000))).await, Tracked::Queued);
    track(&tracker, 101..500);
    flushed(&tracker).await;
    let stats = tracker.stats();
    assert_eq!((stats.parked, stats.lost, stats.acknowledged), (1, 0, 499));
    assert_stored(&system, (0..100).chain(101..500)).await;

    // The server takes it now: renamed, the file is sent again at the next start.
    stream.max_message_size = 1_048_576;
    context.update_stream(stream).await.unwrap();
    tracker.shutdown(super::PATIENCE).await;
    let mut files = std::fs::read_dir(spool(&system)).unwrap().map(|entry| entry.unwrap().path());
    let parked = files.find(|path| path.extension().is_some_and(|ending| ending == "parked")).unwrap();
    std::fs::rename(&parked, parked.with_extension("spool")).unwrap();
    flushed(&spooling(&system)).await;
    assert_stored(&system, 0..500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_spool_what_is_refused_for_good_is_counted_as_lost() {
    let system = System::start().await;
    let context = system.jetstream().await;
    let mut stream = context.get_stream("ANALYTICS").await.unwrap().cached_info().config.clone();
    stream.max_message_size = 2_000;
    context.update_stream(stream).await.unwrap();
    let tracker = Tracker::start(config(&system)).unwrap();
    let told = tracker.track_durable(nth(0).with("text", "x".repeat(5_000))).await;
    assert_eq!(told, Tracked::Dropped(Cause::Refused));
    flushed(&tracker).await;
    let stats = tracker.stats();
    assert_eq!((stats.lost, stats.parked, stats.queued, stats.calls()), (1, 0, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_stream_refuses_for_a_fault_of_its_own_is_sent_again() {
    let system = System::start().await;
    let context = system.jetstream().await;
    let mut stream = context.get_stream("ANALYTICS").await.unwrap().cached_info().config.clone();
    stream.sealed = true;
    context.update_stream(stream).await.unwrap();
    let tracker = spooling(&system);
    track(&tracker, 0..500);
    eventually("the refusal is noticed", async || tracker.stats().unacknowledged > 1).await;
    assert_eq!((tracker.stats().parked, tracker.stats().acknowledged), (0, 0));

    context.delete_stream("ANALYTICS").await.unwrap();
    topology::apply(&context).await.unwrap();
    flushed(&tracker).await;
    assert_stored(&system, 0..500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_tracker_counts_and_sends_nothing() {
    let tracker = Tracker::disabled();
    assert_eq!(tracker.track(nth(1)), Tracked::Disabled);
    assert_eq!(tracker.track_durable(nth(2)).await, Tracked::Disabled);
    assert_eq!(tracker.dialog_started(1, "text"), Tracked::Disabled);
    assert_eq!(tracker.error(1, "refused", "test"), Tracked::Disabled);
    assert_eq!(tracker.measure(1, "m", async { Ok::<_, String>(5) }).await, Ok(5));
    assert!(tracker.flush(super::PATIENCE).await.is_nothing());
    assert_eq!((tracker.stats().disabled, tracker.stats().calls()), (5, 5));
}
