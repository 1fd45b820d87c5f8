//! The machine that figures belong to.
//!
//! It does not judge whether the machine was quiet; it says how busy it was.

use crate::{ground::Ground, results::Machine};
use chrono::Utc;
use std::{fs, thread};

pub(crate) async fn describe(ground: &Ground) -> anyhow::Result<Machine> {
    let postgres: String = sqlx::query_scalar("SELECT current_setting('server_version')")
        .fetch_one(&mut ground.postgres().await?)
        .await?;
    let memory_kb: f64 = value("/proc/meminfo", "MemTotal").trim_end_matches("kB").trim().parse().unwrap_or(f64::NAN);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Ok(Machine {
        cpu: value("/proc/cpuinfo", "model name"),
        cores: thread::available_parallelism()?.get(),
        memory_gb: memory_kb / 1024.0 / 1024.0,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        postgres,
        nats_server: ground.context().client().server_info().version,
        load_before: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN),
        date: Utc::now().date_naive().to_string(),
    })
}

/// What stands behind a name and a colon.
fn value(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
}
