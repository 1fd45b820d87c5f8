//! What is rendered from the catalogue: the JSON Schemas, the reference page, and the catalogue itself for programs.
//!
//! All are committed, so that they can be read and fetched without a build; a test rewrites a stale one and fails.
//!
//! It does not write files.

mod reference;
mod schema;

pub use reference::{example, reference};
pub use schema::{envelope_schema, event_schema};

use crate::catalogue::{Catalogue, EVENTS};

/// Every rendered file: its path from the root of the repository, and its text.
pub fn files() -> Vec<(String, String)> {
    let pretty = |mut schema: serde_json::Value| {
        // Any crate of a build may switch on serde_json's `preserve_order`; the files must not depend on it.
        schema.sort_all_objects();
        format!("{schema:#}\n")
    };
    let mut files = vec![
        ("docs/events.md".to_owned(), reference()),
        ("schemas/envelope.json".to_owned(), pretty(envelope_schema())),
    ];
    files.extend(Catalogue::OURS.to_json().map(|json| ("schemas/catalogue.json".to_owned(), pretty(json))));
    for spec in EVENTS {
        files.push((format!("schemas/{}.json", spec.name), pretty(event_schema(spec))));
    }
    files
}
