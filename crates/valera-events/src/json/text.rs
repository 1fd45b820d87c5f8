//! Strings: decoding their escapes, and writing them back.
//!
//! Decoding never fails: a lone surrogate becomes U+FFFD and is reported beside the text, so that the rest of the
//! event can still be judged and the text can still be shown.
//!
//! It does not check syntax: the split of the whole text has done so.

use std::borrow::Cow;

/// Decodes a raw JSON string, quotes included. `false` when it holds a NUL or a lone surrogate.
pub(super) fn decode(raw: &str) -> (Cow<'_, str>, bool) {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    // A NUL can only come from an escape: serde_json refuses control characters as they are.
    let Some(first) = inner.find('\\') else {
        return (Cow::Borrowed(inner), true);
    };
    let mut text = String::with_capacity(inner.len());
    let mut storable = true;
    let (plain, mut rest) = inner.split_at(first);
    text.push_str(plain);
    while let Some(escape) = rest.strip_prefix('\\') {
        let (decoded, after) = unescape(escape);
        storable &= decoded.is_some_and(|character| character != '\0');
        text.push(decoded.unwrap_or(char::REPLACEMENT_CHARACTER));
        let (plain, next) = after.split_at(after.find('\\').unwrap_or(after.len()));
        text.push_str(plain);
        rest = next;
    }
    (Cow::Owned(text), storable)
}

/// The character of the escape that follows a backslash, `None` for a lone surrogate, and what comes after it.
fn unescape(escape: &str) -> (Option<char>, &str) {
    let (letter, after) = escape.split_at(escape.len().min(1));
    let simple = match letter {
        "b" => '\u{8}',
        "f" => '\u{c}',
        "n" => '\n',
        "r" => '\r',
        "t" => '\t',
        "u" => return unicode_escape(after),
        other => other.chars().next().unwrap_or('\\'),
    };
    (Some(simple), after)
}

fn unicode_escape(hex: &str) -> (Option<char>, &str) {
    let Some((unit, after)) = code_unit(hex) else {
        return (None, "");
    };
    if !(0xd800..0xdc00).contains(&unit) {
        return (char::from_u32(unit), after);
    }
    let low = after.strip_prefix("\\u").and_then(code_unit);
    match low {
        Some((low, after)) if (0xdc00..0xe000).contains(&low) => {
            (char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)), after)
        }
        _ => (None, after),
    }
}

fn code_unit(hex: &str) -> Option<(u32, &str)> {
    let (digits, after) = hex.split_at_checked(4)?;
    Some((u32::from_str_radix(digits, 16).ok()?, after))
}

/// Appends a text as a JSON string, quotes included.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut written = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[written..index]);
        written = index + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]]);
            }
        }
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_decode_and_lone_surrogates_are_told() {
        for (raw, text, storable) in [
            (r#""plain""#, "plain", true),
            (r#""""#, "", true),
            (r#""a\n\t\"\\\/\u0041б""#, "a\n\t\"\\/Aб", true),
            (r#""\ud83d\ude00!""#, "😀!", true),
            (r#""\ud83d""#, "\u{fffd}", false),
            (r#""\ude00x""#, "\u{fffd}x", false),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀", false),
            (r#""\ud83d\u0041""#, "\u{fffd}A", false),
            (r#""a\u0000b""#, "a\0b", false),
        ] {
            assert_eq!(decode(raw), (Cow::from(text), storable), "{raw}");
        }
    }

    #[test]
    fn what_is_written_decodes_to_itself() {
        for text in ["", "plain", "\"\\\n\r\t\u{1}\u{1f}/é😀"] {
            let mut out = Vec::new();
            write_string(text, &mut out);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
            assert_eq!(decode(std::str::from_utf8(&out).unwrap()).0, text);
        }
    }
}
