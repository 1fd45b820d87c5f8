//! Rebuilds beside live traffic, with the persister away for a while: nothing is lost, nobody who reads notices, folds keep up.

use crate::support::{A_MINUTE, Load, Running, System, eventually};
use anyhow::{Context, ensure};
use sqlx::Connection;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    progress::Progress,
    rebuild::{Rebuild, Stage},
    service::Service,
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
