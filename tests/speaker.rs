//! A bot in a process of its own, which can be killed: tracks what it is told on standard input, one event a line, and says of
//! each on standard output what became of it, in order. The tracker is configured by the environment, as the product's.
//!
//! At the end of its input it shuts the tracker down and waits as long as it takes, or `--leave` goes without a word.

use clap::Parser;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    io::{BufRead, Write},
    time::Duration,
};
use valera_tracker::{Event, Tracked, Tracker};

#[derive(Parser)]
struct Speaker {
    /// Go at the end of the input as a bot goes that knows nothing of its tracker
    #[arg(long)]
    leave: bool,
}

#[derive(Deserialize)]
struct Line {
    event: String,
    chat_id: i64,
    #[serde(default)]
    properties: Map<String, Value>,
    session_id: Option<String>,
    platform: Option<String>,
    #[serde(default)]
    durable: bool,
    /// Call the helper that tells a dialog once a day.
    #[serde(default)]
    dialog: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    valera_analytics::config::log_to_stderr(true);
    let speaker = Speaker::parse();
    let tracker = Tracker::from_env()?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let tracked = speak(&tracker, serde_json::from_str(&line?)?).await;
        writeln!(out, "{}", word(&tracked))?;
        out.flush()?;
    }
    if !speaker.leave {
        let left = tracker.shutdown(Duration::from_secs(120)).await;
        writeln!(out, "{left:?}")?;
    }
    Ok(())
}

async fn speak(tracker: &Tracker, line: Line) -> Tracked {
    if line.dialog {
        return tracker.dialog_started(line.chat_id, "text");
    }
    let mut event = Event::new(line.event, line.chat_id);
    for (key, value) in line.properties {
        event = event.with(key, value);
    }
    if let Some(session_id) = line.session_id {
        event = event.session(session_id);
    }
    if let Some(platform) = line.platform {
        event = event.platform(platform);
    }
    if line.durable { tracker.track_durable(event).await } else { tracker.track(event) }
}

fn word(tracked: &Tracked) -> &'static str {
    match tracked {
        Tracked::Queued => "queued",
        Tracked::Flawed(_) => "flawed",
        Tracked::Repeated => "repeated",
        Tracked::Disabled => "disabled",
        Tracked::Dropped(_) => "dropped",
    }
}
