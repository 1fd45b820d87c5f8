//! The Ruby process, the gateway and NATS killed while events are under way: what is lost stood in the client's queue, and nothing
//! is stored twice. The ledger is outside: what the process said it had tracked.

use crate::support::{Process, System, checkout, eventually, ruby};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use valera_analytics::embedded::free_port;

const TOKEN: &str = "a-token-of-the-tests-that-is-long-enough";
/// The bound of the client's queue in `speaker.rb`.
const QUEUE: usize = 500;
const LIVES: i64 = 5;
const EVENTS: i64 = 2_000;

/// A gateway that can be killed and started again on the same address and spool.
struct Gateway {
    process: Process,
    port: u16,
}

impl Gateway {
    async fn start(system: &System, port: u16) -> Self {
        let tokens = system.dir().join("tokens");
        std::fs::write(&tokens, format!("rails:{TOKEN}\n")).unwrap();
        let mut command = system.program();
        command.args(["run", "gateway"]).env("VALERA_GATEWAY_TOKENS_FILE", tokens);
        command.env("VALERA_GATEWAY_ADDRESS", format!("127.0.0.1:{port}"));
        command.env("VALERA_GATEWAY_SPOOL", system.dir().join("gateway"));
        let process = Process::of(command);
        eventually("the gateway listens", async || TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
        Self { process, port }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// The Ruby process, from this number on.
fn speak(gateway: &Gateway, spill: &Path, first: i64, events: i64) -> Child {
    let mut command: Command = ruby();
    command.arg(checkout().join("tests/it/ruby/speaker.rb")).args([first.to_string(), events.to_string()]);
    command.env("ANALYTICS_ENABLED", "true").env("VALERA_GATEWAY_URL", gateway.url());
    command.env("VALERA_GATEWAY_TOKEN", TOKEN).env("VALERA_SPILL_DIR", spill);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

/// What it said it had tracked until it was killed.
fn killed(mut child: Child) -> BTreeSet<i64> {
    child.kill().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    let whole = said.rfind('\n').map_or("", |end| &said[..end]);
    whole.lines().map(|line| line.parse().unwrap()).collect()
}

async fn any_moment(longest_ms: u64) {
    tokio::time::sleep(Duration::from_millis(rand::random_range(0..longest_ms))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_rails_process_loses_at_most_its_queue_whatever_else_is_killed() {
    let mut system = System::start().await;
    let spill = system.dir().join("spill");
    let port = free_port().unwrap();
    let mut gateway = Gateway::start(&system, port).await;
    let mut lives = Vec::new();
    for life in 0..LIVES {
        let speaking = speak(&gateway, &spill, life * 1_000_000, EVENTS);
        any_moment(600).await;
        match life % 3 {
            1 => gateway.process.kill(),
            2 => system.local.nats.kill().await.unwrap(),
            _ => {}
        }
        any_moment(300).await;
        match life % 3 {
            1 => gateway = Gateway::start(&system, port).await,
            2 => system.local.nats.restart().await.unwrap(),
            _ => {}
        }
        any_moment(300).await;
        lives.push(killed(speaking));
    }
    // The last one sends what the others left.
    let mut last = speak(&gateway, &spill, LIVES * 1_000_000, 0);
    eventually("the last one ends", async || last.try_wait().unwrap().is_some()).await;

    system.settle().await;
    let rows: Vec<(i64, i64)> =
        system.rows("SELECT (properties->>'n')::bigint, count(*) FROM analytics_events GROUP BY 1").await;
    let stored: BTreeMap<_, _> = rows.into_iter().collect();
    assert!(stored.values().all(|count| *count == 1), "an event is stored twice");
    let (mut told, mut lost) = (0, 0);
    for life in &lives {
        let lost_here = life.iter().filter(|n| !stored.contains_key(n)).count();
        assert!(lost_here <= QUEUE, "{lost_here} of {} are lost", life.len());
        (told, lost) = (told + life.len(), lost + lost_here);
    }
    println!("{LIVES} kills: {told} events told of, {lost} lost");
    assert!(told > 1_000, "{told} events prove nothing");
}
