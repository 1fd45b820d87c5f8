//! The channel `telegram` by itself, against a Bot API that misbehaves by script.
//!
//! Each test says what stands in the chat in the end, and what is said to whoever asked. What is retried, and when, is the
//! notifier's business and tested there.

use super::bot_api::{BotApi, Fault, TOKEN};
use crate::hurried::hurried;
use serde_json::json;
use valera_analytics::config;
use valera_pipeline::alerts::delivery::{
    channel::{Channel, Message, Shown, Undelivered},
    pace::Pauses,
    telegram::{Settings, Telegram},
};

const CHAT: i64 = -1001;

impl BotApi {
    pub(super) fn settings(&self) -> Settings {
        // Chooses the TLS provider.
        config::prepare().unwrap();
        let settings = Settings::new(TOKEN.parse().unwrap(), &CHAT.to_string()).unwrap();
        hurried(Settings { api: self.address.clone(), ..settings })
    }

    fn telegram(&self) -> Telegram {
        Telegram::new(self.settings()).unwrap()
    }
}

fn message(text: &str) -> Message {
    Message {
        key: format!("error/{text}"),
        alert: None,
        missed: Vec::new(),
        title: text.to_owned(),
        text: text.to_owned(),
        html: format!("<b>{text}</b>"),
    }
}

async fn show(telegram: &mut Telegram, text: &str, shown: Option<&Shown>) -> Result<Shown, Undelivered> {
    telegram.show(&message(text), shown).await
}

#[tokio::test]
async fn an_incident_is_one_message_that_is_edited() {
    let api = BotApi::start().await;
    let mut telegram = api.telegram();
    let first = show(&mut telegram, "5 errors", None).await.unwrap();
    let second = show(&mut telegram, "9 errors", Some(&first)).await.unwrap();
    assert_eq!(first, second);
    // Told again after a restart: what stands there stays, without an error.
    let third = show(&mut api.telegram(), "9 errors", Some(&second)).await.unwrap();
    assert_eq!(third, first);
    assert_eq!(api.texts(), ["<b>9 errors</b>"]);
    assert_eq!(api.standing()[0].edits, 1);
}

#[tokio::test]
async fn an_edit_of_what_somebody_deleted_is_shown_anew() {
    let api = BotApi::start().await;
    let mut telegram = api.telegram();
    let shown = show(&mut telegram, "5 errors", None).await.unwrap();
    api.delete_all();
    show(&mut telegram, "over", Some(&shown)).await.unwrap();
    assert_eq!(api.texts(), ["<b>over</b>"]);
}

#[tokio::test]
async fn markup_that_telegram_does_not_read_is_left_out() {
    let api = BotApi::start().await;
    let broken = Message { html: "<b>Timeout <".to_owned(), ..message("Timeout <") };
    api.telegram().show(&broken, None).await.unwrap();
    assert_eq!(api.texts(), ["Timeout <"]);
    assert!(!api.standing()[0].is_html);
}

#[tokio::test]
async fn a_text_of_any_length_is_shown() {
    let api = BotApi::start().await;
    let long = Message { html: format!("<b>{}</b>", "🚗&amp;".repeat(9_000)), ..message("long") };
    api.telegram().show(&long, None).await.unwrap();
    assert!(api.standing()[0].is_html && api.texts()[0].ends_with("…</b>"));
}

#[tokio::test]
async fn a_group_that_moved_is_followed_and_its_messages_are_shown_anew() {
    let api = BotApi::start().await;
    let mut telegram = api.telegram();
    let shown = show(&mut telegram, "5 errors", None).await.unwrap();
    api.move_group(CHAT, -1_001_234_567_890);
    let shown = show(&mut telegram, "9 errors", Some(&shown)).await.unwrap();
    show(&mut telegram, "booking", None).await.unwrap();
    // The first request was refused, and none after it went to the old group.
    assert_eq!(api.requests(), 4);
    show(&mut telegram, "over", Some(&shown)).await.unwrap();
    let standing: Vec<_> = api.standing().into_iter().map(|message| (message.chat, message.text)).collect();
    let (old, new) = (CHAT, -1_001_234_567_890);
    assert_eq!(
        standing,
        [(old, "<b>5 errors</b>"), (new, "<b>over</b>"), (new, "<b>booking</b>")]
            .map(|(chat, text)| (chat, text.to_owned()))
    );
}

#[tokio::test]
async fn groups_that_move_in_a_circle_end_a_message_and_not_the_channel() {
    let api = BotApi::start().await;
    api.move_group(CHAT, -7);
    api.move_group(-7, CHAT);
    let mut telegram = api.telegram();
    let mut refused = false;
    for _ in 0..10 {
        refused |= matches!(show(&mut telegram, "booking", None).await, Err(Undelivered::Refused(_)));
    }
    assert!(refused && api.requests() < 100);
}

#[tokio::test]
async fn a_topic_is_written_in_and_a_missing_one_is_no_reason_to_be_silent() {
    let api = BotApi::start().await;
    api.has_only_threads(&[3]);
    let in_thread = |thread| Telegram::new(Settings { thread: Some(thread), ..api.settings() }).unwrap();
    show(&mut in_thread(3), "booking 1", None).await.unwrap();
    let mut telegram = in_thread(4);
    show(&mut telegram, "booking 2", None).await.unwrap();
    show(&mut telegram, "booking 3", None).await.unwrap();
    let threads: Vec<_> = api.standing().iter().map(|message| message.thread).collect();
    assert_eq!(threads, [Some(3), None, None]);
    assert_eq!(api.requests(), 4);
}

