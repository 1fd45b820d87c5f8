//! A rebuild beside those who write and read the rollups, and beside what holds it up.

use super::built;
use crate::support::{A_MINUTE, Load, Running, System, assert_rollups_agree, contents, event, eventually};
use anyhow::{Context, ensure};
use chrono::{TimeDelta, Utc};
use serde_json::json;
use sqlx::Connection;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use valera_pipeline::{
    progress::Progress,
    rebuild::{Rebuild, Stage},
    service::Service,
    store::shadow::{PREVIOUS, note_arrivals},
};

/// What a reader had: how many answers, and how long it waited for one at most.
struct Read {
    answers: u64,
    longest: Duration,
}

/// Reads every 10 ms until told to stop; every answer has to be whole. It does not panic: what a task of its own
/// prints is not told with the test that failed.
#[allow(clippy::disallowed_methods, reason = "the test is the supervisor")]
fn reader(system: &System, enough: CancellationToken) -> tokio::task::JoinHandle<anyhow::Result<Read>> {
    let url = system.local.postgres.url();
    tokio::spawn(async move {
        let mut connection = sqlx::PgConnection::connect(&url).await.context("the reader connects")?;
        let (mut answers, mut most, mut longest) = (0, 0_i64, Duration::ZERO);
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        while !enough.is_cancelled() {
            pace.tick().await;
            let asked = Instant::now();
            // One statement over tables, a view and a function: all of the same rollups, and never fewer events.
            let (chats, counts, days, weeks): (i64, i64, i64, i64) = sqlx::query_as(
                "SELECT (SELECT sum(events)::bigint FROM rollups.chats),
                    (SELECT sum(events)::bigint FROM rollups.event_counts_hourly),
                    (SELECT sum(events)::bigint FROM rollups.chat_days),
                    (SELECT sum(events)::bigint FROM rollups.chat_weeks)",
            )
            .fetch_one(&mut connection)
            .await
            .with_context(|| format!("the reader sums, after {answers} answers"))?;
            ensure!(
                chats == counts && chats == days && chats == weeks,
                "a reader saw a half after {answers} answers: {chats} {counts} {days} {weeks}"
            );
            ensure!(chats >= most, "a reader saw a gap after {answers} answers: {chats} after {most}");
            let total: i64 =
                sqlx::query_scalar("SELECT total_chats FROM rollups.conversion_funnel('2020-01-01', '2040-01-01')")
                    .fetch_one(&mut connection)
                    .await
                    .with_context(|| format!("the reader asks the function, after {answers} answers"))?;
            ensure!(total > 0, "a function found nothing after {answers} answers");
            most = chats;
            answers += 1;
            longest = longest.max(asked.elapsed());
        }
        Ok(Read { answers, longest })
    })
}

/// How long most rebuilds wait for what raw lacks.
const A_SECOND: Duration = Duration::from_secs(1);

/// Rebuilds and swaps; `step` is what the failure is told with.
async fn rebuilt(system: &System, wait: Duration, step: &str, mut watch: impl FnMut(Stage)) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let rebuild = Rebuild::build(system.environment(), wait, &mut watch, &shutdown).await;
    let rebuild = rebuild.with_context(|| format!("building: {step}"))?;
    rebuild.swap(watch).await.with_context(|| format!("swapping: {step}"))?;
    Ok(())
}

/// Three rebuilds, and the persister away during the second; gives the one that runs in the end.
async fn rebuild_three_times(system: &System, persister: Running) -> anyhow::Result<Running> {
    rebuilt(system, A_SECOND, "beside both services", |_| {}).await?;
    // The rollups run ahead of raw: the rebuild waits for it.
    persister.stop().await;
    let ahead = "SELECT (SELECT count(*) FROM rollups.inbox) - (SELECT count(*) FROM analytics_events)";
    eventually("the rollups are ahead", async || system.count(ahead).await > 100).await;
    let waits = CancellationToken::new();
    let watch = |stage| {
        if matches!(stage, Stage::AwaitingRaw { .. }) {
            waits.cancel();
        }
    };
    let resuming = async {
        tokio::time::timeout(A_MINUTE, waits.cancelled()).await.context("no rebuild waits for raw")?;
        anyhow::Ok(system.run(Service::Persister))
    };
    let (waited, persister) = futures::join!(rebuilt(system, A_MINUTE, "while raw is behind", watch), resuming);
    waited?;
    rebuilt(system, A_SECOND, "after raw has caught up", |_| {}).await?;
    persister
}

