//! Every rollup against an independent recount of the raw table.

use super::System;
use sqlx::AssertSqlSafe;
use valera_pipeline::rollups::ALL;

/// Fails with the rows that differ. Everything published must have been settled.
pub(crate) async fn assert_rollups_agree(system: &System) {
    let mut connection = system.postgres().await;
    for rollup in ALL {
        let columns: Vec<_> = rollup.key().chain(rollup.columns()).collect();
        let columns = columns.join(", ");
        let difference = format!(
            "WITH recounted AS (SELECT * FROM analytics_events),
                kept AS (SELECT {columns} FROM rollups.{name}),
                recount AS ({recount})
             SELECT 'kept ' || row_to_json(x)::text FROM (SELECT * FROM kept EXCEPT SELECT * FROM recount) AS x
             UNION ALL
             SELECT 'recounted ' || row_to_json(x)::text FROM (SELECT * FROM recount EXCEPT SELECT * FROM kept) AS x
             LIMIT 10",
            name = rollup.name,
            recount = rollup.recount(),
        );
        let rows: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(difference)).fetch_all(&mut connection).await.unwrap();
        assert!(rows.is_empty(), "{} differs:\n{}", rollup.name, rows.join("\n"));
    }
    let apart: i64 = sqlx::query_scalar(
        "SELECT count(*)
         FROM (SELECT event_id, content_hash FROM analytics_events) AS raw
         FULL JOIN rollups.inbox AS inbox USING (event_id, content_hash)
         WHERE raw.event_id IS NULL OR inbox.event_id IS NULL",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(apart, 0, "raw and inbox hold different events");
}
