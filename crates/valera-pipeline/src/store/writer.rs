//! One connection for one writer, opened when needed and thrown away after any doubt.
//!
//! A pool would hand a connection that broke inside a transaction to the next user. Deadlines are the server's, because
//! a query that is cancelled on our side leaves the connection in an unknown state. It does not retry: the loop does.

use super::nodelay;
use anyhow::Context;
use sqlx::{ConnectOptions, Connection, PgConnection, Postgres, Transaction, postgres::PgConnectOptions};
use std::str::FromStr;

/// The way to a database, and at most one connection to it.
pub struct Writer {
    options: PgConnectOptions,
    session: &'static str,
    connection: Option<PgConnection>,
}

/// Server-side deadlines of a writer's session; `jit` makes every small fold cost ten times as much.
const SETTINGS: [(&str, &str); 7] = [
    ("statement_timeout", "120s"),
    ("lock_timeout", "30s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("client_connection_check_interval", "5s"),
    ("tcp_keepalives_idle", "10"),
    ("jit", "off"),
    ("TimeZone", "UTC"),
];

impl Writer {
    /// `name` is what `pg_stat_activity` shows; `session` is run on every new connection.
    ///
    /// # Errors
    /// When the address is not a Postgres URL.
    pub fn new(database_url: &str, name: &str, session: &'static str) -> anyhow::Result<Self> {
        let options = PgConnectOptions::from_str(database_url)
            .context("DATABASE_URL is not a Postgres address: expected postgres://user@host:port/database")?
            .application_name(name)
            .options(SETTINGS)
            .log_statements(tracing::log::LevelFilter::Trace);
        Ok(Self { options, session, connection: None })
    }

    /// The connection, opened if there is none.
    ///
    /// # Errors
    /// When Postgres cannot be reached or refuses.
    pub async fn connection(&mut self) -> anyhow::Result<&mut PgConnection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.open().await.context("connecting to Postgres")?,
        };
        Ok(self.connection.insert(connection))
    }

    async fn open(&self) -> sqlx::Result<PgConnection> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        nodelay::send_at_once(self.options.get_port());
        sqlx::raw_sql(self.session).execute(&mut connection).await?;
        Ok(connection)
    }

    /// Opens a transaction; READ COMMITTED, as Postgres has it.
    ///
    /// # Errors
    /// When Postgres cannot be reached or refuses.
    pub async fn begin(&mut self) -> anyhow::Result<Transaction<'_, Postgres>> {
        self.connection().await?.begin().await.context("opening a transaction")
    }

    /// Throws the connection away: whatever stood open on it is rolled back by the server.
    pub fn forget(&mut self) {
        self.connection = None;
    }
}
