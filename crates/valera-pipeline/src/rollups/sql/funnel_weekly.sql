-- key: week
-- columns: chats, dialogs, suggestions, services_added, carts_confirmed, bookings, dialogs_with_suggestion, dialogs_with_booking, conversion_rate, conversion_of_chats
-- after: chat_days

-- fold
INSERT INTO rollups.funnel_weekly AS kept (
    week,
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
    at,
    chats,
    dialogs,
    suggestions,
    services_added,
    carts_confirmed,
    bookings,
    dialogs_with_suggestion,
    dialogs_with_booking
FROM funnel_change
WHERE period = 'week'
ORDER BY at
ON CONFLICT (week) DO UPDATE
SET
    chats = kept.chats + excluded.chats,
    dialogs = kept.dialogs + excluded.dialogs,
    suggestions = kept.suggestions + excluded.suggestions,
    services_added = kept.services_added + excluded.services_added,
    carts_confirmed = kept.carts_confirmed + excluded.carts_confirmed,
    bookings = kept.bookings + excluded.bookings,
    dialogs_with_suggestion = kept.dialogs_with_suggestion + excluded.dialogs_with_suggestion,
    dialogs_with_booking = kept.dialogs_with_booking + excluded.dialogs_with_booking

-- recount
SELECT
    week,
    count(*) AS chats,
    count(*) FILTER (WHERE dialog) AS dialogs,
    count(*) FILTER (WHERE suggestion) AS suggestions,
    count(*) FILTER (WHERE service_added) AS services_added,
    count(*) FILTER (WHERE cart_confirmed) AS carts_confirmed,
    count(*) FILTER (WHERE booking) AS bookings,
    count(*) FILTER (WHERE dialog AND suggestion) AS dialogs_with_suggestion,
    count(*) FILTER (WHERE dialog AND booking) AS dialogs_with_booking,
    round(
        100.0 * count(*) FILTER (WHERE dialog AND booking) / nullif(count(*) FILTER (WHERE dialog), 0),
        2
    ) AS conversion_rate,
    round(100.0 * count(*) FILTER (WHERE booking) / count(*), 2) AS conversion_of_chats
FROM (
    SELECT
        date_trunc('week', occurred_at AT TIME ZONE (SELECT time_zone FROM settings))::date AS week,
        chat_id,
        bool_or(event_name = 'ai_dialog_started') AS dialog,
        bool_or(event_name = 'service_suggested') AS suggestion,
        bool_or(event_name = 'service_added') AS service_added,
        bool_or(event_name = 'cart_confirmed') AS cart_confirmed,
        bool_or(event_name = 'booking_request_created') AS booking
    FROM recounted
    GROUP BY 1, 2
) AS chat
GROUP BY week
