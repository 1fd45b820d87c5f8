//! How a service gets its consumer: it binds to what an operator has applied, or says what is missing.
//!
//! A service that created or changed consumers on its own would, started with an old binary, undo what a new one set;
//! and one that took any consumer of the name would run with a filter or a window that loses or chokes.
//!
//! It does not create or change anything.

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{PullConsumer, pull};

use super::{Resource, TopologyError, api, compare, desired, require_server};

/// What a service would go wrong under. `ack_wait` may have any value but none.
const RELIED_ON: [&str; 8] = [
    "ack_policy",
    "deliver_policy",
    "max_deliver",
    "max_ack_pending",
    "filter_subject",
    "filter_subjects",
    "headers_only",
    "deliver_subject",
];

/// The durable consumer `consumer` of `stream`, its settings checked.
///
/// # Errors
/// [`TopologyError::Missing`] and [`TopologyError::Differs`] until `topology apply` has run,
/// [`TopologyError::OldServer`], and [`TopologyError::Unanswered`] while the server is away.
pub async fn bind(context: &Context, stream: &str, consumer: &str) -> Result<PullConsumer, TopologyError> {
    let resource = Resource::Consumer(stream.to_owned(), consumer.to_owned());
    let topology = desired()?;
    let wanted = topology.wanted.iter().find(|(candidate, _)| *candidate == resource);
    let Some((_, wanted)) = wanted else {
        return Err(TopologyError::Unknown(resource));
    };
    require_server(&context.client())?;
    let found = api::find(context, &resource).await?;
    let found = found.ok_or_else(|| TopologyError::Missing(resource.clone()))?;

    let has_ack_wait = found.get("ack_wait").and_then(serde_json::Value::as_u64).is_some_and(|wait| wait > 0);
    let matters = |field: &str| RELIED_ON.contains(&field) || (field == "ack_wait" && !has_ack_wait);
    let mut differences = compare::compare(&resource, wanted, &found);
    differences.retain(|difference| difference.field().is_some_and(matters));
    if !differences.is_empty() {
        return Err(TopologyError::Differs(differences));
    }
    let bound = context.get_consumer_from_stream::<pull::Config, _, _>(consumer, stream).await;
    bound.map_err(|error| TopologyError::Unbound { resource, source: error })
}
