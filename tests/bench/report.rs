//! The results as a page for people: `docs/performance.md`.
//!
//! Rendered from the same values as the JSON, so that the two cannot disagree. Every aim stands beside its figure,
//! whether it was met or not.
//!
//! It does not measure.

use crate::{
    corpus::CHATS,
    history,
    results::{
        Backlog, Footprint, Latency, Machine, Posted, Posting, Quantiles, Queries, Repair, Repaired, Results,
        SeedLoad, Spread,
    },
};

const HEAD: &str = include_str!("report_head.md");
const LIMITS: &str = include_str!("report_limits.md");

pub(crate) fn render(results: &Results) -> String {
    let mut parts = vec![HEAD.trim_end().to_owned(), machine(&results.machine, results.took_s)];
    let aims = aims(results);
    if !aims.is_empty() {
        parts.push(format!("## Aims\n\n| aim | measured | |\n|---|---|---|\n{}", aims.concat()));
    }
    if !results.backlogs.is_empty() {
        parts.push(backlogs(results));
    }
    parts.extend(results.repair.as_ref().map(repair));
    parts.extend(results.posting.as_ref().map(posting));
    parts.extend(results.latency.as_ref().map(latency));
    parts.extend(results.seed_load.as_ref().map(seed_load));
    if !results.queries.is_empty() {
        parts.push(queries(&results.queries));
    }
    parts.push(limits(results));
    parts.iter().map(|part| format!("{}\n", part.trim_end())).collect::<Vec<_>>().join("\n")
}

fn machine(machine: &Machine, took_s: f64) -> String {
    format!(
        "Measured on {}: {} with {} cores and {:.0} GB, Linux {}, PostgreSQL {}, nats-server {}. The run took {:.0} \
         minutes; the load of the machine before it was {:.1}.",
        machine.date,
        machine.cpu,
        machine.cores,
        machine.memory_gb,
        machine.kernel,
        machine.postgres,
        machine.nats_server,
        took_s / 60.0,
        machine.load_before
    )
}

/// A line for each aim whose figure was measured.
fn aims(results: &Results) -> Vec<String> {
    let mut lines = Vec::new();
    let mut aim = |text: &str, measured: Option<String>, met: bool| {
        lines.extend(
            measured.map(|measured| format!("| {text} | {measured} | {} |\n", if met { "met" } else { "missed" })),
        );
    };
    let at_least = |value: Option<f64>, least: f64| value.is_some_and(|value| value >= least);
    let below = |value: Option<f64>, most: f64| value.is_some_and(|value| value < most);
    let two = |service: &str| {
        let backlog = results.backlogs.iter().find(|backlog| backlog.spread == Spread::ThirtyDays)?;
        backlog.runs.iter().find(|run| run.service == service && run.workers == 2)
    };
    let figure = |value: Option<f64>, unit: &str| value.map(|value| format!("{value:.2}{unit}"));
    let persister = results.alone("persister");
    let rollups = results.alone("rollups");
    let ratio = persister.map(|run| run.ceiling_ratio);
    aim("persister: 0.70 of the ceiling", figure(ratio, ""), at_least(ratio, 0.7));
    let cpu = persister.map(|run| run.cpu_s_per_million);
    aim("persister: under 4 CPU seconds per million events", figure(cpu, " s"), below(cpu, 4.0));
    let memory = persister.map(|run| run.peak_rss_mb);
    aim("persister: under 100 MB", figure(memory, " MB"), below(memory, 100.0));
    let ratio = rollups.map(|run| run.ceiling_ratio);
    aim("rollups: 0.30 of the ceiling on one connection", figure(ratio, ""), at_least(ratio, 0.3));
    let ratio = two("rollups").map(|run| run.ceiling_ratio);
    aim("rollups, two workers: 0.45 of the ceiling on one connection", figure(ratio, ""), at_least(ratio, 0.45));
    let memory = rollups.map(|run| run.peak_rss_mb);
    aim("rollups: under 100 MB", figure(memory, " MB"), below(memory, 100.0));
    let stored = results.latency.as_ref().map(|latency| latency.stored.p99_ms);
    aim("stored p99 under 25 ms at 1,000 events/s", figure(stored, " ms"), below(stored, 25.0));
    let rolled_up = results.latency.as_ref().map(|latency| latency.rolled_up.p99_ms);
    aim("rolled up p99 under 100 ms at 1,000 events/s", figure(rolled_up, " ms"), below(rolled_up, 100.0));
    if let Some(most) = results.queries.iter().max_by_key(|queries| queries.raw_events) {
        let tables = most.queries.iter().filter(|query| !query.name.contains("()"));
        let least = tables.map(|query| query.raw_ms / query.rollup_ms).fold(f64::INFINITY, f64::min);
        let text = format!(
            "reads of rollup tables 50 times as fast as raw, at {} million events",
            most.raw_events / 1_000_000
        );
        aim(&text, Some(format!("{least:.0} times or more")), least >= 50.0);
    }
    lines
}

/// What the cores allow, from what each part took, and the standing text.
fn limits(results: &Results) -> String {
    let mut text = "## What the limits are\n".to_owned();
    for service in ["persister", "rollups"] {
        let Some(run) = results.alone(service) else { continue };
        let parts = [run.cpu_s_per_million, run.nats_cpu_s_per_million, run.postgres_cpu_s_per_million];
        let sum: f64 = parts.iter().sum();
        let most = results.machine.cores as f64 * 1e6 / sum;
        text.push_str(&format!(
            "\n- **{service}.** A million events took {:.1} CPU seconds of the worker, {:.1} of nats-server and {:.1} of \
             Postgres. {} cores carry {most:.0} events/s of that when nothing waits; {:.0} were measured.",
            parts[0], parts[1], parts[2], results.machine.cores, run.events_per_s
        ));
    }
    format!("{text}\n{}", LIMITS.trim_end())
}

