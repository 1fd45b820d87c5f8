//! What a batch of steps has to say: of each incident its newest step, or each step where a channel wants them.
//!
//! A burst of ten thousand errors makes a dozen steps, and a channel that was away has hours of them: only where an
//! incident stands now is worth a message. It reads no clock and remembers nothing.

use crate::alerts::Alert;
use std::collections::HashMap;

/// One incident, or one step of it.
#[derive(Debug, PartialEq)]
pub(super) struct News<'a> {
    /// Its newest step in the batch.
    pub(super) step: &'a Alert,
    /// Where its steps stand in the batch.
    pub(super) places: Vec<usize>,
    /// Whether any of them was meant for a person.
    pub(super) is_meant: bool,
}

/// The incidents in the order of their first steps, and the steps that are told by themselves in theirs; what is no step is
/// left out.
pub(super) fn of(batch: &[Option<Alert>], by_itself: impl Fn(&Alert) -> bool) -> Vec<News<'_>> {
    let mut all: Vec<News<'_>> = Vec::new();
    let mut known = HashMap::new();
    for (place, step) in batch.iter().enumerate() {
        let Some(step) = step else { continue };
        let news = match known.get(&step.incident) {
            Some(&index) if !by_itself(step) => &mut all[index],
            _ => {
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

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    #[test]
    fn of_an_incident_the_newest_step_is_told_and_each_where_a_channel_wants_them() {
        let step = |incident: &str, revision| {
            let sample = samples::all().swap_remove(0);
            Some(Alert { incident: incident.to_owned(), revision, ..sample })
        };
        let batch = [step("a", 1), step("b", 1), None, step("a", 3), step("a", 2), step("b", 2)];
        let told = |by_itself: &dyn Fn(&Alert) -> bool| -> Vec<_> {
            let news = of(&batch, by_itself);
            news.into_iter().map(|news| (news.step.incident.clone(), news.step.revision, news.places)).collect()
        };
        let one = |incident: &str, revision, places: &[usize]| (incident.to_owned(), revision, places.to_vec());
        assert_eq!(told(&|_| false), [one("a", 3, &[0, 3, 4]), one("b", 2, &[1, 5])]);
        let each = [one("a", 1, &[0]), one("b", 1, &[1]), one("a", 3, &[3]), one("a", 2, &[4]), one("b", 2, &[5])];
        assert_eq!(told(&|_| true), each);
        // The first is old, and so told with what follows.
        assert_eq!(told(&|step| step.revision > 2)[..2], [one("a", 1, &[0]), one("b", 2, &[1, 5])]);
    }
}
