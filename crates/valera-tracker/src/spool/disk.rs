//! The file system as the spool sees it: one directory, few operations, each of which may fail.
//!
//! A trait, so that tests can fill the disk, slow it down or cut the power at any byte. Files are named, not held open: one
//! call a batch costs little, and what failed leaves nothing half open.
//!
//! It does not know what the files hold.

use std::{
    fmt,
    fs::{self, File},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    path::PathBuf,
};

/// The ownership of a directory: dropping it lets go.
pub type Ownership = Box<dyn fmt::Debug + Send>;

/// A directory of files.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes the directory and becomes its only owner, until what it gives is dropped or the process ends.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] when another owner holds it; else why it cannot be used.
    fn lock(&self) -> io::Result<Ownership>;

    /// Every file, with its length in bytes.
    ///
    /// # Errors
    /// When the directory cannot be read.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Appends to a file, which is made where there is none. It may have written a part when it fails.
    ///
    /// # Errors
    /// When not all was written.
    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Brings a file's bytes and its name to the disk.
    ///
    /// # Errors
    /// When that is not certain.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Up to `length` bytes from `offset` on; fewer where the file ends.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Removes a file.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// A real directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

/// Held by the owner. The kernel lets go of it when the process dies, however it dies.
const LOCK: &str = "lock";

impl Directory {
    /// Nothing is touched yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Disk for Directory {
    fn lock(&self) -> io::Result<Ownership> {
        fs::create_dir_all(&self.path)?;
        let file = File::options().write(true).create(true).truncate(false).open(self.path.join(LOCK))?;
        file.try_lock().map_err(io::Error::from)?;
        Ok(Box::new(file))
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                files.push((name, metadata.len()));
            }
        }
        Ok(files)
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        File::options().append(true).create(true).open(self.path.join(name))?.write_all(bytes)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        match File::open(self.path.join(name)) {
            Ok(file) => file.sync_data()?,
            // Retired meanwhile: what it held is acknowledged.
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
            Err(cause) => return Err(cause),
        }
        File::open(&self.path)?.sync_all()
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path.join(name))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }
}
