-- key: day, chat_id
-- columns: week, first_dialog_at, first_suggestion_at, first_service_added_at, first_cart_confirmed_at, first_booking_at, events, errors

-- One statement finds the stored rows, changes them and derives what changed for the funnels, because each part needs
-- the state from before. The columns are named *_was (this chat and day, before), *_now (after) and *_in_week (whether
-- the chat had the step on any day of the week, before).

-- fold
WITH change AS MATERIALIZED (
    -- Each (chat, day) of the batch beside what its week held so far: one index range per row.
    SELECT
        batch_chats.day,
        batch_chats.week,
        batch_chats.chat_id,
        batch_chats.events,
        batch_chats.errors,
        before.row,
        before.days = 0 AS new_in_week,
        before.dialog_was,
        least(before.dialog_was, batch_chats.first_dialog_at) AS dialog_now,
        before.dialog_in_week,
        before.suggestion_was,
        least(before.suggestion_was, batch_chats.first_suggestion_at) AS suggestion_now,
        before.suggestion_in_week,
        before.service_added_was,
        least(before.service_added_was, batch_chats.first_service_added_at) AS service_added_now,
        before.service_added_in_week,
        before.cart_confirmed_was,
        least(before.cart_confirmed_was, batch_chats.first_cart_confirmed_at) AS cart_confirmed_now,
        before.cart_confirmed_in_week,
        before.booking_was,
        least(before.booking_was, batch_chats.first_booking_at) AS booking_now,
        before.booking_in_week
    FROM batch_chats
    CROSS JOIN LATERAL (
        SELECT
            count(*) AS days,
            max(kept.ctid) FILTER (WHERE kept.day = batch_chats.day) AS row,
            max(kept.first_dialog_at) FILTER (WHERE kept.day = batch_chats.day) AS dialog_was,
            count(kept.first_dialog_at) > 0 AS dialog_in_week,
            max(kept.first_suggestion_at) FILTER (WHERE kept.day = batch_chats.day) AS suggestion_was,
            count(kept.first_suggestion_at) > 0 AS suggestion_in_week,
            max(kept.first_service_added_at) FILTER (WHERE kept.day = batch_chats.day) AS service_added_was,
            count(kept.first_service_added_at) > 0 AS service_added_in_week,
            max(kept.first_cart_confirmed_at) FILTER (WHERE kept.day = batch_chats.day) AS cart_confirmed_was,
            count(kept.first_cart_confirmed_at) > 0 AS cart_confirmed_in_week,
            max(kept.first_booking_at) FILTER (WHERE kept.day = batch_chats.day) AS booking_was,
            count(kept.first_booking_at) > 0 AS booking_in_week
        FROM rollups.chat_days AS kept
        WHERE kept.week = batch_chats.week
            AND kept.chat_id = batch_chats.chat_id
    ) AS before
),
updated AS (
    -- By the row's place, found above: the folds' lock keeps it there.
    UPDATE rollups.chat_days AS kept
    SET
        first_dialog_at = change.dialog_now,
        first_suggestion_at = change.suggestion_now,
        first_service_added_at = change.service_added_now,
        first_cart_confirmed_at = change.cart_confirmed_now,
        first_booking_at = change.booking_now,
        events = kept.events + change.events,
        errors = kept.errors + change.errors
    FROM change
    WHERE kept.ctid = change.row
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
        dialog_now,
        suggestion_now,
        service_added_now,
        cart_confirmed_now,
        booking_now,
        events,
        errors
    FROM change
    WHERE row IS NULL
    ORDER BY week, chat_id, day
),
weekly AS (
    -- A chat may bring several days of one week in one batch: it is still one chat of that week.
    SELECT
        week,
        bool_and(new_in_week) AS is_new,
        bool_or(dialog_in_week) AS dialog_was,
        bool_or(dialog_in_week OR dialog_now IS NOT NULL) AS dialog_now,
        bool_or(suggestion_in_week) AS suggestion_was,
        bool_or(suggestion_in_week OR suggestion_now IS NOT NULL) AS suggestion_now,
        bool_or(service_added_in_week) AS service_added_was,
        bool_or(service_added_in_week OR service_added_now IS NOT NULL) AS service_added_now,
        bool_or(cart_confirmed_in_week) AS cart_confirmed_was,
        bool_or(cart_confirmed_in_week OR cart_confirmed_now IS NOT NULL) AS cart_confirmed_now,
        bool_or(booking_in_week) AS booking_was,
        bool_or(booking_in_week OR booking_now IS NOT NULL) AS booking_now
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
    'day',
    day,
    count(*) FILTER (WHERE row IS NULL),
    count(*) FILTER (WHERE dialog_now IS NOT NULL AND dialog_was IS NULL),
    count(*) FILTER (WHERE suggestion_now IS NOT NULL AND suggestion_was IS NULL),
    count(*) FILTER (WHERE service_added_now IS NOT NULL AND service_added_was IS NULL),
    count(*) FILTER (WHERE cart_confirmed_now IS NOT NULL AND cart_confirmed_was IS NULL),
    count(*) FILTER (WHERE booking_now IS NOT NULL AND booking_was IS NULL),
    count(*) FILTER (
        WHERE dialog_now IS NOT NULL
            AND suggestion_now IS NOT NULL
            AND (dialog_was IS NULL OR suggestion_was IS NULL)
    ),
    count(*) FILTER (
        WHERE dialog_now IS NOT NULL
            AND booking_now IS NOT NULL
            AND (dialog_was IS NULL OR booking_was IS NULL)
    )
FROM change
GROUP BY day
UNION ALL
SELECT
    'week',
    week,
    count(*) FILTER (WHERE is_new),
    count(*) FILTER (WHERE dialog_now AND NOT dialog_was),
    count(*) FILTER (WHERE suggestion_now AND NOT suggestion_was),
    count(*) FILTER (WHERE service_added_now AND NOT service_added_was),
    count(*) FILTER (WHERE cart_confirmed_now AND NOT cart_confirmed_was),
    count(*) FILTER (WHERE booking_now AND NOT booking_was),
    count(*) FILTER (WHERE dialog_now AND suggestion_now AND NOT (dialog_was AND suggestion_was)),
    count(*) FILTER (WHERE dialog_now AND booking_now AND NOT (dialog_was AND booking_was))
FROM weekly
GROUP BY week

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
