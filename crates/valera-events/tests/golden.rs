//! Every payload in `golden/` gets the verdict it is filed under, and there is one for each event and each reason.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use data_encoding::BASE64;
use serde::Deserialize;
use valera_events::catalogue::{self, EVENTS};
use valera_events::{Headers, Origin, ReasonCode, Verdict, check};

/// When JetStream received every golden message that does not say otherwise.
const RECEIVED_AT: &str = "2025-11-01T12:00:00Z";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bad {
    subject: String,
    #[serde(default)]
    headers: BadHeaders,
    received_at: Option<DateTime<Utc>>,
    body: Option<Body>,
    body_base64: Option<String>,
    expected: Vec<Fault>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct BadHeaders {
    #[serde(rename = "Nats-Msg-Id")]
    msg_id: Option<String>,
    #[serde(rename = "Valera-Origin")]
    origin: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Whole(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Once(String),
    Repeated { repeat: String, times: usize },
}

#[derive(Deserialize, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    reason: ReasonCode,
    path: String,
}

impl Bad {
    fn bytes(&self) -> Vec<u8> {
        match (&self.body, &self.body_base64) {
            (Some(Body::Whole(text)), None) => text.clone().into_bytes(),
            (Some(Body::Parts(parts)), None) => parts.iter().map(Part::text).collect::<String>().into_bytes(),
            (None, Some(encoded)) => BASE64.decode(encoded.as_bytes()).unwrap(),
            _ => panic!("either body or body_base64"),
        }
    }
}

impl Part {
    fn text(&self) -> String {
        match self {
            Part::Once(text) => text.clone(),
            Part::Repeated { repeat, times } => repeat.repeat(*times),
        }
    }
}

/// The files of a folder's folders, with the name of the folder that each stands in.
fn files(kind: &str) -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(kind);
    let mut files = Vec::new();
    for folder in fs::read_dir(root).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        files.extend(fs::read_dir(folder.path()).unwrap().map(|file| (name.clone(), file.unwrap().path())));
    }
    files
}

#[test]
fn good_events_are_accepted() {
    let mut seen = BTreeSet::new();
    for (event, file) in files("good") {
        let (subject, body) = (format!("analytics.{event}"), fs::read(&file).unwrap());
        match check(&subject, &Headers::default(), &body, RECEIVED_AT.parse().unwrap()) {
            Verdict::Accepted(accepted) => {
                assert_eq!(accepted.spec.is_some(), catalogue::find(&event).is_some());
            }
            Verdict::Rejected(rejection) => panic!("{}: {:#?}", file.display(), rejection.reasons),
        }
        seen.insert(event);
    }
    for spec in EVENTS {
        assert!(seen.contains(spec.name), "no golden payload of {}", spec.name);
    }
    assert!(seen.iter().any(|event| catalogue::find(event).is_none()), "no golden payload of an undeclared event");
}

#[test]
fn bad_events_are_rejected_for_exactly_the_reasons_they_are_filed_under() {
    let mut seen = BTreeSet::new();
    for (reason, file) in files("bad") {
        let bad: Bad = serde_json::from_slice(&fs::read(&file).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let headers = Headers {
            msg_id: bad.headers.msg_id.as_deref(),
            origin: bad.headers.origin.as_deref().map_or(Origin::Live, Origin::parse),
        };
        let received_at = bad.received_at.unwrap_or(RECEIVED_AT.parse().unwrap());
        let body = bad.bytes();
        let Verdict::Rejected(rejection) = check(&bad.subject, &headers, &body, received_at) else {
            panic!("{} was accepted", file.display());
        };
        let given = rejection.reasons.iter().map(|r| Fault { reason: r.reason, path: r.path.clone() });
        let (mut given, mut expected): (Vec<_>, _) = (given.collect(), bad.expected);
        given.sort();
        expected.sort();
        assert_eq!(given, expected, "{}: {:#?}", file.display(), rejection.reasons);
        assert!(given.iter().any(|fault| fault.reason.as_str() == reason), "{} is misfiled", file.display());
        seen.insert(reason);
    }
    let by_handlers = [ReasonCode::ConflictingDuplicate, ReasonCode::RefusedByDatabase];
    for code in ReasonCode::ALL.iter().filter(|code| !by_handlers.contains(code)) {
        assert!(seen.contains(code.as_str()), "no golden payload of {}", code.as_str());
    }
}
