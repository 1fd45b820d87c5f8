//! The channel `log`: the service's own log, for those who collect logs anyway and have no other channel yet.
//!
//! It cannot edit and cannot fail. What matters is a warning, so that it is seen at the level that most people log at.

use super::channel::{Channel, Message, Shown, Undelivered};
use crate::alerts::Severity;
use futures::{
    FutureExt as _,
    future::{BoxFuture, ready},
};
use tracing::{info, warn};

/// See the module.
pub(super) struct Log;

impl Channel for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn show<'a>(
        &'a mut self,
        message: &'a Message,
        _: Option<&'a Shown>,
    ) -> BoxFuture<'a, Result<Shown, Undelivered>> {
        let text = message.text.as_str();
        match &message.alert {
            Some(alert) if alert.severity == Severity::Info => {
                info!(alert.rule = alert.rule, alert.incident = alert.incident, text, "alert");
            }
            Some(alert) => warn!(alert.rule = alert.rule, alert.incident = alert.incident, text, "alert"),
            None => info!(text, "alert"),
        }
        ready(Ok(Shown::default())).boxed()
    }
}
