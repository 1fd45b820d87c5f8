//! One chat, as an application asks about it: today's dialog, all its events, its segment.

use super::{say, settle};
use crate::support::System;
use chrono::{DateTime, Utc};
use valera_pipeline::store::reports::chat;

/// In Moscow the 10th of March 2026 ends at 21:00 UTC.
const EVENTS: &str = "
    2026-03-10T20:59:59.999999Z  1  ai_dialog_started  {}
    2026-03-10T21:00:00Z         2  ai_dialog_started  {}
    2026-03-10T12:00:00Z         3  service_added      {}
    2026-03-10T12:00:01Z         3  review_left        {}
    2026-03-10T12:00:02Z         3  review_left        {}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_told_by_its_local_day_and_its_segment_by_all_its_events() {
    let system = System::start().await;
    say(&system, EVENTS).await;
    settle(&system).await;
    for (chat_id, at, expected) in [
        (1, "2026-03-10T20:59:59.999999Z", "2026-03-10 dialog 1 new"),
        (1, "2026-03-10T21:00:00Z", "2026-03-11 none 1 new"),
        (2, "2026-03-10T20:59:59.999999Z", "2026-03-10 none 1 new"),
        (2, "2026-03-10T21:00:00Z", "2026-03-11 dialog 1 new"),
        (3, "2026-03-10T13:00:00Z", "2026-03-10 none 3 engaged"),
        (404, "2026-03-10T13:00:00Z", "2026-03-10 none 0 new"),
    ] {
        let at: DateTime<Utc> = at.parse().unwrap();
        let told = chat(&mut system.postgres().await, chat_id, at).await.unwrap();
        assert_eq!(told.chat_id, chat_id);
        let dialog = if told.dialog_today { "dialog" } else { "none" };
        let said = format!("{} {dialog} {} {}", told.day, told.events, told.user_segment);
        assert_eq!(said, expected, "chat {chat_id} at {at}");
    }
}
