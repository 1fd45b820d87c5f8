//! The verdict of a recount, and what differs.
//!
//! It does not decide whether the verdict is good: `Verdict::agrees` does.

use super::table::{self, Column, harmless, number, text};
use crate::terminal::Style;
use uuid::Uuid;
use valera_pipeline::verify::{BucketDifference, Repaired, Verdict, WAY_OUT};

const COLUMNS: &[Column] = &[Column::Name("Rollup"), Column::Number("Buckets"), Column::Number("Differing")];

/// At most so many ids and buckets are shown, per kind.
pub(super) const SHOWN: usize = 10;

/// The rollups as a table, then what differs, then one sentence.
#[must_use]
pub fn verdict(verdict: &Verdict, style: Style) -> String {
    let rows = verdict
        .rollups
        .iter()
        .map(|rollup| vec![text(rollup.name), number(rollup.buckets), number(rollup.differing)]);
    let mut out = table::table(COLUMNS, rows.collect(), None, style);
    for rollup in &verdict.rollups {
        for difference in rollup.differences.iter().take(SHOWN) {
            out.push_str(&bucket(rollup.name, difference, "recounted"));
        }
    }
    for (ids, what) in [
        (&verdict.missing, "stored in raw and passed over by the rollups"),
        (&verdict.refused, "in the rollups and refused by Postgres, see their dead letters"),
        (&verdict.unstored, "in the rollups and not in raw"),
        (&verdict.disagreeing, "known to raw and rollups with different content"),
    ] {
        out.push_str(&named(ids, what));
    }
    if !verdict.unstored.is_empty() {
        out.push_str(&format!("where these do not come: {WAY_OUT}\n"));
    }
    let Verdict { raw_events, pending, late, .. } = verdict;
    let answer = if verdict.agrees() { "agrees" } else { "DIFFERS" };
    out.push_str(&format!("{answer}: {raw_events} raw events recounted, {pending} pending, {late} late\n"));
    out
}

/// What a repair did, as one sentence.
#[must_use]
pub fn repaired(repaired: Repaired) -> String {
    let Repaired { disagreeing, refused, buckets } = repaired;
    format!(
        "repaired: {buckets} buckets written over, {disagreeing} ids took raw's content, {refused} refused ids forgotten\n"
    )
}

/// A bucket that differs, and how; `other` is what it was held against.
pub(super) fn bucket(rollup: &str, difference: &BucketDifference, other: &str) -> String {
    let BucketDifference { key, kept, recounted } = difference;
    let key: Vec<_> = key.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{rollup} {}\n", harmless(&format!("{}: kept {kept}, {other} {recounted}", key.join(" "))))
}

fn named(ids: &[Uuid], what: &str) -> String {
    if ids.is_empty() {
        return String::new();
    }
    let shown: Vec<_> = ids.iter().take(SHOWN).map(Uuid::to_string).collect();
    let more = if ids.len() > SHOWN { ", …" } else { "" };
    format!("{} events {what}: {}{more}\n", ids.len(), shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value, json};
    use valera_pipeline::verify::RollupVerdict;

    #[test]
    fn what_differs_is_named_with_both_values_and_steers_no_terminal() {
        let difference = BucketDifference {
            key: Map::from_iter([("event_name".to_owned(), Value::from("x\u{202e}y"))]),
            kept: json!({"events": 3}),
            recounted: json!({"events": 2}),
        };
        let rollup =
            RollupVerdict { name: "event_counts_hourly", buckets: 7, differing: 1, differences: vec![difference] };
        let found = Verdict {
            raw_events: 2,
            pending: 0,
            late: 0,
            missing: Vec::new(),
            refused: Vec::new(),
            unstored: vec![Uuid::nil()],
            disagreeing: Vec::new(),
            rollups: vec![rollup],
        };
        let said = verdict(&found, Style { colour: false, width: 80 });
        let lines: Vec<_> = said.lines().rev().take(4).collect();
        assert_eq!(
            lines,
            [
                "DIFFERS: 2 raw events recounted, 0 pending, 0 late",
                &format!("where these do not come: {WAY_OUT}"),
                "1 events in the rollups and not in raw: 00000000-0000-0000-0000-000000000000",
                "event_counts_hourly event_name=\"x\u{fffd}y\": kept {\"events\":3}, recounted {\"events\":2}",
            ]
        );
    }
}
