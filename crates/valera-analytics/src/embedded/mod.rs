//! Real servers, started and stopped by this program: nats-server and PostgreSQL for `up`, `demo` and the tests.
//!
//! A newcomer needs no Docker and no account, and the tests run what production runs, so there is no fake to disagree
//! with. Each server lives in a directory of its own, which holds its data, its log and its port, and listens on
//! loopback only, without authentication. A server never outlives the program that started it.
//!
//! It does not fetch the binaries (`scripts/setup` does), and it does not know streams or tables.

mod home;
mod nats;
mod postgres;
mod processes;
mod server;
mod spawn;
mod tools;
mod user;

pub use home::free_port;
pub use nats::{NatsOptions, NatsServer};
pub use postgres::{PgOptions, Postgres};
pub use tools::{Tools, setting};
pub use user::{data_dir, scratch_dir};
