//! The system's promises, on a real nats-server and a real Postgres, started and stopped by the tests.
//!
//! One binary, one module a promise. Nothing here sleeps for a guess: every wait polls a condition and has a ceiling.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and may say why"
)]

mod alerts;
mod any_order;
mod asyncapi;
#[path = "../bad_disk.rs"]
mod bad_disk;
mod canary;
mod catalogue;
mod commands;
mod delivery;
mod demo;
mod differential;
mod digest;
mod export;
mod foreign;
mod gateway;
mod golden;
mod hostile;
#[path = "../hurried.rs"]
mod hurried;
mod letters;
mod notifier;
mod old_table;
mod path;
mod publishers;
mod rebuild;
mod replay;
mod ruby;
mod seed_sql;
mod support;
mod survival;
mod tracker;
#[path = "../users.rs"]
mod users;
mod verify;
