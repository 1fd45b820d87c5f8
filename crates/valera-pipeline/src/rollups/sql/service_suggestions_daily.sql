-- key: day, service_name
-- columns: suggested, accepted, added, confidence_sum, avg_confidence

-- fold
INSERT INTO rollups.service_suggestions_daily AS kept (
    day,
    service_name,
    suggested,
    accepted,
    added,
    confidence_sum
)
SELECT
    day,
    service_name,
    coalesce(sum(events) FILTER (WHERE event_name = 'service_suggested'), 0),
    coalesce(sum(events) FILTER (WHERE event_name = 'ai_suggestion_accepted'), 0),
    coalesce(sum(events) FILTER (WHERE event_name = 'service_added'), 0),
    coalesce(sum(confidence_sum::numeric), 0)
FROM batch
WHERE service_name IS NOT NULL
GROUP BY day, service_name
ORDER BY day, service_name
ON CONFLICT (day, service_name) DO UPDATE
SET
    suggested = kept.suggested + excluded.suggested,
    accepted = kept.accepted + excluded.accepted,
    added = kept.added + excluded.added,
    confidence_sum = kept.confidence_sum + excluded.confidence_sum

-- recount
SELECT
    day,
    service_name,
    suggested,
    accepted,
    added,
    confidence_sum,
    round(confidence_sum / nullif(suggested, 0), 4) AS avg_confidence
FROM (
    SELECT
        (occurred_at AT TIME ZONE (SELECT time_zone FROM settings))::date AS day,
        left(coalesce(properties ->> 'service_name', ''), 200) AS service_name,
        count(*) FILTER (WHERE event_name = 'service_suggested') AS suggested,
        count(*) FILTER (WHERE event_name = 'ai_suggestion_accepted') AS accepted,
        count(*) FILTER (WHERE event_name = 'service_added') AS added,
        coalesce(
            sum((properties ->> 'confidence_score')::numeric) FILTER (WHERE event_name = 'service_suggested'),
            0
        ) AS confidence_sum
    FROM recounted
    WHERE event_name IN ('service_suggested', 'ai_suggestion_accepted', 'service_added')
    GROUP BY 1, 2
) AS service
