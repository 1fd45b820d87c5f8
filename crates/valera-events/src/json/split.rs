//! Splits an object or array into the raw text of its members, without reading them.
//!
//! Keys come as raw text too: serde_json refuses a lone surrogate while it decodes a key, and says only "parse
//! error".
//!
//! It does not judge depth, duplicates or values.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Raw keys and values in order.
pub(super) type Pieces<'a> = Vec<(&'a RawValue, &'a RawValue)>;

/// Splits a text that is one object and nothing else.
pub(super) fn object(text: &str) -> serde_json::Result<Pieces<'_>> {
    serde_json::from_str::<Object<'_>>(text).map(|object| object.0)
}

/// Splits a text that is one array and nothing else.
pub(super) fn array(text: &str) -> serde_json::Result<Vec<&RawValue>> {
    serde_json::from_str(text)
}

struct Object<'a>(Pieces<'a>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor).map(Object)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Pieces<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // A typical object has seven members or fewer; one allocation holds them.
        let mut pieces = Vec::with_capacity(8);
        while let Some(member) = map.next_entry()? {
            pieces.push(member);
        }
        Ok(pieces)
    }
}
