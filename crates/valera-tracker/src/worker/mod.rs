//! The worker: takes events from the queue, spools them, publishes them, and lets go of what the stream acknowledged.
//!
//! One thread with a runtime of its own, so that the host may have any runtime or none, and so that nothing that is slow
//! here (a disk, a server, a name that does not resolve) takes a thread of the host's. One loop owns all state; syncs of what
//! was spooled run beside it, on the runtime's blocking thread. Only a record that is parked, which is rare, is synced by it.
//!
//! It does not check events: what reaches it is ready to be sent.

mod answer;
mod backlog;
mod dialogs;
mod durable;
mod flights;
mod link;
mod outbox;

use crate::{
    config::{Config, Limits},
    queue::Intake,
    record::Item,
    stats::{Counters, Stats},
    switches::{self, Switches},
    throttle::Throttle,
};
use async_nats::Message;
use backlog::Backlog;
use dialogs::Dialogs;
use durable::Durable;
use futures::{FutureExt, StreamExt};
use link::Link;
use outbox::Outbox;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::error;

/// How long the worker lingers between two takings: the host then pays for few wake-ups, the disk for few writes.
const LINGER: Duration = Duration::from_millis(2);
/// Items taken at once.
const TAKING: usize = 1_000;
/// Answers handled before anything else gets its turn.
const ANSWERS: usize = 4_096;
/// The loop looks around at least so often.
const GLANCE: Duration = Duration::from_millis(500);

/// What the host asks of the worker.
pub(crate) enum Command {
    /// Say when nothing is left, or what is left when the time is over.
    Flush { until: Instant, reply: Reply },
    /// End when nothing is left, or when the time is over; with `spooled` also when all is on the disk.
    Stop { until: Instant, spooled: bool, reply: Reply },
}

/// How the host is told: it may wait in a task or on a thread.
pub(crate) type Reply = Box<dyn FnOnce(Left) + Send>;

/// What was not acknowledged when the time was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// Whether the spool holds events that are not acknowledged; they are sent later, if need be by the next process.
    pub spooled: bool,
    /// Events that are only in memory: they end with the process.
    pub in_memory: u64,
    /// Whether the spool is not open, because another process owns its directory or because it fails: what it holds is not
    /// known here.
    pub unopened: bool,
}

impl Left {
    /// Whether everything was acknowledged, for certain.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self.is_nothing_known() && !self.unopened
    }

    fn is_nothing_known(self) -> bool {
        !self.spooled && self.in_memory == 0
    }
}

pub(crate) struct Worker {
    config: Config,
    intake: Intake,
    /// Taken and not placed yet: neither spool nor memory had room.
    fresh: Vec<Item>,
    backlog: Backlog,
    durable: Durable,
    dialogs: Dialogs,
    outbox: Outbox,
    commands: mpsc::UnboundedReceiver<Command>,
    flushes: Vec<(Instant, Reply)>,
    stop: Option<(Instant, bool, Reply)>,
    counters: Arc<Counters>,
    stats: Stats,
    take_from: Instant,
    host_is_gone: bool,
    complaint: Throttle,
}

/// Runs until it is told to stop. To be called on a thread of its own.
pub(crate) fn run(
    config: Config,
    intake: Intake,
    commands: mpsc::UnboundedReceiver<Command>,
    counters: Arc<Counters>,
    switches: &Switches,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build();
    match runtime {
        Ok(runtime) => {
            runtime.block_on(async {
                let worker = Worker::new(config, intake, commands, counters);
                worker.run(switches).await;
            });
            // A sync that hangs must not hold the thread.
            runtime.shutdown_background();
        }
        Err(cause) => error!(%cause, "the tracker's worker cannot start"),
    }
}

impl Worker {
    fn new(
        config: Config,
        intake: Intake,
        commands: mpsc::UnboundedReceiver<Command>,
        counters: Arc<Counters>,
    ) -> Self {
        let Limits { ack_patience, .. } = config.limits;
        Self {
            backlog: Backlog::new(config.spool.clone(), &config.limits),
            durable: Durable::new(config.spool.clone()),
            dialogs: Dialogs::default(),
            outbox: Outbox::new(ack_patience),
            config,
            intake,
            fresh: Vec::new(),
            commands,
            flushes: Vec::new(),
            stop: None,
            counters,
            stats: Stats::default(),
            take_from: Instant::now(),
            host_is_gone: false,
            complaint: Throttle::default(),
        }
    }

