-- Which messages of the stream each consumer has made durable, written in the transaction that does so.
--
-- JetStream keeps what was acknowledged, Postgres what is stored. A database that was put back to an earlier point is told by the
-- difference, `verify --position`. A worker takes any row that no other is writing, or adds one, so none waits for another:
-- there are as many rows as workers have ever committed at once. Of what came before this migration only a guess is left:
-- everything up to the last message that raw has. It says nothing about events, which are known by their ids alone.

CREATE TABLE consumer_positions (
    slot bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text NOT NULL CHECK (consumer IN ('persister', 'rollups')),
    sequences int8multirange NOT NULL,
    top_sequence bigint NOT NULL DEFAULT 0,
    top_received bigint NOT NULL DEFAULT 0
);

INSERT INTO consumer_positions (consumer, sequences)
SELECT consumer, CASE WHEN last IS NULL THEN '{}' ELSE int8multirange(int8range(1, last, '[]')) END
FROM unnest(ARRAY['persister', 'rollups']) AS consumer, (SELECT max(stream_seq) AS last FROM analytics_events) AS raw;

COMMENT ON TABLE consumer_positions IS 'Какие сообщения потока уже записаны: по этому видно базу, возвращённую из резервной копии';
COMMENT ON COLUMN consumer_positions.slot IS 'Номер строки: строк столько, сколько процессов писало одновременно';
COMMENT ON COLUMN consumer_positions.consumer IS 'Чей обработчик записал: persister или rollups';
COMMENT ON COLUMN consumer_positions.sequences IS 'Номера сообщений в потоке';
COMMENT ON COLUMN consumer_positions.top_sequence IS 'Наибольший из них';
COMMENT ON COLUMN consumer_positions.top_received IS 'Когда поток получил это сообщение, в наносекундах с 1970 года: у другого потока под этим номером другое';
