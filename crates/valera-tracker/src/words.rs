//! What a bot of this field says, in its words.
//!
//! Each is [`Tracker::track`] of the event's constructor, but for those that remember: a chat's dialog is told once a local
//! day, and a failure once, wherever it is caught.
//!
//! It does not know any name outside the catalogue; `Event::new` takes those.

use crate::{event::Event, tracked::Tracked, tracker::Tracker};
use chrono::Utc;
use serde_json::Value;
use std::{
    any::type_name,
    fmt::Display,
    time::{Duration, Instant},
};

impl Tracker {
    /// A customer wrote. May be called on every message: the first of the local day is sent, also across restarts.
    pub fn dialog_started(&self, chat_id: i64, message_type: &str) -> Tracked {
        let Some(live) = &self.shared.live else { return self.shared.concluded(Err(Tracked::Disabled)) };
        let today = Utc::now().with_timezone(&live.time_zone).date_naive();
        if !self.shared.today.is_new(chat_id, today) {
            return self.shared.concluded(Err(Tracked::Repeated));
        }
        let tracked = self.track_of_day(Event::dialog_started(chat_id, message_type), Some((chat_id, today)));
        if !tracked.is_queued() {
            self.shared.today.forget(chat_id);
        }
        tracked
    }

    /// The assistant suggested a service; without a confidence of the model's, it is 0.8.
    pub fn service_suggested(&self, chat_id: i64, service_name: &str, confidence: Option<f64>) -> Tracked {
        self.track(Event::service_suggested(chat_id, service_name, confidence))
    }

    /// A customer put a service into the cart.
    pub fn service_added(&self, chat_id: i64, service_name: &str, quantity: u32, price: impl Into<Value>) -> Tracked {
        self.track(Event::service_added(chat_id, service_name, quantity, price))
    }

    /// A customer confirmed the cart.
    pub fn cart_confirmed(&self, chat_id: i64, services_count: u32, total_amount: impl Into<Value>) -> Tracked {
        self.track(Event::cart_confirmed(chat_id, services_count, total_amount))
    }

    /// A booking request was handed over. Where it must not be lost, [`Tracker::track_durable`] of
    /// [`Event::booking_created`] says when it is safe.
    pub fn booking_created(
        &self,
        chat_id: i64,
        booking_id: impl Into<Value>,
        services_count: u32,
        estimated_total: impl Into<Value>,
    ) -> Tracked {
        self.track(Event::booking_created(chat_id, booking_id, services_count, estimated_total))
    }

    /// A customer accepted a suggested service.
    pub fn suggestion_accepted(&self, chat_id: i64, service_name: &str) -> Tracked {
        self.track(Event::suggestion_accepted(chat_id, service_name))
    }

    /// The assistant answered, so long after the message.
    pub fn response_time(&self, chat_id: i64, duration: Duration, model: &str) -> Tracked {
        self.track(Event::response_time(chat_id, duration, model))
    }

    /// Something failed; its class is its type's name. The same failure of the same chat, told again within five seconds, is
    /// one event, whatever the contexts: the layers of a bot each tell what passes through them.
    pub fn error<E: Display + ?Sized>(&self, chat_id: i64, cause: &E, context: &str) -> Tracked {
        self.failed(chat_id, cause, |class, message| Event::error(chat_id, class, message, context))
    }

    fn failed<E: Display + ?Sized>(
        &self,
        chat_id: i64,
        cause: &E,
        event: impl FnOnce(&str, &str) -> Event,
    ) -> Tracked {
        let (class, message) = (type_name::<E>(), cause.to_string());
        if self.is_enabled() && !self.shared.failures.is_new(chat_id, class, &message) {
            return self.shared.concluded(Err(Tracked::Repeated));
        }
        self.track(event(class, &message))
    }

    /// Runs an answer of the assistant's: times it, tracks the time or the failure, and passes the result through.
    ///
    /// # Errors
    /// Those of the future, untouched.
    pub async fn measure<T, E: Display>(
        &self,
        chat_id: i64,
        model: &str,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = Instant::now();
        let result = future.await;
        match &result {
            Ok(_) => self.response_time(chat_id, began.elapsed(), model),
            Err(cause) => self.failed(chat_id, cause, |class, message| {
                Event::error(chat_id, class, message, "assistant").with("model_used", model)
            }),
        };
        result
    }
}
