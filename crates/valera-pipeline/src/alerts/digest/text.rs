//! The morning message in words: a template for each language.
//!
//! It knows no channel.

use crate::{
    alerts::language::{Language, environment},
    store::reports::Digest,
};
use anyhow::Context;
use chrono::Datelike;
use minijinja::{AutoEscape, context, value::Serde};

/// The name of the template's file.
const FILE: &str = "digest.txt";

const fn shipped(language: Language) -> &'static str {
    match language {
        Language::Russian => include_str!("../../../../../config/alerts/ru/digest.txt"),
        Language::English => include_str!("../../../../../config/alerts/en/digest.txt"),
    }
}

/// The message of a day; `is_complete` says that nothing more is to be counted for it.
///
/// # Errors
/// When the template is at fault.
pub fn message(digest: &Digest, is_complete: bool, language: Language) -> anyhow::Result<String> {
    let mut environment = environment(language);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.add_template(FILE, shipped(language)).context("reading the template of the morning message")?;
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
