//! Which chats' dialogs were told today: the memory that outlives the process.
//!
//! A file a local day, a line a chat, the number twice: a line that was torn by a crash, or joined with what came after, is
//! not taken for another chat. While the directory is not ours it is memory only, and is written once it is.
//!
//! It does not decide what today is: the event says it. It keeps no directory: it is given one while the spool is open.

use crate::spool::disk::Disk;
use chrono::NaiveDate;
use std::{collections::HashSet, io};
use tracing::warn;

const PREFIX: &str = "dialogs-";
/// Of a file of a day: a million chats have less.
const MOST_BYTES: usize = 64 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Dialogs {
    day: Option<NaiveDate>,
    chats: HashSet<i64>,
    /// Whether the day's file was looked at.
    is_read: bool,
    /// Lines that are not in the file.
    unwritten: String,
}

impl Dialogs {
    /// Whether the chat's dialog of that day was told before.
    pub(super) fn knows(&mut self, chat_id: i64, day: NaiveDate, disk: Option<&dyn Disk>) -> bool {
        if self.day.is_none_or(|known| known < day) {
            *self = Self { day: Some(day), ..Self::default() };
        }
        if self.day != Some(day) {
            return false;
        }
        if let Some(disk) = disk.filter(|_| !self.is_read) {
            // Tried once: a disk that fails is not asked again with each event.
            self.is_read = true;
            if let Err(cause) = self.read(day, disk) {
                warn!(%cause, "what was told today cannot be read; it may be told again");
            }
        }
        self.chats.contains(&chat_id)
    }

    /// Notes dialogs whose events have their place now.
    pub(super) fn remember(&mut self, dialogs: impl Iterator<Item = (i64, NaiveDate)>, disk: Option<&dyn Disk>) {
        for (chat_id, day) in dialogs {
            if self.day == Some(day) && self.chats.insert(chat_id) {
                self.unwritten.push_str(&format!("{chat_id} {chat_id}\n"));
            }
        }
        let (Some(disk), Some(day)) = (disk.filter(|_| !self.unwritten.is_empty()), self.day) else { return };
        if let Err(cause) = disk.append(&name(day), std::mem::take(&mut self.unwritten).as_bytes()) {
            warn!(%cause, "dialogs of today are not noted; a restart may tell them again");
        }
    }

    fn read(&mut self, day: NaiveDate, disk: &dyn Disk) -> io::Result<()> {
        let (today, files) = (name(day), disk.list()?);
        for (file, _) in files.iter().filter(|(file, _)| file.starts_with(PREFIX)) {
            if *file < today {
                // It is in nobody's way.
                drop(disk.remove(file));
            }
        }
        if files.iter().any(|(file, _)| *file == today) {
            let text = disk.read(&today, 0, MOST_BYTES)?;
            self.chats.extend(String::from_utf8_lossy(&text).lines().filter_map(chat));
            // Ends a torn line, if there is one.
            disk.append(&today, b"\n")?;
        }
        Ok(())
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
    use super::*;
    use crate::spool::disk::Directory;

    #[test]
    fn a_directory_is_read_and_written_once_it_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let day = NaiveDate::from_ymd_opt(2025, 11, 1).unwrap();
        let path = dir.path().join(name(day));
        std::fs::write(&path, "2 2\n3").unwrap();
        let disk = Directory::new(dir.path());

        let mut dialogs = Dialogs::default();
        assert!(!dialogs.knows(1, day, None) && !dialogs.knows(2, day, None));
        dialogs.remember([(1, day)].into_iter(), None);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2 2\n3", "another's file is touched");

        for chat in [1, 2] {
            assert!(dialogs.knows(chat, day, Some(&disk)), "{chat}");
        }
        assert!(!dialogs.knows(3, day, Some(&disk)));
        dialogs.remember([(4, day)].into_iter(), Some(&disk));
        let mut heir = Dialogs::default();
        assert_eq!([1, 2, 3, 4].map(|chat| heir.knows(chat, day, Some(&disk))), [true, true, false, true]);
        assert!(!heir.knows(1, day.succ_opt().unwrap(), Some(&disk)) && !path.exists());
    }

    #[test]
    fn a_torn_line_is_no_chat() {
        assert_eq!(chat("-100123 -100123"), Some(-100_123));
        for torn in ["", "-100123", "-100123 ", "-100123 -1", "12 1212 12"] {
            assert_eq!(chat(torn), None, "{torn}");
        }
    }
}
