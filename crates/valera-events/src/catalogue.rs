//! The event catalogue.
#[derive(Debug)]
pub struct EventSpec { pub name: &'static str }
pub static EVENTS: &[EventSpec] = &[];
/// The row of a name; `None` outside the catalogue.
pub fn find(name: &str) -> Option<&'static EventSpec> { EVENTS.iter().find(|spec| spec.name == name) }
