//! `demo`: a private system, every service, and a simulated bot that talks, over NATS and to the gateway; shows what
//! became of it.
//!
//! It ends when everything that was published is settled, and compares what the system counted with what the bot itself
//! knows: the exit code says whether they agree.

mod posting;

use super::{run, status, stop};
use crate::{
    config::{RulesArgs, ZoneArgs},
    embedded::{Tools, data_dir, scratch_dir},
    gateway::{self, Gateway},
    local::{LocalSystem, Options},
    output,
    report::{self, FunnelCounts, FunnelDay, LatencyRow, LetterGroup},
    simulation::{Expected, Message, Simulation, Way},
    terminal::Style,
};
use anyhow::{Context, ensure};
use async_nats::jetstream;
use chrono::{TimeDelta, Utc};
use clap::Args;
use posting::Posting;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    consume::{Link, Watched},
    handler::Outcome,
    service::Environment,
    store::{
        Calendar, Writer,
        letters::desk::{self, Filter},
        reports::{self, Grain},
    },
    verify,
};
use valera_tracker::{Outgoing, Publisher};

/// Let a simulated bot talk to a private system, and show the funnel
#[derive(Debug, Args)]
pub struct Demo {
    /// How many distinct good events the bot sends
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=5_000_000))]
    events: u64,
    /// How many days they reach back
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=365))]
    days: u32,
    /// The same seed gives the same shape of traffic
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep the data there [default: a temporary directory, removed at the end]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    zone: ZoneArgs,
}

impl Demo {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let shutdown = stop::on_signal()?;
        let scratch = scratch_dir()?;
        let dir = match &self.data_dir {
            Some(dir) => data_dir(dir)?,
            None => scratch.path().join("demo"),
        };
        let zone = self.zone.time_zone.clone().unwrap_or_else(|| "Europe/Moscow".to_owned());
        let options = Options { time_zone: Some(zone), with_gateway: true, ..Options::default() };
        output::print("starting a private nats-server and Postgres\n")?;
        let mut system = LocalSystem::start(&Tools::locate()?, &dir, options).await?;
        let environment = &system.environment;
        let alerts = RulesArgs::default().settings(&environment.nats_url, environment.time_zone.as_deref())?;
        // Nobody else is to find it where a gateway is looked for.
        let settings = gateway::Settings { address: Some("127.0.0.1:0".into()), ..system.gateway()? };
        let gateway = Gateway::bind(settings).await?;
        system.announce_gateway(&gateway.url())?;
        let posting = Posting::to(&gateway, &system.gateway_token()?)?;
        let plan = run::Plan { gateway: Some(gateway), ..run::Plan::all(environment, alerts) };
        let (supervisor, watched) = run::start(plan, &shutdown);
        let talked = tokio::select! {
            talked = self.talk(&system.environment, &posting, &watched, &shutdown) => talked,
            () = shutdown.cancelled() => Err(anyhow::anyhow!("interrupted")),
        };
        shutdown.cancel();
        let stopped = supervisor.wait(run::GRACE).await;
        talked.and(stopped).and(system.stop().await)
    }

    async fn talk(
        &self,
        environment: &Environment,
        posting: &Posting,
        watched: &[Watched],
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        let events = usize::try_from(self.events)?;
        let simulation = Simulation::new(self.seed, events, self.days, Utc::now());
        let mut writer = Writer::new(&environment.database_url, "valera demo", "")?;
        let connection = writer.connection().await?;
        let calendar = Calendar::load(connection).await?;
        let holdings = reports::holdings(connection).await?;
        ensure!(
            holdings.events + holdings.open_letters == 0,
            "the data directory holds {} events and {} dead letters already, which are not the bot's: give --data-dir a \
             new one",
            holdings.events,
            holdings.open_letters
        );
        let expected = simulation.expected(|at| calendar.day(at).day);
        let (messages, style) = (simulation.messages().len(), output::style());
        let (posted, published): (Vec<_>, Vec<_>) =
            simulation.into_iter().partition(|message| message.way == Way::Gateway);
        output::print(&format!(
            "the bot talks: {messages} messages over {} days, {} of them by HTTP through the gateway\n",
            self.days,
            posted.len()
        ))?;

        let started = Instant::now();
        let client = Link::new(&environment.nats_url, "valera-demo").connect().await?;
        let progress = output::progress_bar("{pos}/{len} published {per_sec}");
        progress.set_length(messages as u64);
        let publisher = Publisher::new(client.clone());
        let publish = async {
            let publishing = publisher.publish_all(published.into_iter().map(outgoing), |_| progress.inc(1));
            publishing.await.map_err(anyhow::Error::from)
        };
        let (answered, ()) = futures::try_join!(posting.post(&posted, |events| progress.inc(events)), publish)?;
        posting.flush().await?;
        progress.finish_and_clear();
        let published_in = started.elapsed();
        drain(&jetstream::new(client), shutdown).await?;
        let drained_in = started.elapsed();

        self.show(&mut writer, watched).await?;
        let rate = |took: Duration| messages as f64 / took.as_secs_f64();
        output::print(&format!(
            "\n{messages} messages published at {:.0}/s; all stored and rolled up at {:.0}/s\n",
            rate(published_in),
            rate(drained_in)
        ))?;
        posting::compare(answered, &posted)?;
        compare(&mut writer, &expected).await?;
        let link = Link::new(&environment.nats_url, "valera-demo");
        let verdict = verify::verify(&link, &environment.database_url, Duration::from_secs(30), |_| {}).await?;
        output::print(&titled(
            "Recount of every rollup from the raw events",
            &report::verdict(&verdict, style),
            style,
        ))?;
        ensure!(verdict.agrees(), "raw events and rollups differ");
        Ok(())
    }

    async fn show(&self, writer: &mut Writer, watched: &[Watched]) -> anyhow::Result<()> {
        let style = output::style();
        let connection = writer.connection().await?;
        let now = Utc::now();
        let from = now - TimeDelta::days(i64::from(self.days));
        let first_day = reports::local_day(connection, from).await?;
        let today = reports::local_day(connection, now).await?;
        let days: Vec<FunnelDay> = reports::funnel_daily(connection, first_day, today).await?;
        let total: FunnelCounts = reports::funnel_period(connection, first_day, today).await?;
        let lately = (now - TimeDelta::hours(6), now);
        let hours: Vec<LatencyRow> = reports::response_times(connection, Grain::Hour, lately, None).await?;
        let models: Vec<LatencyRow> = reports::response_times(connection, Grain::Model, (from, now), None).await?;
        let letters: Vec<LetterGroup> = desk::groups(connection, &Filter::default()).await?;
        let parts = [
            ("The funnel by day", report::funnel(&days, &total, "on these days", style)),
            ("Response times, the last six hours", report::latency(&hours, None, "in these hours", style)),
            ("Response times, all days", report::latency(&models, None, "on these days", style)),
            ("Dead letters", report::letters(&letters, style)),
            ("What became of every message", outcomes(watched)),
        ];
        for (title, text) in parts {
            output::print(&titled(title, &text, style))?;
        }
        Ok(())
    }
}

