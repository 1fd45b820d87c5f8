//! The bot killed with `kill -9` at moments nobody chose, with NATS up and down: what is lost stood in the queue, and what was
//! tracked as durable is never lost. The ledger is outside: what the bot had answered.

use super::{spool, stored};
use crate::support::{Speaker, System, eventually};
use serde_json::json;
use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

/// Every so many events one is a booking, which is tracked as durable.
const BOOKINGS: i64 = 25;
/// The queue's bound: no more than this can stand in it.
const QUEUE: usize = 16_384;

/// One life of the bot: the numbers it answered for, in order.
struct Life {
    queued: Vec<i64>,
    durable: Vec<i64>,
}

/// Speaks as fast as the bot listens, until it has answered so often, and then kills it a moment later.
async fn live(system: &System, first: i64, answers: usize, moment: Duration) -> Life {
    let mut speaker = Speaker::start(system, &spool(system));
    let (pid, heard) = (speaker.pid().to_string(), speaker.heard());
    let telling = tokio::task::spawn_blocking(move || {
        let mut n = first;
        let line =
            |n| json!({"event": "spoken", "chat_id": n % 50, "properties": {"n": n}, "durable": n % BOOKINGS == 0});
        while speaker.tell(&line(n)) {
            n += 1;
        }
        speaker.killed()
    });
    eventually("the bot has answered", async || heard.load(Ordering::Relaxed) >= answers).await;
    tokio::time::sleep(moment).await;
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let said = telling.await.unwrap();
    let answered: Vec<i64> = (first..).zip(&said).filter(|(_, said)| *said == "queued").map(|(n, _)| n).collect();
    let (durable, queued) = answered.into_iter().partition(|n| n % BOOKINGS == 0);
    Life { queued, durable }
}

async fn survive(kills: usize) {
    let mut system = System::start().await;
    let mut lives = Vec::new();
    for kill in 0..kills {
        let down = kill % 3 == 1;
        if down {
            system.local.nats.kill().await.unwrap();
        }
        // From before the spool is open to the middle of some batch.
        let (answers, moment) = (rand::random_range(0..2_000), Duration::from_millis(rand::random_range(0..20)));
        lives.push(live(&system, kill as i64 * 1_000_000, answers, moment).await);
        if down {
            system.local.nats.restart().await.unwrap();
        }
    }
    // The last life sends what the others left.
    let said = Speaker::start(&system, &spool(&system)).end();
    assert_eq!(said, ["Left { spooled: false, in_memory: 0, unopened: false }"]);

    let stored = stored(&system).await;
    assert!(stored.values().all(|count| *count == 1), "an event is stored twice");
    let (mut told, mut durable, mut lost_at_all, mut most) = (0, 0, 0, 0);
    for life in &lives {
        let is_lost = |n: &&i64| !stored.contains_key(n);
        assert_eq!(life.durable.iter().find(is_lost), None, "a durable event is lost");
        let lost: BTreeSet<_> = life.queued.iter().filter(is_lost).collect();
        assert!(lost.len() <= QUEUE, "{} of {} are lost", lost.len(), life.queued.len());
        // What stood in the queue is what came last.
        let tail: BTreeSet<_> = life.queued.iter().rev().take(lost.len()).collect();
        assert_eq!(lost, tail, "an event is lost that had left the queue");
        (told, durable) = (told + life.queued.len(), durable + life.durable.len());
        (lost_at_all, most) = (lost_at_all + lost.len(), most.max(lost.len()));
    }
    println!(
        "{kills} kills: {told} events and {durable} durable ones answered, {lost_at_all} lost, at most {most} at once"
    );
    assert!(told > kills && durable > 0, "{told} events and {durable} durable ones prove nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_bot_loses_at_most_its_queue_and_no_durable_event() {
    survive(12).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: run by make proof"]
async fn a_bot_killed_two_hundred_times_loses_at_most_its_queue_and_no_durable_event() {
    survive(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_leaves_without_a_word_loses_nothing() {
    let mut system = System::start().await;
    system.local.nats.kill().await.unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_speaker"));
    crate::support::enable(command.arg("--leave"), &system, &spool(&system));
    let mut speaker = Speaker::of(command);
    for n in 0..2_000 {
        assert!(speaker.tell(&json!({"event": "spoken", "chat_id": 1, "properties": {"n": n}})));
    }
    assert_eq!(speaker.end().len(), 2_000);

    system.local.nats.restart().await.unwrap();
    Speaker::start(&system, &spool(&system)).end();
    assert_eq!(stored(&system).await.len(), 2_000);
}
