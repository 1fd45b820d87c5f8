//! Finds phone and card numbers among the digits of a text.
//!
//! A text is read as groups of digits with gaps between them. At each group, in order: is this a card, is this a
//! phone, each ending at the end of some later group? What comes before a group hardly matters to the answer, which
//! is what makes a second scrub find nothing new.
//!
//! It does not take UUIDs, hexadecimal ids, IP addresses, ISO times and epochs, nor anything below ten digits without
//! a `+`.

/// A run of ASCII digits.
struct Group<'t> {
    /// Where it begins; the `+` or `(` before it belongs to it.
    start: usize,
    end: usize,
    digits: &'t str,
    plus: bool,
    bracket: bool,
    /// What stands between it and the next group, when that may be inside a number.
    gap: Option<&'t str>,
}

/// `None` when there is nothing to blot.
pub(super) fn blot(text: &str) -> Option<String> {
    let groups = groups(text);
    let (mut out, mut done, mut index) = (String::new(), 0, 0);
    let mut free_before = false;
    while index < groups.len() {
        match number_at(&groups, index, free_before) {
            Some((count, blot)) => {
                out.push_str(&text[done..groups[index].start]);
                out.push_str(blot);
                index += count;
                done = groups[index - 1].end;
                free_before = false;
            }
            None => {
                index += 1;
                free_before = true;
            }
        }
    }
    (done > 0).then(|| out + &text[done..])
}

/// How many groups from `index` on make a number, and what replaces it. `free_before`: the group before was left as
/// it is.
fn number_at(groups: &[Group<'_>], index: usize, free_before: bool) -> Option<(usize, &'static str)> {
    let previous = index.checked_sub(1).filter(|_| free_before).map(|previous| &groups[previous]);
    // 0.9161234567 is a score, not a mobile number.
    if previous.is_some_and(|previous| previous.digits == "0" && previous.gap == Some(".")) {
        return None;
    }
    let run = linked(&groups[index..]);
    let sizes: Vec<usize> = run.iter().map(|group| group.digits.len()).collect();
    if let Some(count) = card(run, &sizes) {
        return Some((count, "[card]"));
    }
    phone(run, &sizes).map(|count| (count, "[phone]"))
}

/// The groups from the first on that gaps do not part, as far as a number could reach.
fn linked<'g, 't>(groups: &'g [Group<'t>]) -> &'g [Group<'t>] {
    const MOST_DIGITS: usize = 19;
    let (mut digits, mut count) = (0, 0);
    for group in groups {
        digits += group.digits.len();
        if digits > MOST_DIGITS {
            break;
        }
        count += 1;
        if group.gap.is_none() {
            break;
        }
    }
    &groups[..count]
}

