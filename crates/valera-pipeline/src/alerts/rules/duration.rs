//! Spans of time as people write them: `90s`, `10m`, `2h`, `7d`, `2w`.
//!
//! One number and one unit, so that there is one way to write each. It does not know months.

use chrono::TimeDelta;

/// The longest span: a year of leap.
const LONGEST_SECONDS: i64 = 366 * 86_400;

/// Reads a whole number with a unit of `s`, `m`, `h`, `d` or `w`, up to 366 days; `None` for everything else.
#[must_use]
pub fn parse_duration(text: &str) -> Option<TimeDelta> {
    let unit = match text.bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        b'w' => 604_800,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = is_number.then(|| digits.parse::<i64>().ok()?.checked_mul(unit)).flatten()?;
    (seconds <= LONGEST_SECONDS).then(|| TimeDelta::seconds(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        for (text, seconds) in
            [("90s", 90), ("10m", 600), ("2h", 7_200), ("7d", 604_800), ("2w", 1_209_600), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Some(TimeDelta::seconds(seconds)), "{text}");
        }
        for text in ["", "m", "10", "1.5h", "-1h", "10 m", "1h30m", "367d", "99999999999999999999s", "10м"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
