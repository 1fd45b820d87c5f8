//! The morning message: what yesterday came to, told once a day and channel.
//!
//! `schedule` says when it is due, `counted` whether the day is complete, `morning` puts what it came to on `ALERTS` as a
//! step like any other (`summary`), from where delivery takes it; `service` looks at the clock. It needs Postgres for its
//! figures, and waits for it; alerts do not wait for it. It does not know channels.

mod counted;
mod morning;
mod schedule;
mod service;
mod summary;

pub use morning::Morning;
pub use schedule::DigestAt;
pub use service::Settings;
pub(crate) use summary::{NAME, Summary};
