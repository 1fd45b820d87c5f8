-- Schema rollups: what dashboards read, the inbox that makes its folds exactly-once, and the calendar.
--
-- Everything in here is cut without the session's TimeZone: hours in UTC, days and weeks by the calendar of the one
-- zone in settings. Rust reads the calendar instead of a time zone database of its own, because two of them would
-- disagree one day.
-- It does not hold the rollups themselves: each has its migration.

CREATE SCHEMA rollups;

COMMENT ON SCHEMA rollups IS 'Готовые сводки для Metabase';

CREATE TABLE rollups.inbox (
    event_id uuid PRIMARY KEY,
    content_hash bytea NOT NULL
) PARTITION BY RANGE (event_id);

COMMENT ON TABLE rollups.inbox IS 'Служебная: id событий, уже учтённых в сводках';
COMMENT ON COLUMN rollups.inbox.event_id IS 'Id учтённого события';
COMMENT ON COLUMN rollups.inbox.content_hash IS 'HMAC содержания учтённого события';

CREATE TABLE rollups.calendar (
    day date PRIMARY KEY,
    week date NOT NULL,
    starts_at timestamptz NOT NULL
);

COMMENT ON TABLE rollups.calendar IS 'Календарь местных суток: нужен, чтобы пустые дни показывали ноль';
COMMENT ON COLUMN rollups.calendar.day IS 'Местная дата';
COMMENT ON COLUMN rollups.calendar.week IS 'Понедельник недели ISO, в которую входит дата';
COMMENT ON COLUMN rollups.calendar.starts_at IS 'Самый ранний момент этих суток';

-- Fills the calendar for a zone and returns how many days it changed: 0 when all stood as they should.
-- The earliest instant of a date is usually what Postgres makes of its midnight, but not where the clock jumps over
-- midnight or strikes it twice (Postgres then takes the later one). Those few days are searched minute by minute.
-- Every date of these years exists in every zone; where one did not, its NULL start would fail here, loudly.
CREATE FUNCTION rollups.fill_calendar(zone text)
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    changed integer;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_timezone_names WHERE name = zone) THEN
        RAISE EXCEPTION 'Postgres knows no time zone %', quote_literal(zone)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    INSERT INTO rollups.calendar AS kept (day, week, starts_at)
    SELECT
        local::date,
        date_trunc('week', local)::date,
        CASE
            WHEN (midnight AT TIME ZONE zone)::date = local::date
                AND ((midnight - interval '1 microsecond') AT TIME ZONE zone)::date < local::date
            THEN midnight
            ELSE (
                SELECT min(minute)
                FROM generate_series(
                    midnight - interval '24 hours',
                    midnight + interval '24 hours',
                    interval '1 minute'
                ) AS minute
                WHERE (minute AT TIME ZONE zone)::date = local::date
            )
        END
    FROM generate_series(timestamp '2014-12-29', timestamp '2050-01-02', interval '1 day') AS local
    CROSS JOIN LATERAL (SELECT local AT TIME ZONE zone AS midnight) AS guess
    ON CONFLICT (day) DO UPDATE
    SET starts_at = excluded.starts_at
    WHERE kept.starts_at <> excluded.starts_at;

    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;

COMMENT ON FUNCTION rollups.fill_calendar(text) IS 'Заполняет календарь для часового пояса; возвращает число изменённых дней';

-- Response times are kept as integer bins: exact below 128 ms, then 64 to an octave, so that any quantile of any union
-- of hours is within 1 % of the true one. Rust computes the same bins from leading_zeros.
CREATE FUNCTION rollups.response_bin(ms integer)
RETURNS smallint
LANGUAGE sql
IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT (CASE WHEN ms < 128 THEN ms ELSE shift * 64 + (ms >> shift) END)::smallint
    FROM (SELECT length(ltrim(ms::bit(32)::text, '0')) - 7 AS shift) AS octave
);

COMMENT ON FUNCTION rollups.response_bin(integer) IS 'Номер корзины для времени ответа в миллисекундах (0 и больше)';

CREATE FUNCTION rollups.bin_middle(bin integer)
RETURNS integer
LANGUAGE sql
IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT CASE WHEN bin < 128 THEN bin ELSE ((bin - shift * 64) << shift) + ((1 << shift) - 1) / 2 END
    FROM (SELECT bin / 64 - 1 AS shift) AS octave
);

COMMENT ON FUNCTION rollups.bin_middle(integer) IS 'Середина корзины, миллисекунды';
