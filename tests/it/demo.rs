//! The first thing a newcomer runs.

use crate::support::{Said, program};

#[test]
fn the_demo_ends_well_and_agrees_with_the_bot() {
    let said = Said::by(program().args(["demo", "--events", "2000"])).well();
    for part in [
        "The funnel by day",
        "Response times",
        "missing_property",
        "agrees with the bot's own ledger: 2000",
        "agrees: 2000 raw events recounted",
    ] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
}
