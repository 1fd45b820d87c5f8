//! The morning message in words: a template for each language, and how numbers are written in it.
//!
//! The template is handed the figures as they are; what a language does to a number is a filter, so that whoever edits
//! the words need not know. Names in it come from whoever publishes events: they are cut, and steer nothing. It knows no channel.

use crate::store::reports::Digest;
use anyhow::Context;
use bigdecimal::{BigDecimal, RoundingMode};
use chrono::Datelike;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, context, value::Serde};
use std::str::FromStr;

/// What people are told in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    #[default]
    Russian,
    English,
}

/// The name of the template's file.
const FILE: &str = "digest.txt";
/// A longer name is cut; the top class of errors is one line of five.
const LONGEST_NAME: usize = 60;
/// Groups digits, and ends no line.
const THIN: char = '\u{202f}';

impl Language {
    const fn shipped(self) -> &'static str {
        match self {
            Self::Russian => include_str!("../../../../../config/alerts/ru/digest.txt"),
            Self::English => include_str!("../../../../../config/alerts/en/digest.txt"),
        }
    }

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
    fn decimal(self, value: &BigDecimal) -> String {
        let rounded = value.with_scale_round(1, RoundingMode::HalfUp).normalized().to_plain_string();
        let (whole, decimals) = rounded.split_once('.').unwrap_or((&rounded, ""));
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

/// The message of a day; `is_complete` says that nothing more is to be counted for it.
///
/// # Errors
/// When the template is at fault.
pub fn message(digest: &Digest, is_complete: bool, language: Language) -> anyhow::Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.add_filter("number", move |count: i64| language.decimal(&count.into()));
    environment.add_filter("decimal", move |text: String| {
        let number = BigDecimal::from_str(&text);
        number.map(|number| language.decimal(&number)).map_err(|_| invalid("not a decimal number"))
    });
    environment.add_filter("duration", move |ms: i64| language.duration(ms));
    environment.add_filter("share", move |part: i64, of: i64| match of {
        0 => Err(invalid("a share of nothing")),
        _ => Ok(language.decimal(&(BigDecimal::from(part) * 100 / of))),
    });
    environment.add_filter("name", |text: String| shown(&text));
    environment.add_template(FILE, language.shipped()).context("reading the template of the morning message")?;
    let date = context! {
        day => digest.day.day(),
        month => digest.day.month(),
        weekday => digest.day.weekday().number_from_monday(),
    };
    let given =
        context! { date, is_complete, is_empty => digest.is_empty(), ..minijinja::Value::from(Serde(digest)) };
    let template = environment.get_template(FILE).context("reading the template of the morning message")?;
    template.render(given).context("putting the morning message into words")
}

fn invalid(why: &'static str) -> minijinja::Error {
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
