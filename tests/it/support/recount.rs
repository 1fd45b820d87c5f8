//! Every rollup against an independent recount of the raw table.

use super::System;
use sqlx::{AssertSqlSafe, PgConnection};
use valera_pipeline::rollups::ALL;

/// Fails with the rows that differ. Everything published must have been settled.
pub(crate) async fn assert_rollups_agree(system: &System) {
    let differences = differences_from_recount(&mut system.postgres().await).await;
    assert!(differences.is_empty(), "the rollups are not their recount:\n{}", differences.join("\n"));
}

/// Rows of rollups that only one of table and recount has, at most ten of each; and how many events only one of raw and
/// inbox has.
pub(crate) async fn differences_from_recount(connection: &mut PgConnection) -> Vec<String> {
    let mut differences = Vec::new();
    for rollup in ALL {
        let columns: Vec<_> = rollup.key().chain(rollup.columns()).collect();
        let columns = columns.join(", ");
        let difference = format!(
            "WITH recounted AS (SELECT * FROM analytics_events),
                kept AS (SELECT {columns} FROM rollups.{name}),
                recount AS (SELECT {columns} FROM ({recount}) AS recount)
             SELECT '{name} kept ' || row_to_json(x)::text FROM (SELECT * FROM kept EXCEPT SELECT * FROM recount) AS x
             UNION ALL
             SELECT '{name} recounted ' || row_to_json(x)::text
             FROM (SELECT * FROM recount EXCEPT SELECT * FROM kept) AS x
             LIMIT 10",
            name = rollup.name,
            recount = rollup.recount(),
        );
        differences.extend(
            sqlx::query_scalar::<_, String>(AssertSqlSafe(difference)).fetch_all(&mut *connection).await.unwrap(),
        );
    }
    let apart: i64 = sqlx::query_scalar(
        "SELECT count(*)
         FROM (SELECT event_id, content_hash FROM analytics_events) AS raw
         FULL JOIN rollups.inbox AS inbox USING (event_id, content_hash)
         WHERE raw.event_id IS NULL OR inbox.event_id IS NULL",
    )
    .fetch_one(connection)
    .await
    .unwrap();
    if apart > 0 {
        differences.push(format!("raw and inbox hold {apart} different events"));
    }
    differences
}
