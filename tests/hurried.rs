//! Telegram for tests that count messages and not seconds: no limit, hardly a pause, and little patience.

use std::time::Duration;
use valera_pipeline::alerts::delivery::{
    pace::Pauses,
    telegram::{Rates, Settings},
};

pub(crate) fn hurried(settings: Settings) -> Settings {
    let pauses = |milliseconds| {
        let pause = Duration::from_millis(milliseconds);
        Pauses { first: pause, longest: pause }
    };
    Settings {
        rates: Rates { a_minute: 100_000, apart: Duration::ZERO },
        answer_within: Duration::from_millis(500),
        soon: pauses(0),
        slow: pauses(0),
        ..settings
    }
}
