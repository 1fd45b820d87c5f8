//! What is asked of the gateway, and what is answered.
//!
//! 202 is a promise: every event of the answer is on a disk, the spool's or the stream's. It does not know connections.

use super::{
    admit::admit,
    body,
    chats::Chats,
    connections::Connections,
    counts::{self, Counts, Taken},
    openapi,
    problem::Problem,
    rate::Share,
    split::{self, Form, MAX_EVENTS, fault},
    tokens::Tokens,
};
use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{
        HeaderMap, Method, StatusCode,
        header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chrono::Utc;
use serde::Serialize;
use serde_json::json;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;
use tracing::{info, warn};
use uuid::Uuid;
use valera_events::{PseudonymKeys, Reason};
use valera_tracker::{Relayed, SpoolState, Tracker};

/// How long events may look for a place on a disk; then the client comes again with the same ids.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a request waits for others of its client.
const TURN: Duration = Duration::from_secs(5);

pub(super) struct Gateway {
    pub(super) tokens: Tokens,
    pub(super) shares: Vec<Share>,
    pub(super) tracker: Tracker,
    pub(super) keys: PseudonymKeys,
    pub(super) chats: Chats,
    pub(super) counts: Counts,
    pub(super) connections: Arc<Connections>,
}

type Shared = State<Arc<Gateway>>;

pub(super) fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/v1/events", post(events))
        .route("/v1/chats/{chat_id}", get(chat))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(async || Json(openapi::document())))
        .fallback(async || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "there is POST /v1/events, GET /v1/chats/{chat_id}, GET /health, GET /metrics and GET /openapi.json",
            )
        })
        .method_not_allowed_fallback(async |method: Method| {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not for this path; Allow says what is"))
        })
        .with_state(gateway)
}

/// What became of a request's events.
#[derive(Serialize)]
struct Answer {
    accepted: usize,
    rejected: usize,
    events: Vec<Told>,
}

#[derive(Serialize)]
struct Told {
    index: usize,
    event_id: Uuid,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Reason>,
}

async fn events(State(gateway): Shared, headers: HeaderMap, sent: Body) -> Response {
    gateway.answer(&headers, |client| publish(&gateway, client, &headers, sent)).await
}

async fn publish(
    gateway: &Gateway,
    client: usize,
    headers: &HeaderMap,
    sent: Body,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    acceptable(headers)?;
    let form = Form::of(headers)?;
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > body::MAX_BODY as u64) {
        return Err(body::too_large("a body"));
    }
    let busy =
        || Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many requests of this client at once").retry_after(1);
    let Some(share) = gateway.shares.get(client) else { return Err(busy()) };
    let turn = timeout(TURN, share.at_once.acquire()).await.map_err(|_| busy())?.map_err(|_| busy())?;
    let text = body::read(headers, sent).await?;
    let relayed = gateway.admit(form, headers, &text)?;
    let bytes = text.len();
    drop(text);
    let answer = answer(&relayed);
    let (accepted, rejected) = (answer.accepted, answer.rejected);
    let messages = relayed.into_iter().map(|(_, relayed)| relayed).collect();
    match timeout(PATIENCE, gateway.tracker.relay(messages)).await {
        Ok(Ok(())) => {}
        Ok(Err(cause)) => return Err(nowhere(&cause.to_string())),
        Err(_) => return Err(nowhere("neither the spool nor the stream took them in time")),
    }
    drop(turn);
    if rejected > 0 {
        let client = gateway.tokens.names().nth(client).unwrap_or_default();
        info!(client, accepted, rejected, "events break the contract; they become dead letters");
    }
    gateway.counts.taken(client, Taken { accepted, rejected, bytes });
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

fn nowhere(cause: &str) -> Problem {
    warn!(cause, "events are kept nowhere; their client is told to come again");
    let detail = format!("the events are not safe yet ({cause}): send them again, under the same ids");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(2)
}

