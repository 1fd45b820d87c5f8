//! Which chats' dialogs were told today: the memory that outlives the process.
//!
//! A file a local day, a line a chat, the number twice: a line that was torn by a crash, or joined with what came after, is
//! not taken for another chat. Without a spool it is memory only.
//!
//! It does not decide what today is: the event says it.

use crate::spool::disk::Disk;
use chrono::NaiveDate;
use std::{collections::HashSet, sync::Arc};
use tracing::warn;

const PREFIX: &str = "dialogs-";
/// Of a file of a day: a million chats have less.
const MOST_BYTES: usize = 64 * 1024 * 1024;

pub(super) struct Dialogs {
    disk: Option<Arc<dyn Disk>>,
    day: Option<NaiveDate>,
    chats: HashSet<i64>,
}

impl Dialogs {
    pub(super) fn new(disk: Option<Arc<dyn Disk>>) -> Self {
        Self { disk, day: None, chats: HashSet::new() }
    }

    /// Whether the chat's dialog of that day was told before.
    pub(super) fn knows(&mut self, chat_id: i64, day: NaiveDate) -> bool {
        if self.day.is_none_or(|known| known < day) {
            self.turn_to(day);
        }
        self.day == Some(day) && self.chats.contains(&chat_id)
    }

    /// Notes dialogs whose events have their place now.
    pub(super) fn remember(&mut self, dialogs: impl Iterator<Item = (i64, NaiveDate)>) {
        let mut lines = String::new();
        for (chat_id, day) in dialogs {
            if self.day == Some(day) && self.chats.insert(chat_id) {
                lines.push_str(&format!("{chat_id} {chat_id}\n"));
            }
        }
        let (Some(disk), Some(day)) = (self.disk.as_ref().filter(|_| !lines.is_empty()), self.day) else { return };
        if let Err(cause) = disk.append(&name(day), lines.as_bytes()) {
            warn!(%cause, "dialogs of today are not noted; a restart may tell them again");
        }
    }

    fn turn_to(&mut self, day: NaiveDate) {
        self.day = Some(day);
        self.chats.clear();
        let Some(disk) = &self.disk else { return };
        let (today, files) = (name(day), disk.list().unwrap_or_default());
        for (file, _) in files.iter().filter(|(file, _)| file.starts_with(PREFIX)) {
            if *file < today {
                // It is in nobody's way.
                drop(disk.remove(file));
            }
        }
        if files.iter().any(|(file, _)| *file == today) {
            let text = disk.read(&today, 0, MOST_BYTES).unwrap_or_default();
            self.chats.extend(String::from_utf8_lossy(&text).lines().filter_map(chat));
            // Ends a torn line, if there is one.
            drop(disk.append(&today, b"\n"));
        }
    }
}

fn name(day: NaiveDate) -> String {
    format!("{PREFIX}{day}")
}

fn chat(line: &str) -> Option<i64> {
    let (once, twice) = line.split_once(' ')?;
    if once == twice { once.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::chat;

    #[test]
    fn a_torn_line_is_no_chat() {
        assert_eq!(chat("-100123 -100123"), Some(-100_123));
        for torn in ["", "-100123", "-100123 ", "-100123 -1", "12 1212 12"] {
            assert_eq!(chat(torn), None, "{torn}");
        }
    }
}
