//! A message's headers from their bytes, read as the client library reads them.
//!
//! One message has one identity, whoever reads it: the library, or we ourselves where it may fail. So this follows the
//! library's grammar, folded lines included, and says whether the library would get through: it drops its connection at
//! what is no header, and panics at a carriage return inside a value. What is not text becomes text, with U+FFFD.
//!
//! It does not know what a header means.

use std::borrow::Cow;

/// The headers of one message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Headers {
    /// In the order of the message.
    pub(super) pairs: Vec<(String, String)>,
    /// Whether the library reads them for certain.
    pub(super) is_readable: bool,
}

/// Reads a header block, with its version line; none at all is a message without headers.
pub(super) fn parse(block: &[u8]) -> Headers {
    let text = String::from_utf8_lossy(block);
    let mut lines = text.lines().peekable();
    let is_versioned = lines.next().is_none_or(|version| version == "NATS/1.0");
    let mut is_readable = is_versioned && matches!(text, Cow::Borrowed(_));
    let mut pairs = Vec::new();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let mut value = value.trim_start().to_owned();
        while let Some(folded) = lines.next_if(|line| line.starts_with(char::is_whitespace)) {
            value.push_str(folded);
        }
        value.truncate(value.trim_end().len());
        let is_named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        is_readable &= is_named && line.contains(':') && !value.contains('\r');
        pairs.push((name.to_owned(), value));
    }
    Headers { pairs, is_readable }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(block: &[u8]) -> (bool, Vec<(String, String)>) {
        let Headers { pairs, is_readable } = parse(block);
        (is_readable, pairs)
    }

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn what_the_library_reads_is_read_alike() {
        assert_eq!(read(b""), (true, vec![]));
        assert_eq!(read(b"NATS/1.0\r\n\r\n"), (true, vec![]));
        let plain = read(b"NATS/1.0\r\nNats-Msg-Id: a b \r\nX-Name:\r\n\r\n");
        assert_eq!(plain, (true, pairs([("Nats-Msg-Id", "a b"), ("X-Name", "")])));
        let folded = read(b"NATS/1.0\r\nNats-Msg-Id: a\r\n  b\r\n\tc \r\nX: y\r\n\r\n");
        assert_eq!(folded, (true, pairs([("Nats-Msg-Id", "a  b\tc"), ("X", "y")])));
    }

    #[test]
    fn what_the_library_stumbles_over_becomes_text() {
        assert_eq!(read(b"NATS/1.0\r\nA: \xff b \r\n\r\n"), (false, pairs([("A", "\u{fffd} b")])));
        assert_eq!(read(b"NATS/1.0\r\nno colon\r\nA: b\r\n\r\n"), (false, pairs([("no colon", ""), ("A", "b")])));
        assert_eq!(read(b"NATS/1.0\r\nA: b\rc\r\n\r\n"), (false, pairs([("A", "b\rc")])));
        assert!(!read(b"NATS/1.0\r\n folded: from nothing\r\n\r\n").0);
        assert!(!read(b"NATS/1.0\r\n: x\r\n\r\n").0);
        assert!(!read(b"NATS/1.0\r\n\xd0\xb6: x\r\n\r\n").0);
        for version in [&b"HTTP/1.1"[..], b"NATS/1.0 409 Consumer Deleted", b"NATS/1.0 99999"] {
            assert_eq!(read(&[version, b"\r\nA: b\r\n\r\n"].concat()), (false, pairs([("A", "b")])));
        }
    }
}
