//! Delivery as every channel has it: which steps are told, and that none is told twice. The channel here is the log.

use crate::support::{Running, System};
use async_nats::jetstream::consumer::PullConsumer;
use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt as _;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use valera_pipeline::{
    alerts::{
        Language, bucket,
        delivery::{Configured, Notifier, Texts},
    },
    consume::Limits,
    handler::Outcome,
};

impl System {
    /// A notifier of one channel in this process.
    pub(crate) fn notify(&self, channel: Configured) -> Running {
        Running::notifier(self.notifier(), channel)
    }

    pub(crate) fn notifier(&self) -> Notifier {
        let environment = self.environment();
        let texts = Texts::new(Language::Russian, environment.time_zone.as_deref(), None).unwrap();
        let notifier = Notifier::new(&environment.nats_url, texts);
        let limits = Limits { messages: notifier.limits.messages, ..environment.limits };
        Notifier { limits, lease: Duration::from_secs(1), ..notifier }
    }

    /// Puts one step of an incident on the stream, as detection would.
    pub(crate) async fn step(&self, incident: u32, revision: u32, phase: &str, at: DateTime<Utc>, more: Value) {
        let mut step = json!({
            "incident": format!("{incident:032x}"), "rule": "error", "kind": "burst", "phase": phase,
            "revision": revision, "severity": "critical", "group": {"error_class": "Timeout"}, "opened_at": at, "at": at,
            "count": revision, "facts": {"window_seconds": 600}
        });
        step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = serde_json::to_vec(&step).unwrap().into();
        self.jetstream().await.publish("alerts.error", body).await.unwrap().await.unwrap();
    }

