-- Letters are asked for by event: the persister for those that are not finished, `verify` for those that say that Postgres
-- refused the event, whatever their status. One index serves both; that of unfinished letters alone left `verify` to scan
-- the table five times a second, in a repair while the folds wait.

DROP INDEX dead_letters_unfinished;

CREATE INDEX dead_letters_event_id
    ON dead_letters (event_id);

COMMENT ON INDEX dead_letters_event_id IS 'Строки одного события. persister спрашивает, когда сохраняет событие с незавершённой строкой, а не в каждом пакете; verify — об отклонённых базой';
