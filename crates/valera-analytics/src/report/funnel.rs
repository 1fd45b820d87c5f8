//! The funnel by day, week or cohort or over a whole period, and where people drop off.
//!
//! It does not count: every figure comes from the rollups. Totals are given, not added up, because a chat that wrote on
//! two days is one chat; only cohorts add up, since a chat stands in one.

use chrono::NaiveDate;
use comfy_table::Cell;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    Row, percent,
    table::{self, Column, figure, grouped, number, optional, text},
};
use crate::terminal::Style;

/// Chats with at least one such event in a day, a week or another period.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct FunnelCounts {
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

/// A row of `rollups.funnel_daily`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct FunnelDay {
    /// The local day.
    pub day: NaiveDate,
    /// Its chats.
    #[sqlx(flatten)]
    pub counts: FunnelCounts,
}

/// A row of `rollups.funnel_weekly`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct FunnelWeek {
    /// The Monday of the week.
    pub week: NaiveDate,
    /// Its chats.
    #[sqlx(flatten)]
    pub counts: FunnelCounts,
}

/// A row of `rollups.weekly_cohorts`: the chats whose first dialog of the period fell into the week, and what became of
/// them by the end of the period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct FunnelCohort {
    /// The Monday of the week.
    pub week: NaiveDate,
    /// Its chats.
    pub started_dialogs: i64,
    /// Those that were suggested a service.
    pub received_suggestions: i64,
    /// Those that booked.
    pub created_bookings: i64,
    /// `created_bookings` of `started_dialogs`, in percent with two decimals.
    pub conversion_rate: Option<String>,
}

/// The answer of `rollups.funnel_period`: a whole period in one row.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct FunnelPeriod {
    /// The first local day.
    pub from_day: NaiveDate,
    /// The last one.
    pub to_day: NaiveDate,
    /// Its chats, each once.
    #[sqlx(flatten)]
    pub counts: FunnelCounts,
    /// `bookings` of `chats`, in percent with two decimals; `None` without chats.
    pub conversion_of_chats: Option<String>,
}

/// The columns of a row that begins with the first ones, and ends with the last ones.
macro_rules! columns_between {
    ([$($first:literal),*], [$($last:literal),*]) => {
        &[
            $($first,)*
            "chats",
            "dialogs",
            "suggestions",
            "services_added",
            "carts_confirmed",
            "bookings",
            "dialogs_with_suggestion",
            "dialogs_with_booking",
            "conversion_rate",
            $($last,)*
        ]
    };
}

impl Row for FunnelDay {
    const COLUMNS: &'static [&'static str] = columns_between!(["day"], []);
}

impl Row for FunnelWeek {
    const COLUMNS: &'static [&'static str] = columns_between!(["week"], []);
}

impl Row for FunnelPeriod {
    const COLUMNS: &'static [&'static str] = columns_between!(["from_day", "to_day"], ["conversion_of_chats"]);
}

impl Row for FunnelCohort {
    const COLUMNS: &'static [&'static str] =
        &["week", "started_dialogs", "received_suggestions", "created_bookings", "conversion_rate"];
}

// Flat rows, because CSV knows no nested ones and serde's `flatten` makes maps, which CSV refuses.

impl Serialize for FunnelDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("FunnelDay", Self::COLUMNS.len())?;
        row.serialize_field("day", &self.day)?;
        self.counts.serialize_into(&mut row)?;
        row.end()
    }
}

impl Serialize for FunnelWeek {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("FunnelWeek", Self::COLUMNS.len())?;
        row.serialize_field("week", &self.week)?;
        self.counts.serialize_into(&mut row)?;
        row.end()
    }
}

impl Serialize for FunnelPeriod {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("FunnelPeriod", Self::COLUMNS.len())?;
        row.serialize_field("from_day", &self.from_day)?;
        row.serialize_field("to_day", &self.to_day)?;
        self.counts.serialize_into(&mut row)?;
        row.serialize_field("conversion_of_chats", &self.conversion_of_chats)?;
        row.end()
    }
}

impl FunnelCounts {
    fn serialize_into<R: SerializeStruct>(&self, row: &mut R) -> Result<(), R::Error> {
        row.serialize_field("chats", &self.chats)?;
        row.serialize_field("dialogs", &self.dialogs)?;
        row.serialize_field("suggestions", &self.suggestions)?;
        row.serialize_field("services_added", &self.services_added)?;
        row.serialize_field("carts_confirmed", &self.carts_confirmed)?;
        row.serialize_field("bookings", &self.bookings)?;
        row.serialize_field("dialogs_with_suggestion", &self.dialogs_with_suggestion)?;
        row.serialize_field("dialogs_with_booking", &self.dialogs_with_booking)?;
        row.serialize_field("conversion_rate", &self.conversion_rate)
    }

