//! The event contract: what an event is, which ones are accepted, and what identifies one.
//!
//! Everything that publishes or consumes an event decides by this crate alone, so that a verdict is the same in the
//! bot, in each consumer and in a replay years later. It is pure: it does no I/O, reads no clock and no environment,
//! and never panics, whatever the bytes.
//!
//! It does not publish, store or count anything.

pub mod catalogue;
pub mod check;
mod content;
pub mod event;
pub mod headers;
pub mod id;
pub mod json;
pub mod keys;
pub mod privacy;
pub mod reason;
pub mod recorded;
pub mod render;
pub mod retry;
pub mod subject;

pub use catalogue::Catalogue;
pub use check::{Verdict, check};
pub use event::{Arrival, Event, Rejection};
pub use headers::{Headers, Origin};
pub use keys::{ContentHash, ContentKey, Keys, PseudonymKey, PseudonymKeys};
pub use reason::{Reason, ReasonCode};
