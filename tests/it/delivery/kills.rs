//! Detection and delivery killed with `kill -9` under load: no booking is missed, and each kill costs one repeat at most.

use super::{
    bot_api::{BotApi, TOKEN},
    promises::everything,
};
use crate::support::{System, eventually};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Where delivery dies, and at which arrival there: after a message was sent and before that is noted, after it is noted,
/// and with steps in hand.
const DEATHS: [(&str, u32); 3] = [("before-commit", 3), ("after-commit", 2), ("pulled", 2)];

/// Kills one or the other so often, half of the times at a chosen point and half at any moment, while bookings come in.
async fn survive(kills: usize, bookings: i64) {
    let system = System::start().await;
    let api = BotApi::start().await;
    let enough = CancellationToken::new();
    let publish = async {
        for booking in 0.. {
            if booking >= bookings && enough.is_cancelled() {
                return booking;
            }
            // In step with the kills: more would only be shown after them.
            let may_come = async || enough.is_cancelled() || api.shown() + 200 > booking;
            eventually("few are on their way", may_come).await;
            system.book([booking]).await;
        }
        0
    };
    let chat = ["--telegram-token", TOKEN, "--telegram-chat-id=-1001", "--telegram-api", &api.address];
    let options = ["--batch", "20", "--lease", "500"];
    let torment = async {
        let mut detection = system.spawn(&[&["alerts"], &options[..]].concat());
        for kill in 0..kills {
            api.script(everything());
            let (point, nth) = DEATHS[kill / 2 % DEATHS.len()];
            let nth = nth.to_string();
            let death = if kill % 2 == 0 { &[point, &nth][..] } else { &[] };
            let mut notifier = system.spawn(&[&["notifier"], death, &options, &chat].concat());
            if kill % 2 == 0 {
                notifier.ended(&format!("it dies at {point} {nth}")).await;
            } else {
                tokio::time::sleep(Duration::from_millis(rand::random_range(500..2_500))).await;
                notifier.kill();
                detection.kill();
                detection = system.spawn(&[&["alerts"], &options[..]].concat());
            }
        }
        enough.cancel();
        detection
    };
    let (published, _detection) = futures::join!(publish, torment);
    let _notifier = system.tell(&api);
    let count = usize::try_from(published).unwrap();
    let mut shown = 0;
    while shown < count {
        eventually(&format!("more than {shown} of {count} are shown"), async || api.bookings().len() > shown).await;
        shown = api.bookings().len();
    }
    system.told_all().await;
    let repeats = api.texts().len() - count;
    println!("{kills} kills, {} lost answers: {count} bookings shown, {repeats} of them twice", api.cuts());
    api.assert_each_booking_once(published, kills + api.cuts());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_delivery_shows_each_booking_and_repeats_one_a_kill_at_most() {
    survive(5, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: run by make proof"]
async fn fifty_kills_of_delivery_over_two_thousand_bookings() {
    survive(50, 2_000).await;
}
