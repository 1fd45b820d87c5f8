//! The AsyncAPI document in the eyes of its official parser.

use crate::support::{Said, checkout, node};
use serde_json::Value;
use valera_analytics::embedded::scratch_dir;
use valera_events::catalogue::EVENTS;

#[test]
fn the_asyncapi_document_has_no_fault_for_the_official_parser_with_node() {
    let dir = scratch_dir().unwrap();
    let mut check = node(dir.path(), "tests/asyncapi", "check.mjs");
    let seen = Said::by(check.arg(checkout().join("schemas/asyncapi.json"))).well();
    let seen: Value = serde_json::from_str(&seen).unwrap();
    // 0 is an error, 1 a warning; what is left is advice, as to move to a newer version.
    let faults = list(&seen, "diagnostics").iter().filter(|diagnostic| diagnostic["severity"].as_u64() < Some(2));
    assert_eq!(faults.collect::<Vec<_>>(), [&Value::Null; 0]);
    let examples = list(&seen, "examples");
    assert!(examples.len() > EVENTS.len(), "{examples:#?}");
    for example in examples {
        assert_eq!(list(example, "faults"), [Value::Null; 0], "{example}");
    }
    let operation = |action: &str, address: &str| {
        let matches = |operation: &&Value| operation["action"] == action && operation["addresses"][0] == address;
        list(&seen, "operations").iter().filter(matches).count()
    };
    for spec in EVENTS {
        assert_eq!(operation("receive", &format!("analytics.{}", spec.name)), 1, "{}", spec.name);
    }
    assert_eq!((operation("receive", "analytics.{event_name}"), operation("send", "alerts.{rule}")), (1, 1));
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().unwrap_or_else(|| panic!("no {name} in {of}"))
}
