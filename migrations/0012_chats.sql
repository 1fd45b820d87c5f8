-- Every chat over its whole life. Updated by nearly every event of its chat, hence the free space in each page.

CREATE TABLE rollups.chats (
    chat_id bigint PRIMARY KEY,
    events bigint NOT NULL,
    bookings bigint NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    user_segment text NOT NULL
        GENERATED ALWAYS AS (
            CASE
                WHEN events < 3 THEN 'new'
                WHEN events < 11 THEN 'engaged'
                ELSE 'returning'
            END
        ) STORED
) WITH (fillfactor = 50);

COMMENT ON TABLE rollups.chats IS 'Чаты за всё время';
COMMENT ON COLUMN rollups.chats.chat_id IS 'Чат';
COMMENT ON COLUMN rollups.chats.events IS 'Сколько всего событий';
COMMENT ON COLUMN rollups.chats.bookings IS 'Сколько заявок на запись';
COMMENT ON COLUMN rollups.chats.first_seen_at IS 'Первое событие';
COMMENT ON COLUMN rollups.chats.last_seen_at IS 'Последнее событие';
COMMENT ON COLUMN rollups.chats.user_segment IS 'Сегмент: new — до 2 событий, engaged — 3–10, returning — 11 и больше';
