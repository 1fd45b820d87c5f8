//! All SQL that services and commands run, but for the rollups' own.
//!
//! Writers hold one connection each and never cancel a query: deadlines are the server's. Everything here speaks in
//! rows and ids; it does not know what a handler or a message is.

pub mod acceptance;
pub mod arrivals;
pub mod calendar;
pub mod comparison;
pub mod copy;
pub mod exchange;
pub mod export;
pub mod failure;
pub mod inbox;
pub mod letters;
pub mod mending;
pub mod migrate;
pub mod partitions;
pub mod positions;
pub mod previewed;
pub mod raw;
pub mod replays;
pub mod reports;
pub mod settings;
pub mod shadow;
mod sockets;
pub mod writer;

pub use calendar::{Calendar, OtherZone};
pub use failure::Failure;
pub use partitions::Partitions;
pub use settings::Settings;
pub use writer::Writer;
