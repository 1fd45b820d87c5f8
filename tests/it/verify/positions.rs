//! The notes of which messages were made durable stay small, however the broker deals messages out, and true.

use crate::support::System;
use chrono::DateTime;
use sqlx::{Connection, PgConnection};
use valera_pipeline::store::positions::{self, Covered};

/// What is noted of each slot in use.
async fn noted(system: &System) -> Vec<String> {
    let query = "SELECT sequences::text FROM consumer_positions WHERE consumer = 'persister' ORDER BY slot";
    sqlx::query_scalar(query).fetch_all(&mut system.postgres().await).await.unwrap()
}

/// Messages that were received in this second.
fn covered(sequences: impl Iterator<Item = i64>, second: i64) -> Covered {
    let received = DateTime::from_timestamp(second, 0).unwrap();
    Covered::of(sequences.map(|sequence| (sequence, received))).unwrap()
}

async fn record(connection: &mut PgConnection, covered: &Covered) {
    positions::record(connection, "persister", covered).await.unwrap();
}

/// Two transactions that note something at the same time, each in a slot of its own.
async fn record_at_once(system: &System, one: &Covered, other: &Covered) {
    let (mut first, mut second) = (system.postgres().await, system.postgres().await);
    let (mut first, mut second) = (first.begin().await.unwrap(), second.begin().await.unwrap());
    record(&mut first, one).await;
    record(&mut second, other).await;
    first.commit().await.unwrap();
    second.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_workers_were_given_in_turns_becomes_one_range() {
    let system = System::start().await;
    for hundred in 0..5 {
        let sequences = hundred * 100 + 1..=hundred * 100 + 100;
        let odd = covered(sequences.clone().filter(|sequence| sequence % 2 == 1), hundred);
        let even = covered(sequences.filter(|sequence| sequence % 2 == 0), hundred);
        record_at_once(&system, &odd, &even).await;
        assert_eq!(noted(&system).await.len(), 2);
    }
    record(&mut system.postgres().await, &covered(501..=501, 6)).await;
    assert_eq!(noted(&system).await, ["{[1,502)}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_of_two_streams_are_merged_to_what_the_newer_one_has() {
    let system = System::start().await;
    record_at_once(&system, &covered(1..=1_000, 1), &covered(1..=3, 2)).await;
    record(&mut system.postgres().await, &covered(4..=4, 3)).await;
    assert_eq!(noted(&system).await, ["{[1,5)}"]);
    let held = positions::held(&mut system.postgres().await, "persister", 1, 10).await.unwrap();
    assert_eq!(held.uncovered, [(5, 10)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_note_at_the_same_time_lose_nothing_to_each_other() {
    const WORKERS: i64 = 4;
    let system = System::start().await;
    let note = async |worker: i64| {
        let mut connection = system.postgres().await;
        for batch in 0..100 {
            let sequences = (1..=10).map(|n| (batch * 10 + n) * WORKERS - worker);
            record(&mut connection, &covered(sequences, batch)).await;
        }
    };
    futures::future::join_all((0..WORKERS).map(note)).await;
    record(&mut system.postgres().await, &covered(4_001..=4_001, 100)).await;
    assert_eq!(noted(&system).await, ["{[1,4002)}"]);
}
