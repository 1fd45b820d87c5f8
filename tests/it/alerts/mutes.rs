//! What operators do: mute, list, check.

use crate::support::{Said, System, eventually, program};
use serde_json::Value;
use valera_pipeline::alerts::Withheld;

#[tokio::test(flavor = "multi_thread")]
async fn a_muted_rule_is_silent_until_it_is_unmuted_and_its_incidents_stay_on_the_stream() {
    let system = System::start().await;
    let watch = system.watch();
    assert!(system.says(&["alerts", "mutes"]).well().contains("no rule is muted"));
    system.says(&["alerts", "mute", "bookings", "--for", "2h"]).complaining(1, &["no rule bookings", "booking"]);
    system.says(&["alerts", "mute", "booking", "--for", "2h"]).well();
    assert!(system.says(&["alerts", "mutes"]).well().contains("booking"));
    system.book([1]).await;
    eventually("the booking is noted", async || system.steps_of("booking").await.len() == 1).await;
    system.says(&["alerts", "unmute", "booking"]).well();
    system.says(&["alerts", "unmute", "booking"]).complaining(1, &["not muted"]);
    system.book([2]).await;
    eventually("the next one too", async || system.steps_of("booking").await.len() == 2).await;
    watch.stop().await;
    let withheld: Vec<_> = system.steps_of("booking").await.iter().map(|step| step.withheld).collect();
    assert_eq!(withheld, [Some(Withheld::Muted), None]);

    let table = system.says(&["alerts", "list"]).well();
    assert!(table.contains("no: muted") && table.contains("yes"), "{table}");
    let rows = system.says(&["alerts", "list", "--rule", "booking", "--since", "1h", "--json"]).well();
    let rows: Vec<Value> = serde_json::from_str(&rows).unwrap();
    assert_eq!(rows.iter().map(|row| row["phase"].as_str().unwrap()).collect::<Vec<_>>(), ["firing", "firing"]);
    assert!(system.says(&["alerts", "list", "--rule", "error"]).well().contains("no incidents"));
}

#[test]
fn a_rule_file_is_checked_without_any_server() {
    let said = Said::by(program().args(["alerts", "check"])).well();
    assert!(said.contains("without fault"), "{said}");
    let shipped = Said::by(program().args(["alerts", "rules"])).well();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alerts.toml");
    std::fs::write(&file, &shipped).unwrap();
    let check = || Said::by(program().args(["alerts", "check"]).arg(&file));
    check().well();
    std::fs::write(&file, shipped.replace("older_than = \"5m\"", "older_than = \"soon\"\nelder = 1")).unwrap();
    let said = check();
    said.complaining(1, &["2 faults"]);
    assert!(
        said.out.contains("lag: older_than: expected a span of time") && said.out.contains("lag: elder"),
        "{said:?}"
    );
    // The service refuses it too, and says why.
    let mut run = program();
    run.args(["run", "alerts", "--alert-rules"]).arg(&file);
    Said::by(&mut run).complaining(1, &["lag: older_than", "lag: elder"]);
    Said::by(program().args(["alerts", "mute", "booking"])).complaining(2, &["--for"]);
    Said::by(program().args(["alerts", "list", "--since", "tomorrow"])).complaining(2, &["span of time"]);
}
