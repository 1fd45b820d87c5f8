//! The directory that one server lives in: its lock, its port, its log, and whoever still runs there.
//!
//! The lock is the operating system's and ends with the program that holds it, so no stale file can keep a server from
//! starting; a server that outlived its program is found by the directory it works in, and ended, since whoever holds
//! the lock is the only one entitled to run anything here.
//!
//! It does not know which server it is the home of.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rand::Rng;
use socket2::{Domain, Socket, Type};

use super::processes;
use super::spawn::{self, Signal};
use super::user::{self, User};

/// Below the ports that systems hand out for outgoing connections: while a server is down, none of those takes its port.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How long a leftover server may take over a clean end before it is killed.
const LEFTOVER_GRACE: Duration = Duration::from_secs(10);
/// A log beyond this many bytes begins anew at the next start.
const LOG_LIMIT: u64 = 4 * 1024 * 1024;

pub(super) struct Home {
    pub(super) dir: PathBuf,
    pub(super) user: Option<User>,
    /// Held for as long as the server may run.
    _lock: File,
}

impl Home {
    /// Creates `dir` if need be, takes it for this program and ends what a previous run left there.
    pub(super) async fn open(dir: &Path) -> Result<Self> {
        let opening = || format!("taking {} for a server", dir.display());
        fs::create_dir_all(dir).with_context(opening)?;
        let dir = dir.canonicalize().with_context(opening)?;
        let user = user::server_user();
        if let Some(user) = user {
            let above = dir.parent().and_then(|above| user::obstacle(above, user));
            if let Some(above) = above {
                bail!(
                    "the servers run as user {}, who may not enter {}: choose a data directory elsewhere",
                    user.uid,
                    above.display()
                );
            }
            chown(&dir, Some(user.uid), Some(user.gid)).with_context(opening)?;
        }
        let lock = lock(&dir)?;
        end_leftovers(&dir).await?;
        Ok(Self { dir, user, _lock: lock })
    }

    /// A directory below, which the server's user owns.
    pub(super) fn subdir(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        let creating = || format!("creating {}", path.display());
        fs::create_dir_all(&path).with_context(creating)?;
        if let Some(user) = self.user {
            chown(&path, Some(user.uid), Some(user.gid)).with_context(creating)?;
        }
        Ok(path)
    }

    /// The port to listen on: `wanted`, else the one of the previous run if it is free, else a new one.
    pub(super) fn port(&self, wanted: Option<u16>) -> Result<u16> {
        let path = self.dir.join("port");
        let kept = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        let port = match (wanted, kept) {
            (Some(port), _) if is_free(port) => port,
            (Some(port), _) => bail!("port {port} on 127.0.0.1 is in use"),
            (None, Some(port)) if is_free(port) => port,
            (None, _) => free_port()?,
        };
        fs::write(&path, format!("{port}\n")).with_context(|| format!("writing {}", path.display()))?;
        Ok(port)
    }

    /// The log file, for one more process to append to.
    pub(super) fn log(&self) -> Result<File> {
        let path = self.log_path();
        let opening = || format!("opening {}", path.display());
        let log = OpenOptions::new().create(true).append(true).open(&path).with_context(opening)?;
        if log.metadata().with_context(opening)?.len() > LOG_LIMIT {
            log.set_len(0).with_context(opening)?;
        }
        Ok(log)
    }

    /// The end of the log, for an error's text.
    pub(super) fn log_tail(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(12)..].join("\n  ");
        format!("the end of {}:\n  {tail}", self.log_path().display())
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("log")
    }
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "{} is in use by another valera-analytics: stop it, or choose another data directory",
                dir.display()
            )
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

/// A killed program's servers may still be on their way down, or, where there is no parent-death signal, up.
async fn end_leftovers(dir: &Path) -> Result<()> {
    let leftovers = processes::living_in(dir);
    if leftovers.is_empty() {
        return Ok(());
    }
    tracing::warn!(dir = %dir.display(), pids = ?leftovers, "ending the servers that a previous run left");
    for signal in [Signal::Interrupt, Signal::Kill] {
        for pid in processes::living_in(dir) {
            // A backend ends with its postmaster; a frozen one only when it is let go on.
            spawn::send(pid, Signal::Resume).context("resuming a leftover server")?;
            spawn::send(pid, signal).context("ending a leftover server")?;
        }
        if until(LEFTOVER_GRACE, || processes::living_in(dir).is_empty()).await {
            return Ok(());
        }
    }
    bail!("processes {:?} of a previous run in {} do not end", processes::living_in(dir), dir.display())
}

/// A port of loopback that nobody listens on, and that no outgoing connection will be given.
///
/// # Errors
/// When every port tried is in use.
pub fn free_port() -> Result<u16> {
    let mut tries = (0..200).map(|_| rand::rng().random_range(PORTS));
    tries.find(|port| is_free(*port)).context("no free port between 20000 and 32000")
}

/// Whether nobody listens on the port. Asked without listening there: the descriptor of a listener would be held for a
/// moment longer by whatever another thread is just spawning, and keep the port from the very server it was asked for.
pub(super) fn is_free(port: u16) -> bool {
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).and_then(|socket| {
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())
    });
    bound.is_ok()
}

/// Polls `condition` for at most `limit`; whether it came true.
pub(super) async fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, process::Command, thread};

    #[test]
    fn a_port_that_somebody_listens_on_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()));
    }

    /// A child holds its parent's descriptors until it has become another program.
    #[test]
    fn asking_for_a_port_does_not_take_it() {
        let port = free_port().unwrap();
        thread::scope(|scope| {
            let spawning = scope.spawn(|| (0..100).all(|_| Command::new("true").status().unwrap().success()));
            while !spawning.is_finished() {
                assert!(is_free(port));
            }
            assert!(spawning.join().unwrap());
        });
    }
}
