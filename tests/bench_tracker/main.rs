//! `make bench-tracker`: what a call of the tracker costs the bot while everything around it misbehaves, and how fast its
//! spool drains beside a bare publisher.
//!
//! Servers are its own, configured as shipped but where a case says otherwise; events are constructed outside the clock.
//!
//! It does not judge: the report goes to `docs/tracker-performance.md`.

#[path = "../bad_disk.rs"]
mod bad_disk;
mod calls;
mod drain;
#[path = "../bench/host.rs"]
mod host;
#[path = "../users.rs"]
mod users;

use anyhow::Context;
use std::fs;
use valera_analytics::{config, output};
use valera_events::{ContentKey, PseudonymKeys};

const REPORT: &str = "docs/tracker-performance.md";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    config::prepare()?;
    let text = format!(
        "# What the tracker costs\n\nWritten by `make bench-tracker` on {} cores ({}), built with the profile `dist`, at a load of {:.2} before it \
         began; {}.\n\n{}\n{}",
        std::thread::available_parallelism()?,
        host::cpu(),
        host::load().unwrap_or(f64::NAN),
        chrono::Utc::now().date_naive(),
        calls::measure().await?,
        drain::measure().await?
    );
    fs::write(REPORT, &text).with_context(|| format!("writing {REPORT}"))?;
    output::print(&text)
}

fn keys() -> anyhow::Result<PseudonymKeys> {
    Ok(PseudonymKeys::parse(&format!("k1:{}", ContentKey::from_bytes(rand::random()).to_hex()))?)
}
