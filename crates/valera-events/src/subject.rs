//! The only place that spells subjects.
/// Everything that the stream ANALYTICS takes in.
pub const ALL_EVENTS: &str = "analytics.>";
/// Where an event goes whose name makes no legal subject.
pub const INVALID: &str = "analytics._invalid";
/// The subject of an event type. `None` when the name is not `[a-z][a-z0-9_]{0,49}`.
pub fn of_event(name: &str) -> Option<String> { Some(format!("analytics.{name}")) }
/// The event name in a subject.
pub fn event_name(subject: &str) -> Option<&str> { subject.strip_prefix("analytics.") }
