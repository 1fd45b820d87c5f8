//! The morning message of whole processes, on the channel `log`: their standard error is what people see.

use super::{mornings::mornings, system_at_noon};
use crate::support::{Process, Said, System, eventually};
use std::{fs, path::PathBuf, process::Command};

/// A process whose standard error is kept.
struct Heard {
    _process: Process,
    file: PathBuf,
}

impl Heard {
    fn start(system: &System, name: &str, mut command: Command) -> Self {
        let file = system.dir().join(name);
        command.stderr(fs::File::create(&file).unwrap());
        Self { _process: Process::of(command), file }
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

const MESSAGE: &str = "Итоги дня";
const KNOWN: &str = "this day was told of already";

#[tokio::test(flavor = "multi_thread")]
async fn of_several_notifiers_one_sends_the_morning_message_and_not_before_postgres_is_there() {
    let mut system = system_at_noon().await;
    system.local.postgres.stop().await.unwrap();
    let first = Heard::notifier(&system, "first", "00:00");
    eventually("the first one waits", || async { first.says("side=\"the store\"") >= 1 }).await;
    assert_eq!(mornings(&system).await.len(), 0);
    system.local.postgres.restart().await.unwrap();
    // Whoever writes it, the one that serves the channel tells.
    let second = Heard::notifier(&system, "second", "00:00");
    eventually("the first one tells", || async { first.says(MESSAGE) == 1 }).await;
    let third = Heard::notifier(&system, "third", "00:00");
    eventually("the third one knows", || async { third.says(KNOWN) == 1 }).await;
    assert_eq!([&first, &second, &third].map(|heard| heard.says(MESSAGE)), [1, 0, 0]);
    let told = mornings(&system).await;
    assert_eq!(told.len(), 1);
    let listed = system.says(&["alerts", "list"]).well();
    assert!(listed.contains("digest") && listed.contains("noted"), "{listed}");

    // By hand it is sent as often as it is asked for, past the stream.
    for _ in 0..2 {
        let mut by_hand = system.program();
        by_hand.args(["alerts", "digest", "--to", "log"]).env("VALERA_LOG", "info");
        let said = Said::by(&mut by_hand);
        assert_eq!((said.err.matches(MESSAGE).count(), said.out.as_str()), (1, "log: shown\n"), "{said:?}");
    }
    assert_eq!(mornings(&system).await, told);
    system.says(&["alerts", "digest", "--to", "pigeon"]).complaining(2, &["pigeon"]);
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
    Said::by(&mut command).complaining(2, &["expected a local time, for example 09:00, or off"]);
    eventually("it says so", || async { without.says("there is no morning message") == 1 }).await;
    // One of the three serves the channel.
    eventually("one of them has come in", || async {
        [&off, &early, &without].iter().any(|heard| heard.says("holds the lease") > 0)
    })
    .await;
    assert_eq!(mornings(&system).await.len(), 0);
    let due = Heard::notifier(&system, "due", "00:00");
    let all = [&off, &early, &without, &due];
    eventually("it is told once one is due", || async {
        all.iter().map(|heard| heard.says(MESSAGE)).sum::<usize>() == 1
    })
    .await;
}
