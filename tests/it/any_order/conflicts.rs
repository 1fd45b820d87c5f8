//! One identity, two contents: raw keeps one and the other is a dead letter; where the rollups kept the other one,
//! `verify` names the id and `verify --repair` makes all of it what raw says.

use super::{
    for_all, same,
    story::{Batch, Fate, Story, stored_as},
    world::{Ended, World},
};
use crate::support::differences_from_recount;
use proptest::test_runner::{Config, TestCaseResult};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use uuid::Uuid;
use valera_pipeline::{
    consume::Link,
    handler::{Delivery, Outcome},
    verify::{self, Verdict},
};

/// What fits the suite.
const CASES: u32 = 20;

async fn verdict(world: &World) -> Verdict {
    let link = Link::new(world.system.local.nats.url(), "verify");
    verify::verify(&link, &world.system.environment().database_url, Duration::ZERO, |_| {}).await.unwrap()
}

/// Which delivery a consumer took for each id.
fn taken(ended: &[Ended]) -> BTreeMap<Uuid, &Delivery> {
    let stored = ended.iter().filter(|(_, outcome)| *outcome == Outcome::Stored);
    stored.filter_map(|(delivery, _)| Some((stored_as(delivery)?, delivery))).collect()
}

fn content(delivery: &Delivery) -> (&str, &[u8]) {
    (&delivery.subject, &delivery.body)
}

async fn is_named_and_repaired(world: &mut World, story: &Story) -> TestCaseResult {
    let plans = [0, 1].map(|consumer| story.plan(consumer));
    let [raw, counted] = world.tell([0, 1].map(|consumer| story.batches(consumer)), plans).await;
    let (stored, folded) = (taken(&raw), taken(&counted));

    let expected: Vec<String> = conflict_letters(&raw, &stored).into_iter().collect();
    let letters: Vec<String> = sqlx::query_scalar(
        "SELECT event_id || ' ' || convert_from(payload, 'UTF8') FROM dead_letters
         WHERE reasons->0->>'reason' = 'conflicting_duplicate'",
    )
    .fetch_all(&mut world.connection)
    .await
    .unwrap();
    same("letters of what raw did not keep", &expected, &letters)?;

    let disagreeing = stored.iter().filter(|(id, kept)| content(kept) != content(folded[*id]));
    let disagreeing: Vec<String> = disagreeing.map(|(id, _)| id.to_string()).collect();
    let before = verdict(world).await;
    same("ids that verify names", &disagreeing, &before.disagreeing.iter().map(Uuid::to_string).collect::<Vec<_>>())?;
    assert_eq!(before.agrees(), disagreeing.is_empty(), "{before:?}");
    assert_eq!((before.pending, before.late, before.missing.len(), before.unstored.len()), (0, 0, 0, 0));

    let repaired = verify::repair(&world.system.environment().database_url, Duration::ZERO, |_| {}).await.unwrap();
    assert_eq!(repaired.disagreeing, disagreeing.len());
    let after = verdict(world).await;
    assert!(after.agrees() && after.disagreeing.is_empty(), "{after:?}");
    same("the rollups are not their recount", &[], &differences_from_recount(&mut world.connection).await)?;

    let rows = world.rows().await;
    let kept = Batch { deliveries: stored.into_values().cloned().collect(), fate: Fate::Lives };
    world.tell([vec![kept.clone()], vec![kept]], plans).await;
    let letterless =
        |rows: Vec<String>| -> Vec<_> { rows.into_iter().filter(|row| !row.starts_with("dead_letters ")).collect() };
    same("repaired, it is not what raw's events fold into", &letterless(world.rows().await), &letterless(rows))
}

/// Of every content that came under an id and is not the one that raw kept.
fn conflict_letters(came: &[Ended], stored: &BTreeMap<Uuid, &Delivery>) -> BTreeSet<String> {
    let of = came.iter().filter_map(|(delivery, _)| Some((stored_as(delivery)?, delivery)));
    of.filter(|(id, delivery)| content(delivery) != content(stored[id]))
        .map(|(id, delivery)| format!("{id} {}", String::from_utf8_lossy(&delivery.body)))
        .collect()
}

#[test]
fn a_conflict_is_a_letter_and_where_raw_and_rollups_disagree_it_is_named_and_repaired() {
    for_all(CASES, true, &is_named_and_repaired);
}

#[test]
#[ignore = "long: run by make proof"]
fn many_more_conflicts_are_named_and_repaired() {
    for_all(Config::default().cases / 10, true, &is_named_and_repaired);
}
