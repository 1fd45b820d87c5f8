//! The AsyncAPI document is what the catalogue, the topology and the alerts' type say now.

use std::{fs, path::Path};

#[test]
fn the_rendered_asyncapi_document_equals_the_catalogue_and_the_topology() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/asyncapi.json");
    let text = format!("{:#}\n", valera_pipeline::asyncapi::document().unwrap());
    if fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
        fs::write(&path, text).unwrap();
        panic!("schemas/asyncapi.json was stale and is now rewritten; commit it");
    }
}
