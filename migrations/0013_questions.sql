-- The questions people ask across days: period funnel, weekly cohorts, response times by day and over a period.
--
-- They answer from the per-chat rollups and the bins what the raw table would answer, to the digit (quantiles: within
-- 1 %), at a cost that does not grow with events. Sums of funnel_daily could not: a chat that came on two days would
-- count twice.
-- They do not read raw events.

CREATE FUNCTION rollups.conversion_funnel(from_day date, to_day date)
RETURNS TABLE (
    total_chats bigint,
    chats_with_dialogs bigint,
    chats_with_bookings bigint,
    conversion_rate numeric
)
LANGUAGE sql
STABLE PARALLEL SAFE
AS $$
    SELECT
        count(*),
        count(*) FILTER (WHERE dialog),
        count(*) FILTER (WHERE booking),
        round(100.0 * count(*) FILTER (WHERE booking) / nullif(count(*), 0), 2)
    FROM (
        SELECT
            bool_or(first_dialog_at IS NOT NULL) AS dialog,
            bool_or(first_booking_at IS NOT NULL) AS booking
        FROM rollups.chat_days
        WHERE day BETWEEN from_day AND to_day
            -- The key begins with the week.
            AND week BETWEEN from_day - 6 AND to_day
        GROUP BY chat_id
    ) AS chat;
$$;

COMMENT ON FUNCTION rollups.conversion_funnel(date, date) IS 'Воронка за период, обе даты включительно: чаты, диалоги, заявки, доля чатов с заявкой (%)';

-- A chat's first dialog in the window decides its week; what it did in other weeks of the window counts for that week.
CREATE FUNCTION rollups.weekly_cohorts(from_week date, to_week date)
RETURNS TABLE (
    week date,
    total_chats bigint,
    started_dialogs bigint,
    received_suggestions bigint,
    created_bookings bigint,
    conversion_rate numeric
)
LANGUAGE sql
STABLE PARALLEL SAFE
AS $$
    SELECT
        chat.week,
        count(*),
        count(*),
        count(*) FILTER (WHERE suggestion),
        count(*) FILTER (WHERE booking),
        round(100.0 * count(*) FILTER (WHERE booking) / count(*), 2)
    FROM (
        SELECT
            min(chat_days.week) FILTER (WHERE first_dialog_at IS NOT NULL) AS week,
            bool_or(first_suggestion_at IS NOT NULL) AS suggestion,
            bool_or(first_booking_at IS NOT NULL) AS booking
        FROM rollups.chat_days
        -- Any day stands for its week.
        WHERE chat_days.week BETWEEN date_trunc('week', from_week::timestamp)::date AND to_week
        GROUP BY chat_id
    ) AS chat
    WHERE chat.week IS NOT NULL
    GROUP BY chat.week
    ORDER BY chat.week DESC;
$$;

COMMENT ON FUNCTION rollups.weekly_cohorts(date, date) IS 'Недельные когорты: неделя первого диалога чата в окне и его дальнейший путь; обе недели включительно';

-- The quantile of a histogram, as percentile_disc would pick it: the middle of the bin that holds it.
CREATE FUNCTION rollups.bins_quantile(bins smallint[], counts bigint[], fraction numeric)
RETURNS integer
LANGUAGE sql
IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT rollups.bin_middle(min(bin))
    FROM (
        SELECT
            bin,
            sum(responses) OVER (ORDER BY bin) AS upto,
            sum(responses) OVER () AS of
        FROM unnest(bins, counts) AS cell(bin, responses)
    ) AS ranked
    WHERE upto >= fraction * of;
END;

COMMENT ON FUNCTION rollups.bins_quantile(smallint[], bigint[], numeric) IS 'Квантиль гистограммы, мс; корзина может повторяться';

