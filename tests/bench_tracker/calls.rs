//! The time that `track` takes, call by call, in each state of NATS and of the disk.
//!
//! It does not count what becomes of the events but for those that were dropped.

use crate::{
    bad_disk::{Bad, Fault},
    keys,
    users::USERS,
};
use anyhow::Context;
use std::{
    fs,
    net::TcpListener,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use valera_analytics::{
    embedded::{NatsOptions, NatsServer, Tools, scratch_dir},
    output,
};
use valera_pipeline::topology;
use valera_tracker::{Config, Event, Tracker};

const CALLS: u32 = 60_000;
const PER_SECOND: u32 = 5_000;
/// What takes longer than this while it does nothing was interrupted by the machine, and so is a call.
const SPIN: Duration = Duration::from_micros(5);

/// The figures of one case.
struct Figures {
    /// Nanoseconds of each call, ascending.
    calls: Vec<u64>,
    /// The same of as many spins of [`SPIN`].
    spins: Vec<u64>,
    dropped: u64,
    /// Megabytes by which the process grew.
    grown_mb: f64,
}

pub(crate) async fn measure() -> anyhow::Result<String> {
    let scratch = scratch_dir()?;
    let tools = Tools::locate()?;
    let options = NatsOptions { appended: USERS, ..NatsOptions::default() };
    let mut nats = NatsServer::start(&tools, scratch.path().join("nats"), options).await?;
    let client = async_nats::connect(nats.url()).await?;
    topology::apply(&async_nats::jetstream::new(client)).await?;
    let (good, mute) = (nats.url(), nats.url().replace("://", "://mute:mute@"));
    let hole = TcpListener::bind("127.0.0.1:0")?;
    let deaf = format!("nats://{}", hole.local_addr()?);

    let mut text = format!(
        "## One call\n\n{CALLS} calls of `track` a case at {PER_SECOND}/s, microseconds. Each call checks, hides, mints and \
         queues. After each the same thread spins for {} µs: by how much that takes longer is the machine's share.\n\n\
         | NATS | disk of the spool | p50 | p99.9 | longest | p99.9 of the spin | longest spin | dropped | memory grew by |\n\
         |---|---|---|---|---|---|---|---|---|\n",
        SPIN.as_micros()
    );
    let mut cases = Cases { root: scratch.path(), text: &mut text };
    cases.run("up", "good", &good, None)?;
    cases.run("up", "full", &good, Some(Fault::Full))?;
    cases.run("up", "a sync takes 2 s", &good, Some(Fault::Slow))?;
    cases.run("accepts, and never answers", "good", &deaf, None)?;
    cases.run("refuses by permission", "good", &mute, None)?;
    nats.pause()?;
    cases.run("frozen", "good", &good, None)?;
    nats.resume()?;
    nats.kill().await?;
    cases.run("down", "good", &good, None)?;
    cases.run("down", "full", &good, Some(Fault::Full))?;
    cases.run("down", "a sync takes 2 s", &good, Some(Fault::Slow))?;
    drop(hole);
    let flapping = Flapping::start()?;
    cases.run("closes each connection: reconnecting", "good", &flapping.url, None)?;
    Ok(text)
}

struct Cases<'a> {
    root: &'a Path,
    text: &'a mut String,
}

impl Cases<'_> {
    fn run(&mut self, nats: &str, disk: &str, url: &str, fault: Option<Fault>) -> anyhow::Result<()> {
        output::print(&format!("NATS {nats}, disk {disk}\n"))?;
        let spool = self.root.join(format!("spool-{nats}-{disk}").replace(' ', "_"));
        let config = Config::new(url, keys()?);
        let config = match fault {
            None => config.spool_in(&spool),
            Some(fault) => Config { spool: Some(Bad::new(&spool, fault)), ..config },
        };
        let figures = calls(Tracker::start(config)?)?;
        let at = |times: &[u64], share: f64| times[((times.len() - 1) as f64 * share) as usize] as f64 / 1e3;
        self.text.push_str(&format!(
            "| {nats} | {disk} | {:.1} | {:.1} | {:.0} | {:.1} | {:.0} | {} | {:.0} MB |\n",
            at(&figures.calls, 0.5),
            at(&figures.calls, 0.999),
            at(&figures.calls, 1.0),
            at(&figures.spins, 0.999),
            at(&figures.spins, 1.0),
            figures.dropped,
            figures.grown_mb
        ));
        // A directory of a case is nobody's any more.
        fs::remove_dir_all(&spool).or_else(|cause| if spool.exists() { Err(cause) } else { Ok(()) })?;
        Ok(())
    }
}

/// Calls at a steady pace, which is kept by sleeping: the caller of a bot does not spin either.
#[allow(clippy::needless_pass_by_value, reason = "the tracker is to end here")]
fn calls(tracker: Tracker) -> anyhow::Result<Figures> {
    let before = resident_mb()?;
    let mut calls = Vec::with_capacity(CALLS as usize);
    let mut spins = Vec::with_capacity(CALLS as usize);
    let began = Instant::now();
    for n in 0..CALLS {
        let due = began + Duration::from_secs(1) / PER_SECOND * n;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let event = talk(n);
        let called = Instant::now();
        let tracked = tracker.track(event);
        calls.push(u64::try_from(called.elapsed().as_nanos())?);
        drop(tracked);
        spins.push(u64::try_from(spin().as_nanos())?);
    }
    calls.sort_unstable();
    spins.sort_unstable();
    Ok(Figures { calls, spins, dropped: tracker.stats().dropped(), grown_mb: resident_mb()? - before })
}

/// How long it takes to do nothing for [`SPIN`].
fn spin() -> Duration {
    let began = Instant::now();
    while began.elapsed() < SPIN {
        std::hint::spin_loop();
    }
    began.elapsed()
}

fn talk(n: u32) -> Event {
    let chat = i64::from(n % 500);
    match n % 4 {
        0 => Event::service_suggested(chat, "Полировка кузова", Some(0.9)),
        1 => Event::response_time(chat, Duration::from_millis(u64::from(n % 4_000)), "deepseek-chat"),
        2 => Event::booking_created(chat, n, 2, "27500.00").with("customer_phone", "+7 916 555-01-23"),
        _ => Event::new("review_left", chat).with("text", "Спасибо, всё отлично! Звоните +7 916 555-01-23."),
    }
}

fn resident_mb() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// A port that accepts, says nothing and hangs up.
struct Flapping {
    url: String,
    over: Arc<AtomicBool>,
}

impl Flapping {
    fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("nats://{}", listener.local_addr()?);
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        thread::spawn(move || {
            while let (false, Ok((connection, _))) = (told.load(Ordering::Relaxed), listener.accept()) {
                drop(connection);
            }
        });
        Ok(Self { url, over })
    }
}

impl Drop for Flapping {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
