//! Alerts: what a person should know at once, found in the events and told once.
//!
//! Detection turns events into steps of incidents on the stream `ALERTS`; delivery brings them to the channels. The
//! stream stands between them so that a slow channel delays no detection, and neither needs Postgres.
//!
//! Detection: `observation` judges each message by itself, `detector` over time, `watch` keeps the order and publishes,
//! `state` reads back what a restart has to know, `lease` lets one instance in, `service` runs them.

mod alert;
pub mod delivery;
mod detector;
pub mod digest;
pub mod history;
mod incident;
mod language;
mod lease;
mod mutes;
mod observation;
mod office;
mod publish;
pub mod rules;
mod service;
mod state;
mod stretch;
mod watch;

pub use alert::{Alert, Phase, Severity, Withheld};
pub use language::Language;
pub use lease::holder;
pub use mutes::{Mutes, bucket};
pub use rules::Rules;
pub use service::Settings;

#[cfg(test)]
mod tests;

/// The name of the durable consumer.
pub const NAME: &str = "alerts";
