//! The morning message is told once a day and channel: later when something is away, never twice.
//!
//! The tests here say what time it is; none waits for an hour. What processes do is in [`super::processes`].

use super::figures::tuesdays;
use crate::{
    golden::{say, settle},
    support::{System, event, eventually},
};
use async_nats::jetstream;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::{Europe::Moscow, Tz};
use futures::future::BoxFuture;
use serde_json::json;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};
use valera_pipeline::{
    alerts::{
        Language,
        delivery::{
            Texts,
            channel::{Channel, Message, Shown, Undelivered},
        },
        digest::{Morning, Settings},
    },
    probe::NoProbe,
    service::Service,
};

/// What people saw, over all instances of a channel.
pub(super) type Seen = Arc<Mutex<Vec<Message>>>;

/// A channel that keeps what it shows, and fails as it is told to.
#[derive(Default)]
struct Wall {
    seen: Seen,
    faults: VecDeque<Undelivered>,
}

impl Channel for Wall {
    fn name(&self) -> &'static str {
        "wall"
    }

    fn show<'a>(
        &'a mut self,
        message: &'a Message,
        _: Option<&'a Shown>,
    ) -> BoxFuture<'a, Result<Shown, Undelivered>> {
        let fault = self.faults.pop_front();
        if matches!(fault, None | Some(Undelivered::Unknown(_))) {
            self.seen.lock().unwrap().push(message.clone());
        }
        Box::pin(async { fault.map_or_else(|| Ok(Shown::default()), Err) })
    }
}

/// An instance of the notifier's morning, with a channel of its own.
pub(super) struct Instance {
    pub(super) morning: Morning,
    wall: Wall,
    context: jetstream::Context,
}

impl Instance {
    pub(super) async fn of(system: &System, seen: &Seen) -> Self {
        let settings = settings(system, Some(Moscow));
        let wall = Wall { seen: seen.clone(), faults: VecDeque::new() };
        Self {
            morning: Morning::new(settings, "wall", Arc::new(NoProbe)).unwrap(),
            wall,
            context: system.jetstream().await,
        }
    }

    pub(super) async fn look(&mut self, now: DateTime<Utc>) -> anyhow::Result<()> {
        self.morning.look(now, &self.context, &mut self.wall).await
    }
}

pub(super) fn settings(system: &System, zone: Option<Tz>) -> Settings {
    Settings {
        at: "09:00".parse().unwrap(),
        database_url: system.environment().database_url.clone(),
        zone,
        texts: Arc::new(Texts::new(Language::English, None, None).unwrap()),
    }
}

fn at(time: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(time).unwrap().to_utc()
}

