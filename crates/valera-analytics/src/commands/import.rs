//! `import`: publishes a file of events, one JSON object a line, as an older system kept them.
//!
//! A line without an id gets a `Nats-Msg-Id` from its own text, so importing a file twice changes nothing where each line
//! has an id or a time. One with neither occurs when it is received: after the broker's window it is another event. Flawed
//! lines are named and published all the same: the dead letters keep their bytes until they are mended.

use crate::{config::NatsArgs, output};
use anyhow::{Context, bail};
use bytes::Bytes;
use chrono::Utc;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::PathBuf,
    time::Instant,
};
use valera_events::{Headers, Origin, Verdict, check, id, subject};
use valera_pipeline::consume::Link;
use valera_tracker::{Outgoing, Publisher};

/// How many flawed lines are named one by one.
const NAMED: usize = 20;

/// Publish a file of events, one JSON object a line
#[derive(Debug, Args)]
pub struct Import {
    /// The file; - is standard input
    file: PathBuf,
    /// Say what would be published, and publish nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    nats: NatsArgs,
}

/// The one field that decides where a line goes.
#[derive(Deserialize)]
struct Named {
    event_name: Option<String>,
}

#[derive(Default)]
struct Count {
    lines: u64,
    flawed: u64,
}

impl Import {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let (reader, bytes): (Box<dyn Read + Send>, u64) = if self.file.as_os_str() == "-" {
            (Box::new(io::stdin()), 0)
        } else {
            let file = File::open(&self.file).with_context(|| format!("opening {}", self.file.display()))?;
            let bytes = file.metadata()?.len();
            (Box::new(file), bytes)
        };
        let progress = progress_bar(bytes);
        let mut count = Count::default();
        let mut failure = None;
        let lines = BufReader::new(progress.wrap_read(reader)).split(b'\n');
        let messages = lines.map_while(|line| line.map_err(|cause| failure = Some(cause)).ok());
        let messages = messages.filter_map(|line| outgoing(line, &mut count));
        let started = Instant::now();
        let (mut published, mut known) = (0_u64, 0_u64);
        if self.dry_run {
            messages.for_each(drop);
        } else {
            let client = Link::new(&self.nats.nats_url, "valera-import").connect().await?;
            let publisher = Publisher::new(client);
            let result = publisher
                .publish_all(messages, |receipt| {
                    published += 1;
                    known += u64::from(receipt.duplicate);
                })
                .await;
            result.with_context(|| {
                format!(
                    "after {published} events; importing the file again is safe where each line has an id or a time"
                )
            })?;
        }
        progress.finish_and_clear();
        if let Some(cause) = failure {
            return Err(cause)
                .with_context(|| format!("reading {} after {} lines", self.file.display(), count.lines));
        }
        let rate = published as f64 / started.elapsed().as_secs_f64().max(0.001);
        output::print(&format!(
            "{} events, {} flawed; {published} published ({known} of them known to the broker) at {rate:.0}/s\n",
            count.lines, count.flawed
        ))?;
        if count.flawed > 0 {
            bail!("{} flawed events end in the dead letters, where they can be mended and retried", count.flawed);
        }
        Ok(())
    }
}

fn progress_bar(bytes: u64) -> ProgressBar {
    if bytes == 0 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style)
}

/// The message of a line; `None` for an empty one.
fn outgoing(line: Vec<u8>, count: &mut Count) -> Option<Outgoing> {
    if line.trim_ascii().is_empty() {
        return None;
    }
    count.lines += 1;
    let name = serde_json::from_slice::<Named>(&line).ok().and_then(|line| line.event_name).unwrap_or_default();
    let subject = subject::of_event(&name).unwrap_or_else(|| subject::INVALID.to_owned());
    let body = Bytes::from(line);
    let msg_id = format!("import/{}", id::letter_id(uuid::Uuid::nil(), &body));
    let headers = Headers { msg_id: Some(&msg_id), origin: Origin::Import };
    if let Verdict::Rejected(rejection) = check(&subject, &headers, &body, Utc::now()) {
        count.flawed += 1;
        if count.flawed <= NAMED as u64 {
            let reasons: Vec<_> = rejection.reasons.iter().map(ToString::to_string).collect();
            tracing::warn!(line = count.lines, reasons = reasons.join("; "), "flawed");
        }
    }
    Some(Outgoing { subject, msg_id: Some(msg_id), origin: Origin::Import, body })
}
