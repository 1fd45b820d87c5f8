//! The event catalogue: which events are declared, with which properties, and what each of these may hold.
//!
//! One plain static table, so that a new event is one row; the verdict, the scrubber, the JSON Schemas and the
//! reference page all read it, hence cannot disagree. Names outside it are accepted and reported as undeclared.
//!
//! It does not judge anything: `check` does.

use serde::{Deserialize, Serialize};

mod events;
mod file;
mod personal;

pub use events::EVENTS;
pub use file::BadCatalogue;
pub use personal::{PERSONAL_KEYS, PersonalKind, personal_kind};

/// The events that are declared: ours, or those of a file that is tried.
#[derive(Debug, Clone, Copy)]
pub struct Catalogue(&'static [EventSpec]);

impl Catalogue {
    /// The one that is compiled in.
    pub const OURS: Self = Self(EVENTS);

    /// Every declared event.
    pub fn events(self) -> &'static [EventSpec] {
        self.0
    }

    /// The row of a name; `None` outside the catalogue.
    pub fn find(self, name: &str) -> Option<&'static EventSpec> {
        self.0.iter().find(|spec| spec.name == name)
    }
}

/// One declared event.
#[derive(Debug)]
pub struct EventSpec {
    /// The token in its subject.
    pub name: &'static str,
    /// Who answers for its meaning and is asked before it changes.
    pub owner: &'static str,
    /// What happened, in English.
    pub en: &'static str,
    /// What happened, in Russian: the language of the dashboards.
    pub ru: &'static str,
    /// The required ones first.
    pub properties: &'static [PropertySpec],
}

/// One declared property.
#[derive(Debug)]
pub struct PropertySpec {
    /// The key in `properties`.
    pub name: &'static str,
    /// What it may hold; `null` equals absent.
    pub kind: PropertyKind,
    /// An event that lacks it is rejected.
    pub required: bool,
    /// What is done to it before it is stored.
    pub sensitivity: Sensitivity,
    /// What it means, with its unit, in English.
    pub en: &'static str,
    /// What it means, with its unit, in Russian.
    pub ru: &'static str,
    /// A typical value, as JSON text.
    pub example: &'static str,
}

/// What a declared property may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropertyKind {
    /// A string.
    Text,
    /// A number written without fraction or exponent, both bounds included.
    Integer {
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
    },
    /// Any JSON number, both bounds included where there are any.
    Number {
        /// The least value.
        min: Option<i64>,
        /// The greatest value.
        max: Option<i64>,
    },
    /// A JSON number or a plain decimal string (Rails writes `BigDecimal` so), stored as a number.
    Decimal,
    /// A string, or an integer of 64 bits.
    IntegerOrText,
}

/// What is done to a value before it reaches spool, stream or table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensitivity {
    /// Nothing: ids, models, classes, amounts.
    Plain,
    /// Phones, e-mails and cards in it are blotted out. Every undeclared string is treated so.
    FreeText,
    /// It becomes a keyed pseudonym.
    Personal,
}

impl Sensitivity {
    /// The word that the reference page and the schemas use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::FreeText => "free_text",
            Self::Personal => "personal",
        }
    }
}

impl EventSpec {
    /// The row of a property; `None` for one that is not declared.
    pub fn property(&self, name: &str) -> Option<&'static PropertySpec> {
        self.properties.iter().find(|property| property.name == name)
    }
}

/// The row of a name in our catalogue; `None` outside it.
pub fn find(name: &str) -> Option<&'static EventSpec> {
    Catalogue::OURS.find(name)
}