    async fn run(mut self, switches: &Switches) {
        loop {
            let Some(mut link) = self.connect().await else { return };
            let watching = switches::watch(link.client.clone(), switches);
            tokio::select! {
                () = watching => {}
                ended = self.work(&mut link) => if ended { return },
            }
        }
    }

    /// Connects for as long as it takes; `None` when the worker is to end first.
    async fn connect(&mut self) -> Option<Link> {
        loop {
            match Link::open(&self.config).await {
                Ok(link) => return Some(link),
                Err(cause) => {
                    if let Some(times) = self.complaint.pass() {
                        error!(%cause, times, "no NATS client");
                    }
                }
            }
            let retry = Instant::now() + GLANCE;
            while Instant::now() < retry {
                self.place();
                self.durable.start_if_due(Instant::now());
                self.report(false);
                if self.conclude() {
                    return None;
                }
                let wake = self.wakes_at().min(retry);
                tokio::select! {
                    biased;
                    () = self.turn() => {}
                    () = sleep_until(wake) => {}
                }
            }
        }
    }

    /// Goes on until it is to end (true), or wants another connection (false).
    async fn work(&mut self, link: &mut Link) -> bool {
        loop {
            self.place();
            self.durable.start_if_due(Instant::now());
            self.outbox.send(link, &mut self.backlog, &mut self.stats).await;
            self.tell_of_those_aside();
            self.report(link.is_connected());
            if self.conclude() {
                return true;
            }
            if self.outbox.wants_another_link(link.is_connected()) {
                self.outbox.forget_flights();
                return false;
            }
            self.wait(link).await;
        }
    }

    /// Waits for the next thing to happen, and does what it asks for.
    async fn wait(&mut self, link: &mut Link) {
        let wake = self.outbox.wakes_at().into_iter().fold(self.wakes_at(), Instant::min);
        // In this order: what is rare or has its pace goes before answers, which may come without end.
        tokio::select! {
            biased;
            () = link.connections.changed() => self.outbox.reconnected(),
            () = self.turn() => {}
            answer = link.answers.next() => self.answers(answer, link),
            () = sleep_until(wake) => {}
        }
    }

    /// When the loop is to look around though nothing has happened.
    fn wakes_at(&self) -> Instant {
        let wishes = [self.durable.due(), self.lingers().then_some(self.take_from)];
        let until = self.flushes.iter().map(|(until, _)| *until);
        wishes.into_iter().flatten().chain(until).fold(Instant::now() + GLANCE, Instant::min)
    }

    fn can_take(&self) -> bool {
        self.fresh.is_empty() && !self.host_is_gone
    }

    fn lingers(&self) -> bool {
        self.can_take() && self.take_from > Instant::now() && self.stop.is_none()
    }

    /// Does the next thing that needs no server: a command, the end of a sync, events to take. May be cancelled.
    async fn turn(&mut self) {
        let takes = self.can_take() && !self.lingers();
        tokio::select! {
            biased;
            Some(command) = self.commands.recv() => self.obey(command),
            () = self.durable.synced() => {}
            count = self.intake.take(&mut self.fresh, TAKING), if takes => {
                self.host_is_gone = count == 0;
                self.take_from = Instant::now() + LINGER;
            }
        }
    }

    /// Takes an answer in, and those that are there already.
    fn answers(&mut self, first: Option<Message>, link: &mut Link) {
        let Some(first) = first else { return self.outbox.give_link_up() };
        self.answered(&first);
        for _ in 0..ANSWERS {
            let Some(Some(next)) = link.answers.next().now_or_never() else { return };
            self.answered(&next);
        }
    }

    fn answered(&mut self, message: &Message) {
        for (held, duplicate) in self.outbox.answered(message, &mut self.backlog, &mut self.stats) {
            self.stats.acknowledged += 1;
            self.stats.duplicates += u64::from(duplicate);
            self.durable.acknowledged(held.record.event_id);
            self.backlog.settled(held.place);
        }
    }

    fn tell_of_those_aside(&mut self) {
        for (event_id, parked) in self.outbox.take_aside() {
            if parked { self.durable.acknowledged(event_id) } else { self.durable.lost(event_id) }
        }
    }