/// The length of a card number: 13 to 19 digits with a right checksum, in one piece or printed as cards print it.
fn card(run: &[Group<'_>], sizes: &[usize]) -> Option<usize> {
    let first = run.first()?.digits;
    // No printed form begins with a shorter group.
    if first.len() < 4 {
        return None;
    }
    // No network issues numbers from 0, 1 or 20, but epochs in finer units than seconds and compact dates begin so.
    if first.len() > 8 && (first.starts_with(['0', '1']) || first.starts_with("20")) {
        return None;
    }
    let printed = |sizes: &[usize]| match sizes {
        [_] | [8, 8] | [4, 6, 4 | 5] => true,
        [6, rest] => *rest >= 7,
        [rest @ .., 1..=4] => rest.iter().all(|size| *size == 4),
        _ => false,
    };
    (1..=run.len()).rev().find(|count| {
        let (number, sizes) = (&run[..*count], &sizes[..*count]);
        (13..=19).contains(&sizes.iter().sum::<usize>()) && printed(sizes) && tight(number) && luhn(number)
    })
}

/// Whether a single character parts each group from the next.
fn tight(groups: &[Group<'_>]) -> bool {
    let inner = groups.len().saturating_sub(1);
    groups[..inner].iter().all(|group| group.gap.is_some_and(|gap| gap.chars().count() == 1))
}

/// ISO/IEC 7812-1, annex B.
fn luhn(groups: &[Group<'_>]) -> bool {
    let digits = groups.iter().rev().flat_map(|group| group.digits.bytes().rev());
    let sum: u32 = digits
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0');
            if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The length of a phone number: international after `+` or 00, or Russian with or without 7 or 8 before it.
fn phone(run: &[Group<'_>], sizes: &[usize]) -> Option<usize> {
    let first = run.first()?;
    let counts = |fewest: usize, most: usize| {
        let total = move |count: &usize| (fewest..=most).contains(&sizes[..*count].iter().sum::<usize>());
        (1..=sizes.len()).rev().find(total)
    };
    if first.plus {
        let russian = first.digits.starts_with('7').then(|| counts(11, 11)).flatten();
        return russian.or_else(|| counts(8, 15));
    }
    // A bare 00 is more often the minutes of a time.
    if first.digits.len() > 2 && first.digits.starts_with("00") && !first.digits.starts_with("000") {
        return counts(12, 17);
    }
    let prefixed = counts(11, 11).filter(|count| is_prefixed(&run[..*count], &sizes[..*count]));
    prefixed.or_else(|| counts(10, 10).filter(|count| is_bare(&run[..*count], &sizes[..*count])))
}

/// Eleven digits that are a Russian number with its 7 or 8, by their grouping: two prices or order numbers side by
/// side are not.
fn is_prefixed(groups: &[Group<'_>], sizes: &[usize]) -> bool {
    if !groups[0].digits.starts_with(['7', '8']) {
        return false;
    }
    match sizes {
        [11] | [1, 10] | [1, 3, 7] | [4, 7] => true,
        [1, rest @ ..] => rest.iter().all(|size| *size <= 5) && (!has_dots(groups) || rest.len() > 2),
        [4, rest @ ..] => rest.iter().all(|size| *size <= 4) && !has_dots(groups),
        _ => false,
    }
}

/// Ten digits that are a Russian number without 7 or 8: a mobile one, or one that is grouped or bracketed as phones
/// are.
fn is_bare(groups: &[Group<'_>], sizes: &[usize]) -> bool {
    match sizes {
        [10] => groups[0].digits.starts_with('9'),
        [3, 3, 4] | [3, 3, 2, 2] | [3, 7] | [3, 2, 2, 3] | [3, 2, 3, 2] => !has_dots(groups),
        _ => groups[0].bracket,
    }
}

/// Dots join the numbers of IP addresses and versions rather than those of phones.
fn has_dots(groups: &[Group<'_>]) -> bool {
    let inner = groups.len().saturating_sub(1);
    groups[..inner].iter().any(|group| group.gap.is_some_and(|gap| gap.contains('.')))
}

/// The groups of a text, without those inside UUIDs and long hexadecimal words.
fn groups(text: &str) -> Vec<Group<'_>> {
    let bytes = text.as_bytes();
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let starts_word = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        if starts_word && bytes[at].is_ascii_hexdigit() {
            let opaque = opaque_length(&bytes[at..]);
            if opaque > 0 {
                at += opaque;
                continue;
            }
        }
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let end = at + bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        push_group(text, at, end, &mut groups);
        at = end;
    }
    groups
}

fn push_group<'t>(text: &'t str, at: usize, end: usize, groups: &mut Vec<Group<'t>>) {
    let floor = groups.last().map_or(0, |last| last.end);
    let before = &text[floor..at];
    let bracket = before.ends_with('(');
    let unbracketed = before.strip_suffix('(').unwrap_or(before);
    let plus = unbracketed.trim_end_matches(' ').ends_with(['+', '＋']);
    let start = match (plus, bracket) {
        (true, _) => floor + unbracketed.trim_end_matches(' ').rfind(['+', '＋']).unwrap_or(0),
        (false, true) => at - 1,
        (false, false) => at,
    };
    if let Some(last) = groups.last_mut() {
        last.gap = is_gap(before).then_some(before);
    }
    groups.push(Group { start, end, digits: &text[at..end], plus, bracket, gap: None });
}

/// At most four spaces, dashes, brackets, dots and slashes; never a plus, which starts another number.
fn is_gap(between: &str) -> bool {
    let inside = |c: char| {
        matches!(c, ' ' | '\t' | '\u{a0}' | '\u{202f}' | '-' | '\u{2010}'..='\u{2015}' | '(' | ')' | '.' | '/')
    };
    between.chars().count() <= 4 && between.chars().all(inside)
}

/// The length of a UUID, or of a hexadecimal word of 24 or more with letters in it, that starts here; else 0.
fn opaque_length(bytes: &[u8]) -> usize {
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    let uuid = bytes.get(..36).is_some_and(|uuid| {
        let fits = |(at, byte): (usize, &u8)| {
            if HYPHENS.contains(&at) { *byte == b'-' } else { byte.is_ascii_hexdigit() }
        };
        uuid.iter().enumerate().all(fits)
    });
    if uuid && !bytes.get(36).is_some_and(u8::is_ascii_alphanumeric) {
        return 36;
    }
    let word = bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let word = &bytes[..word];
    let hex = word.len() >= 24 && word.iter().all(u8::is_ascii_hexdigit) && !word.iter().all(u8::is_ascii_digit);
    if hex { word.len() } else { 0 }
}
