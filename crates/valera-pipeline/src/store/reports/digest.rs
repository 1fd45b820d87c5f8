//! What one local day came to, in the few figures of the morning message.
//!
//! Everything is of one snapshot, so that the lines of a message agree with each other. What is usual is the median of
//! the same weekday in the eight weeks before: one strange week does not move it. Weekdays on which nothing at all came
//! do not count towards it: an assistant that nobody hears is an outage, not a habit. It puts nothing into words.

use super::{Grain, funnel_daily, hours_of_days, response_times};
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, FromRow, PgConnection};

/// Fewer same weekdays than this say nothing about what is usual.
const FEWEST_WEEKDAYS: i64 = 3;

/// What one local day came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    pub day: NaiveDate,
    pub funnel: DayFunnel,
    /// `None` while fewer than three same weekdays had events.
    pub usual: Option<Usual>,
    /// `None` when no step lost anybody.
    pub leaving: Option<Leaving>,
    pub responses: Responses,
    /// By class; the top one is empty when it was not named.
    pub errors: Tally,
    /// Rejected messages that were received on the day, by the first of their reasons.
    pub letters: Tally,
}

/// Chats that took each step on the day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct DayFunnel {
    /// With any event.
    pub chats: i64,
    pub dialogs: i64,
    pub suggestions: i64,
    pub services_added: i64,
    pub carts_confirmed: i64,
    pub bookings: i64,
    pub dialogs_with_booking: i64,
    /// Percent of dialogs, two decimals; `None` without dialogs.
    pub conversion_rate: Option<String>,
}

/// Medians over the same weekdays before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct Usual {
    /// How many of them had events, 3 to 8.
    pub weekdays: i64,
    /// One decimal: between two middle days lies a half.
    pub bookings: String,
    /// Percent, two decimals; `None` when fewer than three of them had dialogs.
    pub conversion_rate: Option<String>,
}

/// A step of the funnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Dialog,
    Suggestion,
    ServiceAdded,
    CartConfirmed,
    Booking,
}

/// The step before which most chats left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    pub from: Step,
    pub to: Step,
    /// Chats that took the first of the two.
    pub came: i64,
    /// Chats that took the second.
    pub went_on: i64,
}

/// How fast the assistant answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct Responses {
    pub responses: i64,
    /// Longer than 3,000 ms.
    pub slow_responses: i64,
    /// Within 1 %; `None` without answers.
    pub p50_ms: Option<i64>,
    pub p95_ms: Option<i64>,
}

/// How many there were, of how many kinds, and the most frequent one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct Tally {
    pub total: i64,
    pub kinds: i64,
    /// Of several as frequent, the first by name.
    pub top: String,
    pub top_total: i64,
}

impl Digest {
    /// Whether nothing was heard of the assistant on that day, well-formed or not.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.funnel.chats == 0 && self.letters.total == 0
    }
}

/// The figures of a day; zeros for one without events.
///
/// # Errors
/// When Postgres does not answer or was not migrated.
pub async fn digest(connection: &mut PgConnection, day: NaiveDate) -> anyhow::Result<Digest> {
    let mut snapshot = connection
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await
        .context("opening a snapshot for the digest")?;
    let funnel: Vec<DayFunnel> = funnel_daily(&mut snapshot, day, day).await?;
    let funnel = funnel.into_iter().next().unwrap_or_default();
    let usual = usual(&mut snapshot, day).await?;
    let between = hours_of_days(&mut snapshot, day, day).await?;
    let responses: Vec<Responses> = response_times(&mut snapshot, Grain::Whole, between, None).await?;
    let responses = responses.into_iter().next().unwrap_or_default();
    let errors = errors(&mut snapshot, between).await?;
    let letters = letters(&mut snapshot, between).await?;
    snapshot.rollback().await.context("closing the snapshot")?;
    Ok(Digest { day, usual, leaving: leaving(&funnel), funnel, responses, errors, letters })
}

/// When a local day ends; `None` for a day outside the calendar.
///
/// # Errors
/// When Postgres does not answer or was not migrated.
pub async fn end_of_day(connection: &mut PgConnection, day: NaiveDate) -> anyhow::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar("SELECT starts_at FROM rollups.calendar WHERE day = $1 + 1")
        .bind(day)
        .fetch_optional(connection)
        .await
        .context("asking the calendar; has `valera-analytics migrate` been run on this database?")
}

