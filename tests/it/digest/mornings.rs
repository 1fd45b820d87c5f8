//! The morning message is put on the stream once a day: later when something is away, never twice.
//!
//! The tests here say what time it is; none waits for an hour. What channels make of it is in [`super::channels`], what
//! processes do in [`super::processes`].

use super::figures::tuesdays;
use crate::{
    golden::{say, settle},
    support::{System, event, eventually},
};
use async_nats::jetstream;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::{Europe::Moscow, Tz};
use serde_json::json;
use valera_pipeline::{
    alerts::{
        Alert,
        digest::{Morning, Settings},
        history,
    },
    service::Service,
};

/// An instance of the notifier's morning.
pub(super) struct Instance {
    morning: Morning,
    context: jetstream::Context,
}

impl Instance {
    async fn of(system: &System) -> Self {
        Self::on(system, "09:00", Some(Moscow)).await
    }

    pub(super) async fn on(system: &System, at: &str, zone: Option<Tz>) -> Self {
        let environment = system.environment();
        let (nats_url, database_url) = (environment.nats_url.clone(), environment.database_url.clone());
        let settings = Settings { nats_url, at: at.parse().unwrap(), database_url, zone };
        Self { morning: Morning::new(settings).unwrap(), context: system.jetstream().await }
    }

    pub(super) async fn look(&mut self, now: DateTime<Utc>) -> anyhow::Result<()> {
        self.morning.look(now, &self.context).await
    }
}

fn at(time: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(time).unwrap().to_utc()
}

/// The mornings on the stream.
pub(super) async fn mornings(system: &System) -> Vec<Alert> {
    let mut steps = Vec::new();
    history::read(&system.link(), None, |step| steps.push(step)).await.unwrap();
    steps.retain(|step| step.rule == "digest");
    steps
}

/// The days that were told of.
async fn told(system: &System) -> Vec<String> {
    let steps = mornings(system).await;
    steps.into_iter().map(|step| step.facts["day"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_instances_one_tells_of_the_day_and_once() {
    let system = System::start().await;
    say(&system, &tuesdays()).await;
    settle(&system).await;
    let mut instances = Vec::new();
    for _ in 0..8 {
        instances.push(Instance::of(&system).await);
    }
    for (now, told_by_then) in [
        ("2026-03-11T08:59:59+03:00", &[][..]),
        ("2026-03-11T09:00:00+03:00", &["2026-03-10"]),
        ("2026-03-11T09:01:00+03:00", &["2026-03-10"]),
        ("2026-03-11T23:59:00+03:00", &["2026-03-10"]),
        ("2026-03-12T00:10:00+03:00", &["2026-03-10"]),
        ("2026-03-12T20:00:00+03:00", &["2026-03-10", "2026-03-11"]),
    ] {
        let looks = instances.iter_mut().map(|instance| instance.look(at(now)));
        for looked in futures::future::join_all(looks).await {
            looked.unwrap();
        }
        assert_eq!(told(&system).await, told_by_then, "at {now}");
    }
    // One that starts anew knows it too, and a clock that went back moves nothing.
    let mut late = Instance::of(&system).await;
    late.look(at("2026-03-12T21:00:00+03:00")).await.unwrap();
    late.look(at("2026-03-11T21:00:00+03:00")).await.unwrap();
    let steps = mornings(&system).await;
    assert_eq!(steps.len(), 2);
    assert_eq!(steps[0].msg_id(), "digest/00000000000000000000000020260310/firing/1");
    let facts = &steps[0].facts;
    assert_eq!((&facts["funnel"]["bookings"], &facts["usual"]["bookings"]), (&json!(3), &json!("2.0")));
    assert_eq!((&facts["is_complete"], &facts["until"]), (&json!(true), &json!("2026-03-11T21:00:00Z")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_morning_that_postgres_slept_through_is_told_of_once_it_is_back() {
    let mut system = System::start().await;
    let mut first = Instance::of(&system).await;
    let mut second = Instance::of(&system).await;
    system.local.postgres.stop().await.unwrap();
    for now in ["2026-03-11T09:00:00+03:00", "2026-03-11T12:30:00+03:00"] {
        first.look(at(now)).await.unwrap_err();
        second.look(at(now)).await.unwrap_err();
    }
    system.local.postgres.restart().await.unwrap();
    for now in ["2026-03-11T12:31:00+03:00", "2026-03-11T12:32:00+03:00"] {
        first.look(at(now)).await.unwrap();
        second.look(at(now)).await.unwrap();
    }
    assert_eq!(told(&system).await, ["2026-03-10"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_not_counted_is_waited_for_three_hours_and_then_told_of_as_such() {
    let system = System::start().await;
    // Received today, so that today's end is what both consumers have to pass.
    let now = Utc::now();
    event("ai_dialog_started", 1, now, json!({})).publish(&system).await;
    let morning = (now + TimeDelta::hours(24)).with_timezone(&Moscow).date_naive().and_hms_opt(9, 0, 0).unwrap();
    let morning = morning.and_local_timezone(Moscow).unwrap().to_utc();
    let mut instance = Instance::of(&system).await;
    instance.look(morning).await.unwrap();
    system.run_dry(Service::Persister).await;
    instance.look(morning + TimeDelta::minutes(1)).await.unwrap();
    assert_eq!(told(&system).await.len(), 0, "the rollups lag behind");

    let _rollups = system.run(Service::Rollups);
    eventually("the day is counted and told of", async || {
        instance.look(morning + TimeDelta::minutes(2)).await.unwrap();
        told(&system).await.len() == 1
    })
    .await;
    let facts = mornings(&system).await.remove(0).facts;
    assert_eq!((&facts["funnel"]["dialogs"], &facts["is_complete"]), (&json!(1), &json!(true)));
    drop(_rollups);

    // The next day's events reach nobody.
    let system = System::start().await;
    event("ai_dialog_started", 1, now, json!({})).publish(&system).await;
    let mut instance = Instance::of(&system).await;
    for minutes in [0, 1, 179] {
        instance.look(morning + TimeDelta::minutes(minutes)).await.unwrap();
        assert_eq!(told(&system).await.len(), 0, "{minutes} minutes after nine");
    }
    instance.look(morning + TimeDelta::minutes(180)).await.unwrap();
    assert_eq!(mornings(&system).await[0].facts["is_complete"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notifier_whose_zone_is_not_the_databases_tells_of_nothing_and_says_why() {
    let system = System::start().await;
    let mut instance = Instance::on(&system, "09:00", Some(chrono_tz::Asia::Vladivostok)).await;
    let cause = instance.look(at("2026-03-11T12:00:00+03:00")).await.unwrap_err().to_string();
    assert!(cause.contains("Asia/Vladivostok") && cause.contains("Europe/Moscow"), "{cause}");
    // Without one of its own it takes the database's.
    let mut instance = Instance::on(&system, "09:00", None).await;
    instance.look(at("2026-03-11T08:59:00+03:00")).await.unwrap();
    assert_eq!(told(&system).await.len(), 0);
    instance.look(at("2026-03-11T09:00:00+03:00")).await.unwrap();
    assert_eq!(told(&system).await, ["2026-03-10"]);
}
