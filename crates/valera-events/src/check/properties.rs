//! The declared properties against the catalogue.
//!
//! It does not look at undeclared properties: they may hold anything that can be stored.

use bigdecimal::{BigDecimal, num_bigint::Sign};

use crate::catalogue::{EventSpec, PropertyKind, PropertySpec};
use crate::json::{self, Members, Node, Path, is_decimal, is_integer, is_storable};
use crate::reason::{ReasonCode, Reasons};

/// Adds a fault for each property that is missing, of another type or beyond its bounds. A null counts as absent.
pub(super) fn judge(properties: &Members<'_>, spec: &EventSpec, faults: &mut Reasons) {
    let parent = Path::ROOT.key("properties");
    for property in spec.properties {
        let sent = properties.iter().find(|(key, _)| key == property.name).map(|(_, node)| node);
        let fault = match sent {
            Some(Node::Null) | None if property.required => Some(ReasonCode::MissingProperty),
            Some(Node::Null) | None => None,
            Some(node) => fault(property.kind, node),
        };
        if let Some(reason) = fault {
            faults.push(reason, &parent.key(property.name), || expected(reason, property, sent));
        }
    }
}

fn fault(kind: PropertyKind, node: &Node<'_>) -> Option<ReasonCode> {
    match (kind, node) {
        (PropertyKind::Text | PropertyKind::IntegerOrText, Node::String(_)) => None,
        (PropertyKind::Integer { min, max }, Node::Number(text)) => integer_fault(text, min, max),
        (PropertyKind::IntegerOrText, Node::Number(text)) => integer_fault(text, i64::MIN, i64::MAX),
        (PropertyKind::Number { min, max }, Node::Number(text)) => number_fault(text, min, max),
        (PropertyKind::Decimal, Node::Number(_)) => None,
        (PropertyKind::Decimal, Node::String(text)) if is_decimal(text) => {
            (!is_storable(text)).then_some(ReasonCode::UnstorableNumber)
        }
        _ => Some(ReasonCode::WrongType),
    }
}

fn integer_fault(text: &str, min: i64, max: i64) -> Option<ReasonCode> {
    if !is_integer(text) {
        return Some(ReasonCode::WrongType);
    }
    let inside = text.parse::<i64>().is_ok_and(|value| (min..=max).contains(&value));
    (!inside).then_some(ReasonCode::OutOfRange)
}

/// Rounding to a float never crosses a bound that floats can hold, so only a float that *equals* a bound needs the
/// exact digits.
fn number_fault(text: &str, min: Option<i64>, max: Option<i64>) -> Option<ReasonCode> {
    // Reported already, and exact arithmetic on 1e-999999999 would take all memory.
    if !is_storable(text) {
        return None;
    }
    let value: f64 = text.parse().unwrap_or(f64::NAN);
    let beyond = |bound: i64, side: Sign| {
        let bound_as_float = bound as f64;
        match side {
            _ if value == bound_as_float => {
                text.parse::<BigDecimal>().map_or(true, |exact| (exact - BigDecimal::from(bound)).sign() == side)
            }
            Sign::Minus => value < bound_as_float,
            _ => value > bound_as_float,
        }
    };
    let outside =
        min.is_some_and(|bound| beyond(bound, Sign::Minus)) || max.is_some_and(|bound| beyond(bound, Sign::Plus));
    outside.then_some(ReasonCode::OutOfRange)
}

fn expected(reason: ReasonCode, property: &PropertySpec, sent: Option<&Node<'_>>) -> String {
    if reason == ReasonCode::UnstorableNumber {
        return json::unstorable_number();
    }
    let wanted = match property.kind {
        PropertyKind::Text => "a string".into(),
        PropertyKind::Integer { min, max } => {
            format!("an integer from {min} to {max}, written without fraction and exponent")
        }
        PropertyKind::Number { min: Some(min), max: Some(max) } => format!("a number from {min} to {max}"),
        PropertyKind::Number { min: Some(min), max: None } => format!("a number of at least {min}"),
        PropertyKind::Number { min: None, max: Some(max) } => format!("a number of at most {max}"),
        PropertyKind::Number { min: None, max: None } => "a number".into(),
        PropertyKind::Decimal => "a number, or a plain decimal in a string".into(),
        PropertyKind::IntegerOrText => "a string, or an integer of 64 bits".into(),
    };
    match (reason, sent) {
        (ReasonCode::OutOfRange, _) => format!("{wanted}; got one beyond that"),
        (_, Some(node)) => format!("{wanted}; got {}", node.shape()),
        (_, None) => format!("{wanted}; got nothing"),
    }
}
