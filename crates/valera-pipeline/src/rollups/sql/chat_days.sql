-- key: day, chat_id
-- columns: week, first_dialog_at, first_suggestion_at, first_service_added_at, first_cart_confirmed_at, first_booking_at, events, errors

-- One statement finds the stored rows, changes them and derives what changed for the funnels, because each part needs
-- the state from before. Steps are bits, as in batch_chats: *_was before the batch, *_now after it, on that day or in its
-- week. As five columns each they cost an eighth of the fold.

-- fold
WITH change AS MATERIALIZED (
    -- Each (chat, day) of the batch beside what its week held so far: one index range per row.
    SELECT
        batch_chats.*,
        before.row,
        before.days = 0 AS new_in_week,
        before.day_was,
        before.day_was | batch_chats.steps AS day_now,
        before.week_was,
        before.week_was | batch_chats.steps AS week_now
    FROM batch_chats
    CROSS JOIN LATERAL (
        SELECT
            count(*) AS days,
            max(kept.row) FILTER (WHERE kept.day = batch_chats.day) AS row,
            coalesce(max(kept.steps) FILTER (WHERE kept.day = batch_chats.day), 0) AS day_was,
            coalesce(bit_or(kept.steps), 0) AS week_was
        FROM (
            SELECT
                ctid AS row,
                day,
                CASE WHEN first_dialog_at IS NULL THEN 0 ELSE 1 END
                    | CASE WHEN first_suggestion_at IS NULL THEN 0 ELSE 2 END
                    | CASE WHEN first_service_added_at IS NULL THEN 0 ELSE 4 END
                    | CASE WHEN first_cart_confirmed_at IS NULL THEN 0 ELSE 8 END
                    | CASE WHEN first_booking_at IS NULL THEN 0 ELSE 16 END AS steps
            FROM rollups.chat_days
            WHERE week = batch_chats.week
                AND chat_id = batch_chats.chat_id
        ) AS kept
    ) AS before
),
updated AS (
    -- By the row's place, found above: the folds' lock keeps it there.
    UPDATE rollups.chat_days AS kept
    SET
        first_dialog_at = least(kept.first_dialog_at, change.first_dialog_at),
        first_suggestion_at = least(kept.first_suggestion_at, change.first_suggestion_at),
        first_service_added_at = least(kept.first_service_added_at, change.first_service_added_at),
        first_cart_confirmed_at = least(kept.first_cart_confirmed_at, change.first_cart_confirmed_at),
        first_booking_at = least(kept.first_booking_at, change.first_booking_at),
        events = kept.events + change.events,
        errors = kept.errors + change.errors
    FROM change
    WHERE change.row IS NOT NULL
        AND kept.ctid = change.row
),
inserted AS (
    INSERT INTO rollups.chat_days (
        day,
        week,
        chat_id,
        first_dialog_at,
        first_suggestion_at,
        first_service_added_at,
        first_cart_confirmed_at,
        first_booking_at,
        events,
        errors
    )
    SELECT
        day,
        week,
        chat_id,
        first_dialog_at,
        first_suggestion_at,
        first_service_added_at,
        first_cart_confirmed_at,
        first_booking_at,
        events,
        errors
    FROM change
    WHERE row IS NULL
    ORDER BY week, chat_id, day
),
changed AS (
    SELECT 'day' AS period, day AS at, row IS NULL AS is_new, day_was AS was, day_now AS now
    FROM change
    UNION ALL
    -- A chat may bring several days of one week in one batch: it is still one chat of that week.
    SELECT 'week', week, bool_and(new_in_week), bit_or(week_was), bit_or(week_now)
    FROM change
    GROUP BY week, chat_id
)
INSERT INTO funnel_change (
    period,
    at,
    chats,
    dialogs,
    suggestions,
    services_added,
    carts_confirmed,
    bookings,
    dialogs_with_suggestion,
    dialogs_with_booking
)
SELECT
    period,
    at,
    count(*) FILTER (WHERE is_new),
    count(*) FILTER (WHERE now & ~was & 1 <> 0),
    count(*) FILTER (WHERE now & ~was & 2 <> 0),
    count(*) FILTER (WHERE now & ~was & 4 <> 0),
    count(*) FILTER (WHERE now & ~was & 8 <> 0),
    count(*) FILTER (WHERE now & ~was & 16 <> 0),
    count(*) FILTER (WHERE now & 3 = 3 AND was & 3 <> 3),
    count(*) FILTER (WHERE now & 17 = 17 AND was & 17 <> 17)
FROM changed
GROUP BY period, at

-- recount
SELECT
    (occurred_at AT TIME ZONE (SELECT time_zone FROM settings))::date AS day,
    chat_id,
    date_trunc('week', min(occurred_at) AT TIME ZONE (SELECT time_zone FROM settings))::date AS week,
    min(occurred_at) FILTER (WHERE event_name = 'ai_dialog_started') AS first_dialog_at,
    min(occurred_at) FILTER (WHERE event_name = 'service_suggested') AS first_suggestion_at,
    min(occurred_at) FILTER (WHERE event_name = 'service_added') AS first_service_added_at,
    min(occurred_at) FILTER (WHERE event_name = 'cart_confirmed') AS first_cart_confirmed_at,
    min(occurred_at) FILTER (WHERE event_name = 'booking_request_created') AS first_booking_at,
    count(*) AS events,
    count(*) FILTER (WHERE event_name = 'error_occurred') AS errors
FROM recounted
GROUP BY 1, 2
