//! Restarts: windows and open incidents are read back from the streams.

use crate::{
    hostile::publish_raw,
    support::{System, eventually},
};
use valera_pipeline::alerts::Phase;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_of_a_burst_goes_on_counting() {
    let system = System::start().await;
    let first = system.watch();
    system.fail("Timeout", 3).await;
    system.watched().await;
    first.stop().await;
    assert_eq!(system.steps_of("error").await, []);

    let second = system.watch();
    system.fail("Timeout", 2).await;
    eventually("the burst is told of", async || system.steps_of("error").await.len() == 1).await;
    system.watched().await;
    second.stop().await;

    let third = system.watch();
    system.fail("Other", 1).await;
    system.fail("Timeout", 5).await;
    eventually("it says that it has doubled", async || system.steps_of("error").await.len() == 2).await;
    system.watched().await;
    third.stop().await;
    let steps = system.steps_of("error").await;
    let told: Vec<_> = steps.iter().map(|step| (step.phase, step.revision, step.count)).collect();
    assert_eq!(told, [(Phase::Firing, 1, 5), (Phase::Updated, 2, 10)]);
    assert_eq!(steps[0].incident, steps[1].incident);
}

/// As after an outage of the broker's consumer state, or an hour later: neither the consumer nor the broker remembers.
#[tokio::test(flavor = "multi_thread")]
async fn everything_delivered_anew_after_the_broker_forgot_it_is_told_of_no_second_time() {
    let system = System::start().await;
    let context = system.jetstream().await;
    let mut config = context.get_stream("ALERTS").await.unwrap().cached_info().config.clone();
    config.duplicate_window = std::time::Duration::from_millis(100);
    context.update_stream(config).await.unwrap();
    let first = system.watch();
    system.book(0..20).await;
    system.fail("Timeout", 12).await;
    system.watched().await;
    first.stop().await;
    let before = system.steps().await;
    assert_eq!(before.len(), 22, "{before:?}");

    context.delete_consumer_from_stream("alerts", "ANALYTICS").await.unwrap();
    system.says(&["topology", "apply"]).well();
    let second = system.watch();
    system.book([20]).await;
    eventually("the new booking is told of", async || system.steps_of("booking").await.len() > 20).await;
    system.watched().await;
    assert!(second.stop().await.counters.received() >= 33);
    system.assert_each_booking_once(0..=20).await;
    assert_eq!(system.steps_of("error").await.len(), 2);
}

/// The client library would reconnect at such a message for ever, or panic, and detection never begin.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_no_client_can_read_does_not_hold_the_reading_back_up() {
    futures::join!(reading_back_passes(b"no colon"), reading_back_passes(b"X-Name: a\rb"));
}

async fn reading_back_passes(line: &[u8]) {
    let system = System::start().await;
    system.book(0..80).await;
    let headers = [b"NATS/1.0\r\n", line, b"\r\n\r\n"].concat();
    publish_raw(&system, b"analytics.review_left", &headers, br#"{"chat_id":1}"#);
    system.fail("Timeout", 4).await;
    let first = system.watch();
    system.watched().await;
    first.stop().await;
    let second = system.watch();
    system.fail("Timeout", 1).await;
    eventually("the burst is told of", async || system.steps_of("error").await.len() == 1).await;
    second.stop().await;
    system.assert_each_booking_once(0..80).await;
}
