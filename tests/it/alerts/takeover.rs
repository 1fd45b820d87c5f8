//! Two instances: one watches, the other stands by and takes over from one that was killed or frozen.

use crate::support::{System, eventually};
use valera_pipeline::alerts::NAME;

async fn bookings_told(system: &System) -> usize {
    system.steps_of("booking").await.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_instance_is_replaced_and_tells_of_nothing_twice_when_it_wakes_up() {
    let system = System::start().await;
    let first = system.spawn(&[NAME]);
    system.book(0..10).await;
    eventually("the first one watches", async || bookings_told(&system).await == 10).await;
    let mut second = system.spawn(&[NAME]);
    system.book(10..20).await;
    eventually("the first one goes on", async || bookings_told(&system).await == 20).await;

    first.signal("STOP");
    eventually("the first one is frozen", || async { first.is_stopped() }).await;
    system.book(20..40).await;
    eventually("the second one takes over", async || bookings_told(&system).await == 40).await;

    first.signal("CONT");
    system.book(40..60).await;
    eventually("all are told of", async || bookings_told(&system).await == 60).await;
    second.kill();
    system.book(60..80).await;
    eventually("the first one takes over", async || bookings_told(&system).await == 80).await;
    system.watched().await;
    system.assert_each_booking_once(0..80).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_dies_between_telling_and_acking_is_replaced_and_nothing_is_told_twice() {
    let system = System::start().await;
    let mut first = system.spawn(&[NAME, "after-commit", "2", "--batch", "10"]);
    let second = system.watch();
    system.book(0..100).await;
    // Whichever of the two holds the lease now.
    eventually("all are told of", async || bookings_told(&system).await == 100).await;
    second.stop().await;
    system.book(100..120).await;
    first.ended("it dies").await;
    let third = system.watch();
    system.watched().await;
    third.stop().await;
    system.assert_each_booking_once(0..120).await;
}
