//! A Postgres that was put back to an earlier point, and a stream that is another one: noticed, and healed by what is printed.

use crate::support::{Load, Said, System, assert_rollups_agree, event};
use chrono::Utc;
use futures::StreamExt;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use valera_analytics::embedded::setting;
use valera_pipeline::service::Service;

fn data(system: &System) -> PathBuf {
    system.local.dir().join("postgres/data")
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").arg(from).arg(to));
}

/// Puts a copy of the cluster in its place, and starts it.
async fn put_back(system: &mut System, backup: &Path) {
    system.local.postgres.stop().await.unwrap();
    let data = data(system);
    let lost = system.dir().join("lost");
    std::fs::rename(&data, &lost).unwrap();
    copy(backup, &data);
    // The server's user is not the test's, where that is root.
    run(Command::new("chown").arg("-R").arg("--reference").arg(&lost).arg(&data));
    std::fs::remove_dir_all(lost).unwrap();
    system.local.postgres.restart().await.unwrap();
}

async fn copy_of_stopped_cluster(system: &mut System) -> PathBuf {
    let backup = system.dir().join("backup");
    system.local.postgres.stop().await.unwrap();
    copy(&data(system), &backup);
    system.local.postgres.restart().await.unwrap();
    backup
}

fn asked(system: &System) -> Said {
    system.says(&["verify", "--position"])
}

/// What whoever does not suspect anything looks at; it judges nothing, so it does not fail.
fn told(system: &System) -> String {
    system.says(&["status"]).well()
}

/// Runs the commands that are printed, as they are printed.
fn heal(system: &System, said: &Said) {
    assert_eq!(said.code, Some(1), "{said:?}");
    let commands: Vec<_> =
        said.out.lines().filter_map(|line| line.trim().strip_prefix("valera-analytics ")).collect();
    assert!(!commands.is_empty(), "{said:?}");
    for command in commands {
        system.says(&command.split(' ').collect::<Vec<_>>()).well();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_restored_from_a_base_backup_taken_under_load_is_noticed_and_healed_to_exact() {
    let mut system = System::start().await;
    let services = Service::ALL.map(|service| system.run(service));
    let load = Load::start(&system, 1_000, 3_000).await;
    let stored = "SELECT least((SELECT count(*) FROM analytics_events), (SELECT count(*) FROM rollups.inbox))";
    crate::support::eventually("something is stored", async || system.count(stored).await > 500).await;
    let backup = system.dir().join("backup");
    let bin = PathBuf::from(setting("VALERA_PG_BIN").unwrap());
    run(Command::new(bin.join("pg_basebackup"))
        .args(["-h", "127.0.0.1", "-U", "valera", "-c", "fast", "-X", "stream", "-p"])
        .arg(system.local.postgres.port().to_string())
        .arg("-D")
        .arg(&backup));
    let ledger = load.stop().await;
    system.drained().await;
    for service in services {
        service.stop().await;
    }
    let before = asked(&system).well();
    assert!(!told(&system).contains("verify --position"), "nothing is amiss yet");
    assert!(
        before.contains("persister: Postgres has all") && before.contains("rollups: Postgres has all"),
        "{before}"
    );

    put_back(&mut system, &backup).await;
    let lost = asked(&system);
    let status = told(&system);
    for service in Service::ALL {
        let noticed = status.lines().find(|line| line.starts_with(&format!("{}: ", service.name())));
        let noticed =
            noticed.is_some_and(|line| line.contains("Postgres does not hold") && line.contains("verify --position"));
        assert!(noticed, "{service:?}: {status}");
        assert!(lost.out.contains(&format!("replay --into {} --from ", service.name())), "{lost:?}");
    }
    // Those that go on as if nothing had happened do not cover it up.
    let late = Load::start(&system, 1_000, 300).await.stop().await;
    system.settle().await;
    heal(&system, &asked(&system));
    asked(&system).well();
    ledger.and(late).assert_exact(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_above_the_floor_only_is_noticed_too() {
    let mut system = System::start_with_ack_wait(Duration::from_secs(60)).await;
    let publish = async |system: &System, chats: std::ops::Range<i64>| {
        for chat in chats {
            event("cart_confirmed", chat, Utc::now(), json!({})).publish(system).await;
        }
    };
    publish(&system, 0..1).await;
    // Somebody has the first message in hand, so the floor stays below it.
    let stream = system.jetstream().await.get_stream("ANALYTICS").await.unwrap();
    let consumer: async_nats::jetstream::consumer::PullConsumer = stream.get_consumer("persister").await.unwrap();
    let _in_hand = consumer.fetch().max_messages(1).messages().await.unwrap().next().await.unwrap().unwrap();
    let work = async |system: &System, rows: i64| {
        let running = system.run(Service::Persister);
        let stored = "SELECT count(*) FROM analytics_events";
        crate::support::eventually("all others are stored", async || system.count(stored).await == rows).await;
        let outstanding = async || stream.consumer_info("persister").await.unwrap().num_ack_pending;
        crate::support::eventually("and acknowledged", async || outstanding().await == 1).await;
        running.stop().await;
    };
    publish(&system, 1..10).await;
    work(&system, 9).await;
    system.run_dry(Service::Rollups).await;
    asked(&system).well();
    let backup = copy_of_stopped_cluster(&mut system).await;
    publish(&system, 10..20).await;
    work(&system, 19).await;
    asked(&system).well();

    put_back(&mut system, &backup).await;
    let said = asked(&system);
    assert!(said.out.contains("persister: 10 messages"), "{said:?}");
    assert!(told(&system).contains("persister: 10 messages are acknowledged that Postgres does not hold"));
    heal(&system, &said);
    asked(&system).well();
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 20);
    system.run_dry(Service::Rollups).await;
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_made_anew_is_noticed_until_its_own_messages_come() {
    let system = System::start().await;
    Load::start(&system, 1_000, 50).await.stop().await;
    system.settle().await;
    let deleted = system.jetstream().await.get_stream("ANALYTICS").await.unwrap();
    deleted.delete_message(7).await.unwrap();
    asked(&system).well();

    let anew = async || {
        system.jetstream().await.delete_stream("ANALYTICS").await.unwrap();
        system.says(&["topology", "apply"]).well();
    };
    anew().await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    let said = asked(&system);
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains("the stream ends at"), "{said:?}");
    assert!(told(&system).contains("persister: the stream is not the one that Postgres has taken messages from"));
    anew().await;
    Load::start(&system, 2_000, 500).await.stop().await;
    let said = asked(&system);
    assert!(said.out.contains("there: it was made anew"), "{said:?}");
    let json = system.says(&["verify", "--position", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert!(found[0]["other_stream"]["sequence"].is_u64() && found[0]["missing"].is_null(), "{found}");
    heal(&system, &said);
    system.settle().await;
    asked(&system).well();
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_does_not_fail_where_it_cannot_learn_what_postgres_holds() {
    let system = System::start().await;
    assert!(!told(&system).contains("what is acknowledged"), "nothing has been acknowledged yet");
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    sqlx::raw_sql("ALTER TABLE consumer_positions RENAME TO away")
        .execute(&mut system.postgres().await)
        .await
        .unwrap();
    let said = told(&system);
    assert!(said.contains("drained") && said.contains("is acknowledged is not known: "), "{said}");
}
