-- More of what people ask: funnels over any period, how long a booking takes, what was rejected, what nobody declared,
-- how far the pipeline is; and days on which nothing happened as rows of zeros.
--
-- Views, so that Metabase lists them and nothing more is kept. Each reads few rows for each day, chat or letter that is
-- asked for: those by day go from the calendar to the hours of that day by their index, instead of grouping all hours
-- and choosing afterwards. Views read with their owner's rights: the role of the dashboards sees what they show of the
-- dead letters, not the letters.
-- They do not read raw events, but for the newest one.

CREATE FUNCTION rollups.funnel_period(from_day date, to_day date)
RETURNS TABLE (
    chats bigint,
    dialogs bigint,
    suggestions bigint,
    services_added bigint,
    carts_confirmed bigint,
    bookings bigint,
    dialogs_with_suggestion bigint,
    dialogs_with_booking bigint,
    conversion_rate numeric,
    conversion_of_chats numeric
)
LANGUAGE sql
STABLE PARALLEL SAFE
AS $$
    SELECT
        count(*),
        count(*) FILTER (WHERE dialog),
        count(*) FILTER (WHERE suggestion),
        count(*) FILTER (WHERE service_added),
        count(*) FILTER (WHERE cart_confirmed),
        count(*) FILTER (WHERE booking),
        count(*) FILTER (WHERE dialog AND suggestion),
        count(*) FILTER (WHERE dialog AND booking),
        round(100.0 * count(*) FILTER (WHERE dialog AND booking) / nullif(count(*) FILTER (WHERE dialog), 0), 2),
        round(100.0 * count(*) FILTER (WHERE booking) / nullif(count(*), 0), 2)
    FROM (
        SELECT
            bool_or(first_dialog_at IS NOT NULL) AS dialog,
            bool_or(first_suggestion_at IS NOT NULL) AS suggestion,
            bool_or(first_service_added_at IS NOT NULL) AS service_added,
            bool_or(first_cart_confirmed_at IS NOT NULL) AS cart_confirmed,
            bool_or(first_booking_at IS NOT NULL) AS booking
        FROM rollups.chat_days
        WHERE day BETWEEN from_day AND to_day
            -- The key begins with the week.
            AND week BETWEEN from_day - 6 AND to_day
        GROUP BY chat_id
    ) AS chat;
$$;

COMMENT ON FUNCTION rollups.funnel_period(date, date) IS 'Воронка за период, в разных чатах: столбцы funnel_daily; обе даты включительно';

CREATE FUNCTION rollups.funnel_steps(from_day date, to_day date)
RETURNS TABLE (
    step integer,
    step_name text,
    chats bigint
)
LANGUAGE sql
STABLE PARALLEL SAFE
AS $$
    SELECT steps.*
    FROM rollups.funnel_period(from_day, to_day) AS funnel
    CROSS JOIN LATERAL (
        VALUES
            (1, 'Диалог', funnel.dialogs),
            (2, 'Предложение услуги', funnel.suggestions),
            (3, 'Услуга добавлена', funnel.services_added),
            (4, 'Корзина подтверждена', funnel.carts_confirmed),
            (5, 'Заявка на запись', funnel.bookings)
    ) AS steps (step, step_name, chats);
$$;

COMMENT ON FUNCTION rollups.funnel_steps(date, date) IS 'Шаги воронки за период по порядку, в разных чатах: для диаграммы «воронка»';

-- Counted from the booking, so that each stands for itself once. A day's first dialog is no later than the booking
-- whenever any of that day is, hence the first times of chat_days answer exactly what raw events would.
CREATE VIEW rollups.time_to_booking AS
SELECT
    booked.day,
    booked.week,
    booked.chat_id,
    dialog.dialog_at,
    booked.first_booking_at AS booking_at,
    round(extract(epoch FROM booked.first_booking_at - dialog.dialog_at) / 60, 1) AS minutes
FROM rollups.chat_days AS booked
CROSS JOIN LATERAL (
    SELECT min(earlier.first_dialog_at) AS dialog_at
    FROM rollups.chat_days AS earlier
    WHERE earlier.week IN (booked.week, booked.week - 7)
        AND earlier.chat_id = booked.chat_id
        AND earlier.day BETWEEN booked.day - 6 AND booked.day
        AND earlier.first_dialog_at <= booked.first_booking_at
) AS dialog
WHERE booked.first_booking_at IS NOT NULL
    AND dialog.dialog_at IS NOT NULL;

