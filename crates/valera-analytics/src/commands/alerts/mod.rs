//! `alerts`: checks rule files, lists incidents, mutes rules.
//!
//! Everything here stands in NATS, so it works while Postgres is away. Nothing here raises or delivers an alert.

mod digest;
mod test;

use crate::{
    config::{NatsArgs, RulesArgs, set},
    output::{self, OutputArgs},
    report::{self, IncidentRow, MuteRow},
    since::Since,
};
use anyhow::{Context, bail, ensure};
use async_nats::jetstream;
use chrono::{TimeDelta, Utc};
use clap::{Args, Subcommand};
use std::fs;
use valera_pipeline::{
    alerts::{self, Mutes, Rules, history, rules},
    consume::Link,
};

/// Check alert rules, list incidents, mute rules
#[derive(Debug, Args)]
pub struct Alerts {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Name every fault in a rule file; exit 1 when there is any
    Check {
        /// The file [default: VALERA_ALERT_RULES, else the rules that are compiled in]
        #[arg(env = "VALERA_ALERT_RULES")]
        file: Option<String>,
    },
    /// Print the rules that are compiled in, to start a file of your own from
    Rules,
    /// Show incidents, the latest last
    List {
        /// Of this rule only
        #[arg(long)]
        rule: Option<String>,
        /// What happened since then: so long ago, for example 2h or 7d, or a time in RFC 3339
        #[arg(long, value_name = "WHEN", default_value = "1d")]
        since: Since,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        nats: NatsArgs,
    },
    Digest(Box<digest::Digest>),
    Test(Box<test::Test>),
    /// Tell nobody of a rule's incidents for a while; they stay on the stream
    Mute {
        rule: String,
        /// For how long, for example 30m, 2h or 7d
        #[arg(long = "for", value_name = "SPAN", value_parser = span)]
        span: TimeDelta,
        #[command(flatten)]
        rules: RulesArgs,
        #[command(flatten)]
        nats: NatsArgs,
    },
    /// End a mute
    Unmute {
        rule: String,
        #[command(flatten)]
        nats: NatsArgs,
    },
    /// Show which rules are muted, and until when
    Mutes {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        nats: NatsArgs,
    },
}

fn span(text: &str) -> Result<TimeDelta, String> {
    let positive = rules::parse_duration(text).filter(|span| *span > TimeDelta::zero());
    positive.ok_or_else(|| "expected a span of time such as 30m, 2h or 7d".to_owned())
}

impl Alerts {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::Check { file } => check(file.as_deref()),
            Action::Rules => output::print(rules::SHIPPED),
            Action::List { rule, since, output, nats } => list(&nats, rule.as_deref(), since, output).await,
            Action::Digest(digest) => digest.run().await,
            Action::Test(test) => test.run().await,
            Action::Mute { rule, span, rules, nats } => mute(&nats, &rules.load()?, &rule, span).await,
            Action::Unmute { rule, nats } => unmute(&nats, &rule).await,
            Action::Mutes { output, nats } => {
                let mutes = Mutes::load(&alerts::bucket(&connect(&nats).await?).await?).await?;
                let now = Utc::now();
                let lasting = mutes.0.into_iter().filter(|(_, until)| *until > now);
                let rows: Vec<_> = lasting.map(|(rule, until)| MuteRow { rule, until }).collect();
                output.print(&rows, report::mutes)
            }
        }
    }
}

fn link(nats: &NatsArgs) -> Link {
    Link::new(&nats.nats_url, "valera-alerts-command")
}

async fn connect(nats: &NatsArgs) -> anyhow::Result<jetstream::Context> {
    Ok(jetstream::new(link(nats).connect().await?))
}

fn check(file: Option<&str>) -> anyhow::Result<()> {
    let text = match set(file) {
        Some(file) => fs::read_to_string(file).with_context(|| format!("reading {file}"))?,
        None => rules::SHIPPED.to_owned(),
    };
    match Rules::parse(&text) {
        Ok(rules) => {
            let names: Vec<_> = rules.names().collect();
            output::print(&format!("{} rules without fault: {}\n", names.len(), names.join(", ")))
        }
        Err(faults) => {
            for fault in &faults {
                output::print(&format!("{fault}\n"))?;
            }
            bail!("{} faults", faults.len())
        }
    }
}

async fn list(nats: &NatsArgs, rule: Option<&str>, since: Since, output: OutputArgs) -> anyhow::Result<()> {
    let mut rows: Vec<IncidentRow> = Vec::new();
    history::read(&link(nats), Some(since.0), |alert| {
        if rule.is_some_and(|rule| rule != alert.rule) {
            return;
        }
        let step = IncidentRow::of(alert);
        match rows.iter_mut().rev().find(|row| row.incident == step.incident) {
            Some(row) => row.follow(step),
            None => rows.push(step),
        }
    })
    .await?;
    output.print(&rows, report::incidents)
}

async fn mute(nats: &NatsArgs, rules: &Rules, rule: &str, span: TimeDelta) -> anyhow::Result<()> {
    // A mute of a misspelled rule would be no mute.
    let names: Vec<_> = rules.names().collect();
    ensure!(names.contains(&rule), "there is no rule {rule}; there are {}", names.join(", "));
    let bucket = alerts::bucket(&connect(nats).await?).await?;
    let until = Utc::now() + span;
    Mutes::change(&bucket, |mutes| {
        mutes.0.insert(rule.to_owned(), until);
    })
    .await?;
    output::print(&format!("{rule} is muted until {}\n", until.format("%F %T UTC")))
}

async fn unmute(nats: &NatsArgs, rule: &str) -> anyhow::Result<()> {
    let bucket = alerts::bucket(&connect(nats).await?).await?;
    if !Mutes::load(&bucket).await?.0.contains_key(rule) {
        bail!("{rule} is not muted");
    }
    Mutes::change(&bucket, |mutes| {
        mutes.0.remove(rule);
    })
    .await?;
    output::print(&format!("{rule} is no longer muted\n"))
}
