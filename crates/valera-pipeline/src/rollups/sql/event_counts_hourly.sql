-- key: hour, event_name, platform
-- columns: events

-- fold
INSERT INTO rollups.event_counts_hourly AS kept (hour, event_name, platform, events)
SELECT
    hour,
    event_name,
    platform,
    sum(events)
FROM batch
GROUP BY hour, event_name, platform
ORDER BY hour, event_name, platform
ON CONFLICT (hour, event_name, platform) DO UPDATE
SET events = kept.events + excluded.events

-- recount
SELECT
    date_trunc('hour', occurred_at, 'UTC') AS hour,
    event_name,
    platform,
    count(*) AS events
FROM recounted
GROUP BY 1, 2, 3
