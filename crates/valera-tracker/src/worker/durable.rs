//! Syncs the spool to the disk, on a thread beside the worker's, and tells those who wait for it.
//!
//! What is written survives the bot's death as it is; syncing is for the machine's. Hence it is not hurried, unless somebody
//! waits: one sync at a time, at most so often, and whoever is acknowledged first needs no sync.
//!
//! It does not write.

use super::backlog::Placed;
use crate::{spool::disk::Disk, tracked::Cause};
use std::{
    collections::{BTreeSet, HashMap},
    future::pending,
    io,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinHandle, time::Instant};
use tracing::error;
use uuid::Uuid;

/// How long written records may stay unsynced when nobody waits for them.
const LAZILY: Duration = Duration::from_millis(200);

pub(super) struct Durable {
    disk: Option<Arc<dyn Disk>>,
    /// One id may be awaited twice: who gave up waiting comes again.
    waiting: HashMap<Uuid, Vec<oneshot::Sender<Result<(), Cause>>>>,
    /// Segments written to since the last sync began, and who of `waiting` is in them.
    dirty: BTreeSet<String>,
    owed: Vec<Uuid>,
    due: Option<Instant>,
    running: Option<Running>,
}

struct Running {
    task: JoinHandle<io::Result<()>>,
    owed: Vec<Uuid>,
}

impl Durable {
    pub(super) fn new(disk: Option<Arc<dyn Disk>>) -> Self {
        Self { disk, waiting: HashMap::new(), dirty: BTreeSet::new(), owed: Vec::new(), due: None, running: None }
    }

    /// Notes what was placed, and who wants to hear of it.
    pub(super) fn placed(&mut self, placed: Placed) {
        let mut due = Instant::now() + LAZILY;
        for item in placed.items {
            let Some(reply) = item.durable else { continue };
            self.waiting.entry(item.record.event_id).or_default().push(reply);
            // In memory only an acknowledgement helps.
            if placed.segment.is_some() {
                self.owed.push(item.record.event_id);
                due = Instant::now();
            }
        }
        if let Some(segment) = placed.segment {
            self.dirty.insert(segment);
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        }
    }

    /// An acknowledged record is on the server's disk.
    pub(super) fn acknowledged(&mut self, event_id: Uuid) {
        self.tell(event_id, Ok(()));
    }

    /// A record that is refused for good and kept nowhere.
    pub(super) fn lost(&mut self, event_id: Uuid) {
        self.tell(event_id, Err(Cause::Refused));
    }

    fn tell(&mut self, event_id: Uuid, end: Result<(), Cause>) {
        for reply in self.waiting.remove(&event_id).unwrap_or_default() {
            // Who gave up waiting does not hear of it.
            reply.send(end).ok();
        }
    }

    /// When the next sync should begin.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| self.running.is_none())
    }

    pub(super) fn start_if_due(&mut self, now: Instant) {
        let Some(disk) = self.disk.clone().filter(|_| self.due().is_some_and(|due| due <= now)) else { return };
        self.due = None;
        let segments = std::mem::take(&mut self.dirty);
        let sync = move || segments.iter().try_for_each(|segment| disk.sync(segment));
        self.running =
            Some(Running { task: tokio::task::spawn_blocking(sync), owed: std::mem::take(&mut self.owed) });
    }

    /// Ends with the sync that runs; never, when none does.
    pub(super) async fn synced(&mut self) {
        let Some(running) = &mut self.running else { return pending().await };
        let result = (&mut running.task).await.unwrap_or_else(|cause| Err(io::Error::other(cause)));
        let owed = self.running.take().map(|running| running.owed).unwrap_or_default();
        match result {
            Ok(()) => owed.into_iter().for_each(|event_id| self.acknowledged(event_id)),
            Err(cause) => {
                error!(%cause, "the spool could not be synced; only acknowledgements count for it now");
                // After a failed sync the kernel may call the pages clean, also those written while it ran: for them
                // the next one would prove nothing.
                self.owed.clear();
            }
        }
    }
}
