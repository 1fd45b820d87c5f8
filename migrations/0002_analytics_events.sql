-- Raw events: one row per event, for ever under one id.
--
-- Partitioned by the month in the id, not by occurred_at: Postgres wants the partition key inside the primary key, and
-- with a time in it the same id could be stored twice under two times. Beside the key there is only a BRIN: the nine
-- indexes of the first design cut ingest to a sixth, and dashboards read rollups.
-- TOAST compression is left to the server's default_toast_compression: properties rarely reach the 2 kB where it
-- starts, and a Postgres built without lz4 refuses a column that names it.
-- It does not make partitions: services call valera_attach_month before their transaction.

CREATE TABLE analytics_events (
    event_id uuid PRIMARY KEY,
    event_name varchar(50) NOT NULL,
    chat_id bigint NOT NULL,
    session_id varchar(64) NOT NULL,
    properties jsonb NOT NULL DEFAULT '{}',
    occurred_at timestamptz NOT NULL,
    platform varchar(20) NOT NULL DEFAULT 'telegram',
    content_hash bytea NOT NULL,
    stream_seq bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (event_id);

-- Without autosummarize the newest pages, which everybody asks for, stay unsummarised until the next vacuum.
CREATE INDEX analytics_events_occurred_at
    ON analytics_events
    USING brin (occurred_at)
    WITH (autosummarize = on);

COMMENT ON TABLE analytics_events IS 'Сырые события: каждое принятое событие ровно один раз';
COMMENT ON COLUMN analytics_events.event_id IS 'UUIDv7 события: первые 48 бит — миллисекунды; по нему выбирается месяц раздела (UTC)';
COMMENT ON COLUMN analytics_events.event_name IS 'Имя события';
COMMENT ON COLUMN analytics_events.chat_id IS 'Чат Telegram';
COMMENT ON COLUMN analytics_events.session_id IS 'Сессия: один чат за одни местные сутки, если отправитель не назвал свою';
COMMENT ON COLUMN analytics_events.properties IS 'Свойства события; личные данные заменены псевдонимами';
COMMENT ON COLUMN analytics_events.occurred_at IS 'Когда событие произошло, до микросекунды';
COMMENT ON COLUMN analytics_events.platform IS 'Платформа';
COMMENT ON COLUMN analytics_events.content_hash IS 'HMAC содержания: отличает повтор от другого события с тем же id';
COMMENT ON COLUMN analytics_events.stream_seq IS 'Номер сообщения в потоке; только для разбора, не доказательство';
COMMENT ON COLUMN analytics_events.created_at IS 'Когда строка записана';

-- The lowest id of a millisecond. Ids order by time, so it turns a time into a bound on event_id; an id is up to a
-- day off its occurred_at, and whoever filters events by id allows for that day.
CREATE FUNCTION valera_first_id(at timestamptz)
RETURNS uuid
LANGUAGE sql
STABLE STRICT PARALLEL SAFE
RETURN (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

COMMENT ON FUNCTION valera_first_id(timestamptz) IS 'Наименьший id события для данной миллисекунды';

CREATE FUNCTION valera_has_partition(parent regclass, child name)
RETURNS boolean
LANGUAGE sql
VOLATILE
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT
        FROM pg_catalog.pg_inherits i
        JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = parent
            AND c.relname = child
    );
END;

COMMENT ON FUNCTION valera_has_partition(regclass, name) IS 'Подключён ли раздел с таким именем';

-- Makes the partition for the UTC month that `month` falls in: true when made, false when it was there already; a month
-- that is missing and wholly below the horizon is refused.
-- Created apart and then attached, because CREATE … PARTITION OF locks the parent against everything and ATTACH only
-- against other DDL, so writers go on. The new table is empty: no CHECK is needed to spare ATTACH a scan.
-- Call it in READ COMMITTED: a snapshot older than the lock would not see the partition another session just made.
CREATE FUNCTION valera_attach_month(parent regclass, month date)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    starts timestamp := date_trunc('month', month::timestamp);
    ends timestamp := starts + interval '1 month';
    schema_name name;
    child name;
    horizon timestamptz;
BEGIN
    SELECT n.nspname, c.relname || to_char(starts, '"_y"YYYY"m"MM')
    INTO STRICT schema_name, child
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = parent;

    -- Nearly always the month is there, and nobody has to queue to learn it.
    IF valera_has_partition(parent, child) THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('valera_attach_month'), parent::oid::integer);
    IF valera_has_partition(parent, child) THEN
        RETURN false;
    END IF;

    -- FOR SHARE: retention moves the horizon before it drops, so what it drops cannot come back in between.
    SELECT s.horizon
    INTO horizon
    FROM settings s
    FOR SHARE;
    IF horizon IS NULL THEN
        RAISE EXCEPTION 'the settings are empty: migrate writes them'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF ends AT TIME ZONE 'UTC' <= horizon THEN
        RAISE EXCEPTION 'month % lies below the horizon % UTC', to_char(starts, 'YYYY-MM'), horizon AT TIME ZONE 'UTC'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING ALL)', schema_name, child, parent);
    EXECUTE format(
        'ALTER TABLE %s ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
        parent, schema_name, child,
        valera_first_id(starts AT TIME ZONE 'UTC'),
        valera_first_id(ends AT TIME ZONE 'UTC')
    );
    RETURN true;
END
$$;

COMMENT ON FUNCTION valera_attach_month(regclass, date) IS 'Создаёт и подключает раздел за месяц (UTC); true — создан, false — уже был';
