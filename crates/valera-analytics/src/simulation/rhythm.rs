//! When people write to a car body shop: by hour and weekday, in Moscow.
//!
//! Moscow has kept UTC+3 since 2014, so a fixed offset is exact here; the product itself cuts days by its calendar table.
//!
//! It does not know what is written.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike, Utc};
use rand::Rng;

/// Moscow's offset from UTC.
pub(super) const MOSCOW: TimeDelta = TimeDelta::hours(3);
/// The hour in which the models answer slowly: everyone is home, at every provider.
const SLOW_HOUR: u32 = 19;

/// How busy each hour is, from midnight.
const HOURS: [u32; 24] = [3, 2, 1, 1, 1, 1, 3, 8, 20, 40, 60, 70, 75, 70, 65, 60, 62, 68, 80, 95, 100, 70, 35, 12];
/// How busy each weekday is, from Monday.
const WEEKDAYS: [u32; 7] = [100, 90, 85, 88, 95, 65, 35];
/// The product of the busiest hour and weekday.
const BUSIEST: u32 = 10_000;

/// The simulated stretch of time.
pub(super) struct Period {
    pub(super) now: DateTime<Utc>,
    pub(super) days: u32,
}

impl Period {
    /// The `days` days before `now`.
    pub(super) fn ending(now: DateTime<Utc>, days: u32) -> Self {
        Self { now, days }
    }

    /// A moment in the period, likelier when the shop is busy.
    pub(super) fn busy_moment(&self, rng: &mut impl Rng) -> DateTime<Utc> {
        let span = TimeDelta::days(i64::from(self.days)).num_milliseconds();
        // Every weight is above zero, so this ends.
        loop {
            let at = self.now - TimeDelta::milliseconds(rng.random_range(1..=span));
            if rng.random_range(0..BUSIEST) < busyness(at) {
                return at;
            }
        }
    }

    /// A moment in the last minutes: a dialog that is still going on.
    pub(super) fn fresh_moment(&self, rng: &mut impl Rng) -> DateTime<Utc> {
        self.now - TimeDelta::milliseconds(rng.random_range(30_000..900_000))
    }
}

/// The local day in Moscow.
#[must_use]
pub fn moscow_day(at: DateTime<Utc>) -> NaiveDate {
    moscow(at).date()
}

/// The wall clock in Moscow.
pub(super) fn moscow(at: DateTime<Utc>) -> NaiveDateTime {
    at.naive_utc() + MOSCOW
}

/// Whether the models are slow at this time of the day.
pub(super) fn is_slow(at: DateTime<Utc>) -> bool {
    moscow(at).hour() == SLOW_HOUR
}

fn busyness(at: DateTime<Utc>) -> u32 {
    let local = moscow(at);
    let hour = HOURS.get(local.hour() as usize).copied().unwrap_or(1);
    let weekday = WEEKDAYS.get(local.weekday().num_days_from_monday() as usize).copied().unwrap_or(1);
    hour * weekday
}
