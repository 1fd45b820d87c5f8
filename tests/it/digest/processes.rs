//! The morning message of whole processes, on the channel `log`: their standard error is what people see.
//!
//! It is noon in the zone of these systems, whenever the tests run.

use super::mornings::{Instance, Seen, settings};
use crate::support::{Process, Said, System, Version, eventually};
use chrono::{TimeDelta, Timelike, Utc};
use serde_json::Value;
use std::{fs, path::PathBuf, process::Command, sync::Arc};
use valera_pipeline::{
    alerts::{bucket, digest::Morning},
    probe::NoProbe,
};

async fn system_at_noon() -> System {
    let hour = i64::from(Utc::now().hour());
    // The names of these zones count westward.
    System::start_on(Version::Current, &format!("Etc/GMT{:+}", hour - 12)).await
}

/// A process whose standard error is kept.
struct Heard {
    process: Process,
    file: PathBuf,
}

impl Heard {
    fn start(system: &System, name: &str, mut command: Command) -> Self {
        let file = system.dir().join(name);
        command.stderr(fs::File::create(&file).unwrap());
        Self { process: Process::of(command), file }
    }

    fn notifier(system: &System, name: &str, digest_at: &str) -> Self {
        let mut command = system.program();
        command.args(["run", "notifier"]).env("VALERA_DIGEST_AT", digest_at);
        Self::start(system, name, command)
    }

    fn says(&self, words: &str) -> usize {
        fs::read_to_string(&self.file).unwrap().matches(words).count()
    }
}

/// What stands under the key of the channel `log`.
async fn standing(system: &System) -> Option<Value> {
    let bucket = bucket(&system.jetstream().await).await.unwrap();
    bucket.get("digest.log").await.unwrap().map(|claim| serde_json::from_slice(&claim).unwrap())
}

const MESSAGE: &str = "Итоги дня";
const KNOWN: &str = "this day was told of already";

#[tokio::test(flavor = "multi_thread")]
async fn of_several_notifiers_one_sends_the_morning_message_and_not_before_postgres_is_there() {
    let mut system = system_at_noon().await;
    system.local.postgres.stop().await.unwrap();
    let first = Heard::notifier(&system, "first", "00:00");
    eventually("the first one waits", || async { first.says("the morning message has to wait") == 1 }).await;
    assert!(standing(&system).await.is_none());
    system.local.postgres.restart().await.unwrap();
    let second = Heard::notifier(&system, "second", "00:00");
    eventually("the second one tells", || async { second.says(MESSAGE) == 1 }).await;
    let third = Heard::notifier(&system, "third", "00:00");
    eventually("the third one knows", || async { third.says(KNOWN) == 1 }).await;
    assert_eq!([&first, &second, &third].map(|heard| heard.says(MESSAGE)), [0, 1, 0]);
    let claim = standing(&system).await.unwrap();
    assert!(claim["sent_at"].is_string(), "{claim}");

    // By hand it is sent as often as it is asked for, and without any claim.
    for _ in 0..2 {
        let mut by_hand = system.program();
        by_hand.args(["alerts", "digest", "--to", "log"]).env("VALERA_LOG", "info");
        let said = Said::by(&mut by_hand);
        assert_eq!((said.err.matches(MESSAGE).count(), said.out.as_str()), (1, "log: shown\n"), "{said:?}");
    }
    assert_eq!(standing(&system).await.unwrap(), claim);
    system.says(&["alerts", "digest", "--to", "pigeon"]).complaining(2, &["pigeon"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notifier_killed_while_it_sends_leaves_the_morning_to_a_person() {
    let system = system_at_noon().await;
    let mut command = Process::killable_command(&system.local.dir().join("env"), &["digest", "before-commit"]);
    command.env("VALERA_LOG", "info");
    let mut killed = Heard::start(&system, "killed", command);
    killed.process.ended("it dies when it has sent").await;
    assert_eq!(killed.says(MESSAGE), 1);
    let claimed = standing(&system).await.unwrap();
    assert!(claimed["sent_at"].is_null(), "{claimed}");

    let next = Heard::notifier(&system, "next", "00:00");
    let seen = Seen::default();
    let mut successor = Instance::of(&system, &seen).await;
    let zone = system.environment().time_zone.as_deref().unwrap().parse().unwrap();
    successor.morning = Morning::new(settings(&system, Some(zone)), "log", Arc::new(NoProbe)).unwrap();
    for minutes in 0..10 {
        successor.look(Utc::now() + TimeDelta::minutes(minutes)).await.unwrap();
    }
    assert_eq!(seen.lock().unwrap().len(), 0);
    eventually("the next process leaves it", || async { next.says("another instance has claimed this day") > 0 })
        .await;
    assert_eq!(next.says(MESSAGE), 0);
    assert_eq!(standing(&system).await.unwrap(), claimed);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_morning_message_before_its_hour_or_where_it_is_off_or_without_a_database() {
    let system = system_at_noon().await;
    let off = Heard::notifier(&system, "off", "off");
    let early = Heard::notifier(&system, "early", "23:59");
    let mut command = system.program();
    command.args(["run", "notifier"]).env("VALERA_DIGEST_AT", "00:00").env_remove("DATABASE_URL");
    let without = Heard::start(&system, "without", command);
    let mut command = system.program();
    command.args(["run", "notifier"]).env("VALERA_DIGEST_AT", "9");
    Said::by(&mut command).complaining(2, &["expected a local time as 09:00, or off"]);
    eventually("it says so", || async { without.says("there is no morning message") == 1 }).await;
    let due = Heard::notifier(&system, "due", "00:00");
    eventually("the one that is due tells", || async { due.says(MESSAGE) == 1 }).await;
    for heard in [&off, &early, &without] {
        assert_eq!(heard.says(MESSAGE), 0);
    }
}
