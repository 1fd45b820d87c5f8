//! Rows in the binary format of COPY, built before any transaction is open.
//!
//! The driver can send such a buffer but not build one; the format is small and fixed (Postgres manual, "COPY", binary
//! format), and writing it here makes encoding infallible. A COPY is always sent from one finished buffer: a client that
//! stops in the middle of one would keep its locks. It does not know any table.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use std::ops::Range;
use uuid::Uuid;

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// Rows under construction.
#[derive(Debug, Default)]
pub struct Rows {
    bytes: Vec<u8>,
    spans: Vec<Range<usize>>,
}

impl Rows {
    /// Adds a row; `fill` adds its columns in the order of the table.
    pub fn push(&mut self, columns: i16, fill: impl FnOnce(&mut Row<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&columns.to_be_bytes());
        fill(&mut Row { bytes: &mut self.bytes });
        self.spans.push(start..self.bytes.len());
    }

    /// Rows so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// A finished buffer of all rows.
    #[must_use]
    pub fn finish(&self) -> Vec<u8> {
        [HEADER, &self.bytes, &TRAILER].concat()
    }

    /// A finished buffer of some rows, given by their positions.
    #[must_use]
    pub fn finish_some(&self, rows: &[usize]) -> Vec<u8> {
        if rows.len() == self.len() {
            return self.finish();
        }
        let mut buffer = HEADER.to_vec();
        for &row in rows {
            buffer.extend_from_slice(&self.bytes[self.spans[row].clone()]);
        }
        buffer.extend_from_slice(&TRAILER);
        buffer
    }
}

/// One row under construction.
pub struct Row<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Row<'_> {
    /// Adds a column.
    #[allow(clippy::needless_pass_by_value, reason = "callers hand over numbers, ids and references")]
    pub fn put(&mut self, value: impl Column) -> &mut Self {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&(-1_i32).to_be_bytes());
        if value.encode(self.bytes) {
            let length = i32::try_from(self.bytes.len() - at - 4).unwrap_or(i32::MAX);
            self.bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
        self
    }
}

/// A value in Postgres' binary form.
pub trait Column {
    /// Appends the value; `false` when it is null and nothing was appended.
    fn encode(&self, out: &mut Vec<u8>) -> bool;
}

macro_rules! big_endian {
    ($($integer:ty),*) => {$(
        impl Column for $integer {
            fn encode(&self, out: &mut Vec<u8>) -> bool {
                out.extend_from_slice(&self.to_be_bytes());
                true
            }
        }
    )*};
}
big_endian!(i16, i32, i64);

impl Column for &[u8] {
    fn encode(&self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(self);
        true
    }
}

impl Column for &str {
    fn encode(&self, out: &mut Vec<u8>) -> bool {
        self.as_bytes().encode(out)
    }
}

impl Column for Uuid {
    fn encode(&self, out: &mut Vec<u8>) -> bool {
        self.as_bytes().as_slice().encode(out)
    }
}

/// Microseconds between 1970 and 2000, where Postgres counts from.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// The same in days.
const EPOCH_DAYS: i64 = 10_957;

impl Column for DateTime<Utc> {
    fn encode(&self, out: &mut Vec<u8>) -> bool {
        (self.timestamp_micros() - EPOCH_MICROS).encode(out)
    }
}

impl Column for NaiveDate {
    fn encode(&self, out: &mut Vec<u8>) -> bool {
        let since_1970 = self.signed_duration_since(NaiveDate::default()).num_days();
        i32::try_from(since_1970 - EPOCH_DAYS).unwrap_or(i32::MAX).encode(out)
    }
}

impl<T: Column> Column for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) -> bool {
        self.as_ref().is_some_and(|value| value.encode(out))
    }
}

/// A jsonb value, as JSON text.
pub struct Json<'a>(pub &'a [u8]);

impl Column for Json<'_> {
    fn encode(&self, out: &mut Vec<u8>) -> bool {
        out.push(1);
        self.0.encode(out)
    }
}

/// The driver keeps a write buffer as large as the largest part.
const PART: usize = 1 << 20;

/// Sends a finished buffer; returns the rows that Postgres counted.
///
/// # Errors
/// Whatever Postgres refuses.
pub async fn send(connection: &mut PgConnection, statement: &str, buffer: &[u8]) -> sqlx::Result<u64> {
    let mut copy = connection.copy_in_raw(statement).await?;
    for part in buffer.chunks(PART) {
        copy.send(part).await?;
    }
    copy.finish().await
}
