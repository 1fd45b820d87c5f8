//! `rebuild`: the same rollups from zero, and nobody who reads them notices.

mod beside;
mod clearing;
mod terminal;
mod told;
mod under_load;

use crate::support::{Load, System, Version, assert_rollups_agree, contents, event};
use chrono::Utc;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    rebuild::Rebuild,
    service::{STREAM, Service},
    topology,
};

async fn built(system: &System) -> Rebuild {
    let shutdown = CancellationToken::new();
    Rebuild::build(system.environment(), Duration::from_secs(1), |_| {}, &shutdown).await.unwrap()
}

async fn system_with_history() -> System {
    let system = System::start().await;
    give_history(&system).await;
    system
}

async fn give_history(system: &System) {
    Load::start(system, 2_000, 600).await.stop().await;
    system.settle().await;
}

fn differing(rebuilt: &Rebuild) -> Vec<(&'static str, i64)> {
    let differing = rebuilt.comparison().differences.iter().filter(|rollup| rollup.differing > 0);
    differing.map(|rollup| (rollup.name, rollup.differing)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_ends_in_the_rows_that_live_folds_made_and_two_more_change_nothing() {
    rebuilt_thrice(System::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_ends_in_the_same_rows_on_postgres_15() {
    rebuilt_thrice(System::start_on(Version::Fifteen, "Europe/Moscow").await).await;
}

async fn rebuilt_thrice(system: System) {
    give_history(&system).await;
    let before = contents(&system).await;
    for _ in 0..3 {
        let rebuilt = built(&system).await;
        assert_eq!(differing(&rebuilt), []);
        rebuilt.swap(|_| {}).await.unwrap();
        assert_eq!(contents(&system).await, before);
        // A duplicate is one to the new inbox as well.
        system.settle().await;
    }
    let load = Load::start(&system, 2_000, 200).await;
    load.stop().await;
    system.settle().await;
    assert_rollups_agree(&system).await;
    let shadows = system
        .count("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^rollups_' AND nspname <> 'rollups_previous'");
    assert_eq!(shadows.await, 0);
    assert_eq!(system.count("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_filled_is_rebuilt_too() {
    let system = System::start().await;
    let rebuilt = built(&system).await;
    assert_eq!((rebuilt.comparison().pending, differing(&rebuilt)), (0, vec![]));
    rebuilt.swap(|_| {}).await.unwrap();
    give_history(&system).await;
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_needs_no_nats_when_raw_has_everything() {
    let mut system = system_with_history().await;
    let before = contents(&system).await;
    system.local.nats.kill().await.unwrap();
    let said = system.says(&["rebuild", "--yes"]).well();
    assert!(said.contains("swapped in"), "{said}");
    assert_eq!(contents(&system).await, before);
}

/// What LIKE does not copy, and what binds tables by number.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_the_rollups_finds_them_as_they_were_set_up() {
    let system = system_with_history().await;
    let set_up = "
        CREATE ROLE metabase;
        GRANT USAGE ON SCHEMA rollups TO metabase;
        GRANT SELECT ON ALL TABLES IN SCHEMA rollups TO metabase;
        CREATE VIEW public.busiest AS SELECT chat_id FROM rollups.chats ORDER BY events DESC LIMIT 1;
        CREATE FUNCTION public.errors() RETURNS numeric LANGUAGE sql
            BEGIN ATOMIC SELECT sum(errors) FROM rollups.errors_hourly; END;";
    sqlx::raw_sql(set_up).execute(&mut system.postgres().await).await.unwrap();
    let described = async || -> Vec<(String, Option<String>, String, Option<String>)> {
        system
            .rows(
                "SELECT c.oid::regclass::text, array_to_string(c.reloptions, ','), coalesce(c.relacl::text, ''),
                    (SELECT string_agg(description, '|' ORDER BY objsubid) FROM pg_description WHERE objoid = c.oid)
                 FROM pg_class c
                 WHERE c.relnamespace = 'rollups'::regnamespace
                    AND c.relkind IN ('r', 'p', 'v')
                    AND NOT c.relispartition
                 ORDER BY 1",
            )
            .await
    };
    let before = described().await;
    assert!(before.iter().any(|(_, options, ..)| options.as_deref() == Some("fillfactor=50")));

    let rebuilt = built(&system).await;
    rebuilt.swap(|_| {}).await.unwrap();
    sqlx::raw_sql("DROP SCHEMA rollups_previous CASCADE").execute(&mut system.postgres().await).await.unwrap();
    assert_eq!(described().await, before);
    event("error_occurred", 999, Utc::now(), json!({"error_class": "X", "context": "y"})).publish(&system).await;
    system.settle().await;
    assert_rollups_agree(&system).await;
    let errors = system.count("SELECT count(*) FROM analytics_events WHERE event_name = 'error_occurred'").await;
    assert_eq!(system.count("SELECT public.errors()::bigint").await, errors);
    assert_eq!(system.count("SELECT count(*) FROM public.busiest").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_shown_before_it_is_swapped_in_and_nothing_is_swapped_without_a_yes() {
    let system = system_with_history().await;
    let before = contents(&system).await;
    let tamper =
        "UPDATE rollups.chats SET events = events + 1 WHERE chat_id = (SELECT min(chat_id) FROM rollups.chats)";
    sqlx::raw_sql(tamper).execute(&mut system.postgres().await).await.unwrap();
    let tampered = contents(&system).await;

    let said = system.says(&["rebuild", "--json", "--wait", "1"]);
    said.complaining(1, &["--yes swaps without asking"]);
    let told: Value = serde_json::from_str(&said.out).unwrap();
    let rollups = told["differences"].as_array().unwrap();
    let differing: Vec<_> = rollups.iter().filter(|rollup| rollup["differing"] != 0).collect();
    let [chats] = differing.as_slice() else { panic!("{told}") };
    assert_eq!((&chats["name"], &chats["differing"]), (&json!("chats"), &json!(1)));
    let bucket = &chats["differences"][0];
    let off_by_one = bucket["kept"]["events"].as_i64().unwrap() - bucket["recounted"]["events"].as_i64().unwrap();
    assert_eq!((bucket["key"].get("chat_id").is_some(), off_by_one), (true, 1), "{bucket}");
    assert_eq!(contents(&system).await, tampered);
    assert_eq!(system.count("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^rollups_'").await, 0);

    let said = system.says(&["rebuild", "--yes"]).well();
    assert!(said.contains("1 buckets differ") && said.contains("swapped in"), "{said}");
    assert_eq!(contents(&system).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollup_that_is_new_is_filled_with_history_that_the_stream_no_longer_holds() {
    let system = system_with_history().await;
    let before = contents(&system).await;
    let context = system.jetstream().await;
    context.delete_stream(STREAM).await.unwrap();
    topology::apply(&context).await.unwrap();
    // As its migration leaves it behind: there, and empty.
    sqlx::raw_sql("TRUNCATE rollups.errors_hourly, rollups.response_histograms_hourly")
        .execute(&mut system.postgres().await)
        .await
        .unwrap();
    let rebuilt = built(&system).await;
    let differing: Vec<_> = differing(&rebuilt).into_iter().map(|(name, _)| name).collect();
    assert_eq!(differing, ["response_histograms_hourly", "response_time_bins_hourly", "errors_hourly"]);
    rebuilt.swap(|_| {}).await.unwrap();
    assert_eq!(contents(&system).await, before);
}

/// Retention moves the horizon before it drops, and a rebuild may come in between.
#[tokio::test(flavor = "multi_thread")]
async fn what_lies_below_the_horizon_is_not_rebuilt_and_no_month_is_made_for_it() {
    let system = system_with_history().await;
    let old = event("cart_confirmed", 1, "2019-05-15T12:00:00Z".parse().unwrap(), json!({}));
    system.publish(&old.subject(), &[("Valera-Origin", "import")], old.body()).await;
    system.settle().await;
    let horizon = "UPDATE settings SET horizon = '2019-06-01 00:00:00+00'";
    sqlx::raw_sql(horizon).execute(&mut system.postgres().await).await.unwrap();
    let rebuilt = built(&system).await;
    assert_eq!(differing(&rebuilt).first(), Some(&("chat_days", 1)));
    rebuilt.swap(|_| {}).await.unwrap();
    assert_eq!(system.count("SELECT count(*) FROM rollups.funnel_daily WHERE day < '2020-01-01'").await, 0);
    assert_eq!(system.count("SELECT count(*) FROM pg_class WHERE relname = 'inbox_y2019m05'").await, 1);
    assert_eq!(
        system.count("SELECT count(*) FROM pg_class WHERE oid = to_regclass('rollups.inbox_y2019m05')").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_replaced_comes_back_with_what_came_since() {
    let system = system_with_history().await;
    let tamper = "UPDATE rollups.chats SET bookings = bookings + 7 WHERE chat_id = 1";
    system.says(&["rebuild", "--swap-back"]).complaining(1, &["no replaced rollups"]);
    sqlx::raw_sql(tamper).execute(&mut system.postgres().await).await.unwrap();
    let bookings = "SELECT bookings FROM rollups.chats WHERE chat_id = 1";
    let before = system.count(bookings).await;
    system.says(&["rebuild", "--yes"]).well();
    assert_eq!(system.count(bookings).await, before - 7);
    let booking = json!({"booking_id": 1, "services_count": 1, "estimated_total": 1});
    event("booking_request_created", 1, Utc::now(), booking).publish(&system).await;
    system.settle().await;

    let said = system.says(&["rebuild", "--swap-back"]).well();
    assert!(said.contains("swapped in"), "{said}");
    assert_eq!(system.count(bookings).await, before + 1);
    system.settle().await;
    // And once more: the good ones are kept too.
    system.says(&["rebuild", "--swap-back"]).well();
    assert_eq!(system.count(bookings).await, before - 7 + 1);
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_in_another_zone_changes_where_days_begin() {
    let mut system = System::start().await;
    // 23:30 and 00:30 in Moscow; 06:30 and 07:30 of one day in Sydney.
    for at in ["2026-11-01T20:30:00Z", "2026-11-01T21:30:00Z"] {
        event("ai_dialog_started", 1, at.parse().unwrap(), json!({})).publish(&system).await;
    }
    system.settle().await;
    let days = "SELECT count(*) FROM rollups.funnel_daily";
    assert_eq!(system.count(days).await, 2);
    let old = system.run(Service::Rollups);

    let said = system.says(&["rebuild", "--yes", "--timezone", "Australia/Sydney"]).well();
    assert!(said.contains("days are cut in Australia/Sydney"), "{said}");
    assert_eq!(system.count(days).await, 1);
    // A worker that still cuts days in Moscow stores nothing more.
    event("ai_dialog_started", 2, "2026-11-01T20:45:00Z".parse().unwrap(), json!({})).publish(&system).await;
    let ready = async || old.watched.health.ready();
    crate::support::eventually("the old worker says why", async || {
        ready().await.is_err_and(|cause| cause.contains("Australia/Sydney"))
    })
    .await;
    old.stop().await;
    system.says(&["verify"]).well();

    system.local.environment.time_zone = Some("Australia/Sydney".to_owned());
    system.settle().await;
    assert_eq!(system.count("SELECT chats FROM rollups.funnel_daily WHERE day = '2026-11-02'").await, 2);
    assert_rollups_agree(&system).await;

    // Back, and the zone with it.
    system.says(&["rebuild", "--swap-back"]).well();
    system.local.environment.time_zone = Some("Europe/Moscow".to_owned());
    system.settle().await;
    assert_eq!(system.count(days).await, 2);
    assert_rollups_agree(&system).await;
}
