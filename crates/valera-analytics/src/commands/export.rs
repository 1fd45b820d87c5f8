//! `export`: raw events as sealed lines, into a file or a pipe; `replay --file` puts them back.
//!
//! A file is written beside its place and moved there when it is whole and on the disk, so whatever bears the name is an
//! export from its first line to its last. It does not export dead letters or rollups: the former are not events, the
//! latter follow from them.

use super::stop;
use crate::{
    config::{ContentKeyArgs, DatabaseArgs},
    output::{self, OutputArgs, WrongUsage},
    report::Row,
};
use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Days, NaiveDate, Utc};
use clap::{
    Args,
    builder::{PathBufValueParser, TypedValueParser},
};
use serde::Serialize;
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    str::FromStr,
};
use tempfile::NamedTempFile;
use valera_pipeline::{
    compressed::frame,
    export::{self, Progress},
    store::{
        Writer,
        export::{Wanted, starts_at},
    },
};

const EXAMPLE: &str = "A line is an event as it is stored, under a seal:
  valera-analytics export --out events.ndjson.zst
  valera-analytics export --from 2026-11-01 --to 2026-11-30 --event booking_request_created --out -";

/// Write raw events to a file, one sealed JSON object a line
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct Export {
    /// The file, compressed when its name ends in .zst; - is standard output
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(of_a_form))]
    out: PathBuf,
    /// Events that occurred from here on: a local day, for example 2026-11-24, or a time
    #[arg(long, value_name = "DAY|TIME")]
    from: Option<Edge>,
    /// Up to here: the end of a local day, or before a time
    #[arg(long, value_name = "DAY|TIME")]
    to: Option<Edge>,
    /// Only events of these names
    #[arg(long, value_name = "NAME", num_args = 1..)]
    event: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    content_key: ContentKeyArgs,
}

/// The end of a name whose file is compressed.
const COMPRESSED: &str = "zst";

/// What was written.
#[derive(Debug, Serialize)]
struct Exported {
    file: String,
    events: u64,
    bytes: u64,
}

impl Row for Exported {
    const COLUMNS: &'static [&'static str] = &["file", "events", "bytes"];
}

/// One end of the period.
#[derive(Debug, Clone, Copy)]
enum Edge {
    Day(NaiveDate),
    Time(DateTime<Utc>),
}

impl FromStr for Edge {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(day) = super::period::day(text) {
            return Ok(Self::Day(day));
        }
        let time = DateTime::parse_from_rfc3339(text);
        time.map(|at| Self::Time(at.to_utc()))
            .map_err(|_| "expected a day, for example 2026-11-24, or a time, for example 2026-11-24T12:00:00+03:00")
    }
}

/// Ends of names that promise a compression which is not there; `zstd` and `ZST` are not what is looked for.
const OTHER_FORMS: &[&str] = &["gz", "tgz", "bz2", "xz", "zip", "lz4", "7z", "zstd", "zst"];

fn of_a_form(out: PathBuf) -> Result<PathBuf, String> {
    let end = out.extension().and_then(OsStr::to_str).unwrap_or_default();
    let is_other = end != COMPRESSED && OTHER_FORMS.iter().any(|other| end.eq_ignore_ascii_case(other));
    if is_other {
        return Err(format!(
            "an export is not written as .{end}: a name that ends in .{COMPRESSED} is compressed, any other one is plain text"
        ));
    }
    Ok(out)
}

