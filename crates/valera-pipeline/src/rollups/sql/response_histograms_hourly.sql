-- key: hour, model_used
-- columns: responses, slow_responses, total_ms, min_ms, max_ms, avg_ms, p50_ms, p95_ms, p99_ms, bins, counts

-- The table behind the views response_times_hourly, its figures, and response_time_bins_hourly. Sums of counts run over int, not bigint:
-- Postgres adds those up as numeric, at several times the cost, and no hour has two billion responses in a bin.

-- fold
WITH fresh AS MATERIALIZED (
    -- The batch's own bins.
    SELECT
        hour,
        model_used,
        bin,
        sum(events) AS responses,
        sum(slow) AS slow_responses,
        sum(total_ms) AS total_ms,
        min(min_ms) AS min_ms,
        max(max_ms) AS max_ms
    FROM batch
    WHERE bin IS NOT NULL
    GROUP BY hour, model_used, bin
),
cell AS MATERIALIZED (
    -- The rows it touches.
    SELECT
        hour,
        model_used,
        sum(responses) AS responses,
        sum(slow_responses) AS slow_responses,
        sum(total_ms) AS total_ms,
        min(min_ms) AS min_ms,
        max(max_ms) AS max_ms
    FROM fresh
    GROUP BY hour, model_used
),
merged AS (
    -- The stored bins of those rows and the fresh ones, added up.
    SELECT
        hour,
        model_used,
        bin,
        sum(responses) AS responses
    FROM (
        SELECT
            hour,
            model_used,
            bin,
            responses::integer
        FROM fresh
        UNION ALL
        SELECT
            kept.hour,
            kept.model_used,
            stored.bin,
            stored.responses::integer
        FROM cell
        JOIN rollups.response_histograms_hourly AS kept USING (hour, model_used)
        CROSS JOIN LATERAL unnest(kept.bins, kept.counts) AS stored(bin, responses)
    ) AS either
    GROUP BY hour, model_used, bin
),
ranked AS (
    -- Each bin with how many responses are no slower, and how many there are.
    SELECT
        hour,
        model_used,
        bin,
        responses,
        sum(responses::integer) OVER (PARTITION BY hour, model_used ORDER BY bin) AS upto,
        sum(responses::integer) OVER (PARTITION BY hour, model_used) AS of
    FROM merged
),
histogram AS (
    SELECT
        hour,
        model_used,
        array_agg(bin ORDER BY bin) AS bins,
        array_agg(responses ORDER BY bin) AS counts,
        rollups.bin_middle(min(bin) FILTER (WHERE upto >= 0.50 * of)) AS p50_ms,
        rollups.bin_middle(min(bin) FILTER (WHERE upto >= 0.95 * of)) AS p95_ms,
        rollups.bin_middle(min(bin) FILTER (WHERE upto >= 0.99 * of)) AS p99_ms
    FROM ranked
    GROUP BY hour, model_used
)
INSERT INTO rollups.response_histograms_hourly AS kept (
    hour,
    model_used,
    responses,
    slow_responses,
    total_ms,
    min_ms,
    max_ms,
    p50_ms,
    p95_ms,
    p99_ms,
    bins,
    counts
)
SELECT
    hour,
    model_used,
    cell.responses,
    cell.slow_responses,
    cell.total_ms,
    cell.min_ms,
    cell.max_ms,
    histogram.p50_ms,
    histogram.p95_ms,
    histogram.p99_ms,
    histogram.bins,
    histogram.counts
FROM cell
JOIN histogram USING (hour, model_used)
ORDER BY hour, model_used
ON CONFLICT (hour, model_used) DO UPDATE
SET
    responses = kept.responses + excluded.responses,
    slow_responses = kept.slow_responses + excluded.slow_responses,
    total_ms = kept.total_ms + excluded.total_ms,
    min_ms = least(kept.min_ms, excluded.min_ms),
    max_ms = greatest(kept.max_ms, excluded.max_ms),
    p50_ms = excluded.p50_ms,
    p95_ms = excluded.p95_ms,
    p99_ms = excluded.p99_ms,
    bins = excluded.bins,
    counts = excluded.counts

-- recount
WITH response AS (
    SELECT
        date_trunc('hour', occurred_at, 'UTC') AS hour,
        left(coalesce(properties ->> 'model_used', ''), 200) AS model_used,
        (properties ->> 'duration_ms')::integer AS ms
    FROM recounted
    WHERE event_name = 'ai_response_time'
)
SELECT
    hour,
    model_used,
    responses,
    slow_responses,
    total_ms,
    min_ms,
    max_ms,
    round(total_ms / responses, 2) AS avg_ms,
    rollups.bin_middle(rollups.response_bin(quantiles[1])) AS p50_ms,
    rollups.bin_middle(rollups.response_bin(quantiles[2])) AS p95_ms,
    rollups.bin_middle(rollups.response_bin(quantiles[3])) AS p99_ms,
    bins,
    counts
FROM (
    SELECT
        hour,
        model_used,
        count(*) AS responses,
        count(*) FILTER (WHERE ms > 3000) AS slow_responses,
        sum(ms)::numeric AS total_ms,
        min(ms) AS min_ms,
        max(ms) AS max_ms,
        percentile_disc(ARRAY[0.50, 0.95, 0.99]) WITHIN GROUP (ORDER BY ms) AS quantiles
    FROM response
    GROUP BY hour, model_used
) AS figures
JOIN (
    SELECT
        hour,
        model_used,
        array_agg(bin ORDER BY bin) AS bins,
        array_agg(responses ORDER BY bin) AS counts
    FROM (
        SELECT
            hour,
            model_used,
            rollups.response_bin(ms) AS bin,
            count(*) AS responses
        FROM response
        GROUP BY 1, 2, 3
    ) AS cell
    GROUP BY hour, model_used
) AS histogram USING (hour, model_used)
