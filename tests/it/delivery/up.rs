//! `up` as an owner starts it: a token and a chat in `.env`, and a booking that anybody publishes is in the chat.

use super::bot_api::{BotApi, TOKEN};
use crate::support::{Process, Said, eventually, nats_cli, program};
use valera_analytics::embedded::scratch_dir;

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_and_a_chat_in_env_a_booking_is_in_the_chat() {
    let scratch = scratch_dir().unwrap();
    let api = BotApi::start().await;
    let address = &api.address;
    let settings = format!(
        "VALERA_TELEGRAM_TOKEN={TOKEN}\nVALERA_TELEGRAM_CHAT_ID=-1001\nVALERA_TELEGRAM_API={address}\n\
         VALERA_TIMEZONE=Europe/Moscow\nVALERA_DIGEST_AT=off\n"
    );
    std::fs::write(scratch.path().join(".env"), settings).unwrap();
    let test = Said::by(program().current_dir(scratch.path()).args(["alerts", "test", "--channel", "telegram"]));
    assert!(test.well().contains("telegram: shown"));
    assert_eq!(api.texts().len(), 1);

    let mut command = program();
    command.current_dir(scratch.path()).args(["up", "--data-dir", "data"]);
    let mut up = Process::of(command);
    let env = scratch.path().join("data/env");
    eventually("up is ready", || {
        assert!(up.has_ended().is_none(), "up ended");
        let is_ready = env.exists();
        async move { is_ready }
    })
    .await;
    let env = std::fs::read_to_string(env).unwrap();
    let url = env.lines().find_map(|line| line.trim_start_matches("export ").strip_prefix("NATS_URL=")).unwrap();
    let booking =
        r#"{"chat_id":42,"properties":{"booking_id":4711,"services_count":2,"estimated_total":"18500.00"}}"#;
    let mut cli = nats_cli(url.trim_matches('\''));
    Said::by(cli.args(["pub", "--no-templates", "--jetstream", "analytics.booking_request_created", booking])).well();
    eventually("the booking is in the chat", async || api.bookings().contains_key(&4711)).await;
    up.signal("INT");
    assert_eq!(up.ended("up stops on SIGINT").await.code(), Some(0));
    assert_eq!(api.texts().len(), 2);
}
