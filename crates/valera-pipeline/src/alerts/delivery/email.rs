//! E-mail: one when an incident opens and one when it is over, to each recipient by itself.
//!
//! A mail cannot be edited, so what happens between the two is not told. Recipients get mails of their own: one whose
//! address is refused keeps none of the others from theirs, and none sees who else gets it. Who was served is remembered
//! while the message is tried again; after a restart it may come twice, under the same `Message-ID`. How a mail is made is
//! said in `letter`, how the server is reached in `relay`, what it answers in `conversation`. It shows no address: recipients are counted.

mod conversation;
mod letter;
mod relay;

pub use relay::Relay;

use super::{
    channel::{Channel, Message, Shown, Undelivered},
    pace::{Pace, Pauses},
};
use anyhow::{Context, ensure};
use conversation::{End, Unsettled, begins_anew, connect, send_to_one};
use futures::future::BoxFuture;
use letter::Letter;
use lettre::message::{Mailbox, Mailboxes};
use std::{collections::BTreeMap, fmt};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

/// Who writes to whom.
#[derive(Clone)]
pub struct Settings {
    pub relay: Relay,
    from: Mailbox,
    to: Vec<Mailbox>,
    /// After a failure.
    pub pauses: Pauses,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({:?}, {} recipients)", self.relay, self.to.len())
    }
}

impl Settings {
    /// With the product's pauses. `from` is one address, `to` a list of them with commas; each with or without a name.
    ///
    /// # Errors
    /// When one is no address, or there is none.
    pub fn new(relay: Relay, from: &str, to: &str) -> anyhow::Result<Self> {
        let example = "as alerts@example.org or Valera <alerts@example.org>";
        let from = from.parse().ok().with_context(|| format!("VALERA_EMAIL_FROM is no address, {example}"))?;
        let to: Mailboxes =
            to.parse().ok().with_context(|| format!("VALERA_EMAIL_TO is no list of addresses, {example}"))?;
        let mut distinct: Vec<Mailbox> = Vec::new();
        for mailbox in to {
            if !distinct.iter().any(|other| other.email == mailbox.email) {
                distinct.push(mailbox);
            }
        }
        ensure!(!distinct.is_empty(), "VALERA_EMAIL_TO names nobody");
        // Few servers take others, and one that does not would refuse every mail.
        let is_ascii = |mailbox: &Mailbox| AsRef::<str>::as_ref(&mailbox.email).is_ascii();
        ensure!(is_ascii(&from), "VALERA_EMAIL_FROM has letters beyond ASCII in its address");
        ensure!(distinct.iter().all(is_ascii), "VALERA_EMAIL_TO has letters beyond ASCII in an address");
        Ok(Self { relay, from, to: distinct, pauses: Pauses::SLOW })
    }
}

/// The channel's name.
pub(super) const NAME: &str = "email";
/// How often a recipient is tried while others are served.
const TRIES: u32 = 8;

/// The channel.
pub struct Email {
    settings: Settings,
    pace: Pace,
    in_hand: InHand,
}

/// The mail that is being sent.
#[derive(Default)]
struct InHand {
    id: String,
    /// Recipients with whom it has ended, by their place in the list.
    ends: BTreeMap<usize, End>,
    /// How often it did not end, and why the last time.
    tries: BTreeMap<usize, (u32, String)>,
}

impl InHand {
    /// Whose turn it is: who was tried least, so that one at whom the connection breaks keeps nobody waiting.
    fn next(&self, of: usize) -> Vec<usize> {
        let mut left: Vec<_> = (0..of).filter(|index| !self.ends.contains_key(index)).collect();
        left.sort_by_key(|index| self.tries.get(index).map_or(0, |(times, _)| *times));
        left
    }

    fn failed(&mut self, index: usize, cause: &Undelivered) {
        let (times, last) = self.tries.entry(index).or_default();
        *times += 1;
        *last = cause.to_string();
    }

    /// Ends it with those who were put off often while the server served others: what lies with one of them is no outage.
    fn give_up(&mut self) {
        if self.ends.values().any(|end| *end == End::Taken) {
            let often = self.tries.iter().filter(|(_, (times, _))| *times >= TRIES);
            let ends = often.map(|(index, (times, cause))| (*index, End::Refused(format!("{cause}, {times} times"))));
            let ends: Vec<_> = ends.filter(|(index, _)| !self.ends.contains_key(index)).collect();
            self.ends.extend(ends);
        }
    }
}

