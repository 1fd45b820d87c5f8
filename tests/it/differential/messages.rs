//! Messages at the edge of what can be stored: mostly acceptable, now and then just beyond.

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;

/// The most levels of a body; the body is the first, its properties the second.
const LEVELS: usize = 32;
/// The longest body, in bytes.
const LONGEST: usize = 64 << 10;

/// A subject and a body.
pub(super) fn message() -> BoxedStrategy<(String, String)> {
    let envelope = (chat_id(), occurred_at(), proptest::option::weighted(0.3, text(64)), platform());
    (declared(), vec((key(), value()), 0..6), envelope)
        .prop_map(|((subject, required), mut extra, (chat_id, occurred_at, session_id, platform))| {
            extra.sort();
            extra.dedup_by(|a, b| a.0 == b.0);
            let extra = extra.iter().map(|(key, value)| format!(",{key}:{value}")).collect::<String>();
            let session_id = session_id.unwrap_or_else(|| "null".to_owned());
            let body = format!(
                r#"{{"chat_id":{chat_id},"occurred_at":{occurred_at},"session_id":{session_id},"platform":{platform},"properties":{{{required}{extra}}}}}"#
            );
            (subject, body)
        })
        .boxed()
}

/// Messages that stand exactly at a limit, and one step beyond.
pub(super) fn at_the_limits() -> Vec<(String, String)> {
    let with = |properties: String| {
        ("analytics.review_left".to_owned(), format!(r#"{{"chat_id":1,"properties":{properties}}}"#))
    };
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let objects = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let long = |length: usize| {
        let empty = with(r#"{"a":""}"#.to_owned()).1.len();
        with(format!(r#"{{"a":"{}"}}"#, "x".repeat(length - empty)))
    };
    let many = |keys: usize| {
        let members: Vec<_> = (0..keys).map(|key| format!("\"{key}\":{key}")).collect();
        with(format!("{{{}}}", members.join(",")))
    };
    vec![
        with(format!(r#"{{"a":{}}}"#, nested(LEVELS - 2))),
        with(format!(r#"{{"a":{}}}"#, nested(LEVELS - 1))),
        with(format!(r#"{{"a":{}}}"#, objects(LEVELS - 2))),
        with(format!(r#"{{"a":{}}}"#, objects(LEVELS - 1))),
        long(LONGEST),
        long(LONGEST + 1),
        many(5_000),
        with(format!(r#"{{"{}":1}}"#, "k".repeat(60_000))),
        with(format!(r#"{{"a":[{}0]}}"#, "0,".repeat(30_000))),
        with(r#"{"":{"":[{},[],""]}}"#.to_owned()),
        (format!("analytics.{}", "n".repeat(50)), r#"{"chat_id":-9223372036854775808}"#.to_owned()),
        (format!("analytics.{}", "n".repeat(51)), r#"{"chat_id":1}"#.to_owned()),
    ]
}

/// A name and the properties it cannot do without.
fn declared() -> BoxedStrategy<(String, String)> {
    let response = (0..=i32::MAX, text(300))
        .prop_map(|(ms, model)| ("ai_response_time", format!(r#""duration_ms":{ms},"model_used":{model}"#)));
    let confidence =
        select(vec!["0", "1", "-0", "0e308", "1e-308", "0.1234567890123456789012345678901234567890", "1.0e0", "2"]);
    let suggestion = (text(300), confidence).prop_map(|(service, confidence)| {
        ("service_suggested", format!(r#""service_name":{service},"confidence_score":{confidence}"#))
    });
    let total = prop_oneof![number(), number().prop_map(|number| format!("\"{number}\""))];
    let booking = (any::<i64>(), any::<i64>(), total).prop_map(|(id, count, total)| {
        (
            "booking_request_created",
            format!(r#""booking_id":{id},"services_count":{count},"estimated_total":{total}"#),
        )
    });
    let error = (text(300), text(2_000), text(300)).prop_map(|(class, message, context)| {
        ("error_occurred", format!(r#""error_class":{class},"error_message":{message},"context":{context}"#))
    });
    let undeclared =
        ("[a-z][a-z0-9_]{0,49}", value()).prop_map(|(name, value)| (name, format!(r#""of it":{value}"#)));
    let named = prop_oneof![response, suggestion, booking, error];
    prop_oneof![2 => named.prop_map(|(name, properties)| (name.to_owned(), properties)), 1 => undeclared]
        .prop_map(|(name, properties)| (format!("analytics.{name}"), properties))
        .boxed()
}

fn chat_id() -> impl Strategy<Value = i64> {
    prop_oneof![8 => any::<i64>(), 4 => 0..5_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

/// Around the edges of 366 days back and 10 minutes ahead of the arrival, in spellings that few use.
fn occurred_at() -> impl Strategy<Value = String> {
    select(vec![
        "null",
        r#""2026-03-10T12:00:00.123456Z""#,
        r#""2026-03-10T12:10:00.123456Z""#,
        r#""2026-03-10T12:10:00.123457Z""#,
        r#""2025-03-09T12:00:00.123456Z""#,
        r#""2025-03-09T12:00:00.123455Z""#,
        r#""2026-03-10t12:00:00.999999999999z""#,
        r#""2026-03-11T11:59:00+23:59""#,
        r#""2026-03-09T12:01:00-23:59""#,
        r#""2025-12-31T23:59:59.999999Z""#,
        r#""2026-01-01T00:00:00-00:00""#,
        r#""2026-02-28T23:59:59.9999999Z""#,
        r#""2025-10-26T02:30:00+01:00""#,
    ])
    .prop_map(str::to_owned)
}

fn platform() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just("null".to_owned()), 1 => text(20)]
}

/// A JSON string of up to so many characters; sometimes a character of it is escaped, sometimes it is none.
fn text(longest: usize) -> BoxedStrategy<String> {
    let length = prop_oneof![8 => 1..longest.min(12), 1 => 1..=longest, 1 => Just(longest)];
    let wide = length.prop_flat_map(|length| vec(any::<char>(), length..=length));
    let plain = wide.prop_map(|chars| {
        let text: String = chars.into_iter().map(|c| if c == '\0' { '\u{1}' } else { c }).collect();
        json!(text).to_string()
    });
    let odd = select(vec![
        r#""\ud83d\ude00""#,
        r#""\uffff\ufffe\u0001\u007f\u0080""#,
        r#""\\u0000 is text""#,
        r#""\\\\""#,
        "\"\u{feff}\u{202e}\u{200d}\"",
        r#""\/\b\f\n\r\t""#,
        r#"" ""#,
        r#""\u0000""#,
        r#""\ud83d""#,
        r#""\ude00\ud83d""#,
    ]);
    prop_oneof![12 => plain, 1 => odd.prop_map(str::to_owned)].boxed()
}

fn key() -> impl Strategy<Value = String> {
    let personal = select(vec!["\"email\"", "\"Phone_Number\"", "\"VIN\"", "\"\"", "\"$.a[0]\"", "\"constructor\""]);
    prop_oneof![4 => text(40), 1 => personal.prop_map(str::to_owned)]
}

/// A number as JSON may spell it, around 40 digits and an exponent of 308.
fn number() -> BoxedStrategy<String> {
    let digits = prop_oneof!["[1-9][0-9]{37,39}", "[1-9][0-9]{0,20}\\.[0-9]{1,19}", "0\\.0{1,250}[1-9]{1,40}"];
    let exponent = prop_oneof!["-?[1-9]e[-+]?(30[0-8]|[0-9]{1,2})", "-?[1-9]\\.[0-9]{1,39}E-?(30[0-8]|[12][0-9]{2})"];
    let odd = select(vec![
        "0",
        "-0",
        "-0.0",
        "0e308",
        "0E-308",
        "0e309",
        "1e308",
        "1e-308",
        "1e309",
        "1e-309",
        "-1e+308",
        "10e307",
        "0.1e-307",
        "9007199254740993",
        "18446744073709551616",
        "1.7976931348623157e308",
        "5e-324",
        "1e131072",
    ]);
    prop_oneof![4 => digits, 4 => exponent, 1 => odd.prop_map(str::to_owned)].boxed()
}

fn value() -> BoxedStrategy<String> {
    let scalar = prop_oneof![
        3 => text(200),
        3 => number(),
        1 => any::<bool>().prop_map(|truth| truth.to_string()),
        1 => Just("null".to_owned()),
    ];
    scalar
        .prop_recursive(8, 40, 5, |inner| {
            let member = (key(), inner.clone());
            prop_oneof![
                vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
                vec(member, 0..5).prop_map(|mut members| {
                    members.sort();
                    members.dedup_by(|a, b| a.0 == b.0);
                    let members: Vec<_> = members.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
        .boxed()
}
