//! One customer's way from the first message to a booking, or to wherever they drop off.
//!
//! Each step happens only to those who took the one before it, in the shares of a real shop: of 100 dialogs 62 see a
//! suggestion, 45 add a service, 30 confirm the cart and 22 book.
//!
//! It does not know how an event is written to the wire.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{Rng, seq::IndexedRandom};
use serde_json::{Value, json};

use super::{
    Kind,
    rhythm::{Period, is_slow},
    vocabulary::{ERRORS, MODELS, Model, SERVICES, UNDECLARED},
};

/// Of those who took the step before.
const SUGGESTED: f64 = 0.62;
const ADDED: f64 = 0.726;
const CONFIRMED: f64 = 0.667;
const BOOKED: f64 = 0.733;

/// So many journeys began in the last minutes, whatever the rhythm: a demo at night has something to show, too.
const FRESH: usize = 3;
/// Every so many journeys one is published late.
const LATE_EVERY: usize = 150;
/// How late, in days.
const LATE_DAYS: std::ops::RangeInclusive<u32> = 40..=300;
/// Late or not, no event is older than this many days: a day inside the contract's clock.
const OLDEST_DAYS: u32 = 365;

/// An event before it is written to the wire.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) name: &'static str,
    pub(super) chat_id: i64,
    /// Whole milliseconds, like the time in an id.
    pub(super) occurred_at: DateTime<Utc>,
    /// When the bot gets to send it; later than it occurred only where the event is late.
    pub(super) published_at: DateTime<Utc>,
    pub(super) properties: Value,
    pub(super) kind: Kind,
}

/// Exactly `events` distinct events, in the order of publishing.
pub(super) fn generate(rng: &mut impl Rng, events: usize, period: &Period) -> Vec<Draft> {
    let mut drafts = Vec::with_capacity(events);
    let mut chats = Vec::new();
    for number in 0.. {
        if drafts.len() >= events {
            break;
        }
        let starts_at = if number < FRESH { period.fresh_moment(rng) } else { period.busy_moment(rng) };
        let late_by = if number % LATE_EVERY == FRESH { lateness(rng, period.days) } else { TimeDelta::zero() };
        let returning = !chats.is_empty() && rng.random_bool(0.25);
        let chat_id = if returning { chats.choose(rng).copied() } else { None };
        let chat_id = chat_id.unwrap_or_else(|| new_chat(rng));
        chats.push(chat_id);
        let model = MODELS.choose_weighted(rng, |model| model.share).unwrap_or(&MODELS[0]);
        Journey {
            rng,
            chat_id,
            returning,
            model,
            number,
            clock: starts_at,
            late_by,
            now: period.now,
            drafts: &mut drafts,
        }
        .run();
    }
    drafts.truncate(events);
    drafts.sort_by_key(|draft| draft.published_at);
    drafts
}

/// A private chat, now and then a group, whose ids are negative.
fn new_chat(rng: &mut impl Rng) -> i64 {
    if rng.random_bool(0.02) {
        -1_000_000_000_000 - rng.random_range(1_000_000_000..3_000_000_000)
    } else {
        rng.random_range(100_000_000..7_500_000_000)
    }
}

/// How late a journey is, in whole days so that its hour stays; zero where a long period leaves no room for it.
fn lateness(rng: &mut impl Rng, days: u32) -> TimeDelta {
    let most = OLDEST_DAYS.saturating_sub(days).min(*LATE_DAYS.end());
    if most < *LATE_DAYS.start() {
        return TimeDelta::zero();
    }
    TimeDelta::days(i64::from(rng.random_range(*LATE_DAYS.start()..=most)))
}

struct Journey<'a, R> {
    rng: &'a mut R,
    chat_id: i64,
    returning: bool,
    model: &'static Model,
    number: usize,
    clock: DateTime<Utc>,
    late_by: TimeDelta,
    now: DateTime<Utc>,
    drafts: &'a mut Vec<Draft>,
}

