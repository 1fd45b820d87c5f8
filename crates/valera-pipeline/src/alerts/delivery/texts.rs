//! What people read: a template for each kind of rule and language, which operators may replace without a build.
//!
//! One template serves channels with markup and without: the filter `b` is bold in one rendering and nothing in the other,
//! and where there is markup every value is escaped as it is put in, which no template can forget. All of them are tried on
//! samples at the start, so that a slip of the pen stops the service then and not the first alert at night. It does not
//! decide what is told.

use super::channel::Message;
use crate::{
    alerts::{
        Alert, Language, Phase,
        digest::Summary,
        language::{self, invalid},
        service,
    },
    store::reports::Digest,
};
use anyhow::Context as _;
use chrono::{DateTime, Datelike as _, Utc};
use chrono_tz::Tz;
use data_encoding::HEXLOWER;
use minijinja::{AutoEscape, Environment, HtmlEscape, Value, context, value::Serde};
use sha2::{Digest as _, Sha256};
use std::{fs, path::Path};

/// The templates of a language, by file name.
macro_rules! shipped {
    ($language:literal) => {
        shipped!($language: "booking", "burst", "conversion", "dead_letters", "digest", "event", "full", "lag", "late", "slow", "tail", "test")
    };
    ($language:literal: $($name:literal),*) => {
        [$((
            concat!($name, ".txt"),
            include_str!(concat!("../../../../../config/alerts/", $language, "/", $name, ".txt")),
        )),*]
    };
}

/// What an incident of an unknown kind is told with.
const ANY: &str = "event.txt";

/// The texts of one language and zone.
pub struct Texts {
    plain: Environment<'static>,
    html: Environment<'static>,
}

impl Texts {
    /// Reads the templates; times are told in the zone of this IANA name, UTC without one. What `replaced` holds under the name of one stands in its place, and `<rule>.txt` is for that
    /// rule.
    ///
    /// # Errors
    /// When one cannot be read, or asks for what no alert of its kind has, or there is no such zone.
    pub fn new(language: Language, time_zone: Option<&str>, replaced: Option<&Path>) -> anyhow::Result<Self> {
        let zone = service::zone(time_zone)?;
        let mut plain = environment(language, zone);
        plain.set_auto_escape_callback(|_| AutoEscape::None);
        plain.add_filter("b", |value: Value| value);
        let mut html = environment(language, zone);
        html.set_auto_escape_callback(|_| AutoEscape::Html);
        html.add_filter("b", |value: Value| {
            Value::from_safe_string(format!("<b>{}</b>", HtmlEscape(&value.to_string())))
        });
        let shipped = match language {
            Language::Russian => shipped!("ru"),
            Language::English => shipped!("en"),
        };
        let mut sources: Vec<_> = shipped.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        if let Some(dir) = replaced {
            sources.extend(read(dir)?);
        }
        for (name, text) in sources {
            for environment in [&mut plain, &mut html] {
                let added = environment.add_template_owned(name.clone(), text.clone());
                added.with_context(|| format!("the template {name} of the alerts' texts"))?;
            }
        }
        let texts = Self { plain, html };
        texts.try_all()?;
        Ok(texts)
    }

    /// The message of a step.
    ///
    /// # Errors
    /// When the template for anything fails, which was tried at the start.
    pub(super) fn step(&self, alert: &Alert) -> anyhow::Result<Message> {
        if let Some(Summary { figures, is_complete, .. }) = Summary::of(alert) {
            let message = self.digest(&figures, is_complete, alert.msg_id())?;
            return Ok(Message { alert: Some(alert.clone()), ..message });
        }
        let given = given(alert);
        let names = [format!("{}.txt", alert.rule), format!("{}.txt", alert.kind), ANY.to_owned()];
        let known = names.iter().filter(|name| self.plain.get_template(name).is_ok());
        let mut message = Err(anyhow::anyhow!("no template"));
        for name in known {
            message = self.render(name, &given);
            match &message {
                Ok(_) => break,
                Err(cause) => {
                    tracing::warn!(template = name, cause = format!("{cause:#}"), "a text cannot be written");
                }
            }
        }
        Ok(Message { key: alert.msg_id(), alert: Some(alert.clone()), ..message? })
    }

    /// One message of all that happened while a channel was away; not empty.
    pub(super) fn late(&self, steps: &[&Alert], now: DateTime<Utc>) -> anyhow::Result<Message> {
        let since = steps.iter().map(|step| step.at).min().unwrap_or(now);
        let incidents: Vec<Value> = steps.iter().map(|step| Value::from(Serde(step))).collect();
        let message = self.render("late.txt", &context! { incidents, since => since.to_rfc3339() })?;
        // Other steps are another message, however they begin.
        let mut key = Sha256::new();
        steps.iter().for_each(|step| key.update(step.msg_id() + "\n"));
        let key = HEXLOWER.encode(&key.finalize()[..16]);
        let missed = steps.iter().map(|&step| step.clone()).collect();
        Ok(Message { key: format!("late/{key}"), missed, ..message })
    }

    /// A message that is about nothing; `key` is its own each time.
    ///
    /// # Errors
    /// When the template fails, which was tried at the start.
    pub fn test(&self, key: &str, now: DateTime<Utc>) -> anyhow::Result<Message> {
        let message = self.render("test.txt", &context! { at => now.to_rfc3339() })?;
        Ok(Message { key: format!("test/{key}"), ..message })
    }

