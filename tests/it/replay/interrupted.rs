//! A replay that is killed, paused, cancelled, or not alone.

use super::{all_into, empty_the_rollups, position, replay};
use crate::support::{Ledger, Load, System, eventually};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    consume::Link,
    replay::{End, Replay, Request, cancel, preview},
    service::Service,
    store::replays,
};

/// Everything that was published is in the stream and nothing of it in the store.
pub(super) async fn system_that_lost_its_store(events: usize) -> (System, Ledger) {
    let system = System::start().await;
    let ledger = Load::start(&system, 4_000, events).await.stop().await;
    system.settle().await;
    lose_the_store(&system).await;
    (system, ledger)
}

pub(crate) async fn lose_the_store(system: &System) {
    sqlx::raw_sql("TRUNCATE analytics_events").execute(&mut system.postgres().await).await.unwrap();
    empty_the_rollups(system).await;
}

/// Kills replays until so many have died, each after it got on, and lets the last one end. Each costs at most the batch
/// in hand and the one that was not written down yet. `from` is what is replayed, which holds so many events.
pub(crate) async fn survive(system: &System, into: Service, kills: u32, rate: u32, (from, events): (&[&str], i64)) {
    let pace = rate.to_string();
    let begin = [&["replay", "--into", into.name(), "--name", "backfill", "--rate", &pace], from].concat();
    for _ in 0..kills {
        let before = position(system).await;
        // The same command goes on with what it finds open, as a job that is started again does.
        let mut process = system.start_program(&begin);
        eventually("the replay gets on", async || position(system).await > before || process.has_ended().is_some())
            .await;
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..300))).await;
        process.kill();
        assert!(position(system).await >= before, "a replay went back");
    }
    let rows: Vec<(String, i64)> = system.rows("SELECT status, stored FROM replays").await;
    let [(status, stored)] = rows.as_slice() else { panic!("{rows:?}") };
    assert!(status == "running" && *stored > 0, "nothing was left to resume: {rows:?}");
    let list = system.says(&["replay", "list"]).well();
    assert!(list.contains("interrupted"), "{list}");
    let said = system.says(&["replay", "resume", "backfill"]).well();
    assert!(said.contains("done at 100.00 %"), "{said}");
    let again = system.count("SELECT (stored + duplicate)::bigint FROM replays").await - events;
    assert!((0..=i64::from(kills * rate.div_ceil(4))).contains(&again), "{again} events were handed in again");
    sqlx::raw_sql("DELETE FROM replays").execute(&mut system.postgres().await).await.unwrap();
}

