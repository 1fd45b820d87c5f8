//! A mail server that misbehaves by script: it refuses a recipient, asks for patience, hangs, or takes a mail and cuts the
//! line.

use super::{
    socket::{Stream, listen},
    tls::Identity,
};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    task::JoinSet,
};

/// What it does instead of going on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Does {
    Says(&'static str),
    Hangs,
    CutsTheLine,
}

/// A mail that it took, whether it said so or not.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) to: String,
    pub(crate) lines: Vec<String>,
}

impl Mail {
    /// Every value of a header, unfolded.
    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let mut values = Vec::<String>::new();
        let mut is_ours = false;
        for line in self.lines.iter().take_while(|line| !line.is_empty()) {
            if line.starts_with(' ') {
                if let (true, Some(value)) = (is_ours, values.last_mut()) {
                    value.push_str(line);
                }
                continue;
            }
            let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line}"));
            is_ours = key.eq_ignore_ascii_case(name);
            if is_ours {
                values.push(value.to_owned());
            }
        }
        values
    }

    pub(crate) fn header(&self, name: &str) -> String {
        let [value] = self.headers(name).try_into().unwrap_or_else(|values| panic!("{name}: {values:?}"));
        value
    }
}

/// The server; gone on drop.
pub(crate) struct MailServer {
    pub(crate) port: u16,
    seen: Arc<Mutex<Seen>>,
    _connections: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    /// By how a command begins, and how often; `HELLO` is the connection, `.` the end of a mail.
    quirks: Vec<(&'static str, usize, Does)>,
    mails: Vec<Mail>,
    logins: Vec<String>,
    connections: usize,
}

impl Seen {
    fn quirk(&mut self, line: &str) -> Option<Does> {
        let (_, left, does) = self.quirks.iter_mut().find(|(begin, left, _)| *left > 0 && line.starts_with(begin))?;
        *left -= 1;
        Some(*does)
    }
}

impl MailServer {
    pub(crate) async fn start() -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let served = seen.clone();
        let (port, connections) = listen(move |stream| {
            let served = serve(Box::new(stream), None, served.clone());
            // The client may hang up whenever it likes.
            async { drop(served.await) }
        })
        .await;
        Self { port, seen, _connections: connections }
    }

    /// One that speaks TLS, from the first byte or once it was asked to.
    pub(crate) async fn start_as(identity: Identity, is_asked: bool) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let served = seen.clone();
        let (port, connections) = listen(move |stream| {
            let (served, identity) = (served.clone(), identity.clone());
            async move {
                if is_asked {
                    drop(serve(Box::new(stream), Some(identity), served).await);
                } else if let Ok(stream) = identity.accept(stream).await {
                    drop(serve(Box::new(stream), None, served).await);
                }
            }
        })
        .await;
        Self { port, seen, _connections: connections }
    }

    /// Who logged in, as it was said.
    pub(crate) fn logins(&self) -> Vec<String> {
        self.seen.lock().unwrap().logins.clone()
    }

    /// What it does so many times with commands that begin so.
    pub(crate) fn will(&self, times: usize, command: &'static str, does: Does) {
        self.seen.lock().unwrap().quirks.push((command, times, does));
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.seen.lock().unwrap().mails.clone()
    }

    pub(crate) fn mails_to(&self, to: &str) -> Vec<Mail> {
        self.mails().into_iter().filter(|mail| mail.to == to).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }
}

/// With an identity it offers STARTTLS; it lets everybody log in.
async fn serve(
    stream: Box<dyn Stream>,
    mut identity: Option<Identity>,
    seen: Arc<Mutex<Seen>>,
) -> std::io::Result<()> {
    seen.lock().unwrap().connections += 1;
    let mut stream = BufReader::new(stream);
    let mut mail = None::<Mail>;
    let mut recipient = String::new();
    let mut line = "HELLO".to_owned();
    loop {
        let is_end = line == "." && mail.is_some();
        if let (Some(mail), false) = (&mut mail, is_end) {
            // A dot before a dot is the transport's.
            mail.lines.push(line.strip_prefix('.').unwrap_or(&line).to_owned());
        } else {
            let quirk = seen.lock().unwrap().quirk(&line);
            let is_taken = !matches!(quirk, Some(Does::Says(_)));
            if let Some(mail) = mail.take_if(|_| is_taken) {
                seen.lock().unwrap().mails.push(mail);
            }
            let says = match quirk {
                Some(Does::Says(says)) => says,
                Some(Does::Hangs) => std::future::pending().await,
                Some(Does::CutsTheLine) => return Ok(()),
                None if line == "HELLO" => "220 here",
                None if line.starts_with("DATA") => "354 go on",
                None if line.starts_with("EHLO") && identity.is_some() => "250-here\r\n250 STARTTLS",
                None if line.starts_with("EHLO") => "250-here\r\n250 AUTH PLAIN",
                None if line.starts_with("AUTH PLAIN") => {
                    seen.lock().unwrap().logins.push(line.clone());
                    "235 fine"
                }
                None => "250 fine",
            };
            if let Some(to) = line.strip_prefix("RCPT TO:<") {
                recipient = to.trim_end_matches('>').to_owned();
            }
            mail = (line.starts_with("DATA") && is_taken).then(|| Mail { to: recipient.clone(), lines: Vec::new() });
            stream.get_mut().write_all(format!("{says}\r\n").as_bytes()).await?;
            if let Some(identity) = identity.take_if(|_| line == "STARTTLS") {
                stream = BufReader::new(Box::new(identity.accept(stream.into_inner()).await?));
            }
        }
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
    }
}
