//! `track`: publishes one event, as the bot would.
//!
//! Personal values are concealed before the event leaves this process, as closely as the bot does it: the stream keeps it
//! for a year. A flawed
//! event is named and published all the same: it must survive, and the dead letters keep it.
//!
//! It does not publish what it cannot clean of personal values.

use crate::{
    config::{NatsArgs, PseudonymKeysArgs},
    output,
};
use anyhow::{Context, bail, ensure};
use chrono::{DateTime, SubsecRound, Utc};
use clap::Args;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;
use uuid::Uuid;
use valera_events::{Headers, Origin, Verdict, check, id, privacy::conceal_body, subject};
use valera_pipeline::consume::Link;
use valera_tracker::{MAX_BODY, Outgoing, Publisher};

const EXAMPLE: &str =
    "Example: track service_suggested --chat-id 42 --property service_name=paint --property confidence_score=0.9";

/// Publish one event
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct Track {
    /// Its name, for example booking_request_created
    event: String,
    /// The chat it belongs to
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    chat_id: i64,
    /// A property; the value is JSON, or text where it is not
    #[arg(long = "property", value_name = "KEY=VALUE", value_parser = property)]
    properties: Vec<(String, Box<RawValue>)>,
    /// When it occurred [default: now]
    #[arg(long, value_name = "RFC3339")]
    occurred_at: Option<DateTime<Utc>>,
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    pseudonym_keys: PseudonymKeysArgs,
}

/// Numbers keep their spelling: through a float, 15000.50 would become 15000.5.
fn property(text: &str) -> Result<(String, Box<RawValue>), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    let value = serde_json::from_str(value).or_else(|_| to_raw_value(value)).map_err(|cause| cause.to_string())?;
    Ok((key.to_owned(), value))
}

#[derive(Serialize)]
struct Body<'a> {
    event_id: Uuid,
    event_name: &'a str,
    chat_id: i64,
    occurred_at: DateTime<Utc>,
    properties: BTreeMap<&'a str, &'a RawValue>,
}

impl Track {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let keys = self.pseudonym_keys.load()?;
        let now = Utc::now();
        let occurred_at = self.occurred_at.unwrap_or(now).trunc_subsecs(6);
        let event_id = id::mint(occurred_at, rand::random());
        let body = Body {
            event_id,
            event_name: &self.event,
            chat_id: self.chat_id,
            occurred_at,
            properties: self.properties.iter().map(|(key, value)| (key.as_str(), &**value)).collect(),
        };
        let body = serde_json::to_vec(&body)?;
        ensure!(body.len() <= MAX_BODY, "not published: an event has at most {MAX_BODY} bytes; got {}", body.len());
        let subject = subject::of_event_or_invalid(&self.event);
        let Some(cleaned) = conceal_body(&subject, &body, &keys) else {
            let why = flaws(&subject, &body, now).unwrap_or_default();
            bail!("not published, because it cannot be cleaned of personal values: {why}");
        };
        let flaws = flaws(&subject, &cleaned, now);
        let client = Link::new(&self.nats.nats_url, "valera-track").connect().await?;
        let message = Outgoing {
            subject: subject.clone(),
            msg_id: Some(event_id.to_string()),
            origin: Origin::Live,
            body: cleaned.into_owned().into(),
        };
        let receipt = Publisher::new(client).publish(message).await.context("publishing")?;
        output::print(&format!("{event_id} published to {subject} as sequence {}\n", receipt.sequence))?;
        flaws.map_or(Ok(()), |flaws| bail!("it will end in the dead letters: {flaws}"))
    }
}

fn flaws(subject: &str, body: &[u8], now: DateTime<Utc>) -> Option<String> {
    match check(subject, &Headers::default(), body, now) {
        Verdict::Accepted(_) => None,
        Verdict::Rejected(rejection) => Some(rejection.to_string()),
    }
}
