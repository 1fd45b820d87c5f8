-- The same day by chat.
INSERT INTO batch_chats
SELECT
    (occurred_at AT TIME ZONE 'UTC')::date,
    date_trunc('week', occurred_at AT TIME ZONE 'UTC')::date,
    chat_id,
    count(*),
    count(*) FILTER (WHERE event_name = 'error_occurred'),
    count(*) FILTER (WHERE event_name = 'booking_request_created'),
    min(occurred_at),
    max(occurred_at),
    min(occurred_at) FILTER (WHERE event_name = 'ai_dialog_started'),
    min(occurred_at) FILTER (WHERE event_name = 'service_suggested'),
    min(occurred_at) FILTER (WHERE event_name = 'service_added'),
    min(occurred_at) FILTER (WHERE event_name = 'cart_confirmed'),
    min(occurred_at) FILTER (WHERE event_name = 'booking_request_created')
FROM analytics_events
WHERE occurred_at >= $1
    AND occurred_at < $1 + interval '1 day'
GROUP BY 1, 2, 3
