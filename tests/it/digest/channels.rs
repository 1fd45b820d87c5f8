//! The morning message on a channel: it waits for a channel that is away as any alert does, and is never told twice.
//!
//! It is noon in the zone of these systems, whenever the tests run.

use super::{
    mornings::{Instance, mornings},
    system_at_noon,
};
use crate::{
    delivery::bot_api::{BotApi, Fault, TOKEN},
    support::{System, eventually},
};
use chrono::{TimeDelta, Utc};
use serde_json::json;
use valera_pipeline::{alerts::bucket, handler::Outcome};

/// A system on whose stream the morning stands.
async fn system_with_a_morning() -> System {
    let system = system_at_noon().await;
    Instance::on(&system, "00:00", None).await.look(Utc::now()).await.unwrap();
    assert_eq!(mornings(&system).await.len(), 1);
    system
}

/// What the channel has said of it: that it is about to be shown, and that it was.
async fn said(system: &System) -> [Option<String>; 2] {
    let incident = mornings(system).await.pop().unwrap().incident;
    let bucket = bucket(&system.jetstream().await).await.unwrap();
    let mut said = Vec::new();
    for what in ["claimed", "shown"] {
        let entry = bucket.get(format!("{what}.telegram.{incident}")).await.unwrap();
        said.push(entry.map(|entry| String::from_utf8(entry.into()).unwrap()));
    }
    said.try_into().unwrap()
}

const SHOWN: &str = r#"{"revision":1,"shown":{}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_morning_waits_for_a_channel_that_is_away_with_readiness_saying_why() {
    let system = system_with_a_morning().await;
    let api = BotApi::start().await;
    api.kick(true);
    let notifier = system.tell(&api);
    eventually("readiness says why", async || {
        notifier.watched.health.ready().err().is_some_and(|cause| cause.contains("bot was kicked"))
    })
    .await;
    // Nothing was sent, so a successor may.
    eventually("the claim is given back", async || said(&system).await == [None, None]).await;
    notifier.stop().await;
    api.kick(false);
    api.script([Some(Fault::Says(500, "Internal Server Error")), Some(Fault::TooMany(json!(1))), Some(Fault::Drop)]);
    // The last of them may have been shown, for all that anybody knows.
    let notifier = system.tell(&api);
    system.told_all().await;
    assert_eq!(notifier.stop().await.counters.of(Outcome::Stored), 1);
    assert_eq!(api.texts(), [""; 0]);
    assert_eq!(said(&system).await, [Some(String::new()), Some(SHOWN.to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_morning_whose_answer_is_lost_is_not_sent_again_and_one_that_comes_again_neither() {
    let system = system_with_a_morning().await;
    let api = BotApi::start().await;
    api.script([Some(Fault::Cut)]);
    let notifier = system.tell(&api);
    system.told_all().await;
    // As a stream that lost its end would bring it.
    let body = serde_json::to_vec(&mornings(&system).await[0]).unwrap();
    system.jetstream().await.publish("alerts.digest", body.into()).await.unwrap().await.unwrap();
    system.told_all().await;
    assert_eq!(notifier.stop().await.counters.of(Outcome::Duplicate), 1);
    let texts = api.texts();
    assert!(texts.len() == 1 && texts[0].starts_with("<b>Итоги дня"), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notifier_killed_while_it_sends_leaves_the_morning_to_a_person() {
    let system = system_with_a_morning().await;
    let api = BotApi::start().await;
    let chat = ["--telegram-token", TOKEN, "--telegram-chat-id=-1001", "--telegram-api", &api.address];
    let mut killed = system.spawn(&[&["notifier", "before-commit"], &chat[..]].concat());
    killed.ended("it dies when it has sent").await;
    assert_eq!(api.texts().len(), 1);
    assert_eq!(said(&system).await, [Some(String::new()), None]);
    let notifier = system.tell(&api);
    system.told_all().await;
    assert_eq!(notifier.stop().await.counters.of(Outcome::Duplicate), 1);
    assert_eq!(api.texts().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_morning_is_no_news() {
    let system = system_at_noon().await;
    let api = BotApi::start().await;
    Instance::on(&system, "00:00", None).await.look(Utc::now() - TimeDelta::days(1)).await.unwrap();
    Instance::on(&system, "00:00", None).await.look(Utc::now()).await.unwrap();
    let notifier = system.tell(&api);
    system.told_all().await;
    let watched = notifier.stop().await;
    assert_eq!([Outcome::Expired, Outcome::Stored].map(|outcome| watched.counters.of(outcome)), [1, 1]);
    assert_eq!(api.texts().len(), 1);
}