COMMENT ON VIEW rollups.time_to_booking IS 'Путь до заявки: от первого диалога чата за последние семь суток до первой заявки суток; быстрее всего фильтруется по неделе';
COMMENT ON COLUMN rollups.time_to_booking.day IS 'Местная дата заявки';
COMMENT ON COLUMN rollups.time_to_booking.week IS 'Понедельник недели заявки';
COMMENT ON COLUMN rollups.time_to_booking.chat_id IS 'Чат';
COMMENT ON COLUMN rollups.time_to_booking.dialog_at IS 'Начало первого диалога: не позже заявки и не раньше чем за шесть суток до её даты';
COMMENT ON COLUMN rollups.time_to_booking.booking_at IS 'Первая заявка за сутки';
COMMENT ON COLUMN rollups.time_to_booking.minutes IS 'Сколько минут прошло от диалога до заявки';

-- A letter may have several reasons; it stands under the first, so that sums over reasons are numbers of letters.
CREATE VIEW rollups.rejections_hourly AS
SELECT
    date_trunc('hour', received_at, 'UTC') AS hour,
    left(coalesce(event_name, ''), 200) AS event_name,
    left(coalesce(reasons -> 0 ->> 'reason', ''), 200) AS reason,
    count(*) AS rejections,
    count(*) FILTER (WHERE status = 'open') AS open,
    count(*) FILTER (WHERE status = 'retried') AS retried,
    count(*) FILTER (WHERE status = 'closed') AS closed,
    count(*) FILTER (WHERE status = 'discarded') AS discarded
FROM dead_letters
GROUP BY 1, 2, 3;

COMMENT ON VIEW rollups.rejections_hourly IS 'Отклонённые сообщения по часам приёма, событиям и первой из причин';
COMMENT ON COLUMN rollups.rejections_hourly.hour IS 'Начало часа, в котором сообщение принято (по UTC)';
COMMENT ON COLUMN rollups.rejections_hourly.event_name IS 'Имя события; пусто, если оно непонятно';
COMMENT ON COLUMN rollups.rejections_hourly.reason IS 'Первая из причин отказа';
COMMENT ON COLUMN rollups.rejections_hourly.rejections IS 'Сколько сообщений отклонено';
COMMENT ON COLUMN rollups.rejections_hourly.open IS 'Сколько из них ждут разбора';
COMMENT ON COLUMN rollups.rejections_hourly.retried IS 'Сколько из них отправлены повторно, исход ещё не известен';
COMMENT ON COLUMN rollups.rejections_hourly.closed IS 'Сколько из них завершены';
COMMENT ON COLUMN rollups.rejections_hourly.discarded IS 'Сколько из них отброшены оператором';

CREATE VIEW rollups.undeclared_events AS
SELECT
    event_name,
    sum(events)::bigint AS events,
    min(hour) AS first_hour,
    max(hour) AS last_hour
FROM rollups.event_counts_hourly
WHERE NOT EXISTS (
    SELECT
    FROM catalogue_events
    WHERE catalogue_events.event_name = event_counts_hourly.event_name
)
GROUP BY event_name;

COMMENT ON VIEW rollups.undeclared_events IS 'События, которых нет в каталоге: они приняты и учтены, но их свойства никто не проверяет';
COMMENT ON COLUMN rollups.undeclared_events.event_name IS 'Имя события';
COMMENT ON COLUMN rollups.undeclared_events.events IS 'Сколько всего событий';
COMMENT ON COLUMN rollups.undeclared_events.first_hour IS 'Час первого события (начало, по UTC)';
COMMENT ON COLUMN rollups.undeclared_events.last_hour IS 'Час последнего события (начало, по UTC)';

-- The time in an id, to the millisecond: the other way of valera_first_id.
CREATE FUNCTION valera_id_time(event_id uuid)
RETURNS timestamptz
LANGUAGE sql
IMMUTABLE STRICT PARALLEL SAFE
RETURN timestamptz '1970-01-01 00:00:00+00'
    + interval '1 millisecond' * ('x' || left(replace(event_id::text, '-', ''), 12))::bit(48)::bigint;

COMMENT ON FUNCTION valera_id_time(uuid) IS 'Время в id события, до миллисекунды';

