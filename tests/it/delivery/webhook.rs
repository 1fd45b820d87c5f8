//! Webhooks against a receiver that misbehaves: each step arrives, is signed, and goes nowhere that it must not.

use super::{
    receiver::{Does, Receiver},
    steps::{message, step},
};
use crate::support::{Said, python};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path, time::Duration};
use valera_pipeline::alerts::{
    Alert, Phase,
    delivery::{
        channel::{Channel, Message, Undelivered},
        pace::Pauses,
        webhook::{Secret, Settings, Target, Webhook},
    },
};

pub(super) const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NONE: Pauses = Pauses { first: Duration::ZERO, longest: Duration::ZERO };
const LONG: Pauses = Pauses { first: Duration::from_secs(3600), longest: Duration::from_secs(3600) };

/// The channel, which tries again at once after what may be over soon, and not within the test after what is not.
fn webhook(url: &str, allowed: &str) -> Webhook {
    Webhook::new(settings(url, allowed)).unwrap()
}

pub(super) fn settings(url: &str, allowed: &str) -> Settings {
    valera_analytics::config::prepare().unwrap();
    let target = Target::parse(url, allowed.parse().unwrap()).unwrap().answering_within(Duration::from_millis(500));
    Settings { soon: NONE, slow: LONG, ..Settings::new(target, Secret::parse(SECRET).unwrap()) }
}

fn to(receiver: &Receiver) -> Webhook {
    webhook(&format!("http://127.0.0.1:{}/s3cret", receiver.port), "127.0.0.0/8")
}

fn first() -> Message {
    message(step(1, Phase::Firing, 1))
}

/// What was wrong, of a channel that is away.
async fn away(webhook: &mut Webhook) -> String {
    match webhook.show(&first(), None).await {
        Err(Undelivered::Away(cause)) => format!("{cause:#}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_step_arrives_in_order_under_one_id_whatever_the_receiver_does() {
    let receiver = Receiver::start().await;
    let mut webhook = to(&receiver);
    receiver.will([
        Does::Answers(500, ""),
        Does::CutsTheLine,
        Does::Answers(200, ""),
        Does::Hangs,
        Does::Answers(503, ""),
        Does::CutsTheLine,
        Does::CutsTheLine,
        Does::Answers(204, ""),
        Does::Answers(400, ""),
        Does::Answers(202, ""),
        Does::Answers(502, ""),
        Does::Hangs,
    ]);
    let phases = [(Phase::Firing, 1), (Phase::Updated, 2), (Phase::Updated, 3), (Phase::Resolved, 4)];
    let steps: Vec<_> = (0..3).flat_map(|incident| phases.map(|(phase, at)| step(incident, phase, at))).collect();
    for step in &steps {
        let message = message(step.clone());
        let mut tries = 0;
        while let Err(undelivered) = webhook.show(&message, None).await {
            assert!(matches!(undelivered, Undelivered::Away(_)), "{undelivered:?}");
            assert!(!undelivered.to_string().contains("s3cret"), "{undelivered}");
            tries += 1;
            assert!(tries < 12, "{} does not get through", message.key);
        }
    }
    let requests = receiver.requests();
    assert!(requests.len() > steps.len() + 8, "{} requests", requests.len());
    let mut arrived = Vec::new();
    for request in &requests {
        let id = &request.headers["webhook-id"];
        assert_eq!(id, &request.headers["idempotency-key"]);
        assert_eq!(request.headers["content-type"], "application/json");
        if arrived.last() != Some(id) {
            arrived.push(id.clone());
        }
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let step = steps.iter().find(|step| step.msg_id() == *id).unwrap();
        let kind = format!("alert.{}", step.phase.as_str());
        assert_eq!(body, json!({"type": kind, "timestamp": "2026-03-10T12:00:41.120881Z", "data": step}));
    }
    assert_eq!(arrived, steps.iter().map(Alert::msg_id).collect::<Vec<_>>());
    assert_eq!(arrived.iter().collect::<BTreeSet<_>>().len(), steps.len());
    assert_verified(&requests);
}

/// Has every request verified by somebody who never read this code.
pub(super) fn assert_verified(requests: &[super::receiver::Request]) {
    let told: Vec<_> =
        requests.iter().map(|request| json!({"headers": request.headers, "body": request.body})).collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/delivery/verify.py");
    let said = Said::by(python().arg(script).args([SECRET, &json!(told).to_string()])).well();
    assert_eq!(said.trim(), format!("{} verified", requests.len()));
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused_without_a_connection() {
    let receiver = Receiver::start().await;
    for host in ["localhost", "LocalHost"] {
        let mut webhook = webhook(&format!("https://{host}:{}/", receiver.port), "10.0.0.0/8");
        for _ in 0..3 {
            let cause = away(&mut webhook).await;
            assert!(cause.contains("localhost leads to") && cause.contains("private address"), "{cause}");
        }
    }
    assert_eq!(receiver.connections(), 0);
    // The same, allowed by its name, gets as far as TLS.
    let mut webhook = webhook(&format!("https://localhost:{}/", receiver.port), "localhost");
    let cause = away(&mut webhook).await;
    assert!(!cause.contains("private address"), "{cause}");
    assert!(receiver.connections() > 0);
}

#[tokio::test]
async fn a_redirect_is_refused_wherever_it_leads_and_the_receiver_left_alone() {
    let elsewhere = Receiver::start().await;
    for status in [301, 302, 303, 307, 308] {
        for location in ["http://169.254.169.254/latest/meta-data/", "http://127.0.0.1:PORT/", "/elsewhere"] {
            let receiver = Receiver::start().await;
            let location = location.replace("PORT", &elsewhere.port.to_string());
            receiver.will([Does::Answers(status, format!("location: {location}\r\n").leak())]);
            let mut webhook = to(&receiver);
            for _ in 0..3 {
                let cause = away(&mut webhook).await;
                assert!(cause.contains("no redirect is followed") && cause.contains(&status.to_string()), "{cause}");
            }
            assert_eq!(receiver.connections(), 1);
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    let receiver = Receiver::start().await;
    receiver.will([Does::Answers(429, "retry-after: 1000000000\r\n")]);
    let mut webhook = to(&receiver);
    let told = webhook.show(&first(), None).await;
    assert!(matches!(told, Err(Undelivered::Busy(after)) if after == Duration::from_secs(600)), "{told:?}");
    let told = webhook.show(&first(), None).await;
    assert!(matches!(told, Err(Undelivered::Busy(left)) if left > Duration::from_secs(500)), "{told:?}");
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn what_is_refused_for_good_is_given_up_and_what_an_operator_can_mend_is_not() {
    let receiver = Receiver::start().await;
    let mut webhook = to(&receiver);
    receiver.will([Does::Answers(410, "")]);
    let told = webhook.show(&first(), None).await;
    assert!(matches!(&told, Err(Undelivered::Refused(cause)) if cause.contains("410")), "{told:?}");
    receiver.will([Does::Answers(422, ""); 8]);
    for _ in 0..7 {
        away(&mut webhook).await;
    }
    let told = webhook.show(&first(), None).await;
    assert!(matches!(&told, Err(Undelivered::Refused(cause)) if cause.contains("422")), "{told:?}");
    // The next message begins anew.
    receiver.will([Does::Answers(422, ""), Does::Answers(200, ""), Does::Answers(404, "")]);
    away(&mut webhook).await;
    webhook.show(&first(), None).await.unwrap();
    for _ in 0..20 {
        assert!(away(&mut webhook).await.contains("404"));
    }
    assert_eq!(receiver.requests().len(), 12);
}
