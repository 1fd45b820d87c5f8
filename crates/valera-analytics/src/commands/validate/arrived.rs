//! `validate --arrived`: the events of a file were published; which of them are stored, which refused, which never came?
//!
//! For the tests of a program that publishes: it is the store that is asked, after the whole way, so nothing on it can be
//! forgotten. It waits as long as it is told, and not longer than the last answer needs.
//!
//! It does not compare properties: personal values are stored as pseudonyms, and what the contract accepts is stored as it came.

use super::finding::Finding;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;
use valera_events::{check::parse_rfc3339, id};
use valera_pipeline::store::{
    Writer,
    arrivals::{self, Found, Sent},
};

/// How many events are asked for at once.
const PAGE: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(200);

/// What an event can be found by; a null is nothing.
#[derive(Deserialize, Default)]
struct Fields {
    event_id: Option<String>,
    chat_id: Option<i64>,
    occurred_at: Option<String>,
}

/// What to look for; `None` where the event says too little to be told from others. `event_name` is its subject's.
pub(super) fn sent(body: &[u8], event_name: Option<&str>) -> Option<Sent> {
    let fields: Fields = serde_json::from_slice(body).unwrap_or_default();
    let event_id: Option<Uuid> = fields.event_id.as_deref().and_then(id::parse);
    let occurred_at: Option<DateTime<Utc>> = fields.occurred_at.as_deref().and_then(parse_rfc3339);
    if event_id.is_none() && occurred_at.is_none() {
        return None;
    }
    let (event_name, chat_id) = (event_name?.to_owned(), fields.chat_id?);
    Some(Sent { event_id, event_name, chat_id, occurred_at })
}

/// Waits until it is known of each event what became of it, and at most so long, and writes that into its finding.
pub(super) async fn wait(
    database_url: &str,
    events: &mut [(Finding, Option<Sent>)],
    within: Duration,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + within;
    let mut writer = Writer::new(database_url, "valera validate", "")?;
    for (finding, sent) in &mut *events {
        finding.reasons.clear();
        finding.missing = Some(match sent {
            Some(_) => {
                format!("not within {within:?}; was it acknowledged, and is the persister running? `status` knows")
            }
            None => "cannot be found: needs a name, chat_id, and event_id or occurred_at".to_owned(),
        });
    }
    let mut open: Vec<usize> = (0..events.len()).filter(|at| events[*at].1.is_some()).collect();
    loop {
        // Read before the store is asked: what came until then has been looked for.
        let last = Instant::now() >= deadline;
        for page in open.chunks(PAGE) {
            let asked: Vec<Sent> = page.iter().filter_map(|at| events[*at].1.clone()).collect();
            for found in arrivals::find(writer.connection().await?, &asked).await? {
                let place = usize::try_from(found.place).ok().and_then(|place| page.get(place));
                if let Some(at) = place {
                    let (finding, sent) = &mut events[*at];
                    // A letter under the same moment may be a neighbour's, as long as the event may still come.
                    let is_certain =
                        found.event_name.is_some() || sent.as_ref().is_some_and(|sent| sent.event_id.is_some());
                    if is_certain || last {
                        settle(finding, sent.as_ref(), found);
                    }
                }
            }
        }
        open.retain(|at| events[*at].0.missing.is_some());
        if open.is_empty() || last {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
}

fn settle(finding: &mut Finding, sent: Option<&Sent>, found: Found) {
    let stored = found.event_name.zip(found.chat_id);
    let differs = stored.is_some() && stored != sent.map(|sent| (sent.event_name.clone(), sent.chat_id));
    finding.reasons = found.reasons.map(|reasons| reasons.0).unwrap_or_default();
    finding.missing = differs.then(|| "another event is stored under its event_id".to_owned());
}
