//! The system's promises, on a real nats-server and a real Postgres, started and stopped by the tests.
//!
//! One binary, one module a promise. Nothing here sleeps for a guess: every wait polls a condition and has a ceiling.

mod canary;
mod commands;
mod demo;
mod differential;
mod foreign;
mod golden;
mod hostile;
mod path;
mod seed_sql;
mod support;
