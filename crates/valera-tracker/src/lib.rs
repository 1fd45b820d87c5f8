//! The SDK that a bot embeds: it tracks events, and the bot never notices.
//!
//! ```no_run
//! use valera_tracker::{Event, Tracker};
//! # async fn answer() -> Result<String, std::io::Error> { Ok(String::new()) }
//! # async fn bot() -> Result<(), Box<dyn std::error::Error>> {
//! let tracker = Tracker::from_env()?;
//!
//! tracker.dialog_started(42, "text");
//! let text = tracker.measure(42, "deepseek-chat", answer()).await?;
//! tracker.service_suggested(42, "Полировка кузова", None);
//! tracker.track_durable(Event::booking_created(42, 1042, 2, "27500.00")).await;
//! tracker.track(Event::new("review_left", 42).with("stars", 5));
//! # Ok(()) }
//! ```
//!
//! A call checks the event against the contract, hides what is personal, and puts it into a queue. A worker on a thread of
//! its own appends it to the spool, publishes it, and lets go of it once the stream ANALYTICS has acknowledged it; whatever
//! is not such an acknowledgement is unknown, and the event is sent again under the same id. The spool outlives the bot,
//! and any outage of NATS for which it has room. `docs/tracker.md` is the tutorial.
//!
//! [`Publisher`] is for programs that publish in bulk and want to hear of each receipt.
//!
//! This crate does not consume and does not know Postgres.

pub mod config;
pub mod event;
mod prepare;
pub mod publisher;
mod queue;
mod recent;
mod record;
pub mod spool;
pub mod stats;
mod switches;
mod throttle;
pub mod tracked;
pub mod tracker;
mod words;
mod worker;

pub use config::{Config, ConfigError, Limits};
pub use event::Event;
pub use prepare::MAX_BODY;
pub use publisher::{Outgoing, Publisher, Receipt};
pub use record::Relayed;
pub use stats::{SpoolState, Stats};
pub use tracked::{Cause, Tracked};
pub use tracker::Tracker;
pub use worker::Left;
