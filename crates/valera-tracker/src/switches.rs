//! Switches that operators turn while the bot runs: keys of the KV bucket `VALERA`.
//!
//! | key | value | effect |
//! |---|---|---|
//! | `tracker.disabled.<event>` | `true` | the event is not sent |
//! | `tracker.sampling.<event>` | 0 to 1 | it is sent for that share of the chats |
//!
//! Sampling goes by chat: which chats are in is the same for every event, process and day, and a larger share contains the
//! smaller, so the journeys that are kept are whole. A key that is deleted or malformed means the default: everything is
//! sent. So does a missing bucket; a lost connection leaves the switches as they stand.
//!
//! It does not write to the bucket.

use async_nats::{
    Client,
    jetstream::{self, kv::Operation},
};
use futures::StreamExt;
use std::{
    collections::HashMap,
    error::Error,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info, warn};

const BUCKET: &str = "VALERA";
const KEYS: &str = "tracker.>";
const DISABLED: &str = "tracker.disabled.";
const SAMPLING: &str = "tracker.sampling.";
/// How long one watch lives. A watch that went silent unnoticed is healed by the next.
const WATCH: Duration = Duration::from_secs(60);
/// Until the bucket is looked for again.
const PAUSE: Duration = Duration::from_secs(15);

/// What a switch says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch {
    Send,
    Disabled,
    LeftOut,
}

/// The switches as they stand.
#[derive(Debug, Default)]
pub(crate) struct Switches {
    /// Whether any key is set: most of the time none is, and then no lock is taken.
    any: AtomicBool,
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    disabled: HashMap<String, bool>,
    sampling: HashMap<String, f64>,
}

impl Switches {
    /// Locks only against the moment in which a key changes.
    pub(crate) fn of(&self, name: &str, chat_id: i64) -> Switch {
        if !self.any.load(Ordering::Acquire) {
            return Switch::Send;
        }
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if table.disabled.get(name) == Some(&true) {
            return Switch::Disabled;
        }
        match table.sampling.get(name) {
            Some(share) if !is_in(chat_id, *share) => Switch::LeftOut,
            _ => Switch::Send,
        }
    }

    /// A key was set, or, without a value, deleted.
    fn turn(&self, key: &str, value: Option<&[u8]>) {
        let value = value.map(String::from_utf8_lossy);
        let value = value.as_deref().map(str::trim);
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let known = if let Some(name) = key.strip_prefix(DISABLED) {
            set(&mut table.disabled, name, value.map(str::parse))
        } else if let Some(name) = key.strip_prefix(SAMPLING) {
            let share = value.map(|value| value.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or(()));
            set(&mut table.sampling, name, share)
        } else {
            false
        };
        self.any.store(!table.disabled.is_empty() || !table.sampling.is_empty(), Ordering::Release);
        drop(table);
        if known {
            info!(key, value, "switch");
        } else {
            warn!(key, "a switch that is unknown or malformed means the default");
        }
    }
}

fn set<T, E>(table: &mut HashMap<String, T>, name: &str, value: Option<Result<T, E>>) -> bool {
    match value {
        Some(Ok(value)) => {
            table.insert(name.to_owned(), value);
            true
        }
        malformed_or_deleted => {
            table.remove(name);
            malformed_or_deleted.is_none()
        }
    }
}

/// Whether a chat belongs to a share of all chats: the finalizer of SplitMix64 (Steele, Lea, Flood 2014) spreads the
/// numbers evenly.
fn is_in(chat_id: i64, share: f64) -> bool {
    let mut bits = (chat_id as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    (bits >> 11) as f64 / ((1_u64 << 53) as f64) < share
}

/// Keeps the switches as the bucket has them, for ever.
pub(crate) async fn watch(client: Client, switches: &Switches) {
    loop {
        if let Err(cause) = watch_once(&client, switches).await {
            debug!(%cause, "no switches");
            sleep(PAUSE).await;
        }
    }
}

async fn watch_once(client: &Client, switches: &Switches) -> Result<(), Box<dyn Error + Send + Sync>> {
    let bucket = jetstream::new(client.clone()).get_key_value(BUCKET).await?;
    let mut watch = bucket.watch_with_history(KEYS).await?;
    let until = Instant::now() + WATCH;
    while let Ok(entry) = timeout_at(until, watch.next()).await {
        let entry = entry.ok_or("the watch has ended")??;
        let value = (entry.operation == Operation::Put).then_some(&*entry.value);
        switches.turn(&entry.key, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_turned_and_turned_back() {
        let switches = Switches::default();
        let of = || switches.of("cart_confirmed", 1);
        assert_eq!(of(), Switch::Send);
        switches.turn("tracker.disabled.cart_confirmed", Some(b"true\n"));
        assert_eq!((of(), switches.of("review_left", 1)), (Switch::Disabled, Switch::Send));
        for harmless in [Some(&b"false"[..]), Some(b"maybe"), Some(b"\xff"), None] {
            switches.turn("tracker.disabled.cart_confirmed", harmless);
            assert_eq!(of(), Switch::Send, "{harmless:?}");
        }
        switches.turn("tracker.sampling.cart_confirmed", Some(b"0"));
        assert_eq!(of(), Switch::LeftOut);
        for harmless in [Some(&b"1"[..]), Some(b"1.5"), Some(b"NaN"), Some(b"-1"), None] {
            switches.turn("tracker.sampling.cart_confirmed", harmless);
            assert_eq!(of(), Switch::Send, "{harmless:?}");
        }
        switches.turn("tracker.colour.cart_confirmed", Some(b"red"));
        assert!(!switches.any.load(Ordering::Relaxed));
    }

    #[test]
    fn a_share_of_the_chats_is_kept_and_a_larger_one_contains_it() {
        let chats = || (0..20_000).chain(-20_000..0).map(|n| n * 1_000_003);
        for share in [0.0, 0.1, 0.5, 1.0] {
            let kept = chats().filter(|chat| is_in(*chat, share)).count() as f64 / 40_000.0;
            assert!((kept - share).abs() < 0.01, "{kept} of {share}");
        }
        assert!(chats().filter(|chat| is_in(*chat, 0.1)).all(|chat| is_in(chat, 0.5)));
    }
}
