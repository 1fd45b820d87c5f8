//! Switches in KV: an operator turns an event off, or down to a share of the chats, while the bot runs.

use super::{config, flushed, nth, spooling};
use crate::support::{System, eventually};
use valera_tracker::{Cause, Config, Event, Tracked, Tracker};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_turned_off_and_on_again_while_the_bot_runs() {
    let mut system = System::start().await;
    let tracker = spooling(&system);
    assert_eq!(tracker.track(nth(0)), Tracked::Queued);
    let bucket = system.jetstream().await.get_key_value("VALERA").await.unwrap();
    bucket.put("tracker.disabled.spoken", "true".into()).await.unwrap();
    eventually("the event is off", async || tracker.track(nth(1)) == Tracked::Disabled).await;
    assert_eq!(tracker.track(Event::new("other", 1)), Tracked::Queued);

    // A connection that breaks leaves the switches as they stand, and one made anew hears of them again.
    system.local.nats.kill().await.unwrap();
    assert_eq!(tracker.track(nth(2)), Tracked::Disabled);
    system.local.nats.restart().await.unwrap();
    let bucket = system.jetstream().await.get_key_value("VALERA").await.unwrap();
    bucket.delete("tracker.disabled.spoken").await.unwrap();
    eventually("the event is on again", async || tracker.track(nth(3)) == Tracked::Queued).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sampling_keeps_or_leaves_out_whole_chats() {
    let system = System::start().await;
    let bucket = system.jetstream().await.get_key_value("VALERA").await.unwrap();
    for event in ["tracker.sampling.spoken", "tracker.sampling.heard"] {
        bucket.put(event, "0.25".into()).await.unwrap();
    }
    let tracker = spooling(&system);
    let left_out = Tracked::Dropped(Cause::Sampled);
    let of = |name: &'static str, chat| tracker.track(Event::new(name, chat));
    eventually("both are sampled", async || {
        (0..50).any(|chat| of("spoken", chat) == left_out) && (0..50).any(|chat| of("heard", chat) == left_out)
    })
    .await;
    let kept = (0..1_000).filter(|chat| of("spoken", *chat) == Tracked::Queued).count();
    assert!((200..300).contains(&kept), "{kept} of 1,000 chats at a quarter");
    assert!((0..1_000).all(|chat| of("spoken", chat) == of("heard", chat)), "a journey is torn");
    assert_eq!(tracker.stats().calls(), tracker.stats().queued + tracker.stats().sampled);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_bucket_everything_is_sent() {
    let system = System::start().await;
    system.jetstream().await.delete_key_value("VALERA").await.unwrap();
    let tracker = spooling(&system);
    super::track(&tracker, 0..100);
    flushed(&tracker).await;
    assert_eq!(tracker.stats().acknowledged, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_may_not_read_the_bucket_sends_everything() {
    let system = System::start().await;
    let bucket = system.jetstream().await.get_key_value("VALERA").await.unwrap();
    bucket.put("tracker.disabled.spoken", "true".into()).await.unwrap();
    let tracker = Tracker::start(Config { nats_url: system.talker_url(), ..config(&system) }).unwrap();
    super::track(&tracker, 0..100);
    // By now a bot that may read the bucket has heard of the switch.
    let reader = spooling(&system);
    eventually("the event is off", async || reader.track(nth(0)) == Tracked::Disabled).await;
    super::track(&tracker, 100..200);
    flushed(&tracker).await;
    assert_eq!(tracker.stats().acknowledged, 200);
}
