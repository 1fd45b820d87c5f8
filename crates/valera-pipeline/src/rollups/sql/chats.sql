-- key: chat_id
-- columns: events, bookings, first_seen_at, last_seen_at, user_segment

-- fold
MERGE INTO rollups.chats AS kept
USING (
    SELECT
        chat_id,
        sum(events) AS events,
        sum(bookings) AS bookings,
        min(first_at) AS first_at,
        max(last_at) AS last_at
    FROM batch_chats
    GROUP BY chat_id
) AS fresh
ON kept.chat_id = fresh.chat_id
WHEN MATCHED THEN
    UPDATE SET
        events = kept.events + fresh.events,
        bookings = kept.bookings + fresh.bookings,
        first_seen_at = least(kept.first_seen_at, fresh.first_at),
        last_seen_at = greatest(kept.last_seen_at, fresh.last_at)
WHEN NOT MATCHED THEN
    INSERT (chat_id, events, bookings, first_seen_at, last_seen_at)
    VALUES (fresh.chat_id, fresh.events, fresh.bookings, fresh.first_at, fresh.last_at)

-- recount
SELECT
    chat_id,
    count(*) AS events,
    count(*) FILTER (WHERE event_name = 'booking_request_created') AS bookings,
    min(occurred_at) AS first_seen_at,
    max(occurred_at) AS last_seen_at,
    CASE
        WHEN count(*) <= 2 THEN 'new'
        WHEN count(*) <= 10 THEN 'engaged'
        ELSE 'returning'
    END AS user_segment
FROM recounted
GROUP BY chat_id
