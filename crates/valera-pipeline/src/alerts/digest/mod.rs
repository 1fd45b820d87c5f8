//! The morning message: what yesterday came to, told once a day and channel.
//!
//! `schedule` says when it is due, `counted` whether the day is complete, `claims` who tells of it; `morning` puts them
//! together, `service` looks at the clock. It needs Postgres for its figures, and waits for it; alerts do not wait for it.

mod claims;
mod counted;
mod morning;
mod schedule;
mod service;

pub use morning::{Morning, Settings};
pub use schedule::DigestAt;
