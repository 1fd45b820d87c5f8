//! The example bot, as a messenger sees it: it answers, whatever becomes of its analytics.

use super::spool;
use crate::support::{Process, System, enable, eventually};
use serde_json::json;
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};
use valera_analytics::embedded::free_port;

/// A running bot.
struct Bot {
    process: Process,
    address: String,
}

impl Bot {
    async fn start(system: &System, change: impl FnOnce(&mut Command)) -> Self {
        let address = format!("127.0.0.1:{}", free_port().unwrap());
        let mut command = Command::new(built());
        enable(command.arg(&address), system, &spool(system));
        change(&mut command);
        let process = Process::of(command);
        eventually("the bot listens", async || TcpStream::connect(&address).is_ok()).await;
        Self { process, address }
    }

    /// The status line and the body that a message is answered with.
    fn hears(&self, chat_id: i64, text: &str) -> (String, String) {
        let body = json!({"chat": {"id": chat_id}, "text": text}).to_string();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "POST /webhook HTTP/1.1\r\nHost: bot\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}",
            body.len()
        );
        write!(stream, "{head}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    #[track_caller]
    fn answers(&self, chat_id: i64, text: &str, with: &str) {
        let (status, body) = self.hears(chat_id, text);
        assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
        assert!(body.contains(with), "{body}");
    }
}

/// The example, built with the suite.
fn built() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_killable")).with_file_name("examples").join("bot")
}

#[tokio::test(flavor = "multi_thread")]
async fn tracks_complete_user_journey() {
    let system = System::start().await;
    let mut bot = Bot::start(&system, |_| {}).await;
    bot.answers(42, "Здравствуйте", "Чем помочь");
    bot.answers(42, "У меня царапина на двери", "Предлагаю");
    bot.answers(42, "Беру", "Добавил");
    bot.answers(42, "Запишите меня", "принята");
    let (status, _) = bot.hears(42, "сломайся");
    assert!(status.contains("502"), "{status}");
    bot.process.signal("INT");
    assert!(bot.process.ended("the bot stops").await.success());
    system.settle().await;
    let told: Vec<(String, i64)> =
        system.rows("SELECT event_name, count(*) FROM analytics_events GROUP BY 1 ORDER BY 1").await;
    let expected = [
        ("ai_dialog_started", 1),
        ("ai_response_time", 4),
        ("ai_suggestion_accepted", 1),
        ("booking_request_created", 1),
        ("cart_confirmed", 1),
        // Told by `measure` and by the webhook.
        ("error_occurred", 1),
        ("service_added", 1),
        ("service_suggested", 1),
    ];
    assert_eq!(told, expected.map(|(name, count)| (name.to_owned(), count)));
    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn does_not_break_main_functionality_when_analytics_fails() {
    let system = System::start().await;
    let broken = |command: &mut Command| {
        command.env("NATS_URL", "nats://127.0.0.1:1").env("VALERA_SPOOL_DIR", "/dev/null/spool");
    };
    let bot = Bot::start(&system, broken).await;
    for chat in 0..20 {
        bot.answers(chat, "У меня царапина на двери", "Предлагаю");
    }
    bot.answers(42, "Запишите меня", "принята");
    let off = Bot::start(&system, |command| {
        command.env("VALERA_ANALYTICS_ENABLED", "false");
    })
    .await;
    off.answers(42, "Запишите меня", "принята");
    assert_eq!(system.last_sequence().await, 0);
}
