//! The service `alerts`: a term begins with reading its state back, and then it watches.
//!
//! It is a consumer like the others, with a clock beside it for the minutes in which nothing comes. It needs NATS only.

use super::{
    NAME,
    lease::Held,
    observation::Observation,
    office::{Office, rest},
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
use futures::FutureExt as _;
use std::{sync::Arc, time::Duration};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

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

/// A zone by its IANA name, UTC without one.
pub(super) fn zone(name: Option<&str>) -> anyhow::Result<Tz> {
    let name = name.unwrap_or("UTC");
    name.parse::<Tz>().ok().with_context(|| format!("VALERA_TIMEZONE, or --timezone: there is no time zone {name}"))
}

/// How long a holder of the lease may be silent.
const LEASE: Duration = Duration::from_secs(10);

impl Settings {
    /// With the product's limits; `time_zone` is an IANA name, UTC when not given.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn new(nats_url: &str, rules: Rules, time_zone: Option<&str>) -> anyhow::Result<Self> {
        let (rules, zone, limits) = (Arc::new(rules), zone(time_zone)?, Limits::default());
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
        let office = Office { name: NAME, link: &link, lease: self.lease, health: &watched.health };
        let work = |context, held, term| self.work(&link, context, held, &watched, &probe, term).boxed();
        office.serve(work, &shutdown).await
    }

    /// One term: from the lease to its loss, or shutdown.
    async fn work(
        &self,
        link: &Link,
        context: jetstream::Context,
        held: Held,
        watched: &Watched,
        probe: &Arc<dyn Probe>,
        term: CancellationToken,
    ) -> anyhow::Result<()> {
        let Some(watch) = self.begin(link, &context, &held, watched, probe, &term).await else { return Ok(()) };
        let watch = Arc::new(Mutex::new(watch));
        let handler = Detection { watch: watch.clone(), rules: self.rules.clone() };
        let source = Source::new(link.clone(), STREAM, NAME, self.limits);
        let consumer = Consumer::new(source, handler, watched, probe.clone(), term.clone());
        let consume = async {
            let ended = consumer.run().await;
            term.cancel();
            ended
        };
        let (ended, ()) = futures::join!(consume, tick(&watch, watched, &term));
        ended
    }

    /// Reads the state back, trying for as long as the term lasts.
    async fn begin(
        &self,
        link: &Link,
        context: &jetstream::Context,
        held: &Held,
        watched: &Watched,
        probe: &Arc<dyn Probe>,
        term: &CancellationToken,
    ) -> Option<Watch> {
        while !term.is_cancelled() {
            let (link, context, rules) = (link.clone(), context.clone(), self.rules.clone());
            let begun = Watch::begin(link, context, rules, self.zone, held.clone(), probe.clone());
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
