//! Reports: rows of a query as a table to read, as JSON or as CSV.
//!
//! The commands and the demo show the same figures, so the presentation is one set of pure functions from plain rows to
//! a string, and what people read stands in snapshot tests.
//!
//! It does not query, and it does not print.

mod alerts;
mod catalogue;
mod funnel;
mod latency;
mod letter;
mod letters;
mod positions;
mod rebuild;
mod replays;
mod retries;
mod status;
mod table;
mod verdict;

use serde::Serialize;

pub use alerts::{IncidentRow, MuteRow, incidents, mutes};
pub use catalogue::{
    CLOCKS, EventDay, EventReport, EventState, accusation, event_days, event_reports, events, tried,
};
pub use funnel::{
    FunnelCohort, FunnelCounts, FunnelDay, FunnelPeriod, FunnelWeek, funnel, funnel_cohorts, funnel_weeks,
    funnel_whole,
};
pub use latency::{LatencyRow, latency};
pub use letter::{LetterLine, letter, letter_json, letter_lines};
pub use letters::{LetterGroup, letters};
pub use positions::{positions, positions_amiss};
pub use rebuild::differences;
pub use replays::{preview, replayed, replays, with_state};
pub use retries::{
    ACCEPTED, FINISHED, NOT_FOUND, NOT_PUBLISHED, OVERTAKEN, Outlook, REJECTED_AGAIN, RetryCount, RetryTally,
    WAITING, outlooks, retries,
};
pub use status::{CHANNELS, ConsumerStatus, status};
pub use verdict::{repaired, verdict};

/// A row of a report, with the columns of its CSV in the order of its fields: also an empty file says what it would hold.
pub trait Row: Serialize {
    /// The names of the fields.
    const COLUMNS: &'static [&'static str];
}

/// Indented JSON, with a newline at its end; of rows one array.
///
/// # Errors
/// When the value does not serialise; those of this module always do.
pub fn json<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n")
}

/// The rows as CSV (RFC 4180: CRLF, quotes where needed), with a header line.
///
/// # Errors
/// When a row does not serialise; those of this module always do.
pub fn csv<T: Row>(rows: &[T]) -> Result<String, csv::Error> {
    let mut out = Vec::new();
    {
        let mut writer =
            csv::WriterBuilder::new().has_headers(false).terminator(csv::Terminator::CRLF).from_writer(&mut out);
        writer.write_record(T::COLUMNS)?;
        for row in rows {
            writer.serialize(row)?;
        }
        writer.flush()?;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// `part` of `whole` in percent with two decimals, rounded half up like Postgres's `round(numeric, 2)`; `None` of none.
pub(crate) fn percent(part: i64, whole: i64) -> Option<String> {
    if whole <= 0 {
        return None;
    }
    let (part, whole) = (i128::from(part), i128::from(whole));
    let hundredths = (part * 20_000 + whole) / (whole * 2);
    Some(format!("{}.{:02}", hundredths / 100, hundredths % 100))
}

#[cfg(test)]
mod tests;
