WITH funnel AS (
  SELECT
    chat_id,
    COUNT(CASE WHEN event_name = 'ai_dialog_started' THEN 1 END) as dialogs,
    COUNT(CASE WHEN event_name = 'booking_request_created' THEN 1 END) as bookings,
    MIN(CASE WHEN event_name = 'ai_dialog_started' THEN occurred_at END) as first_dialog,
    MIN(CASE WHEN event_name = 'booking_request_created' THEN occurred_at END) as first_booking
  FROM analytics_events
  WHERE occurred_at BETWEEN $1 AND $2
  GROUP BY chat_id
)
SELECT
  COUNT(*) as total_chats,
  COUNT(CASE WHEN dialogs > 0 THEN 1 END) as chats_with_dialogs,
  COUNT(CASE WHEN bookings > 0 THEN 1 END) as chats_with_bookings,
  ROUND(COUNT(CASE WHEN bookings > 0 THEN 1 END) * 100.0 / COUNT(*), 2) as conversion_rate
FROM funnel
