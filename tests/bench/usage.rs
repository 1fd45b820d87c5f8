//! What processes have used, from `/proc`: CPU time and memory.
//!
//! Postgres is a postmaster with a process a session, so its CPU is that of the postmaster, of its living children and of
//! those it has buried. Linux only, like the figures.
//!
//! It does not start or stop anything.

use anyhow::{Context, anyhow};
use std::fs;

/// The kernel's unit of CPU time in `/proc`, on every architecture it is built for today.
const TICKS_PER_SECOND: f64 = 100.0;

struct Times {
    parent: u32,
    own: u64,
    buried: u64,
}

impl Times {
    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // pid (name) state parent …, and a name may hold spaces and brackets; utime is the twelfth after the name.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            own: number(11)? + number(12)?,
            buried: number(13)? + number(14)?,
        })
    }
}

fn children(parent: u32) -> impl Iterator<Item = (u32, Times)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, Times::read(pid)?))).filter(move |(_, times)| times.parent == parent)
}

/// CPU seconds, user and system, of a process and its children, since they started.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let times = Times::read(pid).with_context(|| format!("process {pid} is gone"))?;
    let living: u64 = children(pid).map(|(_, times)| times.own).sum();
    Ok((times.own + times.buried + living) as f64 / TICKS_PER_SECOND)
}

/// The most memory that a process has had resident, in MB.
pub(crate) fn peak_rss_mb(pid: u32) -> anyhow::Result<f64> {
    kilobytes(&format!("/proc/{pid}/status"), "VmHWM:").map(|peak| peak / 1024.0)
}

/// The memory of a process and its children, in MB; shared pages in proportion.
pub(crate) fn memory_mb(pid: u32) -> anyhow::Result<f64> {
    let share = |pid: u32| kilobytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:");
    // A child may have ended since it was listed.
    let of_children: f64 = children(pid).filter_map(|(pid, _)| share(pid).ok()).sum();
    Ok((share(pid)? + of_children) / 1024.0)
}

fn kilobytes(path: &str, name: &str) -> anyhow::Result<f64> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_ascii_whitespace().next());
    number.and_then(|number| number.parse().ok()).ok_or_else(|| anyhow!("no {name} in {path}"))
}
