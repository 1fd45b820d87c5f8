//! Whatever cannot be an event can be a letter: bytes of any kind and length, under any subject, with any headers.

use super::{BATCH, CASES, Handlers, delivery, generated};
use crate::support::{System, Version};
use proptest::{collection::vec, prelude::*, sample::select};
use std::collections::HashMap;
use valera_pipeline::handler::{Delivery, Outcome};

type Hostile = (String, Vec<(String, String)>, Vec<u8>);

/// None of these is an event: each body begins with a byte that no JSON does, or has a fault that no change elsewhere mends.
fn hostile() -> impl Strategy<Value = Hostile> {
    let subject = prop_oneof![
        3 => Just("analytics._invalid".to_owned()),
        1 => vec(any::<char>(), 1..80).prop_map(|chars| format!("analytics.{}", String::from_iter(chars))),
        1 => Just(format!("analytics.{}", "deep.".repeat(2_000))),
        1 => Just("analytics.ai_dialog_started".to_owned()),
    ];
    let text = vec(prop_oneof![4 => any::<char>(), 1 => Just('\0')], 0..40).prop_map(String::from_iter);
    let long = select(vec!["ж", "\0", "😀", "a"]).prop_map(|text| text.repeat(5_000));
    let header = (prop_oneof![text.clone(), Just("Nats-Msg-Id".to_owned())], prop_oneof![4 => text, 1 => long]);
    let key = vec(any::<char>(), 0..40).prop_map(|chars| serde_json::json!(String::from_iter(chars)).to_string());
    let faulty = vec(key, 1..12).prop_map(|keys| {
        let members: Vec<_> = keys.iter().map(|key| format!(r#"{key}:{{{key}:"\u0000",{key}:1e999}}"#)).collect();
        format!(r#"{{"properties":{{{}}}}}"#, members.join(",")).into_bytes()
    });
    let body = prop_oneof![
        2 => vec(any::<u8>(), 0..300).prop_map(|mut bytes| { bytes.insert(0, 0xff); bytes }),
        2 => faulty,
        1 => Just(Vec::new()),
    ];
    (subject, vec(header, 0..12), body)
}

/// The longest that the broker lets through, and a little over what the contract does.
fn huge() -> Vec<Vec<u8>> {
    let json =
        |length: usize| format!(r#"{{"chat_id":1,"properties":{{"a":"{}"}}}}"#, "ж".repeat(length)).into_bytes();
    let hostile_key =
        format!(r#"{{"chat_id":1,"{}\u0000{}":1}}"#, "k".repeat(30_000), "ж".repeat(10_000)).into_bytes();
    vec![vec![0; 1 << 20], vec![0xfe; 1 << 20], json(500_000), json(32_800), hostile_key, b"[".repeat(1 << 20)]
}

async fn a_letter_can_always_be_written(version: Version) {
    let seed = rand::random();
    println!("the seed of the new half: {seed}");
    let mut messages = generated(&hostile(), 0, CASES / 2);
    messages.extend(generated(&hostile(), seed, CASES / 2));
    let crowded: Vec<_> = (0..500).map(|n| (format!("X-\0-{n}"), "\0".repeat(n * 10))).collect();
    messages.extend(huge().into_iter().map(|body| ("analytics._invalid".to_owned(), crowded.clone(), body)));
    let deliveries: Vec<_> = (1..)
        .zip(messages)
        .map(|(sequence, (subject, headers, body))| Delivery { headers, ..delivery(sequence, &subject, body) })
        .collect();

    let system = System::start_on(version, "UTC").await;
    let mut handlers = Handlers::of(&system).await;
    for batch in deliveries.chunks(BATCH) {
        let outcomes = handlers.hand_in(batch.to_vec()).await;
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Rejected), "seed {seed}: {outcomes:?}");
    }
    let letters: Vec<(i64, Vec<u8>)> = system.rows("SELECT stream_seq, payload FROM dead_letters").await;
    let letters: HashMap<_, _> = letters.into_iter().collect();
    for delivery in &deliveries {
        // The same bytes under the same Nats-Msg-Id are the same letter.
        if let Some(payload) = letters.get(&delivery.stream_seq()) {
            assert!(payload == &delivery.body, "seed {seed}: a letter holds other bytes than were sent");
        } else {
            assert!(
                letters.values().any(|payload| payload == &delivery.body),
                "seed {seed}: no letter has the bytes"
            );
        }
    }

    handlers.hand_in(deliveries[..BATCH].to_vec()).await;
    assert_eq!(
        system.count("SELECT count(*) FROM dead_letters").await,
        i64::try_from(letters.len()).unwrap(),
        "delivered again, letters have become more"
    );
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_can_always_be_written_to_the_current_postgres() {
    a_letter_can_always_be_written(Version::Current).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_can_always_be_written_to_postgres_15() {
    a_letter_can_always_be_written(Version::Fifteen).await;
}
