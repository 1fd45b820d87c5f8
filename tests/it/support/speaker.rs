//! The bot that can be killed: `speaker`, and what it said.

use super::System;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

/// A running `speaker`; dropped, it is killed.
pub(crate) struct Speaker {
    child: Child,
    input: Option<ChildStdin>,
    said: Option<JoinHandle<Vec<String>>>,
    heard: Arc<AtomicUsize>,
}

/// The environment of a bot on this system that tracks.
pub(crate) fn enable(command: &mut Command, system: &System, spool: &Path) {
    command
        .env("VALERA_ANALYTICS_ENABLED", "true")
        .env("NATS_URL", system.local.nats.url())
        .env("VALERA_PSEUDONYM_KEYS_FILE", system.local.dir().join("pseudonym.keys"))
        .env("VALERA_TIMEZONE", "Europe/Moscow")
        .env("VALERA_SPOOL_DIR", spool)
        .env_remove("VALERA_LOG");
}

impl Speaker {
    pub(crate) fn start(system: &System, spool: &Path) -> Self {
        Self::start_through(system, spool, &[])
    }

    /// `through` is a command that becomes the speaker, which is its last argument.
    pub(crate) fn start_through(system: &System, spool: &Path, through: &[&str]) -> Self {
        let mut words = through.iter().copied().chain([env!("CARGO_BIN_EXE_speaker")]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words);
        enable(&mut command, system, spool);
        Self::of(command)
    }

    /// A command that is a speaker's.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        // A last line that was torn by a kill was not said.
        let heard = Arc::new(AtomicUsize::new(0));
        let count = heard.clone();
        let said = thread::spawn(move || {
            let lines = output.split(b'\n').map_while(Result::ok).map(text);
            let counted = lines.inspect(|_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            counted.collect()
        });
        Self { input: child.stdin.take(), child, said: Some(said), heard }
    }

    /// Tells it an event; false when it is dead.
    pub(crate) fn tell(&mut self, line: &Value) -> bool {
        writeln!(self.input.as_mut().unwrap(), "{line}").is_ok()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many lines it has said so far.
    pub(crate) fn heard(&self) -> Arc<AtomicUsize> {
        self.heard.clone()
    }

    /// Ends its input and waits for its end; gives what it said.
    pub(crate) fn end(mut self) -> Vec<String> {
        drop(self.input.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the speaker ended with {status}");
        self.said.take().unwrap().join().unwrap()
    }

    /// What it said, once it was killed.
    pub(crate) fn killed(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said.take().unwrap().join().unwrap()
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn text(line: Vec<u8>) -> String {
    String::from_utf8(line).unwrap()
}
