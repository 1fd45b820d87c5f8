//! What a dashboard asks, answered by the rollups and by the raw table.
//!
//! The raw side is the first design's SQL where it had any (its funnel, its weekly cohorts, its response times), else
//! the plainest query that gives the same answer. Both run in a session as Metabase opens it, on warm caches: the median
//! of several runs.
//!
//! It does not compare the answers: `verify` and the tests do.

use crate::{
    ground::Ground,
    history,
    results::{Queries, Query},
};
use anyhow::Context;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use std::time::{Duration, Instant};
use valera_analytics::output;

/// A query's name, and its two ways.
struct Question {
    name: &'static str,
    rollup: &'static str,
    raw: &'static str,
}

static QUESTIONS: [Question; 6] = [
    Question {
        name: "funnel_daily, 30 days",
        rollup: "SELECT * FROM rollups.funnel_daily WHERE day > CURRENT_DATE - 30 ORDER BY day",
        raw: "WITH funnel AS (
                SELECT occurred_at::date AS day, chat_id,
                    COUNT(CASE WHEN event_name = 'ai_dialog_started' THEN 1 END) AS dialogs,
                    COUNT(CASE WHEN event_name = 'booking_request_created' THEN 1 END) AS bookings
                FROM analytics_events
                WHERE occurred_at >= CURRENT_DATE - 29
                GROUP BY 1, 2)
            SELECT day, COUNT(*), COUNT(CASE WHEN dialogs > 0 THEN 1 END), COUNT(CASE WHEN bookings > 0 THEN 1 END)
            FROM funnel GROUP BY day ORDER BY day",
    },
    Question {
        name: "funnel_weekly, 12 weeks",
        rollup: "SELECT * FROM rollups.funnel_weekly WHERE week > CURRENT_DATE - 84 ORDER BY week",
        raw: "WITH funnel AS (
                SELECT DATE_TRUNC('week', occurred_at) AS week, chat_id,
                    COUNT(CASE WHEN event_name = 'ai_dialog_started' THEN 1 END) AS dialogs,
                    COUNT(CASE WHEN event_name = 'booking_request_created' THEN 1 END) AS bookings
                FROM analytics_events
                WHERE occurred_at >= DATE_TRUNC('week', CURRENT_DATE) - INTERVAL '11 weeks'
                GROUP BY 1, 2)
            SELECT week, COUNT(*), COUNT(CASE WHEN dialogs > 0 THEN 1 END), COUNT(CASE WHEN bookings > 0 THEN 1 END)
            FROM funnel GROUP BY week ORDER BY week",
    },
    Question {
        name: "response_times_hourly, 24 hours",
        rollup: "SELECT * FROM rollups.response_times_hourly
            WHERE hour >= CURRENT_DATE - INTERVAL '24 hours' ORDER BY hour DESC",
        raw: "SELECT DATE_TRUNC('hour', occurred_at) AS hour,
                AVG(CAST(properties->>'duration_ms' AS INTEGER)),
                PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY CAST(properties->>'duration_ms' AS INTEGER)),
                PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY CAST(properties->>'duration_ms' AS INTEGER)),
                COUNT(*)
            FROM analytics_events
            WHERE event_name = 'ai_response_time' AND occurred_at >= CURRENT_DATE - INTERVAL '24 hours'
            GROUP BY DATE_TRUNC('hour', occurred_at) ORDER BY hour DESC",
    },
    Question {
        name: "event_counts_hourly, 7 days",
        rollup: "SELECT hour, event_name, events FROM rollups.event_counts_hourly
            WHERE hour >= CURRENT_DATE - 7 ORDER BY hour, event_name",
        raw: "SELECT DATE_TRUNC('hour', occurred_at), event_name, COUNT(*)
            FROM analytics_events WHERE occurred_at >= CURRENT_DATE - 7 GROUP BY 1, 2 ORDER BY 1, 2",
    },
    Question {
        name: "conversion_funnel(), 30 days",
        rollup: "SELECT * FROM rollups.conversion_funnel(CURRENT_DATE - 29, CURRENT_DATE)",
        raw: "WITH funnel AS (
                SELECT chat_id,
                    COUNT(CASE WHEN event_name = 'ai_dialog_started' THEN 1 END) AS dialogs,
                    COUNT(CASE WHEN event_name = 'booking_request_created' THEN 1 END) AS bookings,
                    MIN(CASE WHEN event_name = 'ai_dialog_started' THEN occurred_at END) AS first_dialog,
                    MIN(CASE WHEN event_name = 'booking_request_created' THEN occurred_at END) AS first_booking
                FROM analytics_events
                WHERE occurred_at BETWEEN CURRENT_DATE - 29 AND CURRENT_DATE + 1
                GROUP BY chat_id)
            SELECT COUNT(*), COUNT(CASE WHEN dialogs > 0 THEN 1 END), COUNT(CASE WHEN bookings > 0 THEN 1 END),
                ROUND(COUNT(CASE WHEN bookings > 0 THEN 1 END) * 100.0 / COUNT(*), 2)
            FROM funnel",
    },
    Question {
        name: "weekly_cohorts(), 5 weeks",
        rollup: "SELECT * FROM rollups.weekly_cohorts(CURRENT_DATE - 28, CURRENT_DATE)",
        raw: "WITH user_journey AS (
                SELECT chat_id,
                    MIN(CASE WHEN event_name = 'ai_dialog_started' THEN occurred_at END) AS first_dialog,
                    MIN(CASE WHEN event_name = 'service_suggested' THEN occurred_at END) AS first_suggestion,
                    MIN(CASE WHEN event_name = 'booking_request_created' THEN occurred_at END) AS first_booking,
                    COUNT(DISTINCT event_name) AS unique_events, COUNT(*) AS total_events
                FROM analytics_events
                WHERE occurred_at >= DATE_TRUNC('week', CURRENT_DATE) - INTERVAL '4 weeks'
                GROUP BY chat_id)
            SELECT DATE_TRUNC('week', first_dialog) AS week, COUNT(*),
                COUNT(CASE WHEN first_dialog IS NOT NULL THEN 1 END),
                COUNT(CASE WHEN first_suggestion IS NOT NULL THEN 1 END),
                COUNT(CASE WHEN first_booking IS NOT NULL THEN 1 END),
                ROUND(COUNT(CASE WHEN first_booking IS NOT NULL THEN 1 END) * 100.0
                    / COUNT(CASE WHEN first_dialog IS NOT NULL THEN 1 END), 2)
            FROM user_journey WHERE first_dialog IS NOT NULL
            GROUP BY DATE_TRUNC('week', first_dialog) ORDER BY week DESC",
    },
];

pub(crate) async fn measure(ground: &Ground, raw_events: u32) -> anyhow::Result<Queries> {
    history::fill(ground, raw_events).await?;
    let mut connection = ground.postgres().await?;
    let mut queries = Vec::new();
    for Question { name, rollup, raw } in &QUESTIONS {
        let rollup_ms = median_ms(&mut connection, rollup).await.context(*name)?;
        let raw_ms = median_ms(&mut connection, raw).await.context(*name)?;
        output::print(&format!("  {name}: {rollup_ms:.2} ms from rollups, {raw_ms:.0} ms from raw\n"))?;
        queries.push(Query { name, rollup_ms, raw_ms });
    }
    Ok(Queries { raw_events, queries })
}

/// Runs a query once to warm up, then three to nine times within three seconds.
async fn median_ms(connection: &mut PgConnection, query: &'static str) -> anyhow::Result<f64> {
    connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(query))).await?;
    let mut times = Vec::new();
    let began = Instant::now();
    while times.len() < 3 || (times.len() < 9 && began.elapsed() < Duration::from_secs(3)) {
        let started = Instant::now();
        connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(query))).await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