impl Email {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, pace: Pace::default(), in_hand: InHand::default() }
    }

    async fn send(&mut self, letter: &Letter) -> Result<(), Undelivered> {
        self.pace.require()?;
        if self.in_hand.id != letter.id {
            self.in_hand = InHand { id: letter.id.clone(), ..InHand::default() };
        }
        let sent = self.send_to_all(letter).await;
        self.in_hand.give_up();
        if let Err(undelivered) = sent
            && !self.in_hand.next(self.settings.to.len()).is_empty()
        {
            if !matches!(undelivered, Undelivered::Refused(_)) {
                self.pace.failed(self.settings.pauses, &undelivered);
            }
            return Err(undelivered);
        }
        self.pace.worked();
        self.conclude()
    }

    /// Sends to everybody with whom it has not ended.
    async fn send_to_all(&mut self, letter: &Letter) -> Result<(), Undelivered> {
        let Settings { relay, from, to, .. } = &self.settings;
        let until = Instant::now() + relay.attempt_within();
        let mut connection = None;
        let mut first_failure = None;
        for index in self.in_hand.next(to.len()) {
            let Some(recipient) = to.get(index) else { continue };
            let mail = letter.to(from, recipient).map_err(|cause| Undelivered::Refused(format!("{cause:#}")))?;
            let server = match &mut connection {
                Some(server) => server,
                None => connection.insert(connect(relay, from, until).await.map_err(Undelivered::Away)?),
            };
            let ended = send_to_one(server, until, from, recipient, &mail).await;
            if !matches!(ended, Ok(End::Taken)) && !begins_anew(server, until).await {
                connection = None;
            }
            let failure = match ended {
                Ok(end) => {
                    self.in_hand.ends.insert(index, end);
                    continue;
                }
                Err(failure) => failure,
            };
            let who = format!("recipient {} of {}", index + 1, to.len());
            let (is_lost, undelivered) = match failure {
                Unsettled::Later(cause) => (false, Undelivered::Away(cause.context(who))),
                Unsettled::Lost(cause) => (true, Undelivered::Away(cause.context(who))),
                Unsettled::Unknown(cause) => (true, Undelivered::Unknown(cause.context(who))),
            };
            self.in_hand.failed(index, &undelivered);
            if is_lost {
                return Err(undelivered);
            }
            first_failure.get_or_insert(undelivered);
        }
        if let Some(mut connection) = connection {
            // It has everything; whether it says goodbye is its own affair.
            drop(timeout_at(until, connection.abort()).await);
        }
        first_failure.map_or(Ok(()), Err)
    }

    /// What the ends with all of them come to.
    fn conclude(&mut self) -> Result<(), Undelivered> {
        let ends = std::mem::take(&mut self.in_hand).ends;
        let of = ends.len();
        let refusals = ends.into_iter().filter_map(|(index, end)| match end {
            End::Taken => None,
            End::Refused(cause) => Some(format!("recipient {} of {of}: {cause}", index + 1)),
        });
        let refusals: Vec<_> = refusals.collect();
        let refused = refusals.join("; ");
        match refusals.len() {
            0 => Ok(()),
            all if all == of => Err(Undelivered::Refused(refused)),
            _ => {
                warn!(channel = NAME, refused, "a mail was refused for some; the others have it");
                Ok(())
            }
        }
    }
}

impl Channel for Email {
    fn name(&self) -> &'static str {
        NAME
    }

    fn show<'a>(
        &'a mut self,
        message: &'a Message,
        shown: Option<&'a Shown>,
    ) -> BoxFuture<'a, Result<Shown, Undelivered>> {
        Box::pin(async move {
            let mut stands = shown.cloned().unwrap_or_default();
            if let Some(letter) = Letter::of(message, shown.is_some()) {
                self.send(&letter).await?;
                stands.0.insert("mail".to_owned(), letter.id.into());
            }
            Ok(stands)
        })
    }
}
