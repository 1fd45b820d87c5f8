-- key: hour, error_class, context
-- columns: errors, first_at, last_at

-- fold
INSERT INTO rollups.errors_hourly AS kept (hour, error_class, context, errors, first_at, last_at)
SELECT
    hour,
    error_class,
    context,
    sum(events),
    min(first_at),
    max(last_at)
FROM batch
WHERE error_class IS NOT NULL
GROUP BY hour, error_class, context
ORDER BY hour, error_class, context
ON CONFLICT (hour, error_class, context) DO UPDATE
SET
    errors = kept.errors + excluded.errors,
    first_at = least(kept.first_at, excluded.first_at),
    last_at = greatest(kept.last_at, excluded.last_at)

-- recount
SELECT
    date_trunc('hour', occurred_at, 'UTC') AS hour,
    left(coalesce(properties ->> 'error_class', ''), 200) AS error_class,
    left(coalesce(properties ->> 'context', ''), 200) AS context,
    count(*) AS errors,
    min(occurred_at) AS first_at,
    max(occurred_at) AS last_at
FROM recounted
WHERE event_name = 'error_occurred'
GROUP BY 1, 2, 3
