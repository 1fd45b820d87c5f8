-- Which services the assistant suggested on each day, how surely, and what came of it.
--
-- The sum of confidences is kept and the average generated: sums can be added up over days, averages can't.

CREATE TABLE rollups.service_suggestions_daily (
    day date,
    service_name text,
    suggested bigint NOT NULL,
    accepted bigint NOT NULL,
    added bigint NOT NULL,
    confidence_sum numeric NOT NULL,
    avg_confidence numeric
        GENERATED ALWAYS AS (round(confidence_sum / nullif(suggested, 0), 4)) STORED,
    PRIMARY KEY (day, service_name)
);

COMMENT ON TABLE rollups.service_suggestions_daily IS 'Предложения услуг за местные сутки';
COMMENT ON COLUMN rollups.service_suggestions_daily.day IS 'Местная дата';
COMMENT ON COLUMN rollups.service_suggestions_daily.service_name IS 'Услуга; пусто, если событие её не назвало';
COMMENT ON COLUMN rollups.service_suggestions_daily.suggested IS 'Сколько раз предложена';
COMMENT ON COLUMN rollups.service_suggestions_daily.accepted IS 'Сколько раз предложение принято';
COMMENT ON COLUMN rollups.service_suggestions_daily.added IS 'Сколько раз добавлена в корзину';
COMMENT ON COLUMN rollups.service_suggestions_daily.confidence_sum IS 'Сумма уверенности по предложениям';
COMMENT ON COLUMN rollups.service_suggestions_daily.avg_confidence IS 'Средняя уверенность, от 0 до 1; пусто, если не предлагалась';
