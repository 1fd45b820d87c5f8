//! What the tables hold, to the last bit, in a form that can be compared.

use super::System;
use sqlx::AssertSqlSafe;
use std::collections::BTreeMap;

/// Each table of the store with its rows' number and a hash over all of them, times of writing included.
pub(crate) async fn contents(system: &System) -> BTreeMap<String, (i64, Option<String>)> {
    let mut connection = system.postgres().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.oid::regclass::text
         FROM pg_class c
         WHERE c.relnamespace IN ('public'::regnamespace, 'rollups'::regnamespace)
            AND c.relkind IN ('r', 'p')
            AND NOT c.relispartition
            AND c.relname NOT IN ('replays', '_sqlx_migrations')",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    let mut contents = BTreeMap::new();
    for table in tables {
        let query = format!("SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} AS t");
        let holds = sqlx::query_as(AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap();
        contents.insert(table, holds);
    }
    contents
}
