//! Whether a day is counted: `persister` and `rollups` are past its end.
//!
//! A consumer is past it when nothing is unsettled that was received before the end and a few minutes more, in which
//! publishers still bring what happened before midnight. What a publisher holds back for longer is told of by no
//! consumer; it corrects the rollups whenever it comes. It does not wait.

use crate::{progress::Progress, service::Service};
use async_nats::jetstream;
use chrono::{DateTime, TimeDelta, Utc};

/// For so long after midnight publishers still bring what happened before.
const BELATED: TimeDelta = TimeDelta::minutes(5);

/// # Errors
/// When NATS does not answer.
pub(super) async fn is_counted(
    context: &jetstream::Context,
    end: DateTime<Utc>,
    now: DateTime<Utc>,
) -> anyhow::Result<bool> {
    let upto = end + BELATED;
    if now < upto {
        return Ok(false);
    }
    for service in Service::ALL {
        let progress = Progress::of(context, service.name()).await?;
        if progress.oldest_at.is_some_and(|oldest| oldest < upto) {
            return Ok(false);
        }
    }
    Ok(true)
}
