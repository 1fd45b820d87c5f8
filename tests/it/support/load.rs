//! Events under way: a publisher that goes on while things break, and the ledger of what it had acknowledged.
//!
//! Every tenth event is published once more, now at once and now in the next round, without a `Nats-Msg-Id`, so that the
//! broker lets both through. Each publish is repeated until it is acknowledged, like an SDK's: an outage of NATS adds
//! duplicates of its own. No event breaks the contract, so no dead letter has an excuse.

use super::{System, assert_rollups_agree};
use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;
use serde_json::{Value, json};
use std::{collections::HashMap, time::Duration};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use valera_events::{Origin, id};
use valera_tracker::{Outgoing, Publisher};

/// Distinct events published together.
const ROUND: usize = 50;

/// Distinct events by id: what was published of each.
#[derive(Debug, Default)]
pub(crate) struct Ledger(HashMap<Uuid, (String, i64)>);

/// A publisher at work.
pub(crate) struct Load {
    enough: CancellationToken,
    task: JoinHandle<Ledger>,
}

impl Load {
    /// Publishes until stopped, at about so many distinct events a second, and in any case as many as `at_least`.
    #[allow(clippy::disallowed_methods, reason = "the test is the supervisor")]
    pub(crate) async fn start(system: &System, per_second: u32, at_least: usize) -> Self {
        let client = async_nats::connect(system.local.nats.url()).await.unwrap();
        let publisher = Publisher::new(client).patience(Duration::from_secs(180));
        let enough = CancellationToken::new();
        let task = tokio::spawn(publish(publisher, per_second, at_least, enough.clone()));
        Self { enough, task }
    }

    /// Lets the round in hand end, and what is still owed to `at_least`.
    pub(crate) async fn stop(self) -> Ledger {
        self.enough.cancel();
        self.task.await.unwrap()
    }
}

async fn publish(publisher: Publisher, per_second: u32, at_least: usize, enough: CancellationToken) -> Ledger {
    let mut ledger = Ledger::default();
    let mut again = Vec::new();
    let mut pace = tokio::time::interval(Duration::from_secs(ROUND as u64) / per_second);
    while ledger.0.len() < at_least || !enough.is_cancelled() {
        let mut round = std::mem::take(&mut again);
        for n in 0..ROUND {
            let outgoing = ledger.event();
            match n {
                7 => again.push(outgoing.clone()),
                17 | 27 | 37 | 47 => round.push(outgoing.clone()),
                _ => {}
            }
            round.push(outgoing);
        }
        publisher.publish_all(round, |_| {}).await.unwrap();
        if !enough.is_cancelled() {
            pace.tick().await;
        }
    }
    publisher.publish_all(again, |_| {}).await.unwrap();
    ledger
}

impl Ledger {
    /// A new event of the last three days, of some kind, from one of a hundred chats.
    fn event(&mut self) -> Outgoing {
        let mut random = rand::rng();
        let occurred_at = Utc::now() - TimeDelta::milliseconds(random.random_range(0..259_200_000));
        let (name, properties) = any_of_the_catalogue(&mut random);
        self.enter(occurred_at, name, random.random_range(0..100), &properties)
    }

    /// Enters an event and gives the message that carries it.
    pub(crate) fn enter(
        &mut self,
        occurred_at: DateTime<Utc>,
        name: &str,
        chat_id: i64,
        properties: &Value,
    ) -> Outgoing {
        let event_id = id::mint(occurred_at, rand::random());
        let body = json!({
            "event_id": event_id, "event_name": name, "chat_id": chat_id, "properties": properties,
            "occurred_at": occurred_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        });
        self.0.insert(event_id, (name.to_owned(), chat_id));
        Outgoing {
            subject: format!("analytics.{name}"),
            msg_id: None,
            origin: Origin::Live,
            body: serde_json::to_vec(&body).unwrap().into(),
        }
    }

    /// How many distinct events it holds.
    pub(crate) fn events(&self) -> usize {
        self.0.len()
    }

    /// Both ledgers' events.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Fails unless raw holds exactly these events, the rollups agree with it, and there is no dead letter.
    pub(crate) async fn assert_exact(&self, system: &System) {
        let letters: Vec<(String, Value)> = system.rows("SELECT subject, reasons FROM dead_letters LIMIT 5").await;
        assert!(letters.is_empty(), "dead letters: {letters:?}");
        let rows: Vec<(Uuid, String, i64)> =
            system.rows("SELECT event_id, event_name, chat_id FROM analytics_events").await;
        let stored: HashMap<_, _> = rows.into_iter().map(|(id, name, chat_id)| (id, (name, chat_id))).collect();
        let lost: Vec<_> = self.0.iter().filter(|(id, event)| stored.get(id) != Some(event)).collect();
        let shown = &lost[..lost.len().min(5)];
        assert!(lost.is_empty(), "{} of {} events are lost or changed, e.g. {shown:?}", lost.len(), self.0.len());
        assert_eq!(stored.len(), self.0.len(), "raw holds events that nobody published");
        assert_rollups_agree(system).await;
    }
}

fn any_of_the_catalogue(random: &mut impl rand::Rng) -> (&'static str, Value) {
    let number = random.random_range(1..4_000);
    match number % 6 {
        0 => ("ai_dialog_started", json!({"message_type": "text"})),
        1 => {
            ("service_suggested", json!({"service_name": "polish", "confidence_score": f64::from(number) / 4_000.0}))
        }
        2 => ("cart_confirmed", json!({"services_count": number})),
        3 => ("ai_response_time", json!({"duration_ms": number, "model_used": "gpt"})),
        4 => ("error_occurred", json!({"error_class": "Timeout", "context": "booking"})),
        _ => {
            let total = format!("{number}.50");
            ("booking_request_created", json!({"booking_id": number, "services_count": 1, "estimated_total": total}))
        }
    }
}