fn answer(relayed: &[(usize, Relayed)]) -> Answer {
    let told = |(index, relayed): &(usize, Relayed)| Told {
        index: *index,
        event_id: relayed.event_id,
        status: if relayed.flaws.is_empty() { "accepted" } else { "rejected" },
        reasons: relayed.flaws.clone(),
    };
    let events: Vec<Told> = relayed.iter().map(told).collect();
    let accepted = events.iter().filter(|event| event.reasons.is_empty()).count();
    Answer { accepted, rejected: events.len() - accepted, events }
}

impl Gateway {
    /// Does what a client asks for, within its share, and counts how it was answered.
    async fn answer<T: IntoResponse, F: Future<Output = Result<T, Problem>>>(
        &self,
        headers: &HeaderMap,
        work: impl FnOnce(usize) -> F,
    ) -> Response {
        let Some(client) = self.client(headers) else {
            self.counts.unknown();
            let detail = "Authorization: Bearer and a token of the gateway's token file are needed";
            return Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
        };
        let response = if self.shares.get(client).is_some_and(|share| share.take(Instant::now())) {
            work(client).await.map_or_else(IntoResponse::into_response, IntoResponse::into_response)
        } else {
            let detail = "too many requests a second: send more events in each";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(1).into_response()
        };
        self.counts.answered(client, response.status().as_u16());
        response
    }

    /// Who asks.
    fn client(&self, headers: &HeaderMap) -> Option<usize> {
        let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") { self.tokens.client(token.trim()) } else { None }
    }

    /// All of a body's events, or why one of them can be kept nowhere: then none is.
    fn admit(&self, form: Form, headers: &HeaderMap, text: &[u8]) -> Result<Vec<(usize, Relayed)>, Problem> {
        let now = Utc::now();
        let (mut relayed, mut faults) = (Vec::new(), Vec::new());
        for piece in split::split(form, headers, text)? {
            match piece.text.and_then(|text| admit(&text, &self.keys, now)) {
                Ok(event) => relayed.push((piece.index, event)),
                Err(reasons) => faults.push(fault(piece.index, reasons)),
            }
        }
        if faults.is_empty() {
            return Ok(relayed);
        }
        let detail = format!(
            "{} of these events can be kept nowhere, not even as dead letters; none of the request was taken: send the \
             others without them",
            faults.len()
        );
        faults.truncate(MAX_EVENTS.min(100));
        Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).faults(faults))
    }
}

async fn chat(State(gateway): Shared, Path(chat_id): Path<String>, headers: HeaderMap) -> Response {
    let tell = async |_| {
        acceptable(&headers)?;
        gateway.chats.tell(&chat_id).await
    };
    gateway.answer(&headers, tell).await
}

/// For whoever watches: it asks for a token, since it names the clients.
async fn metrics(State(gateway): Shared, headers: HeaderMap) -> Response {
    let render = async |_| {
        let text = gateway.counts.render(&gateway.tokens, &gateway.connections, &gateway.tracker.stats());
        Ok(([(CONTENT_TYPE, counts::CONTENT_TYPE)], text))
    };
    gateway.answer(&headers, render).await
}

/// Whether events find a place now.
async fn health(State(gateway): Shared) -> Response {
    let stats = gateway.tracker.stats();
    let (spool, spools) = match &stats.spool {
        SpoolState::Off => ("off".to_owned(), false),
        SpoolState::Opening => ("opening".to_owned(), false),
        SpoolState::Ready => ("ready".to_owned(), true),
        SpoolState::Owned => ("owned by another process".to_owned(), false),
        SpoolState::Full => ("full".to_owned(), false),
        SpoolState::Failing(cause) => (cause.clone(), false),
    };
    let ready = spools || stats.connected;
    let told = json!({
        "ready": ready,
        "nats": if stats.connected { "connected" } else { "away" },
        "spool": spool,
        "spool_bytes": stats.spool_bytes,
    });
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(told)).into_response()
}

fn acceptable(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(accept) = headers.get(ACCEPT).and_then(|value| value.to_str().ok()) else { return Ok(()) };
    let takes = |range: &str| {
        let media = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        matches!(media.as_str(), "" | "*/*" | "application/*" | "application/json")
    };
    if accept.split(',').any(takes) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "answers are application/json; Accept leaves that out"))
}
