//! What the contract accepts, Postgres accepts, the oldest supported one too; and a dead letter can always be written.
//!
//! Hostile messages go straight into the real handlers, many to a batch: half of them are the same on every run, half
//! are new, and a failure prints the seed. A stored event is also counted alike by the folds in memory and by the
//! recount in SQL. The way over the network is not taken here, since a client would not send half of this.

mod letters;
mod messages;

use crate::support::{System, Version, assert_rollups_agree};
use chrono::{DateTime, Utc};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::sync::Arc;
use valera_events::Verdict;
use valera_pipeline::{
    handler::{Delivery, Handler, Outcome},
    persister::Persister,
    probe::NoProbe,
    rollups::Rollups,
    service::STREAM,
};

const CASES: usize = 400;
/// Several batches, for what only a second one could break.
const BATCH: usize = 100;

/// Both handlers on one database.
struct Handlers {
    persister: Persister,
    rollups: Rollups,
}

impl Handlers {
    async fn of(system: &System) -> Self {
        let environment = system.environment();
        let (url, calendar) = (&environment.database_url, environment.calendar().await.unwrap());
        let (keys, probe) = (&environment.keys, Arc::new(NoProbe));
        Self {
            persister: Persister::new(url, calendar.clone(), keys.clone(), probe.clone()).unwrap(),
            rollups: Rollups::new(url, calendar, keys.clone(), probe).unwrap(),
        }
    }

    /// The outcomes of both; they must not differ.
    async fn hand_in(&mut self, deliveries: Vec<Delivery>) -> Vec<Outcome> {
        let raw = self.persister.decoder()(deliveries.clone());
        let counted = self.rollups.decoder()(deliveries);
        let raw = self.persister.handle(&raw).await.unwrap();
        assert_eq!(self.rollups.handle(&counted).await.unwrap(), raw);
        raw
    }
}

/// When JetStream received everything in these tests.
fn received_at() -> DateTime<Utc> {
    "2026-03-10T12:00:00.123456Z".parse().unwrap()
}

fn delivery(sequence: u64, subject: &str, body: impl Into<bytes::Bytes>) -> Delivery {
    Delivery {
        stream: STREAM.to_owned(),
        sequence,
        received_at: received_at(),
        subject: subject.to_owned(),
        headers: Vec::new(),
        body: body.into(),
    }
}

/// Values of a strategy, the same for the same seed.
fn generated<S: Strategy>(strategy: &S, seed: u64, count: usize) -> Vec<S::Value> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

async fn what_is_accepted_is_stored(version: Version) {
    let seed = rand::random();
    println!("the seed of the new half: {seed}");
    let strategy = messages::message();
    let mut bodies = messages::at_the_limits();
    bodies.extend(generated(&strategy, 0, CASES));
    bodies.extend(generated(&strategy, seed, CASES));
    let deliveries: Vec<_> =
        (1..).zip(bodies).map(|(sequence, (subject, body))| delivery(sequence, &subject, body)).collect();

    let system = System::start_on(version, "Europe/Moscow").await;
    let mut handlers = Handlers::of(&system).await;
    let mut accepted = 0;
    for batch in deliveries.chunks(BATCH) {
        let outcomes = handlers.hand_in(batch.to_vec()).await;
        for (delivery, outcome) in batch.iter().zip(outcomes) {
            let expected = match delivery.check() {
                Verdict::Accepted(_) => Outcome::Stored,
                Verdict::Rejected(_) => Outcome::Rejected,
            };
            accepted += i64::from(expected == Outcome::Stored);
            let message = (&delivery.subject, String::from_utf8_lossy(&delivery.body));
            assert_eq!(outcome, expected, "seed {seed}: {message:?}");
        }
    }
    let all = i64::try_from(deliveries.len()).unwrap();
    assert!(accepted > all / 3 && accepted < all, "{accepted} of {all} accepted: too one-sided to prove anything");
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, accepted);
    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, all - accepted);
    let refused = "SELECT count(*) FROM dead_letters WHERE reasons @> '[{\"reason\":\"refused_by_database\"}]'";
    assert_eq!(system.count(refused).await, 0);
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_contract_accepts_the_current_postgres_accepts() {
    what_is_accepted_is_stored(Version::Current).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_contract_accepts_postgres_15_accepts() {
    what_is_accepted_is_stored(Version::Fifteen).await;
}