fn backlogs(results: &Results) -> String {
    let mut text = format!(
        "## From a full stream\n\n{} events in each backlog, from {CHATS} chats: a chat's number is {CHATS} times the \
         square of a uniform draw, so the busiest hundredth sends a tenth of the events. CPU in seconds per million \
         events; where both services ran, Postgres' and nats-server's are for both. The persister is held against the ceiling \
         of as many connections as it has workers, the rollups against that of one.\n",
        results.events
    );
    for Backlog { spread, filled_per_s, ceiling_per_s: [one, two], runs } in &results.backlogs {
        text.push_str(&format!(
            "\nA backlog of {}. The ceiling is {one:.0} events/s on one connection and {two:.0} on two; the stream was \
             filled at {filled_per_s:.0} events/s.\n\n\
             | service | workers | events/s | of the ceiling | CPU | Postgres CPU | nats-server CPU | peak memory |\n\
             |---|---|---|---|---|---|---|---|\n",
            spread.words()
        ));
        for run in runs {
            let beside = if run.beside_the_other { ", beside the other" } else { "" };
            text.push_str(&format!(
                "| {}{beside} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} MB |\n",
                run.service,
                run.workers,
                run.events_per_s,
                run.ceiling_ratio,
                run.cpu_s_per_million,
                run.postgres_cpu_s_per_million,
                run.nats_cpu_s_per_million,
                run.peak_rss_mb
            ));
        }
    }
    text
}

fn repair(repair: &Repair) -> String {
    let Repair { events, ceiling_per_s, runs } = repair;
    let mut text = format!(
        "## Repair\n\n{events} events of 30 days, each way from the start of a process to its end, beside the live services on one \
         worker from the same stream. The ceiling is {ceiling_per_s:.0} events/s on one connection. Peak memory is the process's, without the \
         servers'.\n\n\
         | way | events/s | of the ceiling | peak memory |\n|---|---|---|---|\n"
    );
    for Repaired { what, events_per_s, peak_rss_mb } in runs {
        let ratio = events_per_s / ceiling_per_s;
        text.push_str(&format!("| {what} | {events_per_s:.0} | {ratio:.2} | {peak_rss_mb:.0} MB |\n"));
    }
    text
}

fn posting(posting: &Posting) -> String {
    let mut text = format!(
        "## By the SDK and by HTTP\n\n{} events from one process, made beforehand, until the stream had them all; no consumer ran. Safe means \
         synced to the disk of a spool: by the SDK `track_durable`, up to 1,000 at once; by HTTP the answer 202, 4 requests at once. CPU in \
         seconds per million events.\n\n\
         | way | events/s safe | events/s on the stream | sender CPU | gateway CPU | both | nats-server CPU |\n|---|---|---|---|---|---|---|\n",
        posting.events
    );
    for run in &posting.runs {
        let Posted { what, safe_per_s, published_per_s, nats_cpu_s_per_million: nats, .. } = run;
        let (sender, gateway) = (run.sender_cpu_s_per_million, run.gateway_cpu_s_per_million);
        text.push_str(&format!(
            "| {what} | {safe_per_s:.0} | {published_per_s:.0} | {sender:.2} | {gateway:.2} | {:.2} | {nats:.2} |\n",
            sender + gateway
        ));
    }
    text
}

fn latency(latency: &Latency) -> String {
    let line = |name: &str, quantiles: &Quantiles| {
        let Quantiles { p50_ms, p99_ms, max_ms } = quantiles;
        format!("| {name} | {p50_ms:.1} | {p99_ms:.1} | {max_ms:.1} |\n")
    };
    format!(
        "## Latency\n\n{} events/s, {} events counted, milliseconds from the call that publishes; publisher, services \
         and servers share the cores.\n\n| until | p50 | p99 | longest |\n|---|---|---|---|\n{}{}{}",
        latency.events_per_s,
        latency.events,
        line("acknowledged by JetStream, on disk", &latency.acknowledged),
        line("stored: its row is committed", &latency.stored),
        line("rolled up: its rollups are committed", &latency.rolled_up)
    )
}

fn seed_load(load: &SeedLoad) -> String {
    let line = |name: &str, footprint: Footprint| {
        format!("| {name} | {:.1} % | {:.0} MB |\n", footprint.cpu_percent, footprint.memory_mb)
    };
    format!(
        "## The first design's load\n\n{} events/s; CPU in percent of one core, memory with shared pages in proportion.\
         \n\n| | CPU | memory |\n|---|---|---|\n{}{}{}",
        load.events_per_s,
        line("all services, one process", load.services),
        line("Postgres", load.postgres),
        line("nats-server", load.nats_server)
    )
}

fn queries(all: &[Queries]) -> String {
    let mut text = format!(
        "## Dashboard queries\n\nMilliseconds, the median of several runs on warm caches, over {} days and {CHATS} chats; raw \
         is the first design's SQL on `analytics_events`.\n\n| query | raw events | rollups | raw | times as fast |\n\
         |---|---|---|---|---|\n",
        history::DAYS
    );
    for Queries { raw_events, queries } in all {
        for query in queries {
            text.push_str(&format!(
                "| {} | {} M | {:.2} | {:.0} | {:.0} |\n",
                query.name,
                raw_events / 1_000_000,
                query.rollup_ms,
                query.raw_ms,
                query.raw_ms / query.rollup_ms
            ));
        }
    }
    text
}
