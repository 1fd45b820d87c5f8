//! What a replay says in the end, for people and for programs.

use super::{all_into, system_with_history};
use crate::support::eventually;
use serde_json::Value;
use valera_pipeline::{replay::Replay, service::Service};

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_replay_is_told_to_programs_as_list_tells_it() {
    let system = system_with_history().await;
    let row = |said: &str| -> Value {
        let rows: Value = serde_json::from_str(said).unwrap();
        let [row] = rows.as_array().unwrap().as_slice() else { panic!("{rows}") };
        row.clone()
    };
    let said = system.says(&["replay", "--into", "persister", "--name", "one", "--json"]).well();
    let done = row(&said);
    assert_eq!((&done["name"], &done["status"], &done["rejected"]), (&"one".into(), &"done".into(), &2.into()));
    assert!(done["duplicate"].as_i64().unwrap() > 0 && done["position"] == done["last_seq"], "{done}");
    assert_eq!(done, row(&system.says(&["replay", "list", "--json"]).well()));

    sqlx::raw_sql("UPDATE replays SET status = 'paused'").execute(&mut system.postgres().await).await.unwrap();
    let resumed = row(&system.says(&["replay", "resume", "one", "--json"]).well());
    assert_eq!((&resumed["name"], &resumed["status"]), (&"one".into(), &"done".into()));
    let csv = system.says(&["replay", "--into", "rollups", "--csv"]).well();
    assert!(csv.starts_with("name,consumer,") && csv.contains(",done,"), "{csv}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_nobody_is_at_is_interrupted_for_programs_as_for_people() {
    let system = system_with_history().await;
    drop(Replay::begin(system.environment(), &all_into(Service::Persister)).await.unwrap());
    let list = |form: &[&str]| system.says(&[&["replay", "list"], form].concat()).well();
    let row = || serde_json::from_str::<Value>(&list(&["--json"])).unwrap()[0].clone();
    eventually("its session has ended", async || row()["at_work"] == false).await;
    assert_eq!(row()["status"], "interrupted");
    assert!(list(&["--csv"]).contains(",interrupted,false,"));
    assert!(list(&[]).contains("interrupted"));
    assert_eq!(system.count("SELECT count(*) FROM replays WHERE status = 'running'").await, 1);
}
