//! Which deliveries of a batch are the same event, and who came first.
//!
//! Identity is the event's id alone. Within a batch the delivery with the lowest stream sequence speaks for its id;
//! against the store the content that was stored first stands. Both handlers judge by this, so that raw and rollups
//! agree. Deliveries are sorted by id here, which is also the order in which tables are written: two writers of shared
//! ids in opposite order would deadlock. It knows no database.

use crate::handler::{Delivery, Outcome};
use std::collections::HashMap;
use uuid::Uuid;
use valera_events::{ContentHash, Event, Keys};

/// A delivery that carries an acceptable event.
#[derive(Debug, Clone)]
pub(crate) struct Identified<T> {
    /// Its position in the batch.
    pub(crate) delivery: usize,
    pub(crate) sequence: u64,
    pub(crate) event_id: Uuid,
    pub(crate) content_hash: ContentHash,
    pub(crate) event: T,
}

impl<'a> Identified<Event<'a>> {
    pub(crate) fn of(position: usize, delivery: &'a Delivery, event: Event<'a>, keys: &Keys) -> Self {
        Self {
            delivery: position,
            sequence: delivery.sequence,
            event_id: event.event_id(&delivery.arrival()),
            content_hash: event.content_hash(&keys.content),
            event,
        }
    }
}

/// The deliveries of a batch by id.
#[derive(Debug)]
pub(crate) struct Identities<T> {
    /// One a distinct id, sorted by it: the delivery that speaks for the id.
    pub(crate) first: Vec<Identified<T>>,
    /// The rest: the position in the batch, the position of its id in `first`, its content.
    rest: Vec<(usize, usize, ContentHash)>,
}

impl<T> Identities<T> {
    pub(crate) fn of(mut deliveries: Vec<Identified<T>>) -> Self {
        deliveries.sort_by_key(|delivery| (delivery.event_id, delivery.sequence));
        let mut first: Vec<Identified<T>> = Vec::with_capacity(deliveries.len());
        let mut rest = Vec::new();
        for delivery in deliveries {
            match first.last() {
                Some(last) if last.event_id == delivery.event_id => {
                    rest.push((delivery.delivery, first.len() - 1, delivery.content_hash));
                }
                _ => first.push(delivery),
            }
        }
        Self { first, rest }
    }

    /// Whether no id came twice.
    pub(crate) fn all_distinct(&self) -> bool {
        self.rest.is_empty()
    }

    /// Every delivery with its id.
    pub(crate) fn deliveries(&self) -> impl Iterator<Item = (usize, Uuid)> {
        let first = self.first.iter().map(|first| (first.delivery, first.event_id));
        let rest = self.rest.iter().map(|(delivery, position, _)| (*delivery, self.first[*position].event_id));
        first.chain(rest)
    }

    /// The deliveries of one id, given by its position in `first`.
    pub(crate) fn deliveries_of(&self, position: usize) -> impl Iterator<Item = usize> {
        let rest = self.rest.iter().filter(move |(_, of, _)| *of == position).map(|(delivery, ..)| *delivery);
        std::iter::once(self.first[position].delivery).chain(rest)
    }

    /// Replaces the event of each id, in the order of ids.
    pub(crate) fn map<U>(self, mut replace: impl FnMut(&mut Identified<T>) -> U) -> Identities<U> {
        let first = self.first.into_iter().map(|mut first| {
            let event = replace(&mut first);
            let Identified { delivery, sequence, event_id, content_hash, .. } = first;
            Identified { delivery, sequence, event_id, content_hash, event }
        });
        Identities { first: first.collect(), rest: self.rest }
    }

    /// How each delivery ends when the ids in `known` were stored before, with that content, and the others are now.
    /// `unstored` are positions in `first` that ended otherwise and take their whole id with them.
    pub(crate) fn judge(
        &self,
        known: &HashMap<Uuid, Vec<u8>>,
        unstored: &HashMap<usize, Outcome>,
        outcomes: &mut [Outcome],
    ) {
        let compare = |position: usize, content: &ContentHash| {
            let first = &self.first[position];
            let stored = known.get(&first.event_id).map_or(first.content_hash.as_slice(), Vec::as_slice);
            if stored == content.as_slice() { Outcome::Duplicate } else { Outcome::Conflicting }
        };
        for (position, first) in self.first.iter().enumerate() {
            outcomes[first.delivery] = match unstored.get(&position) {
                Some(&outcome) => outcome,
                None if known.contains_key(&first.event_id) => compare(position, &first.content_hash),
                None => Outcome::Stored,
            };
        }
        for (delivery, position, content) in &self.rest {
            outcomes[*delivery] = unstored.get(position).copied().unwrap_or_else(|| compare(*position, content));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(delivery: usize, sequence: u64, id: u128, content: u8) -> Identified<()> {
        Identified { delivery, sequence, event_id: Uuid::from_u128(id), content_hash: [content; 16], event: () }
    }

    #[test]
    fn the_lowest_sequence_speaks_for_its_id() {
        let batch = Identities::of(vec![seen(0, 9, 1, 7), seen(1, 4, 1, 8), seen(2, 5, 2, 9)]);
        let mut outcomes = [Outcome::Later; 3];
        batch.judge(&HashMap::new(), &HashMap::new(), &mut outcomes);
        assert_eq!(outcomes, [Outcome::Conflicting, Outcome::Stored, Outcome::Stored]);
    }

    #[test]
    fn what_is_stored_stands_against_every_delivery_of_the_batch() {
        let batch = Identities::of(vec![seen(0, 1, 1, 7), seen(1, 2, 1, 8)]);
        let known = HashMap::from([(Uuid::from_u128(1), vec![8; 16])]);
        let mut outcomes = [Outcome::Later; 2];
        batch.judge(&known, &HashMap::new(), &mut outcomes);
        assert_eq!(outcomes, [Outcome::Conflicting, Outcome::Duplicate]);
    }
}
