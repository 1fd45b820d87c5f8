-- Replays that read exported files instead of the stream.
--
-- A place in them is a count of lines over all files, kept where stream sequences are kept. Which files they are is known
-- again by length and a hash of both ends. It does not say what is in them.

ALTER TABLE replays
    ADD COLUMN files jsonb,
    ADD COLUMN read_bytes bigint NOT NULL DEFAULT 0;

COMMENT ON TABLE replays IS 'Повторы из потока или из файлов выгрузки: что повторяется и докуда дошло';
COMMENT ON COLUMN replays.first_seq IS 'Первый номер в потоке; для файлов — 1';
COMMENT ON COLUMN replays.last_seq IS 'Последний номер в потоке; для файлов — сколько в них строк, когда повтор завершён';
COMMENT ON COLUMN replays.position IS 'До этого номера (в файлах — до этой строки) включительно всё записано';
COMMENT ON COLUMN replays.files IS 'Файлы выгрузки вместо потока: путь, длина и хэш начала и конца';
COMMENT ON COLUMN replays.read_bytes IS 'Сколько байт файлов прочитано';
