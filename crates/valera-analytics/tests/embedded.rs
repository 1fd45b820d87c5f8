//! The embedded servers' promises, on real servers: they start, come back where they were, and leave nothing behind.
//!
//! Each test has a directory of its own, so all of them may run at once. `scripts/setup` must have run.
//!
//! It does not test what the servers are used for.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use sqlx::{Connection, PgConnection};
use valera_analytics::embedded::{NatsOptions, NatsServer, PgOptions, Postgres, Tools, scratch_dir, setting};

const STARTED_IN: &str = "VALERA_TEST_STARTED_IN";

fn quick() -> PgOptions {
    PgOptions { fsync: false, ..PgOptions::default() }
}

/// Polls with a ceiling of ten seconds.
async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within ten seconds");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn exists(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

async fn scalar(url: &str, query: &'static str) -> Result<String, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let value = sqlx::query_scalar(query).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(value)
}

#[tokio::test]
async fn a_killed_nats_server_comes_back_on_its_port_with_what_it_acknowledged() {
    let dir = scratch_dir().unwrap();
    let tools = Tools::locate().unwrap();
    let mut server = NatsServer::start(&tools, dir.path().join("nats"), NatsOptions::default()).await.unwrap();
    let url = server.url();
    let client = async_nats::connect(&url).await.unwrap();
    let context = jetstream::new(client);
    let config = jetstream::stream::Config { name: "S".into(), subjects: vec!["s.>".into()], ..Default::default() };
    context.create_stream(config).await.unwrap();
    context.publish("s.one", "kept".into()).await.unwrap().await.unwrap();

    server.kill().await.unwrap();
    assert!(!server.is_running());
    server.restart().await.unwrap();

    assert_eq!(server.url(), url);
    let client = async_nats::connect(&url).await.unwrap();
    let stream = jetstream::new(client).get_stream("S").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 1);
    server.stop().await.unwrap();
    assert!(!server.is_running());
}

#[tokio::test]
async fn nats_keeps_its_store_in_the_given_directory_and_listens_on_loopback_only() {
    let dir = scratch_dir().unwrap();
    let tools = Tools::locate().unwrap();
    let server = NatsServer::start(&tools, dir.path().join("nats"), NatsOptions::default()).await.unwrap();
    assert!(dir.path().join("nats/jetstream/jetstream").is_dir());
    let listening = listening_addresses(server.pid());
    assert_eq!(listening, [format!("127.0.0.1:{}", server.port())]);
}

#[tokio::test]
async fn a_killed_postgres_leaves_no_backend_and_keeps_what_was_committed() {
    let dir = scratch_dir().unwrap();
    let tools = Tools::locate().unwrap();
    let mut server = Postgres::start(&tools, dir.path().join("pg"), PgOptions::default()).await.unwrap();
    let url = server.url();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("CREATE TABLE t AS SELECT 'kept' AS v").execute(&mut connection).await.unwrap();
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await.unwrap();

    server.kill().await.unwrap();
    assert!(!exists(backend.try_into().unwrap()), "a backend outlived its postmaster");
    assert!(!server.is_running());
    server.restart().await.unwrap();

    assert_eq!(server.url(), url);
    assert_eq!(scalar(&url, "SELECT v FROM t").await.unwrap(), "kept");
    server.stop().await.unwrap();
    assert!(!server.is_running());
}

#[tokio::test]
async fn postgres_is_set_up_as_documented() {
    let dir = scratch_dir().unwrap();
    let tools = Tools::locate().unwrap();
    let settings = vec![("max_connections".into(), "17".into())];
    let server = Postgres::start(&tools, dir.path().join("pg"), PgOptions { settings, ..quick() }).await.unwrap();
    let url = server.url();
    for (query, expected) in [
        ("SELECT current_database() || ' ' || current_user", "valera valera"),
        (
            "SELECT pg_encoding_to_char(encoding) || ' ' || datcollate FROM pg_database WHERE datname = 'valera'",
            "UTF8 C",
        ),
        ("SELECT current_setting('fsync')", "off"),
        ("SELECT current_setting('max_connections')", "17"),
        ("SELECT current_setting('TimeZone')", "UTC"),
    ] {
        assert_eq!(scalar(&url, query).await.unwrap(), expected, "{query}");
    }
    assert_eq!(listening_addresses(server.pid()), [format!("127.0.0.1:{}", server.port())]);
}

