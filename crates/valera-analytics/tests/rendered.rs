//! What is rendered from the program stands in the repository as it is rendered.

use std::{fs, path::Path};
use valera_analytics::gateway::openapi;

#[test]
fn the_openapi_document_is_as_the_gateway_serves_it() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/openapi.json");
    let rendered = format!("{}\n", serde_json::to_string_pretty(&openapi::document()).unwrap());
    if fs::read_to_string(&file).unwrap_or_default() != rendered {
        fs::write(&file, rendered).unwrap();
        panic!("schemas/openapi.json was stale and is now rewritten; commit it");
    }
}
