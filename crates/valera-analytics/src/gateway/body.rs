//! Reads the body of a request: at most so many bytes, packed or not, within a time.
//!
//! It does not look into it.

use super::problem::Problem;
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header::CONTENT_ENCODING},
};
use flate2::read::MultiGzDecoder;
use futures::StreamExt;
use std::{io::Read, time::Duration};

/// The longest body, as it comes and unpacked.
pub(super) const MAX_BODY: usize = 4 * 1024 * 1024;
/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Problem> {
    let packed = match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase()) {
        None => false,
        Some(encoding) if encoding == b"identity" => false,
        Some(encoding) if encoding == b"gzip" => true,
        Some(_) => {
            let detail = "Content-Encoding is to be gzip, or none";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
    };
    let sent = tokio::time::timeout(PATIENCE, collect(body)).await.map_err(|_| {
        Problem::new(StatusCode::REQUEST_TIMEOUT, format!("the body did not come within {} s", PATIENCE.as_secs()))
    })??;
    if packed { unpack(&sent) } else { Ok(sent) }
}

async fn collect(body: Body) -> Result<Vec<u8>, Problem> {
    let mut stream = body.into_data_stream();
    let mut sent = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body ended before its time"))?;
        if sent.len() + chunk.len() > MAX_BODY {
            return Err(too_large("a body"));
        }
        sent.extend_from_slice(&chunk);
    }
    Ok(sent)
}

fn unpack(sent: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(sent).take(MAX_BODY as u64 + 1).read_to_end(&mut unpacked).map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "the body is not gzip, though Content-Encoding says so")
    })?;
    if unpacked.len() > MAX_BODY { Err(too_large("an unpacked body")) } else { Ok(unpacked) }
}

pub(super) fn too_large(what: &str) -> Problem {
    let detail = format!("{what} is at most {MAX_BODY} bytes: send the events in several requests");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}
