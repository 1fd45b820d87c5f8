-- Dead letters: every rejected message with its bytes and its reasons.
--
-- Statuses:
--   open       waits for an operator
--   retried    published again, the verdict is not in yet
--   closed     came to an end: status_reason says stored, duplicate, expired or erased
--   discarded  an operator decided that it shall not be stored; status_reason is in his words
-- The id is a hash of event_id and payload, so a replay adds no letter, however often. After 30 days the payload is
-- cleared and the row stays, for the same reason.
-- It does not hold chat_id or properties apart: what was rejected may have none, and only the bytes are certain.

CREATE TABLE dead_letters (
    id uuid PRIMARY KEY,
    event_id uuid NOT NULL,
    event_name text,
    subject text NOT NULL,
    reasons jsonb NOT NULL,
    payload bytea NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}',
    stream_seq bigint NOT NULL,
    received_at timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'open'
        CHECK (status IN ('open', 'retried', 'closed', 'discarded')),
    status_reason text,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    payload_cleared_at timestamptz,
    CONSTRAINT dead_letters_closed_at
        CHECK ((closed_at IS NOT NULL) = (status IN ('closed', 'discarded')))
);

-- `list` pages through one status, newest first.
CREATE INDEX dead_letters_listed
    ON dead_letters (status, received_at DESC, id);

-- Every stored batch asks whether it closes a letter; only unfinished ones can be closed, and they are few.
CREATE INDEX dead_letters_unfinished
    ON dead_letters (event_id)
    WHERE status IN ('open', 'retried');

COMMENT ON TABLE dead_letters IS 'Отклонённые сообщения: исходные байты и причины; читают только операторы';
COMMENT ON COLUMN dead_letters.id IS 'Хэш от event_id и payload: повтор не добавляет строк';
COMMENT ON COLUMN dead_letters.event_id IS 'Id события: присланный или выведенный из сообщения';
COMMENT ON COLUMN dead_letters.event_name IS 'Имя события, если оно понятно';
COMMENT ON COLUMN dead_letters.subject IS 'Subject сообщения в NATS';
COMMENT ON COLUMN dead_letters.reasons IS 'Причины отказа: список {reason, path, expected}';
COMMENT ON COLUMN dead_letters.payload IS 'Тело сообщения, байт в байт; через 30 дней очищается';
COMMENT ON COLUMN dead_letters.headers IS 'Заголовки сообщения: имя и список значений';
COMMENT ON COLUMN dead_letters.stream_seq IS 'Номер сообщения в потоке';
COMMENT ON COLUMN dead_letters.received_at IS 'Когда JetStream принял сообщение';
COMMENT ON COLUMN dead_letters.status IS 'open — ждёт разбора; retried — отправлено повторно; closed — завершено; discarded — отброшено оператором';
COMMENT ON COLUMN dead_letters.status_reason IS 'Почему такой статус: stored, duplicate, expired, erased или слова оператора';
COMMENT ON COLUMN dead_letters.attempts IS 'Сколько раз отправлено повторно';
COMMENT ON COLUMN dead_letters.created_at IS 'Когда строка записана';
COMMENT ON COLUMN dead_letters.updated_at IS 'Когда строка изменена в последний раз';
COMMENT ON COLUMN dead_letters.closed_at IS 'Когда завершено или отброшено';
COMMENT ON COLUMN dead_letters.payload_cleared_at IS 'Когда payload очищен: повторить такое сообщение уже нельзя';
