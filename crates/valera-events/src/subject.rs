//! The only place that spells subjects.
//!
//! An event's subject is `analytics.` and its name, and a name is one token of `[a-z][a-z0-9_]{0,49}`: legal in NATS,
//! in a metric label and in a column of 50 characters alike. An alert's is `alerts.` and its rule's name, which has the
//! same shape.
//!
//! It does not know which names are declared.

/// Everything that the stream ANALYTICS takes in.
pub const ALL_EVENTS: &str = "analytics.>";
/// Where an event goes whose name makes no legal subject.
pub const INVALID: &str = "analytics._invalid";

const PREFIX: &str = "analytics.";
const ALERT_PREFIX: &str = "alerts.";
const MAX_NAME: usize = 50;

/// The subject of an event type. `None` when the name is not `[a-z][a-z0-9_]{0,49}`.
pub fn of_event(name: &str) -> Option<String> {
    is_legal(name).then(|| format!("{PREFIX}{name}"))
}

/// The subject that an event is published to whatever its name is: [`INVALID`] where the name makes no legal one.
pub fn of_event_or_invalid(name: &str) -> String {
    of_event(name).unwrap_or_else(|| INVALID.to_owned())
}

/// The subject of a rule's alerts. `None` when the rule's name is not `[a-z][a-z0-9_]{0,49}`.
pub fn of_alert(rule: &str) -> Option<String> {
    is_legal(rule).then(|| format!("{ALERT_PREFIX}{rule}"))
}

/// The event name in a subject; `None` when the subject is not `analytics.` and a legal name.
pub fn event_name(subject: &str) -> Option<&str> {
    subject.strip_prefix(PREFIX).filter(|name| is_legal(name))
}

/// Whether messages of the stream ANALYTICS can be chosen by this: `analytics.` and more, in which `*` stands for one token
/// and a last `>` for all that follow.
pub fn is_of_events(pattern: &str) -> bool {
    let Some(tokens) = pattern.strip_prefix(PREFIX) else { return false };
    let is_token = |token: &str| !token.is_empty() && !token.contains(char::is_whitespace);
    let mut before_the_last = tokens.rsplit('.').skip(1);
    tokens.split('.').all(is_token) && before_the_last.all(|token| token != ">")
}

fn is_legal(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_lowercase())
        && name.len() <= MAX_NAME
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_legal_names_make_subjects() {
        let longest = "a".repeat(50);
        for good in ["a", "ai_dialog_started", "x9_", longest.as_str()] {
            let subject = of_event(good).unwrap();
            assert_eq!(event_name(&subject), Some(good));
            assert_eq!(of_event_or_invalid(good), subject);
            assert_eq!(of_alert(good).unwrap(), format!("alerts.{good}"));
        }
        let too_long = "a".repeat(51);
        for bad in ["", "_invalid", "9a", "A", "a.b", "a b", "a-b", "имя", "a*", "a>", "a\n", too_long.as_str()] {
            assert_eq!(of_event(bad), None, "{bad}");
            assert_eq!(of_event_or_invalid(bad), INVALID, "{bad}");
            assert_eq!(of_alert(bad), None, "{bad}");
            assert_eq!(event_name(&format!("analytics.{bad}")), None, "{bad}");
        }
        assert_eq!(event_name(INVALID), None);
        assert_eq!(event_name("alerts.booking"), None);
        assert_eq!(event_name("analytics"), None);
    }

    #[test]
    fn a_pattern_chooses_among_events_or_is_none() {
        for good in
            [ALL_EVENTS, INVALID, "analytics.cart_confirmed", "analytics.*", "analytics.a.B-9", "analytics.*.>"]
        {
            assert!(is_of_events(good), "{good}");
        }
        for bad in ["", "analytics", "analytics.", "cart_confirmed", ">", "*.cart_confirmed", "alerts.booking"] {
            assert!(!is_of_events(bad), "{bad}");
        }
        for bad in ["analytics..a", "analytics.a.", "analytics.>.a", "analytics.a b", "analytics.a\n", "Analytics.a"]
        {
            assert!(!is_of_events(bad), "{bad}");
        }
    }
}
