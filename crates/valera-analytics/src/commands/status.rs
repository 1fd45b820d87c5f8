//! `status`: how far each consumer and channel is, and what is stored.

use crate::{
    config::{DatabaseArgs, NatsArgs},
    output::OutputArgs,
    report::{self, ConsumerStatus},
};
use anyhow::Context;
use async_nats::jetstream;
use clap::Args;
use valera_pipeline::{
    alerts::{
        self,
        delivery::{Configured, Standing},
    },
    consume::Link,
    progress::Progress,
    service::{STREAM, Service},
    store::{
        Writer,
        reports::{self, Holdings},
    },
};

/// Show how far each consumer and channel is, and what is stored
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

impl Status {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let context = jetstream::new(Link::new(&self.nats.nats_url, "valera-status").connect().await?);
        let mut consumers = consumers(&context).await?;
        consumers.extend(channels(&context).await?);
        let mut writer = Writer::new(&self.database.database_url, "valera status", "")?;
        let holdings = reports::holdings(writer.connection().await?).await?;
        self.output
            .print(&consumers, |rows, style| format!("{}\n{}", report::status(rows, style), described(&holdings)))
    }
}

/// What JetStream says of each of our consumers.
pub(super) async fn consumers(context: &jetstream::Context) -> anyhow::Result<Vec<ConsumerStatus>> {
    context.get_stream(STREAM).await.with_context(|| {
        format!("asking for the stream {STREAM}; has `valera-analytics topology apply` been run on this server?")
    })?;
    let mut all = Vec::new();
    for name in Service::ALL.map(Service::name).into_iter().chain([alerts::NAME]) {
        let holder = if name == alerts::NAME { alerts::holder(context, name).await? } else { None };
        all.push(ConsumerStatus { holder, ..ConsumerStatus::of(STREAM, Progress::of(context, name).await?) });
    }
    Ok(all)
}

/// What stands in NATS of each channel, configured or not.
async fn channels(context: &jetstream::Context) -> anyhow::Result<Vec<ConsumerStatus>> {
    let mut all = Vec::new();
    for channel in Configured::NAMES {
        let Standing { progress, holder, last_shown_at } = Standing::of(context, channel).await?;
        all.push(ConsumerStatus { holder, last_shown_at, ..ConsumerStatus::of(report::CHANNELS, progress) });
    }
    Ok(all)
}

fn described(holdings: &Holdings) -> String {
    let last = holdings.last_hour.map_or_else(|| "none yet".to_owned(), |hour| format!("in the hour of {hour}"));
    format!(
        "{} events counted, the newest {last}; {} open dead letters; days cut in {}\n",
        holdings.events, holdings.open_letters, holdings.time_zone
    )
}
