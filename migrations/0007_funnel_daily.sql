-- The funnel of each day, in chats.
--
-- Few rows, touched by every batch. Counts are of chats with at least one such event on that day, in whatever order the
-- steps came; the rates are generated, so that no card divides anew.

CREATE TABLE rollups.funnel_daily (
    day date PRIMARY KEY,
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

COMMENT ON TABLE rollups.funnel_daily IS 'Воронка за местные сутки, в чатах';
COMMENT ON COLUMN rollups.funnel_daily.day IS 'Местная дата';
COMMENT ON COLUMN rollups.funnel_daily.chats IS 'Чаты с любым событием за сутки';
COMMENT ON COLUMN rollups.funnel_daily.dialogs IS 'Чаты, начавшие диалог';
COMMENT ON COLUMN rollups.funnel_daily.suggestions IS 'Чаты, получившие предложение услуги';
COMMENT ON COLUMN rollups.funnel_daily.services_added IS 'Чаты, добавившие услугу';
COMMENT ON COLUMN rollups.funnel_daily.carts_confirmed IS 'Чаты, подтвердившие корзину';
COMMENT ON COLUMN rollups.funnel_daily.bookings IS 'Чаты с заявкой на запись';
COMMENT ON COLUMN rollups.funnel_daily.dialogs_with_suggestion IS 'Чаты с диалогом и предложением за те же сутки';
COMMENT ON COLUMN rollups.funnel_daily.dialogs_with_booking IS 'Чаты с диалогом и заявкой за те же сутки';
COMMENT ON COLUMN rollups.funnel_daily.conversion_rate IS 'Доля диалогов с заявкой, %; пусто, если диалогов не было';
COMMENT ON COLUMN rollups.funnel_daily.conversion_of_chats IS 'Доля чатов с заявкой среди всех чатов, %';
