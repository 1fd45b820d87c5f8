//! Writers' sessions keep what acks rest on, whatever the database was told.

use crate::support::System;
use sqlx::AssertSqlSafe;
use valera_pipeline::store::Writer;

/// A commit that is told of before it is on the disk would be acked, and lost with the power.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_waited_for_until_it_is_on_the_disk_also_where_the_database_does_not_ask_for_it() {
    let system = System::start().await;
    let url = system.local.postgres.url();
    let (_, database) = url.rsplit_once('/').unwrap();
    for (asked, kept) in [("off", "on"), ("on", "on"), ("remote_apply", "remote_apply")] {
        let alter = format!("ALTER DATABASE {database} SET synchronous_commit = {asked}");
        sqlx::query(AssertSqlSafe(alter)).execute(&mut system.postgres().await).await.unwrap();
        let mut writer = Writer::new(&url, "a writer", "").unwrap();
        let set: String = sqlx::query_scalar("SHOW synchronous_commit")
            .fetch_one(writer.connection().await.unwrap())
            .await
            .unwrap();
        assert_eq!(set, kept, "where the database asks for {asked}");
    }
}