fn titled(title: &str, text: &str, style: Style) -> String {
    if style.colour { format!("\n\x1b[1m{title}\x1b[0m\n{text}") } else { format!("\n{title}\n{text}") }
}

fn outgoing(message: Message) -> Outgoing {
    let Message { subject, msg_id, origin, body, .. } = message;
    Outgoing { subject, msg_id, origin, body: body.into() }
}

/// Waits until no consumer has anything left to do.
async fn drain(context: &jetstream::Context, shutdown: &CancellationToken) -> anyhow::Result<()> {
    while !shutdown.is_cancelled() {
        let consumers = status::consumers(context).await?;
        if consumers.iter().all(|consumer| consumer.pending == 0 && consumer.ack_pending == 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

fn outcomes(watched: &[Watched]) -> String {
    let line = |watched: &Watched| {
        let counters = &watched.counters;
        let ended = Outcome::ALL.into_iter().filter(|&outcome| counters.of(outcome) > 0);
        let ended: Vec<_> = ended.map(|outcome| format!("{} {}", counters.of(outcome), outcome.as_str())).collect();
        format!("{}: {} received = {}\n", watched.health.consumer(), counters.received(), ended.join(" + "))
    };
    watched.iter().map(line).collect()
}

/// Holds what the system counted against what the bot knows it sent.
async fn compare(writer: &mut Writer, expected: &Expected) -> anyhow::Result<()> {
    let connection = writer.connection().await?;
    let (first, last) = match (expected.funnel_daily.first(), expected.funnel_daily.last()) {
        (Some(first), Some(last)) => (first.day, last.day),
        _ => return Ok(()),
    };
    let counted: Vec<FunnelDay> = reports::funnel_daily(connection, first, last).await?;
    let holdings = reports::holdings(connection).await?;
    let letters: u64 = expected.dead_letters.values().sum();
    ensure!(
        counted == expected.funnel_daily,
        "the funnel differs from what the bot sent: {:?}",
        counted.iter().zip(&expected.funnel_daily).find(|(counted, sent)| counted != sent)
    );
    let events = u64::try_from(holdings.events).context("a negative count")?;
    ensure!(events == expected.distinct, "{events} events counted, {} sent", expected.distinct);
    let open = u64::try_from(holdings.open_letters).context("a negative count")?;
    ensure!(open == letters, "{open} dead letters, {letters} expected");
    output::print(&format!(
        "agrees with the bot's own ledger: {events} distinct events, {letters} dead letters, every day of the funnel\n"
    ))
}