    /// The revision that a channel showed last, by incident.
    pub(crate) async fn told(&self, channel: &str) -> BTreeMap<u32, u64> {
        let bucket = bucket(&self.jetstream().await).await.unwrap();
        let keys: Vec<String> = bucket.keys().await.unwrap().try_collect().await.unwrap();
        let mut told = BTreeMap::new();
        for key in keys {
            let Some(incident) = key.strip_prefix(&format!("shown.{channel}.")) else { continue };
            let entry: Value = serde_json::from_slice(&bucket.get(&key).await.unwrap().unwrap()).unwrap();
            told.insert(u32::from_str_radix(&incident[24..], 16).unwrap(), entry["revision"].as_u64().unwrap());
        }
        told
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withheld_is_told_to_nobody_but_the_end_of_what_somebody_knows_is() {
    let system = System::start().await;
    let now = Utc::now();
    system.step(1, 1, "firing", now, json!({})).await;
    system.step(2, 1, "firing", now, json!({"withheld": "muted"})).await;
    let notifier = system.notify(Configured::Log);
    system.drained_of("ALERTS", "notify_log").await;
    assert_eq!(system.told("log").await, BTreeMap::from([(1, 1)]));
    // Muted meanwhile: the update is not told, the end is, to those who know of the beginning.
    system.step(1, 2, "updated", now, json!({"withheld": "muted"})).await;
    system.drained_of("ALERTS", "notify_log").await;
    assert_eq!(system.told("log").await, BTreeMap::from([(1, 1)]));
    system.step(1, 3, "resolved", now, json!({"withheld": "muted"})).await;
    system.step(2, 2, "resolved", now, json!({"withheld": "muted"})).await;
    system.drained_of("ALERTS", "notify_log").await;
    assert_eq!(system.told("log").await, BTreeMap::from([(1, 3)]));
    let watched = notifier.stop().await;
    assert_eq!(watched.counters.received(), watched.counters.settled());
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_come_again_are_not_told_again_and_what_is_no_step_is_passed_over() {
    let system = System::start().await;
    let now = Utc::now();
    for incident in 1..=20 {
        system.step(incident, 1, "firing", now - TimeDelta::hours(3 * i64::from(incident % 2)), json!({})).await;
    }
    let context = system.jetstream().await;
    for body in ["", "{}", "not json", r#"{"incident": "../../x"}"#] {
        context.publish("alerts.error", body.into()).await.unwrap().await.unwrap();
    }
    let notifier = system.notify(Configured::Log);
    system.drained_of("ALERTS", "notify_log").await;
    assert_eq!(system.told("log").await.len(), 20);
    // For as long as the step stands on ALERTS, and no longer.
    let bucket = context.get_stream("KV_VALERA").await.unwrap();
    let kept = bucket.get_last_raw_message_by_subject(&format!("$KV.VALERA.shown.log.{:032x}", 1)).await.unwrap();
    assert_eq!(kept.headers.get("Nats-TTL").unwrap().as_str(), "2160h");
    assert_eq!(notifier.stop().await.counters.of(Outcome::Rejected), 4);

    // As after a server that forgot its acks.
    let stream = context.get_stream("ALERTS").await.unwrap();
    let mut consumer: PullConsumer = stream.get_consumer("notify_log").await.unwrap();
    let config = consumer.info().await.unwrap().config.clone();
    stream.delete_consumer("notify_log").await.unwrap();
    context.create_consumer_strict_on_stream(config, "ALERTS").await.unwrap();
    let notifier = system.notify(Configured::Log);
    system.drained_of("ALERTS", "notify_log").await;
    let watched = notifier.stop().await;
    assert_eq!(watched.counters.of(Outcome::Duplicate), 20);
    assert_eq!(watched.counters.of(Outcome::Stored), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_notifiers_one_sends_and_the_other_takes_over() {
    let system = System::start().await;
    let (one, other) = (system.notify(Configured::Log), system.notify(Configured::Log));
    system.step(1, 1, "firing", Utc::now(), json!({})).await;
    system.drained_of("ALERTS", "notify_log").await;
    let busy = usize::from(one.watched.counters.received() == 0);
    let (first, second) = if busy == 0 { (one, other) } else { (other, one) };
    assert_eq!(first.stop().await.counters.of(Outcome::Stored), 1);
    assert_eq!(second.watched.counters.received(), 0);
    system.step(1, 2, "resolved", Utc::now(), json!({})).await;
    system.drained_of("ALERTS", "notify_log").await;
    assert_eq!(second.stop().await.counters.of(Outcome::Stored), 1);
    assert_eq!(system.told("log").await, BTreeMap::from([(1, 2)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_of_each_channel_how_far_it_is_who_serves_it_and_when_it_last_showed_something() {
    let system = System::start().await;
    let now = Utc::now();
    let status = || -> Value {
        let rows: Vec<Value> = serde_json::from_str(&system.says(&["status", "--json"]).well()).unwrap();
        rows.into_iter().find(|row| row["name"] == "notify_log").unwrap()
    };
    system.step(1, 1, "firing", now, json!({})).await;
    let waiting = status();
    assert_eq!((&waiting["stream"], &waiting["pending"]), (&json!("ALERTS"), &json!(1)));
    for nothing in ["holder", "last_ack_at", "last_shown_at"] {
        assert_eq!(waiting[nothing], json!(null), "{nothing}: {waiting}");
    }
    let notifier = system.notify(Configured::Log);
    system.drained_of("ALERTS", "notify_log").await;
    let served = status();
    let at = |name: &str| DateTime::parse_from_rfc3339(served[name].as_str().unwrap()).unwrap().to_utc();
    assert!(at("last_shown_at") >= now && at("last_ack_at") >= now, "{served}");
    assert_eq!((&served["pending"], &served["ack_pending"]), (&json!(0), &json!(0)));
    let holder = served["holder"].as_str().unwrap().to_owned();
    let bucket = bucket(&system.jetstream().await).await.unwrap();
    let lease: Value = serde_json::from_slice(&bucket.get("lease.notify_log").await.unwrap().unwrap()).unwrap();
    assert_eq!(lease["holder"], holder);
    let table = system.says(&["status"]).well();
    assert!(table.contains("Served by") && table.contains(&holder[holder.len() - 8..]), "{table}");
    // Who has left serves nobody; what was shown stays.
    notifier.stop().await;
    assert_eq!((&status()["holder"], &status()["last_shown_at"]), (&json!(null), &served["last_shown_at"]));
}
