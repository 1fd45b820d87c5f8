//! Exported files, one after another, line by line: plain, or compressed by zstd, which the first bytes tell.
//!
//! A place in them is the count of lines before it, over all files, so it holds however a file is compressed. Which files
//! they are is written down by length and by a hash of both ends: reading all of a file to know it again would take as
//! long as replaying it. Reading is done on a blocking thread, in pieces, so that a stop is heeded also while lines that
//! are durable already are passed over. It does not know what a line means.

use super::{
    drive::{Place, Read, Source},
    restored::FileLine,
};
use crate::{
    compressed::{Frames, is_compressed},
    consume::Limits,
    lines::Lines,
    store::replays::ReplayFile,
};
use anyhow::{Context, ensure};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Seek, SeekFrom},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio_util::sync::CancellationToken;
use valera_events::recorded::{self, LONGEST_LINE};

/// Whether a file whose first line this is was written by an export, plain or compressed.
#[must_use]
pub fn is_exported(first: &[u8]) -> bool {
    is_compressed(first) || recorded::is_exported(first)
}

/// How much of each end of a file goes into its hash.
const END: u64 = 64 * 1024;

/// How much is passed over before a stop is looked for.
const PASSED: usize = 8 * 1024 * 1024;

/// A file that breaks off, or that its disk does not give; what comes before has been handed over.
#[derive(Debug, thiserror::Error)]
#[error("reading {file} after {lines} lines; is it cut off?")]
pub(super) struct BrokenOff {
    file: String,
    lines: u64,
}

/// See the module.
pub(super) struct Files {
    reading: Option<Reading>,
}

/// What moves to the blocking thread and back.
struct Reading {
    files: Vec<ReplayFile>,
    /// Which of them is opened next.
    next: usize,
    open: Option<Open>,
    /// Lines read, and up to which of them they are durable.
    position: u64,
    after: u64,
    /// Bytes of the files before the one that is open.
    bytes_before: u64,
    limits: Limits,
    /// What stopped the last piece, which was worth handing over.
    failure: Option<anyhow::Error>,
}

struct Open {
    path: Arc<Path>,
    lines: Lines<Box<dyn BufRead + Send>>,
    /// How many have been read.
    number: u64,
    read: Arc<AtomicU64>,
}

/// A file that counts what is read of it.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl io::Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Files {
    /// Lines behind the first `after`, over all files.
    pub(super) fn new(files: Vec<ReplayFile>, after: u64, limits: Limits) -> Self {
        let reading =
            Reading { files, next: 0, open: None, position: 0, after, bytes_before: 0, limits, failure: None };
        Self { reading: Some(reading) }
    }
}

impl Source for Files {
    type Item = FileLine;

    async fn next(&mut self, shutdown: &CancellationToken) -> anyhow::Result<Option<Read<FileLine>>> {
        while !shutdown.is_cancelled() {
            let mut reading = self.reading.take().context("a file is read after reading it has failed")?;
            let read = tokio::task::spawn_blocking(move || {
                let read = reading.read();
                (reading, read)
            });
            let (reading, read) = read.await.context("reading a file")?;
            self.reading = Some(reading);
            match read? {
                Some(read) if read.items.is_empty() => {}
                read => return Ok(read),
            }
        }
        Ok(None)
    }
}

impl Reading {
    /// The next lines, or none of them but how far it is; `None` at the end of the last file.
    fn read(&mut self) -> anyhow::Result<Option<Read<FileLine>>> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let mut items = Vec::new();
        let (mut bytes, mut passed) = (0, 0);
        while items.len() < self.limits.messages && bytes < self.limits.bytes && passed < PASSED {
            let line = match self.line() {
                Ok(Some(line)) => line,
                Ok(None) if items.is_empty() && passed == 0 => return Ok(None),
                Ok(None) => break,
                Err(cause) if items.is_empty() => return Err(cause),
                Err(cause) => {
                    self.failure = Some(cause);
                    break;
                }
            };
            self.position += 1;
            let length = line.line.text.len();
            if self.position <= self.after || length == 0 {
                passed += length + 1;
                continue;
            }
            bytes += length;
            items.push(line);
        }
        let bytes = self.bytes_before + self.open.as_ref().map_or(0, |open| open.read.load(Ordering::Relaxed));
        Ok(Some(Read { items, upto: Place { position: self.position.max(self.after), bytes } }))
    }

    /// The next line of whatever file; a file without one does not end the list.
    fn line(&mut self) -> anyhow::Result<Option<FileLine>> {
        loop {
            let Some(open) = &mut self.open else {
                let Some(file) = self.files.get(self.next) else { return Ok(None) };
                self.open = Some(open(file)?);
                self.next += 1;
                continue;
            };
            let file = open.path.clone();
            let broken_off = || BrokenOff { file: file.display().to_string(), lines: open.number };
            let line = open.lines.next().transpose().with_context(broken_off)?;
            let Some(line) = line else {
                self.bytes_before += self.files[self.next - 1].bytes;
                self.open = None;
                continue;
            };
            open.number = line.number;
            return Ok(Some(FileLine { file, line }));
        }
    }
}

fn open(file: &ReplayFile) -> anyhow::Result<Open> {
    let path = Path::new(&file.path);
    let opening = || format!("opening {}", file.path);
    let read = Arc::new(AtomicU64::new(0));
    let counted = Counted { file: File::open(path).with_context(opening)?, read: read.clone() };
    let mut plain = BufReader::with_capacity(256 * 1024, counted);
    let reader: Box<dyn BufRead + Send> = if is_compressed(plain.fill_buf().with_context(opening)?) {
        Box::new(BufReader::with_capacity(256 * 1024, Frames::new(plain)))
    } else {
        Box::new(plain)
    };
    Ok(Open { path: path.into(), lines: Lines::new(reader, LONGEST_LINE), number: 0, read })
}

/// What a file is known by.
///
/// # Errors
/// When it cannot be read, or is something that cannot be read twice.
pub(super) fn identify(path: &Path) -> anyhow::Result<ReplayFile> {
    let reading = || format!("reading {}", path.display());
    let full = path.canonicalize().with_context(reading)?;
    let mut file = File::open(&full).with_context(reading)?;
    let about = file.metadata().with_context(reading)?;
    ensure!(about.is_file(), "{}: a replay needs files that it can open again, and this is none", path.display());
    let mut hash = Sha256::new();
    for from in [0, about.len().saturating_sub(END)] {
        file.seek(SeekFrom::Start(from)).with_context(reading)?;
        let mut end = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(&mut file, END), &mut end).with_context(reading)?;
        hash.update(&end);
    }
    let path = full.to_str().with_context(|| format!("{}: a name in UTF-8 is expected", full.display()))?;
    Ok(ReplayFile { path: path.to_owned(), bytes: about.len(), ends: HEXLOWER.encode(&hash.finalize()[..16]) })
}

/// Fails where a file is not the one that was written down.
pub(super) fn require_same(files: &[ReplayFile]) -> anyhow::Result<()> {
    for file in files {
        let now = identify(Path::new(&file.path))?;
        ensure!(
            now == *file,
            "{} is not the file that this replay began with, or has grown: begin another",
            file.path
        );
    }
    Ok(())
}

/// A name for a replay of these files.
pub(super) fn name(files: &[ReplayFile]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.bytes.to_be_bytes());
        hash.update(&file.ends);
    }
    format!("files-{}", HEXLOWER.encode(&hash.finalize()[..6]))
}
