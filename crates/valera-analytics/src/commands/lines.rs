//! The file that a command reads line by line, or standard input.
//!
//! It does not know what a line means.

use anyhow::Context;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

pub(super) use valera_pipeline::lines::{Line, Lines};

/// A file, or standard input for `-`, and its size in bytes; 0 where nobody knows it.
pub(super) fn open(file: &Path) -> anyhow::Result<(Box<dyn Read + Send>, u64)> {
    if file.as_os_str() == "-" {
        return Ok((Box::new(io::stdin()), 0));
    }
    let opening = || format!("opening {}", file.display());
    let opened = File::open(file).with_context(opening)?;
    let bytes = opened.metadata().with_context(opening)?.len();
    Ok((Box::new(opened), bytes))
}
