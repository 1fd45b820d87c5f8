//! A rebuild held against the rollups as they are: per rollup, and bucket by bucket.
//!
//! It does not judge which side is right: a new rollup differs in every bucket, and a mended one in some.

use super::{
    table::{self, Column, number, text},
    verdict::{SHOWN, bucket},
};
use crate::terminal::Style;
use valera_pipeline::rebuild::RollupDifference;

const COLUMNS: &[Column] =
    &[Column::Name("Rollup"), Column::Number("Buckets"), Column::Number("Rebuilt"), Column::Number("Differing")];

/// The rollups as a table, then the first buckets that differ, then one sentence.
#[must_use]
pub fn differences(rollups: &[RollupDifference], style: Style) -> String {
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
    out
}