async fn usual(snapshot: &mut PgConnection, day: NaiveDate) -> anyhow::Result<Option<Usual>> {
    // The middle one, or the mean of the two in the middle; numeric throughout.
    sqlx::query_as(
        "SELECT weekdays,
            round((bookings[(weekdays + 1) / 2] + bookings[(weekdays + 2) / 2]) / 2.0, 1)::text AS bookings,
            CASE WHEN rates >= $2 THEN
                round((conversion_rates[(rates + 1) / 2] + conversion_rates[(rates + 2) / 2]) / 2, 2)::text
            END AS conversion_rate
         FROM (
            SELECT count(*) AS weekdays,
                count(conversion_rate) AS rates,
                array_agg(bookings ORDER BY bookings) AS bookings,
                array_agg(conversion_rate ORDER BY conversion_rate)
                    FILTER (WHERE conversion_rate IS NOT NULL) AS conversion_rates
            FROM rollups.funnel_daily
            WHERE day = ANY (ARRAY(SELECT $1 - 7 * weeks FROM generate_series(1, 8) AS weeks))
         ) AS before
         WHERE weekdays >= $2",
    )
    .bind(day)
    .bind(FEWEST_WEEKDAYS)
    .fetch_optional(snapshot)
    .await
    .context("asking rollups.funnel_daily what is usual")
}

async fn errors(snapshot: &mut PgConnection, (from, to): (DateTime<Utc>, DateTime<Utc>)) -> anyhow::Result<Tally> {
    let tally = sqlx::query_as(
        "SELECT error_class AS top, sum(errors)::bigint AS top_total, (sum(sum(errors)) OVER ())::bigint AS total,
            count(*) OVER () AS kinds
         FROM rollups.errors_hourly
         WHERE hour >= $1
            AND hour < $2
         GROUP BY error_class
         ORDER BY top_total DESC, error_class COLLATE \"C\"
         LIMIT 1",
    );
    let tally = tally.bind(from).bind(to).fetch_optional(snapshot).await.context("reading rollups.errors_hourly")?;
    Ok(tally.unwrap_or_default())
}

/// As `rollups.rejections_hourly` counts them, but by the index.
async fn letters(snapshot: &mut PgConnection, (from, to): (DateTime<Utc>, DateTime<Utc>)) -> anyhow::Result<Tally> {
    let tally = sqlx::query_as(
        "SELECT reason AS top, count(*) AS top_total, (sum(count(*)) OVER ())::bigint AS total,
            count(*) OVER () AS kinds
         FROM (
            SELECT left(coalesce(reasons -> 0 ->> 'reason', ''), 200) AS reason
            FROM dead_letters
            -- All of them, named because the index begins with the status.
            WHERE status IN ('open', 'retried', 'closed', 'discarded')
                AND received_at >= $1
                AND received_at < $2
         ) AS rejected
         GROUP BY reason
         ORDER BY top_total DESC, reason COLLATE \"C\"
         LIMIT 1",
    );
    let tally = tally.bind(from).bind(to).fetch_optional(snapshot).await.context("counting dead letters")?;
    Ok(tally.unwrap_or_default())
}

/// The largest loss between neighbours; of several, the first. A step that fewer chats took than a later one was passed
/// by or is not reported: it is no place to leave.
fn leaving(funnel: &DayFunnel) -> Option<Leaving> {
    let steps = [
        (Step::Dialog, funnel.dialogs),
        (Step::Suggestion, funnel.suggestions),
        (Step::ServiceAdded, funnel.services_added),
        (Step::CartConfirmed, funnel.carts_confirmed),
        (Step::Booking, funnel.bookings),
    ];
    let is_passed = |at: usize| steps[at + 1..].iter().any(|later| later.1 > steps[at].1);
    let taken: Vec<_> = (0..steps.len()).filter(|at| !is_passed(*at)).map(|at| steps[at]).collect();
    let losses = taken.windows(2).map(|pair| {
        let ((from, came), (to, went_on)) = (pair[0], pair[1]);
        Leaving { from, to, came, went_on }
    });
    // The last of equal maxima would be the latest step.
    losses.rev().max_by_key(|step| step.came - step.went_on).filter(|step| step.came > step.went_on)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(counts: [i64; 5]) -> Option<(Step, Step, i64, i64)> {
        let [dialogs, suggestions, services_added, carts_confirmed, bookings] = counts;
        let funnel =
            DayFunnel { dialogs, suggestions, services_added, carts_confirmed, bookings, ..DayFunnel::default() };
        leaving(&funnel).map(|step| (step.from, step.to, step.came, step.went_on))
    }

    #[test]
    fn most_leave_where_the_loss_is_largest_and_of_equal_losses_at_the_first() {
        assert_eq!(left([100, 80, 30, 25, 20]), Some((Step::Suggestion, Step::ServiceAdded, 80, 30)));
        assert_eq!(left([30, 20, 10, 10, 10]), Some((Step::Dialog, Step::Suggestion, 30, 20)));
        assert_eq!(left([5, 5, 5, 5, 5]), None);
        assert_eq!(left([0; 5]), None);
        assert_eq!(left([3, 0, 0, 0, 0]), Some((Step::Dialog, Step::Suggestion, 3, 0)));
    }

    #[test]
    fn a_step_that_nobody_reports_is_no_place_to_leave() {
        assert_eq!(left([100, 60, 0, 0, 20]), Some((Step::Dialog, Step::Suggestion, 100, 60)));
        assert_eq!(left([100, 90, 0, 0, 20]), Some((Step::Suggestion, Step::Booking, 90, 20)));
        assert_eq!(left([0, 0, 0, 0, 7]), None);
    }
}
