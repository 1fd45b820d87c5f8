-- The temporary tables of one batch of new events, made once per connection and emptied by every COMMIT.
--
-- Rust groups the batch's new events (those the inbox did not know) and fills the first two by binary COPY in this
-- column order; no person is in `batch`, so its rows are few. Every rollup is then folded from them, in one transaction,
-- under the folds' lock. A session that folds sets jit, enable_hashjoin, enable_mergejoin, enable_seqscan and
-- enable_bitmapscan off: the plans Postgres prefers scan each target table whole and grow with history, or make a bitmap
-- for each single row.
--
-- A rollup is one file, named after its relation:
--   -- key: …       the columns that identify a row
--   -- columns: …   the columns compared by `verify`, beside the key
--   -- after: …     for people: the rollup that comes before in the list, as chat_days leaves funnel_change to the funnels
--   -- fold         one statement; none where the relation is a view
--   -- recount      one query of key and columns, in that order, from a relation `recounted` (columns of
--                   analytics_events) that the caller defines
-- Each section holds one statement, without a closing semicolon so that a recount can stand in a subquery, and ends at
-- the next marker or the end of the file. A recount shares nothing with its fold but the middle of a bin: days are
-- cut by AT TIME ZONE, not by the calendar, and quantiles by percentile_disc.

-- One row per distinct set of the dimensions hour … context, summed over its events. Where a dimension does not apply
-- to the event it is NULL; where it applies and is absent, ''. slow counts what took longer than 3000 ms; the *_ms
-- columns are NULL without bin; confidence_sum is a decimal in digits, NULL unless the event is service_suggested.
CREATE TEMPORARY TABLE batch (
    hour timestamptz,
    day date,
    event_name text,
    platform text,
    model_used text,
    bin smallint,
    service_name text,
    error_class text,
    context text,
    events integer,
    slow integer,
    total_ms bigint,
    min_ms integer,
    max_ms integer,
    confidence_sum text,
    first_at timestamptz,
    last_at timestamptz
) ON COMMIT DELETE ROWS;

-- One row per chat and day, never two. steps has a bit for each step that the chat took: 1 a dialog, 2 a suggestion, 4 a
-- service added, 8 a cart confirmed, 16 a booking.
CREATE TEMPORARY TABLE batch_chats (
    day date,
    week date,
    chat_id bigint,
    events integer,
    errors integer,
    bookings integer,
    first_at timestamptz,
    last_at timestamptz,
    first_dialog_at timestamptz,
    first_suggestion_at timestamptz,
    first_service_added_at timestamptz,
    first_cart_confirmed_at timestamptz,
    first_booking_at timestamptz,
    steps integer GENERATED ALWAYS AS (
        CASE WHEN first_dialog_at IS NULL THEN 0 ELSE 1 END
        | CASE WHEN first_suggestion_at IS NULL THEN 0 ELSE 2 END
        | CASE WHEN first_service_added_at IS NULL THEN 0 ELSE 4 END
        | CASE WHEN first_cart_confirmed_at IS NULL THEN 0 ELSE 8 END
        | CASE WHEN first_booking_at IS NULL THEN 0 ELSE 16 END
    ) STORED
) ON COMMIT DELETE ROWS;

-- What this batch adds to a day's or a week's funnel; period is 'day' or 'week', at its date.
CREATE TEMPORARY TABLE funnel_change (
    period text,
    at date,
    chats bigint,
    dialogs bigint,
    suggestions bigint,
    services_added bigint,
    carts_confirmed bigint,
    bookings bigint,
    dialogs_with_suggestion bigint,
    dialogs_with_booking bigint
) ON COMMIT DELETE ROWS;
