//! A rebuild held against the rollups as they are: per rollup, and bucket by bucket.
//!
//! It does not judge which side is right: a new rollup differs in every bucket, and a mended one in some.

use super::{
    table::{self, Column, number, text},
    verdict::{SHOWN, bucket},
};
use crate::terminal::Style;
use valera_pipeline::rebuild::Comparison;

const COLUMNS: &[Column] =
    &[Column::Name("Rollup"), Column::Number("Buckets"), Column::Number("Rebuilt"), Column::Number("Differing")];

/// The rollups as a table, then the first buckets that differ, then what it comes to.
#[must_use]
pub fn differences(comparison: &Comparison, style: Style) -> String {
    let Comparison { pending, differences: rollups } = comparison;
    let rows = rollups.iter().map(|rollup| {
        vec![text(rollup.name), number(rollup.buckets), number(rollup.rebuilt), number(rollup.differing)]
    });
    let mut out = table::table(COLUMNS, rows.collect(), None, style);
    for rollup in rollups {
        for difference in rollup.differences.iter().take(SHOWN) {
            out.push_str(&bucket(rollup.name, difference, "rebuilt"));
        }
    }
    match rollups.iter().map(|rollup| rollup.differing).sum::<i64>() {
        0 => out.push_str("the rebuilt rollups hold what the present ones hold\n"),
        differing => out.push_str(&format!("{differing} buckets differ\n")),
    }
    if *pending > 0 {
        out.push_str(&format!("only the rebuilt ones count {pending} events that the rollups have yet to take in\n"));
    }
    out
}
