//! One connection for one writer, opened when needed and thrown away after any doubt.
//!
//! A pool would hand a connection that broke inside a transaction to the next user. Deadlines are the server's, because
//! a query that is cancelled on our side leaves the connection in an unknown state. It does not retry: the loop does.

use super::sockets;
use anyhow::Context;
use sqlx::{ConnectOptions, Connection, PgConnection, Postgres, Transaction, postgres::PgConnectOptions};
use std::{
    str::FromStr,
    time::{Duration, Instant},
};

/// The way to a database, and at most one connection to it.
pub struct Writer {
    options: PgConnectOptions,
    session: &'static str,
    connection: Option<PgConnection>,
    /// When the last connection was opened.
    opened: Instant,
}

/// Server-side deadlines of a writer's session; `jit` makes every small fold cost ten times as much.
const SETTINGS: [(&str, &str); 9] = [
    ("statement_timeout", "120s"),
    ("lock_timeout", "30s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("client_connection_check_interval", "5s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("jit", "off"),
    ("TimeZone", "UTC"),
];

/// A commit that is told of before it is on the disk is none: its messages would be acked and could be lost. Whoever set
/// more than the default, as `remote_apply`, keeps it.
const DURABLE: &str = "
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// How old a connection may grow. Its temporary tables hold back how far the server can freeze transaction ids, and
/// one that commits a hundred times a second for months would bring it to refuse writes.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

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
        Ok(Self { options, session, connection: None, opened: Instant::now() })
    }

    /// The connection, opened if there is none.
    ///
    /// # Errors
    /// When Postgres cannot be reached or refuses.
    pub async fn connection(&mut self) -> anyhow::Result<&mut PgConnection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.open().await?,
        };
        Ok(self.connection.insert(connection))
    }

    async fn open(&mut self) -> anyhow::Result<PgConnection> {
        let mut connection = PgConnection::connect_with(&self.options).await.context("connecting to Postgres")?;
        sockets::settle(self.options.get_port());
        self.opened = Instant::now();
        for session in [DURABLE, self.session] {
            sqlx::raw_sql(session).execute(&mut connection).await.context("setting up a session in Postgres")?;
        }
        Ok(connection)
    }

    /// Opens a transaction; READ COMMITTED, as Postgres has it.
    ///
    /// # Errors
    /// When Postgres cannot be reached or refuses.
    pub async fn begin(&mut self) -> anyhow::Result<Transaction<'_, Postgres>> {
        self.connection().await?.begin().await.context("opening a transaction")
    }

    /// Throws the connection away if it has grown old. For who keeps writing and is between two transactions.
    pub fn renew(&mut self) {
        if self.opened.elapsed() > LIFETIME {
            self.forget();
        }
    }

    /// Throws the connection away: whatever stood open on it is rolled back by the server.
    pub fn forget(&mut self) {
        self.connection = None;
    }
}
