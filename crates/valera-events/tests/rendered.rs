//! The rendered files equal what the catalogue says now.

use std::fs;
use std::path::Path;

use valera_events::catalogue::Sensitivity;

/// Rendered where more than the catalogue is known.
const ELSEWHERE: [&str; 2] = ["asyncapi.json", "openapi.json"];

#[test]
fn rendered_files_equal_the_catalogue() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut stale = Vec::new();
    for (path, text) in valera_events::render::files() {
        let file = root.join(&path);
        if fs::read_to_string(&file).ok().as_deref() != Some(text.as_str()) {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, text).unwrap();
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "stale, now rewritten; commit them: {stale:?}");
}

#[test]
fn no_schema_outlives_its_event() {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let rendered = valera_events::render::files();
    for entry in fs::read_dir(schemas).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known =
            ELSEWHERE.contains(&name.as_str()) || rendered.iter().any(|(path, _)| *path == format!("schemas/{name}"));
        assert!(known, "no event for schemas/{name}");
    }
}

#[test]
fn every_example_and_key_of_the_catalogue_is_sound() {
    for spec in valera_events::catalogue::EVENTS {
        assert!(valera_events::subject::of_event(spec.name).is_some(), "{}", spec.name);
        assert!(spec.properties.is_sorted_by_key(|property| !property.required), "{}: required first", spec.name);
        for property in spec.properties {
            serde_json::from_str::<serde_json::Value>(property.example).unwrap();
            let personal = valera_events::catalogue::personal_kind(property.name).is_some();
            assert!(
                !personal || property.sensitivity == Sensitivity::Personal,
                "{} is a personal key",
                property.name
            );
        }
    }
}
