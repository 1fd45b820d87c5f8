-- How far the rollups are behind: nothing counted at all is not "not behind". GREATEST leaves out what is NULL.
CREATE OR REPLACE VIEW rollups.pipeline_status AS
SELECT
    stored.newest_at AS newest_stored_at,
    counted.newest_at AS newest_counted_at,
    CASE
        WHEN stored.newest_at IS NULL THEN 0
        WHEN counted.newest_at IS NOT NULL THEN
            greatest(round(extract(epoch FROM stored.newest_at - counted.newest_at)), 0)
    END::bigint AS rollups_behind_seconds,
    waiting.open_letters,
    waiting.oldest_open_letter_at,
    lately.letters_last_day,
    settings.time_zone,
    settings.horizon
FROM settings
LEFT JOIN LATERAL (
    SELECT valera_id_time(event_id) AS newest_at
    FROM analytics_events
    ORDER BY event_id DESC
    LIMIT 1
) AS stored ON true
LEFT JOIN LATERAL (
    SELECT valera_id_time(event_id) AS newest_at
    FROM rollups.inbox
    ORDER BY event_id DESC
    LIMIT 1
) AS counted ON true
CROSS JOIN LATERAL (
    SELECT
        count(*) AS open_letters,
        min(received_at) AS oldest_open_letter_at
    FROM dead_letters
    WHERE status = 'open'
) AS waiting
CROSS JOIN LATERAL (
    SELECT count(*) AS letters_last_day
    FROM dead_letters
    -- All of them, named because the index begins with the status.
    WHERE status IN ('open', 'retried', 'closed', 'discarded')
        AND received_at > now() - interval '24 hours'
) AS lately;

COMMENT ON COLUMN rollups.pipeline_status.rollups_behind_seconds IS 'На сколько секунд самое новое учтённое событие старше самого нового сохранённого; пусто, пока не учтено ничего. Отставание по более старым событиям отсюда не видно';
