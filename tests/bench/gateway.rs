//! What publishing by HTTP costs beside the SDK: the same events, until the stream has them all.
//!
//! Sender and gateway are processes of their own, so that the CPU of each is known. Both ways sync a spool before they call
//! an event safe. No consumer runs meanwhile.
//!
//! It does not measure what a caller waits: `bench-tracker` and `clients/ruby/bench.rb` do.

use crate::{
    ground::Ground,
    results::{Posted, Posting},
    sender::Sent,
    usage,
    worker::{self, Worker},
};
use anyhow::Context;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};
use tempfile::TempDir;
use valera_analytics::{embedded::free_port, output};

/// More would only take longer.
const MOST: usize = 200_000;
const TOKEN: &str = "a-token-of-the-benchmarks-own";

pub(crate) async fn measure(ground: &Ground, events: usize) -> anyhow::Result<Posting> {
    let events = events.min(MOST);
    output::print(&format!("{events} events by the SDK and by HTTP\n"))?;
    let mut runs = Vec::new();
    for (what, batch) in [
        ("SDK", None),
        ("gateway, 100 events a request", Some(100)),
        ("gateway, 1,000 events a request", Some(1_000)),
    ] {
        let posted = posted(ground, events, what, batch).await?;
        output::print(&format!(
            "  {what}: {:.0} events/s safe, {:.0} on the stream, {:.2} + {:.2} CPU s per million\n",
            posted.safe_per_s,
            posted.published_per_s,
            posted.sender_cpu_s_per_million,
            posted.gateway_cpu_s_per_million
        ))?;
        runs.push(posted);
    }
    Ok(Posting { events, runs })
}

async fn posted(ground: &Ground, events: usize, what: &'static str, batch: Option<usize>) -> anyhow::Result<Posted> {
    ground.empty_stream().await?;
    let place = TempDir::new_in(ground.dir())?;
    let gateway = if batch.is_some() { Some(Served::start(ground, &place).await?) } else { None };
    let cpu = || gateway.as_ref().map_or(Ok(0.0), |served| served.worker.cpu_seconds());
    let (gateway_before, nats_before) = (cpu()?, usage::cpu_seconds(ground.nats_pid())?);
    let Sent { safe_s, published_s, cpu_s } = {
        let (keys, spool) = (ground.dir().join("pseudonym.keys"), place.path().join("sender"));
        let mut arguments = vec![
            format!("--nats-url={}", ground.environment().nats_url),
            format!("--keys-file={}", keys.display()),
            format!("--spool={}", spool.display()),
            format!("--events={events}"),
        ];
        if let (Some(batch), Some(served)) = (batch, &gateway) {
            let url = format!("http://{}", served.at);
            arguments.extend([format!("--batch={batch}"), format!("--url={url}"), format!("--token={TOKEN}")]);
        }
        worker::send(&arguments).await?
    };
    let (events, millions) = (events as f64, events as f64 / 1e6);
    Ok(Posted {
        what,
        safe_per_s: events / safe_s,
        published_per_s: events / published_s,
        sender_cpu_s_per_million: cpu_s / millions,
        gateway_cpu_s_per_million: (cpu()? - gateway_before) / millions,
        nats_cpu_s_per_million: (usage::cpu_seconds(ground.nats_pid())? - nats_before) / millions,
    })
}

/// A gateway that listens.
struct Served {
    worker: Worker,
    at: SocketAddr,
}

impl Served {
    async fn start(ground: &Ground, place: &TempDir) -> anyhow::Result<Self> {
        let path = |name: &str| -> anyhow::Result<String> {
            Ok(place.path().join(name).to_str().context("a directory whose name is no text")?.to_owned())
        };
        let (tokens, spool) = (path("tokens")?, path("gateway")?);
        fs::write(&tokens, format!("bench:{TOKEN}\n"))?;
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let address = at.to_string();
        let mut worker = Worker::start(
            ground,
            &[
                "gateway",
                "--gateway-tokens-file",
                &tokens,
                "--gateway-spool",
                &spool,
                "--gateway-address",
                &address,
                "--gateway-rate",
                "100000",
            ],
        )?;
        while TcpStream::connect(at).is_err() {
            worker.must_run()?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Self { worker, at })
    }
}
