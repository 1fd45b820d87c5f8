-- Events of 90 days up to now, as many as $1, in the order of their time; the shape is corpus.rs's.
INSERT INTO analytics_events (
    event_id,
    event_name,
    chat_id,
    session_id,
    properties,
    occurred_at,
    platform,
    content_hash,
    stream_seq
)
SELECT
    (
        lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0')
        || '7' || substr(noise, 1, 3) || '8' || substr(noise, 4, 15)
    )::uuid,
    event_name,
    chat_id,
    substr(noise, 1, 32),
    CASE event_name
        WHEN 'ai_response_time' THEN jsonb_build_object(
            'duration_ms', floor(1400 * power(-ln(1 - size), 0.6))::integer,
            'model_used', (ARRAY['deepseek-chat', 'gpt-4o-mini', 'yandexgpt'])[n % 3 + 1],
            'timestamp', floor(extract(epoch FROM at))
        )
        WHEN 'ai_dialog_started' THEN '{"message_type": "text", "platform": "telegram"}'
        WHEN 'service_suggested' THEN jsonb_build_object(
            'service_name', service,
            'confidence_score', round((0.55 + 0.4 * size)::numeric, 2),
            'suggestion_type', 'ai_generated'
        )
        WHEN 'service_added' THEN jsonb_build_object('service_name', service, 'quantity', 1, 'price', 15000.5)
        WHEN 'ai_suggestion_accepted' THEN jsonb_build_object('service_name', service)
        WHEN 'cart_confirmed' THEN '{"services_count": 1, "total_amount": 15000.5}'
        WHEN 'booking_request_created' THEN jsonb_build_object(
            'booking_id', n, 'services_count', 1, 'estimated_total', 15000.5
        )
        WHEN 'error_occurred' THEN jsonb_build_object(
            'error_class', 'Faraday::TimeoutError',
            'error_message', 'Net::ReadTimeout with #<TCPSocket:(closed)>',
            'context', (ARRAY['ai_request', 'tool_call'])[n % 2 + 1]
        )
        ELSE '{"size_kb": 900, "tags": ["auto", null]}'
    END,
    at,
    'telegram',
    decode(noise, 'hex'),
    n
FROM (
    SELECT
        n,
        now() - interval '90 days' + n * (interval '90 days' / $1::double precision) AS at,
        md5(n::text) AS noise,
        100000000 + floor(50000 * power(random(), 2))::bigint AS chat_id,
        random() AS size,
        CASE
            WHEN pick < 0.45 THEN 'ai_response_time'
            WHEN pick < 0.60 THEN 'ai_dialog_started'
            WHEN pick < 0.73 THEN 'service_suggested'
            WHEN pick < 0.82 THEN 'service_added'
            WHEN pick < 0.87 THEN 'ai_suggestion_accepted'
            WHEN pick < 0.92 THEN 'cart_confirmed'
            WHEN pick < 0.95 THEN 'booking_request_created'
            WHEN pick < 0.98 THEN 'error_occurred'
            ELSE 'photo_received'
        END AS event_name,
        (ARRAY['полировка кузова', 'покраска бампера', 'керамическое покрытие', 'рихтовка крыла'])[n % 4 + 1] AS service
    FROM (
        SELECT
            n,
            random() AS pick
        FROM generate_series(1, $1) AS n
    ) AS drawn
) AS event
