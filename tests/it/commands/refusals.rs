//! What must not go together does not start, and says why: another zone, another key, another topology.

use crate::support::{Said, System, program};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::time::Duration;
use uuid::Uuid;
use valera_pipeline::service::STREAM;

const OTHER_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

#[tokio::test(flavor = "multi_thread")]
async fn migrating_again_changes_nothing_and_says_the_zone() {
    let system = System::start().await;
    for _ in 0..2 {
        assert!(system.says(&["migrate"]).well().contains("days are cut in Europe/Moscow"));
    }
    let unsaid = Said::by(system.program().arg("migrate").env_remove("VALERA_TIMEZONE")).well();
    assert!(unsaid.contains("Europe/Moscow"), "{unsaid}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_zone_or_key_than_the_databases_is_refused_by_migrate_and_by_every_service() {
    let system = System::start().await;
    for command in [&["migrate"][..], &["run", "persister"], &["run", "rollups"], &["run", "all"]] {
        let zone = Said::by(system.program().args(command).env("VALERA_TIMEZONE", "Europe/Berlin"));
        zone.complaining(1, &["VALERA_TIMEZONE, or --timezone, is Europe/Berlin", "Europe/Moscow"]);
        let mut other = system.program();
        other.args(command).env_remove("VALERA_CONTENT_KEY_FILE").env("VALERA_CONTENT_KEY", OTHER_KEY);
        let key = Said::by(&mut other);
        key.complaining(1, &["VALERA_CONTENT_KEY_FILE, or --content-key-file, has the fingerprint"]);
        assert!(!key.err.contains(OTHER_KEY) && !key.out.contains(OTHER_KEY), "the key is shown");
        let mut none = system.program();
        none.args(command).env_remove("VALERA_CONTENT_KEY_FILE");
        Said::by(&mut none).complaining(1, &["VALERA_CONTENT_KEY_FILE is not set", "--content-key-file"]);
        let mut malformed = system.program();
        malformed.args(command).env_remove("VALERA_CONTENT_KEY_FILE").env("VALERA_CONTENT_KEY", "s3cret");
        let malformed = Said::by(&mut malformed);
        malformed.complaining(1, &["VALERA_CONTENT_KEY"]);
        assert!(!malformed.err.contains("s3cret"), "{malformed:?}");
        let mut missing = system.program();
        Said::by(missing.args(command).args(["--content-key-file", "/nowhere"]))
            .complaining(1, &["VALERA_CONTENT_KEY_FILE or --content-key-file, /nowhere"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_not_migrated_or_knows_no_such_zone_is_refused() {
    let system = System::start().await;
    let url = another_database(&system, "other", "").await;
    Said::by(system.program().args(["run", "persister"]).env("DATABASE_URL", &url)).complaining(1, &["migrate"]);
    Said::by(system.program().args(["funnel"]).env("DATABASE_URL", &url)).complaining(1, &["migrate"]);
    let nobody = Uuid::nil().to_string();
    for command in [
        &["dead-letters", "list"][..],
        &["dead-letters", "show", &nobody],
        &["dead-letters", "retry", &nobody],
        &["dead-letters", "discard", &nobody, "--reason", "why not"],
        &["catalogue", "report"],
        &["replay", "list"],
        &["replay", "pause", "x"],
        &["replay", "cancel", "x"],
        &["replay", "--into", "rollups"],
        &["verify"],
        &["verify", "--position"],
        &["rebuild", "--yes"],
        &["status"],
        &["latency"],
    ] {
        let said = Said::by(system.program().args(command).env("DATABASE_URL", &url));
        said.complaining(1, &["`valera-analytics migrate`"]);
        assert_eq!(said.err.matches("migrate").count(), 1, "{said:?}");
        assert!(!said.err.contains("connecting to Postgres"), "{said:?}");
    }
    let mars =
        Said::by(system.program().arg("migrate").env("DATABASE_URL", &url).env("VALERA_TIMEZONE", "Mars/Base"));
    mars.complaining(1, &["Mars/Base", "VALERA_TIMEZONE, or --timezone"]);
    // A wrong zone must not stay behind.
    let mended = Said::by(system.program().arg("migrate").env("DATABASE_URL", &url)).well();
    assert!(mended.contains("Europe/Moscow"), "{mended}");
}

/// In LATIN1 Postgres refuses Cyrillic, and each event with it would look as if it were at fault.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_another_encoding_than_utf8_is_refused() {
    let system = System::start().await;
    let latin = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    let url = another_database(&system, "latin", latin).await;
    let said = Said::by(system.program().arg("migrate").env("DATABASE_URL", &url));
    said.complaining(1, &["LATIN1", "ENCODING 'UTF8'"]);
}

async fn another_database(system: &System, name: &str, options: &str) -> String {
    let url = system.local.postgres.url();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let create = format!("CREATE DATABASE {name} {options}");
    sqlx::query(AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

#[tokio::test(flavor = "multi_thread")]
async fn topology_names_a_change_on_the_server_and_mends_it() {
    let system = System::start().await;
    system.says(&["topology", "apply"]).well();
    assert!(system.says(&["topology", "diff"]).well().contains("has what this program needs"));

    let context = system.jetstream().await;
    let mut config = context.get_stream(STREAM).await.unwrap().cached_info().config.clone();
    config.duplicate_window = Duration::from_secs(1);
    context.update_stream(config).await.unwrap();
    context.get_stream(STREAM).await.unwrap().delete_consumer("rollups").await.unwrap();
    let diff = system.says(&["topology", "diff"]);
    diff.complaining(1, &["2 differences", "topology apply"]);
    assert!(diff.out.contains("duplicate_window") && diff.out.contains("rollups"), "{diff:?}");

    system.says(&["topology", "apply"]).well();
    system.says(&["topology", "diff"]).well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_named_without_its_password() {
    let system = System::start().await;
    let mut nats = system.program();
    nats.args(["track", "review_left", "--chat-id=1"]).env("NATS_URL", "nats://bot:s3cret@127.0.0.1:1");
    let nats = Said::by(&mut nats);
    nats.complaining(1, &["127.0.0.1:1"]);
    assert!(!nats.err.contains("s3cret"), "{nats:?}");
    let mut postgres = system.program();
    postgres.arg("funnel").env("DATABASE_URL", "postgres://bot:s3cret@127.0.0.1:1/valera");
    let postgres = Said::by(&mut postgres);
    postgres.complaining(1, &["Postgres"]);
    assert!(!postgres.err.contains("s3cret"), "{postgres:?}");
}

#[test]
fn the_env_file_of_another_project_is_not_read() {
    let above = tempfile::tempdir().unwrap();
    let here = above.path().join("here");
    std::fs::create_dir(&here).unwrap();
    std::fs::write(above.path().join(".env"), "DATABASE_URL=postgres://elsewhere/other\n").unwrap();
    Said::by(program().arg("funnel").current_dir(&here)).complaining(2, &["--database-url"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credentials_in_an_address_are_the_ones_that_are_used() {
    let system = System::start().await;
    let url = system.mute_url();
    Said::by(system.program().arg("status").env("NATS_URL", &url)).well();
    let wrong = url.replace("mute@", "wr0ng@");
    let refused = Said::by(system.program().arg("status").env("NATS_URL", &wrong));
    refused.complaining(1, &["connecting to NATS", "authorization"]);
    assert!(!refused.err.contains("wr0ng"), "the password is shown");
}
