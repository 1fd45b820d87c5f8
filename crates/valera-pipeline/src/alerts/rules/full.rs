//! `full`: the events' stream has little room left.
//!
//! A full stream refuses every event, and the consumers, with nothing left to do, look their best. So it is told of while
//! there is time: giving room takes a minute once somebody knows. Like `lag` it is a reading of now.

use super::{Facts, Group, Kind, Message, Notice, Reading, Window, fields::Fields, lag::Now};

#[derive(Debug)]
struct Full {
    over_percent: u64,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Box<dyn Kind> {
    Box::new(Full { over_percent: fields.number("over_percent", 1..=99, Some(80)) })
}

impl Kind for Full {
    fn name(&self) -> &'static str {
        "full"
    }

    fn notice(&self, _: &Message<'_>) -> Option<Notice> {
        None
    }

    fn reading(&self, reading: &Reading<'_>) -> Option<Notice> {
        let Reading::Stream(name, room) = reading else { return None };
        let facts = [("percent", room.percent()), ("bytes", room.bytes), ("max_bytes", room.max_bytes)];
        Some(Notice {
            group: Group::from([("stream".to_owned(), (*name).to_owned())]),
            counts: room.percent() >= self.over_percent,
            value: room.messages,
            facts: facts.into_iter().map(|(fact, value)| (fact.to_owned(), value.into())).collect::<Facts>(),
        })
    }

    fn window(&self) -> Box<dyn Window> {
        Box::new(Now)
    }
}