impl Export {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        ensure!(
            self.out.as_os_str() != "-" || !self.output.is_for_programs(),
            WrongUsage(
                "--out - writes events to standard output, which --json and --csv would write to too".to_owned()
            )
        );
        let key = self.content_key.load()?;
        let mut sink = Sink::open(&self.out)?;
        let wanted = self.wanted().await?;
        let shutdown = stop::on_signal()?;
        let bar = output::progress_bar("{percent} %");
        let watch = |Progress { events, passed, of }| {
            bar.set_length(of);
            bar.set_position(passed);
            bar.set_message(format!("{events} events"));
        };
        let write = |lines: &[u8]| Ok(tokio::task::block_in_place(|| sink.write(lines))?);
        let url = &self.database.database_url;
        let events = export::export(url, &key, &wanted, write, watch, &shutdown).await?;
        if events == 0 {
            self.remark_on_nothing();
            // No byte at all would be no compressed file; an empty frame is one.
            sink.write(b"").with_context(|| format!("writing {}", self.out.display()))?;
        }
        let place = sink.finish(&self.out)?;
        bar.finish_and_clear();
        let Some(bytes) = place else { return Ok(()) };
        let exported = Exported { file: self.out.display().to_string(), events, bytes };
        self.output.print(&[exported], |_, _| format!("{events} events, {bytes} bytes in {}\n", self.out.display()))
    }

    /// A period may be empty, but an event or a day that was mistyped looks the same.
    fn remark_on_nothing(&self) {
        let names = match self.event.as_slice() {
            [] => String::new(),
            names => format!(" of {}", names.join(", ")),
        };
        let period = if self.from.is_some() || self.to.is_some() { " in this period" } else { "" };
        output::note(&format!("no event{names}{period} is stored: the export is empty"));
    }

    async fn wanted(&self) -> anyhow::Result<Wanted> {
        let mut writer = Writer::new(&self.database.database_url, "valera export", "")?;
        let mut moment = async |edge: Option<Edge>, ends: bool| match edge {
            None => Ok(None),
            Some(Edge::Time(at)) => Ok(Some(at)),
            Some(Edge::Day(day)) => {
                let day = if ends { day.checked_add_days(Days::new(1)).unwrap_or(day) } else { day };
                starts_at(writer.connection().await?, day).await.map(Some)
            }
        };
        let (from, to) = (moment(self.from, false).await?, moment(self.to, true).await?);
        if let (Some(from), Some(to)) = (from, to) {
            ensure!(from < to, WrongUsage("the period ends before it begins: --from lies behind --to".to_owned()));
        }
        Ok(Wanted { from, to, names: self.event.clone() })
    }
}

/// Where lines go.
struct Sink {
    writer: BufWriter<Box<dyn Write + Send>>,
    is_compressed: bool,
    /// `None` for standard output.
    part: Option<NamedTempFile>,
}

impl Sink {
    fn open(out: &Path) -> anyhow::Result<Self> {
        if out.as_os_str() == "-" {
            return Ok(Self { writer: BufWriter::new(Box::new(io::stdout())), is_compressed: false, part: None });
        }
        if fs::metadata(out).is_ok_and(|there| !there.is_file()) {
            bail!("{} is no regular file, and would be replaced: --out - writes to standard output", out.display());
        }
        let writing = || format!("writing beside {}", out.display());
        let prefix = format!(".{}.", out.file_name().context("--out names no file")?.to_string_lossy());
        let part = tempfile::Builder::new().prefix(&prefix).suffix(".part").tempfile_in(directory(out));
        let part = part.with_context(writing)?;
        let file = part.reopen().with_context(writing)?;
        let is_compressed = out.extension().is_some_and(|extension| extension == COMPRESSED);
        Ok(Self { writer: BufWriter::new(Box::new(file)), is_compressed, part: Some(part) })
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_compressed { self.writer.write_all(&frame(lines)) } else { self.writer.write_all(lines) }
    }

    /// Puts the file in its place; of how many bytes it is.
    fn finish(mut self, out: &Path) -> anyhow::Result<Option<u64>> {
        let writing = || format!("writing {}", out.display());
        self.writer.flush().with_context(writing)?;
        let Some(part) = self.part else { return Ok(None) };
        part.as_file().sync_all().with_context(writing)?;
        let file = part.persist(out).with_context(writing)?;
        File::open(directory(out)).and_then(|directory| directory.sync_all()).with_context(writing)?;
        Ok(Some(file.metadata().with_context(writing)?.len()))
    }
}

fn directory(out: &Path) -> &Path {
    out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
