//! The handle that a bot holds: cheap to clone, quick to call, and nothing that it does can break the bot.
//!
//! A call checks, conceals and queues; everything that could be slow is the worker's. Dropping the last handle gives the
//! worker a moment to put what is queued on the disk.
//!
//! It does not read the environment (`config` does) and does not wait for NATS.

use crate::{
    config::{Config, ConfigError},
    event::Event,
    prepare::{Prepared, prepare},
    queue::{Queue, queue},
    recent::{Failures, Today},
    record::{Item, Record, Relayed},
    stats::{Counters, SpoolState, Stats},
    switches::{Switch, Switches},
    throttle::Throttle,
    tracked::{Cause, Tracked},
    worker::{self, Command, Left, Reply},
};
use chrono::{NaiveDate, Utc};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc as std_mpsc},
    thread,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tracing::{error, warn};
use valera_events::{PseudonymKeys, Reason};

/// How long the worker goes on once the last handle is dropped. The thread that drops it waits for its word, twice as long at
/// most: a write that has begun cannot be hurried.
const GRACE: Duration = Duration::from_millis(250);

/// Tracks events. See the crate's documentation for how to use it.
#[derive(Debug, Clone)]
pub struct Tracker {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    counters: Arc<Counters>,
    pub(crate) failures: Failures,
    pub(crate) today: Today,
    flaw: Throttle,
    drop: Throttle,
    /// `None` where tracking is off.
    pub(crate) live: Option<Live>,
}

#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) time_zone: chrono_tz::Tz,
    keys: PseudonymKeys,
    switches: Arc<Switches>,
    queue: Queue,
    commands: mpsc::UnboundedSender<Command>,
}

impl Tracker {
    /// A tracker as the environment says: see [`Config::from_env`]. Disabled where tracking is off.
    ///
    /// # Errors
    /// When a value is malformed or no keys are given. Waits for no server and no disk but to read key files.
    pub fn from_env() -> Result<Self, ConfigError> {
        match Config::from_env()? {
            Some(config) => Self::start(config),
            None => Ok(Self::disabled()),
        }
    }

    /// Starts the worker. Neither NATS nor the spool need be there: both are waited for.
    ///
    /// # Errors
    /// When the address or the prefix of the inbox is malformed, or the thread cannot be started.
    pub fn start(config: Config) -> Result<Self, ConfigError> {
        config.servers()?;
        config.check_inbox_prefix()?;
        let (queue, intake) = queue(config.limits.queue_events, config.limits.queue_bytes);
        let (commands, received) = mpsc::unbounded_channel();
        let spool = if config.spool.is_some() { SpoolState::Opening } else { SpoolState::Off };
        let (counters, switches) = (Arc::new(Counters::new(spool)), Arc::new(Switches::default()));
        let live = Live {
            time_zone: config.time_zone,
            keys: config.pseudonym_keys.clone(),
            switches: switches.clone(),
            queue,
            commands,
        };
        let counted = counters.clone();
        thread::Builder::new()
            .name("valera-tracker".into())
            .spawn(move || worker::run(config, intake, received, counted, &switches))?;
        Ok(Self::of(counters, Some(live)))
    }

    /// A tracker that sends nothing and counts what it was told.
    #[must_use]
    pub fn disabled() -> Self {
        Self::of(Arc::default(), None)
    }