#[tokio::test]
async fn postgres_15_starts_as_well() {
    let bin = setting("VALERA_PG15_BIN").expect("Postgres 15 is missing: scripts/setup --with-postgres-15");
    let dir = scratch_dir().unwrap();
    let tools = Tools::locate().unwrap().with_postgres(bin).unwrap();
    let server = Postgres::start(&tools, dir.path().join("pg"), quick()).await.unwrap();
    let version = scalar(&server.url(), "SELECT current_setting('server_version')").await.unwrap();
    assert!(version.starts_with("15."), "{version}");
}

#[tokio::test]
async fn a_paused_server_answers_nothing_until_it_is_resumed() {
    let dir = scratch_dir().unwrap();
    let tools = Tools::locate().unwrap();
    let mut nats = NatsServer::start(&tools, dir.path().join("nats"), NatsOptions::default()).await.unwrap();
    let mut pg = Postgres::start(&tools, dir.path().join("pg"), quick()).await.unwrap();
    let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let mut connection = PgConnection::connect(&pg.url()).await.unwrap();

    nats.pause().unwrap();
    pg.pause().unwrap();
    let silence = Duration::from_millis(300);
    assert!(nats.is_running() && pg.is_running());
    // The signal gets to the last of its threads a moment after it was sent.
    let mut answered = 0;
    while tokio::time::timeout(silence, context.query_account()).await.is_ok() {
        answered += 1;
        assert!(answered < 10, "it goes on answering");
    }
    let mut ping = Box::pin(connection.ping());
    assert!(tokio::time::timeout(silence, &mut ping).await.is_err());

    nats.resume().unwrap();
    pg.resume().unwrap();
    let patience = Duration::from_secs(10);
    tokio::time::timeout(patience, context.query_account()).await.unwrap().unwrap();
    tokio::time::timeout(patience, ping).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_paused_server_can_be_stopped() {
    let dir = scratch_dir().unwrap();
    let tools = Tools::locate().unwrap();
    let mut pg = Postgres::start(&tools, dir.path().join("pg"), quick()).await.unwrap();
    pg.pause().unwrap();
    let asked = Instant::now();
    pg.stop().await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(10), "it had to be killed");
}

#[tokio::test]
async fn a_directory_in_use_is_refused() {
    let dir = scratch_dir().unwrap();
    let tools = Tools::locate().unwrap();
    let home = dir.path().join("nats");
    let _first = NatsServer::start(&tools, &home, NatsOptions::default()).await.unwrap();
    let second = NatsServer::start(&tools, &home, NatsOptions::default()).await;
    let refusal = second.err().expect("a second server in one directory").to_string();
    assert!(refusal.contains("in use by another valera-analytics"), "{refusal}");
}

#[tokio::test]
async fn the_port_is_kept_from_one_run_to_the_next() {
    let dir = scratch_dir().unwrap();
    let tools = Tools::locate().unwrap();
    let home = dir.path().join("pg");
    let mut first = Postgres::start(&tools, &home, quick()).await.unwrap();
    let url = first.url();
    first.stop().await.unwrap();
    drop(first);
    let again = Postgres::start(&tools, &home, quick()).await.unwrap();
    assert_eq!(again.url(), url);
}

#[tokio::test]
async fn a_half_made_cluster_is_made_anew() {
    let dir = scratch_dir().unwrap();
    let tools = Tools::locate().unwrap();
    let home = dir.path().join("pg");
    std::fs::create_dir_all(home.join("data.new/base")).unwrap();
    Postgres::start(&tools, &home, quick()).await.unwrap();
    assert!(!home.join("data.new").exists());
}

#[tokio::test]
async fn a_cluster_of_another_version_is_refused() {
    let dir = scratch_dir().unwrap();
    let tools = Tools::locate().unwrap();
    let home = dir.path().join("pg");
    std::fs::create_dir_all(home.join("data")).unwrap();
    std::fs::write(home.join("data/PG_VERSION"), "9\n").unwrap();
    let refusal = Postgres::start(&tools, &home, quick()).await.err().expect("an old cluster").to_string();
    assert!(refusal.contains("PostgreSQL 9"), "{refusal}");
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let dir = scratch_dir().unwrap();
    let tools = Tools::locate().unwrap();
    let settings = vec![("shared_buffers".into(), "nonsense".into())];
    let start = Postgres::start(&tools, dir.path().join("pg"), PgOptions { settings, ..quick() }).await;
    let reason = start.err().expect("a wrong setting").to_string();
    assert!(reason.contains("nonsense"), "{reason}");
}

