-- Metabase lists partitions as tables: each says what it is a part of. LIKE copies the comments on columns only.

CREATE OR REPLACE FUNCTION valera_attach_month(parent regclass, month date)
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
    EXECUTE format(
        'COMMENT ON TABLE %I.%I IS %L',
        schema_name, child, concat(obj_description(parent, 'pg_class'), ' (раздел за ', to_char(starts, 'MM.YYYY'), ')')
    );
    RETURN true;
END
$$;

DO $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT inhrelid::regclass AS name, obj_description(inhparent, 'pg_class') AS about,
            regexp_replace(relname, '^.*_y(\d{4})m(\d{2})$', '\2.\1') AS month
        FROM pg_inherits
        JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent IN ('public.analytics_events'::regclass, 'rollups.inbox'::regclass)
    LOOP
        EXECUTE format('COMMENT ON TABLE %s IS %L', part.name, concat(part.about, ' (раздел за ', part.month, ')'));
    END LOOP;
END
$$;
