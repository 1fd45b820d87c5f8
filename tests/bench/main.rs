//! `make bench`: what the pipeline carries on this machine, beside what Postgres could carry at best.
//!
//! Ratios mean something only within one run, so one run measures everything on servers of its own, configured as
//! shipped (fsync and `sync_interval: always`): the ceiling, the services from a full stream, repair, publishing by the SDK and
//! by HTTP, latency at a steady rate, and dashboard queries beside the first design's. What is measured is the product: this
//! binary, called with `product` before its arguments, is the program `valera-analytics`, so no stale build of it can be
//! measured; called with `send`, it is a program that publishes.
//!
//! It does not judge: results go to `target/bench.json` and, rendered, to `docs/performance.md`.

mod backlog;
mod ceiling;
mod corpus;
mod gateway;
mod ground;
mod history;
mod host;
mod latency;
mod machine;
mod queries;
mod repair;
mod report;
mod results;
mod sender;
mod steady;
mod usage;
mod worker;

use anyhow::Context;
use chrono::{TimeDelta, Utc};
use clap::Parser;
use corpus::Corpus;
use ground::Ground;
use results::{Results, Spread};
use sender::{SENDER, Sender};
use std::{fs, path::PathBuf, time::Instant};
use tokio::runtime::Runtime;
use valera_analytics::{cli::Cli, config, output};
use valera_pipeline::service::Service;

/// Measure the pipeline on servers of its own
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Bench {
    /// Events in each backlog
    #[arg(long, default_value_t = 1_000_000)]
    events: usize,
    /// Leave out the queries on 10 million raw events, which take some minutes
    #[arg(long)]
    short: bool,
    /// Seconds of each steady load
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Only what this word begins: backlog, repair, gateway, steady, queries
    #[arg(long)]
    only: Option<String>,
    /// Only this service, from a backlog of 30 days; writes nothing
    #[arg(long, conflicts_with = "only", value_parser = service)]
    service: Option<Service>,
    /// Its workers
    #[arg(long, default_value_t = 1, requires = "service", value_parser = clap::value_parser!(u8).range(1..=2))]
    workers: u8,
    /// Where the results go, as JSON
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,
    /// Where the report goes
    #[arg(long, default_value = "docs/performance.md")]
    report: PathBuf,
}

fn service(name: &str) -> Result<Service, String> {
    let named = Service::ALL.into_iter().find(|service| service.name() == name);
    named.ok_or_else(|| format!("one of {}", Service::ALL.map(Service::name).join(", ")))
}

fn main() -> anyhow::Result<()> {
    config::prepare()?;
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let rest: Vec<_> = arguments.collect();
    match rest.split_first() {
        Some((first, rest)) if first == worker::PRODUCT => Cli::parse_from(std::iter::once(first).chain(rest)).run(),
        Some((first, rest)) if first == SENDER => {
            runtime()?.block_on(Sender::parse_from(std::iter::once(first).chain(rest)).run())
        }
        _ => runtime()?.block_on(Bench::parse_from(std::iter::once(&program).chain(&rest)).run()),
    }
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

impl Bench {
    async fn run(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        let ground = Ground::start().await?;
        if let Some(service) = self.service {
            let corpus = Corpus::ending(Utc::now() - TimeDelta::minutes(1), Spread::ThirtyDays, self.events);
            backlog::measure(&ground, Spread::ThirtyDays, &corpus, &[(&[service], self.workers.into())]).await?;
            return Ok(());
        }
        let mut results = Results::new(machine::describe(&ground).await?, self.events);
        if self.measures("backlog") {
            let now = Utc::now();
            for spread in [Spread::ThirtyDays, Spread::OneHour] {
                let corpus = Corpus::ending(now - TimeDelta::minutes(1), spread, self.events);
                results.backlogs.push(backlog::measure(&ground, spread, &corpus, backlog::ALL).await?);
            }
        }
        if self.measures("repair") {
            let corpus = Corpus::ending(Utc::now() - TimeDelta::minutes(1), Spread::ThirtyDays, self.events);
            results.repair = Some(repair::measure(&ground, &corpus).await?);
        }
        if self.measures("gateway") {
            results.posting = Some(gateway::measure(&ground, self.events).await?);
        }
        if self.measures("steady") {
            results.latency = Some(latency::measure(&ground, self.seconds).await?);
            results.seed_load = Some(steady::measure(&ground, self.seconds).await?);
        }
        if self.measures("queries") {
            let sizes: &[u32] = if self.short { &[1_000_000] } else { &[1_000_000, 10_000_000] };
            for &events in sizes {
                results.queries.push(queries::measure(&ground, events).await?);
            }
        }
        results.took_s = began.elapsed().as_secs_f64();
        self.write(&results)
    }

    fn measures(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| part.starts_with(only))
    }

    fn write(&self, results: &Results) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(&results.to_json()?)?;
        let text = report::render(results);
        for (path, content) in [(&self.json, format!("{json}\n")), (&self.report, text.clone())] {
            if let Some(above) = path.parent() {
                fs::create_dir_all(above).with_context(|| format!("creating {}", above.display()))?;
            }
            fs::write(path, content).with_context(|| format!("writing {}", path.display()))?;
        }
        output::print(&format!("\n{text}"))
    }
}
