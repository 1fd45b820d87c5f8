//! The services behind the stream: they persist events, fold them into rollups and repair both.
//!
//! `consume` pulls from JetStream and settles, a `handler` makes a batch durable, `store` holds the SQL. Live, late,
//! retried and replayed events all pass through the same handlers, so there is one path to get right. A handler never
//! sees NATS and `store` never sees a handler. This crate does not read the environment and does not parse arguments.

pub mod alerts;
pub mod asyncapi;
pub mod compressed;
pub mod consume;
pub mod counters;
pub mod export;
pub mod handler;
pub mod health;
pub mod lines;
pub mod persister;
pub mod probe;
pub mod progress;
pub mod rebuild;
pub mod replay;
pub mod retry;
pub mod rollups;
pub mod room;
pub mod service;
pub mod store;
pub mod supervise;
pub mod topology;
pub mod trial;
pub mod verify;

mod identity;
mod settle;
