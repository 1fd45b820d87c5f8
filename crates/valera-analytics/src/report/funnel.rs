//! The funnel by day, and where people drop off.
//!
//! It does not count: every figure is a column of `rollups.funnel_daily` or a sum of one.

use chrono::NaiveDate;
use comfy_table::Cell;
use serde::Serialize;

use super::{
    Row, percent,
    table::{self, Column, figure, grouped, number, optional, text},
};
use crate::terminal::Style;

/// A row of `rollups.funnel_daily`: chats with at least one such event on the day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct FunnelDay {
    /// The local day.
    pub day: NaiveDate,
    /// Chats with any event.
    pub chats: i64,
    /// Chats in which a dialog started.
    pub dialogs: i64,
    /// Chats that were suggested a service.
    pub suggestions: i64,
    /// Chats that added a service.
    pub services_added: i64,
    /// Chats that confirmed a cart.
    pub carts_confirmed: i64,
    /// Chats that booked.
    pub bookings: i64,
    /// Of the chats with a dialog, those that were suggested a service.
    pub dialogs_with_suggestion: i64,
    /// Of the chats with a dialog, those that booked.
    pub dialogs_with_booking: i64,
    /// `dialogs_with_booking` of `dialogs`, in percent with two decimals; `None` without dialogs.
    pub conversion_rate: Option<String>,
}

impl Row for FunnelDay {
    const COLUMNS: &'static [&'static str] = &[
        "day",
        "chats",
        "dialogs",
        "suggestions",
        "services_added",
        "carts_confirmed",
        "bookings",
        "dialogs_with_suggestion",
        "dialogs_with_booking",
        "conversion_rate",
    ];
}

const COLUMNS: &[Column] = &[
    Column::Name("Day"),
    Column::Number("Chats"),
    Column::Number("Dialogs"),
    Column::Number("Suggested"),
    Column::Number("Added"),
    Column::Number("Carts"),
    Column::Number("Bookings"),
    Column::Number("Conv. %"),
];

/// A bar is drawn in eighths of a column.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
/// What stands beside a bar: label, count and percentage.
const BESIDE_BAR: u16 = 36;
/// The longest bar, in columns.
const LONGEST_BAR: u16 = 48;

/// The funnel as a table with totals, and a bar for each of its steps. Days are shown in the order given.
#[must_use]
pub fn funnel(days: &[FunnelDay], style: Style) -> String {
    if days.is_empty() {
        return "no events in this period; try --days 30\n".to_owned();
    }
    let total = |column: fn(&FunnelDay) -> i64| days.iter().map(column).sum::<i64>();
    let totals = [
        total(|day| day.chats),
        total(|day| day.dialogs),
        total(|day| day.suggestions),
        total(|day| day.services_added),
        total(|day| day.carts_confirmed),
        total(|day| day.bookings),
    ];
    let conversion = percent(total(|day| day.dialogs_with_booking), total(|day| day.dialogs));
    let mut last = vec![text("Total")];
    last.extend(totals.map(number));
    last.push(optional(conversion));
    let [_, steps @ ..] = totals;
    format!(
        "{}Totals add up days: a chat that wrote on two days counts in both.\n\n{}",
        table::table(COLUMNS, days.iter().map(day_cells).collect(), Some(last), style),
        drop_off(steps, style)
    )
}

fn day_cells(day: &FunnelDay) -> Vec<Cell> {
    vec![
        figure(day.day.to_string()),
        number(day.chats),
        number(day.dialogs),
        number(day.suggestions),
        number(day.services_added),
        number(day.carts_confirmed),
        number(day.bookings),
        optional(day.conversion_rate.as_deref()),
    ]
}

/// A line per step, its bar and percentage relative to the dialogs.
fn drop_off(steps: [i64; 5], style: Style) -> String {
    let labels = ["dialogs", "suggestions", "services added", "carts confirmed", "bookings"];
    let longest = style.width.saturating_sub(BESIDE_BAR).clamp(8, LONGEST_BAR);
    let widest = steps.iter().copied().max().unwrap_or(0);
    let [dialogs, ..] = steps;
    let mut out = String::new();
    for (label, count) in labels.iter().zip(steps) {
        let share = percent(count, dialogs).map_or_else(|| table::NONE.to_owned(), |share| share + " %");
        let bar = bar(count, widest, longest);
        let bar = if style.colour { format!("\x1b[36m{bar}\x1b[0m") } else { bar };
        let line = format!(" {label:<15} {:>7} {share:>9}  {bar}", grouped(&count.to_string()));
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A bar of up to `longest` columns for `count` of `widest`.
fn bar(count: i64, widest: i64, longest: u16) -> String {
    let (count, widest) = (i128::from(count.max(0)), i128::from(widest.max(1)));
    let eighths = usize::try_from(count * i128::from(longest) * 8 / widest).unwrap_or(0);
    "█".repeat(eighths / 8) + EIGHTHS.get(eighths % 8).unwrap_or(&"")
}
