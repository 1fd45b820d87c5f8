//! The rule file: TOML, one table `[rule.<name>]` a rule.
//!
//! A new kind is a file beside this one and its line in [`KINDS`]. The shipped rules are compiled in and are a file like
//! any other, so that `alerts check` and an operator's editor see what runs. It does not open files.

use super::{
    Fault, QuietHours, Rule, Rules, burst, conversion, dead_letters, event, fields::Fields, full, lag, slow,
};
use crate::alerts::{Severity, digest};
use chrono::TimeDelta;
use toml::{Table, Value};
use valera_events::subject;

/// The rules that run where no others are given.
pub const SHIPPED: &str = include_str!("../../../../../config/alerts.toml");

type Read = fn(&mut Fields<'_>) -> Box<dyn super::Kind>;

/// Every kind, by its name in the file.
const KINDS: [(&str, Read); 7] = [
    ("event", event::read),
    ("burst", burst::read),
    ("slow", slow::read),
    ("conversion", conversion::read),
    ("dead_letters", dead_letters::read),
    ("lag", lag::read),
    ("full", full::read),
];

impl Rules {
    /// Reads a rule file.
    ///
    /// # Errors
    /// Every fault in it, in the order of the rules' names; there is at least one.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let rules = tables(text, &mut faults);
        let rules = rules.into_iter().filter_map(|(name, table)| read(&name, table, &mut faults)).collect();
        if faults.is_empty() { Ok(Self(rules)) } else { Err(faults) }
    }

    /// The rules that are compiled in.
    ///
    /// # Errors
    /// As [`Rules::parse`], which a test rules out.
    pub fn shipped() -> Result<Self, Vec<Fault>> {
        Self::parse(SHIPPED)
    }
}

/// The table of each rule, with its name.
fn tables(text: &str, faults: &mut Vec<Fault>) -> Vec<(String, Table)> {
    let mut fault = |rule: &str, expected: String| {
        faults.push(Fault { rule: rule.to_owned(), field: String::new(), expected });
    };
    let mut file = match text.parse::<Table>() {
        Ok(file) => file,
        Err(cause) => {
            fault("", format!("not TOML: {}", cause.to_string().trim_end()));
            return Vec::new();
        }
    };
    let rules = file.remove("rule");
    for (name, _) in file {
        fault("", format!("expected tables [rule.<name>] only, found {name}"));
    }
    let Some(Value::Table(rules)) = rules else {
        fault("", "expected at least one table [rule.<name>]".to_owned());
        return Vec::new();
    };
    let mut tables = Vec::new();
    for (name, rule) in rules {
        match rule {
            Value::Table(_) if subject::of_alert(&name).is_none() => {
                fault(&name, "expected a name of up to 50 of a-z, 0-9 and _, a letter first".to_owned());
            }
            Value::Table(_) if name == digest::NAME => {
                fault(&name, "that is the name of the morning message".to_owned());
            }
            Value::Table(table) => tables.push((name, table)),
            other => fault(&name, format!("expected a table, found {other}")),
        }
    }
    tables
}

fn read(name: &str, table: Table, faults: &mut Vec<Fault>) -> Option<Rule> {
    let mut fields = Fields::new(name, table, faults);
    let severity = fields.text("severity", "info, warning or critical", severity).unwrap_or(Severity::Warning);
    let cooldown = fields.duration("cooldown", Some(TimeDelta::zero()));
    let quiet_hours = fields.text("quiet_hours", "local hours such as \"22:00-08:00\"", QuietHours::parse);
    let kinds = KINDS.map(|(name, _)| name).join(", ");
    let find = |name: &str| KINDS.into_iter().find(|(kind, _)| *kind == name).map(|(_, read)| read);
    // Without its kind nothing can be said of the other fields.
    let read = fields.required("kind", &format!("one of {kinds}"), find)?;
    let kind = read(&mut fields);
    fields.finish();
    Some(Rule { name: name.to_owned(), severity, cooldown, quiet_hours, kind })
}

fn severity(text: &str) -> Option<Severity> {
    match text {
        "info" => Some(Severity::Info),
        "warning" => Some(Severity::Warning),
        "critical" => Some(Severity::Critical),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        Rules::parse(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_shipped_rules_are_without_fault_and_of_every_kind() {
        let rules = Rules::shipped().unwrap();
        for (kind, _) in KINDS {
            assert!(rules.0.iter().any(|rule| rule.kind.name() == kind), "no {kind}");
        }
    }

    #[test]
    fn every_fault_is_named_with_its_rule_and_field() {
        let text = r#"
            [rule.booking]
            kind = "event"
            severity = "loud"
            event = "booking_request_created"
            facts = ["booking_id", "customer_name"]
            cooldwon = "1h"

            [rule.error]
            kind = "burst"
            at_least = 0
            window = "90s"
            group_by = ["error_message"]

            [rule.slow]
            kind = "slow"
            share_percent = 20
            percentile = 95
            window = "15m"

            [rule.lag]
            consumers = ["rollup"]
        "#;
        let expected = [
            "booking: severity: expected info, warning or critical, found \"loud\"",
            "booking: facts: expected a property that the catalogue declares for booking_request_created and marks \
             plain, found \"customer_name\"",
            "booking: cooldwon: unknown field",
            "error: group_by: expected a text property that the catalogue declares for error_occurred and marks \
             plain, found \"error_message\"",
            "error: at_least: expected a whole number from 1 to 100000, found 0",
            "error: window: expected a window of \"1m\" to \"1d\" in whole minutes, such as \"10m\", found \"90s\"",
            "lag: kind: missing; expected one of event, burst, slow, conversion, dead_letters, lag, full",
            "slow: share_percent: expected this or percentile, found both",
            "slow: at_least: missing; expected a whole number from 1 to 1000000",
        ];
        assert_eq!(faults(text), expected);
    }

    #[test]
    fn a_file_without_rules_or_with_anything_else_is_refused() {
        assert!(faults("[rule")[0].starts_with("not TOML: "));
        assert_eq!(faults(""), ["expected at least one table [rule.<name>]"]);
        let found = faults("[rules.x]\nkind = \"event\"");
        assert_eq!(found[0], "expected tables [rule.<name>] only, found rules");
        let found = faults("[rule.\"a b\"]\nkind = \"event\"");
        assert_eq!(found, ["a b: expected a name of up to 50 of a-z, 0-9 and _, a letter first"]);
        assert_eq!(faults("rule.x = 1"), ["x: expected a table, found 1"]);
        assert_eq!(faults("[rule.digest]\nkind = \"event\""), ["digest: that is the name of the morning message"]);
    }
}
