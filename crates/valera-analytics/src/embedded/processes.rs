//! Which processes belong to a server: its children, and whatever still runs in its directory.
//!
//! PostgreSQL gives every backend a session and a process group of its own, so signalling the server's group reaches
//! the postmaster alone; its backends are found by their parent, and by the directory they work in once it is dead.
//!
//! It does not signal anything, and a shell or editor that happens to stand in the directory is none of its finds.

use std::path::Path;

/// What may be started in a server's directory.
const PROGRAMS: [&str; 3] = ["nats-server", "postgres", "initdb"];

/// The living children of `parent`, by process id.
pub(super) fn children(parent: u32) -> Vec<u32> {
    all().into_iter().filter(|process| process.parent == parent).map(|process| process.pid).collect()
}

/// Whether any of these process ids belongs to a process that has not ended.
pub(super) fn any_alive(pids: &[u32]) -> bool {
    all().iter().any(|process| pids.contains(&process.pid))
}

/// The living servers that work in `dir` or below, by process id.
pub(super) fn living_in(dir: &Path) -> Vec<u32> {
    let ours = |process: &Process| PROGRAMS.contains(&process.name.as_str()) && process.lives_in(dir);
    all().into_iter().filter(ours).map(|process| process.pid).collect()
}

struct Process {
    pid: u32,
    parent: u32,
    name: String,
    /// The command line, where the working directory cannot be asked for.
    #[cfg(not(target_os = "linux"))]
    command: String,
}

#[cfg(target_os = "linux")]
impl Process {
    /// `None` for one that ended meanwhile or is a zombie, which waits for its parent and does nothing more.
    fn read(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // pid (name) state parent …, and a name may hold spaces and brackets.
        let (head, tail) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let mut fields = tail.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        (state != "Z").then_some(Self { pid, parent, name })
    }

    fn lives_in(&self, dir: &Path) -> bool {
        std::fs::read_link(format!("/proc/{}/cwd", self.pid)).is_ok_and(|cwd| cwd.starts_with(dir))
    }
}

#[cfg(target_os = "linux")]
fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries.filter_map(|entry| Process::read(entry.ok()?.file_name().to_str()?.parse().ok()?)).collect()
}

#[cfg(not(target_os = "linux"))]
impl Process {
    fn parse(line: &str) -> Option<Self> {
        let (pid, rest) = line.trim_start().split_once(' ')?;
        let (parent, command) = rest.trim_start().split_once(' ')?;
        let name = Path::new(command.split(' ').next()?).file_name()?.to_str()?.to_owned();
        Some(Self { pid: pid.parse().ok()?, parent: parent.parse().ok()?, name, command: command.to_owned() })
    }

    /// Both servers have their directory in their arguments.
    fn lives_in(&self, dir: &Path) -> bool {
        dir.to_str().is_some_and(|dir| self.command.contains(&format!("{dir}/")))
    }
}

#[cfg(not(target_os = "linux"))]
fn all() -> Vec<Process> {
    let listed = std::process::Command::new("ps").args(["-axo", "pid=,ppid=,command="]).output();
    let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(Process::parse).collect()
}
