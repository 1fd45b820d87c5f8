//! The first thing a newcomer runs.

use crate::support::{Said, program};
use valera_analytics::embedded::scratch_dir;

#[test]
fn the_demo_ends_well_and_agrees_with_the_bot() {
    let scratch = scratch_dir().unwrap();
    let demo =
        || Said::by(program().args(["demo", "--events", "2000", "--data-dir"]).arg(scratch.path().join("demo")));
    let said = demo().well();
    for part in [
        "The funnel by day",
        "Response times",
        "missing_property",
        "events by HTTP and answered as the bot expected",
        "agrees with the bot's own ledger: 2000",
        "agrees: 2000 raw events recounted",
    ] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    demo().complaining(1, &["2000 events", "--data-dir"]);
}
