//! `GET /v1/chats/{chat_id}`: what an application asks of one chat, answered from the rollups.
//!
//! One desk with one connection answers, a question after another: a question takes a fraction of a millisecond, a client that
//! goes away cancels no query half-way, and Postgres that hangs holds up nothing but this. It does not know who asks.

use super::problem::Problem;
use axum::{Json, http::StatusCode};
use chrono::{NaiveDate, Utc};
use serde::Serialize;
use std::time::Duration;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use valera_pipeline::store::{Writer, reports};

/// Questions that wait.
const WAITING: usize = 256;
/// How long a client waits for its answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// After how long a client may ask again when Postgres is away, and how often it is tried.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A chat, as it is told.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    chat_id: i64,
    day: NaiveDate,
    dialog_today: bool,
    events: i64,
    user_segment: String,
}

struct Question {
    chat_id: i64,
    answer: oneshot::Sender<reports::Chat>,
}

/// Where questions are put.
#[derive(Debug, Clone)]
pub(super) struct Chats(mpsc::Sender<Question>);

/// Where they are answered.
pub(super) struct Desk {
    /// None where no database was named.
    writer: Option<Writer>,
    questions: mpsc::Receiver<Question>,
}

/// Connects to nothing yet.
///
/// # Errors
/// When the address is not a Postgres URL.
pub(super) fn chats(database_url: Option<&str>) -> anyhow::Result<(Chats, Desk)> {
    let writer = |url| Writer::new(url, "valera gateway", "SET statement_timeout = '2s'");
    let writer = database_url.map(writer).transpose()?;
    let (sender, questions) = mpsc::channel(WAITING);
    Ok((Chats(sender), Desk { writer, questions }))
}

impl Chats {
    /// Today's answer about a chat.
    pub(super) async fn tell(&self, chat_id: &str) -> Result<Json<Told>, Problem> {
        let Ok(chat_id) = chat_id.parse() else {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "chat_id: expected an integer of 64 bits"));
        };
        let (answer, told) = oneshot::channel();
        self.0.try_send(Question { chat_id, answer }).map_err(|_| away())?;
        let Ok(Ok(chat)) = timeout(PATIENCE, told).await else { return Err(away()) };
        let reports::Chat { chat_id, day, dialog_today, events, user_segment } = chat;
        Ok(Json(Told { chat_id, day, dialog_today, events, user_segment }))
    }
}

fn away() -> Problem {
    let detail =
        "the rollups cannot be asked now (is DATABASE_URL set and Postgres up?); events are taken all the same";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(RETRY_AFTER.as_secs() as u32)
}

impl Desk {
    /// Answers until it is told to stop. A question that finds no Postgres is dropped: whoever asked is told so.
    pub(super) async fn run(self, shutdown: &CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = answer(self) => {}
        }
    }
}

async fn answer(Desk { mut writer, mut questions }: Desk) {
    let mut refused = None::<Instant>;
    while let Some(Question { chat_id, answer }) = questions.recv().await {
        let Some(writer) = &mut writer else { continue };
        // Whoever gave up waiting asks again; and a Postgres that has just refused is left alone for a moment.
        if answer.is_closed() || refused.is_some_and(|at| at.elapsed() < RETRY_AFTER) {
            continue;
        }
        // Nothing is written here, and a connection that was given up on is never used again.
        let asked = timeout(PATIENCE, ask(writer, chat_id)).await.unwrap_or_else(|late| Err(late.into()));
        refused = None;
        match asked {
            // The client may have gone.
            Ok(chat) => drop(answer.send(chat)),
            Err(cause) => {
                warn!(cause = format!("{cause:#}"), "nothing can be told of chats");
                writer.forget();
                refused = Some(Instant::now());
            }
        }
    }
}

/// A connection that has died since the last question is opened anew.
async fn ask(writer: &mut Writer, chat_id: i64) -> anyhow::Result<reports::Chat> {
    let first = reports::chat(writer.connection().await?, chat_id, Utc::now()).await;
    if first.is_ok() {
        return first;
    }
    writer.forget();
    reports::chat(writer.connection().await?, chat_id, Utc::now()).await
}
