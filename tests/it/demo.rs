//! The first thing a newcomer runs.

use std::process::Command;

#[test]
fn the_demo_ends_well_and_agrees_with_the_bot() {
    let output = Command::new(program()).args(["demo", "--events", "2000"]).output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    for part in ["The funnel by day", "Response times", "missing_property", "agrees with the bot's own ledger: 2000"]
    {
        assert!(said.contains(part), "{part} is missing in:\n{said}\n{complained}");
    }
}

/// The product's binary, built beside this test's.
fn program() -> std::path::PathBuf {
    let killable = std::path::Path::new(env!("CARGO_BIN_EXE_killable"));
    killable.with_file_name("valera-analytics")
}
