//! What people are told in, and how each language writes numbers.
//!
//! A template is handed figures as they are; what a language does to a number is a filter, so that whoever edits the words
//! need not know. Names in it come from whoever publishes events: they are cut, and steer nothing.

use bigdecimal::{BigDecimal, RoundingMode};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use std::str::FromStr as _;

/// What people are told in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    #[default]
    Russian,
    English,
}

/// A longer name is cut: it is a part of one line.
const LONGEST_NAME: usize = 60;
/// Groups digits, and ends no line.
const THIN: char = '\u{202f}';

impl Language {
    const fn point(self) -> char {
        match self {
            Self::Russian => ',',
            Self::English => '.',
        }
    }

    const fn seconds(self) -> [&'static str; 2] {
        match self {
            Self::Russian => ["мс", "с"],
            Self::English => ["ms", "s"],
        }
    }

    /// Digits in groups of three, one decimal where there is one.
    pub(crate) fn decimal(self, value: &BigDecimal) -> String {
        self.written(&value.with_scale_round(1, RoundingMode::HalfUp).normalized())
    }

    /// The same with two decimals where there are any.
    pub(crate) fn money(self, value: &BigDecimal) -> String {
        let rounded = value.with_scale_round(2, RoundingMode::HalfUp);
        if rounded.is_integer() { self.written(&rounded.normalized()) } else { self.written(&rounded) }
    }

    fn written(self, value: &BigDecimal) -> String {
        let plain = value.to_plain_string();
        let (whole, decimals) = plain.split_once('.').unwrap_or((&plain, ""));
        let mut written = String::new();
        for (at, digit) in whole.chars().enumerate() {
            if at > 0 && whole.len() > 4 && (whole.len() - at).is_multiple_of(3) {
                written.push(THIN);
            }
            written.push(digit);
        }
        if !decimals.is_empty() {
            written.push(self.point());
            written += decimals;
        }
        written
    }

    /// Milliseconds below a second, else seconds.
    fn duration(self, ms: i64) -> String {
        let [milliseconds, seconds] = self.seconds();
        match ms {
            ..1_000 => format!("{} {milliseconds}", self.decimal(&ms.into())),
            _ => format!("{} {seconds}", self.decimal(&(BigDecimal::from(ms) / 1_000))),
        }
    }
}

/// An empty environment with the filters that every text may use: `number`, `decimal`, `money`, `duration`, `share` and `name`.
pub(crate) fn environment(language: Language) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_filter("number", move |count: i64| language.decimal(&count.into()));
    environment.add_filter("decimal", move |number: Value| Ok(language.decimal(&parsed(&number)?)));
    environment.add_filter("money", move |number: Value| Ok(language.money(&parsed(&number)?)));
    environment.add_filter("duration", move |ms: i64| language.duration(ms));
    environment.add_filter("share", move |part: i64, of: i64| match of {
        0 => Err(invalid("a share of nothing")),
        _ => Ok(language.decimal(&(BigDecimal::from(part) * 100 / of))),
    });
    environment.add_filter("name", |text: Value| shown(&text.to_string()));
    environment
}

fn parsed(number: &Value) -> Result<BigDecimal, minijinja::Error> {
    BigDecimal::from_str(&number.to_string()).map_err(|_| invalid("not a decimal number"))
}

pub(crate) fn invalid(why: &'static str) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, why)
}

/// A name from outside: one line, and not too long.
fn shown(name: &str) -> String {
    let plain = name.chars().map(|c| if steers(c) { '\u{fffd}' } else { c });
    let mut cut: String = plain.take(LONGEST_NAME).collect();
    if name.chars().count() > LONGEST_NAME {
        cut.pop();
        cut.push('…');
    }
    cut
}

/// What would break the line or turn its direction.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_language_does() {
        let written = |text: &str, language: Language| language.decimal(&text.parse().unwrap());
        assert_eq!(written("33.35", Language::Russian), "33,4");
        assert_eq!(written("33.33", Language::English), "33.3");
        assert_eq!(written("20.00", Language::English), "20");
        assert_eq!(written("9999", Language::English), "9999");
        assert_eq!(written("1234567.5", Language::Russian), "1\u{202f}234\u{202f}567,5");
        assert_eq!(written("0.00", Language::Russian), "0");
        let paid = |text: &str| Language::Russian.money(&text.parse().unwrap());
        assert_eq!([paid("15000.5"), paid("-0.999"), paid("700.00")], ["15\u{202f}000,50", "-1", "700"]);
        assert_eq!(Language::Russian.duration(999), "999 мс");
        assert_eq!(Language::English.duration(1_449), "1.4 s");
        assert_eq!(Language::Russian.duration(0), "0 мс");
    }

    #[test]
    fn a_name_from_outside_stays_on_its_line() {
        assert_eq!(shown("a\nb\u{202e}"), "a\u{fffd}b\u{fffd}");
        assert_eq!(shown(&"x".repeat(61)), "x".repeat(59) + "…");
        assert_eq!(shown(&"x".repeat(60)), "x".repeat(60));
    }
}