async fn killed(kills: u32, events: usize, rate: u32) {
    let (system, ledger) = system_that_lost_its_store(events).await;
    let messages = i64::try_from(system.last_sequence().await).unwrap();
    for into in Service::ALL {
        survive(&system, into, kills, rate, (&[], messages)).await;
    }
    ledger.assert_exact(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_resumed_is_at_work_before_its_first_commit_and_an_ended_one_is_not_taken_up() {
    let system = System::start().await;
    Load::start(&system, 4_000, 100).await.stop().await;
    let begun = Replay::begin(system.environment(), &all_into(Service::Persister)).await.unwrap();
    let name = begun.row().name.clone();
    let mut connection = system.postgres().await;
    drop(begun);
    eventually("its session has ended", async || !replays::all(&mut connection).await.unwrap()[0].at_work).await;
    let resumed = Replay::resume(system.environment(), &name).await.unwrap();
    assert!(replays::all(&mut connection).await.unwrap()[0].at_work);
    drop(resumed);

    replays::set_status(&mut connection, &name, "cancelled").await.unwrap();
    assert!(!replays::take(&mut connection, &name).await.unwrap());
    assert_eq!(replays::all(&mut connection).await.unwrap()[0].status, "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replay_goes_on_where_it_committed_and_ends_exact() {
    killed(5, 3_000, 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: run by make proof"]
async fn survival_of_a_replay_killed_fifty_times() {
    killed(50, 100_000, 4_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_replay_is_refused_with_the_name_of_the_first() {
    let (system, ledger) = system_that_lost_its_store(2_000).await;
    let mut first = system.start_program(&["replay", "--into", "persister", "--name", "first", "--rate", "400"]);
    eventually("the first is at work", async || position(&system).await > 0).await;
    for second in [&["--into", "rollups"][..], &["--into", "persister", "--dry-run"]] {
        system.says(&[&["replay"], second].concat()).complaining(1, &["first is at work", "replay pause first"]);
    }
    let list = system.says(&["replay", "list"]).well();
    assert!(list.contains("running"), "{list}");

    // A pause is heeded, keeps its place, and makes room.
    system.says(&["replay", "pause", "first"]).well();
    assert!(first.ended("the first replay pauses").await.success());
    let place = position(&system).await;
    system.says(&["replay", "--into", "rollups", "--name", "second"]).well();
    assert_eq!(system.count("SELECT position FROM replays WHERE name = 'first' AND status = 'paused'").await, place);
    system.says(&["replay", "resume", "first"]).well();
    ledger.assert_exact(&system).await;
    system.says(&["replay", "resume", "first"]).complaining(1, &["first is done"]);
    system.says(&["replay", "resume", "third"]).complaining(1, &["no replay third"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_replay_keeps_what_it_stored_and_is_not_resumed() {
    let (system, ledger) = system_that_lost_its_store(2_000).await;
    let mut process = system.start_program(&["replay", "--into", "persister", "--name", "one", "--rate", "400"]);
    eventually("it is at work", async || position(&system).await > 0).await;
    // Under the same name nothing else can be begun.
    system.says(&["replay", "--into", "rollups", "--name", "one"]).complaining(1, &["one is at work"]);
    system.says(&["replay", "cancel", "one"]).well();
    assert!(process.ended("the cancelled replay ends").await.success());
    assert!(system.count("SELECT count(*) FROM analytics_events").await > 0);
    system.says(&["replay", "resume", "one"]).complaining(1, &["one is cancelled"]);
    system.says(&["replay", "cancel", "one"]).complaining(1, &["no open replay one"]);

    // The name is free again.
    system.says(&["replay", "--into", "persister", "--name", "one"]).well();
    system.says(&["replay", "--into", "rollups", "--name", "one"]).well();
    ledger.assert_exact(&system).await;
    let consumers = system.jetstream().await.get_stream("ANALYTICS").await.unwrap().consumer_info("replay").await;
    assert!(consumers.is_err(), "the consumer stayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_ends_in_whatever_way_lets_the_next_one_begin_at_once() {
    let (system, ledger) = system_that_lost_its_store(500).await;
    let environment = system.environment();
    let request = all_into(Service::Persister);
    let (never, stopped) = (CancellationToken::new(), CancellationToken::new());
    stopped.cancel();
    for _ in 0..20 {
        preview(environment, &request, None, |_| {}, &never).await.unwrap();
        preview(environment, &request, None, |_| {}, &stopped).await.unwrap_err();
        let begun = Replay::begin(environment, &request).await.unwrap();
        let (end, row) = begun.run(None, |_| {}, &stopped).await.unwrap();
        assert_eq!(end, End::Stopped);
        Replay::begin(environment, &Request { subject: "analytics.x".to_owned(), ..request.clone() })
            .await
            .err()
            .unwrap();
        Replay::resume(environment, "nobody").await.err().unwrap();
        cancel(&environment.database_url, &Link::new(&environment.nats_url, "test"), &row.name).await.unwrap();
        Replay::resume(environment, &row.name).await.err().unwrap();
        let begun = Replay::begin(environment, &request).await.unwrap();
        assert_eq!(begun.run(None, |_| {}, &never).await.unwrap().0, End::Done);
    }
    replay(&system, &all_into(Service::Rollups)).await;
    ledger.assert_exact(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_replay_is_not_begun_anew_with_another_part() {
    let (system, _) = system_that_lost_its_store(500).await;
    let request = valera_pipeline::replay::Request { name: Some("part".to_owned()), ..all_into(Service::Persister) };
    drop(Replay::begin(system.environment(), &request).await.unwrap());
    system
        .says(&["replay", "--into", "persister", "--name", "part", "--from", "7"])
        .complaining(1, &["part is open", "replay resume part", "replay cancel part"]);
    system.says(&["replay", "--into", "persister", "--name", "part"]).well();
}
