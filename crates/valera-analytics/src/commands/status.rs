//! `status`: how far each consumer and channel is, and what is stored.
//!
//! It is asked most where something is broken, so what NATS knows is shown before Postgres is asked. It judges nothing.

use crate::{
    config::{NatsArgs, set},
    output::{self, OutputArgs},
    report::{self, ConsumerStatus},
};
use anyhow::Context;
use async_nats::jetstream::{
    self,
    stream::{Info, Stream},
};
use clap::Args;
use indicatif::BinaryBytes;
use std::time::Duration;
use valera_pipeline::{
    alerts::{
        self,
        delivery::{Configured, Standing},
    },
    consume::Link,
    progress::Progress,
    rollups,
    room::Room,
    service::{STREAM, Service},
    store::{
        Writer,
        reports::{self, Holdings},
    },
    verify,
};

/// How long the positions are waited for: they are a second's work, and whoever asks where something is broken waits for the rest.
const PATIENCE: Duration = Duration::from_secs(5);

const STATES: &str = "\
States: drained, nothing is left to do; working, messages are in hand, and where their age grows it is too slow or cannot go on;
waiting, there are messages and none is in hand: nobody runs it, or it has not begun; unserved, no notifier serves the channel.
Without Postgres the consumers are shown all the same, the cause is named, and the exit code is 1.
Where Postgres was put back to an earlier point, a line says how much it lacks; that does not change the exit code.";

/// Show how far each consumer and channel is, and what is stored
#[derive(Debug, Args)]
#[command(after_help = STATES)]
pub struct Status {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    nats: NatsArgs,
    /// Address of the database: postgres://user@host:port/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
}

impl Status {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let link = Link::new(&self.nats.nats_url, "valera-status");
        let context = jetstream::new(link.connect().await?);
        let stream = stream(&context).await?;
        let mut consumers = consumers(&context).await?;
        consumers.extend(channels(&context).await?);
        let holdings = self.holdings().await.context("Postgres");
        if let Ok(holdings) = &holdings {
            for rollups in consumers.iter_mut().filter(|consumer| consumer.name == rollups::NAME) {
                rollups.left_behind.clone_from(&holdings.left_behind);
            }
        }
        let is_for_programs = self.output.print_for_programs(&consumers)?;
        if !is_for_programs {
            let style = output::style();
            output::print(&format!("{}\n{}", report::status(&consumers, style), filled(stream.cached_info())))?;
        }
        let holdings = holdings?;
        if is_for_programs {
            return Ok(());
        }
        output::print(&described(&holdings))?;
        output::print(&self.not_held(&link).await)
    }

    /// Whether Postgres was put back to an earlier point: nobody asks `verify --position` who does not suspect it. It ends
    /// nothing, whatever becomes of it.
    async fn not_held(&self, link: &Link) -> String {
        let database_url = set(self.database_url.as_deref()).unwrap_or_default();
        match tokio::time::timeout(PATIENCE, verify::positions(link, database_url)).await {
            Ok(Ok(found)) => report::positions_amiss(&found),
            Ok(Err(cause)) => format!("whether Postgres holds what is acknowledged is not known: {cause:#}\n"),
            Err(_) => {
                let asked = PATIENCE.as_secs();
                format!(
                    "whether Postgres holds what is acknowledged was not to be learnt in {asked} s: `valera-analytics verify --position` waits longer\n"
                )
            }
        }
    }

    async fn holdings(&self) -> anyhow::Result<Holdings> {
        let database_url = set(self.database_url.as_deref());
        let database_url = database_url.context("DATABASE_URL is not set: postgres://user@host:port/database")?;
        let mut writer = Writer::new(database_url, "valera status", "")?;
        reports::holdings(writer.connection().await?).await
    }
}

async fn stream(context: &jetstream::Context) -> anyhow::Result<Stream> {
    context.get_stream(STREAM).await.with_context(|| {
        format!("asking for the stream {STREAM}; has `valera-analytics topology apply` been run on this server?")
    })
}

/// What JetStream says of each of our consumers.
pub(super) async fn consumers(context: &jetstream::Context) -> anyhow::Result<Vec<ConsumerStatus>> {
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

fn filled(info: &Info) -> String {
    let held = format!("{STREAM} holds {} messages, {}", info.state.messages, BinaryBytes(info.state.bytes));
    match Room::of(info) {
        Some(room) => format!("{held} of {} ({} %)\n", BinaryBytes(room.max_bytes), room.percent()),
        None => format!("{held}, without a bound\n"),
    }
}

fn described(holdings: &Holdings) -> String {
    let last = holdings.last_hour.map_or_else(|| "none yet".to_owned(), |hour| format!("in the hour of {hour}"));
    let left_behind = holdings.left_behind.as_ref().map_or_else(String::new, |schema| {
        format!(
            "a rebuild or swap back was killed and left something in the schema {schema}, into which folds may still \
             write: `valera-analytics rebuild` removes it\n"
        )
    });
    format!(
        "{} events counted, the newest {last}; {} open dead letters; days cut in {}\n{left_behind}",
        holdings.events, holdings.open_letters, holdings.time_zone
    )
}
