-- key: week, chat_id
-- columns: first_dialog_at, first_suggestion_at, first_service_added_at, first_cart_confirmed_at, first_booking_at, events, errors

-- A view over chat_days: nothing to fold, but what it shows is recounted all the same.

-- recount
SELECT
    date_trunc('week', occurred_at AT TIME ZONE (SELECT time_zone FROM settings))::date AS week,
    chat_id,
    min(occurred_at) FILTER (WHERE event_name = 'ai_dialog_started') AS first_dialog_at,
    min(occurred_at) FILTER (WHERE event_name = 'service_suggested') AS first_suggestion_at,
    min(occurred_at) FILTER (WHERE event_name = 'service_added') AS first_service_added_at,
    min(occurred_at) FILTER (WHERE event_name = 'cart_confirmed') AS first_cart_confirmed_at,
    min(occurred_at) FILTER (WHERE event_name = 'booking_request_created') AS first_booking_at,
    count(*) AS events,
    count(*) FILTER (WHERE event_name = 'error_occurred') AS errors
FROM recounted
GROUP BY 1, 2
