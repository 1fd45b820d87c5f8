//! One spelling for each personal value, so that a person has one pseudonym.
//!
//! It does not validate: what is no phone is still hashed, as text.

use unicode_normalization::UnicodeNormalization;

use crate::catalogue::PersonalKind;

/// The spelling that is hashed. Normalising it again changes nothing.
pub(super) fn normalise(value: &str, kind: PersonalKind) -> String {
    let lower: String = match value.is_ascii() {
        // NFKC leaves ASCII as it is, at twenty times the cost.
        true => value.to_ascii_lowercase(),
        false => value.nfkc().flat_map(char::to_lowercase).nfkc().collect(),
    };
    let collapsed = || lower.split_whitespace().collect::<Vec<_>>().join(" ");
    match kind {
        PersonalKind::Phone => phone(&lower).unwrap_or_else(collapsed),
        PersonalKind::Email => lower.trim().to_owned(),
        PersonalKind::Text => collapsed(),
    }
}

/// E.164: `+` and digits. Without a `+`, Russian habits decide: 8 before ten digits is the trunk prefix, ten digits
/// from 9 are a mobile number. `None` without digits.
fn phone(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let international = text.trim_start().trim_start_matches('(').starts_with('+');
    match (digits.len(), digits.as_bytes().first()?) {
        (11, b'8') if !international => Some(format!("+7{}", &digits[1..])),
        (10, b'9') if !international => Some(format!("+7{digits}")),
        (12.., _) if !international && digits.starts_with("00") => Some(format!("+{}", &digits[2..])),
        _ => Some(format!("+{digits}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_value_become_one() {
        let spellings = [
            "+7 (916) 123-45-67",
            "8 (916) 123-45-67",
            "89161234567",
            "79161234567",
            "9161234567",
            "+7-916-123-45-67",
            "  8 916 123 45 67 ",
            "＋７９１６１２３４５６７",
            "0079161234567",
        ];
        for phone in spellings {
            assert_eq!(normalise(phone, PersonalKind::Phone), "+79161234567", "{phone}");
        }
        assert_eq!(normalise("нет телефона", PersonalKind::Phone), "нет телефона");
        assert_eq!(normalise(" Ivan.Petrov@Example.COM ", PersonalKind::Email), "ivan.petrov@example.com");
        assert_eq!(normalise("А 123\tВС  77", PersonalKind::Text), "а 123 вс 77");
    }
}
