//! What is told once: a chat's dialog of the day, across restarts and kills; a failure, wherever it is caught.

use super::{config, flushed, spool, spooling};
use crate::support::{Speaker, System, eventually};
use serde_json::json;
use std::{future::ready, sync::atomic::Ordering};
use valera_tracker::{Tracked, Tracker};

#[tokio::test(flavor = "multi_thread")]
async fn a_chats_dialog_is_told_once_a_day_across_restarts() {
    let system = System::start().await;
    let mut speaker = Speaker::start(&system, &spool(&system));
    let dialog = |chat: i64| json!({"event": "", "chat_id": chat, "dialog": true});
    for chat in (0..50).chain(0..50) {
        speaker.tell(&dialog(chat));
    }
    // Behind the dialogs in the queue: once it is on the disk, so are they.
    speaker.tell(&json!({"event": "mark", "chat_id": 1, "durable": true}));
    speaker.tell(&json!({"event": "mark", "chat_id": 1, "durable": true}));
    let heard = speaker.heard();
    eventually("all are answered", async || heard.load(Ordering::Relaxed) == 102).await;
    let said = speaker.killed();
    assert!(said[..50].iter().all(|word| word == "queued") && said[50..100].iter().all(|word| word == "repeated"));

    let mut speaker = Speaker::start(&system, &spool(&system));
    (0..60).for_each(|chat| assert!(speaker.tell(&dialog(chat))));
    speaker.end();
    system.settle().await;
    let dialogs = "SELECT count(*) FROM analytics_events WHERE event_name = 'ai_dialog_started'";
    assert_eq!(system.count(dialogs).await, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_that_found_no_room_is_told_by_the_next_message() {
    let mut system = System::start().await;
    system.local.nats.kill().await.unwrap();
    let mut config = config(&system);
    (config.limits.queue_events, config.limits.memory_bytes) = (1, 0);
    let tracker = Tracker::start(config).unwrap();
    let refused = (0..1_000).find(|chat| !tracker.dialog_started(*chat, "text").is_queued()).unwrap();
    assert_ne!(tracker.dialog_started(refused, "text"), Tracked::Repeated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_two_layers_catch_is_one_event() {
    let system = System::start().await;
    let tracker = spooling(&system);
    let failed = tracker.measure(1, "deepseek-chat", ready(Err::<(), _>(std::fmt::Error))).await;
    assert_eq!(failed, Err(std::fmt::Error), "the result is not passed through");
    assert_eq!(tracker.error(1, &std::fmt::Error, "webhook_processing"), Tracked::Repeated);
    assert_eq!(tracker.error(2, &std::fmt::Error, "webhook_processing"), Tracked::Queued);
    assert_eq!(tracker.measure(1, "deepseek-chat", ready(Ok::<_, std::fmt::Error>("text"))).await, Ok("text"));
    flushed(&tracker).await;
    system.settle().await;

    let errors: Vec<(i64, String, String)> = system
        .rows(
            "SELECT chat_id, properties->>'error_class', properties->>'context'
             FROM analytics_events WHERE event_name = 'error_occurred' ORDER BY chat_id",
        )
        .await;
    let class = "core::fmt::Error".to_owned();
    assert_eq!(errors, [(1, class.clone(), "assistant".into()), (2, class, "webhook_processing".into())]);
    let answers = "SELECT count(*) FROM analytics_events
        WHERE event_name = 'ai_response_time' AND properties->>'model_used' = 'deepseek-chat'";
    assert_eq!(system.count(answers).await, 1);
}
