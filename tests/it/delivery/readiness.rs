//! What readiness and the log say of a channel, and that failures among successes do not slow it down.

use super::{
    bot_api::{BotApi, Fault},
    receiver::{Does, Receiver},
    webhook::{self, SECRET},
};
use crate::support::{Process, Running, System, eventually};
use async_nats::jetstream::{AckKind, Message, consumer::PullConsumer};
use chrono::Utc;
use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use std::{convert::Infallible, fs, time::Duration};
use valera_pipeline::alerts::delivery::{
    Configured, Notifier,
    telegram::{Rates, Settings},
};

impl Running {
    async fn complains_of(&self, what: &str) {
        eventually(&format!("readiness says: {what}"), async || {
            self.watched.health.ready().is_err_and(|cause| cause.contains(what))
        })
        .await;
    }

    async fn is_ready(&self) {
        eventually("it is ready", async || self.watched.health.ready().is_ok()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_wants_no_more_is_told_of_until_it_takes_a_step() {
    let system = System::start().await;
    let receiver = Receiver::start().await;
    receiver.will([Does::Answers(410, "")]);
    let url = format!("http://127.0.0.1:{}/", receiver.port);
    let notifier = system.notify(Configured::Webhook(webhook::settings(&url, "true")));
    system.step(1, 1, "firing", Utc::now(), json!({})).await;
    system.drained_of("ALERTS", "notify_webhook").await;
    notifier.complains_of("it wants no more").await;
    // An hour without a step changes nothing, the next that is taken does.
    system.step(1, 2, "updated", Utc::now(), json!({"withheld": "muted"})).await;
    system.drained_of("ALERTS", "notify_webhook").await;
    notifier.complains_of("it wants no more").await;
    system.step(1, 3, "resolved", Utc::now(), json!({})).await;
    system.drained_of("ALERTS", "notify_webhook").await;
    notifier.is_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_that_a_channel_fails_and_why_and_that_it_works_again() {
    let system = System::start().await;
    let receiver = Receiver::start().await;
    receiver.will([Does::Answers(500, "")]);
    let log = system.dir().join("log");
    let mut command = system.program();
    // An empty VALERA_LOG is what docker compose hands on where none is set.
    command.args(["run", "notifier"]).env("VALERA_LOG", "").stderr(fs::File::create(&log).unwrap());
    command.env("VALERA_WEBHOOK_URL", format!("http://127.0.0.1:{}/", receiver.port));
    command.env("VALERA_WEBHOOK_SECRET", SECRET).env("VALERA_WEBHOOK_ALLOW_PRIVATE", "true");
    let _notifier = Process::of(command);
    system.step(1, 1, "firing", Utc::now(), json!({})).await;
    for line in [
        r#"WARN valera_pipeline::health: fails; trying again consumer="notify_webhook" side="the channel" cause="#,
        r#"INFO valera_pipeline::health: works again consumer="notify_webhook" side="the channel""#,
    ] {
        eventually(line, async || fs::read_to_string(&log).unwrap().contains(line)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_the_limit_keeps_waiting_is_told_of_while_bookings_go_on() {
    let system = System::start().await;
    let api = BotApi::start().await;
    // Room for three edits and one message more.
    let rates = Rates { a_minute: 4, apart: Duration::ZERO };
    let settings = Settings { rates, ..api.settings() };
    let notifier = Notifier { overdue: Duration::ZERO, ..system.notifier() };
    let notifier = Running::notifier(notifier, Configured::Telegram(settings));
    for (revision, phase) in [(1, "firing"), (2, "updated"), (3, "updated")] {
        system.step(1, revision, phase, Utc::now(), json!({})).await;
        system.drained_of("ALERTS", "notify_telegram").await;
    }
    notifier.is_ready().await;
    system.step(1, 4, "resolved", Utc::now(), json!({})).await;
    notifier.complains_of("keeps a message waiting").await;
    system.step(2, 1, "firing", Utc::now(), json!({})).await;
    eventually("what is new is told", async || api.texts().len() == 2).await;
    assert!(api.texts()[0].contains("🔴"), "{:?}", api.texts());
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_do_not_grow_with_the_failures_in_a_large_batch() {
    let system = System::start().await;
    let api = BotApi::start().await;
    let broken = Fault::Says(500, "Internal Server Error");
    api.script((0..40).flat_map(|_| [Some(broken.clone()), None]));
    for incident in 1..=40 {
        system.step(incident, 1, "firing", Utc::now(), json!({})).await;
    }
    // With pauses that grow to five seconds it would take three minutes.
    let notifier = system.tell(&api);
    eventually("all are told", async || api.texts().len() == 40).await;
    system.drained_of("ALERTS", "notify_telegram").await;
    notifier.is_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_somebody_else_keeps_full_is_told_of_until_it_has_room() {
    let system = System::start_with_ack_wait(Duration::from_secs(5)).await;
    let receiver = Receiver::start().await;
    let url = format!("http://127.0.0.1:{}/", receiver.port);
    let context = system.jetstream().await;
    let consumer: PullConsumer = context.get_consumer_from_stream("notify_webhook", "ALERTS").await.unwrap();
    let room = usize::try_from(consumer.cached_info().config.max_ack_pending).unwrap();
    for _ in 0..room {
        context.client().publish("alerts.held", "{}".into()).await.unwrap();
    }
    system.step(1, 1, "firing", Utc::now(), json!({})).await;
    let held = consumer.fetch().max_messages(room).messages().await.unwrap();
    let held: Vec<_> = held.take(room).try_collect().await.unwrap();

    let told = async {
        let notifier = system.notify(Configured::Webhook(webhook::settings(&url, "true")));
        notifier.complains_of(&format!("1 messages pending, {room} not acked, and none received for 12s")).await;
        notifier
    };
    let notifier = tokio::select! {
        notifier = told => notifier,
        never = keep(&held) => match never {},
    };
    for message in &held {
        message.ack().await.unwrap();
    }
    system.drained_of("ALERTS", "notify_webhook").await;
    notifier.is_ready().await;
}

/// Asks for more time for all of them, again and again.
async fn keep(messages: &[Message]) -> Infallible {
    let mut again = tokio::time::interval(Duration::from_millis(500));
    loop {
        again.tick().await;
        for message in messages {
            message.ack_with(AckKind::Progress).await.unwrap();
        }
    }
}
