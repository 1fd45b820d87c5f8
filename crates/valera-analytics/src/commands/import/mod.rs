//! `import`: publishes a file of events, one JSON object a line, as an older system kept them.
//!
//! Importing a file twice changes nothing, as long as the keys are the same: a line without an id gets a `Nats-Msg-Id`
//! from its own text. Personal values become pseudonyms before they leave this process. Flawed lines are named and
//! published all the same, for the dead letters keep them until they are mended; only lines that could not be found
//! again, or not be cleaned, stay in the file, and are named too.
//!
//! It does not decide what becomes of a line: `line` does.

mod line;

use super::lines::{self, Lines};
use crate::{
    config::{ContentKeyArgs, NatsArgs, PseudonymKeysArgs},
    output,
};
use anyhow::{Context, bail};
use chrono::Utc;
use clap::Args;
use indicatif::ProgressBar;
use line::Line;
use std::{
    io::{self, BufReader},
    path::PathBuf,
    time::Instant,
};
use valera_events::Keys;
use valera_pipeline::{consume::Link, replay::is_exported};
use valera_tracker::{MAX_BODY, Outgoing, Publisher};

/// How many lines are named one by one.
const NAMED: u64 = 20;

const EXAMPLE: &str = r#"Example of a line, with event_id (a UUIDv7) or occurred_at, or both:
  {"event_name":"ai_dialog_started","chat_id":42,"occurred_at":"2026-11-24T12:00:00+03:00","properties":{}}

A second import of the same file changes nothing."#;

/// Publish a file of events, one JSON object a line
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct Import {
    /// The file; - is standard input
    file: PathBuf,
    /// Say what would be published, and publish nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    content_key: ContentKeyArgs,
    #[command(flatten)]
    pseudonym_keys: PseudonymKeysArgs,
}

/// What became of the lines.
#[derive(Default)]
struct Count {
    /// All lines read, empty ones too.
    lines: u64,
    events: u64,
    flawed: u64,
    left_out: u64,
}

impl Import {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let keys = Keys { content: self.content_key.load()?, pseudonym: self.pseudonym_keys.load()? };
        let (reader, bytes) = lines::open(&self.file)?;
        let progress = progress_bar(bytes);
        let mut count = Count::default();
        let mut failure = None;
        let lines = Lines::new(BufReader::new(progress.wrap_read(reader)), MAX_BODY);
        let lines =
            lines.map(|line| line.and_then(|line| if is_exported(&line.text) { Err(exported()) } else { Ok(line) }));
        let lines = lines.map_while(|line| line.map_err(|cause| failure = Some(cause)).ok());
        let messages = lines.filter_map(|line| count.outgoing(&line, &keys));
        let started = Instant::now();
        let (published, known) = self.publish(messages).await?;
        progress.finish_and_clear();
        if let Some(cause) = failure {
            return Err(cause)
                .with_context(|| format!("reading {} after {} lines", self.file.display(), count.lines));
        }
        let rate = published as f64 / started.elapsed().as_secs_f64().max(0.001);
        let Count { events, flawed, left_out, .. } = count;
        output::print(&format!(
            "{events} events, {flawed} flawed, {left_out} left out; \
             {published} published ({known} of them known to the broker) at {rate:.0}/s\n"
        ))?;
        match (flawed, left_out) {
            (0, 0) => Ok(()),
            (_, 0) => bail!("{flawed} flawed: they end in the dead letters, where they can be mended and retried"),
            (0, _) => bail!("{left_out} left out: mend them in the file and import it again"),
            _ => bail!(
                "{flawed} flawed, which end in the dead letters and can be mended there; {left_out} left out: mend them \
                 in the file and import it again"
            ),
        }
    }

    /// How many were published, and how many of these the broker knew.
    async fn publish(&self, messages: impl Iterator<Item = Outgoing>) -> anyhow::Result<(u64, u64)> {
        let (mut published, mut known) = (0, 0);
        if self.dry_run {
            messages.for_each(drop);
            return Ok((published, known));
        }
        let client = Link::new(&self.nats.nats_url, "valera-import").connect().await?;
        let publisher = Publisher::new(client);
        let result = publisher
            .publish_all(messages, |receipt| {
                published += 1;
                known += u64::from(receipt.duplicate);
            })
            .await;
        result.with_context(|| format!("after {published} events; importing the file again is safe"))?;
        Ok((published, known))
    }
}

impl Count {
    /// The message of a line; `None` for an empty one and one that is left out.
    fn outgoing(&mut self, line: &lines::Line, keys: &Keys) -> Option<Outgoing> {
        self.lines = line.number;
        let text = line.text.trim_ascii();
        if text.is_empty() && line.whole {
            return None;
        }
        self.events += 1;
        match line::read(text, line.whole, keys, Utc::now()) {
            Line::Publish { message, flaws } => {
                if let Some(flaws) = flaws {
                    self.flawed += 1;
                    self.name("flawed", &flaws.to_string());
                }
                Some(message)
            }
            Line::LeftOut(why) => {
                self.left_out += 1;
                self.name("left out", &why);
                None
            }
        }
    }

    fn name(&self, what: &str, reasons: &str) {
        if self.flawed + self.left_out <= NAMED {
            tracing::warn!(line = self.lines, reasons, "{what}");
        }
    }
}

/// What is stored was cleaned and completed: published, it would be judged anew, and be other content.
fn exported() -> io::Error {
    io::Error::other(
        "`export` wrote what comes next, and nothing was published of it: `valera-analytics replay --into persister \
         --file FILE` puts it back, then the same with --into rollups",
    )
}

fn progress_bar(bytes: u64) -> ProgressBar {
    if bytes == 0 {
        return ProgressBar::hidden();
    }
    let bar = output::progress_bar("{bytes}/{total_bytes}");
    bar.set_length(bytes);
    bar
}
