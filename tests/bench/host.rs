//! What the kernel says of this machine, for the reports of both benchmarks.

use std::fs;

/// The processor's name.
pub(crate) fn cpu() -> String {
    value("/proc/cpuinfo", "model name")
}

/// The load of the last minute; `None` where it is not known.
pub(crate) fn load() -> Option<f64> {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next()?.parse().ok()
}

/// What stands behind a name and a colon.
pub(crate) fn value(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
}
