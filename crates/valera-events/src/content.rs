//! The encoding under the content hash: two events have the same one exactly when they say the same.
//!
//! Every part is either of fixed size or preceded by its length, so no two contents share an encoding. White space,
//! the order of keys and the escapes of strings say nothing and leave no trace; the spelling of a number does, as
//! numeric keeps 1.50.
//!
//! It does not include the id: the hash is what tells two events of one id apart.

use crate::event::Event;
use crate::json::{Members, Node};

/// Encodes all of an event but its id.
pub(crate) fn encode(event: &Event<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    put_text(event.name, &mut out);
    out.extend_from_slice(&event.chat_id.to_be_bytes());
    out.extend_from_slice(&event.occurred_at.timestamp_micros().to_be_bytes());
    put_text(&event.platform, &mut out);
    match &event.session_id {
        Some(session_id) => {
            out.push(1);
            put_text(session_id, &mut out);
        }
        None => out.push(0),
    }
    put_object(&event.properties, &mut out);
    out
}

fn put_node(node: &Node<'_>, out: &mut Vec<u8>) {
    match node {
        Node::Null => out.push(b'z'),
        Node::Bool(false) => out.push(b'f'),
        Node::Bool(true) => out.push(b't'),
        Node::Number(text) => {
            out.push(b'n');
            put_text(text, out);
        }
        Node::String(text) => {
            out.push(b's');
            put_text(text, out);
        }
        Node::Array(items) => {
            out.push(b'a');
            put_length(items.len(), out);
            items.iter().for_each(|item| put_node(item, out));
        }
        Node::Object(members) => put_object(members, out),
    }
}

fn put_object(members: &Members<'_>, out: &mut Vec<u8>) {
    out.push(b'o');
    put_length(members.len(), out);
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for (key, node) in sorted {
        put_text(key, out);
        put_node(node, out);
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_length(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn put_length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(length as u64).to_be_bytes());
}
