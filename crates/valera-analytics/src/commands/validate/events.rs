//! Where the events of a file begin and end: one a line, or the file is one JSON document, an object or an array of them.
//!
//! It does not judge: what is no JSON is handed on as a line is.

use crate::commands::lines::Lines;
use serde_json::value::RawValue;
use std::io::{self, BufReader, Cursor, Read};
use valera_tracker::MAX_BODY;

/// The greatest document, in bytes; lines may be any number.
const MAX_DOCUMENT: usize = 8 << 20;

/// What stands where an event is expected.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    /// Its place in the array, from 0, where the file is one.
    pub(super) index: Option<usize>,
    pub(super) body: &'a [u8],
    /// False where the body is longer than any event can be, and was cut.
    pub(super) whole: bool,
}

/// Hands every event to `each`, in order; empty lines are none.
pub(super) fn read(mut source: impl Read, mut each: impl FnMut(Candidate<'_>)) -> io::Result<()> {
    let mut head = Vec::new();
    let limit = u64::try_from(MAX_DOCUMENT).unwrap_or(u64::MAX).saturating_add(1);
    source.by_ref().take(limit).read_to_end(&mut head)?;
    if is_document(&head) {
        if head.len() > MAX_DOCUMENT {
            let expected = format!("an array of at most {MAX_DOCUMENT} bytes, or one event a line");
            return Err(io::Error::other(expected));
        }
        read_document(&head, each);
        return Ok(());
    }
    for line in Lines::new(BufReader::new(Cursor::new(head).chain(source)), MAX_BODY) {
        let line = line?;
        let body = line.text.trim_ascii();
        if !body.is_empty() {
            each(Candidate { line: line.number, index: None, body, whole: line.whole });
        }
    }
    Ok(())
}

/// Whether this is one document over several lines, or an array: the first line holds no whole JSON value, but begins one,
/// and what follows goes on with it.
fn is_document(head: &[u8]) -> bool {
    let text = head.trim_ascii_start();
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match (text.first(), serde_json::from_slice::<&RawValue>(first)) {
        (Some(b'['), _) => true,
        (Some(b'{'), Err(cause)) if cause.is_eof() => serde_json::from_slice::<&RawValue>(text).is_ok(),
        _ => false,
    }
}

fn read_document(head: &[u8], mut each: impl FnMut(Candidate<'_>)) {
    let Ok(elements) = serde_json::from_slice::<Vec<&RawValue>>(head) else {
        let before = head.len() - head.trim_ascii_start().len();
        return each(Candidate {
            line: 1 + newlines(&head[..before]),
            index: None,
            body: head.trim_ascii(),
            whole: true,
        });
    };
    let (mut line, mut at) = (1, 0);
    for (index, element) in elements.into_iter().enumerate() {
        let body = element.get().as_bytes();
        let begins = body.as_ptr().addr() - head.as_ptr().addr();
        line += newlines(&head[at..begins]);
        at = begins;
        each(Candidate { line, index: Some(index), body, whole: true });
    }
}

fn newlines(text: &[u8]) -> u64 {
    text.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(u64, Option<usize>, String, bool)> {
        let mut found = Vec::new();
        let each = |event: Candidate<'_>| {
            let body = String::from_utf8_lossy(event.body).into_owned();
            found.push((event.line, event.index, body, event.whole));
        };
        read(text.as_bytes(), each).unwrap();
        found
    }

    fn line(number: u64, text: &str) -> (u64, Option<usize>, String, bool) {
        (number, None, text.to_owned(), true)
    }

    #[test]
    fn events_stand_one_a_line() {
        assert_eq!(
            found("{\"a\":1}\n\n {\"b\":2} \r\nnot\n"),
            [line(1, "{\"a\":1}"), line(3, "{\"b\":2}"), line(4, "not")]
        );
        assert_eq!(found("{\"a\":1}"), [line(1, "{\"a\":1}")]);
        assert_eq!(found(""), []);
        assert_eq!(found(" \n\n"), []);
        let cut = found("{\"a\":1\n{\"b\":2}\n");
        assert_eq!(cut, [line(1, "{\"a\":1"), line(2, "{\"b\":2}")], "a line that is cut is no document");
    }

    #[test]
    fn a_document_is_one_object_or_an_array_of_them() {
        assert_eq!(found("\n{\n \"a\": 1\n}\n"), [line(2, "{\n \"a\": 1\n}")]);
        let array = found("[\n {\"a\":1},\n {\"b\":\n2}, 3]");
        let element = |number, index, text: &str| (number, Some(index), text.to_owned(), true);
        assert_eq!(array, [element(2, 0, "{\"a\":1}"), element(3, 1, "{\"b\":\n2}"), element(4, 2, "3")]);
        assert_eq!(found("[{\"a\":1}]"), [element(1, 0, "{\"a\":1}")]);
        assert_eq!(found("[]"), []);
        assert_eq!(found("[{\"a\":1},\n{\"b\":]"), [line(1, "[{\"a\":1},\n{\"b\":]")], "a broken one is one fault");
    }

    #[test]
    fn what_is_too_long_is_cut_and_does_not_hold_up_the_rest() {
        let long = format!("{{\"x\":\"{}\"}}", "x".repeat(MAX_BODY));
        let found = found(&format!("{long}\n{{\"a\":1}}\n"));
        assert_eq!((found[0].0, found[0].3, &found[1]), (1, false, &line(2, "{\"a\":1}")));
        let endless = io::Cursor::new(b"[").chain(io::repeat(b' ').take(MAX_DOCUMENT as u64 + 9));
        assert!(read(endless, |_| panic!("an event")).unwrap_err().to_string().contains("one event a line"));
    }
}
