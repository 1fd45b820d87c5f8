//! The program as people and scripts use it: what it says, where, and how it ends: 0 done, 1 failed or differs, 2 usage.
//!
//! Each test runs the product's binary as a second process on a system of its own. Texts are held to the parts that
//! help, not to every word.

mod publish;
mod refusals;
mod reports;
mod usage;
mod validate;

use crate::support::{Said, System};
use std::path::PathBuf;

/// The open letters' first reasons, in the order of the stream.
async fn letters(system: &System) -> Vec<(Option<String>, String)> {
    system.rows("SELECT event_name, reasons->0->>'reason' FROM dead_letters ORDER BY stream_seq").await
}

fn file(system: &System, name: &str, text: &str) -> PathBuf {
    let path = system.dir().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn import(system: &System, arguments: &[&str], path: &std::path::Path) -> Said {
    Said::by(system.program().arg("import").args(arguments).arg(path))
}
