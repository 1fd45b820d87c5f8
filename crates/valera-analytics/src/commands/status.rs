//! `status`: how far each consumer is, and what is stored.

use crate::{
    config::{DatabaseArgs, NatsArgs},
    output::OutputArgs,
    report::{self, ConsumerStatus},
};
use anyhow::Context;
use async_nats::jetstream;
use chrono::{DateTime, Utc};
use clap::Args;
use valera_pipeline::{
    consume::Link,
    service::{STREAM, Service},
    store::{
        Writer,
        reports::{self, Holdings},
    },
    topology,
};

/// Show how far each consumer is, and what is stored
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
        let client = Link::new(&self.nats.nats_url, "valera-status").connect().await?;
        let consumers = consumers(&jetstream::new(client)).await?;
        let mut writer = Writer::new(&self.database.database_url, "valera status", "")?;
        let holdings = reports::holdings(writer.connection().await?).await?;
        self.output
            .print(&consumers, |rows, style| format!("{}\n{}", report::status(rows, style), described(&holdings)))
    }
}

/// What JetStream says of each of our consumers.
pub(super) async fn consumers(context: &jetstream::Context) -> anyhow::Result<Vec<ConsumerStatus>> {
    let stream = context.get_stream(STREAM).await.with_context(|| {
        format!("asking for the stream {STREAM}; has `valera-analytics topology apply` been run on this server?")
    })?;
    let mut all = Vec::new();
    for service in Service::ALL {
        let consumer = topology::bind(context, STREAM, service.name()).await?;
        let info = consumer.cached_info();
        let next = info.ack_floor.stream_sequence + 1;
        let unsettled = info.num_pending > 0 || info.num_ack_pending > 0;
        let oldest = if unsettled { stream.get_raw_message(next).await.ok() } else { None };
        all.push(ConsumerStatus {
            name: service.name().to_owned(),
            pending: info.num_pending,
            ack_pending: info.num_ack_pending as u64,
            redelivered: info.num_redelivered as u64,
            oldest_seconds: oldest.map(|message| age_seconds(message.time)),
        });
    }
    Ok(all)
}

fn age_seconds(since: DateTime<Utc>) -> u64 {
    u64::try_from((Utc::now() - since).num_seconds()).unwrap_or(0)
}

fn described(holdings: &Holdings) -> String {
    let last = holdings.last_hour.map_or_else(|| "none yet".to_owned(), |hour| format!("in the hour of {hour}"));
    format!(
        "{} events counted, the newest {last}; {} open dead letters; days cut in {}\n",
        holdings.events, holdings.open_letters, holdings.time_zone
    )
}
