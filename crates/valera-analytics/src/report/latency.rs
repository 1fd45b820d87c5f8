//! How fast the assistant answers, by period and model.
//!
//! It does not average averages or quantiles: the totals row is given, computed from the histograms.

use comfy_table::Cell;
use serde::Serialize;

use super::{
    Row,
    table::{self, Column, alarming, number, optional, text},
};
use crate::terminal::Style;

/// Response times of one model in one period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct LatencyRow {
    /// The hour or day, as it is to be read.
    pub period: String,
    /// The model that answered.
    pub model: String,
    /// Answers.
    pub responses: i64,
    /// Answers that took more than 3000 ms.
    pub slow_responses: i64,
    /// The mean in milliseconds, a decimal; `None` without answers.
    pub avg_ms: Option<String>,
    /// Median in milliseconds.
    pub p50_ms: Option<i64>,
    /// 95th percentile in milliseconds.
    pub p95_ms: Option<i64>,
    /// 99th percentile in milliseconds.
    pub p99_ms: Option<i64>,
    /// The slowest answer in milliseconds.
    pub max_ms: Option<i64>,
}

impl Row for LatencyRow {
    const COLUMNS: &'static [&'static str] =
        &["period", "model", "responses", "slow_responses", "avg_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms"];
}

const COLUMNS: &[Column] = &[
    Column::Name("Period"),
    Column::Cut("Model"),
    Column::Number("Answers"),
    Column::Number(">3 s"),
    Column::Number("Avg ms"),
    Column::Number("p50"),
    Column::Number("p95"),
    Column::Number("p99"),
    Column::Number("Max"),
];

/// A 95th percentile above this is shown in red: what the rollups count as slow, in milliseconds.
const SLOW_MS: i64 = 3_000;

/// The response times as a table, in the order given, with `total` (a row over the whole period) at its end. `period` says
/// when, for where there is nothing.
#[must_use]
pub fn latency(rows: &[LatencyRow], total: Option<&LatencyRow>, period: &str, style: Style) -> String {
    let Some(first) = rows.first() else {
        return format!("no response times {}\n", table::harmless(period));
    };
    // Hours of one year need not say which: the width is better spent on the model.
    let year = first.period.get(..5).filter(|_| first.period.len() > "2026-11-24".len());
    let year = year.filter(|year| rows.iter().all(|row| row.period.starts_with(year))).unwrap_or_default();
    let cells =
        rows.iter().map(|row| row_cells(row, row.period.strip_prefix(year).unwrap_or(&row.period), &row.model));
    table::table(COLUMNS, cells.collect(), total.map(|row| row_cells(row, "Total", "")), style)
}

fn row_cells(row: &LatencyRow, period: &str, model: &str) -> Vec<Cell> {
    let p95 = optional(row.p95_ms);
    vec![
        text(period),
        text(model),
        number(row.responses),
        number(row.slow_responses),
        optional(row.avg_ms.as_deref().map(whole)),
        optional(row.p50_ms),
        if row.p95_ms > Some(SLOW_MS) { alarming(p95) } else { p95 },
        optional(row.p99_ms),
        optional(row.max_ms),
    ]
}

/// The decimal without its fraction: nobody reads a tenth of a millisecond in a table.
fn whole(decimal: &str) -> &str {
    decimal.split_once('.').map_or(decimal, |(whole, _)| whole)
}