/// Watches until told to stop; gives the longest that an event had waited for the live folds, in seconds.
#[allow(clippy::disallowed_methods, reason = "the test is the supervisor")]
fn watcher(system: &System, enough: CancellationToken) -> tokio::task::JoinHandle<u64> {
    let url = system.local.nats.url();
    tokio::spawn(async move {
        let context = async_nats::jetstream::new(async_nats::connect(url).await.unwrap());
        let mut longest = 0;
        while !enough.is_cancelled() {
            let progress = Progress::of(&context, Service::Rollups.name()).await.unwrap();
            longest = longest.max(progress.oldest_seconds.unwrap_or(0));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        longest
    })
}

/// What there was beside rebuilds.
struct Beside {
    /// Distinct events that were published.
    per_second: f64,
    read: Read,
    /// The longest that an event had waited for the live folds, in seconds.
    longest: u64,
}

/// Rebuilds over so much history and beside so much load.
async fn rebuilt_beside(history: usize, per_second: u32) -> Beside {
    let system = System::start().await;
    let history = Load::start(&system, 2_000, history).await.stop().await;
    system.settle().await;
    let load = Load::start(&system, per_second, 2_000).await;
    let since = Instant::now();
    let rollups = system.run(Service::Rollups);
    let persister = system.run(Service::Persister);
    let enough = CancellationToken::new();
    let reading = reader(&system, enough.clone());
    let watching = watcher(&system, enough.clone());

    let persister = match rebuild_three_times(&system, persister).await {
        Ok(persister) => persister,
        Err(cause) => {
            enough.cancel();
            let read = reading.await.unwrap().map(|read| read.answers);
            panic!("a rebuild failed: {cause:#}; the reader: {read:?}");
        }
    };

    let ledger = load.stop().await;
    let per_second = ledger.events() as f64 / since.elapsed().as_secs_f64();
    system.drained().await;
    enough.cancel();
    let read = reading.await.unwrap().unwrap_or_else(|cause| panic!("{cause:#}"));
    assert!(read.answers > 10, "the reader had only {} answers", read.answers);
    for service in [rollups, persister] {
        service.stop().await;
    }
    history.and(ledger).assert_exact(&system).await;
    Beside { per_second, read, longest: watching.await.unwrap() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rebuilds_under_live_load_lose_nothing_and_readers_see_neither_gap_nor_half() {
    rebuilt_beside(500, 500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "a proof: it measures, so it wants the machine for itself"]
async fn survival_of_rebuilds_beside_a_thousand_events_a_second_that_are_folded_within_five_seconds() {
    let Beside { per_second, read, longest } = rebuilt_beside(100_000, 1_000).await;
    println!(
        "{per_second:.0} events/s; an event waited {longest} s at most; of {} answers one took {:?} at most",
        read.answers, read.longest
    );
    assert!(per_second > 950.0, "only {per_second:.0} events/s were published");
    assert!(longest < 5, "an event waited {longest} s for the live folds");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_query_delays_the_swap_and_is_not_delayed_by_it() {
    let system = System::start().await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    let mut reader = system.postgres().await;
    let mut query = reader.begin().await.unwrap();
    sqlx::query("SELECT * FROM rollups.chat_weeks").fetch_all(&mut *query).await.unwrap();
    let mut swapping = system.start_program(&["rebuild", "--yes"]);
    // What it waits for is what we hold.
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'";
    eventually("the swap waits", async || system.count(waits).await > 0).await;
    // Others go on reading and folding meanwhile: whoever queues behind it is let by.
    let read = "SET statement_timeout = '10s'; SELECT FROM rollups.chat_weeks";
    sqlx::raw_sql(read).execute(&mut system.postgres().await).await.expect("readers wait for the swap");
    event("cart_confirmed", 2, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM rollups.chats").await, 2);
    assert!(swapping.has_ended().is_none());
    query.rollback().await.unwrap();
    assert!(swapping.ended("the swap goes through").await.success());
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_thrown_away_under_a_recount_keeps_no_fold_waiting() {
    let system = System::start().await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    let mut recount = system.postgres().await;
    let mut snapshot = recount.begin().await.unwrap();
    sqlx::query("SELECT * FROM rollups.inbox").fetch_all(&mut *snapshot).await.unwrap();
    let mut rebuilding = system.start_program(&["rebuild"]);
    let asks = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'";
    eventually("its trigger is to be removed", async || system.count(asks).await > 0).await;
    // A fold queues behind it, and is let by.
    let fold = "SET statement_timeout = '10s'; LOCK TABLE rollups.inbox IN ROW EXCLUSIVE MODE";
    sqlx::raw_sql(fold).execute(&mut system.postgres().await).await.expect("folds wait for the rebuild");
    event("cart_confirmed", 2, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM rollups.chats").await, 2);
    snapshot.rollback().await.unwrap();
    // Not swapped in for want of a terminal, and nothing of it left.
    assert_eq!(rebuilding.ended("the rebuild clears up").await.code(), Some(1));
    assert_eq!(system.count("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").await, 0);
    assert_rollups_agree(&system).await;
}

/// Writes the letter of an event that Postgres refused to store.
pub(super) async fn refuse(system: &System, event_id: Uuid) {
    let letter = format!(
        "INSERT INTO dead_letters (id, event_id, subject, reasons, payload, stream_seq, received_at)
         VALUES (gen_random_uuid(), '{event_id}', 'analytics.cart_confirmed', '[{{\"reason\": \"refused_by_database\"}}]', '', 2, now())"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(letter)).execute(&mut system.postgres().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_raw_never_gets_keeps_the_rebuild_from_being_swapped_in_and_is_named() {
    let system = System::start().await;
    let known = event("cart_confirmed", 1, Utc::now(), json!({}));
    known.publish(&system).await;
    system.settle().await;
    let lost = event("cart_confirmed", 2, Utc::now(), json!({}));
    lost.publish(&system).await;
    system.settle().await;
    let lose = format!("DELETE FROM analytics_events WHERE event_id = '{}'", lost.event_id());
    sqlx::raw_sql(sqlx::AssertSqlSafe(lose)).execute(&mut system.postgres().await).await.unwrap();
    let before = contents(&system).await;
    system.says(&["rebuild", "--yes", "--wait", "1"]).complaining(1, &[&lost.event_id().to_string(), "verify"]);
    assert_eq!(contents(&system).await, before);

    // The dead letters say why it is not there: then it is left out, and said.
    refuse(&system, lost.event_id()).await;
    let said = system.says(&["rebuild", "--yes", "--wait", "1"]).well();
    assert!(said.contains("left out") && said.contains("1 events"), "{said}");
    assert_eq!(system.count("SELECT count(*) FROM rollups.chats").await, 1);
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_raw_never_gets_is_named_or_left_out_under_live_load_too() {
    let system = System::start().await;
    let lost = event("cart_confirmed", 2, Utc::now(), json!({}));
    lost.publish(&system).await;
    system.settle().await;
    let lose = format!("DELETE FROM analytics_events WHERE event_id = '{}'", lost.event_id());
    sqlx::raw_sql(sqlx::AssertSqlSafe(lose)).execute(&mut system.postgres().await).await.unwrap();
    let services = Service::ALL.map(|service| system.run(service));
    let load = Load::start(&system, 500, 500).await;
    let shutdown = CancellationToken::new();
    let build = || Rebuild::build(system.environment(), Duration::from_secs(1), |_| {}, &shutdown);
    let built = tokio::time::timeout(A_MINUTE, build()).await.expect("it gives up although events arrive");
    let cause = built.err().unwrap().to_string();
    assert!(cause.contains(&lost.event_id().to_string()), "{cause}");

    refuse(&system, lost.event_id()).await;
    let built = tokio::time::timeout(A_MINUTE, build()).await.expect("it leaves out although events arrive").unwrap();
    let swapped = tokio::time::timeout(A_MINUTE, built.swap(|_| {})).await.expect("it is swapped in").unwrap();
    assert_eq!(swapped.refused, [lost.event_id()]);
    load.stop().await;
    system.drained().await;
    for service in services {
        service.stop().await;
    }
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_while_a_rebuild_is_at_work_is_not_waited_for() {
    let system = System::start().await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    let rebuilt = built(&system).await;
    event("cart_confirmed", 2, Utc::now() - TimeDelta::days(2), json!({})).publish(&system).await;
    system.settle().await;
    let expire = "UPDATE settings SET horizon = now() - interval '1 day'";
    sqlx::raw_sql(expire).execute(&mut system.postgres().await).await.unwrap();
    tokio::time::timeout(A_MINUTE, rebuilt.swap(|_| {})).await.expect("it is swapped in").unwrap();
    assert_eq!(system.count("SELECT count(*) FROM rollups.chats").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_back_that_fails_or_is_killed_leaves_no_trigger_on_the_live_inbox() {
    let system = System::start().await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    system.says(&["rebuild", "--yes"]).well();
    let empty = "TRUNCATE rollups_previous.calendar";
    sqlx::raw_sql(empty).execute(&mut system.postgres().await).await.unwrap();
    let triggers = async || system.count("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").await;
    system.says(&["rebuild", "--swap-back"]).complaining(1, &["rollups_previous.calendar is empty"]);
    assert_eq!(triggers().await, 0);
    // As one that was killed leaves it.
    note_arrivals(&mut system.postgres().await, PREVIOUS).await.unwrap();
    assert_eq!(triggers().await, 1);
    built(&system).await.discard().await.unwrap();
    assert_eq!(triggers().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_rebuilds_leave_the_rollups_alone_and_the_next_one_goes_through() {
    let system = System::start().await;
    Load::start(&system, 4_000, 3_000).await.stop().await;
    system.settle().await;
    let before = contents(&system).await;
    for _ in 0..5 {
        let mut process = system.start_program(&["rebuild", "--yes", "--wait", "1"]);
        tokio::time::sleep(Duration::from_millis(rand::random_range(100..1_500))).await;
        process.kill();
        event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
        system.settle().await;
        assert_rollups_agree(&system).await;
    }
    system.says(&["rebuild", "--yes"]).well();
    assert_rollups_agree(&system).await;
    assert_eq!(contents(&system).await.len(), before.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_rebuild_is_at_work() {
    let system = System::start().await;
    let rebuilt = built(&system).await;
    system.says(&["rebuild", "--yes"]).complaining(1, &["another rebuild"]);
    rebuilt.discard().await.unwrap();
    system.says(&["rebuild", "--yes"]).well();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rebuild_that_has_ended_lets_the_next_one_begin_at_once() {
    let system = System::start().await;
    for _ in 0..10 {
        built(&system).await.swap(|_| {}).await.unwrap();
        built(&system).await.discard().await.unwrap();
    }
}
