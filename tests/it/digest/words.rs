//! What people read, in both languages; figures by hand, see [`super::figures`].

use super::figures::{receive_letters_on_the_tenth, tuesdays};
use crate::{
    golden::{say, settle},
    support::{Said, System},
};

fn print(system: &System, day: &str, language: &str) -> Said {
    system.says(&["alerts", "digest", "--print", "--day", day, "--language", language])
}

/// The messages of some days, in one language after the other.
fn messages(system: &System, days: &[&str]) -> String {
    let of = |language: &str| days.iter().map(|day| print(system, day, language).well()).collect::<Vec<_>>();
    [of("ru"), of("en")].concat().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_told_in_five_lines_of_russian_or_english() {
    let system = System::start().await;
    say(&system, &tuesdays()).await;
    settle(&system).await;
    receive_letters_on_the_tenth(&system).await;
    // Two Tuesdays before are no habit.
    insta::assert_snapshot!(messages(&system, &["2026-03-10", "2026-02-24"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_without_events_is_said_to_be_one_and_a_day_without_dialogs_has_no_conversion() {
    let system = System::start().await;
    let error = r#"2026-03-10T12:00:00+03:00  1  error_occurred  {"error_class":"<b>\u0007&"}"#;
    say(&system, error).await;
    say(&system, r"2026-03-11T12:00:00+03:00  1  error_occurred  {}").await;
    settle(&system).await;
    // And a day that is not over.
    insta::assert_snapshot!(messages(&system, &["2026-03-09", "2026-03-10", "2026-03-11", "9999-12-31"]));
    print(&system, "2026-03-10", "de").complaining(2, &["expected ru or en"]);
    print(&system, "yesterday", "ru").complaining(2, &["expected a day, for example 2026-11-24"]);
}
