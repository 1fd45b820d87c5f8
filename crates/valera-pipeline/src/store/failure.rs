//! What Postgres said no to, sorted by who has to do something about it.
//!
//! The SQLSTATE decides, never the text. What is not recognised is [`Failure::Ours`]: retried for ever, so that a
//! surprise can delay events but not lose or dead-letter them.

use anyhow::anyhow;

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// 23505: an id is there already.
    #[error("an id is stored already")]
    Duplicate,
    /// 23514 without a constraint: the partition is missing.
    #[error("a partition is missing")]
    NoPartition,
    /// 55P03: a lock was not to be had in time.
    #[error("a lock was not released in time")]
    LockTimeout,
    /// The row is at fault: a value out of range, a text that cannot be stored. A constraint is ours: raw has none that a
    /// row of ours can break, so one that breaks was added, and would turn every event away.
    #[error("refused with SQLSTATE {sqlstate}")]
    Data {
        /// Five characters, see Postgres' appendix A.
        sqlstate: String,
    },
    /// A connection, a disk, a permission, a bug: everything else.
    #[error("{0:#}")]
    Ours(#[from] anyhow::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let Some(refusal) = error.as_database_error() else { return Self::Ours(error.into()) };
        let sqlstate = refusal.code().unwrap_or_default().into_owned();
        match sqlstate.as_str() {
            "23505" => Self::Duplicate,
            "23514" if refusal.constraint().is_none() => Self::NoPartition,
            "55P03" => Self::LockTimeout,
            // How we wrote the COPY.
            "22P03" | "22P04" => Self::Ours(error.into()),
            "54000" | "54001" => Self::Data { sqlstate },
            data if data.starts_with("22") => Self::Data { sqlstate },
            _ => Self::Ours(anyhow!(error).context(format!("SQLSTATE {sqlstate}"))),
        }
    }
}

impl From<Failure> for crate::handler::Ours {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Ours(cause) => Self(cause),
            other => Self(other.into()),
        }
    }
}
