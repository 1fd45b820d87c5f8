//! What a batch of steps has to say: of each incident its newest step.
//!
//! A burst of ten thousand errors makes a dozen steps, and a channel that was away has hours of them: only where an
//! incident stands now is worth a message. It reads no clock and remembers nothing.

use crate::alerts::Alert;
use std::collections::HashMap;

/// One incident.
#[derive(Debug, PartialEq)]
pub(super) struct News<'a> {
    /// Its newest step in the batch.
    pub(super) step: &'a Alert,
    /// Where its steps stand in the batch.
    pub(super) places: Vec<usize>,
    /// Whether any of them was meant for a person.
    pub(super) is_meant: bool,
}

/// The incidents in the order of their first steps; what is no step is left out.
pub(super) fn of(batch: &[Option<Alert>]) -> Vec<News<'_>> {
    let mut all: Vec<News<'_>> = Vec::new();
    let mut known = HashMap::new();
    for (place, step) in batch.iter().enumerate() {
        let Some(step) = step else { continue };
        let news = match known.get(&step.incident) {
            Some(&index) => &mut all[index],
            None => {
                known.insert(&step.incident, all.len());
                all.push(News { step, places: Vec::new(), is_meant: false });
                let last = all.len() - 1;
                &mut all[last]
            }
        };
        news.places.push(place);
        news.is_meant |= step.withheld.is_none();
        if step.revision > news.step.revision {
            news.step = step;
        }
    }
    all
}