-- Hours from the one that holds from_at up to, without, to_at. It reads the views, for it runs with the rights of who
-- asks, and the table behind them is not theirs.
CREATE FUNCTION rollups.response_times(from_at timestamptz, to_at timestamptz)
RETURNS TABLE (
    model_used text,
    responses bigint,
    slow_responses bigint,
    total_ms numeric,
    min_ms integer,
    max_ms integer,
    avg_ms numeric,
    p50_ms integer,
    p95_ms integer,
    p99_ms integer
)
LANGUAGE sql
STABLE PARALLEL SAFE
AS $$
    SELECT
        figures.*,
        rollups.bins_quantile(histogram.bins, histogram.counts, 0.50),
        rollups.bins_quantile(histogram.bins, histogram.counts, 0.95),
        rollups.bins_quantile(histogram.bins, histogram.counts, 0.99)
    FROM (
        SELECT
            hourly.model_used,
            sum(hourly.responses)::bigint,
            sum(hourly.slow_responses)::bigint,
            sum(hourly.total_ms),
            min(hourly.min_ms),
            max(hourly.max_ms),
            round(sum(hourly.total_ms) / sum(hourly.responses), 2)
        FROM rollups.response_times_hourly AS hourly
        WHERE hourly.hour >= date_trunc('hour', from_at, 'UTC')
            AND hourly.hour < to_at
        GROUP BY hourly.model_used
    ) AS figures
    JOIN (
        SELECT
            hourly.model_used,
            array_agg(hourly.bin) AS bins,
            array_agg(hourly.responses) AS counts
        FROM rollups.response_time_bins_hourly AS hourly
        WHERE hourly.hour >= date_trunc('hour', from_at, 'UTC')
            AND hourly.hour < to_at
        GROUP BY hourly.model_used
    ) AS histogram USING (model_used)
    ORDER BY figures.model_used;
$$;

COMMENT ON FUNCTION rollups.response_times(timestamptz, timestamptz) IS 'Время ответа по моделям за любой период, с точностью до часа';

-- An hour belongs to the day on which it begins: in zones half an hour off, midnight falls inside one.
CREATE VIEW rollups.response_times_daily AS
SELECT
    figures.*,
    rollups.bins_quantile(histogram.bins, histogram.counts, 0.50) AS p50_ms,
    rollups.bins_quantile(histogram.bins, histogram.counts, 0.95) AS p95_ms,
    rollups.bins_quantile(histogram.bins, histogram.counts, 0.99) AS p99_ms
FROM (
    SELECT
        (hour AT TIME ZONE (SELECT time_zone FROM settings))::date AS day,
        model_used,
        sum(responses)::bigint AS responses,
        sum(slow_responses)::bigint AS slow_responses,
        sum(total_ms) AS total_ms,
        min(min_ms) AS min_ms,
        max(max_ms) AS max_ms,
        round(sum(total_ms) / sum(responses), 2) AS avg_ms
    FROM rollups.response_times_hourly
    GROUP BY 1, 2
) AS figures
JOIN (
    SELECT
        (hour AT TIME ZONE (SELECT time_zone FROM settings))::date AS day,
        model_used,
        array_agg(bin) AS bins,
        array_agg(responses) AS counts
    FROM rollups.response_time_bins_hourly
    GROUP BY 1, 2
) AS histogram USING (day, model_used);

COMMENT ON VIEW rollups.response_times_daily IS 'Время ответа по местным суткам и моделям';
COMMENT ON COLUMN rollups.response_times_daily.day IS 'Местная дата';
COMMENT ON COLUMN rollups.response_times_daily.model_used IS 'Модель';
COMMENT ON COLUMN rollups.response_times_daily.responses IS 'Сколько ответов';
COMMENT ON COLUMN rollups.response_times_daily.slow_responses IS 'Сколько ответов дольше 3000 мс';
COMMENT ON COLUMN rollups.response_times_daily.total_ms IS 'Сумма времени ответов, мс';
COMMENT ON COLUMN rollups.response_times_daily.min_ms IS 'Самый быстрый ответ, мс';
COMMENT ON COLUMN rollups.response_times_daily.max_ms IS 'Самый долгий ответ, мс';
COMMENT ON COLUMN rollups.response_times_daily.avg_ms IS 'Среднее время ответа, мс';
COMMENT ON COLUMN rollups.response_times_daily.p50_ms IS 'Медиана, мс (точность 1 %)';
COMMENT ON COLUMN rollups.response_times_daily.p95_ms IS '95-й процентиль, мс (точность 1 %)';
COMMENT ON COLUMN rollups.response_times_daily.p99_ms IS '99-й процентиль, мс (точность 1 %)';
