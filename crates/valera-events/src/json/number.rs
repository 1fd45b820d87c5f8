//! The spelling of numbers: what Postgres can hold, what counts as an integer, what counts as a decimal.
//!
//! `jsonb` keeps a number as `numeric`: it refuses 1e131072 and 1e-16384, and takes 1e400 as 401 digits. So the
//! limits are judged on the spelling, before any conversion could round or overflow.
//!
//! It does not compute with numbers.

/// More significant digits than this are refused.
const MAX_DIGITS: usize = 40;
/// A written or an adjusted exponent beyond ± this is refused.
const MAX_EXPONENT: i64 = 308;

/// Whether a JSON number has at most 40 significant digits and both its written exponent and that of its first
/// significant digit (for a zero, of its last written one) are within ±308.
pub fn is_storable(number: &str) -> bool {
    let unsigned = number.strip_prefix('-').unwrap_or(number);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], written_exponent(&unsigned[at + 1..])),
        None => (unsigned, Some(0)),
    };
    let Some(exponent) = exponent else {
        return false;
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    let leading_zeros = digits().take_while(|digit| *digit == b'0').count();
    let significant = whole.len() + fraction.len() - leading_zeros;
    let first = if significant == 0 { whole.len() + fraction.len() - 1 } else { leading_zeros };
    let adjusted = exponent + whole.len() as i64 - 1 - first as i64;
    significant <= MAX_DIGITS && adjusted.abs() <= MAX_EXPONENT
}

/// The exponent after the `e`; `None` when it is beyond the limit, however long it is.
fn written_exponent(text: &str) -> Option<i64> {
    let negative = text.starts_with('-');
    let digits = text.trim_start_matches(['+', '-']).trim_start_matches('0');
    let magnitude = match digits.len() {
        0 => 0,
        1..=3 => digits.parse::<i64>().ok()?,
        _ => return None,
    };
    (magnitude <= MAX_EXPONENT).then_some(if negative { -magnitude } else { magnitude })
}

/// Whether a JSON number is written without fraction and exponent.
pub fn is_integer(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text is a plain decimal: a JSON number without exponent, so that it can be stored as it stands.
pub fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    all_digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(all_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_judged_on_the_spelling() {
        let digits = |n: usize| "1".repeat(n);
        for good in
            ["0", "-0", "0.0", "1e308", "1E-308", "0e0", "0e308", "15000.50", "10e307", "1e0000000000308", "0.1e-307"]
        {
            assert!(is_storable(good), "{good}");
        }
        assert!(is_storable(&digits(40)));
        assert!(is_storable(&format!("0.000{}", digits(40))));
        for bad in ["1e309", "1e-309", "0e999999", "0e-99999999999999999999", "10e308", "0.1e-308", "1e131072"] {
            assert!(!is_storable(bad), "{bad}");
        }
        assert!(!is_storable(&digits(41)));
        assert!(!is_storable(&format!("0.{}", "0".repeat(20_000))));
    }

    #[test]
    fn decimals_are_plain() {
        for good in ["0", "-0.5", "15000.5", "10"] {
            assert!(is_decimal(good), "{good}");
        }
        for bad in ["", "-", "+1", "01", ".5", "5.", "1e3", "1.2.3", "NaN", " 1", "1 ", "١"] {
            assert!(!is_decimal(bad), "{bad}");
        }
    }
}
