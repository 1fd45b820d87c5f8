//! A consumer in a process of its own that kills itself: `killable SERVICE [POINT NTH [--stop]]`.
//!
//! It is the product's service, with a probe that aborts at the nth arrival at a point (`pulled`, `before-commit`,
//! `after-commit`, `acked`), or stops itself there until SIGCONT; without a point it runs until it is killed from outside. Batches are small, so that a kill
//! has something before and behind it. Where it connects to stands in the environment, as for the product.

mod hurried;

use anyhow::{Context, bail};
use clap::Parser;
use hurried::hurried;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use valera_analytics::config::{self, DeliveryArgs, RulesArgs, ServiceArgs};
use valera_pipeline::{
    alerts::{
        self,
        delivery::{Configured, Notifier},
    },
    consume::{Limits, Watched},
    probe::{NoProbe, Point, Probe},
    service::{Environment, Service},
};

#[derive(Parser)]
struct Killable {
    service: String,
    point: Option<String>,
    #[arg(default_value_t = 1)]
    nth: u32,
    /// Stop, as by SIGSTOP, instead of dying
    #[arg(long)]
    stop: bool,
    #[arg(long, default_value_t = 500)]
    batch: usize,
    /// For alerts and the notifier: how long a silent holder of the lease keeps others out, in milliseconds
    #[arg(long, default_value_t = 1_000)]
    lease: u64,
    #[command(flatten)]
    config: ServiceArgs,
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    delivery: DeliveryArgs,
}

struct Fate {
    at: Point,
    arrivals_left: AtomicU32,
    meet: fn(),
}

impl Probe for Fate {
    fn reached(&self, point: Point) {
        if point == self.at && self.arrivals_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            (self.meet)();
        }
    }
}

fn stop() {
    let own = std::process::id().to_string();
    let sent = std::process::Command::new("kill").args(["-s", "STOP", &own]).status();
    if !sent.is_ok_and(|status| status.success()) {
        std::process::abort();
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    config::prepare()?;
    config::log_to_stderr(true);
    let killable = Killable::parse();
    let probe: Arc<dyn Probe> = match killable.point.as_deref() {
        None => Arc::new(NoProbe),
        Some(point) => Arc::new(Fate {
            at: named(point)?,
            arrivals_left: AtomicU32::new(killable.nth),
            meet: if killable.stop { stop } else { || std::process::abort() },
        }),
    };
    let limits = Limits {
        messages: killable.batch,
        stall: Duration::from_secs(2),
        patience: Duration::from_millis(200),
        ..Limits::default()
    };
    let watched = Watched::new(&killable.service);
    if killable.service == alerts::NAME {
        let ServiceArgs { nats, zone, .. } = &killable.config;
        let settings = killable.rules.settings(&nats.nats_url, zone.time_zone.as_deref())?;
        let settings = alerts::Settings { limits, lease: Duration::from_millis(killable.lease), ..settings };
        return settings.run(watched, probe, CancellationToken::new()).await;
    }
    if killable.service == "notifier" {
        let ServiceArgs { nats, zone, .. } = &killable.config;
        let notifier = killable.delivery.notifier(&nats.nats_url, zone.time_zone.as_deref())?;
        let notifier = Notifier { limits, lease: Duration::from_millis(killable.lease), ..notifier };
        let settings = killable.delivery.telegram.settings()?.context("no chat to tell")?;
        return notifier.run(Configured::Telegram(hurried(settings)), watched, probe, CancellationToken::new()).await;
    }
    let service = Service::ALL.into_iter().find(|service| service.name() == killable.service);
    let service = service.with_context(|| format!("no service {}", killable.service))?;
    let environment = Environment { limits, ..killable.config.environment()? };
    service.run(environment, watched, probe, CancellationToken::new()).await
}

fn named(point: &str) -> anyhow::Result<Point> {
    Ok(match point {
        "pulled" => Point::Pulled,
        "before-commit" => Point::BeforeCommit,
        "after-commit" => Point::AfterCommit,
        "acked" => Point::Acked,
        other => bail!("no point {other}"),
    })
}
