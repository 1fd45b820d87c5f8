//! Exported files handed in again: into what is there, into nothing, torn, changed and killed on the way.

use super::{exported, system_with_history, text};
use crate::{
    replay::{lose_the_store, survive},
    support::{Load, System, assert_rollups_agree, contents, differences_from_recount, eventually},
};
use sqlx::{Connection, PgConnection};
use std::{fs, io::Read, path::Path};
use valera_pipeline::{
    compressed::{Frames, frame, is_compressed},
    service::Service,
};

const RAW: &str =
    "SELECT count(*), md5(string_agg((event_id, event_name, chat_id, session_id, properties::text, occurred_at,
    platform, content_hash, stream_seq)::text, '|' ORDER BY event_id)) FROM analytics_events";

async fn raw(connection: &mut PgConnection) -> (i64, Option<String>) {
    sqlx::query_as(RAW).fetch_one(connection).await.unwrap()
}

/// Another database of the same server, migrated; its address.
async fn empty_database(system: &System) -> String {
    sqlx::raw_sql("CREATE DATABASE other").execute(&mut system.postgres().await).await.unwrap();
    let url = system.local.postgres.url();
    let (server, _) = url.rsplit_once('/').unwrap();
    let other = format!("{server}/other");
    system.says(&["migrate", "--database-url", &other]).well();
    other
}

