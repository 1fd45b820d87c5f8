//! A database that stories are told to, by the real handlers, and what it then holds.
//!
//! No NATS is between: a batch is handed in, and handed in again when its worker died. Workers keep their connections
//! from story to story; one that is to die before its commit unwinds at the probe's point, with its transaction open.

use super::{
    story::{Batch, Fate, Plan},
    vocabulary::HORIZON,
};
use crate::support::System;
use futures::{FutureExt, future::join_all};
use sqlx::{AssertSqlSafe, PgConnection};
use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};
use valera_pipeline::{
    handler::{Delivery, Handler, Outcome},
    persister::Persister,
    probe::{Point, Probe},
    rollups::Rollups,
};

pub(super) struct World {
    pub(super) system: System,
    pub(super) connection: PgConnection,
    /// Tables with what their rows are compared by: everything but when and by which message they were written.
    tables: Vec<(String, &'static str)>,
    persisters: Pool<Persister>,
    rollups: Pool<Rollups>,
}

/// A delivery and how it ended, each time that a batch of it was made durable.
pub(super) type Ended = (Delivery, Outcome);

impl World {
    pub(super) async fn new() -> Self {
        let system = System::start().await;
        let mut connection = system.postgres().await;
        let horizon = format!("UPDATE settings SET horizon = '{HORIZON}'");
        sqlx::query(AssertSqlSafe(horizon)).execute(&mut connection).await.unwrap();
        let rollups: Vec<String> = sqlx::query_scalar(
            "SELECT oid::regclass::text FROM pg_class
             WHERE relnamespace = 'rollups'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
                AND relname <> 'calendar'",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        let mut tables: Vec<_> = rollups.into_iter().map(|table| (table, "{}")).collect();
        tables.push(("analytics_events".to_owned(), "{stream_seq, created_at}"));
        tables.push(("dead_letters".to_owned(), "{stream_seq, received_at, created_at, updated_at}"));

        let environment = system.environment();
        let (url, calendar) = (environment.database_url.clone(), environment.calendar().await.unwrap());
        let keys = environment.keys.clone();
        let persister = {
            let (url, calendar, keys) = (url.clone(), calendar.clone(), keys.clone());
            move |probe| Persister::new(&url, calendar.clone(), keys.clone(), probe).unwrap()
        };
        let rollups = move |probe| Rollups::new(&url, calendar.clone(), keys.clone(), probe).unwrap();
        Self { system, connection, tables, persisters: Pool::of(persister), rollups: Pool::of(rollups) }
    }

    /// Tells both consumers what they get, each by its plan, and gives how each delivery ended in either.
    pub(super) async fn tell(&mut self, batches: [Vec<Batch>; 2], plans: [&Plan; 2]) -> [Vec<Ended>; 2] {
        self.empty().await;
        let [raw, counted] = batches;
        let (raw, counted) =
            futures::join!(self.persisters.work(raw, plans[0].workers), self.rollups.work(counted, plans[1].workers));
        [raw, counted]
    }

    async fn empty(&mut self) {
        let deletes: Vec<_> = self.tables.iter().map(|(table, _)| format!("DELETE FROM {table}")).collect();
        sqlx::raw_sql(AssertSqlSafe(deletes.join(";"))).execute(&mut self.connection).await.unwrap();
    }

    /// Every row of every table, as `table row`.
    pub(super) async fn rows(&mut self) -> Vec<String> {
        let selects = self.tables.iter().map(|(table, but)| {
            format!("SELECT '{table} ' || (to_jsonb(kept) - '{but}'::text[])::text FROM {table} AS kept")
        });
        let query = selects.collect::<Vec<_>>().join(" UNION ALL ") + " ORDER BY 1";
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut self.connection).await.unwrap()
    }
}

/// Workers of one consumer, idle between stories.
struct Pool<H> {
    make: Box<dyn Fn(Arc<dyn Probe>) -> H>,
    idle: Mutex<Vec<Worker<H>>>,
}

struct Worker<H> {
    handler: H,
    fuse: Arc<Fuse>,
}

/// Unwinds its worker at the next commit once it is lit.
#[derive(Default)]
struct Fuse(AtomicBool);

impl Probe for Fuse {
    fn reached(&self, point: Point) {
        if point == Point::BeforeCommit && self.0.swap(false, SeqCst) {
            // Not a panic: nothing is to be printed.
            resume_unwind(Box::new("died before its commit"));
        }
    }
}

impl<H: Handler> Pool<H> {
    fn of(make: impl Fn(Arc<dyn Probe>) -> H + 'static) -> Self {
        Self { make: Box::new(make), idle: Mutex::default() }
    }

    fn hire(&self) -> Worker<H> {
        let idle = self.idle.lock().unwrap().pop();
        idle.unwrap_or_else(|| {
            let fuse = Arc::new(Fuse::default());
            Worker { handler: (self.make)(fuse.clone()), fuse }
        })
    }

    /// Lets so many workers take batches from one queue.
    async fn work(&self, batches: Vec<Batch>, workers: usize) -> Vec<Ended> {
        let queue = Mutex::new(VecDeque::from(batches));
        let ended = join_all((0..workers).map(|_| self.work_off(&queue))).await;
        ended.into_iter().flatten().collect()
    }

    async fn work_off(&self, queue: &Mutex<VecDeque<Batch>>) -> Vec<Ended> {
        let mut worker = self.hire();
        let mut all = Vec::new();
        let next = || queue.lock().unwrap().pop_front();
        while let Some(Batch { deliveries, fate }) = next() {
            worker.fuse.0.store(fate == Fate::DiesBeforeCommit, SeqCst);
            let batch = worker.handler.decoder()(deliveries.clone());
            if let Ok(outcomes) = AssertUnwindSafe(worker.handler.handle(&batch)).catch_unwind().await {
                assert_ne!(fate, Fate::DiesBeforeCommit, "there was no commit to die before");
                all.extend(deliveries.iter().cloned().zip(outcomes.unwrap()));
            }
            if fate != Fate::Lives {
                worker = self.hire();
                queue.lock().unwrap().push_back(Batch { deliveries, fate: Fate::Lives });
            }
        }
        self.idle.lock().unwrap().push(worker);
        all
    }
}

/// Which rows only one side has; empty where both hold the same.
pub(super) fn difference(expected: &[String], found: &[String]) -> String {
    let mut rows: BTreeMap<&String, i64> = BTreeMap::new();
    for (row, side) in expected.iter().map(|row| (row, -1)).chain(found.iter().map(|row| (row, 1))) {
        *rows.entry(row).or_default() += side;
    }
    let lines = rows.into_iter().filter(|(_, side)| *side != 0);
    lines.map(|(row, side)| format!("{} {row}\n", if side < 0 { "expected" } else { "found   " })).collect()
}
