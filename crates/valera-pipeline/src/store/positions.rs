//! Which messages of the stream a consumer has made durable: evidence that goes back with a database that goes back.
//!
//! A batch's sequences are added in the transaction that makes it durable, so what stands here is never too much. A worker
//! merges whichever rows are free: none waits for another that is committing, or is frozen before its commit, and what two
//! workers were given in turns, message by message, becomes one range again. Sequences mean something only in one stream:
//! where a message lies at or below the highest one and was received later, the stream has handed that number out again,
//! and what stood at and above it is dropped. It does not decide what is missing.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// The sequences of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covered {
    /// As Postgres writes a multirange.
    sequences: String,
    first: i64,
    last: i64,
    /// Of the last, in nanoseconds since 1970.
    received: i64,
}

/// What stands there, held against a part of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Sequences of the part that were not made durable, from and to, both included, in order.
    pub uncovered: Vec<(i64, i64)>,
    /// The highest sequence, and when it was received, in nanoseconds since 1970; 0 when there is none.
    pub top: (i64, i64),
}

impl Covered {
    /// Of messages with the time of their receipt; `None` of none.
    #[must_use]
    pub fn of(messages: impl Iterator<Item = (i64, DateTime<Utc>)>) -> Option<Self> {
        let mut messages: Vec<_> = messages.collect();
        messages.sort_unstable();
        let (first, (last, received)) = (messages.first()?.0, *messages.last()?);
        let (mut sequences, mut from) = ("{".to_owned(), first);
        for (at, (sequence, _)) in messages.iter().enumerate() {
            let next = messages.get(at + 1).map(|(next, _)| *next);
            if next.is_some_and(|next| next - sequence <= 1) {
                continue;
            }
            let separator = if next.is_some() { "," } else { "}" };
            sequences.push_str(&format!("[{from},{sequence}]{separator}"));
            from = next.unwrap_or(from);
        }
        Some(Self { sequences, first, last, received: received.timestamp_nanos_opt().unwrap_or(0) })
    }
}

/// Adds a batch, inside the transaction that makes it durable, as its last statement.
///
/// # Errors
/// Whatever Postgres refuses.
pub async fn record(connection: &mut PgConnection, consumer: &str, covered: &Covered) -> sqlx::Result<()> {
    sqlx::query(
        "WITH free AS MATERIALIZED (
            SELECT slot, sequences, top_sequence, top_received
            FROM consumer_positions
            WHERE consumer = $1
            FOR UPDATE SKIP LOCKED
         ), newest AS (
            SELECT top_sequence, top_received
            FROM free
            ORDER BY top_received DESC, top_sequence DESC
            LIMIT 1
         ), merged AS (
            SELECT min(free.slot) AS slot,
                range_agg(CASE
                    WHEN free.top_sequence > newest.top_sequence
                        THEN free.sequences * int8multirange(int8range(NULL, newest.top_sequence))
                    ELSE free.sequences
                END) AS sequences,
                newest.top_sequence,
                newest.top_received
            FROM free, newest
            GROUP BY newest.top_sequence, newest.top_received
         ), emptied AS (
            DELETE FROM consumer_positions AS p
            USING free, merged
            WHERE p.slot = free.slot AND p.slot <> merged.slot
         ), advanced AS (
            UPDATE consumer_positions AS p
            SET sequences = CASE
                    WHEN $4 <= merged.top_sequence AND $5 > merged.top_received
                        THEN merged.sequences * int8multirange(int8range(NULL, $3)) + $2::text::int8multirange
                    ELSE merged.sequences + $2::text::int8multirange
                END,
                top_sequence = CASE WHEN $5 > merged.top_received THEN $4 ELSE merged.top_sequence END,
                top_received = greatest($5, merged.top_received)
            FROM merged
            WHERE p.slot = merged.slot
            RETURNING p.slot
         )
         INSERT INTO consumer_positions (consumer, sequences, top_sequence, top_received)
         SELECT $1, $2::text::int8multirange, $4, $5
         WHERE NOT EXISTS (SELECT FROM advanced)",
    )
    .bind(consumer)
    .bind(&covered.sequences)
    .bind(covered.first)
    .bind(covered.last)
    .bind(covered.received)
    .execute(connection)
    .await?;
    Ok(())
}

/// Holds what stands there against the messages from `first` to `last`, both included.
///
/// # Errors
/// When Postgres does not answer.
pub async fn held(connection: &mut PgConnection, consumer: &str, first: i64, last: i64) -> sqlx::Result<Held> {
    let top: Option<(i64, i64)> = sqlx::query_as(
        "SELECT top_sequence, top_received
         FROM consumer_positions
         WHERE consumer = $1
         ORDER BY top_received DESC, top_sequence DESC
         LIMIT 1",
    )
    .bind(consumer)
    .fetch_optional(&mut *connection)
    .await?;
    let top = top.unwrap_or_default();
    // Rows that reach above what was received last are of a stream that has handed their numbers out again.
    let uncovered: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT lower(gap), upper(gap) - 1
         FROM (
            SELECT coalesce(
                    range_agg(CASE
                        WHEN top_sequence > $4 THEN sequences * int8multirange(int8range(NULL, $4))
                        ELSE sequences
                    END),
                    '{}'
                ) AS covered
            FROM consumer_positions
            WHERE consumer = $1
         ) AS positions, unnest(int8multirange(int8range($2, greatest($3, $2 - 1) + 1)) - covered) AS gap
         ORDER BY 1",
    )
    .bind(consumer)
    .bind(first)
    .bind(last)
    .bind(top.0)
    .fetch_all(connection)
    .await?;
    Ok(Held { uncovered, top })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_become_ranges_whatever_their_order_and_repeats() {
        let covered = |sequences: &[i64]| {
            let messages =
                sequences.iter().map(|sequence| (*sequence, DateTime::from_timestamp_nanos(*sequence * 7)));
            Covered::of(messages)
        };
        assert_eq!(covered(&[]), None);
        let of = |sequences: &str, first, last| {
            Some(Covered { sequences: sequences.to_owned(), first, last, received: last * 7 })
        };
        assert_eq!(covered(&[5]), of("{[5,5]}", 5, 5));
        assert_eq!(covered(&[3, 1, 2, 2, 9, 7, 8, 20]), of("{[1,3],[7,9],[20,20]}", 1, 20));
    }
}
