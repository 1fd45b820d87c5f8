//! From the stream to the receiver: what the notifier makes of steps on channels that cannot edit.

use super::{
    email,
    mail_server::{Does as MailDoes, MailServer},
    receiver::{Does, Receiver},
    webhook,
};
use crate::support::{System, eventually};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use valera_pipeline::alerts::delivery::Configured;

fn posting_to(receiver: &Receiver) -> Configured {
    Configured::Webhook(webhook::settings(&format!("http://127.0.0.1:{}/", receiver.port), "true"))
}

/// The steps of an incident, as incident, revision and phase.
fn steps(incident: u32) -> [(u32, u32, &'static str); 4] {
    [(incident, 1, "firing"), (incident, 2, "updated"), (incident, 3, "updated"), (incident, 4, "resolved")]
}

/// The steps that arrived, as incident and revision, each where it arrived first.
fn arrived(receiver: &Receiver) -> Vec<(u32, u32)> {
    let mut known = BTreeSet::new();
    let mut arrived = Vec::new();
    for request in receiver.requests() {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let step = &body["data"];
        let (incident, phase) = (step["incident"].as_str().unwrap(), step["phase"].as_str().unwrap());
        let id = format!("error/{incident}/{phase}/{}", step["revision"]);
        assert_eq!(request.headers["webhook-id"], id);
        if known.insert(id) {
            let revision = step["revision"].as_u64().unwrap();
            arrived.push((u32::from_str_radix(&incident[24..], 16).unwrap(), u32::try_from(revision).unwrap()));
        }
    }
    arrived
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_each_step_in_order_through_failures_and_a_restart() {
    let system = System::start().await;
    let receiver = Receiver::start().await;
    receiver.will([
        Does::Answers(500, ""),
        Does::CutsTheLine,
        Does::Answers(200, ""),
        Does::Answers(429, "retry-after: 1\r\n"),
        Does::Answers(200, ""),
        Does::Hangs,
        Does::CutsTheLine,
    ]);
    let told =
        |of: std::ops::RangeInclusive<u32>| of.flat_map(steps).map(|(incident, revision, _)| (incident, revision));
    for (incident, revision, phase) in (1..=3).flat_map(steps) {
        system.step(incident, revision, phase, Utc::now(), json!({})).await;
    }
    system.step(4, 1, "firing", Utc::now(), json!({"withheld": "muted"})).await;
    let notifier = system.notify(posting_to(&receiver));
    system.drained_of("ALERTS", "notify_webhook").await;
    let watched = notifier.stop().await;
    assert_eq!(watched.counters.received(), watched.counters.settled());
    assert_eq!(arrived(&receiver), told(1..=3).collect::<Vec<_>>());

    let before = receiver.requests().len();
    let notifier = system.notify(posting_to(&receiver));
    for (incident, revision, phase) in steps(5) {
        system.step(incident, revision, phase, Utc::now(), json!({})).await;
    }
    system.drained_of("ALERTS", "notify_webhook").await;
    notifier.stop().await;
    assert_eq!(receiver.requests().len(), before + 4);
    assert_eq!(arrived(&receiver)[12..], told(5..=5).collect::<Vec<_>>());
    webhook::assert_verified(&receiver.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_behind_a_private_name_holds_up_no_other_channel_and_readiness_says_why() {
    let system = System::start().await;
    let receiver = Receiver::start().await;
    let url = format!("https://localhost:{}/", receiver.port);
    let notifier = system.notify(Configured::Webhook(webhook::settings(&url, "")));
    let log = system.notify(Configured::Log);
    system.step(1, 1, "firing", Utc::now(), json!({})).await;
    system.drained_of("ALERTS", "notify_log").await;
    eventually("readiness says why", async || {
        let cause = notifier.watched.health.ready().err().unwrap_or_default();
        cause.contains("localhost leads to") && cause.contains("private address")
    })
    .await;
    assert_eq!(receiver.connections(), 0);
    assert!(system.told("webhook").await.is_empty());
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_gets_a_mail_when_it_begins_and_one_when_it_is_over() {
    let system = System::start().await;
    let server = MailServer::start().await;
    server.will(1, "MAIL", MailDoes::Says("451 later"));
    let settings = email::to(&server, email::ANNA);
    let notifier = system.notify(Configured::Email(settings.clone()));
    for (revision, phase) in [(1, "firing"), (2, "updated"), (3, "updated")] {
        system.step(1, revision, phase, Utc::now(), json!({})).await;
        system.drained_of("ALERTS", "notify_email").await;
    }
    notifier.stop().await;
    assert_eq!(server.mails().len(), 1);
    let notifier = system.notify(Configured::Email(settings));
    system.step(1, 4, "updated", Utc::now(), json!({})).await;
    system.drained_of("ALERTS", "notify_email").await;
    system.step(1, 5, "resolved", Utc::now(), json!({})).await;
    // Two that the channel was away for; told together, where they come in one batch.
    for incident in [2, 3] {
        system.step(incident, 1, "firing", Utc::now() - TimeDelta::hours(2), json!({})).await;
    }
    system.drained_of("ALERTS", "notify_email").await;
    notifier.stop().await;
    let mails = server.mails();
    let resolved: Vec<_> = mails.iter().filter(|mail| !mail.headers("In-Reply-To").is_empty()).collect();
    assert_eq!(resolved.len(), 1);
    assert_eq!(resolved[0].header("In-Reply-To"), mails[0].header("Message-ID"));
    assert!((3..=4).contains(&mails.len()), "{} mails", mails.len());
    assert_eq!(system.told("email").await.into_iter().collect::<Vec<_>>(), [(1, 5), (2, 1), (3, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_was_away_gets_the_steps_themselves_in_as_few_messages_as_it_takes() {
    let system = System::start().await;
    let receiver = Receiver::start().await;
    let long_ago = Utc::now() - TimeDelta::hours(2);
    for incident in 1..=130 {
        system.step(incident, 1, "firing", long_ago, json!({})).await;
    }
    system.step(7, 2, "updated", long_ago + TimeDelta::minutes(1), json!({})).await;
    system.step(200, 1, "firing", Utc::now(), json!({})).await;
    receiver.will([Does::Answers(500, ""), Does::CutsTheLine]);
    let notifier = system.notify(posting_to(&receiver));
    system.drained_of("ALERTS", "notify_webhook").await;
    notifier.stop().await;
    let requests = receiver.requests();
    webhook::assert_verified(&requests);
    // A repeat has the same id and the same content.
    let bodies: BTreeMap<_, Value> = requests
        .iter()
        .map(|it| (it.headers["webhook-id"].as_str(), serde_json::from_str(&it.body).unwrap()))
        .collect();
    let mut told: Vec<Value> = Vec::new();
    for (id, body) in &bodies {
        assert_eq!(body["type"] == "message", id.starts_with("late/"), "{id}: {body}");
        let steps = body["data"]["steps"].as_array();
        assert!(steps.is_none_or(|steps| steps.len() <= 100), "{} steps in one", steps.unwrap().len());
        told.extend(steps.cloned().unwrap_or_else(|| vec![body["data"].clone()]));
    }
    // As they stand on the stream, of each incident the newest that came with the others.
    let incidents: BTreeSet<_> = told.iter().map(|step| step["incident"].as_str().unwrap().to_owned()).collect();
    assert_eq!((incidents.len(), requests.len() >= bodies.len() + 2), (131, true));
    let kept = system.told("webhook").await;
    assert_eq!((kept.len(), kept[&7]), (131, 2));
    let seventh: Vec<_> = told.iter().filter(|step| step["incident"] == format!("{:032x}", 7)).collect();
    assert_eq!(seventh.last().unwrap()["facts"], json!({"window_seconds": 600}));
}
