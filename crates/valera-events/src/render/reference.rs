//! The reference page: every event and property, in both languages, with an example.
//!
//! It does not repeat the envelope's rules beyond what a publisher needs to send a first event.

use std::fmt::{self, Write};

use crate::catalogue::{EVENTS, EventSpec, PERSONAL_KEYS, PersonalKind, PropertyKind, PropertySpec};

const INTRODUCTION: &str = "\
<!-- Rendered from the catalogue in crates/valera-events; `cargo test -p valera-events` rewrites it. -->

# Events

An event is published on `analytics.<event_name>` as one JSON object with `chat_id` and, where it has any,
`properties`; see `schemas/envelope.json` for the other fields. A null equals an absent property. Names that are not
listed here are accepted, stored and counted too, and reported as undeclared; so are properties that are not listed.

Sensitivity says what becomes of a value before it is stored: *plain* stays as it is, in *free_text* (and in every
undeclared string) phones, e-mails and cards are blotted out, *personal* becomes a keyed pseudonym.
";

/// The page as Markdown.
pub fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("\n| event | required properties | owner |\n|---|---|---|\n");
    for spec in EVENTS {
        let required = spec.properties.iter().filter(|property| property.required);
        let required: Vec<String> = required.map(|property| format!("`{}`", property.name)).collect();
        line(&mut page, format_args!("| [`{0}`](#{0}) | {1} | {2} |", spec.name, required.join(", "), spec.owner));
    }
    for spec in EVENTS {
        event(&mut page, spec);
    }
    personal(&mut page);
    page
}

fn event(page: &mut String, spec: &EventSpec) {
    line(page, format_args!("\n## {}\n\n{}\n\n{}\n\nOwner: {}.\n", spec.name, spec.en, spec.ru, spec.owner));
    page.push_str("| property | type | | sensitivity | meaning | значение |\n|---|---|---|---|---|---|\n");
    for property in spec.properties {
        let required = if property.required { "required" } else { "optional" };
        let (name, kind, sensitivity) = (property.name, kind(property.kind), property.sensitivity.as_str());
        let row =
            format_args!("| `{name}` | {kind} | {required} | {sensitivity} | {} | {} |", property.en, property.ru);
        line(page, row);
    }
    line(page, format_args!("\n```json\n{}\n```", example(spec)));
}

/// A body with every declared property, as JSON text.
pub fn example(spec: &EventSpec) -> String {
    let member = |property: &PropertySpec| format!("\"{}\": {}", property.name, property.example);
    let properties: Vec<String> = spec.properties.iter().map(member).collect();
    format!(
        "{{\n  \"event_name\": \"{}\",\n  \"chat_id\": 482133007,\n  \
         \"occurred_at\": \"2025-11-01T12:00:00.123456+03:00\",\n  \"properties\": {{ {} }}\n}}",
        spec.name,
        properties.join(", ")
    )
}

fn kind(kind: PropertyKind) -> String {
    match kind {
        PropertyKind::Text => "text".into(),
        PropertyKind::Integer { min, max } => format!("integer, {min} to {max}"),
        PropertyKind::Number { min: None, max: None } => "number".into(),
        PropertyKind::Number { min, max } => {
            let (from, to) = (min.map(|min| format!(" from {min}")), max.map(|max| format!(" to {max}")));
            format!("number{}{}", from.unwrap_or_default(), to.unwrap_or_default())
        }
        PropertyKind::Decimal => "decimal: a number or a plain decimal string, stored as a number".into(),
        PropertyKind::IntegerOrText => "integer of 64 bits, or text".into(),
    }
}

fn personal(page: &mut String) {
    page.push_str(
        "\n## Personal keys\n\nValues under these keys become pseudonyms in every event, at any depth, \
         whatever the case of the key.\n\n\
         | key | normalised as |\n|---|---|\n",
    );
    for (key, kind) in PERSONAL_KEYS {
        let kind = match kind {
            PersonalKind::Phone => "phone: E.164",
            PersonalKind::Email => "e-mail: NFKC, lower case, trimmed",
            PersonalKind::Text => "text: NFKC, lower case, white space collapsed",
        };
        line(page, format_args!("| `{key}` | {kind} |"));
    }
}

fn line(page: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    if page.write_fmt(text).is_ok() {
        page.push('\n');
    }
}
