-- What each chat did on each day: the base of the funnels.
--
-- The key begins with the week, so that all days of a chat's week lie side by side: the fold learns from one index
-- range whether a chat is new in its week, and no table per week is needed beside the view. Rows are updated in place
-- all day long, hence the free space in each page.

CREATE TABLE rollups.chat_days (
    day date NOT NULL,
    week date NOT NULL,
    chat_id bigint NOT NULL,
    first_dialog_at timestamptz,
    first_suggestion_at timestamptz,
    first_service_added_at timestamptz,
    first_cart_confirmed_at timestamptz,
    first_booking_at timestamptz,
    events bigint NOT NULL,
    errors bigint NOT NULL,
    PRIMARY KEY (week, chat_id, day)
) WITH (fillfactor = 50);

COMMENT ON TABLE rollups.chat_days IS 'Чат за местные сутки: первые шаги воронки, события и ошибки';
COMMENT ON COLUMN rollups.chat_days.day IS 'Местная дата';
COMMENT ON COLUMN rollups.chat_days.week IS 'Понедельник недели';
COMMENT ON COLUMN rollups.chat_days.chat_id IS 'Чат';
COMMENT ON COLUMN rollups.chat_days.first_dialog_at IS 'Первое начало диалога за сутки';
COMMENT ON COLUMN rollups.chat_days.first_suggestion_at IS 'Первое предложение услуги за сутки';
COMMENT ON COLUMN rollups.chat_days.first_service_added_at IS 'Первое добавление услуги за сутки';
COMMENT ON COLUMN rollups.chat_days.first_cart_confirmed_at IS 'Первое подтверждение корзины за сутки';
COMMENT ON COLUMN rollups.chat_days.first_booking_at IS 'Первая заявка на запись за сутки';
COMMENT ON COLUMN rollups.chat_days.events IS 'Сколько всего событий';
COMMENT ON COLUMN rollups.chat_days.errors IS 'Сколько из них ошибок';

CREATE VIEW rollups.chat_weeks AS
SELECT
    week,
    chat_id,
    min(first_dialog_at) AS first_dialog_at,
    min(first_suggestion_at) AS first_suggestion_at,
    min(first_service_added_at) AS first_service_added_at,
    min(first_cart_confirmed_at) AS first_cart_confirmed_at,
    min(first_booking_at) AS first_booking_at,
    sum(events)::bigint AS events,
    sum(errors)::bigint AS errors
FROM rollups.chat_days
GROUP BY week, chat_id;

COMMENT ON VIEW rollups.chat_weeks IS 'Чат за неделю: первые шаги воронки, события и ошибки';
COMMENT ON COLUMN rollups.chat_weeks.week IS 'Понедельник недели';
COMMENT ON COLUMN rollups.chat_weeks.chat_id IS 'Чат';
COMMENT ON COLUMN rollups.chat_weeks.first_dialog_at IS 'Первое начало диалога за неделю';
COMMENT ON COLUMN rollups.chat_weeks.first_suggestion_at IS 'Первое предложение услуги за неделю';
COMMENT ON COLUMN rollups.chat_weeks.first_service_added_at IS 'Первое добавление услуги за неделю';
COMMENT ON COLUMN rollups.chat_weeks.first_cart_confirmed_at IS 'Первое подтверждение корзины за неделю';
COMMENT ON COLUMN rollups.chat_weeks.first_booking_at IS 'Первая заявка на запись за неделю';
COMMENT ON COLUMN rollups.chat_weeks.events IS 'Сколько всего событий';
COMMENT ON COLUMN rollups.chat_weeks.errors IS 'Сколько из них ошибок';
