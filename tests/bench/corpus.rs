//! The events that are measured: as the SDK sends them, from 50,000 chats of which few are busy.
//!
//! A chat's number is 50,000 times the square of a uniform draw: the busiest hundredth of the chats sends a tenth of the
//! events, the busier half seven tenths. Times rise evenly. The same seed gives the same events but for their time, and
//! no event twice: duplicates take another path, whose cost is not what is measured here.
//!
//! It does not publish.

use crate::results::Spread;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use uuid::Uuid;
use valera_events::id;

/// How many chats there are.
pub(crate) const CHATS: u32 = 50_000;

const MODELS: [&str; 3] = ["deepseek-chat", "gpt-4o-mini", "yandexgpt"];
const SERVICES: [&str; 5] =
    ["полировка кузова", "покраска бампера", "керамическое покрытие", "рихтовка крыла", "химчистка салона"];
const ERRORS: [(&str, &str); 3] = [
    ("Faraday::TimeoutError", "ai_request"),
    ("Telegram::Bot::Error", "webhook_processing"),
    ("JSON::ParserError", "tool_call"),
];

/// One message, ready to publish.
pub(crate) struct Message {
    pub(crate) event_id: Uuid,
    pub(crate) subject: &'static str,
    pub(crate) body: Bytes,
}

/// Events spread evenly over a period.
pub(crate) struct Corpus {
    pub(crate) events: usize,
    from: DateTime<Utc>,
    period: TimeDelta,
}

impl Corpus {
    /// The newest event is at `end`.
    pub(crate) fn ending(end: DateTime<Utc>, spread: Spread, events: usize) -> Self {
        let period = match spread {
            Spread::ThirtyDays => TimeDelta::days(30),
            Spread::OneHour => TimeDelta::hours(1),
        };
        Self { events, from: end - period, period }
    }

    /// The messages by time, the same ones each time.
    pub(crate) fn messages(&self) -> impl Iterator<Item = Message> {
        let mut talk = Talk::new();
        let step = self.period.num_microseconds().unwrap_or_default() as f64 / self.events as f64;
        (0..self.events).map(move |n| talk.message(self.from + TimeDelta::microseconds((step * n as f64) as i64)))
    }
}

/// A source of messages.
pub(crate) struct Talk(StdRng);

impl Talk {
    pub(crate) fn new() -> Self {
        Self(StdRng::seed_from_u64(15))
    }

    /// The next message, of an event at `at`.
    pub(crate) fn message(&mut self, at: DateTime<Utc>) -> Message {
        let event_id = id::mint(at, self.0.random());
        let chat_id = 100_000_000 + u64::from((f64::from(CHATS) * self.0.random::<f64>().powi(2)) as u32);
        let (subject, properties) = self.content(at);
        let name = subject.trim_start_matches("analytics.");
        let occurred_at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let body = format!(
            r#"{{"event_id":"{event_id}","event_name":"{name}","chat_id":{chat_id},"occurred_at":"{occurred_at}","platform":"telegram","properties":{properties}}}"#
        );
        Message { event_id, subject, body: body.into() }
    }

    fn content(&mut self, at: DateTime<Utc>) -> (&'static str, String) {
        let rng = &mut self.0;
        let service = SERVICES.choose(rng).copied().unwrap_or_default();
        let roubles = rng.random_range(3_000..40_000);
        match rng.random_range(0..100) {
            0..45 => {
                let model = MODELS.choose(rng).copied().unwrap_or_default();
                let duration_ms = (1_400.0 * (-(1.0 - rng.random::<f64>()).ln()).powf(0.6)) as u32;
                let timestamp = at.timestamp();
                let properties =
                    format!(r#"{{"duration_ms":{duration_ms},"model_used":"{model}","timestamp":{timestamp}}}"#);
                ("analytics.ai_response_time", properties)
            }
            45..60 => ("analytics.ai_dialog_started", r#"{"message_type":"text","platform":"telegram"}"#.to_owned()),
            60..73 => {
                let hundredths = rng.random_range(55..100);
                let properties = format!(
                    r#"{{"service_name":"{service}","confidence_score":0.{hundredths},"suggestion_type":"ai_generated"}}"#
                );
                ("analytics.service_suggested", properties)
            }
            73..82 => {
                let properties = format!(r#"{{"service_name":"{service}","quantity":1,"price":"{roubles}.5"}}"#);
                ("analytics.service_added", properties)
            }
            82..87 => ("analytics.ai_suggestion_accepted", format!(r#"{{"service_name":"{service}"}}"#)),
            87..92 => ("analytics.cart_confirmed", format!(r#"{{"services_count":1,"total_amount":"{roubles}.0"}}"#)),
            92..95 => {
                let (booking_id, phone) = (rng.random::<u32>(), rng.random_range(0..10_000));
                let properties = format!(
                    r#"{{"booking_id":{booking_id},"services_count":1,"estimated_total":"{roubles}.5","customer_phone":"+7999000{phone:04}"}}"#
                );
                ("analytics.booking_request_created", properties)
            }
            95..98 => {
                let (class, context) = ERRORS.choose(rng).copied().unwrap_or_default();
                let properties = format!(
                    r#"{{"error_class":"{class}","error_message":"Net::ReadTimeout with #<TCPSocket:(closed)>","context":"{context}"}}"#
                );
                ("analytics.error_occurred", properties)
            }
            _ => ("analytics.photo_received", format!(r#"{{"size_kb":{roubles},"tags":["auto",null]}}"#)),
        }
    }
}
