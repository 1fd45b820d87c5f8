//! The events of a body, by its form: one JSON object, an array of them, a line each, or CloudEvents.
//!
//! serde_json only splits: what stands in an event is read where it is judged. It does not judge events.

use super::{
    cloudevents,
    problem::{Fault, Problem},
};
use axum::http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde_json::value::RawValue;
use std::borrow::Cow;
use valera_events::{Reason, ReasonCode, json::Path};

/// The most events of one request.
pub(super) const MAX_EVENTS: usize = 1_000;

/// One event of a body.
pub(super) struct Piece<'a> {
    /// Its place in the array, or its line, from 0.
    pub(super) index: usize,
    pub(super) text: Result<Cow<'a, str>, Vec<Reason>>,
}

/// The forms that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Lines,
    CloudEvent,
    CloudEvents,
    /// CloudEvents in binary mode: attributes in headers.
    Binary,
}

impl Form {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let sent = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut parts = sent.split(';').map(|part| part.trim().to_ascii_lowercase());
        let media = parts.next().unwrap_or_default();
        let foreign =
            parts.find(|part| part.strip_prefix("charset=").is_some_and(|set| set.trim_matches('"') != "utf-8"));
        match media.as_str() {
            _ if foreign.is_some() => Err(unsupported("the text is to be UTF-8")),
            "application/json" if headers.contains_key("ce-specversion") => Ok(Self::Binary),
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" => Ok(Self::Lines),
            "application/cloudevents+json" => Ok(Self::CloudEvent),
            "application/cloudevents-batch+json" => Ok(Self::CloudEvents),
            _ => Err(unsupported(
                "Content-Type is to be application/json, application/x-ndjson, application/cloudevents+json or \
                 application/cloudevents-batch+json",
            )),
        }
    }
}

fn unsupported(detail: &str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
}

/// Splits a body.
pub(super) fn split<'a>(form: Form, headers: &HeaderMap, body: &'a [u8]) -> Result<Vec<Piece<'a>>, Problem> {
    let text = std::str::from_utf8(body).map_err(|cause| {
        let at = cause.valid_up_to();
        Problem::new(StatusCode::BAD_REQUEST, format!("the body is not UTF-8: byte {at} is not"))
    })?;
    let pieces: Vec<Piece<'a>> = match form {
        Form::Lines => lines(text),
        Form::Json => array(text)?,
        Form::CloudEvent => array(text)?.into_iter().map(cloudevents::structured).collect(),
        Form::CloudEvents => array(text)?.into_iter().map(cloudevents::structured).collect(),
        Form::Binary => vec![Piece { index: 0, text: cloudevents::binary(headers, text).map(Cow::Owned) }],
    };
    if pieces.len() > MAX_EVENTS {
        let came = pieces.len();
        let detail = format!("a request holds at most {MAX_EVENTS} events; got {came}: send them in several");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    Ok(pieces)
}

/// An array's items, or the one value.
fn array(text: &str) -> Result<Vec<Piece<'_>>, Problem> {
    let whole = match text.trim_ascii_start().starts_with('[') {
        true => serde_json::from_str::<Vec<&RawValue>>(text),
        false => serde_json::from_str::<&RawValue>(text).map(|value| vec![value]),
    };
    let items = whole.map_err(|cause| {
        let (line, column) = (cause.line(), cause.column());
        let detail = format!("the body is not JSON: line {line}, column {column} is where it stops being that");
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })?;
    let piece = |(index, item): (usize, &'_ RawValue)| Piece { index, text: Ok(Cow::Owned(item.get().to_owned())) };
    Ok(items.into_iter().enumerate().map(piece).collect())
}

fn lines(text: &str) -> Vec<Piece<'_>> {
    let lines = text.split('\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    lines.map(|(index, line)| Piece { index, text: Ok(Cow::Borrowed(line.trim_ascii())) }).collect()
}

/// One fault of one event.
pub(super) fn fault(index: usize, reasons: Vec<Reason>) -> Fault {
    Fault { index, pointer: format!("/{index}"), reasons }
}

/// A reason for what is wrong beside the event itself.
pub(super) fn reason(code: ReasonCode, at: &str, expected: impl Into<String>) -> Vec<Reason> {
    vec![Reason::new(code, &Path::ROOT.key(at), expected.into())]
}