fn hand_in<'a>(into: &'a str, files: &[&'a Path]) -> Vec<&'a str> {
    let files = files.iter().copied().map(text);
    ["replay", "--into", into, "--file"].into_iter().chain(files).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_system_with_the_same_keys_holds_to_the_last_bit_what_was_exported() {
    let system = system_with_history().await;
    let compressed = exported(&system, "events.ndjson.zst");
    let nothing = system.dir().join("nothing.ndjson");
    fs::write(&nothing, "").unwrap();
    let other = empty_database(&system).await;
    let mut there = PgConnection::connect(&other).await.unwrap();
    for into in ["persister", "rollups"] {
        let arguments = hand_in(into, &[&nothing, &compressed, &nothing]);
        let said = system.says(&[&arguments[..], &["--database-url", &other]].concat()).well();
        assert!(said.contains("done at 100.00 %") && said.contains("new"), "{said}");
    }
    assert_eq!(raw(&mut there).await, raw(&mut system.postgres().await).await);
    assert_eq!(differences_from_recount(&mut there).await, Vec::<String>::new());
    // What came back can leave again, as the same bytes.
    let again = system.dir().join("again.ndjson.zst");
    system.says(&["export", "--out", text(&again), "--database-url", &other]).well();
    assert_eq!(fs::read(again).unwrap(), fs::read(compressed).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_no_events_is_a_file_of_its_kind_and_comes_back_as_nothing() {
    let system = System::start().await;
    let (plain, compressed) = (exported(&system, "none.ndjson"), exported(&system, "none.zst"));
    assert_eq!(fs::read(&plain).unwrap(), b"");
    let frames = fs::read(&compressed).unwrap();
    assert!(is_compressed(&frames), "{frames:?}");
    let mut unpacked = Vec::new();
    Frames::new(&frames[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, b"");
    for into in ["persister", "rollups"] {
        let files = [compressed.as_path(), &plain, &compressed];
        let dry = system.says(&[&hand_in(into, &files)[..], &["--dry-run", "--json"]].concat()).well();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&dry).unwrap(), serde_json::json!([]));
        let said = system.says(&hand_in(into, &files)).well();
        assert!(said.contains("done at 100.00 %"), "{said}");
    }
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_not_changed_by_a_file_however_often_and_beside_live_traffic() {
    let system = system_with_history().await;
    let (plain, compressed) = (exported(&system, "a.ndjson"), exported(&system, "a.zst"));
    let before = contents(&system).await;
    for into in ["persister", "rollups"] {
        let said = system.says(&hand_in(into, &[&plain, &compressed])).well();
        assert!(said.contains("known") && !said.contains("new"), "{said}");
        let dry = system.says(&[&hand_in(into, &[&plain])[..], &["--dry-run", "--csv"]].concat()).well();
        assert!(dry.lines().skip(1).all(|row| row.ends_with(",0,0,0") && row.contains(",0,")), "{dry}");
    }
    assert_eq!(contents(&system).await, before);

    sqlx::raw_sql("TRUNCATE analytics_events").execute(&mut system.postgres().await).await.unwrap();
    let services = Service::ALL.map(|service| system.run(service));
    let load = Load::start(&system, 500, 500).await;
    system.says(&hand_in("persister", &[&compressed])).well();
    system.says(&hand_in("rollups", &[&plain])).well();
    load.stop().await;
    system.drained().await;
    for service in services {
        service.stop().await;
    }
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_changed_or_torn_are_named_and_all_others_come_back() {
    let system = system_with_history().await;
    let whole = fs::read_to_string(exported(&system, "whole.ndjson")).unwrap();
    let compressed = fs::read(exported(&system, "whole.zst")).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    let mut changed = lines.clone();
    let forged = lines[3].replace("\"chat_id\":", "\"chat_id\":9");
    changed[3] = &forged;
    changed[7] = r#"{"event_name":"cart_confirmed","chat_id":1}"#;
    let endless = "x".repeat(5 * 1024 * 1024);
    changed[9] = &endless;
    let file = system.dir().join("changed.ndjson");
    fs::write(&file, changed.join("\n")).unwrap();
    let cut = system.dir().join("cut.zst");
    fs::write(&cut, &compressed[..compressed.len() / 2]).unwrap();
    let torn = system.dir().join("torn.ndjson");
    fs::write(&torn, &whole[..whole.len() - 9]).unwrap();

    let before = contents(&system).await;
    let named =
        ["line=4", "seal does not hold", "line=8", "not a line of", "line=10", "longer than", "3 lines were refused"];
    let dry = ["--dry-run"];
    system.says(&[&hand_in("persister", &[&file])[..], &dry].concat()).complaining(1, &named);
    system
        .says(&[&hand_in("persister", &[&torn])[..], &dry].concat())
        .complaining(1, &["cut off", "1 lines were refused"]);
    system.says(&[&hand_in("persister", &[&cut])[..], &dry].concat()).complaining(1, &["cut.zst", "cut off"]);
    assert_eq!(contents(&system).await, before);

    sqlx::raw_sql("TRUNCATE analytics_events").execute(&mut system.postgres().await).await.unwrap();
    system.says(&hand_in("persister", &[&file])).complaining(1, &named);
    let all = i64::try_from(lines.len()).unwrap();
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, all - 3);
    assert_eq!(system.count("SELECT rejected FROM replays").await, 3);
    // All before the place where a file is cut off has come back; the whole one brings the rest.
    system.says(&hand_in("persister", &[&cut])).complaining(1, &["cut.zst", "cut off"]);
    system.says(&hand_in("persister", &[&system.dir().join("whole.zst")])).well();
    assert_rollups_agree(&system).await;

    for exported in ["whole.ndjson", "whole.zst"] {
        let file = system.dir().join(exported);
        let published = system.last_sequence().await;
        system.says(&["import", text(&file)]).complaining(1, &["replay --into persister --file"]);
        assert_eq!(system.last_sequence().await, published);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_whole_line_before_the_cut_of_a_compressed_file_is_stored_and_what_to_do_is_said() {
    /// Of a frame, the most that is compressed together.
    const BLOCK: usize = 128 * 1024;
    let system = system_with_history().await;
    let whole = exported(&system, "whole.ndjson");
    // Lines that are shorter than a block by far, in one frame, as a page is.
    let plain = fs::read_to_string(&whole).unwrap();
    let plain: String = plain.split_inclusive('\n').filter(|line| line.len() < 2_000).collect();
    let plain = plain.into_bytes();
    let compressed = frame(&plain);
    let cut = system.dir().join("cut.zst");
    // Four bytes of checksum, and one of the last block.
    fs::write(&cut, &compressed[..compressed.len() - 5]).unwrap();
    let before = (plain.len() - 1) / BLOCK * BLOCK;
    let lines = plain[..before].iter().filter(|byte| **byte == b'\n').count();
    assert!(lines > 0, "one block of {} bytes", plain.len());

    sqlx::raw_sql("TRUNCATE analytics_events").execute(&mut system.postgres().await).await.unwrap();
    let arguments = [&hand_in("persister", &[&cut])[..], &["--name", "cut"]].concat();
    let said = system.says(&arguments);
    said.complaining(1, &["cut.zst", &format!("after {lines} lines"), "replay cancel cut", "replay resume cut"]);
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, i64::try_from(lines).unwrap());
    assert_eq!(system.count("SELECT position FROM replays").await, i64::try_from(lines).unwrap());
    // As it says: the whole file brings the rest, and the open replay can be ended.
    system.says(&hand_in("persister", &[&whole])).well();
    system.says(&["replay", "cancel", "cut"]).well();
    assert_rollups_agree(&system).await;
}

async fn killed(kills: u32, events: usize, rate: u32) {
    let system = System::start().await;
    let ledger = Load::start(&system, 4_000, events).await.stop().await;
    system.settle().await;
    let stored = system.count("SELECT count(*) FROM analytics_events").await;
    let files = [exported(&system, "one.zst"), exported(&system, "two.ndjson")];
    lose_the_store(&system).await;
    let from = ["--file", text(&files[0]), text(&files[1])];
    for into in Service::ALL {
        survive(&system, into, kills, rate, (&from, 2 * stored)).await;
    }
    ledger.assert_exact(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_files_that_is_killed_goes_on_at_its_line_and_ends_exact() {
    killed(5, 3_000, 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: run by make proof"]
async fn survival_of_a_replay_of_files_killed_fifty_times() {
    killed(50, 100_000, 4_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_does_not_go_on_with_a_file_that_is_not_the_one_it_began_with() {
    let system = system_with_history().await;
    let files = [exported(&system, "one.zst"), exported(&system, "two.ndjson")];
    let begin = [&hand_in("rollups", &[&files[0], &files[1]])[..], &["--name", "x", "--rate", "500"]].concat();
    let mut process = system.start_program(&begin);
    eventually("it gets on", async || system.count("SELECT count(*) FROM replays WHERE position > 0").await > 0)
        .await;
    process.kill();
    fs::write(&files[1], "something else\n").unwrap();
    eventually("its session has ended", async || {
        system
            .count("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 20261 AND objid = 2")
            .await
            == 0
    })
    .await;
    system.says(&["replay", "resume", "x"]).complaining(1, &["two.ndjson is not the file"]);
}
