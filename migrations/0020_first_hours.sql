-- The zero-filled views begin with the day to which the first hour belongs.
--
-- An hour belongs to the day on which it begins. Where a zone is half an hour off, the first half hour of a day hence
-- counts for the day before; when the very first events came in it, that day was not shown, and they were in no sum.
-- It does not change which hours a day has.

CREATE OR REPLACE VIEW rollups.days AS
SELECT
    today.day,
    today.week,
    today.starts_at,
    tomorrow.starts_at AS ends_at
FROM rollups.calendar AS today
JOIN rollups.calendar AS tomorrow ON tomorrow.day = today.day + 1
WHERE tomorrow.starts_at > (SELECT min(hour) FROM rollups.event_counts_hourly)
    AND today.starts_at <= now();