    fn of(counters: Arc<Counters>, live: Option<Live>) -> Self {
        let shared = Shared {
            counters,
            failures: Failures::default(),
            today: Today::default(),
            flaw: Throttle::default(),
            drop: Throttle::default(),
            live,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether events are sent at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.shared.live.is_some()
    }

    /// Tracks an event: takes microseconds, never waits, never panics, and what it returns may be ignored.
    pub fn track(&self, event: Event) -> Tracked {
        self.track_of_day(event, None)
    }

    /// `dialog`: the chat whose dialog of this day the event starts; the worker drops one that it knows.
    pub(crate) fn track_of_day(&self, event: Event, dialog: Option<(i64, NaiveDate)>) -> Tracked {
        // A defect of ours is not to take the bot down.
        let tracked = catch_unwind(AssertUnwindSafe(|| {
            let (live, Prepared { record, flaws }) = self.shared.admit(event)?;
            live.queue.push(Item { record, dialog, durable: None }).map_err(Tracked::Dropped)?;
            Ok(flaws)
        }));
        self.shared.concluded(tracked.unwrap_or(Err(Tracked::Dropped(Cause::Internal))))
    }

    /// Tracks an event that must not be lost, as a booking: returns once it is synced to the disk of the spool, or
    /// acknowledged by the stream. Waits for as long as neither is there: bound it where that matters; the event goes on
    /// its way all the same, unless the queue is full: given up before there was room, it counts as dropped.
    /// [`Cause::Stopped`] says that the tracker stopped before either was certain, [`Cause::Refused`] that the server never
    /// takes the event and no spool could keep it.
    pub async fn track_durable(&self, event: Event) -> Tracked {
        let prepared = catch_unwind(AssertUnwindSafe(|| self.shared.admit(event)));
        let (live, Prepared { record, flaws }) = match prepared.unwrap_or(Err(Tracked::Dropped(Cause::Internal))) {
            Ok(prepared) => prepared,
            Err(refused) => return self.shared.concluded(Err(refused)),
        };
        let (durable, told) = oneshot::channel();
        let item = Item { record, dialog: None, durable: Some(durable) };
        let unqueued = Unqueued(&self.shared);
        let pushed = live.queue.push_patiently(item).await;
        std::mem::forget(unqueued);
        let tracked = self.shared.concluded(pushed.map(|()| flaws).map_err(Tracked::Dropped));
        match told.await {
            Ok(Ok(())) => tracked,
            Ok(Err(cause)) => Tracked::Dropped(cause),
            Err(_) => Tracked::Dropped(Cause::Stopped),
        }
    }

    /// Sends messages that somebody else made, concealed and judged already: the gateway's. Returns once every one of them is
    /// synced to the disk of the spool, or acknowledged by the stream; those that arrive together share a sync. Waits, as
    /// [`Tracker::track_durable`] does, for as long as neither is there; given up before, some may be on their way. Switches
    /// are not asked: they are the application's own.
    ///
    /// # Errors
    /// Why one of them is kept nowhere; the others may be.
    pub async fn relay(&self, messages: Vec<Relayed>) -> Result<(), Cause> {
        let live = self.shared.live.as_ref().ok_or(Cause::Stopped)?;
        let mut awaited = Vec::with_capacity(messages.len());
        for Relayed { event_id, subject, body, flaws } in messages {
            let (durable, told) = oneshot::channel();
            let item = Item { record: Record { event_id, subject, body }, dialog: None, durable: Some(durable) };
            let unqueued = Unqueued(&self.shared);
            let pushed = live.queue.push_patiently(item).await;
            std::mem::forget(unqueued);
            // Whoever relays tells of flaws and failures in words of its own.
            self.shared.counted(pushed.map(|()| flaws).map_err(Tracked::Dropped));
            pushed?;
            awaited.push(told);
        }
        for told in awaited {
            told.await.unwrap_or(Err(Cause::Stopped))?;
        }
        Ok(())
    }

    /// Waits until everything that was tracked, and what the spool held before, is acknowledged, for at most so long; says
    /// what is left. While another process owns the directory of the spool, it waits for that to end.
    pub async fn flush(&self, deadline: Duration) -> Left {
        self.ask(|reply| Command::Flush { until: Instant::now() + deadline, reply }).await
    }

    /// As [`Tracker::flush`], and then ends the worker, having put what is left into the spool. Events that are tracked
    /// afterwards are dropped.
    pub async fn shutdown(&self, deadline: Duration) -> Left {
        self.ask(|reply| Command::Stop { until: Instant::now() + deadline, spooled: false, reply }).await
    }

    async fn ask(&self, command: impl FnOnce(Reply) -> Command) -> Left {
        let Some(live) = &self.shared.live else { return Left::default() };
        let (left, told) = oneshot::channel();
        let reply: Reply = Box::new(move |answer| {
            // Who gave up waiting does not hear of it.
            left.send(answer).ok();
        });
        drop(live.commands.send(command(reply)));
        // A worker that has ended left what it said when it ended.
        told.await.unwrap_or(Left { in_memory: live.queue.len() as u64, ..Left::default() })
    }

    /// How many calls ended how, and how the events fare since.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let in_queue = self.shared.live.as_ref().map_or(0, |live| live.queue.len() as u64);
        Stats { in_queue, ..self.shared.counters.snapshot() }
    }
}

/// A call that waits for room in the queue. One that is given up ends there: it counts as dropped.
struct Unqueued<'a>(&'a Shared);

impl Drop for Unqueued<'_> {
    fn drop(&mut self) {
        self.0.concluded(Err(Tracked::Dropped(Cause::QueueFull)));
    }
}

impl Shared {
    /// Everything that is decided before the queue.
    fn admit(&self, event: Event) -> Result<(&Live, Prepared), Tracked> {
        let live = self.live.as_ref().ok_or(Tracked::Disabled)?;
        match live.switches.of(&event.name, event.chat_id) {
            Switch::Send => {}
            Switch::Disabled => return Err(Tracked::Disabled),
            Switch::LeftOut => return Err(Tracked::Dropped(Cause::Sampled)),
        }
        let prepared = prepare(event, &live.keys, Utc::now()).ok_or(Tracked::Dropped(Cause::TooLarge))?;
        Ok((live, prepared))
    }

    /// Names the outcome and counts it.
    fn counted(&self, result: Result<Vec<Reason>, Tracked>) -> Tracked {
        let tracked = match result {
            Ok(flaws) if flaws.is_empty() => Tracked::Queued,
            Ok(flaws) => Tracked::Flawed(flaws),
            Err(refused) => refused,
        };
        self.counters.count(&tracked);
        tracked
    }

    /// The same, and logs what nobody should miss.
    pub(crate) fn concluded(&self, result: Result<Vec<Reason>, Tracked>) -> Tracked {
        let tracked = self.counted(result);
        match &tracked {
            Tracked::Flawed(reasons) => {
                if let (Some(times), Some(first)) = (self.flaw.pass(), reasons.first()) {
                    // Only the code: a path may name what a person typed.
                    warn!(
                        reason = first.reason.as_str(),
                        times, "an event breaks the contract; it will be a dead letter"
                    );
                }
            }
            Tracked::Dropped(cause) if *cause != Cause::Sampled => {
                if let Some(times) = self.drop.pass() {
                    error!(%cause, times, "an event was dropped");
                }
            }
            _ => {}
        }
        tracked
    }
}

impl Drop for Shared {
    /// Gives the worker [`GRACE`] to put what is queued on the disk.
    fn drop(&mut self) {
        let Some(live) = &self.live else { return };
        let (left, told) = std_mpsc::channel();
        let reply: Reply = Box::new(move |answer| {
            // Who gave up waiting does not hear of it.
            left.send(answer).ok();
        });
        let stop = Command::Stop { until: Instant::now() + GRACE, spooled: true, reply };
        if live.commands.send(stop).is_err() {
            return;
        }
        match told.recv_timeout(GRACE * 2) {
            Ok(Left { in_memory: 1.., .. }) | Err(std_mpsc::RecvTimeoutError::Timeout) => {
                warn!("the tracker ends with events that are in memory only");
            }
            _ => {}
        }
    }
}
