//! JSON, walked level by level over the raw text, so that each fault keeps its own reason and its own path.
//!
//! `serde_json::Value` reports depth, huge numbers and lone surrogates all as one parse error, drops the first of two
//! equal keys and loses a number's spelling. So serde_json only splits each object and array into raw pieces (which
//! also proves the syntax of the whole text at the first level), and this module reads the pieces, keys included.
//!
//! It does not know the envelope or the catalogue.

mod number;
mod path;
mod split;
mod text;

use std::borrow::Cow;

use serde_json::value::RawValue;

pub use number::{is_decimal, is_integer, is_storable};
pub use path::Path;
pub use text::write_string;

use crate::reason::{Reason, ReasonCode, Reasons};

/// The body is level 1, and this is the deepest.
pub const MAX_DEPTH: usize = 32;

/// The members of an object, in the order they were sent.
pub type Members<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

/// A JSON value that borrows the text it was read from where it can.
#[derive(Debug, Clone, PartialEq)]
pub enum Node<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number in the spelling it was sent in.
    Number(Cow<'a, str>),
    /// A string, decoded.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Node<'a>>),
    /// An object; keys are decoded and, in an accepted event, distinct.
    Object(Members<'a>),
}

impl<'a> Node<'a> {
    /// What the value looks like, for the text of a reason; never the value itself, which may be personal.
    pub fn shape(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool(_) => "a boolean".into(),
            Self::Number(text) if is_integer(text) => "an integer".into(),
            Self::Number(_) => "a number with a fraction or an exponent".into(),
            Self::String(text) if text.is_empty() => "an empty string".into(),
            Self::String(text) => {
                format!("a string of {}", count(text.chars().count(), "character"))
            }
            Self::Array(items) => format!("an array of {}", count(items.len(), "item")),
            Self::Object(members) => format!("an object of {}", count(members.len(), "member")),
        }
    }

    /// Appends the value as compact JSON, numbers in the spelling they were sent in.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Number(text) => out.extend_from_slice(text.as_bytes()),
            Self::String(text) => write_string(text, out),
            Self::Array(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(members) => write_object(members, out, |_, node, out| node.write(out)),
        }
    }
}

/// Appends an object whose values `write_value` writes.
pub(crate) fn write_object<'a>(
    members: &Members<'a>,
    out: &mut Vec<u8>,
    mut write_value: impl FnMut(&str, &Node<'a>, &mut Vec<u8>),
) {
    out.push(b'{');
    for (index, (key, node)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(key, out);
        out.push(b':');
        write_value(key, node, out);
    }
    out.push(b'}');
}

/// Reads a body that is one object and adds every fault in it to `faults`.
///
/// What is nested too deep reads as null. `None` when the body is no JSON object at all, which is the only fault
/// then.
pub(crate) fn read_object<'a>(body: &'a [u8], faults: &mut Reasons) -> Option<Members<'a>> {
    let Ok(text) = std::str::from_utf8(body) else {
        faults.push(ReasonCode::NotJson, &Path::ROOT, || "JSON in UTF-8; got bytes that are not UTF-8".into());
        return None;
    };
    match split::object(text) {
        Ok(pieces) => Some(members(pieces, &Path::ROOT, 1, faults)),
        Err(_) => {
            faults.add(not_an_object(text));
            None
        }
    }
}

/// Reads a text that is one object, whatever else is wrong with it. A lone surrogate reads as U+FFFD. `None` when it is no
/// object, or so deep that reading it would lose what lies below.
pub fn parse_object(text: &[u8]) -> Option<Members<'_>> {
    let mut faults = Reasons::default();
    let members = read_object(text, &mut faults)?;
    is_whole(&faults).then_some(members)
}

/// Reads a text that is one JSON value; `None` as in [`parse_object`].
pub(crate) fn parse_value(text: &str) -> Option<Node<'_>> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    let mut faults = Reasons::default();
    let value = node(raw.get(), &Path::ROOT, 1, &mut faults);
    is_whole(&faults).then_some(value)
}

