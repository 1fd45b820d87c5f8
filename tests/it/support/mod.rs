//! What the tests stand on: a system of their own, services in it, and ways to publish, wait and count.

mod contents;
mod event;
mod load;
mod recount;
mod services;
mod speaker;
mod system;
mod tools;

pub(crate) use contents::contents;
pub(crate) use event::{EventBuilder, event};
pub(crate) use load::{Ledger, Load};
pub(crate) use recount::{assert_rollups_agree, differences_from_recount};
pub(crate) use services::{Process, Running};
pub(crate) use speaker::{Speaker, enable};
pub(crate) use system::{PUBLISHER_INBOX, System, Version};
pub(crate) use tools::{Said, checkout, nats_cli, node, program, python, ruby};

use std::time::{Duration, Instant};

/// How long a test waits for what should come, where it does not say otherwise.
pub(crate) const A_MINUTE: Duration = Duration::from_secs(60);

/// Polls until the condition holds, for at most a minute.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    within(A_MINUTE, what, condition).await;
}

/// Polls until the condition holds, for at most so long.
pub(crate) async fn within(limit: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
