//! The JetStream API requests that read and write configurations, as JSON.
//!
//! It does not decide what to write.

use async_nats::jetstream::response::Response;
use async_nats::jetstream::{Context, ErrorCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Resource, TopologyError};

#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    /// Fails where it exists with another configuration: whoever was quicker is not overwritten.
    Create,
    Update,
}

#[derive(Deserialize)]
struct Info {
    config: Map<String, Value>,
}

/// The configuration that the server holds; `None` where it holds none.
pub(super) async fn find(
    context: &Context,
    resource: &Resource,
) -> Result<Option<Map<String, Value>>, TopologyError> {
    let subject = match resource {
        Resource::Stream(stream) => format!("STREAM.INFO.{stream}"),
        Resource::Consumer(stream, consumer) => format!("CONSUMER.INFO.{stream}.{consumer}"),
    };
    match request(context, resource, subject, &json!({})).await? {
        Response::Ok(info) => Ok(Some(info.config)),
        Response::Err { error }
            if [ErrorCode::STREAM_NOT_FOUND, ErrorCode::CONSUMER_NOT_FOUND].contains(&error.error_code()) =>
        {
            Ok(None)
        }
        Response::Err { error } => Err(TopologyError::Refused { resource: resource.clone(), reason: error }),
    }
}

/// Has the server take `config`.
pub(super) async fn submit(
    context: &Context,
    resource: &Resource,
    config: &Map<String, Value>,
    action: Action,
) -> Result<(), TopologyError> {
    let (subject, body) = match (resource, action) {
        (Resource::Stream(stream), Action::Create) => (format!("STREAM.CREATE.{stream}"), json!(config)),
        (Resource::Stream(stream), Action::Update) => (format!("STREAM.UPDATE.{stream}"), json!(config)),
        (Resource::Consumer(stream, consumer), action) => {
            let action = match action {
                Action::Create => "create",
                Action::Update => "update",
            };
            let body = json!({"stream_name": stream, "config": config, "action": action});
            (format!("CONSUMER.CREATE.{stream}.{consumer}"), body)
        }
    };
    match request(context, resource, subject, &body).await? {
        Response::Ok(_) => Ok(()),
        Response::Err { error } => Err(TopologyError::Refused { resource: resource.clone(), reason: error }),
    }
}

async fn request(
    context: &Context,
    resource: &Resource,
    subject: String,
    body: &Value,
) -> Result<Response<Info>, TopologyError> {
    let answer = context.request(subject, body).await;
    answer.map_err(|source| TopologyError::Unanswered { resource: resource.clone(), source })
}
