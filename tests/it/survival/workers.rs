//! Two workers of one consumer on the same ids at the same time.

use crate::support::{Ledger, System};
use chrono::Utc;
use serde_json::json;
use valera_pipeline::{consume::Limits, service::Service};
use valera_tracker::Publisher;

/// Ids that are published upwards and at once again downwards, so that two workers hold them at the same time.
const BLOCK: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn ids_in_opposite_orders_never_deadlock_and_count_once() {
    let mut system = System::start().await;
    system.local.environment.limits = Limits { messages: BLOCK, ..system.environment().limits };
    let mut ledger = Ledger::default();
    // One in flight, or the stream would not have the order that it was sent in.
    let client = async_nats::connect(system.local.nats.url()).await.unwrap();
    let mut sent = Vec::new();
    for block in 0..20 {
        let upwards: Vec<_> =
            (0..BLOCK).map(|_| ledger.enter(Utc::now(), "cart_confirmed", block, &json!({}))).collect();
        sent.extend(upwards.iter().cloned());
        sent.extend(upwards.into_iter().rev());
    }
    for outgoing in &sent {
        client.publish(outgoing.subject.clone(), outgoing.body.clone()).await.unwrap();
    }
    // A publish without an ack can be lost under load; these are few, and the last one says that all are there.
    let last = Publisher::new(client).publish(sent[0].clone()).await.unwrap();
    assert_eq!(last.sequence, sent.len() as u64 + 1);

    let workers = [Service::Persister, Service::Persister, Service::Rollups, Service::Rollups];
    let running = workers.map(|service| system.run(service));
    system.drained().await;
    for worker in running {
        worker.stop().await;
    }

    ledger.assert_exact(&system).await;
    let deadlocks = system.count("SELECT sum(deadlocks)::bigint FROM pg_stat_database").await;
    assert_eq!(deadlocks, 0);
}