-- What SQL can know: nothing of what is still in the stream. The newest ids are the ends of two indexes.
CREATE VIEW rollups.pipeline_status AS
SELECT
    stored.newest_at AS newest_stored_at,
    counted.newest_at AS newest_counted_at,
    greatest(round(extract(epoch FROM stored.newest_at - counted.newest_at)), 0)::bigint AS rollups_behind_seconds,
    waiting.open_letters,
    waiting.oldest_open_letter_at,
    lately.letters_last_day,
    settings.time_zone,
    settings.horizon
FROM settings
LEFT JOIN LATERAL (
    SELECT valera_id_time(event_id) AS newest_at
    FROM analytics_events
    ORDER BY event_id DESC
    LIMIT 1
) AS stored ON true
LEFT JOIN LATERAL (
    SELECT valera_id_time(event_id) AS newest_at
    FROM rollups.inbox
    ORDER BY event_id DESC
    LIMIT 1
) AS counted ON true
CROSS JOIN LATERAL (
    SELECT
        count(*) AS open_letters,
        min(received_at) AS oldest_open_letter_at
    FROM dead_letters
    WHERE status = 'open'
) AS waiting
CROSS JOIN LATERAL (
    SELECT count(*) AS letters_last_day
    FROM dead_letters
    -- All of them, named because the index begins with the status.
    WHERE status IN ('open', 'retried', 'closed', 'discarded')
        AND received_at > now() - interval '24 hours'
) AS lately;

COMMENT ON VIEW rollups.pipeline_status IS 'Состояние конвейера, насколько его видно из базы: одна строка';
COMMENT ON COLUMN rollups.pipeline_status.newest_stored_at IS 'Время самого нового сохранённого события; пусто, если событий нет';
COMMENT ON COLUMN rollups.pipeline_status.newest_counted_at IS 'Время самого нового события, учтённого в сводках';
COMMENT ON COLUMN rollups.pipeline_status.rollups_behind_seconds IS 'На сколько секунд сводки отстают от сырых событий';
COMMENT ON COLUMN rollups.pipeline_status.open_letters IS 'Сколько отклонённых сообщений ждут разбора';
COMMENT ON COLUMN rollups.pipeline_status.oldest_open_letter_at IS 'Когда принято самое старое из них';
COMMENT ON COLUMN rollups.pipeline_status.letters_last_day IS 'Сколько сообщений отклонено за последние 24 часа';
COMMENT ON COLUMN rollups.pipeline_status.time_zone IS 'Часовой пояс, по которому режутся сутки';
COMMENT ON COLUMN rollups.pipeline_status.horizon IS 'События с id старше этого момента не принимаются';

-- The days that the zero-filled views show: from the first with an event up to today.
CREATE VIEW rollups.days AS
SELECT
    today.day,
    today.week,
    today.starts_at,
    tomorrow.starts_at AS ends_at
FROM rollups.calendar AS today
JOIN rollups.calendar AS tomorrow ON tomorrow.day = today.day + 1
WHERE today.day >= (SELECT min(day) FROM rollups.funnel_daily)
    AND today.starts_at <= now();

COMMENT ON VIEW rollups.days IS 'Местные сутки от первого события до сегодняшнего дня, без пропусков';
COMMENT ON COLUMN rollups.days.day IS 'Местная дата';
COMMENT ON COLUMN rollups.days.week IS 'Понедельник недели';
COMMENT ON COLUMN rollups.days.starts_at IS 'Начало суток';
COMMENT ON COLUMN rollups.days.ends_at IS 'Начало следующих суток';

CREATE VIEW rollups.funnel_daily_filled AS
SELECT
    day,
    week,
    coalesce(chats, 0) AS chats,
    coalesce(dialogs, 0) AS dialogs,
    coalesce(suggestions, 0) AS suggestions,
    coalesce(services_added, 0) AS services_added,
    coalesce(carts_confirmed, 0) AS carts_confirmed,
    coalesce(bookings, 0) AS bookings,
    coalesce(dialogs_with_suggestion, 0) AS dialogs_with_suggestion,
    coalesce(dialogs_with_booking, 0) AS dialogs_with_booking,
    conversion_rate,
    conversion_of_chats
FROM rollups.days
LEFT JOIN rollups.funnel_daily USING (day);

