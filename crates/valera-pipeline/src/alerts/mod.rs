//! Alerts: what a person should know at once, found in the events and told once.
//!
//! Detection turns events into steps of incidents on the stream `ALERTS`; delivery brings them to the channels. The
//! stream stands between them so that a slow channel delays no detection, and neither needs Postgres.

mod alert;

pub use alert::{Alert, Phase, Severity, Withheld};
