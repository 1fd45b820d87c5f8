-- What every service must agree on, and the names of the catalogue.
--
-- A service that starts with another time zone or content key than the one stored here would cut other days, or take
-- every event for a conflicting one; so it compares and refuses. The horizon lives here too, because persister and
-- rollups must judge an old id alike.
-- It does not fill the row: `migrate` knows the configured zone and key.

CREATE TABLE settings (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    time_zone text NOT NULL CHECK (time_zone <> ''),
    content_key_fingerprint text NOT NULL CHECK (content_key_fingerprint <> ''),
    -- Imports reach back to 2015-01-01, and an id may be a day older than its event.
    horizon timestamptz NOT NULL DEFAULT timestamptz '2014-12-01 00:00:00+00'
);

COMMENT ON TABLE settings IS 'Настройки, общие для всех сервисов: ровно одна строка';
COMMENT ON COLUMN settings.only_row IS 'Всегда true: не даёт появиться второй строке';
COMMENT ON COLUMN settings.time_zone IS 'Часовой пояс (имя IANA), по которому режутся дни и недели';
COMMENT ON COLUMN settings.content_key_fingerprint IS 'Отпечаток ключа content_hash: сервис с другим ключом не запустится';
COMMENT ON COLUMN settings.horizon IS 'События с id старше этого момента не принимаются (expired); сдвигает только очистка';

CREATE TABLE catalogue_events (
    event_name text PRIMARY KEY
);

COMMENT ON TABLE catalogue_events IS 'События каталога; записывает migrate, чтобы SQL мог назвать необъявленные';
COMMENT ON COLUMN catalogue_events.event_name IS 'Имя события';
