//! The machine that figures belong to.
//!
//! It does not judge whether the machine was quiet; it says how busy it was.

use crate::{
    ground::Ground,
    host::{self, value},
    results::Machine,
};
use chrono::Utc;
use std::{fs, thread};

pub(crate) async fn describe(ground: &Ground) -> anyhow::Result<Machine> {
    let postgres: String = sqlx::query_scalar("SELECT current_setting('server_version')")
        .fetch_one(&mut ground.postgres().await?)
        .await?;
    let memory_kb: f64 = value("/proc/meminfo", "MemTotal").trim_end_matches("kB").trim().parse().unwrap_or(f64::NAN);
    Ok(Machine {
        cpu: host::cpu(),
        cores: thread::available_parallelism()?.get(),
        memory_gb: memory_kb / 1024.0 / 1024.0,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        postgres,
        nats_server: ground.context().client().server_info().version,
        load_before: host::load().unwrap_or(f64::NAN),
        date: Utc::now().date_naive().to_string(),
    })
}
