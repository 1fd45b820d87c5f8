//! What an operator changes in a rejected body: a merge patch, renamed keys, set values.
//!
//! It works on the text level by level, as `check` does: through floats, 15000.50 would become 15000.5 and a long
//! integer another one, and the repaired event would say something that nobody sent.
//!
//! It does not judge the result: `check` does.

use std::borrow::Cow;

use crate::json::{self, Members, Node};
use crate::reason::Reasons;

/// The changes, in the order in which they are made: merge, rename, set.
#[derive(Debug, Clone, Default)]
pub struct Patch {
    merge: Option<String>,
    renames: Vec<(Vec<String>, Vec<String>)>,
    sets: Vec<(Vec<String>, String)>,
}

/// A change that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPatch(String);

impl Patch {
    /// Merges a JSON object into the body as RFC 7386 says: null removes, objects merge, all else replaces.
    ///
    /// # Errors
    /// When the text is not one JSON object, or names the `event_id`.
    pub fn merge(&mut self, text: String) -> Result<(), BadPatch> {
        let mut faults = Reasons::default();
        let changes = json::read_object(text.as_bytes(), &mut faults);
        let Some(changes) = changes.filter(|_| json::is_whole(&faults)) else {
            let why = faults.into_vec().into_iter().next().map(|fault| fault.expected).unwrap_or_default();
            return Err(BadPatch(format!("expected a merge patch: {why}")));
        };
        changes.iter().try_for_each(|(key, _)| keeps_id(key))?;
        self.merge = Some(text);
        Ok(())
    }

    /// Renames a key, `properties.old=properties.new` or `properties.old=new` beside it. A body without it stays as it
    /// is.
    ///
    /// # Errors
    /// When it is not `PATH=KEY`, or names the `event_id`.
    pub fn rename(&mut self, text: &str) -> Result<(), BadPatch> {
        let (from, to) =
            text.split_once('=').ok_or_else(|| BadPatch("expected PATH=KEY, as properties.old=new".into()))?;
        let from = path(from)?;
        let mut target = path(to)?;
        if let [_] = target.as_slice() {
            target = [&from[..from.len() - 1], &target].concat();
        }
        [&from, &target].into_iter().try_for_each(|path| keeps_id(&path.join(".")))?;
        self.renames.push((from, target));
        Ok(())
    }

    /// Sets a value, `properties.services_count=1`: JSON, or text where it is not. Objects on the way are made.
    ///
    /// # Errors
    /// When it is not `PATH=VALUE`, or names the `event_id`.
    pub fn set(&mut self, text: &str) -> Result<(), BadPatch> {
        let (at, value) = text
            .split_once('=')
            .ok_or_else(|| BadPatch("expected PATH=VALUE, as properties.services_count=1".into()))?;
        let value = if json::parse_value(value).is_some() {
            value.to_owned()
        } else {
            let mut quoted = Vec::new();
            json::write_string(value, &mut quoted);
            String::from_utf8_lossy(&quoted).into_owned()
        };
        keeps_id(at)?;
        self.sets.push((path(at)?, value));
        Ok(())
    }

    /// The changed members. A body that is no object counts as an empty one under a merge patch, as RFC 7386 has it, and
    /// is `None` otherwise.
    pub(super) fn apply<'a>(&'a self, body: Option<Members<'a>>) -> Option<Members<'a>> {
        let mut members = match (body, &self.merge) {
            (Some(members), _) => members,
            (None, Some(_)) => Members::new(),
            (None, None) => return None,
        };
        if let Some(changes) = self.merge.as_deref().and_then(|text| json::parse_object(text.as_bytes())) {
            merge(&mut members, changes);
        }
        for (from, to) in &self.renames {
            if let Some(node) = take(&mut members, from) {
                put(&mut members, to, node);
            }
        }
        for (at, value) in &self.sets {
            put(&mut members, at, json::parse_value(value).unwrap_or(Node::Null));
        }
        Some(members)
    }
}

/// A retry is the event that was refused, or it could be stored twice; and an event without `occurred_at` is of the time in
/// its id.
fn keeps_id(path: &str) -> Result<(), BadPatch> {
    if path == "event_id" {
        return Err(BadPatch(
            "a patch cannot change event_id: a retry is the same event. To move it in time, change occurred_at; for an \
             event of its own there is --as-new"
                .into(),
        ));
    }
    Ok(())
}

