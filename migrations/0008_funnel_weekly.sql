-- The funnel of each ISO week, in chats.
--
-- A table of its own, not a sum of days: a chat that came on two days of a week counts once.

CREATE TABLE rollups.funnel_weekly (
    week date PRIMARY KEY,
    chats bigint NOT NULL,
    dialogs bigint NOT NULL,
    suggestions bigint NOT NULL,
    services_added bigint NOT NULL,
    carts_confirmed bigint NOT NULL,
    bookings bigint NOT NULL,
    dialogs_with_suggestion bigint NOT NULL,
    dialogs_with_booking bigint NOT NULL,
    conversion_rate numeric
        GENERATED ALWAYS AS (round(100.0 * dialogs_with_booking / nullif(dialogs, 0), 2)) STORED,
    conversion_of_chats numeric
        GENERATED ALWAYS AS (round(100.0 * bookings / nullif(chats, 0), 2)) STORED
) WITH (fillfactor = 50);

COMMENT ON TABLE rollups.funnel_weekly IS 'Воронка за неделю, в чатах';
COMMENT ON COLUMN rollups.funnel_weekly.week IS 'Понедельник недели';
COMMENT ON COLUMN rollups.funnel_weekly.chats IS 'Чаты с любым событием за неделю';
COMMENT ON COLUMN rollups.funnel_weekly.dialogs IS 'Чаты, начавшие диалог';
COMMENT ON COLUMN rollups.funnel_weekly.suggestions IS 'Чаты, получившие предложение услуги';
COMMENT ON COLUMN rollups.funnel_weekly.services_added IS 'Чаты, добавившие услугу';
COMMENT ON COLUMN rollups.funnel_weekly.carts_confirmed IS 'Чаты, подтвердившие корзину';
COMMENT ON COLUMN rollups.funnel_weekly.bookings IS 'Чаты с заявкой на запись';
COMMENT ON COLUMN rollups.funnel_weekly.dialogs_with_suggestion IS 'Чаты с диалогом и предложением за ту же неделю';
COMMENT ON COLUMN rollups.funnel_weekly.dialogs_with_booking IS 'Чаты с диалогом и заявкой за ту же неделю';
COMMENT ON COLUMN rollups.funnel_weekly.conversion_rate IS 'Доля диалогов с заявкой, %; пусто, если диалогов не было';
COMMENT ON COLUMN rollups.funnel_weekly.conversion_of_chats IS 'Доля чатов с заявкой среди всех чатов, %';
