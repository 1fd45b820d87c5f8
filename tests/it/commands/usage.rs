//! Help, completions, and what is refused before anything is connected to.

use crate::support::{Said, program};

fn says(arguments: &[&str]) -> Said {
    Said::by(program().args(arguments).env("COLUMNS", "100"))
}

#[test]
fn the_help_lists_the_commands() {
    insta::assert_snapshot!(says(&["--help"]).well());
}

#[test]
fn every_command_has_help() {
    let commands = commands();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let help = says(&[&command, "--help"]).well();
        assert!(help.contains(&format!("Usage: valera-analytics {command}")), "{help}");
    }
}

#[test]
fn the_help_of_what_people_use_daily_reads_well() {
    for command in ["track", "import", "funnel", "latency"] {
        insta::assert_snapshot!(format!("help_of_{command}"), says(&[command, "--help"]).well());
    }
}

/// As the help lists them.
fn commands() -> Vec<String> {
    let help = says(&["--help"]).well();
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_right() {
    for (arguments, named) in [
        (&["bookings"][..], "unrecognized subcommand"),
        (&["track", "review_left"], "--chat-id"),
        (&["track", "review_left", "--chat-id=x"], "--chat-id"),
        (&["track", "review_left", "--chat-id=1", "--property=price"], "KEY=VALUE"),
        (&["track", "review_left", "--chat-id=1", "--occurred-at=yesterday"], "--occurred-at"),
        (&["run"], "<SERVICES>"),
        (&["run", "everything"], "persister"),
        (&["import"], "<FILE>"),
        (&["dead-letters", "show", "zzz", "--database-url=x"], "a UUID, as `dead-letters list` shows it"),
        (&["dead-letters", "retry", "zzz", "--database-url=x"], "a UUID, as `dead-letters list` shows it"),
        (&["dead-letters", "discard", "zzz", "--database-url=x"], "a UUID, as `dead-letters list` shows it"),
        (&["topology", "destroy"], "unrecognized subcommand"),
        (
            &["funnel", "--from=yesterday", "--database-url=x"],
            "'--from <DAY>': expected a day, for example 2026-11-24",
        ),
        (&["latency", "--to=2026-2-1", "--database-url=x"], "'--to <DAY>': expected a day, for example 2026-11-24"),
        (&["latency", "--hours=2", "--days=2", "--database-url=x"], "cannot be used with"),
        (&["latency", "--by=week", "--database-url=x"], "hour, day, model, whole"),
        (&["funnel", "--days=2", "--from=2026-01-01", "--database-url=x"], "cannot be used with"),
        (&["funnel", "--days=0", "--database-url=x"], "--days"),
        (&["funnel", "--json", "--csv", "--database-url=x"], "cannot be used with"),
        (&["funnel"], "--database-url"),
        (&["replay", "--into=persister", "--subject=cart_confirmed"], "its subject is analytics.cart_confirmed"),
        (&["replay", "--into=persister", "--subject=alerts.booking"], "for example analytics.cart_confirmed"),
        (&["replay", "--into=persister", "--dry-run", "--name=x"], "cannot be used with"),
        (&["replay", "--into=persister", "--name="], "--name <NAME>': a name is 1 to 64 letters"),
        (&["replay", "--into=persister", "--name=two words"], "letters, digits"),
        (&["replay", "--into=persister", &format!("--name={}", "a".repeat(65))], "1 to 64"),
        (&["export", "--out=x.ndjson.gz", "--database-url=x"], "ends in .zst"),
        (&["export", "--out=x.ZST", "--database-url=x"], "not written as .ZST"),
        (&["export", "--out=-", "--json", "--database-url=x"], "--out -"),
        (&["completions", "cmd.exe"], "bash"),
    ] {
        let said = says(arguments);
        assert_eq!(said.out, "", "{arguments:?}");
        said.complaining(2, &[named]);
    }
    assert_eq!(says(&[]).code, Some(2));
}

#[test]
fn the_completions_are_a_script_that_bash_takes() {
    let script = says(&["completions", "bash"]).well();
    let mut bash = std::process::Command::new("bash");
    let check = "eval \"$1\" && complete -p valera-analytics";
    let registered = Said::by(bash.args(["-c", check, "bash", &script])).well();
    assert!(registered.contains("valera-analytics"), "{registered}");
    for command in commands() {
        assert!(script.contains(&command), "no {command}");
    }
}

#[test]
fn the_version_is_the_packages() {
    let said = says(&["--version"]).well();
    assert_eq!(said.trim(), format!("valera-analytics {}", env!("CARGO_PKG_VERSION")));
}
