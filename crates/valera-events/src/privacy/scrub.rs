//! Blots e-mails, phone numbers and cards out of free text.
//!
//! Written as two scans instead of regular expressions: a number is personal or not by the count of its digits, their
//! grouping and a checksum, none of which a regular language says well, and both scans are linear whatever the text.
//! Where a number could be either, it is blotted: a lost order number is a nuisance, a kept phone number is a breach.
//!
//! It does not know names, plates or addresses: those have no shape, and stand under personal keys.

use std::borrow::Cow;

use super::numbers;

/// Fewer digits than this make neither phone nor card.
const FEWEST_DIGITS: usize = 8;

/// The text with e-mails as `[email]`, phone numbers as `[phone]` and card numbers as `[card]`; borrowed when there
/// is none. Scrubbing twice changes nothing more. At most twice as long as `text`.
pub fn scrub(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let (mut at, mut digits) = (false, 0);
    for byte in bytes {
        at |= *byte == b'@';
        digits += usize::from(byte.is_ascii_digit());
    }
    let without_emails = if at { blot_emails(text) } else { None };
    if digits < FEWEST_DIGITS {
        return without_emails.map_or(Cow::Borrowed(text), Cow::Owned);
    }
    match without_emails {
        Some(text) => Cow::Owned(numbers::blot(&text).unwrap_or(text)),
        None => numbers::blot(text).map_or(Cow::Borrowed(text), Cow::Owned),
    }
}

/// `None` when there is no e-mail address.
fn blot_emails(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut done = 0;
    for (at, _) in text.match_indices('@') {
        if at < done {
            continue;
        }
        let start = local_start(&text[done..at]) + done;
        let Some(length) = domain_length(&text[at + 1..]) else {
            continue;
        };
        if start == at {
            continue;
        }
        out.push_str(&text[done..start]);
        out.push_str("[email]");
        done = at + 1 + length;
    }
    (done > 0).then(|| out + &text[done..])
}

/// Where the local part that ends a text begins. Of what RFC 5322 allows, `/`, `=`, `?` and `&` are left out: they
/// come from URLs.
fn local_start(before: &str) -> usize {
    let is_local = |c: char| c.is_alphanumeric() || "!#$%'*+-^_`{|}~.".contains(c);
    before.char_indices().rev().take_while(|(_, c)| is_local(*c)).last().map_or(before.len(), |(start, _)| start)
}

/// The length of the domain that starts a text. `None` unless it has a dot inside: any dot, since a rule about the
/// last label could come true only after a number in it was blotted.
fn domain_length(after: &str) -> Option<usize> {
    let is_domain = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
    let end = after.find(|c| !is_domain(c)).unwrap_or(after.len());
    let domain = after[..end].trim_end_matches(['.', '-']);
    let inside = domain.trim_start_matches('.');
    (inside.len() == domain.len() && inside.contains('.')).then_some(domain.len())
}
