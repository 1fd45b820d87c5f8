SELECT
  event_name,
  COUNT(*) as event_count,
  AVG(CAST(properties->>'duration_ms' as NUMERIC)) as avg_duration_ms, AVG(CAST(properties->>'confidence_score' as NUMERIC)) as avg_confidence_score, AVG(CAST(properties->>'estimated_total' as NUMERIC)) as avg_estimated_total
FROM analytics_events
GROUP BY event_name
