-- How far each replay is, so that one that was killed goes on where it committed.
--
-- Beside the rollups, not among them: a rebuild replaces those, and nobody charts these. `position` moves after the
-- batch it covers is durable, so it never says too much; what it says too little is handed in again and changes nothing.
-- It does not say whether a replay is at work now: the advisory lock of its session does.

CREATE TABLE replays (
    name text PRIMARY KEY CHECK (name <> ''),
    consumer text NOT NULL CHECK (consumer IN ('persister', 'rollups')),
    subject text NOT NULL,
    asked_from text NOT NULL,
    asked_to text NOT NULL,
    first_seq bigint NOT NULL CHECK (first_seq > 0),
    last_seq bigint NOT NULL,
    position bigint NOT NULL,
    status text NOT NULL DEFAULT 'running'
        CHECK (status IN ('running', 'paused', 'done', 'cancelled')),
    backend_pid integer NOT NULL,
    stored bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    conflicting bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    expired bigint NOT NULL DEFAULT 0,
    erased bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE replays IS 'Повторы из потока: что повторяется и докуда дошло';
COMMENT ON COLUMN replays.name IS 'Имя повтора';
COMMENT ON COLUMN replays.consumer IS 'Чей обработчик получает сообщения: persister или rollups';
COMMENT ON COLUMN replays.subject IS 'Какие subject повторяются';
COMMENT ON COLUMN replays.asked_from IS 'Начало, как его задал оператор';
COMMENT ON COLUMN replays.asked_to IS 'Конец, как его задал оператор';
COMMENT ON COLUMN replays.first_seq IS 'Первый номер в потоке';
COMMENT ON COLUMN replays.last_seq IS 'Последний номер в потоке';
COMMENT ON COLUMN replays.position IS 'До этого номера включительно всё записано';
COMMENT ON COLUMN replays.status IS 'running — идёт или прерван; paused — остановлен оператором; done — завершён; cancelled — отменён';
COMMENT ON COLUMN replays.backend_pid IS 'Сессия Postgres, которая ведёт повтор';
COMMENT ON COLUMN replays.stored IS 'Сколько сообщений дало новые записи';
COMMENT ON COLUMN replays.duplicate IS 'Сколько было уже известно';
COMMENT ON COLUMN replays.conflicting IS 'Сколько известно с другим содержанием';
COMMENT ON COLUMN replays.rejected IS 'Сколько отклонено';
COMMENT ON COLUMN replays.expired IS 'Сколько старше горизонта';
COMMENT ON COLUMN replays.erased IS 'Сколько от чатов, попросивших забыть их';
COMMENT ON COLUMN replays.started_at IS 'Когда начат';
COMMENT ON COLUMN replays.updated_at IS 'Когда продвинулся в последний раз';
