//! The service `alerts`: waits for the lease, reads its state back, watches until it is told to stop or has lost the lease.
//!
//! It is a consumer like the others, with two things beside it: what renews the lease, and a clock for the minutes in
//! which nothing comes. Losing the lease ends the term, not the service: messages in hand go back, and it waits again. It
//! needs NATS only.

use super::{
    NAME,
    lease::{Held, Lease},
    observation::Observation,
    rules::Rules,
    watch::Watch,
};
use crate::{
    consume::{Consumer, Limits, Link, Source, Watched},
    handler::{Delivery, Handler, Ours, Outcome},
    probe::Probe,
    service::STREAM,
};
use anyhow::Context as _;
use async_nats::jetstream;
use chrono_tz::Tz;
use std::{sync::Arc, time::Duration};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::info;
use uuid::Uuid;

/// How often time is let pass while nothing comes.
const TICK: Duration = Duration::from_secs(5);
/// Between attempts to get somewhere.
const PAUSE: Duration = Duration::from_secs(1);

/// What the service is configured with.
#[derive(Clone)]
pub struct Settings {
    pub nats_url: String,
    pub rules: Arc<Rules>,
    /// In which quiet hours are local.
    pub zone: Tz,
    pub limits: Limits,
    /// For how long a holder of the lease that is not heard of keeps others out.
    pub lease: Duration,
}

/// How long a holder of the lease may be silent.
const LEASE: Duration = Duration::from_secs(10);

impl Settings {
    /// With the product's limits; `time_zone` is an IANA name, UTC when not given.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn new(nats_url: &str, rules: Rules, time_zone: Option<&str>) -> anyhow::Result<Self> {
        let name = time_zone.unwrap_or("UTC");
        let zone = name.parse::<Tz>().ok().with_context(|| format!("there is no time zone {name}"))?;
        let (rules, limits) = (Arc::new(rules), Limits::default());
        Ok(Self { nats_url: nats_url.to_owned(), rules, zone, limits, lease: LEASE })
    }

    /// Runs the service until shutdown.
    ///
    /// # Errors
    /// When decoding panicked, which is a bug.
    pub async fn run(
        self,
        watched: Watched,
        probe: Arc<dyn Probe>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let link = Link::new(&self.nats_url, format!("valera-{NAME}"));
        let holder = Uuid::now_v7().to_string();
        while !shutdown.is_cancelled() {
            let Some((context, mut lease)) = self.await_lease(&link, &holder, &watched, &shutdown).await else {
                break;
            };
            let term = shutdown.child_token();
            let work = self.work(&link, context, lease.held(), &watched, &probe, &term);
            let worked = tokio::select! {
                worked = work => worked,
                () = lease.keep(&term) => Ok(()),
            };
            lease.release().await;
            worked?;
        }
        Ok(())
    }

    /// Tries to come in until it can; `None` on shutdown.
    async fn await_lease(
        &self,
        link: &Link,
        holder: &str,
        watched: &Watched,
        shutdown: &CancellationToken,
    ) -> Option<(jetstream::Context, Lease)> {
        let mut context = None;
        let mut waits = false;
        while !shutdown.is_cancelled() {
            match self.try_lease(link, &mut context, holder).await {
                Ok(Some(lease)) => return Some((context?, lease)),
                Ok(None) => {
                    watched.health.nats_answers();
                    if !std::mem::replace(&mut waits, true) {
                        info!(consumer = NAME, "another instance holds the lease; standing by");
                    }
                }
                Err(cause) => {
                    watched.health.nats_fails(&cause);
                    context = None;
                }
            }
            rest(PAUSE.min(self.lease / 4), shutdown).await;
        }
        None
    }

    async fn try_lease(
        &self,
        link: &Link,
        context: &mut Option<jetstream::Context>,
        holder: &str,
    ) -> anyhow::Result<Option<Lease>> {
        let context = match context {
            Some(context) => context,
            None => context.insert(jetstream::new(link.connect().await?)),
        };
        Lease::try_acquire(context, holder, self.lease).await
    }

    /// One term: from the lease to its loss, or shutdown.
    async fn work(
        &self,
        link: &Link,
        context: jetstream::Context,
        held: Held,
        watched: &Watched,
        probe: &Arc<dyn Probe>,
        term: &CancellationToken,
    ) -> anyhow::Result<()> {
        let Some(watch) = self.begin(&context, &held, watched, probe, term).await else { return Ok(()) };
        let watch = Arc::new(Mutex::new(watch));
        let handler = Detection { watch: watch.clone(), rules: self.rules.clone() };
        let source = Source::new(link.clone(), STREAM, NAME, self.limits);
        let consumer = Consumer::new(source, handler, watched, probe.clone(), term.clone());
        let consume = async {
            let ended = consumer.run().await;
            term.cancel();
            ended
        };
        let (ended, ()) = futures::join!(consume, tick(&watch, watched, term));
        ended
    }

    /// Reads the state back, trying for as long as the term lasts.
    async fn begin(
        &self,
        context: &jetstream::Context,
        held: &Held,
        watched: &Watched,
        probe: &Arc<dyn Probe>,
        term: &CancellationToken,
    ) -> Option<Watch> {
        while !term.is_cancelled() {
            let begun = Watch::begin(context.clone(), self.rules.clone(), self.zone, held.clone(), probe.clone());
            match begun.await {
                Ok(watch) => {
                    watched.health.store_answers();
                    return Some(watch);
                }
                Err(cause) => watched.health.store_fails(&cause),
            }
            rest(PAUSE, term).await;
        }
        None
    }
}

/// Lets time pass while nothing comes.
async fn tick(watch: &Mutex<Watch>, watched: &Watched, term: &CancellationToken) {
    loop {
        rest(TICK, term).await;
        if term.is_cancelled() {
            return;
        }
        match watch.lock().await.tick().await {
            Ok(()) => watched.health.store_answers(),
            Err(cause) => watched.health.store_fails(&cause),
        }
    }
}

async fn rest(pause: Duration, until: &CancellationToken) {
    tokio::select! {
        () = until.cancelled() => {}
        () = tokio::time::sleep(pause) => {}
    }
}

/// The handler behind the consumer `alerts`.
struct Detection {
    watch: Arc<Mutex<Watch>>,
    rules: Arc<Rules>,
}

impl Handler for Detection {
    type Batch = Vec<Observation>;

    fn decoder(&self) -> impl Fn(Vec<Delivery>) -> Self::Batch + Send + Sync + 'static {
        let rules = self.rules.clone();
        move |deliveries| deliveries.iter().map(|delivery| Observation::of(delivery, &rules)).collect()
    }

    async fn handle(&mut self, batch: &Self::Batch) -> Result<Vec<Outcome>, Ours> {
        Ok(self.watch.lock().await.take(batch).await?)
    }
}