COMMENT ON VIEW rollups.funnel_daily_filled IS 'Воронка за местные сутки, в чатах; сутки без событий показаны нулями';
COMMENT ON COLUMN rollups.funnel_daily_filled.day IS 'Местная дата';
COMMENT ON COLUMN rollups.funnel_daily_filled.week IS 'Понедельник недели';
COMMENT ON COLUMN rollups.funnel_daily_filled.chats IS 'Чаты с любым событием за сутки';
COMMENT ON COLUMN rollups.funnel_daily_filled.dialogs IS 'Чаты, начавшие диалог';
COMMENT ON COLUMN rollups.funnel_daily_filled.suggestions IS 'Чаты, получившие предложение услуги';
COMMENT ON COLUMN rollups.funnel_daily_filled.services_added IS 'Чаты, добавившие услугу';
COMMENT ON COLUMN rollups.funnel_daily_filled.carts_confirmed IS 'Чаты, подтвердившие корзину';
COMMENT ON COLUMN rollups.funnel_daily_filled.bookings IS 'Чаты с заявкой на запись';
COMMENT ON COLUMN rollups.funnel_daily_filled.dialogs_with_suggestion IS 'Чаты с диалогом и предложением за те же сутки';
COMMENT ON COLUMN rollups.funnel_daily_filled.dialogs_with_booking IS 'Чаты с диалогом и заявкой за те же сутки';
COMMENT ON COLUMN rollups.funnel_daily_filled.conversion_rate IS 'Доля диалогов с заявкой, %; пусто, если диалогов не было';
COMMENT ON COLUMN rollups.funnel_daily_filled.conversion_of_chats IS 'Доля чатов с заявкой среди всех чатов, %; пусто, если чатов не было';

CREATE VIEW rollups.funnel_weekly_filled AS
SELECT
    week,
    coalesce(chats, 0) AS chats,
    coalesce(dialogs, 0) AS dialogs,
    coalesce(suggestions, 0) AS suggestions,
    coalesce(services_added, 0) AS services_added,
    coalesce(carts_confirmed, 0) AS carts_confirmed,
    coalesce(bookings, 0) AS bookings,
    coalesce(dialogs_with_suggestion, 0) AS dialogs_with_suggestion,
    coalesce(dialogs_with_booking, 0) AS dialogs_with_booking,
    conversion_rate,
    conversion_of_chats
FROM (SELECT DISTINCT week FROM rollups.days) AS weeks
LEFT JOIN rollups.funnel_weekly USING (week);

COMMENT ON VIEW rollups.funnel_weekly_filled IS 'Воронка за неделю, в чатах; недели без событий показаны нулями';
COMMENT ON COLUMN rollups.funnel_weekly_filled.week IS 'Понедельник недели';
COMMENT ON COLUMN rollups.funnel_weekly_filled.chats IS 'Чаты с любым событием за неделю';
COMMENT ON COLUMN rollups.funnel_weekly_filled.dialogs IS 'Чаты, начавшие диалог';
COMMENT ON COLUMN rollups.funnel_weekly_filled.suggestions IS 'Чаты, получившие предложение услуги';
COMMENT ON COLUMN rollups.funnel_weekly_filled.services_added IS 'Чаты, добавившие услугу';
COMMENT ON COLUMN rollups.funnel_weekly_filled.carts_confirmed IS 'Чаты, подтвердившие корзину';
COMMENT ON COLUMN rollups.funnel_weekly_filled.bookings IS 'Чаты с заявкой на запись';
COMMENT ON COLUMN rollups.funnel_weekly_filled.dialogs_with_suggestion IS 'Чаты с диалогом и предложением за ту же неделю';
COMMENT ON COLUMN rollups.funnel_weekly_filled.dialogs_with_booking IS 'Чаты с диалогом и заявкой за ту же неделю';
COMMENT ON COLUMN rollups.funnel_weekly_filled.conversion_rate IS 'Доля диалогов с заявкой, %; пусто, если диалогов не было';
COMMENT ON COLUMN rollups.funnel_weekly_filled.conversion_of_chats IS 'Доля чатов с заявкой среди всех чатов, %; пусто, если чатов не было';

-- A declared event has a row for each day, an undeclared one for those on which it came. Here and below an hour belongs
-- to the day on which it begins, as in response_times_daily.
CREATE VIEW rollups.event_counts_daily_filled AS
SELECT
    days.day,
    days.week,
    counts.event_name,
    counts.events