    /// The morning message of a day; `is_complete` says that nothing more is to be counted for it.
    ///
    /// # Errors
    /// When the template fails, which was tried at the start.
    pub fn digest(&self, digest: &Digest, is_complete: bool, key: String) -> anyhow::Result<Message> {
        let date = context! {
            day => digest.day.day(),
            month => digest.day.month(),
            weekday => digest.day.weekday().number_from_monday(),
        };
        let is_empty = digest.is_empty();
        let given = context! { date, is_complete, is_empty, ..Value::from(Serde(digest)) };
        let message = self.render("digest.txt", &given)?;
        Ok(Message { key, ..message })
    }

    fn render(&self, name: &str, given: &Value) -> anyhow::Result<Message> {
        let render = |environment: &Environment<'_>| -> anyhow::Result<String> {
            let text = environment.get_template(name)?.render(given);
            Ok(text.with_context(|| format!("the template {name} of the alerts' texts"))?.trim().to_owned())
        };
        let text = render(&self.plain)?;
        let title = text.lines().next().unwrap_or_default().to_owned();
        Ok(Message { key: String::new(), alert: None, missed: Vec::new(), title, text, html: render(&self.html)? })
    }

    /// Tries what may be shown on a sample of each.
    fn try_all(&self) -> anyhow::Result<()> {
        let samples = super::samples::all();
        for sample in &samples {
            self.render(&format!("{}.txt", sample.kind), &given(sample))?;
        }
        self.late(&samples.iter().collect::<Vec<_>>(), DateTime::UNIX_EPOCH)?;
        self.test("sample", DateTime::UNIX_EPOCH)?;
        for digest in super::samples::digests() {
            self.digest(&digest, false, String::new())?;
        }
        Ok(())
    }
}

/// What a template of an incident is handed.
fn given(alert: &Alert) -> Value {
    let is_over = alert.phase == Phase::Resolved;
    context! { mark => if is_over { "✅" } else { "🔴" }, is_over, ..Value::from(Serde(alert)) }
}

fn environment(language: Language, zone: Tz) -> Environment<'static> {
    let mut environment = language::environment(language);
    environment.add_filter("time", move |text: String| {
        let at = DateTime::parse_from_rfc3339(&text).map_err(|_| invalid("not a time"))?;
        Ok(at.with_timezone(&zone).format("%H:%M %d.%m").to_string())
    });
    environment
}

/// The templates in a directory of an operator.
fn read(dir: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry.with_context(|| format!("reading {}", dir.display()))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".txt"));
        if let Some(name) = name {
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            found.push((name.to_owned(), text));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(language: Language) -> Texts {
        Texts::new(language, Some("Europe/Moscow"), None).unwrap()
    }

    #[test]
    fn each_kind_reads_as_people_see_it() {
        for language in [Language::Russian, Language::English] {
            let texts = texts(language);
            let samples = super::super::samples::all();
            let shown: Vec<String> = samples.iter().map(|sample| texts.step(sample).unwrap().text).collect();
            insta::assert_snapshot!(format!("{language:?}"), shown.join("\n\n"));
        }
    }

    #[test]
    fn whatever_stands_in_an_alert_is_no_markup_and_breaks_no_line() {
        let mut alert = super::super::samples::all().remove(3);
        alert.group.insert("error_class".to_owned(), "<a href='x'>&\n\u{202e}</a>".to_owned());
        let message = texts(Language::English).step(&alert).unwrap();
        assert!(!message.html.contains("<a"), "{}", message.html);
        assert!(message.html.contains("<b>Errors</b>"), "{}", message.html);
        assert!(message.text.contains("<a href='x'>&\u{fffd}\u{fffd}</a>"), "{}", message.text);
    }

    #[test]
    fn a_replaced_text_is_used_and_one_that_cannot_be_written_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("error.txt"), "{{ count }} × {{ group.error_class | b }}").unwrap();
        let new = || Texts::new(Language::English, None, Some(dir.path()));
        let alert = super::super::samples::all().remove(3);
        let message = new().unwrap().step(&alert).unwrap();
        assert_eq!(message.text, "1200 × Faraday::TimeoutError");
        assert_eq!(message.html, "1200 × <b>Faraday::TimeoutError</b>");
        // What a rule's own text lacks at night is told in the words of its kind.
        fs::write(dir.path().join("error.txt"), "{{ facts.nothing }}").unwrap();
        assert!(new().unwrap().step(&alert).unwrap().text.contains("Errors"));
        fs::write(dir.path().join("burst.txt"), "{{ facts.nothing }}").unwrap();
        let refused = new().err().unwrap();
        assert!(format!("{refused:#}").contains("burst.txt"), "{refused:#}");
    }

    #[test]
    fn a_day_is_told_with_markup_and_without_and_every_value_is_escaped() {
        for language in [Language::Russian, Language::English] {
            let [everything, ..] = super::super::samples::digests();
            let message = texts(language).digest(&everything, true, "digest/1970-01-01".to_owned()).unwrap();
            assert!(message.text.contains("<Faraday::TimeoutError & others> (12\u{202f}000)"), "{}", message.text);
            assert!(message.html.contains("&lt;Faraday::TimeoutError &amp; others&gt; (12"), "{}", message.html);
            assert!(message.html.starts_with(&format!("<b>{}</b>\n", message.title)), "{}", message.html);
            assert_eq!(message.text.lines().count(), 6, "{}", message.text);
        }
    }

    #[test]
    fn what_happened_meanwhile_is_told_in_one_message() {
        let samples = super::super::samples::all();
        let late = texts(Language::English).late(&samples.iter().collect::<Vec<_>>(), Utc::now()).unwrap();
        assert!(late.text.starts_with("🕰 While this channel was silent: 21, since 03:41 01.01"), "{}", late.text);
        assert!(late.text.contains("no. 4711") && late.text.contains("and 11 more"), "{}", late.text);
        assert_eq!(json!(late.title), json!(late.text.lines().next()));
    }
}
