//! A small Valera: webhook, assistant, booking; and where each of them tells the analytics what happened.
//!
//!     cargo run -p valera-tracker --example bot -- 127.0.0.1:8081
//!     curl -d '{"chat": {"id": 42}, "text": "Запишите на полировку"}' -H 'Content-Type: application/json' \
//!         127.0.0.1:8081/webhook
//!
//! Its configuration is the tracker's: without `VALERA_ANALYTICS_ENABLED` it answers and tracks nothing. Its assistant is a
//! few words it knows; what it tracks is what a real one would.

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};
use valera_tracker::{Event, Tracker};

const MODEL: &str = "deepseek-chat";

#[derive(Clone)]
struct Bot {
    tracker: Tracker,
}

// --- The webhook: what a messenger sends ------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Message {
    chat: Chat,
    text: String,
}

#[derive(Deserialize)]
struct Chat {
    id: i64,
}

#[derive(Serialize)]
struct Reply {
    text: String,
}

async fn webhook(State(bot): State<Bot>, Json(message): Json<Message>) -> Result<Json<Reply>, StatusCode> {
    let chat_id = message.chat.id;
    // On every message: the tracker sends the first of the day.
    bot.tracker.dialog_started(chat_id, "text");

    // Times the assistant; tracks the time, or the failure, and passes the result through.
    let answer = bot.tracker.measure(chat_id, MODEL, think(&message.text)).await;
    let handled = match answer {
        Ok(thought) => bot.act(chat_id, thought).await,
        Err(cause) => Err(cause),
    };
    match handled {
        Ok(text) => Ok(Json(Reply { text })),
        Err(cause) => {
            // `measure` may have told this very failure: it stays one event.
            bot.tracker.error(chat_id, &cause, "webhook_processing");
            Err(StatusCode::BAD_GATEWAY)
        }
    }
}

// --- The assistant: which tool it wants to call -----------------------------------------------------------------------

enum Thought {
    Say(&'static str),
    SuggestService { service_name: &'static str, confidence: Option<f64> },
    AddService { service_name: &'static str, price: &'static str },
    CreateBooking { services: u32, total: &'static str },
}

async fn think(text: &str) -> Result<Thought, AssistantFailed> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    let text = text.to_lowercase();
    Ok(if text.contains("сломайся") {
        return Err(AssistantFailed);
    } else if text.contains("запишите") {
        Thought::CreateBooking { services: 2, total: "27500.00" }
    } else if text.contains("беру") {
        Thought::AddService { service_name: "Полировка кузова", price: "15000.50" }
    } else if text.contains("царапина") {
        Thought::SuggestService { service_name: "Полировка кузова", confidence: None }
    } else {
        Thought::Say("Чем помочь?")
    })
}

#[derive(Debug)]
struct AssistantFailed;

impl fmt::Display for AssistantFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the model gave no answer")
    }
}

// --- The tools: what the assistant asked for happens ------------------------------------------------------------------

impl Bot {
    async fn act(&self, chat_id: i64, thought: Thought) -> Result<String, AssistantFailed> {
        Ok(match thought {
            Thought::Say(text) => text.to_owned(),
            Thought::SuggestService { service_name, confidence } => {
                // Where the model gave no confidence, it is 0.8.
                self.tracker.service_suggested(chat_id, service_name, confidence);
                format!("Предлагаю: {service_name}.")
            }
            Thought::AddService { service_name, price } => {
                self.tracker.suggestion_accepted(chat_id, service_name);
                self.tracker.service_added(chat_id, service_name, 1, price);
                format!("Добавил: {service_name}.")
            }
            Thought::CreateBooking { services, total } => {
                self.tracker.cart_confirmed(chat_id, services, total);
                self.book(chat_id, services, total).await
            }
        })
    }

    async fn book(&self, chat_id: i64, services: u32, total: &str) -> String {
        static BOOKINGS: AtomicU64 = AtomicU64::new(1);
        let began = Instant::now();
        let booking_id = BOOKINGS.fetch_add(1, Ordering::Relaxed);

        let event = Event::booking_created(chat_id, booking_id, services, total)
            .with("processing_time_ms", u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX))
            .with("user_segment", "new");
        // A booking is worth a moment: on the disk or in the stream, before the customer hears of it. The event goes on its
        // way also when the moment is over, unless the queue is full: then it is dropped and counted.
        let told = tokio::time::timeout(Duration::from_secs(1), self.tracker.track_durable(event));
        told.await.ok();
        format!("Заявка {booking_id} принята.")
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".into());
    let tracker = Tracker::from_env()?;
    let bot = Bot { tracker: tracker.clone() };

    let routes = Router::new().route("/webhook", post(webhook)).with_state(bot);
    let listener = tokio::net::TcpListener::bind(address).await?;
    let stop = async {
        tokio::signal::ctrl_c().await.ok();
    };
    axum::serve(listener, routes).with_graceful_shutdown(stop).await?;

    // What NATS has not taken by then waits in the spool for the next start.
    tracker.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
