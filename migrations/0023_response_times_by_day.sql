-- Response times by day go from the calendar to the hours of the days that are asked for, by their index; grouping all
-- hours first, every question cost as much as all of history has hours.

CREATE OR REPLACE VIEW rollups.response_times_daily AS
SELECT
    days.day,
    figures.*,
    rollups.bins_quantile(histogram.bins, histogram.counts, 0.50) AS p50_ms,
    rollups.bins_quantile(histogram.bins, histogram.counts, 0.95) AS p95_ms,
    rollups.bins_quantile(histogram.bins, histogram.counts, 0.99) AS p99_ms
FROM rollups.days
CROSS JOIN LATERAL (
    SELECT
        model_used,
        sum(responses)::bigint AS responses,
        sum(slow_responses)::bigint AS slow_responses,
        sum(total_ms) AS total_ms,
        min(min_ms) AS min_ms,
        max(max_ms) AS max_ms,
        round(sum(total_ms) / sum(responses), 2) AS avg_ms
    FROM rollups.response_times_hourly
    WHERE hour >= days.starts_at
        AND hour < days.ends_at
    GROUP BY model_used
) AS figures
CROSS JOIN LATERAL (
    SELECT
        array_agg(bin) AS bins,
        array_agg(responses) AS counts
    FROM rollups.response_time_bins_hourly
    WHERE hour >= days.starts_at
        AND hour < days.ends_at
        AND model_used = figures.model_used
) AS histogram;
