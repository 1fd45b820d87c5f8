//! A gateway in a process of its own, and a client that writes bytes: what a good HTTP library would never send, too.

use crate::support::{Process, System, eventually};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::Command,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
};
use valera_analytics::embedded::free_port;

/// The tokens of two clients.
pub(crate) const TOKEN: &str = "the-token-of-the-bot-of-the-tests";
pub(super) const OTHER: &str = "the-token-of-the-shop-of-the-tests";

/// A gateway on a system; killed on drop.
pub(crate) struct Served {
    pub(super) process: Process,
    pub(crate) at: SocketAddr,
}

impl Served {
    /// On a free port, with settings of its own.
    pub(crate) async fn start(system: &System, settings: &[(&str, &str)]) -> Self {
        Self::start_after(system, |command| {
            command.envs(settings.iter().copied());
        })
        .await
    }

    /// Once something else is done to its command.
    pub(super) async fn start_after(system: &System, prepare: impl FnOnce(&mut Command)) -> Self {
        let tokens = system.dir().join("tokens");
        fs::write(&tokens, format!("bot:{TOKEN}\nshop:{OTHER}\n")).unwrap();
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        let mut command = system.program();
        command
            .args(["run", "gateway"])
            .env("VALERA_GATEWAY_ADDRESS", at.to_string())
            .env("VALERA_GATEWAY_TOKENS_FILE", tokens)
            .env("VALERA_GATEWAY_SPOOL", system.dir().join("spool"));
        prepare(&mut command);
        let mut process = Process::of(command);
        eventually("the gateway listens", async || {
            assert!(process.has_ended().is_none(), "the gateway ended");
            TcpStream::connect(at).await.is_ok()
        })
        .await;
        Self { process, at }
    }

    pub(super) async fn connect(&self) -> Line {
        Line(BufReader::new(TcpStream::connect(self.at).await.unwrap()))
    }

    /// From another address of this machine.
    pub(super) async fn connect_from(&self, address: [u8; 4]) -> Line {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        Line(BufReader::new(socket.connect(self.at).await.unwrap()))
    }

    /// One request on a connection of its own; `head` is all of it but what belongs to the body.
    pub(super) async fn ask(&self, head: &str, body: &[u8]) -> Reply {
        let mut line = self.connect().await;
        line.say(&request(head, body)).await;
        line.hear().await.expect("no answer")
    }

    /// Events of the bot's.
    pub(super) async fn post(&self, body: &str) -> Reply {
        self.ask(
            &format!("POST /v1/events\nAuthorization: Bearer {TOKEN}\nContent-Type: application/json"),
            body.as_bytes(),
        )
        .await
    }

    /// Bytes that it keeps in memory.
    pub(super) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    }
}

/// A whole request; the head's first line is method and path.
pub(super) fn request(head: &str, body: &[u8]) -> Vec<u8> {
    let (first, headers) = head.split_once('\n').unwrap_or((head, ""));
    let mut text = format!("{first} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {}\r\n", body.len());
    for header in headers.lines() {
        text += &format!("{header}\r\n");
    }
    [text.as_bytes(), b"\r\n", body].concat()
}

/// A connection.
pub(super) struct Line(BufReader<TcpStream>);

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    /// Null where it is no JSON.
    pub(super) body: Value,
    pub(super) text: String,
}

impl Reply {
    /// Fails unless it is a problem of this status that says what to do.
    #[track_caller]
    pub(super) fn is_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], status, "{self:?}");
        assert!(self.body["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{self:?}");
    }
}

impl Line {
    /// The gateway may have hung up already; what it said is still there to be heard.
    pub(super) async fn say(&mut self, bytes: &[u8]) {
        drop(self.0.get_mut().write_all(bytes).await);
    }

    /// Nothing when the line was cut first.
    pub(super) async fn hear(&mut self) -> Option<Reply> {
        let mut text = String::new();
        self.0.read_line(&mut text).await.ok()?;
        let status = text.split(' ').nth(1)?.parse().unwrap();
        let mut headers = BTreeMap::new();
        loop {
            text.clear();
            self.0.read_line(&mut text).await.ok()?;
            let Some((name, value)) = text.trim_end().split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.ok()?;
        let text = String::from_utf8(body).unwrap();
        Some(Reply { status, headers, body: serde_json::from_str(&text).unwrap_or_default(), text })
    }
}
