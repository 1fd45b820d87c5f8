//! The same events in any order, with any duplication, in any batches, by any number of workers that die anywhere, end
//! in the same rows.
//!
//! Stories are made up, told to the real handlers on a real Postgres, and a failing one is shrunk to what it takes to
//! fail. The suite tells some of them; `make proof` many more (`PROPTEST_CASES` says how many).

mod conflicts;
mod story;
mod vocabulary;
mod world;

use crate::support::differences_from_recount;
use proptest::test_runner::{Config, TestCaseError, TestCaseResult, TestError, TestRunner};
use std::collections::BTreeSet;
use story::{Story, stored_as};
use tokio::runtime::Runtime;
use vocabulary::story;
use world::{World, difference};

/// What fits the suite.
const CASES: u32 = 60;

/// Tells stories until one fails, and then shows what is left of it.
fn for_all(cases: u32, conflicts: bool, holds: &impl AsyncFn(&mut World, &Story) -> TestCaseResult) {
    let runtime = Runtime::new().unwrap();
    let world = std::cell::RefCell::new(runtime.block_on(World::new()));
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 1_000, ..Config::default() };
    let told = TestRunner::new(config)
        .run(&story(conflicts), |story| runtime.block_on(holds(&mut world.borrow_mut(), &story)));
    match told {
        Err(TestError::Fail(why, story)) => panic!("{why}\nin the story{story:?}"),
        told => told.unwrap(),
    }
}

fn same(what: &str, expected: &[String], found: &[String]) -> TestCaseResult {
    let difference = difference(expected, found);
    if difference.is_empty() { Ok(()) } else { Err(TestCaseError::fail(format!("{what}:\n{difference}"))) }
}

async fn ends_in_the_same_rows(world: &mut World, story: &Story) -> TestCaseResult {
    let plans = [0, 1].map(|consumer| story.plan(consumer));
    let plainly = [vec![story.plainly()], vec![story.plainly()]];
    world.tell(plainly, plans).await;
    let expected = world.rows().await;
    let events: BTreeSet<_> = story.plainly().deliveries.iter().filter_map(stored_as).collect();
    let stored = expected.iter().filter(|row| row.starts_with("analytics_events ")).count();
    if stored != events.len() {
        return Err(TestCaseError::fail(format!("told plainly, {stored} of {} events are stored", events.len())));
    }

    world.tell([0, 1].map(|consumer| story.batches(consumer)), plans).await;
    same("the rows are others than when it is told plainly", &expected, &world.rows().await)?;
    same("the rollups are not their recount", &[], &differences_from_recount(&mut world.connection).await)
}

#[test]
fn any_order_any_duplication_any_batching_any_death_ends_in_the_same_rows() {
    for_all(CASES, false, &ends_in_the_same_rows);
}

#[test]
#[ignore = "long: run by make proof"]
fn any_order_of_many_more_stories_ends_in_the_same_rows() {
    for_all(Config::default().cases, false, &ends_in_the_same_rows);
}