    fn steps(&self) -> [i64; 5] {
        [self.dialogs, self.suggestions, self.services_added, self.carts_confirmed, self.bookings]
    }

    fn cells(&self) -> impl Iterator<Item = Cell> {
        let rate = optional(self.conversion_rate.as_deref());
        [number(self.chats)].into_iter().chain(self.steps().map(number)).chain([rate])
    }
}

const COLUMNS: [Column; 7] = [
    Column::Number("Chats"),
    Column::Number("Dialogs"),
    Column::Number("Suggested"),
    Column::Number("Added"),
    Column::Number("Carts"),
    Column::Number("Bookings"),
    Column::Number("Conv. %"),
];

const COHORT_COLUMNS: &[Column] = &[
    Column::Name("Cohort of"),
    Column::Number("Dialogs"),
    Column::Number("Suggested"),
    Column::Number("Bookings"),
    Column::Number("Conv. %"),
];

/// A bar is drawn in eighths of a column.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
/// What stands beside a bar: label, count and percentage.
const BESIDE_BAR: u16 = 36;
/// The longest bar, in columns.
const LONGEST_BAR: u16 = 48;

/// Days as a table, in the order given, with the total over the period, and a bar for each step of it. `period` says
/// when, for where there is nothing.
#[must_use]
pub fn funnel(days: &[FunnelDay], total: &FunnelCounts, period: &str, style: Style) -> String {
    let rows: Vec<_> = days.iter().map(|row| (row.day, &row.counts)).collect();
    periods("Day", &rows, total, period, style)
}

/// The same for weeks.
#[must_use]
pub fn funnel_weeks(weeks: &[FunnelWeek], total: &FunnelCounts, period: &str, style: Style) -> String {
    let rows: Vec<_> = weeks.iter().map(|row| (row.week, &row.counts)).collect();
    periods("Week of", &rows, total, period, style)
}

/// A whole period, if anything came in it, as a table of one row and a bar for each step.
#[must_use]
pub fn funnel_whole(whole: Option<&FunnelPeriod>, period: &str, style: Style) -> String {
    let Some(FunnelPeriod { counts, conversion_of_chats, .. }) = whole else { return none(period) };
    let columns: Vec<_> = COLUMNS.into_iter().chain([Column::Number("Of chats %")]).collect();
    let cells = counts.cells().chain([optional(conversion_of_chats.as_deref())]).collect();
    format!(
        "{}Each chat once, {period}; Conv. % of chats with a dialog.\n\n{}",
        table::table(&columns, vec![cells], None, style),
        drop_off(counts.steps(), style)
    )
}

/// Cohorts as a table with their sum.
#[must_use]
pub fn funnel_cohorts(cohorts: &[FunnelCohort], period: &str, style: Style) -> String {
    if cohorts.is_empty() {
        return format!("no dialogs {period}\n");
    }
    let total = |column: fn(&FunnelCohort) -> i64| cohorts.iter().map(column).sum::<i64>();
    let (dialogs, bookings) = (total(|row| row.started_dialogs), total(|row| row.created_bookings));
    let cells = |label: Cell, counts: [i64; 3], rate: Option<&str>| {
        [label].into_iter().chain(counts.map(number)).chain([optional(rate)]).collect::<Vec<_>>()
    };
    let rows = cohorts.iter().map(|row| {
        let counts = [row.started_dialogs, row.received_suggestions, row.created_bookings];
        cells(figure(row.week.to_string()), counts, row.conversion_rate.as_deref())
    });
    let suggestions = total(|row| row.received_suggestions);
    let last = cells(text("Total"), [dialogs, suggestions, bookings], percent(bookings, dialogs).as_deref());
    format!(
        "{}A chat stands in the week of its first dialog {period}.\n",
        table::table(COHORT_COLUMNS, rows.collect(), Some(last), style)
    )
}

fn periods(
    heading: &'static str,
    rows: &[(NaiveDate, &FunnelCounts)],
    total: &FunnelCounts,
    period: &str,
    style: Style,
) -> String {
    if rows.is_empty() {
        return none(period);
    }
    let columns: Vec<_> = [Column::Name(heading)].into_iter().chain(COLUMNS).collect();
    let cells =
        rows.iter().map(|(start, counts)| [figure(start.to_string())].into_iter().chain(counts.cells()).collect());
    let last = [text("Total")].into_iter().chain(total.cells()).collect();
    format!(
        "{}The total counts each chat once, though it may stand in several rows.\n\n{}",
        table::table(&columns, cells.collect(), Some(last), style),
        drop_off(total.steps(), style)
    )
}

fn none(period: &str) -> String {
    format!("no events {period}\n")
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
