//! Publishing events: the side of the pipeline that other programs embed.
//!
//! Only a PubAck that names our stream proves that an event was stored; everything else is unknown, and is sent again
//! under the same `Nats-Msg-Id`. This crate does not consume and does not know Postgres.

pub mod publisher;

pub use publisher::{Outgoing, Publisher, Receipt};
