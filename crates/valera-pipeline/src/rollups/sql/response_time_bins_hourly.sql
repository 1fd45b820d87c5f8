-- key: hour, model_used, bin
-- columns: responses

-- A view over response_histograms_hourly: nothing to fold, but what it shows is recounted all the same.

-- recount
SELECT
    date_trunc('hour', occurred_at, 'UTC') AS hour,
    left(coalesce(properties ->> 'model_used', ''), 200) AS model_used,
    rollups.response_bin((properties ->> 'duration_ms')::integer) AS bin,
    count(*) AS responses
FROM recounted
WHERE event_name = 'ai_response_time'
GROUP BY 1, 2, 3
