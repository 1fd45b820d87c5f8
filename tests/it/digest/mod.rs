//! The morning message: its figures counted by hand, its words, and that it is told once a day and channel.

mod channels;
mod figures;
mod mornings;
mod processes;
mod words;

use crate::support::{System, Version};
use chrono::{Timelike as _, Utc};

/// Where it is noon, whenever the tests run.
async fn system_at_noon() -> System {
    let hour = i64::from(Utc::now().hour());
    // The names of these zones count westward.
    System::start_on(Version::Current, &format!("Etc/GMT{:+}", hour - 12)).await
}
