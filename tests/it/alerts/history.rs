//! What is no news: imported, retried and simulated events, and those that arrive late.

use super::booking;
use crate::support::System;
use chrono::{TimeDelta, Utc};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn history_raises_no_alert() {
    let system = System::start().await;
    let watch = system.watch();
    for (n, origin) in (0..).zip(["import", "retry", "demo"]) {
        let booking = booking(n);
        system.publish(&booking.subject(), &[("Valera-Origin", origin)], booking.body()).await;
    }
    let late = Utc::now() - TimeDelta::minutes(16);
    booking(10).with("event_id", json!(null)).with("occurred_at", json!(late)).publish(&system).await;
    system.book([11]).await;
    system.watched().await;
    watch.stop().await;
    system.assert_each_booking_once([11]).await;
}
