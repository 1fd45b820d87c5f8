-- How fast the assistant answered, by hour and model.
--
-- One table holds both the figures and the histogram they come from, as two arrays: as rows the bins took twenty times
-- the space, and a second table would be a second upsert per batch. Dashboards shall not meet arrays, so the table is
-- the service's own (don't grant it to Metabase) and two views show it: the figures, and the bins as rows.

CREATE TABLE rollups.response_histograms_hourly (
    hour timestamptz,
    model_used text,
    responses bigint NOT NULL,
    slow_responses bigint NOT NULL,
    total_ms numeric NOT NULL,
    min_ms integer NOT NULL,
    max_ms integer NOT NULL,
    avg_ms numeric GENERATED ALWAYS AS (round(total_ms / responses, 2)) STORED,
    p50_ms integer NOT NULL,
    p95_ms integer NOT NULL,
    p99_ms integer NOT NULL,
    bins smallint[] NOT NULL,
    counts bigint[] NOT NULL,
    PRIMARY KEY (hour, model_used)
) WITH (fillfactor = 50);

COMMENT ON TABLE rollups.response_histograms_hourly IS 'Служебная: время ответа вместе с гистограммой; смотрите response_times_hourly';
COMMENT ON COLUMN rollups.response_histograms_hourly.hour IS 'Начало часа (по UTC)';
COMMENT ON COLUMN rollups.response_histograms_hourly.model_used IS 'Модель';
COMMENT ON COLUMN rollups.response_histograms_hourly.responses IS 'Сколько ответов';
COMMENT ON COLUMN rollups.response_histograms_hourly.slow_responses IS 'Сколько ответов дольше 3000 мс';
COMMENT ON COLUMN rollups.response_histograms_hourly.total_ms IS 'Сумма времени ответов, мс';
COMMENT ON COLUMN rollups.response_histograms_hourly.min_ms IS 'Самый быстрый ответ, мс';
COMMENT ON COLUMN rollups.response_histograms_hourly.max_ms IS 'Самый долгий ответ, мс';
COMMENT ON COLUMN rollups.response_histograms_hourly.avg_ms IS 'Среднее время ответа, мс';
COMMENT ON COLUMN rollups.response_histograms_hourly.p50_ms IS 'Медиана, мс (точность 1 %)';
COMMENT ON COLUMN rollups.response_histograms_hourly.p95_ms IS '95-й процентиль, мс (точность 1 %)';
COMMENT ON COLUMN rollups.response_histograms_hourly.p99_ms IS '99-й процентиль, мс (точность 1 %)';
COMMENT ON COLUMN rollups.response_histograms_hourly.bins IS 'Номера непустых корзин по возрастанию';
COMMENT ON COLUMN rollups.response_histograms_hourly.counts IS 'Сколько ответов в каждой из корзин bins';

CREATE VIEW rollups.response_times_hourly AS
SELECT
    hour,
    model_used,
    responses,
    slow_responses,
    total_ms,
    min_ms,
    max_ms,
    avg_ms,
    p50_ms,
    p95_ms,
    p99_ms
FROM rollups.response_histograms_hourly;

COMMENT ON VIEW rollups.response_times_hourly IS 'Время ответа по часам и моделям';
COMMENT ON COLUMN rollups.response_times_hourly.hour IS 'Начало часа (по UTC)';
COMMENT ON COLUMN rollups.response_times_hourly.model_used IS 'Модель';
COMMENT ON COLUMN rollups.response_times_hourly.responses IS 'Сколько ответов';
COMMENT ON COLUMN rollups.response_times_hourly.slow_responses IS 'Сколько ответов дольше 3000 мс';
COMMENT ON COLUMN rollups.response_times_hourly.total_ms IS 'Сумма времени ответов, мс';
COMMENT ON COLUMN rollups.response_times_hourly.min_ms IS 'Самый быстрый ответ, мс';
COMMENT ON COLUMN rollups.response_times_hourly.max_ms IS 'Самый долгий ответ, мс';
COMMENT ON COLUMN rollups.response_times_hourly.avg_ms IS 'Среднее время ответа, мс';
COMMENT ON COLUMN rollups.response_times_hourly.p50_ms IS 'Медиана, мс (точность 1 %)';
COMMENT ON COLUMN rollups.response_times_hourly.p95_ms IS '95-й процентиль, мс (точность 1 %)';
COMMENT ON COLUMN rollups.response_times_hourly.p99_ms IS '99-й процентиль, мс (точность 1 %)';

CREATE VIEW rollups.response_time_bins_hourly AS
SELECT
    hour,
    model_used,
    cell.bin,
    cell.responses
FROM rollups.response_histograms_hourly
CROSS JOIN LATERAL unnest(bins, counts) AS cell(bin, responses);

COMMENT ON VIEW rollups.response_time_bins_hourly IS 'Гистограмма времени ответа: складывается за любой период';
COMMENT ON COLUMN rollups.response_time_bins_hourly.hour IS 'Начало часа (по UTC)';
COMMENT ON COLUMN rollups.response_time_bins_hourly.model_used IS 'Модель';
COMMENT ON COLUMN rollups.response_time_bins_hourly.bin IS 'Номер корзины; середина в мс — rollups.bin_middle(bin)';
COMMENT ON COLUMN rollups.response_time_bins_hourly.responses IS 'Сколько ответов в корзине';
