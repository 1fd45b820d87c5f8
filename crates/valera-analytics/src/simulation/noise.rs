//! What happens between a bot and a stream: duplicates, disorder, and other people's mistakes in between.
//!
//! It does not lose or invent an acceptable event.

use chrono::{DateTime, Utc};
use rand::{Rng, seq::IndexedRandom};

use super::{Message, journey::Draft, mistakes, wire};

/// Share of events that are sent twice.
const DUPLICATES: f64 = 0.03;
/// Retries, job queues and several processes: neighbours swap places within this many messages …
const NEAR: usize = 40;
/// … and a few come as far behind as this.
const FAR: usize = 4_000;
const FAR_SHARE: f64 = 0.01;

/// The messages of these drafts, in the order of publishing, with noise.
pub(super) fn publish(rng: &mut impl Rng, drafts: &[Draft], now: DateTime<Utc>) -> Vec<Message> {
    let mut placed = Vec::with_capacity(drafts.len() + drafts.len() / 16);
    for (place, draft) in drafts.iter().enumerate() {
        let place = place + delay(rng);
        let message = wire::message(rng, draft);
        if rng.random_bool(DUPLICATES) {
            // Behind the original, so that "duplicate" says which of the two it is.
            placed.push((place + 1 + delay(rng), wire::repeated(rng, &message)));
        }
        placed.push((place, message));
    }
    for number in 0..mistakes::how_many(drafts.len()) {
        if let Some(like) = drafts.choose(rng) {
            placed.push((rng.random_range(0..drafts.len()), mistakes::message(rng, number, like, now)));
        }
    }
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, message)| message).collect()
}

fn delay(rng: &mut impl Rng) -> usize {
    let most = if rng.random_bool(FAR_SHARE) { FAR } else { NEAR };
    rng.random_range(0..most)
}
