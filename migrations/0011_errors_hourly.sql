-- Which errors occurred in each hour, and where.
--
-- It does not hold messages: they are free text and may name a person.

CREATE TABLE rollups.errors_hourly (
    hour timestamptz,
    error_class text,
    context text,
    errors bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (hour, error_class, context)
);

COMMENT ON TABLE rollups.errors_hourly IS 'Ошибки по часам, классам и местам';
COMMENT ON COLUMN rollups.errors_hourly.hour IS 'Начало часа (по UTC)';
COMMENT ON COLUMN rollups.errors_hourly.error_class IS 'Класс ошибки; пусто, если не назван';
COMMENT ON COLUMN rollups.errors_hourly.context IS 'Где произошла; пусто, если не названо';
COMMENT ON COLUMN rollups.errors_hourly.errors IS 'Сколько ошибок';
COMMENT ON COLUMN rollups.errors_hourly.first_at IS 'Первая за час';
COMMENT ON COLUMN rollups.errors_hourly.last_at IS 'Последняя за час';