/// What is dropped, or was started by a thread that has ended since, behaves as one expects.
#[test]
fn servers_outlive_the_thread_that_started_them_and_die_on_drop() {
    let dir = scratch_dir().unwrap();
    let home = dir.path().join("nats");
    let starter = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let tools = Tools::locate().unwrap();
        runtime.block_on(NatsServer::start(&tools, home, NatsOptions::default())).unwrap()
    });
    let mut server = starter.join().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(server.is_running());
    let pid = server.pid();
    drop(server);
    assert!(!exists(pid));
}

/// Not a test of its own: the program that [`a_program_that_is_killed_leaves_no_server`] kills.
#[tokio::test]
#[ignore = "started by another test"]
#[allow(clippy::disallowed_methods, reason = "how that test says where")]
async fn start_both_and_wait_to_be_killed() {
    let dir = PathBuf::from(std::env::var(STARTED_IN).unwrap());
    let tools = Tools::locate().unwrap();
    let nats = NatsServer::start(&tools, dir.join("nats"), NatsOptions::default()).await.unwrap();
    let pg = Postgres::start(&tools, dir.join("pg"), quick()).await.unwrap();
    let _open = PgConnection::connect(&pg.url()).await.unwrap();
    std::fs::write(dir.join("pids.new"), format!("{} {}", nats.pid(), pg.pid())).unwrap();
    std::fs::rename(dir.join("pids.new"), dir.join("pids")).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_program_that_is_killed_leaves_no_server() {
    let dir = scratch_dir().unwrap();
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "start_both_and_wait_to_be_killed", "--ignored"])
        .env(STARTED_IN, dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let file = dir.path().join("pids");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !file.exists() {
        assert!(Instant::now() < deadline && program.try_wait().unwrap().is_none(), "the program did not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pids: Vec<u32> = std::fs::read_to_string(&file).unwrap().split(' ').map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.iter().all(|pid| exists(*pid)));
    let backends = processes_in(dir.path());
    assert!(backends.len() > 3, "postmaster, nats-server and some backends, not {backends:?}");

    program.kill().unwrap();
    program.wait().unwrap();

    eventually("all servers gone", || processes_in(dir.path()).is_empty()).await;
    assert!(!pids.iter().any(|pid| exists(*pid)));
    // And the next run finds all in order, though nobody tidied up.
    let tools = Tools::locate().unwrap();
    NatsServer::start(&tools, dir.path().join("nats"), NatsOptions::default()).await.unwrap();
    Postgres::start(&tools, dir.path().join("pg"), quick()).await.unwrap();
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_server_that_a_previous_run_left_is_ended_first() {
    let dir = scratch_dir().unwrap();
    let tools = Tools::locate().unwrap();
    let home = dir.path().join("nats");
    let store = home.join("another store");
    std::fs::create_dir_all(&store).unwrap();
    let mut leftover = Command::new(&tools.nats_server)
        .args(["-a", "127.0.0.1", "-p", "-1", "-js", "-sd"])
        .arg(store)
        .current_dir(&home)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("a leftover server", || processes_in(&home).contains(&leftover.id())).await;

    let server = NatsServer::start(&tools, &home, NatsOptions::default()).await.unwrap();
    assert!(leftover.try_wait().unwrap().is_some());
    assert_eq!(processes_in(&home), [server.pid()]);
}

fn processes_in(dir: &Path) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let works_there =
        |pid: &u32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
    pids.filter(works_there).collect()
}

/// Where the process listens, from the kernel's socket tables; IPv6 and socket files would show up too.
fn listening_addresses(pid: u32) -> Vec<String> {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    let sockets: Vec<String> = links
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = |name: &str| std::fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
    let mut found = Vec::new();
    for line in (table("tcp") + &table("tcp6")).lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, local, _, state, ..] = fields[..] else {
            continue;
        };
        if state == "0A" && fields.get(9).is_some_and(|inode| sockets.iter().any(|socket| socket == inode)) {
            let (address, port) = local.split_once(':').unwrap();
            let port = u16::from_str_radix(port, 16).unwrap();
            let address = if address == "0100007F" { "127.0.0.1" } else { address };
            found.push(format!("{address}:{port}"));
        }
    }
    found
}