/// Whether reading has dropped nothing: no level was too deep, nor can such a fault have found no room.
pub(crate) fn is_whole(faults: &Reasons) -> bool {
    !faults.is_full() && !faults.any(|reason| reason == ReasonCode::TooDeep)
}

/// Why a text that does not split as an object does not.
fn not_an_object(text: &str) -> Reason {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => {
            let shape = match raw.get().as_bytes().first() {
                Some(b'[') => "an array",
                Some(b'"') => "a string",
                Some(b'n') => "null",
                Some(b't' | b'f') => "a boolean",
                _ => "a number",
            };
            Reason::new(ReasonCode::NotAnObject, &Path::ROOT, format!("one JSON object; got {shape}"))
        }
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let expected =
                format!("one JSON object and nothing else; the syntax breaks at line {line}, column {column}");
            Reason::new(ReasonCode::NotJson, &Path::ROOT, expected)
        }
    }
}

fn members<'a>(
    pieces: Vec<(&'a RawValue, &'a RawValue)>,
    path: &Path<'_>,
    depth: usize,
    faults: &mut Reasons,
) -> Members<'a> {
    let mut members = Vec::with_capacity(pieces.len());
    for (key, value) in pieces {
        let (key, storable) = text::decode(key.get());
        let here = path.key(&key);
        if !storable {
            faults.push(ReasonCode::UnstorableText, &here, || unstorable_text("a key"));
        }
        let node = node(value.get(), &here, depth + 1, faults);
        members.push((key, node));
    }
    report_duplicates(&members, path, faults);
    members
}

fn node<'a>(raw: &'a str, path: &Path<'_>, depth: usize, faults: &mut Reasons) -> Node<'a> {
    match raw.as_bytes().first() {
        Some(b'"') => {
            let (text, storable) = text::decode(raw);
            if !storable {
                faults.push(ReasonCode::UnstorableText, path, || unstorable_text("a string"));
            }
            Node::String(text)
        }
        Some(b'{' | b'[') if depth > MAX_DEPTH => {
            faults
                .push(ReasonCode::TooDeep, path, || format!("at most {MAX_DEPTH} levels, the body being the first"));
            Node::Null
        }
        Some(b'{') => {
            // The first level proved the syntax of the whole text, so nothing is swallowed by the default.
            Node::Object(members(split::object(raw).unwrap_or_default(), path, depth, faults))
        }
        Some(b'[') => {
            let items = split::array(raw).unwrap_or_default();
            let items = items.into_iter().enumerate();
            Node::Array(items.map(|(i, item)| node(item.get(), &path.index(i), depth + 1, faults)).collect())
        }
        Some(b't') => Node::Bool(true),
        Some(b'f') => Node::Bool(false),
        Some(b'n') | None => Node::Null,
        Some(_) => {
            if !is_storable(raw) {
                faults.push(ReasonCode::UnstorableNumber, path, unstorable_number);
            }
            Node::Number(Cow::Borrowed(raw))
        }
    }
}

/// The text of `unstorable_number`.
pub(crate) fn unstorable_number() -> String {
    "a number of at most 40 significant digits and an exponent within ±308".into()
}

fn unstorable_text(what: &str) -> String {
    format!("{what} without NUL characters and lone surrogates")
}

/// Objects up to this size are compared pair by pair, which is quicker than sorting and allocates nothing.
const FEW_MEMBERS: usize = 12;

fn report_duplicates(members: &Members<'_>, path: &Path<'_>, faults: &mut Reasons) {
    let mut report = |key: &str| {
        faults.push(ReasonCode::DuplicateKey, &path.key(key), || "each key once in an object".into());
    };
    if members.len() <= FEW_MEMBERS {
        for (index, (key, _)) in members.iter().enumerate() {
            if members[..index].iter().any(|(earlier, _)| earlier == key) {
                report(key);
            }
        }
        return;
    }
    let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_ref()).collect();
    keys.sort_unstable();
    for pair in keys.windows(2) {
        if pair[0] == pair[1] {
            report(pair[0]);
        }
    }
}

fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
