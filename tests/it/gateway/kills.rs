//! What was answered with 202 outlives the gateway and NATS.

use super::wire::{Served, TOKEN, request};
use crate::support::{Ledger, Process, System, eventually};
use chrono::Utc;
use futures::future::join_all;
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const CLIENTS: usize = 4;
const REQUESTS: usize = 50;
const EVENTS: usize = 50;
const KILLS: usize = 5;

/// Where the gateway is now.
type Whereabouts = Arc<Mutex<SocketAddr>>;

/// The status, when an answer came.
async fn post(at: SocketAddr, body: &[u8]) -> Option<u16> {
    let head =
        format!("POST /v1/events\nAuthorization: Bearer {TOKEN}\nContent-Type: application/json\nConnection: close");
    let mut stream = TcpStream::connect(at).await.ok()?;
    stream.write_all(&request(&head, body)).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// Sends each body again until it is answered with 202.
async fn client(at: Whereabouts, bodies: Vec<Vec<u8>>, done: Arc<AtomicUsize>) {
    for body in bodies {
        eventually("a request is answered", async || {
            let here = *at.lock().unwrap();
            post(here, &body).await == Some(202)
        })
        .await;
        done.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_that_was_answered_is_stored_once_though_gateway_and_nats_are_killed() {
    let mut system = System::start().await;
    let mut served = Served::start(&system, &[]).await;
    let at: Whereabouts = Arc::new(Mutex::new(served.at));
    let (mut ledger, done) = (Ledger::default(), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|chat_id| {
            let mut body = || {
                let event =
                    |_| ledger.enter(Utc::now(), "cart_confirmed", chat_id as i64, &json!({"services_count": 1}));
                let events: Vec<_> = (0..EVENTS).map(event).map(|event| event.body).collect();
                [&b"["[..], &events.join(&b","[..]), b"]"].concat()
            };
            let bodies = (0..REQUESTS).map(|_| body()).collect();
            client(at.clone(), bodies, done.clone())
        })
        .collect();
    let kills = async {
        for kill in 1..=KILLS {
            let some = kill * CLIENTS * REQUESTS / (KILLS + 1);
            eventually("requests are answered", async || done.load(Ordering::Relaxed) >= some).await;
            match kill {
                2 => system.local.nats.kill().await.unwrap(),
                4 => system.local.nats.restart().await.unwrap(),
                _ => {}
            }
            Process::kill(&mut served.process);
            served = Served::start(&system, &[]).await;
            *at.lock().unwrap() = served.at;
        }
    };
    futures::join!(join_all(clients), kills);
    let sent = (CLIENTS * REQUESTS * EVENTS) as u64;
    eventually("everything is published", async || system.last_sequence().await >= sent).await;
    system.settle().await;
    ledger.assert_exact(&system).await;
}
