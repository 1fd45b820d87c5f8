//! What was measured, in the units in which it is reported.
//!
//! The names in here are those of `target/bench.json`: programs read `persister` and `rollups`, which repeat the
//! one-worker runs from the 30-day backlog.
//!
//! It does not measure and does not format.

use serde::Serialize;
use serde_json::{Value, json};

/// Over how long a backlog's events occurred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Spread {
    ThirtyDays,
    OneHour,
}

impl Spread {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::ThirtyDays => "30 days",
            Self::OneHour => "one hour",
        }
    }
}

/// A whole run. Rates are in events per second, CPU in seconds per million events.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    /// In each backlog.
    pub(crate) events: usize,
    pub(crate) backlogs: Vec<Backlog>,
    pub(crate) repair: Option<Repair>,
    pub(crate) posting: Option<Posting>,
    pub(crate) latency: Option<Latency>,
    pub(crate) seed_load: Option<SeedLoad>,
    pub(crate) queries: Vec<Queries>,
    pub(crate) took_s: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gb: f64,
    pub(crate) kernel: String,
    pub(crate) postgres: String,
    pub(crate) nats_server: String,
    /// Runnable processes of others, on average over the minute before.
    pub(crate) load_before: f64,
    pub(crate) date: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Backlog {
    pub(crate) spread: Spread,
    /// Publishing it in atomic batches.
    pub(crate) filled_per_s: f64,
    /// Binary COPY on one connection and on two.
    pub(crate) ceiling_per_s: [f64; 2],
    pub(crate) runs: Vec<Drained>,
}

/// One service from a full stream to an empty one.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Drained {
    pub(crate) service: &'static str,
    pub(crate) workers: usize,
    /// Whether the other service ran at the same time, on one worker.
    pub(crate) beside_the_other: bool,
    pub(crate) events_per_s: f64,
    /// Of the ceiling with as many connections; the rollups' with two workers too.
    pub(crate) ceiling_ratio: f64,
    /// Of all workers together.
    pub(crate) cpu_s_per_million: f64,
    /// Of both services where they ran together, as are nats-server's.
    pub(crate) postgres_cpu_s_per_million: f64,
    pub(crate) nats_cpu_s_per_million: f64,
    /// Of the largest worker.
    pub(crate) peak_rss_mb: f64,
}

/// What brings back what was lost, each on one connection.
#[derive(Debug, Serialize)]
pub(crate) struct Repair {
    pub(crate) events: usize,
    /// Binary COPY on one connection, in the same part of the run.
    pub(crate) ceiling_per_s: f64,
    pub(crate) runs: Vec<Repaired>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Repaired {
    pub(crate) what: &'static str,
    pub(crate) events_per_s: f64,
    /// Of the command or the worker, without the servers.
    pub(crate) peak_rss_mb: f64,
}

/// The SDK and the gateway, the same events.
#[derive(Debug, Serialize)]
pub(crate) struct Posting {
    pub(crate) events: usize,
    pub(crate) runs: Vec<Posted>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Posted {
    pub(crate) what: &'static str,
    /// Until each was on a disk.
    pub(crate) safe_per_s: f64,
    /// Until the stream had them all.
    pub(crate) published_per_s: f64,
    pub(crate) sender_cpu_s_per_million: f64,
    pub(crate) gateway_cpu_s_per_million: f64,
    pub(crate) nats_cpu_s_per_million: f64,
}

/// Milliseconds from the call that publishes.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) events_per_s: u32,
    pub(crate) events: usize,
    pub(crate) acknowledged: Quantiles,
    pub(crate) stored: Quantiles,
    pub(crate) rolled_up: Quantiles,
}

#[derive(Debug, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Quantiles {
    /// Of at least one value, in milliseconds.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |fraction: f64| {
            let rank = (fraction * values.len() as f64).ceil() as usize;
            values.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
        };
        Self { p50_ms: at(0.50), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

/// What the first design's load costs: CPU in percent of one core, memory in MB.
#[derive(Debug, Serialize)]
pub(crate) struct SeedLoad {
    pub(crate) events_per_s: u32,
    pub(crate) services: Footprint,
    pub(crate) postgres: Footprint,
    pub(crate) nats_server: Footprint,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Footprint {
    pub(crate) cpu_percent: f64,
    /// Proportional: a page that processes share is counted once.
    pub(crate) memory_mb: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Queries {
    pub(crate) raw_events: u32,
    pub(crate) queries: Vec<Query>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Query {
    pub(crate) name: &'static str,
    pub(crate) rollup_ms: f64,
    pub(crate) raw_ms: f64,
}

impl Results {
    pub(crate) fn new(machine: Machine, events: usize) -> Self {
        Self {
            machine,
            events,
            backlogs: Vec::new(),
            repair: None,
            posting: None,
            latency: None,
            seed_load: None,
            queries: Vec::new(),
            took_s: 0.0,
        }
    }

    /// The run of a service alone on one worker, from the 30-day backlog.
    pub(crate) fn alone(&self, service: &str) -> Option<&Drained> {
        let backlog = self.backlogs.iter().find(|backlog| backlog.spread == Spread::ThirtyDays)?;
        backlog.runs.iter().find(|run| run.service == service && run.workers == 1 && !run.beside_the_other)
    }

    /// As it stands in the file.
    pub(crate) fn to_json(&self) -> serde_json::Result<Value> {
        let mut all = serde_json::to_value(self)?;
        all["persister"] = json!(self.alone("persister"));
        all["rollups"] = json!(self.alone("rollups"));
        Ok(all)
    }
}
