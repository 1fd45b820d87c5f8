//! Cases counted by hand: events as a table, and the tables that must come of them.
//!
//! The events are sent as an import, so that they can stand at dates that a reader can check on paper. Expected tables
//! are plain text, a row a line, columns two spaces apart, as `psql` and people write them. Every case also goes
//! through the recount. It does not compute what it expects.

mod chat;
mod clock;
mod edges;
mod identity;
mod questions;
mod rails;
mod zones;

use crate::support::{System, assert_rollups_agree};
use sqlx::AssertSqlSafe;

/// Publishes events, one a line: when, chat, name, properties. Without ids and in this order.
pub(crate) async fn say(system: &System, events: &str) {
    for (number, line) in lines(events).into_iter().enumerate() {
        let [at, chat, name, properties] = line[..] else { panic!("not four columns: {line:?}") };
        let body = format!(r#"{{"chat_id":{chat},"occurred_at":"{at}","properties":{properties}}}"#);
        // A second time events are said is another.
        let msg_id = format!("golden/{at}/{number}");
        let headers = [("Valera-Origin", "import"), ("Nats-Msg-Id", &msg_id)];
        system.publish(&format!("analytics.{name}"), &headers, body).await;
    }
}

/// Settles what was published, and holds the rollups to a recount.
pub(crate) async fn settle(system: &System) {
    system.settle().await;
    assert_rollups_agree(system).await;
}

/// Compares the rows of a query with a table; null is `-`, and an empty text `''`.
async fn assert_table(system: &System, query: &str, expected: &str) {
    let as_text = format!(
        "SELECT ARRAY(SELECT CASE value WHEN '' THEN '''''' ELSE coalesce(value, '-') END
            FROM json_each_text(row_to_json(t)))
         FROM ({query}) AS t"
    );
    let rows: Vec<Vec<String>> =
        sqlx::query_scalar(AssertSqlSafe(as_text)).fetch_all(&mut system.postgres().await).await.unwrap();
    let shown: Vec<_> = rows.iter().map(|row| row.join("  ")).collect();
    assert_eq!(rows, lines(expected), "{query} gives\n{}", shown.join("\n"));
}

/// The cells of a table, line by line.
fn lines(table: &str) -> Vec<Vec<&str>> {
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect()
}

const FUNNEL: &str = "SELECT day, chats, dialogs, suggestions, services_added, carts_confirmed, bookings,
    dialogs_with_suggestion, dialogs_with_booking, conversion_rate, conversion_of_chats
    FROM rollups.funnel_daily ORDER BY day";
const WEEKS: &str = "SELECT week, chats, dialogs, bookings, dialogs_with_booking, conversion_rate
    FROM rollups.funnel_weekly ORDER BY week";
const COUNTS: &str = "SELECT hour, event_name, platform, events
    FROM rollups.event_counts_hourly ORDER BY hour, event_name COLLATE \"C\", platform";
const LETTERS: &str = "SELECT event_name, reasons->0->>'reason', reasons->0->>'path', status
    FROM dead_letters ORDER BY stream_seq";

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_before_its_dialog_counts_like_one_after_it() {
    let system = System::start().await;
    let booking = r#"{"booking_id":1,"services_count":1,"estimated_total":"15000.50"}"#;
    say(
        &system,
        &format!(
            "2026-03-10T12:30:00+03:00  1  booking_request_created  {booking}
             2026-03-10T12:00:00+03:00  1  ai_dialog_started        {{}}
             2026-03-10T12:00:00+03:00  2  ai_dialog_started        {{}}
             2026-03-10T12:30:00+03:00  2  booking_request_created  {booking}
             2026-03-10T12:00:00+03:00  3  ai_dialog_started        {{}}"
        ),
    )
    .await;
    settle(&system).await;
    assert_table(&system, FUNNEL, "2026-03-10  3  3  0  0  0  2  0  2  66.67  66.67").await;
    assert_table(
        &system,
        "SELECT chat_id, first_dialog_at, first_booking_at, events FROM rollups.chat_days ORDER BY chat_id",
        "1  2026-03-10T09:00:00+00:00  2026-03-10T09:30:00+00:00  2
         2  2026-03-10T09:00:00+00:00  2026-03-10T09:30:00+00:00  2
         3  2026-03-10T09:00:00+00:00  -                          1",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_without_a_dialog_counts_as_a_booking_but_not_as_a_conversion() {
    let system = System::start().await;
    say(
        &system,
        r#"2026-03-10T12:00:00+03:00  1  booking_request_created  {"booking_id":"A-1","services_count":1,"estimated_total":1}
           2026-03-10T12:00:00+03:00  2  ai_dialog_started        {}
           2026-03-11T12:00:00+03:00  1  service_suggested        {"service_name":"paint","confidence_score":0.5}"#,
    )
    .await;
    settle(&system).await;
    assert_table(
        &system,
        FUNNEL,
        "2026-03-10  2  1  0  0  0  1  0  0  0.00  50.00
         2026-03-11  1  0  1  0  0  0  0  0  -     0.00",
    )
    .await;
}