impl<R: Rng> Journey<'_, R> {
    fn run(mut self) {
        let message_type = ["text", "text", "text", "photo", "voice"].choose(self.rng).copied();
        self.record("ai_dialog_started", json!({ "message_type": message_type, "platform": "telegram" }));
        self.talk(1..=5);
        self.stray();
        if self.chance(SUGGESTED) {
            self.consider();
        }
    }

    fn consider(&mut self) {
        let Some(&(service, price)) = SERVICES.choose(self.rng) else {
            return;
        };
        self.suggest(service);
        self.talk(0..=2);
        if !self.chance(ADDED) {
            return;
        }
        if self.chance(0.7) {
            self.wait(5..60);
            self.record("ai_suggestion_accepted", json!({ "service_name": service }));
        }
        let mut kopecks = self.add(service, price);
        let mut services = 1;
        if self.chance(0.3)
            && let Some(&(another, price)) = SERVICES.choose(self.rng)
        {
            self.suggest(another);
            kopecks += self.add(another, price);
            services += 1;
        }
        if self.chance(CONFIRMED) {
            self.check_out(services, kopecks);
        }
    }

    fn check_out(&mut self, services: u32, kopecks: i64) {
        self.wait(20..240);
        let total = self.money(kopecks);
        self.record("cart_confirmed", json!({ "services_count": services, "total_amount": total }));
        if !self.chance(BOOKED) {
            return;
        }
        self.talk(0..=1);
        self.wait(10..180);
        let properties = json!({
            "booking_id": self.booking_id(),
            "services_count": services,
            "estimated_total": self.money(kopecks),
            "processing_time_ms": self.rng.random_range(35..900),
            "user_segment": if self.returning { "returning" } else { "engaged" },
            "customer_phone": format!("+7999000{:04}", self.rng.random_range(0..10_000)),
        });
        self.record("booking_request_created", properties);
    }

    /// Questions and answers.
    fn talk(&mut self, turns: std::ops::RangeInclusive<u32>) {
        for _ in 0..self.rng.random_range(turns) {
            self.wait(8..90);
            let duration_ms = self.answer_ms();
            self.clock += TimeDelta::milliseconds(duration_ms);
            let timestamp = self.clock.timestamp();
            self.record(
                "ai_response_time",
                json!({ "duration_ms": duration_ms, "model_used": self.model.name, "timestamp": timestamp }),
            );
        }
    }

    /// What happens beside the funnel: errors, more of them in the slow hour, and events that nobody declared.
    fn stray(&mut self) {
        let errors = if is_slow(self.clock) { 0.15 } else { 0.04 };
        if self.chance(errors)
            && let Some((class, message, context)) = ERRORS.choose(self.rng)
        {
            self.record(
                "error_occurred",
                json!({ "error_class": class, "error_message": message, "context": context }),
            );
        }
        if self.chance(0.06)
            && let Some(name) = UNDECLARED.choose(self.rng)
        {
            self.wait(1..20);
            let size_kb = self.rng.random_range(40..4_000);
            self.record(name, json!({ "size_kb": size_kb, "tags": ["auto", null] }));
        }
    }

    fn suggest(&mut self, service: &str) {
        self.wait(2..15);
        let confidence = f64::from(self.rng.random_range(55..100_u32)) / 100.0;
        let properties =
            json!({ "service_name": service, "confidence_score": confidence, "suggestion_type": "ai_generated" });
        self.record("service_suggested", properties);
    }

    /// Adds a service to the cart; its price in kopecks, a little off the list price.
    fn add(&mut self, service: &str, roubles: i64) -> i64 {
        self.wait(5..90);
        let kopecks = roubles * self.rng.random_range(90..=110) + if self.chance(0.2) { 50 } else { 0 };
        let price = self.money(kopecks);
        self.record("service_added", json!({ "service_name": service, "quantity": 1, "price": price }));
        kopecks
    }

    /// Log-normal (Box and Muller 1958), as latencies are, and two and a half times that in the slow hour.
    fn answer_ms(&mut self) -> i64 {
        let radius = (-2.0 * (1.0 - self.rng.random::<f64>()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.rng.random::<f64>()).cos();
        let slowdown = if is_slow(self.clock) { 2.5 } else { 1.0 };
        let duration = self.model.median_ms * slowdown * (self.model.spread * normal).exp();
        duration.clamp(80.0, 60_000.0).round() as i64
    }

    /// As a number, or as Rails writes a BigDecimal: a string, with at least one decimal.
    fn money(&mut self, kopecks: i64) -> Value {
        let (roubles, rest) = (kopecks / 100, kopecks % 100);
        match (self.chance(0.3), rest) {
            (false, 0) => json!(roubles),
            (_, rest) if rest % 10 == 0 => json!(format!("{roubles}.{}", rest / 10)),
            _ => json!(format!("{roubles}.{rest:02}")),
        }
    }

    /// A number from the bot's own table, or text where the booking came in through the site.
    fn booking_id(&mut self) -> Value {
        if self.chance(0.05) { json!(format!("site-{}", self.number)) } else { json!(10_000 + self.number) }
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    fn wait(&mut self, seconds: std::ops::Range<i64>) {
        self.clock += TimeDelta::milliseconds(self.rng.random_range(seconds.start * 1_000..seconds.end * 1_000));
    }

    /// Publishes what has happened by now; a dialog that began minutes ago is not over yet.
    fn record(&mut self, name: &'static str, properties: Value) {
        if self.clock >= self.now {
            return;
        }
        let kind = match (UNDECLARED.contains(&name), self.late_by.is_zero()) {
            (true, _) => Kind::Undeclared,
            (false, true) => Kind::Good,
            (false, false) => Kind::Late,
        };
        self.drafts.push(Draft {
            name,
            chat_id: self.chat_id,
            occurred_at: self.clock - self.late_by,
            published_at: self.clock,
            properties,
            kind,
        });
    }
}
