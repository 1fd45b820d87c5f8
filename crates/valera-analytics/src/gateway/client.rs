//! A client of a gateway, as any program may be one: sends events in batches, and again until they are answered with 202.
//!
//! `demo` and the benchmark publish by it. Every event must have an `event_id`: it is what makes sending again safe. It does not
//! keep events: what a program has in hand when it dies is the program's.

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use serde::Deserialize;
use std::{ops::AddAssign, time::Duration};
use tokio::time::Instant;

/// For how long a batch is sent again.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Answered {
    pub accepted: u64,
    /// They become dead letters.
    pub rejected: u64,
}

impl AddAssign for Answered {
    fn add_assign(&mut self, more: Self) {
        self.accepted += more.accepted;
        self.rejected += more.rejected;
    }
}

/// See the module; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    events: String,
    token: String,
}

impl Client {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When the system has no certificates.
    pub fn new(url: &str, token: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE / 2).build()?;
        Ok(Self { http, events: format!("{url}/v1/events"), token: token.to_owned() })
    }

    /// Sends events in one request; returns once they are safe.
    ///
    /// # Errors
    /// When the gateway refuses the request for good, or did not take it within a minute.
    pub async fn send(&self, events: &[Bytes]) -> anyhow::Result<Answered> {
        let body = Bytes::from([b"[", events.join(&b","[..]).as_slice(), b"]"].concat());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let pause = match self.attempt(body.clone()).await? {
                Ok(answered) => return Ok(answered),
                Err(pause) => pause,
            };
            ensure!(Instant::now() < deadline, "{} did not take events within {} s", self.events, PATIENCE.as_secs());
            tokio::time::sleep(pause).await;
        }
    }

    /// The answer, or after how long it is worth another attempt.
    async fn attempt(&self, body: Bytes) -> anyhow::Result<Result<Answered, Duration>> {
        let request = self.http.post(&self.events).bearer_auth(&self.token);
        let request = request.header("Content-Type", "application/json").body(body);
        let Ok(response) = request.send().await else { return Ok(Err(Duration::from_millis(500))) };
        match response.status().as_u16() {
            202 => response.json().await.map(Ok).context("reading the gateway's answer"),
            429 | 503 => {
                let after = response.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.parse().ok());
                Ok(Err(Duration::from_secs(after.unwrap_or(1))))
            }
            status => bail!("{} answered {status}: {}", self.events, response.text().await.unwrap_or_default()),
        }
    }
}
