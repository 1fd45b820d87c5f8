//! Detection on real servers: each booking is told once, whatever is killed, frozen, redelivered or muted meanwhile.
//!
//! What the rules make of events is tested without servers, beside them; this is what stands between them and the
//! stream. What a channel does with an alert is tested elsewhere.

mod history;
mod kills;
mod mutes;
mod restarts;
mod takeover;

use crate::support::{Running, System, event};
use async_nats::jetstream;
use chrono::Utc;
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use valera_pipeline::alerts::{Alert, NAME, Rules, Settings, history as stream};

/// Bursts small enough for a test.
const RULES: &str = r#"
    [rule.booking]
    kind = "event"
    event = "booking_request_created"
    facts = ["booking_id"]

    [rule.error]
    kind = "burst"
    at_least = 5
    window = "10m"
    group_by = ["error_class"]

    [rule.lag]
    kind = "lag"
    consumers = ["persister"]
    older_than = "1s"

    [rule.full]
    kind = "full"
    over_percent = 50
"#;

impl System {
    /// Detection in this process, with the rules of these tests.
    fn watch(&self) -> Running {
        let environment = self.environment();
        let rules = Rules::parse(RULES).unwrap();
        let settings = Settings::new(&environment.nats_url, rules, environment.time_zone.as_deref()).unwrap();
        Running::alerts(Settings { limits: environment.limits, lease: Duration::from_secs(1), ..settings })
    }

    /// Every step on the stream, in its order.
    async fn steps(&self) -> Vec<Alert> {
        let mut steps = Vec::new();
        stream::read(&self.link(), None, |step| steps.push(step)).await.unwrap();
        steps
    }

    async fn steps_of(&self, rule: &str) -> Vec<Alert> {
        self.steps().await.into_iter().filter(|step| step.rule == rule).collect()
    }

    pub(crate) async fn book(&self, booking_ids: impl IntoIterator<Item = i64>) {
        for booking_id in booking_ids {
            booking(booking_id).publish(self).await;
        }
    }

    pub(crate) async fn fail(&self, error_class: &str, times: usize) {
        for _ in 0..times {
            event("error_occurred", 1, Utc::now(), json!({"error_class": error_class})).publish(self).await;
        }
    }

    /// Fails unless each of these bookings was told of exactly once.
    async fn assert_each_booking_once(&self, booking_ids: impl IntoIterator<Item = i64>) {
        let mut told: BTreeMap<i64, usize> = booking_ids.into_iter().map(|booking_id| (booking_id, 0)).collect();
        for step in self.steps_of("booking").await {
            let booking_id = step.facts["booking_id"].as_i64().unwrap();
            *told.get_mut(&booking_id).unwrap_or_else(|| panic!("booking {booking_id} is no news")) += 1;
        }
        told.retain(|_, times| *times != 1);
        assert!(told.is_empty(), "bookings, and how often each was told: {told:?}");
    }

    async fn watched(&self) {
        self.durable_drained(NAME).await;
    }
}

fn booking(booking_id: i64) -> crate::support::EventBuilder {
    let properties = json!({"booking_id": booking_id, "services_count": 1, "estimated_total": "15000.50"});
    event("booking_request_created", 1, Utc::now(), properties)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_booking_is_told_once_while_postgres_is_away() {
    let mut system = System::start().await;
    system.local.postgres.stop().await.unwrap();
    let watch = system.watch();
    system.book(0..50).await;
    // Sent again by a publisher that saw no ack, past the broker's deduplication.
    for booking_id in 50..60 {
        let booking = booking(booking_id).unchecked_by_broker();
        booking.publish(&system).await;
        booking.publish(&system).await;
    }
    system.watched().await;
    let watched = watch.stop().await;
    assert_eq!(watched.counters.received(), watched.counters.settled());
    system.assert_each_booking_once(0..60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_falls_behind_is_told_of_until_it_has_caught_up() {
    use crate::support::eventually;
    use valera_pipeline::{alerts::Phase, service::Service};
    let system = System::start().await;
    system.fail("Timeout", 2).await;
    // What was deleted is nothing to be behind with, and hides nothing that is.
    system.jetstream().await.get_stream("ANALYTICS").await.unwrap().delete_message(1).await.unwrap();
    let _watch = system.watch();
    let phases = async || system.steps_of("lag").await.iter().map(|step| step.phase).collect::<Vec<_>>();
    eventually("the lag is told of", async || phases().await == [Phase::Firing]).await;
    let _persister = system.run(Service::Persister);
    eventually("the lag is over", async || phases().await == [Phase::Firing, Phase::Resolved]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_runs_full_is_told_of_until_it_has_room() {
    use crate::support::eventually;
    use valera_pipeline::alerts::Phase;
    let system = System::start().await;
    system.fail("Timeout", 100).await;
    let context = system.jetstream().await;
    let stream = context.get_stream("ANALYTICS").await.unwrap();
    let (bytes, config) = (stream.cached_info().state.bytes, stream.cached_info().config.clone());
    let room = async |max_bytes| {
        context.update_stream(jetstream::stream::Config { max_bytes, ..config.clone() }).await.unwrap();
    };
    room(i64::try_from(bytes).unwrap() * 3 / 2).await;
    let _watch = system.watch();
    let phases = async || system.steps_of("full").await.iter().map(|step| step.phase).collect::<Vec<_>>();
    eventually("it is told of", async || phases().await == [Phase::Firing]).await;
    room(config.max_bytes).await;
    eventually("there is room again", async || phases().await == [Phase::Firing, Phase::Resolved]).await;
}
