//! `alerts test`: shows a message on the channels now, so that whoever sets one up sees that it works.
//!
//! It goes past the stream and is remembered nowhere, so each call shows one more.

use crate::{
    config::{DeliveryArgs, ZoneArgs},
    output,
};
use anyhow::{bail, ensure};
use chrono::Utc;
use clap::Args;
use uuid::Uuid;
use valera_pipeline::alerts::delivery::{Configured, Notifier};

/// Show a test message on every channel that is configured
#[derive(Debug, Args)]
pub(super) struct Test {
    /// On this channel only
    #[arg(long, value_name = "CHANNEL", value_parser = Configured::NAMES)]
    channel: Option<String>,
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    zone: ZoneArgs,
}

impl Test {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let message =
            self.delivery.texts(self.zone.time_zone.as_deref())?.test(&Uuid::now_v7().to_string(), Utc::now())?;
        let wanted = |channel: &Configured| self.channel.as_ref().is_none_or(|name| name == channel.name());
        let channels: Vec<_> = self.delivery.channels()?.into_iter().filter(wanted).collect();
        ensure!(!channels.is_empty(), "the channel {} is not configured", self.channel.unwrap_or_default());
        let mut failed = 0;
        for channel in channels {
            let shown = match channel.open() {
                Ok(mut opened) => Notifier::show(opened.as_mut(), &message).await.map(drop),
                Err(cause) => Err(cause),
            };
            match shown {
                Ok(()) => output::print(&format!("{}: shown\n", channel.name()))?,
                Err(cause) => {
                    failed += 1;
                    output::print(&format!("{}: {cause:#}\n", channel.name()))?;
                }
            }
        }
        if failed > 0 {
            bail!("{failed} channels did not show it");
        }
        Ok(())
    }
}
