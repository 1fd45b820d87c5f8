//! Detection killed with `kill -9` under load: no booking is missed, none is told twice.

use super::booking;
use crate::support::System;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use valera_pipeline::alerts::NAME;

/// Where it dies, and at which arrival there.
const DEATHS: [(&str, u32); 3] = [("before-commit", 1), ("after-commit", 2), ("pulled", 3)];

/// Kills it so often, half of the times at a chosen point and half at any moment, while bookings come in.
async fn survive(kills: usize, bookings: i64) {
    let system = System::start().await;
    let enough = CancellationToken::new();
    let publish = async {
        for booking_id in 0.. {
            if booking_id >= bookings && enough.is_cancelled() {
                return booking_id;
            }
            booking(booking_id).publish(&system).await;
        }
        0
    };
    let torment = async {
        for kill in 0..kills {
            if kill % 2 == 0 {
                let (point, nth) = DEATHS[kill / 2 % DEATHS.len()];
                let mut process = system.spawn(&[NAME, point, &nth.to_string(), "--batch", "20", "--lease", "500"]);
                process.ended(&format!("it dies at {point} {nth}")).await;
            } else {
                let mut process = system.spawn(&[NAME, "--batch", "20", "--lease", "500"]);
                tokio::time::sleep(Duration::from_millis(rand::random_range(500..1_500))).await;
                process.kill();
            }
        }
        enough.cancel();
    };
    let (published, ()) = futures::join!(publish, torment);
    let watch = system.watch();
    system.watched().await;
    watch.stop().await;
    system.assert_each_booking_once(0..published).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_detection_tells_of_each_booking_once() {
    survive(5, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: run by make proof"]
async fn fifty_kills_over_two_thousand_bookings() {
    survive(50, 2_000).await;
}
