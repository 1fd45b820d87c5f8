-- A day of raw events as the rollups' dimensions, which the service would have grouped in memory.
INSERT INTO batch
SELECT
    date_trunc('hour', occurred_at, 'UTC'),
    (occurred_at AT TIME ZONE 'UTC')::date,
    event_name,
    platform,
    CASE WHEN event_name = 'ai_response_time' THEN properties ->> 'model_used' END,
    CASE WHEN event_name = 'ai_response_time' THEN rollups.response_bin((properties ->> 'duration_ms')::integer) END,
    CASE
        WHEN event_name IN ('service_suggested', 'ai_suggestion_accepted', 'service_added')
        THEN properties ->> 'service_name'
    END,
    CASE WHEN event_name = 'error_occurred' THEN properties ->> 'error_class' END,
    CASE WHEN event_name = 'error_occurred' THEN properties ->> 'context' END,
    count(*),
    count(*) FILTER (WHERE event_name = 'ai_response_time' AND (properties ->> 'duration_ms')::integer > 3000),
    coalesce(sum((properties ->> 'duration_ms')::integer), 0),
    min((properties ->> 'duration_ms')::integer),
    max((properties ->> 'duration_ms')::integer),
    sum((properties ->> 'confidence_score')::numeric)::text,
    min(occurred_at),
    max(occurred_at)
FROM analytics_events
WHERE occurred_at >= $1
    AND occurred_at < $1 + interval '1 day'
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