/// The days that people were told of.
fn told(seen: &Seen) -> Vec<String> {
    let day = |message: &Message| message.title.strip_prefix("Summary of ").unwrap().to_owned();
    seen.lock().unwrap().iter().map(day).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_instances_one_tells_of_the_day_and_once() {
    let system = System::start().await;
    say(&system, &tuesdays()).await;
    settle(&system).await;
    let seen = Seen::default();
    let mut instances = Vec::new();
    for _ in 0..8 {
        instances.push(Instance::of(&system, &seen).await);
    }
    for (now, told_by_then) in [
        ("2026-03-11T08:59:59+03:00", &[][..]),
        ("2026-03-11T09:00:00+03:00", &["Tuesday, 10 March"]),
        ("2026-03-11T09:01:00+03:00", &["Tuesday, 10 March"]),
        ("2026-03-11T23:59:00+03:00", &["Tuesday, 10 March"]),
        ("2026-03-12T00:10:00+03:00", &["Tuesday, 10 March"]),
        ("2026-03-12T20:00:00+03:00", &["Tuesday, 10 March", "Wednesday, 11 March"]),
    ] {
        let looks = instances.iter_mut().map(|instance| instance.look(at(now)));
        for looked in futures::future::join_all(looks).await {
            looked.unwrap();
        }
        assert_eq!(told(&seen), told_by_then, "at {now}");
    }
    // One that starts anew knows it too, and a clock that went back moves nothing.
    let mut late = Instance::of(&system, &seen).await;
    late.look(at("2026-03-12T21:00:00+03:00")).await.unwrap();
    late.look(at("2026-03-11T21:00:00+03:00")).await.unwrap();
    assert_eq!(told(&seen).len(), 2);
    let messages = seen.lock().unwrap();
    assert_eq!(messages[0].key, "digest/2026-03-10");
    assert!(messages[0].text.contains("Bookings: 3 (usual on a Tuesday: 2)"), "{}", messages[0].text);
    assert!(!messages[0].text.contains("incomplete"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_morning_that_postgres_slept_through_is_told_of_once_it_is_back() {
    let mut system = System::start().await;
    let seen = Seen::default();
    let mut first = Instance::of(&system, &seen).await;
    let mut second = Instance::of(&system, &seen).await;
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
    assert_eq!(told(&seen), ["Tuesday, 10 March"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_not_counted_is_waited_for_three_hours_and_then_told_of_as_such() {
    let system = System::start().await;
    // Received today, so that today's end is what both consumers have to pass.
    let now = Utc::now();
    event("ai_dialog_started", 1, now, json!({})).publish(&system).await;
    let morning = (now + TimeDelta::hours(24)).with_timezone(&Moscow).date_naive().and_hms_opt(9, 0, 0).unwrap();
    let morning = morning.and_local_timezone(Moscow).unwrap().to_utc();
    let (patient, hurried) = (Seen::default(), Seen::default());
    let mut instance = Instance::of(&system, &patient).await;
    instance.look(morning).await.unwrap();
    system.run_dry(Service::Persister).await;
    instance.look(morning + TimeDelta::minutes(1)).await.unwrap();
    assert_eq!(told(&patient).len(), 0, "the rollups lag behind");

    let _rollups = system.run(Service::Rollups);
    eventually("the day is counted and told of", async || {
        instance.look(morning + TimeDelta::minutes(2)).await.unwrap();
        told(&patient).len() == 1
    })
    .await;
    let text = patient.lock().unwrap()[0].text.clone();
    assert!(text.contains("Dialogs: 1") && !text.contains("incomplete"), "{text}");
    drop(_rollups);

    // The next day's events reach nobody.
    let system = System::start().await;
    event("ai_dialog_started", 1, now, json!({})).publish(&system).await;
    let mut instance = Instance::of(&system, &hurried).await;
    for minutes in [0, 1, 179] {
        instance.look(morning + TimeDelta::minutes(minutes)).await.unwrap();
        assert_eq!(told(&hurried).len(), 0, "{minutes} minutes after nine");
    }
    instance.look(morning + TimeDelta::minutes(180)).await.unwrap();
    let text = hurried.lock().unwrap()[0].text.clone();
    assert!(text.contains("incomplete"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_is_tried_again_and_what_may_have_arrived_is_not() {
    let system = System::start().await;
    let seen = Seen::default();
    let mut instance = Instance::of(&system, &seen).await;
    let away = || anyhow::anyhow!("nobody answers");
    instance.wall.faults =
        [Undelivered::Away(away()), Undelivered::Busy(Duration::from_secs(300)), Undelivered::Unknown(away())].into();
    let look = async |instance: &mut Instance, now: &str| instance.look(at(now)).await.is_ok();
    assert!(!look(&mut instance, "2026-03-11T09:00:00+03:00").await);
    assert!(!look(&mut instance, "2026-03-11T09:01:00+03:00").await);
    // Left alone for as long as it wants.
    assert!(look(&mut instance, "2026-03-11T09:02:00+03:00").await);
    assert_eq!(instance.wall.faults.len(), 1);
    assert!(look(&mut instance, "2026-03-11T09:06:00+03:00").await);
    assert_eq!(told(&seen), ["Tuesday, 10 March"]);
    // It may have been seen; neither this one nor its successor sends it again.
    let mut successor = Instance::of(&system, &seen).await;
    for now in ["2026-03-11T09:07:00+03:00", "2026-03-11T09:08:00+03:00", "2026-03-11T09:09:00+03:00"] {
        assert!(look(&mut instance, now).await && look(&mut successor, now).await);
    }
    assert_eq!(told(&seen).len(), 1);

    // What is refused stays refused; the next morning is another one.
    successor.wall.faults = [Undelivered::Refused("too loud".to_owned())].into();
    assert!(look(&mut successor, "2026-03-12T09:00:00+03:00").await);
    assert!(look(&mut instance, "2026-03-12T09:01:00+03:00").await);
    assert_eq!(told(&seen).len(), 1);
    assert!(look(&mut instance, "2026-03-13T09:00:00+03:00").await);
    assert_eq!(told(&seen), ["Tuesday, 10 March", "Thursday, 12 March"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notifier_whose_zone_is_not_the_databases_tells_of_nothing_and_says_why() {
    let system = System::start().await;
    let seen = Seen::default();
    let mut instance = Instance::of(&system, &seen).await;
    let elsewhere = settings(&system, Some(chrono_tz::Asia::Vladivostok));
    instance.morning = Morning::new(elsewhere, "wall", Arc::new(NoProbe)).unwrap();
    let cause = instance.look(at("2026-03-11T12:00:00+03:00")).await.unwrap_err().to_string();
    assert!(cause.contains("Asia/Vladivostok") && cause.contains("Europe/Moscow"), "{cause}");
    // Without one of its own it takes the database's.
    instance.morning = Morning::new(settings(&system, None), "wall", Arc::new(NoProbe)).unwrap();
    instance.look(at("2026-03-11T08:59:00+03:00")).await.unwrap();
    assert_eq!(told(&seen).len(), 0);
    instance.look(at("2026-03-11T09:00:00+03:00")).await.unwrap();
    assert_eq!(told(&seen), ["Tuesday, 10 March"]);
}