fn path(text: &str) -> Result<Vec<String>, BadPatch> {
    let keys: Vec<String> = text.split('.').map(str::to_owned).collect();
    if keys.iter().any(String::is_empty) {
        return Err(BadPatch(format!(
            "{text:?} is no path: expected keys with dots between, as properties.services_count"
        )));
    }
    Ok(keys)
}

/// RFC 7386, section 2.
fn merge<'a>(target: &mut Members<'a>, changes: Members<'a>) {
    for (key, change) in changes {
        match change {
            Node::Null => target.retain(|(other, _)| *other != key),
            Node::Object(changes) => {
                let mut inner = match target.iter().find(|(other, _)| *other == key) {
                    Some((_, Node::Object(inner))) => inner.clone(),
                    _ => Members::new(),
                };
                merge(&mut inner, changes);
                set(target, key, Node::Object(inner));
            }
            value => set(target, key, value),
        }
    }
}

/// Sets a member where it stands, or at the end; a key that stands twice stands once then.
pub(super) fn set<'a>(members: &mut Members<'a>, key: Cow<'a, str>, node: Node<'a>) {
    let at = members.iter().position(|(other, _)| *other == key).unwrap_or(members.len());
    members.retain(|(other, _)| *other != key);
    members.insert(at.min(members.len()), (key, node));
}

fn put<'a>(members: &mut Members<'a>, path: &'a [String], node: Node<'a>) {
    let Some((key, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        return set(members, Cow::Borrowed(key), node);
    }
    let mut inner = match members.iter().find(|(other, _)| other == key) {
        Some((_, Node::Object(inner))) => inner.clone(),
        _ => Members::new(),
    };
    put(&mut inner, rest, node);
    set(members, Cow::Borrowed(key), Node::Object(inner));
}

fn take<'a>(members: &mut Members<'a>, path: &[String]) -> Option<Node<'a>> {
    let (key, rest) = path.split_first()?;
    let at = members.iter().position(|(other, _)| other == key)?;
    if rest.is_empty() {
        return Some(members.remove(at).1);
    }
    match &mut members[at].1 {
        Node::Object(inner) => take(inner, rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(patch: &Patch, body: &str) -> Option<String> {
        let mut out = Vec::new();
        json::write_object(&patch.apply(json::parse_object(body.as_bytes()))?, &mut out, |_, node, out| {
            node.write(out);
        });
        Some(String::from_utf8(out).unwrap())
    }

    /// The cases of RFC 7386, appendix A, whose target and patch are objects.
    #[test]
    fn a_merge_patch_does_what_its_rfc_says() {
        for (body, change, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let mut patch = Patch::default();
            patch.merge(change.to_owned()).unwrap();
            assert_eq!(patched(&patch, body).as_deref(), Some(expected), "{body} {change}");
        }
    }

    #[test]
    fn values_are_set_and_keys_renamed_and_all_else_keeps_its_spelling() {
        let mut patch = Patch::default();
        patch.rename("properties.old=new").unwrap();
        patch.rename("properties.absent=other").unwrap();
        patch.set("properties.services_count=1").unwrap();
        patch.set("properties.note=two words").unwrap();
        patch.set("properties.quoted=\"7\"").unwrap();
        let body =
            r#"{"chat_id":9007199254740993,"properties":{"old":15000.50,"services_count":"x","services_count":2}}"#;
        let expected = r#"{"chat_id":9007199254740993,"properties":{"services_count":1,"new":15000.50,"note":"two words","quoted":"7"}}"#;
        assert_eq!(patched(&patch, body).as_deref(), Some(expected));
        assert_eq!(patched(&patch, "not JSON"), None);
    }

    #[test]
    fn what_is_no_change_is_refused() {
        let mut patch = Patch::default();
        let said = |change: Result<(), BadPatch>| change.unwrap_err().to_string();
        assert!(said(patch.merge("[]".into())).contains("got an array"));
        assert!(said(patch.merge("{\"a\": 1,\n}".into())).contains("line 2, column 1"));
        for change in [
            patch.merge(r#"{"chat_id": 1, "event_id": null}"#.into()),
            patch.set("event_id=01a225eb-c0fe-7710-9ff4-558abf7fe599"),
            patch.rename("id=event_id"),
            patch.rename("event_id=id"),
        ] {
            assert!(said(change).contains("cannot change event_id"));
        }
        patch.set("properties.event_id=1").unwrap();
        assert!(patch.rename("properties.old").is_err());
        assert!(patch.set("services_count").is_err());
        assert!(patch.set("properties..x=1").is_err());
    }
}
