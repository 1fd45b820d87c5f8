-- How many events of each name came in each hour.

CREATE TABLE rollups.event_counts_hourly (
    hour timestamptz,
    event_name text,
    platform text,
    events bigint NOT NULL,
    PRIMARY KEY (hour, event_name, platform)
);

COMMENT ON TABLE rollups.event_counts_hourly IS 'Число событий по часам, именам и платформам';
COMMENT ON COLUMN rollups.event_counts_hourly.hour IS 'Начало часа (по UTC)';
COMMENT ON COLUMN rollups.event_counts_hourly.event_name IS 'Имя события';
COMMENT ON COLUMN rollups.event_counts_hourly.platform IS 'Платформа';
COMMENT ON COLUMN rollups.event_counts_hourly.events IS 'Сколько событий';