#[tokio::test]
async fn telegram_is_not_asked_again_before_it_wants_to_be() {
    let api = BotApi::start().await;
    for (absurd, at_least, at_most) in [
        (json!(7), 7, 7),
        (json!(0), 1, 1),
        (json!(-1), 1, 1),
        (json!(1_000_000_000), 600, 600),
        (json!("soon"), 5, 5),
    ] {
        let mut telegram = api.telegram();
        let before = api.requests();
        api.script([Some(Fault::TooMany(absurd))]);
        for asked in 0..3 {
            let Err(Undelivered::Busy(after)) = show(&mut telegram, "booking", None).await else {
                panic!("is not busy")
            };
            // Only the first answer is exact: after it, time goes by.
            assert!(after.as_secs_f64() <= f64::from(at_most));
            assert!(asked > 0 || after.as_secs_f64() >= f64::from(at_least));
        }
        assert_eq!(api.requests(), before + 1);
    }
    assert!(api.texts().is_empty());
}

#[tokio::test]
async fn what_is_certain_is_told_from_what_is_not() {
    let api = BotApi::start().await;
    let faults = [
        (Fault::Says(500, "Internal Server Error"), false),
        (Fault::Says(502, "Bad Gateway"), true),
        (Fault::Foreign(200), true),
        (Fault::Foreign(403), false),
        (Fault::Hangs, true),
        (Fault::Drop, true),
    ];
    for (fault, is_unknown) in faults {
        api.script([Some(fault.clone())]);
        match show(&mut api.telegram(), "booking", None).await {
            Err(Undelivered::Unknown(_)) if is_unknown => {}
            Err(Undelivered::Away(_)) if !is_unknown => {}
            other => panic!("{fault:?} is {other:?}"),
        }
    }
    assert!(api.texts().is_empty());
    let mut telegram = api.telegram();
    api.script([Some(Fault::Cut), Some(Fault::Foreign(200))]);
    assert!(matches!(show(&mut telegram, "booking", None).await, Err(Undelivered::Unknown(_))));
    assert_eq!((api.texts(), api.cuts()), (vec!["<b>booking</b>".to_owned()], 1));
    // The question that it asks then shows nothing, whatever becomes of it.
    assert!(matches!(show(&mut telegram, "booking 2", None).await, Err(Undelivered::Away(_))));
    show(&mut telegram, "booking 2", None).await.unwrap();
    assert_eq!(api.texts().len(), 2);
    // Nobody listens: certainly not sent.
    let away = BotApi::start().await;
    let mut telegram = away.telegram();
    drop(away);
    let is_away = async || matches!(show(&mut telegram, "booking", None).await, Err(Undelivered::Away(_)));
    crate::support::eventually("nobody listens", is_away).await;
}

#[tokio::test]
async fn a_bot_that_was_kicked_says_so_until_it_is_let_in_again() {
    let api = BotApi::start().await;
    let mut telegram = Telegram::new(Settings { slow: Pauses::SLOW, ..api.settings() }).unwrap();
    api.kick(true);
    for _ in 0..5 {
        let Err(Undelivered::Away(cause)) = show(&mut telegram, "booking", None).await else { panic!("is not away") };
        assert!(cause.to_string().contains("kicked"), "{cause:#}");
    }
    assert_eq!(api.requests(), 1, "it is asked slowly");
    let mut telegram = api.telegram();
    for _ in 0..50 {
        assert!(
            matches!(show(&mut telegram, "booking", None).await, Err(Undelivered::Away(_))),
            "it is never given up"
        );
    }
    api.kick(false);
    show(&mut telegram, "booking", None).await.unwrap();
    assert_eq!(api.texts().len(), 1);
}

#[tokio::test]
async fn an_answer_that_nobody_knows_ends_one_message_and_not_the_channel() {
    let api = BotApi::start().await;
    for (status, description) in [(400, "Bad Request: the moon is full"), (418, "I am a teapot"), (409, "Conflict")] {
        let mut telegram = api.telegram();
        api.script(vec![Some(Fault::Says(status, description)); 4]);
        for _ in 0..3 {
            assert!(matches!(show(&mut telegram, "odd", None).await, Err(Undelivered::Away(_))));
        }
        let Err(Undelivered::Refused(cause)) = show(&mut telegram, "odd", None).await else {
            panic!("is not refused")
        };
        assert!(cause.contains(description), "{cause}");
        show(&mut telegram, "booking", None).await.unwrap();
    }
    assert_eq!(api.texts(), vec!["<b>booking</b>"; 3]);
}

#[tokio::test]
async fn the_token_is_in_no_error() {
    let api = BotApi::start().await;
    let mut telegram = api.telegram();
    api.script([Some(Fault::Hangs), Some(Fault::Drop), Some(Fault::Says(401, "Unauthorized"))]);
    for _ in 0..3 {
        let Err(failure) = show(&mut telegram, "booking", None).await else { panic!("is shown") };
        let said = format!("{failure} {failure:?}");
        assert!(!said.contains("stub-token"), "{said}");
    }
    let Err(failure) = Telegram::new(Settings { api: "http:// nowhere".to_owned(), ..api.settings() }) else {
        panic!("is an address")
    };
    assert!(!format!("{failure:#} {failure:?}").contains("stub-token"));
}
