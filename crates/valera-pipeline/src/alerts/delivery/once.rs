//! The morning message on a channel: told once, or not at all.
//!
//! A second one would be worse than none, since an operator can send it by hand. So it is claimed right before the request
//! goes out, and whoever finds a claim does not send: nobody knows whether that message arrived. A claim is given back only
//! when it is certain that nothing was sent. It does not decide when a morning is due, nor what it says.

use super::{channel::Message, memory::Told, teller::Teller};
use crate::{
    alerts::digest::Summary,
    handler::{Ours, Outcome},
};
use chrono::{DateTime, Utc};
use tracing::warn;

impl Teller {
    /// Tells of a day of which nothing was shown.
    pub(super) async fn tell_once(
        &mut self,
        incident: &str,
        summary: &Summary,
        message: &Message,
        now: DateTime<Utc>,
    ) -> Result<Outcome, Ours> {
        if now >= summary.until {
            self.say_by_hand(summary, "was not sent in time");
            return Ok(Outcome::Expired);
        }
        // Until a request went out, nothing was sent under a claim of ours, also under one whose answer was lost.
        let is_ours = self.unsent.replace(incident.to_owned()).as_deref() == Some(incident);
        if !self.memory.claim(incident).await? && !is_ours {
            self.unsent = None;
            self.say_by_hand(summary, "may be missing, and is not sent again: it was about to be sent before");
            return Ok(Outcome::Duplicate);
        }
        let told = self.show(incident, message, None).await;
        match told {
            Ok((Outcome::Later, _)) | Err(_) => {
                if self.memory.give_back(incident).await.is_ok() {
                    self.unsent = None;
                }
            }
            Ok((_, ref shown)) => {
                self.unsent = None;
                self.memory.keep(incident, Told { revision: 1, shown: shown.clone() }).await?;
                self.advanced = true;
            }
        }
        told.map(|(outcome, _)| outcome)
    }

    /// Says that a day may not have been told of.
    pub(super) fn say_by_hand(&self, summary: &Summary, what: &str) {
        let (day, channel) = (summary.day(), self.channel.name());
        warn!(
            channel,
            %day,
            "the morning message {what}; `valera-analytics alerts digest --day {day} --to {channel}` sends it"
        );
    }
}
