//! Starts processes that cannot outlive this program, and sends signals: the only file with unsafe code.
//!
//! Linux can signal a process when its parent dies, but takes the *thread* that spawned it for the parent: a server
//! started from a test's thread or from one of the runtime's would die when that thread ends. So one thread, which lives
//! as long as the program, spawns them all. On macOS there is no such signal; leftovers are ended at the next start.
//!
//! It does not wait for what it starts and does not know what it is.

#![allow(unsafe_code, reason = "pre_exec, kill and geteuid have no safe form in std")]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use tokio::sync::oneshot;

use super::user::User;

/// What can be sent to a server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    Interrupt,
    Terminate,
    Kill,
    Pause,
    Resume,
}

impl Signal {
    fn number(self) -> libc::c_int {
        match self {
            Self::Interrupt => libc::SIGINT,
            Self::Terminate => libc::SIGTERM,
            Self::Kill => libc::SIGKILL,
            Self::Pause => libc::SIGSTOP,
            Self::Resume => libc::SIGCONT,
        }
    }
}

struct Order {
    command: Command,
    reply: oneshot::Sender<io::Result<Child>>,
}

static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();

/// Starts `command` as `user`, in a process group of its own, so that the terminal's Ctrl-C reaches only this program.
/// On Linux the process gets SIGINT when this program ends, however it ends.
pub(super) async fn spawn(mut command: Command, user: Option<User>) -> io::Result<Child> {
    command.process_group(0);
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
    prepare(&mut command);
    let (reply, answer) = oneshot::channel();
    let gone = || io::Error::other("the spawning thread is gone");
    SPAWNER.get_or_init(start_spawner).send(Order { command, reply }).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

fn start_spawner() -> Sender<Order> {
    let (orders, queue) = channel::<Order>();
    std::thread::spawn(move || {
        for mut order in queue {
            let spawned = order.command.spawn();
            if let Err(Ok(orphan)) = order.reply.send(spawned) {
                end_orphan(orphan);
            }
        }
    });
    orders
}

/// Whoever asked for it was cancelled meanwhile; nobody else will ever end it.
fn end_orphan(mut orphan: Child) {
    let ended = orphan.kill().and_then(|()| orphan.wait());
    if let Err(error) = ended {
        tracing::warn!(%error, "could not end a process that nobody waits for");
    }
}

fn prepare(command: &mut Command) {
    let parent = std::process::id();
    let in_child = move || {
        // A shell's background job ignores SIGINT, and exec hands that on: the polite ways to stop would do nothing.
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP] {
            // SAFETY: signal(2) is async-signal-safe, and SIG_DFL installs no code of ours.
            if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
                return Err(io::Error::last_os_error());
            }
        }
        die_with(parent)
    };
    // SAFETY: between fork and exec the closure makes system calls only; it neither allocates nor locks.
    unsafe { command.pre_exec(in_child) };
}

/// Runs in the child, after it has become its user: a change of user clears the setting.
#[cfg(target_os = "linux")]
fn die_with(parent: u32) -> io::Result<()> {
    // SAFETY: prctl and getppid are plain system calls without pointers here.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGINT) != 0 {
            return Err(io::Error::last_os_error());
        }
        // The parent may have died before the setting took effect.
        if u32::try_from(libc::getppid()).ok() != Some(parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn die_with(_parent: u32) -> io::Result<()> {
    Ok(())
}

/// Sends `signal` to the process `pid`; one that is gone already is no error, for gone is what callers want.
pub(super) fn send(pid: u32, signal: Signal) -> io::Result<()> {
    // 0 and negative numbers mean groups, among them our own.
    let Ok(pid @ 1..) = libc::pid_t::try_from(pid) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    // SAFETY: kill(2) takes two numbers.
    if unsafe { libc::kill(pid, signal.number()) } == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        gone if gone.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        error => Err(error),
    }
}

/// Whether this program runs as root.
pub(super) fn is_root() -> bool {
    // SAFETY: geteuid(2) takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}
