-- The rows of the Rails application's old table analytics_events as NDJSON, for `valera-analytics import`:
--
--   psql "$OLD_DATABASE_URL" -X -v ON_ERROR_STOP=1 -f clients/ruby/old_events.sql > old_events.ndjson
--
-- Rails wrote UTC into a column without a zone. Ids and sessions are left out: an id comes from the line itself, so that a second
-- import changes nothing, and the pipeline derives sessions as it does those of live events. A job that Rails ran twice left
-- two rows alike, which are one event here. The quote and the delimiter are characters that JSON text never holds.
COPY (
    SELECT jsonb_build_object(
        'event_name', event_name,
        'chat_id', chat_id,
        'occurred_at', to_char(occurred_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'platform', platform,
        'properties', properties)
    FROM analytics_events
    ORDER BY occurred_at, id
) TO STDOUT WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02');
