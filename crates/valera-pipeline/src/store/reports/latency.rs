//! Response times by hour, by local day, by model and over a whole period.
//!
//! Quantiles over more than one row come from the histograms; none is averaged. It does not fill in hours or days without
//! answers.

use super::Row;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

/// How response times are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// By UTC hour, shown in the zone of the settings, and model.
    Hour,
    /// By local day and model. Days are whole: each that the period touches.
    Day,
    /// By model, over the whole period.
    Model,
    /// One row over the whole period; none when nobody answered.
    Whole,
}

/// The hours that begin on these local days, both included: the first of them, and the one after the last. An hour
/// belongs to the day on which it begins.
///
/// # Errors
/// When Postgres does not answer.
pub async fn hours_of_days(
    connection: &mut PgConnection,
    from: NaiveDate,
    to: NaiveDate,
) -> anyhow::Result<(DateTime<Utc>, DateTime<Utc>)> {
    // Midnight, or the next full hour where a zone is half an hour off. Outside the calendar there is nothing.
    let bounds: (Option<DateTime<Utc>>, Option<DateTime<Utc>>) = sqlx::query_as(
        "SELECT date_trunc('hour', min(starts_at) + interval '1 hour' - interval '1 microsecond', 'UTC'),
            date_trunc('hour', max(starts_at) + interval '1 hour' - interval '1 microsecond', 'UTC')
         FROM rollups.calendar
         WHERE day BETWEEN $1 AND $2 + 1",
    )
    .bind(from)
    .bind(to)
    .fetch_one(connection)
    .await
    .context("asking the calendar; has `valera-analytics migrate` been run on this database?")?;
    Ok((bounds.0.unwrap_or_default(), bounds.1.unwrap_or_default()))
}

/// Response times between two instants, from the hour that holds the first up to, without, the second; of one model where
/// one is given.
///
/// # Errors
/// When Postgres does not answer.
pub async fn response_times<T: Row>(
    connection: &mut PgConnection,
    grain: Grain,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    model: Option<&str>,
) -> anyhow::Result<Vec<T>> {
    let query = match grain {
        Grain::Hour => {
            // Where a clock is put back, one hour has two rows, which only the offset tells apart.
            "SELECT to_char(local, 'YYYY-MM-DD HH24:MI') || CASE
                    WHEN local IN ((hour - interval '1 hour') AT TIME ZONE zone, (hour + interval '1 hour') AT TIME ZONE zone)
                        THEN to_char(extract(hour FROM local - hour AT TIME ZONE 'UTC'), ' S00')
                    ELSE ''
                END AS period,
                model_used AS model, responses, slow_responses, avg_ms::text, p50_ms::bigint, p95_ms::bigint,
                p99_ms::bigint, max_ms::bigint
             FROM rollups.response_times_hourly,
                (SELECT time_zone AS zone FROM settings) AS settings,
                LATERAL (SELECT hour AT TIME ZONE zone AS local) AS clock
             WHERE hour >= date_trunc('hour', $1, 'UTC')
                AND hour < $2
                AND ($3::text IS NULL OR model_used = $3)
             ORDER BY hour, model_used"
        }
        Grain::Day => {
            "SELECT day::text AS period, model_used AS model, responses, slow_responses, avg_ms::text, p50_ms::bigint,
                p95_ms::bigint, p99_ms::bigint, max_ms::bigint
             FROM rollups.response_times_daily
             WHERE day BETWEEN (date_trunc('hour', $1, 'UTC') AT TIME ZONE (SELECT time_zone FROM settings))::date
                AND (date_trunc('hour', $2 - interval '1 microsecond', 'UTC')
                    AT TIME ZONE (SELECT time_zone FROM settings))::date
                AND ($3::text IS NULL OR model_used = $3)
             ORDER BY day, model_used"
        }
        Grain::Model => {
            "SELECT 'all' AS period, model_used AS model, responses, slow_responses, avg_ms::text, p50_ms::bigint,
                p95_ms::bigint, p99_ms::bigint, max_ms::bigint
             FROM rollups.response_times($1, $2)
             WHERE $3::text IS NULL OR model_used = $3
             ORDER BY model_used"
        }
        Grain::Whole => {
            "WITH histogram AS (
                SELECT array_agg(bin) AS bins, array_agg(responses) AS counts
                FROM rollups.response_time_bins_hourly
                WHERE hour >= date_trunc('hour', $1, 'UTC')
                    AND hour < $2
                    AND ($3::text IS NULL OR model_used = $3)
             )
             SELECT 'all' AS period, coalesce($3, 'all') AS model, sum(responses)::bigint AS responses,
                sum(slow_responses)::bigint AS slow_responses,
                round(sum(total_ms) / sum(responses), 2)::text AS avg_ms,
                (SELECT rollups.bins_quantile(bins, counts, 0.50)::bigint FROM histogram) AS p50_ms,
                (SELECT rollups.bins_quantile(bins, counts, 0.95)::bigint FROM histogram) AS p95_ms,
                (SELECT rollups.bins_quantile(bins, counts, 0.99)::bigint FROM histogram) AS p99_ms,
                max(max_ms)::bigint AS max_ms
             FROM rollups.response_times_hourly
             WHERE hour >= date_trunc('hour', $1, 'UTC')
                AND hour < $2
                AND ($3::text IS NULL OR model_used = $3)
             HAVING count(*) > 0"
        }
    };
    sqlx::query_as(query)
        .bind(from)
        .bind(to)
        .bind(model)
        .fetch_all(connection)
        .await
        .context("reading response times")
}
