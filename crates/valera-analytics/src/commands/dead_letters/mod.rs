//! `dead-letters`: looks at what was refused, and puts it back or away.
//!
//! Payloads hold what was sent, personal values included: only `show` prints one, for whoever may read the database.

mod discard;
mod list;
mod retry;
mod show;

use crate::since::Since;
use clap::{Args, Subcommand, ValueEnum, builder::PossibleValuesParser};
use uuid::Uuid;
use valera_events::ReasonCode;
use valera_pipeline::store::letters::desk::Filter;

/// See, retry or discard what was refused
#[derive(Debug, Args)]
pub struct DeadLetters {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(list::List),
    Show(show::Show),
    Retry(retry::Retry),
    Discard(discard::Discard),
}

impl DeadLetters {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::List(list) => list.run().await,
            Action::Show(show) => show.run().await,
            Action::Retry(retry) => retry.run().await,
            Action::Discard(discard) => discard.run().await,
        }
    }
}

/// Where a letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    Open,
    Retried,
    Closed,
    Discarded,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Retried => "retried",
            Self::Closed => "closed",
            Self::Discarded => "discarded",
        }
    }
}

/// Which letters, by what is known of them.
#[derive(Debug, Clone, Args)]
struct Narrowed {
    /// Only of this event
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// Only received since then: so long ago, for example 7d or 12h, or a time in RFC 3339
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
}

impl Narrowed {
    fn filter(&self, ids: Vec<Uuid>, reason: Option<String>, statuses: &[&str]) -> Filter {
        Filter {
            ids,
            event_name: self.event.clone(),
            reason,
            since: self.since.map(|since| since.0),
            statuses: statuses.iter().map(|status| (*status).to_owned()).collect(),
        }
    }
}

/// The statuses asked for, or those of the default.
fn statuses<'a>(asked: &[Status], default: &[&'a str]) -> Vec<&'a str> {
    if asked.is_empty() { default.to_vec() } else { asked.iter().map(|status| status.as_str()).collect() }
}

/// The id of a letter, as it is given.
fn letter_id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "expected the id of a letter, a UUID, as `dead-letters list` shows it")
}

fn reason_codes() -> PossibleValuesParser {
    PossibleValuesParser::new(ReasonCode::ALL.iter().map(|code| code.as_str()))
}
