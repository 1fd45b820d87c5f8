-- As which event a letter was published last. A patch that moves `occurred_at` far gives the event another id, and until
-- a retry is judged no second one may go out under another: both would be stored.

ALTER TABLE dead_letters
    ADD COLUMN retried_as uuid;

-- `verify` asks for what Postgres refused by both ids.
CREATE INDEX dead_letters_retried_as
    ON dead_letters (retried_as)
    WHERE retried_as IS NOT NULL;

COMMENT ON COLUMN dead_letters.retried_as IS 'Id события, под которым строка отправлена повторно в последний раз; отличается от event_id, если правка перенесла occurred_at больше чем на сутки или событие отправлено как новое';
