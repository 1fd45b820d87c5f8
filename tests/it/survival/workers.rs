//! Two workers of one consumer on the same ids at the same time.

use crate::support::{Ledger, System};
use chrono::Utc;
use serde_json::json;
use std::sync::{
    Arc, Barrier,
    atomic::{AtomicBool, Ordering::SeqCst},
};
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    consume::Limits,
    probe::{Point, Probe},
    service::Service,
};
use valera_tracker::Publisher;

/// Ids that are published upwards and then downwards; a worker's batch is as large.
const IDS: i64 = 4_000;

/// Lets two workers begin their first batches together.
struct Together(Arc<Barrier>, AtomicBool);

impl Probe for Together {
    fn reached(&self, point: Point) {
        if point == Point::Pulled && !self.1.swap(true, SeqCst) {
            self.0.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ids_in_opposite_orders_never_deadlock_and_count_once() {
    let mut system = System::start().await;
    system.local.environment.limits = Limits { messages: IDS as usize, ..system.environment().limits };
    let mut ledger = Ledger::default();
    let upwards: Vec<_> = (0..IDS).map(|n| ledger.enter(Utc::now(), "cart_confirmed", n % 50, &json!({}))).collect();
    let client = async_nats::connect(system.local.nats.url()).await.unwrap();
    // Without acks in between, so that the stream has the order that they are sent in.
    for outgoing in upwards.iter().chain(upwards.iter().rev()) {
        client.publish(outgoing.subject.clone(), outgoing.body.clone()).await.unwrap();
    }
    let last = Publisher::new(client).publish(upwards[0].clone()).await.unwrap();
    assert_eq!(last.sequence, 2 * IDS as u64 + 1, "the broker dropped a publish without ack");

    for service in Service::ALL {
        let barrier = Arc::new(Barrier::new(2));
        let workers = [(), ()].map(|()| {
            let probe = Together(barrier.clone(), AtomicBool::new(false));
            system.run_until(service, Arc::new(probe), CancellationToken::new())
        });
        system.consumer_drained(service).await;
        for worker in workers {
            worker.stop().await;
        }
    }

    ledger.assert_exact(&system).await;
    assert_eq!(system.count("SELECT sum(deadlocks)::bigint FROM pg_stat_database").await, 0);
}
