//! What stands twice in a chat, and what does not: after a kill, a lost answer, a group that moved.
//!
//! The Bot API knows no idempotency, so a message that was sent and not noted is sent again. It is bounded how often.

use super::bot_api::{BotApi, Fault, TOKEN};
use crate::support::{System, eventually};
use chrono::Utc;
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use valera_pipeline::alerts::delivery::{Configured, pace::Pauses, telegram::Settings};

const CHAT: i64 = -1001;
const MOVED: i64 = -1_001_234_567_890;

impl System {
    /// Delivery in a process of its own, which dies after a message was sent and before that is noted.
    async fn tell_and_die(&self, api: &BotApi) {
        let chat = format!("--telegram-chat-id={CHAT}");
        let options = ["--lease", "500", "--telegram-token", TOKEN, &chat, "--telegram-api", &api.address];
        let mut notifier = self.spawn(&[&["notifier", "before-commit", "1"], &options[..]].concat());
        notifier.ended("it dies with a message sent").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_sending_and_noting_repeats_one_message_once_and_edits_go_to_the_repeat() {
    let system = System::start().await;
    let api = BotApi::start().await;
    system.step(1, 1, "firing", Utc::now(), json!({})).await;
    system.tell_and_die(&api).await;
    assert_eq!((api.texts().len(), system.told("telegram").await), (1, BTreeMap::new()));
    let notifier = system.tell(&api);
    eventually("it is told", async || !system.told("telegram").await.is_empty()).await;
    notifier.stop().await;
    assert_eq!(api.texts().len(), 2, "{:?}", api.texts());

    // An edit that is not noted is made again, which nobody sees.
    system.step(1, 2, "updated", Utc::now(), json!({})).await;
    system.tell_and_die(&api).await;
    let _notifier = system.tell(&api);
    eventually("the update is told", async || system.told("telegram").await[&1] == 2).await;
    system.step(1, 3, "resolved", Utc::now(), json!({})).await;
    eventually("its end is told", async || system.told("telegram").await[&1] == 3).await;
    let [orphan, repeat] = &api.standing()[..] else { panic!("{:?}", api.texts()) };
    assert!(orphan.text.contains("🔴") && orphan.edits == 0, "{orphan:?}");
    assert!(repeat.text.contains("✅") && repeat.edits == 2, "{repeat:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_answers_are_lost_stands_there_twice_and_holds_up_no_other() {
    let system = System::start().await;
    let api = BotApi::start().await;
    let slow = Duration::from_secs(600);
    let settings = Settings { slow: Pauses { first: slow, longest: slow }, ..api.settings() };
    // Before the second time the API has to answer a question that nobody sees.
    let faults = [Fault::Cut, Fault::Drop, Fault::Says(500, "Internal Server Error")].map(Some);
    api.script(faults.into_iter().chain([None, Some(Fault::Cut)]));
    let notifier = system.notify(Configured::Telegram(settings));
    system.step(1, 1, "firing", Utc::now(), json!({})).await;
    eventually("it is sent twice", async || api.cuts() == 2).await;
    // What comes later gets through, and the other waits for its time.
    system.step(2, 1, "firing", Utc::now(), json!({})).await;
    eventually("the next is told", async || system.told("telegram").await == BTreeMap::from([(2, 1)])).await;
    eventually("readiness says so", async || {
        notifier.watched.health.ready().is_err_and(|cause| cause.contains("no answer whether it was shown"))
    })
    .await;
    assert_eq!(api.texts().len(), 3, "{:?}", api.texts());
    let methods: Vec<_> = api.asked().into_iter().map(|(method, _)| method).collect();
    let (send, question) = ("sendMessage", "getMe");
    assert_eq!(methods, [send, question, question, question, send, question, send]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_an_edit_is_asked_for_again_and_seen_by_nobody() {
    let system = System::start().await;
    let api = BotApi::start().await;
    let _notifier = system.tell(&api);
    system.step(1, 1, "firing", Utc::now(), json!({})).await;
    eventually("it is told", async || !system.told("telegram").await.is_empty()).await;
    api.script(vec![Some(Fault::Cut); 5]);
    system.step(1, 2, "resolved", Utc::now(), json!({})).await;
    eventually("its end is told", async || system.told("telegram").await[&1] == 2).await;
    let [only] = &api.standing()[..] else { panic!("{:?}", api.texts()) };
    assert!(only.text.contains("✅") && only.edits == 1, "{only:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_moved_is_written_to_at_once_after_a_restart() {
    let system = System::start().await;
    let api = BotApi::start().await;
    api.move_group(CHAT, MOVED);
    let notifier = system.tell(&api);
    system.step(1, 1, "firing", Utc::now(), json!({})).await;
    eventually("it is told", async || !system.told("telegram").await.is_empty()).await;
    notifier.stop().await;
    let before = api.requests();
    let notifier = system.tell(&api);
    system.step(2, 1, "firing", Utc::now(), json!({})).await;
    eventually("the next is told", async || system.told("telegram").await.len() == 2).await;
    assert_eq!(api.asked()[before..], [("sendMessage".to_owned(), Some(MOVED))]);
    notifier.stop().await;
    // What was learned of one group is not taken for another.
    let _notifier = system.notify(Configured::Telegram(Settings { chat: "-7".to_owned(), ..api.settings() }));
    system.step(3, 1, "firing", Utc::now(), json!({})).await;
    eventually("the third is told", async || system.told("telegram").await.len() == 3).await;
    assert_eq!(api.asked()[before + 1..], [("sendMessage".to_owned(), Some(-7))]);
}