FROM rollups.days
CROSS JOIN LATERAL (
    SELECT
        event_name,
        coalesce(came.events, 0) AS events
    FROM (
        SELECT
            event_name,
            sum(events)::bigint AS events
        FROM rollups.event_counts_hourly
        WHERE hour >= days.starts_at
            AND hour < days.ends_at
        GROUP BY event_name
    ) AS came
    FULL JOIN catalogue_events USING (event_name)
) AS counts;

COMMENT ON VIEW rollups.event_counts_daily_filled IS 'Число событий за местные сутки по именам; события каталога, которых не было, показаны нулями';
COMMENT ON COLUMN rollups.event_counts_daily_filled.day IS 'Местная дата';
COMMENT ON COLUMN rollups.event_counts_daily_filled.week IS 'Понедельник недели';
COMMENT ON COLUMN rollups.event_counts_daily_filled.event_name IS 'Имя события';
COMMENT ON COLUMN rollups.event_counts_daily_filled.events IS 'Сколько событий';

CREATE VIEW rollups.errors_daily_filled AS
SELECT
    days.day,
    days.week,
    came.errors,
    came.error_classes
FROM rollups.days
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(errors), 0)::bigint AS errors,
        count(DISTINCT error_class) AS error_classes
    FROM rollups.errors_hourly
    WHERE hour >= days.starts_at
        AND hour < days.ends_at
) AS came;

COMMENT ON VIEW rollups.errors_daily_filled IS 'Ошибки за местные сутки; сутки без ошибок показаны нулями';
COMMENT ON COLUMN rollups.errors_daily_filled.day IS 'Местная дата';
COMMENT ON COLUMN rollups.errors_daily_filled.week IS 'Понедельник недели';
COMMENT ON COLUMN rollups.errors_daily_filled.errors IS 'Сколько ошибок';
COMMENT ON COLUMN rollups.errors_daily_filled.error_classes IS 'Сколько разных классов ошибок';

CREATE VIEW rollups.response_times_daily_filled AS
SELECT
    days.day,
    days.week,
    figures.responses,
    figures.slow_responses,
    figures.avg_ms,
    rollups.bins_quantile(histogram.bins, histogram.counts, 0.50) AS p50_ms,
    rollups.bins_quantile(histogram.bins, histogram.counts, 0.95) AS p95_ms,
    rollups.bins_quantile(histogram.bins, histogram.counts, 0.99) AS p99_ms,
    figures.max_ms
FROM rollups.days
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(responses), 0)::bigint AS responses,
        coalesce(sum(slow_responses), 0)::bigint AS slow_responses,
        round(sum(total_ms) / sum(responses), 2) AS avg_ms,
        max(max_ms) AS max_ms
    FROM rollups.response_times_hourly
    WHERE hour >= days.starts_at
        AND hour < days.ends_at
) AS figures
CROSS JOIN LATERAL (
    SELECT
        array_agg(bin) AS bins,
        array_agg(responses) AS counts
    FROM rollups.response_time_bins_hourly
    WHERE hour >= days.starts_at
        AND hour < days.ends_at
) AS histogram;

COMMENT ON VIEW rollups.response_times_daily_filled IS 'Время ответа за местные сутки по всем моделям; сутки без ответов показаны нулями';
COMMENT ON COLUMN rollups.response_times_daily_filled.day IS 'Местная дата';
COMMENT ON COLUMN rollups.response_times_daily_filled.week IS 'Понедельник недели';
COMMENT ON COLUMN rollups.response_times_daily_filled.responses IS 'Сколько ответов';
COMMENT ON COLUMN rollups.response_times_daily_filled.slow_responses IS 'Сколько ответов дольше 3000 мс';
COMMENT ON COLUMN rollups.response_times_daily_filled.avg_ms IS 'Среднее время ответа, мс; пусто, если ответов не было';
COMMENT ON COLUMN rollups.response_times_daily_filled.p50_ms IS 'Медиана, мс (точность 1 %)';
COMMENT ON COLUMN rollups.response_times_daily_filled.p95_ms IS '95-й процентиль, мс (точность 1 %)';
COMMENT ON COLUMN rollups.response_times_daily_filled.p99_ms IS '99-й процентиль, мс (точность 1 %)';
COMMENT ON COLUMN rollups.response_times_daily_filled.max_ms IS 'Самый долгий ответ, мс';