    /// Puts what was taken where it survives, or at least into memory; what finds no room stays, and the queue fills.
    fn place(&mut self) {
        self.backlog.open_if_due(Instant::now());
        if self.fresh.is_empty() {
            return;
        }
        let before = self.fresh.len();
        let disk = self.backlog.owned_disk();
        let disk = disk.as_deref();
        self.fresh.retain(|item| item.dialog.is_none_or(|(chat_id, day)| !self.dialogs.knows(chat_id, day, disk)));
        self.stats.known_dialogs += (before - self.fresh.len()) as u64;
        let Some(placed) = self.backlog.place(&mut self.fresh) else { return };
        self.dialogs.remember(placed.items.iter().filter_map(|item| item.dialog), disk);
        self.durable.placed(placed);
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Flush { until, reply } => self.flushes.push((until, reply)),
            Command::Stop { until, spooled, reply } => self.stop = Some((until, spooled, reply)),
        }
    }

    /// Answers those who wait for the end of the work; whether the worker is to end.
    fn conclude(&mut self) -> bool {
        let now = Instant::now();
        let left = self.left();
        let all_taken = self.intake.len() == 0 && self.fresh.is_empty();
        // A directory that another process owns may be about to be ours: its last owner's worker is still leaving. One that
        // fails is not waited for.
        let is_settled = all_taken && left.is_nothing_known() && !self.backlog.awaits_spool();
        let is_over = |until: &Instant| *until <= now || is_settled;
        for (_, reply) in self.flushes.extract_if(.., |(until, _)| is_over(until)) {
            reply(left);
        }
        let is_done = |(until, spooled, _): &mut (Instant, bool, Reply)| {
            is_over(until) || (*spooled && all_taken && left.in_memory == 0)
        };
        let Some((.., reply)) = self.stop.take_if(is_done) else { return false };
        if left.is_nothing() {
            self.backlog.seal();
        }
        reply(left);
        true
    }

    fn left(&self) -> Left {
        let in_memory = self.fresh.len() + self.intake.len() + self.backlog.in_memory() + self.outbox.in_memory();
        Left {
            spooled: self.backlog.has_spooled() || self.outbox.has_spooled(),
            in_memory: in_memory as u64,
            unopened: self.backlog.is_unopened(),
        }
    }

    fn report(&mut self, connected: bool) {
        self.backlog.describe(&mut self.stats);
        self.stats.in_memory = self.left().in_memory;
        self.stats.in_flight = self.outbox.in_flight() as u64;
        self.stats.connected = connected;
        self.counters.report(&self.stats);
    }
}

impl From<io::Error> for crate::stats::SpoolState {
    fn from(cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::WouldBlock => Self::Owned,
            io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Failing(cause.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{queue::queue, record::Record};
    use tokio::{sync::oneshot, time::timeout};
    use valera_events::PseudonymKeys;

    const A_MINUTE: Duration = Duration::from_secs(60);

    /// No client can be made under such a prefix; `Tracker::start` refuses it, and there may be other causes.
    fn without_a_client(dir: &std::path::Path) -> Config {
        let keys = PseudonymKeys::parse(&format!("k1:{}", "5c".repeat(32))).unwrap();
        Config { inbox_prefix: Some("bot.".into()), ..Config::new("nats://127.0.0.1:1", keys) }.spool_in(dir)
    }

    #[tokio::test]
    async fn without_a_client_events_are_spooled_and_whoever_waits_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        let ((queue, intake), (commands, received)) = (queue(10, 10_000), mpsc::unbounded_channel());
        let config = without_a_client(dir.path());
        let worker = std::thread::spawn(move || run(config, intake, received, Arc::default(), &Switches::default()));

        let (durable, told) = oneshot::channel();
        let record = Record { event_id: uuid::Uuid::from_u128(1), subject: "analytics.a".into(), body: "{}".into() };
        queue.push(crate::record::Item { record, dialog: None, durable: Some(durable) }).unwrap();
        assert_eq!(timeout(A_MINUTE, told).await.unwrap().unwrap(), Ok(()));

        let (left, mut answers) = mpsc::unbounded_channel();
        let reply = || -> Reply {
            let left = left.clone();
            Box::new(move |answer| left.send(answer).unwrap())
        };
        let until = Instant::now() + Duration::from_millis(100);
        commands.send(Command::Flush { until, reply: reply() }).unwrap();
        commands.send(Command::Stop { until, spooled: false, reply: reply() }).unwrap();
        let expected = Left { spooled: true, in_memory: 0, unopened: false };
        for _ in 0..2 {
            assert_eq!(timeout(A_MINUTE, answers.recv()).await.unwrap(), Some(expected));
        }
        worker.join().unwrap();
    }
}
