-- What changes at every batch is not compressed at every batch.
--
-- A histogram of some 200 bins passes 2 kB, from where Postgres compresses a row; it now stays as it is up to nearly a page,
-- which is 800 bins. Positions are long only while several workers share a backlog, and then change several times a second.

ALTER TABLE rollups.response_histograms_hourly SET (toast_tuple_target = 8160);
ALTER TABLE consumer_positions ALTER COLUMN sequences SET STORAGE EXTERNAL;
