//! Channels as an operator sets them up: what cannot work is said at once, and `alerts test` shows what does.

use super::{
    email::ANNA,
    mail_server::MailServer,
    receiver::Receiver,
    webhook::{SECRET, assert_verified},
};
use crate::support::{Said, checkout, program};
use std::{fs, process::Command};

fn with(variables: &[(&str, &str)]) -> Command {
    let mut command = program();
    command.envs(variables.iter().copied());
    command
}

#[test]
fn a_channel_that_cannot_work_stops_the_notifier_at_once_without_showing_a_secret() {
    let url = ("VALERA_WEBHOOK_URL", "https://hooks.example.org/t0ken");
    let secret = ("VALERA_WEBHOOK_SECRET", SECRET);
    let smtp = ("VALERA_SMTP_URL", "smtps://me:t0ken@mail.example.org");
    let (from, to) = (("VALERA_EMAIL_FROM", "alerts@example.org"), ("VALERA_EMAIL_TO", ANNA));
    let leading_to = |address| vec![("VALERA_WEBHOOK_URL", address), secret];
    for (variables, of) in [
        (vec![url], "VALERA_WEBHOOK_SECRET_FILE is not"),
        (vec![url, ("VALERA_WEBHOOK_SECRET", "whsec_dDBrZW4=")], "VALERA_WEBHOOK_SECRET: has 5 bytes"),
        (vec![url, ("VALERA_WEBHOOK_SECRET", "t0ken")], "VALERA_WEBHOOK_SECRET: does not begin with whsec_"),
        (vec![url, ("VALERA_WEBHOOK_SECRET_FILE", "/dev/null")], "VALERA_WEBHOOK_SECRET_FILE is an empty file"),
        (leading_to("https://127.0.0.1/t0ken"), "127.0.0.1 is a private address"),
        (leading_to("https://0x7f.1/t0ken"), "127.0.0.1 is a private address"),
        (leading_to("https://169.254.169.254/t0ken"), "169.254.169.254 is a private address"),
        (leading_to("https://[::ffff:127.0.0.1]/t0ken"), "::ffff:127.0.0.1 is a private address"),
        (leading_to("http://hooks.example.org/t0ken"), "has to be https://"),
        (vec![url, secret, ("VALERA_WEBHOOK_ALLOW_PRIVATE", "10.0.0.0/99")], "VALERA_WEBHOOK_ALLOW_PRIVATE: "),
        (vec![smtp, from], "VALERA_EMAIL_TO is not"),
        (vec![smtp, to], "VALERA_EMAIL_FROM is not"),
        (vec![from, to], "VALERA_SMTP_URL is not"),
        (vec![smtp, to, ("VALERA_EMAIL_FROM", "nobody")], "VALERA_EMAIL_FROM is no address"),
        (vec![("VALERA_SMTP_URL", "smtp://me:t0ken@mail.example.org"), from, to], "unencrypted"),
    ] {
        let said = Said::by(with(&variables).args(["run", "notifier"]));
        said.complaining(1, &[of]);
        assert!(!said.err.contains("t0ken") && !said.err.contains("anna"), "{}", said.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_message_is_shown_on_each_channel_that_is_set_up() {
    let (receiver, server) = (Receiver::start().await, MailServer::start().await);
    let url = format!("http://127.0.0.1:{}/t0ken", receiver.port);
    let smtp = format!("smtp://127.0.0.1:{}", server.port);
    let variables = [
        ("VALERA_WEBHOOK_URL", url.as_str()),
        ("VALERA_WEBHOOK_SECRET", SECRET),
        ("VALERA_WEBHOOK_ALLOW_PRIVATE", "true"),
        ("VALERA_SMTP_URL", smtp.as_str()),
        ("VALERA_EMAIL_FROM", "alerts@example.org"),
        ("VALERA_EMAIL_TO", ANNA),
        // As docker compose hands on what is not set.
        ("VALERA_WEBHOOK_SECRET_FILE", ""),
        ("VALERA_SMTP_PASSWORD", ""),
        ("VALERA_ALERT_TEMPLATES", ""),
        // Proxies, which are not for us.
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("http_proxy", "http://127.0.0.1:9"),
        ("ALL_PROXY", "http://127.0.0.1:9"),
    ];
    for _ in 0..2 {
        let mut command = with(&variables);
        let said = tokio::task::spawn_blocking(move || Said::by(command.args(["alerts", "test"])));
        let out = said.await.unwrap().well();
        assert!(out.contains("webhook: shown") && out.contains("email: shown"), "{out}");
    }
    let requests = receiver.requests();
    assert_eq!((requests.len(), server.mails_to(ANNA).len()), (2, 2));
    assert_ne!(requests[0].headers["webhook-id"], requests[1].headers["webhook-id"]);
    assert_verified(&requests);
}

#[test]
fn a_private_name_is_refused_and_named() {
    let variables = [("VALERA_WEBHOOK_URL", "https://localhost/t0ken"), ("VALERA_WEBHOOK_SECRET", SECRET)];
    let said = Said::by(with(&variables).args(["alerts", "test", "--channel", "webhook"]));
    assert_eq!(said.code, Some(1), "{said:?}");
    let all = format!("{}{}", said.out, said.err);
    assert!(all.contains("localhost leads to") && all.contains("private address"), "{all}");
    assert!(!all.contains("t0ken"), "{all}");
}

#[test]
fn docker_compose_hands_a_secret_on_as_a_file_and_starts_without_it() {
    let compose = fs::read_to_string(checkout().join("docker-compose.yml")).unwrap();
    for (variable, name) in [
        ("VALERA_WEBHOOK_SECRET", "webhook_secret"),
        ("VALERA_SMTP_PASSWORD", "smtp_password"),
        ("VALERA_TELEGRAM_TOKEN", "telegram_token"),
    ] {
        let handed_on = format!("      {variable}_FILE: ${{{variable}_FILE:+/run/secrets/{name}}}\n");
        let mounted = format!("  {name}:\n    file: ${{{variable}_FILE:-/dev/null}}\n");
        assert!(compose.contains(&handed_on) && compose.contains(&mounted), "{variable}");
        assert_eq!(compose.matches(variable).count(), compose.matches(&format!("{variable}_FILE")).count());
    }
    assert_eq!(compose.matches("secrets: [webhook_secret, smtp_password, telegram_token]").count(), 1);
}

#[test]
fn docker_compose_hands_rules_and_texts_on_where_they_are_set_and_starts_without_them() {
    let compose = fs::read_to_string(checkout().join("docker-compose.yml")).unwrap();
    for (variable, place) in [("VALERA_ALERT_RULES", "/alerts.toml"), ("VALERA_ALERT_TEMPLATES", "/texts")] {
        let lines = [
            format!("      {variable}: ${{{variable}:+{place}}}\n"),
            format!(" ${{{variable}:-/dev/null}}\n"),
            format!("        target: {place}\n"),
        ];
        for line in lines {
            assert_eq!(compose.matches(&line).count(), 1, "{line}");
        }
    }
    let said = Said::by(with(&[("VALERA_ALERT_RULES", "")]).args(["alerts", "check"])).well();
    assert!(said.contains("rules without fault"), "{said}");
}
