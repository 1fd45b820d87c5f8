//! A Bot API of the tests' own: it keeps chats as Telegram does, and misbehaves by script.
//!
//! What a person would see is what counts, so it keeps messages and not requests. It refuses what Telegram refuses (markup
//! that is not closed, texts that are too long, edits of what is not there or would change nothing), in Telegram's words. It
//! can break off at any point.

use super::{receiver::read, socket::listen};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
};

pub(crate) const TOKEN: &str = "123456:stub-token_stub-token_stub-token-1";

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Answered with this status and description, nothing shown.
    Says(u16, &'static str),
    /// 429, with this `retry_after`.
    TooMany(Value),
    /// Taken and never answered.
    Hangs,
    /// Shown, and then the connection is cut.
    Cut,
    /// Cut before anything was shown.
    Drop,
    /// Something that is not the Bot API answers with this status.
    Foreign(u16),
}

/// A message as it stands in a chat.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) chat: i64,
    pub(crate) thread: Option<i64>,
    pub(crate) text: String,
    pub(crate) is_html: bool,
    pub(crate) edits: usize,
    /// When it first stood there.
    pub(crate) since: Instant,
}

#[derive(Debug, Default)]
struct Chats {
    /// By id, which grows.
    messages: BTreeMap<i64, Standing>,
    /// Groups that moved, and to where.
    moved: BTreeMap<i64, i64>,
    /// Topics that there are, where it is asked.
    threads: Option<Vec<i64>>,
    is_kicked: bool,
    /// For the next requests, in their order; none is a request that goes well.
    script: VecDeque<Option<Fault>>,
    /// The method of each request, and the chat it was about.
    asked: Vec<(String, Option<i64>)>,
    /// Of requests that were shown and not answered.
    cuts: usize,
}

/// The API; gone on drop.
pub(crate) struct BotApi {
    pub(crate) address: String,
    chats: Arc<Mutex<Chats>>,
    _connections: JoinSet<()>,
}

impl BotApi {
    pub(crate) async fn start() -> Self {
        let chats = Arc::<Mutex<Chats>>::default();
        let served = chats.clone();
        let (port, connections) = listen(move |stream| serve(stream, served.clone())).await;
        Self { address: format!("http://127.0.0.1:{port}"), chats, _connections: connections }
    }

    fn chats(&self) -> MutexGuard<'_, Chats> {
        self.chats.lock().unwrap()
    }

    /// What goes wrong with the next requests.
    pub(crate) fn script(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.chats().script.extend(faults);
    }

    pub(crate) fn move_group(&self, from: i64, to: i64) {
        self.chats().moved.insert(from, to);
    }

    pub(crate) fn has_only_threads(&self, threads: &[i64]) {
        self.chats().threads = Some(threads.to_vec());
    }

    pub(crate) fn kick(&self, is_kicked: bool) {
        self.chats().is_kicked = is_kicked;
    }

    /// As a moderator does.
    pub(crate) fn delete_all(&self) {
        self.chats().messages.clear();
    }

    /// What stands in all chats, in its order.
    pub(crate) fn standing(&self) -> Vec<Standing> {
        self.chats().messages.values().cloned().collect()
    }

    /// How many messages stand there.
    pub(crate) fn shown(&self) -> i64 {
        i64::try_from(self.chats().messages.len()).unwrap()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.standing().into_iter().map(|message| message.text).collect()
    }

    pub(crate) fn requests(&self) -> usize {
        self.chats().asked.len()
    }

    /// The methods that were asked for, and in which chat.
    pub(crate) fn asked(&self) -> Vec<(String, Option<i64>)> {
        self.chats().asked.clone()
    }

    /// How often a message was shown and the answer cut off.
    pub(crate) fn cuts(&self) -> usize {
        self.chats().cuts
    }
}

impl Chats {
    fn answer(&mut self, path: &str, request: &Value) -> (u16, Value) {
        let Some(method) = path.strip_prefix(&format!("/bot{TOKEN}/")) else { return refused(404, "Not Found") };
        if method == "getMe" {
            return (200, json!({"ok": true, "result": {"id": 123_456, "is_bot": true, "first_name": "Stub"}}));
        }
        if self.is_kicked {
            return refused(403, "Forbidden: bot was kicked from the group chat");
        }
        let Some(chat) = request["chat_id"].as_i64() else { return refused(400, "Bad Request: chat not found") };
        if let Some(to) = self.moved.get(&chat) {
            let (status, mut body) = refused(400, "Bad Request: group chat was upgraded to a supergroup chat");
            body["parameters"] = json!({"migrate_to_chat_id": to});
            return (status, body);
        }
        let text = request["text"].as_str().unwrap_or_default();
        let is_html = request["parse_mode"] == "HTML";
        let visible = if is_html { without_markup(text) } else { Some(text.to_owned()) };
        let Some(visible) = visible else {
            return refused(
                400,
                "Bad Request: can't parse entities: Can't find end tag corresponding to start tag \"b\"",
            );
        };
        match visible.encode_utf16().count() {
            0 => return refused(400, "Bad Request: message text is empty"),
            1..=4096 => {}
            _ => return refused(400, "Bad Request: message is too long"),
        }
        match method {
            "sendMessage" => self.send(chat, request["message_thread_id"].as_i64(), text, is_html),
            "editMessageText" => self.edit(chat, request["message_id"].as_i64(), text, is_html),
            _ => refused(404, "Not Found"),
        }
    }

    fn send(&mut self, chat: i64, thread: Option<i64>, text: &str, is_html: bool) -> (u16, Value) {
        if let (Some(threads), Some(thread)) = (&self.threads, thread)
            && !threads.contains(&thread)
        {
            return refused(400, "Bad Request: message thread not found");
        }
        let id = self.messages.last_key_value().map_or(1, |(id, _)| id + 1);
        let since = Instant::now();
        self.messages.insert(id, Standing { chat, thread, text: text.to_owned(), is_html, edits: 0, since });
        taken(chat, id)
    }

    fn edit(&mut self, chat: i64, id: Option<i64>, text: &str, is_html: bool) -> (u16, Value) {
        let found = id.and_then(|id| Some((id, self.messages.get_mut(&id)?)));
        let Some((id, message)) = found.filter(|(_, message)| message.chat == chat) else {
            return refused(400, "Bad Request: message to edit not found");
        };
        if message.text == text && message.is_html == is_html {
            return refused(
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly the \
                 same as a current content and reply markup of the message",
            );
        }
        *message = Standing { text: text.to_owned(), is_html, edits: message.edits + 1, ..message.clone() };
        taken(chat, id)
    }
}

fn taken(chat: i64, id: i64) -> (u16, Value) {
    (200, json!({"ok": true, "result": {"message_id": id, "date": 0, "chat": {"id": chat, "type": "supergroup"}}}))
}

fn refused(status: u16, description: &str) -> (u16, Value) {
    (status, json!({"ok": false, "error_code": status, "description": description}))
}

/// What is seen of Telegram's HTML; nothing where it would not be read.
fn without_markup(html: &str) -> Option<String> {
    let (mut seen, mut open, mut rest) = (String::new(), Vec::new(), html);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '<' => {
                let length = rest.find('>')? + 1;
                let tag = &rest[1..length - 1];
                match tag.strip_prefix('/') {
                    Some(closed) if open.pop() == Some(closed) => {}
                    None if matches!(tag, "b" | "i" | "u" | "s" | "code" | "pre" | "blockquote") => open.push(tag),
                    None if tag.starts_with("a href=\"") => open.push("a"),
                    _ => return None,
                }
                length
            }
            '&' => {
                let length = rest.find(';')? + 1;
                seen.push(match &rest[..length] {
                    "&lt;" => '<',
                    "&gt;" => '>',
                    "&amp;" => '&',
                    "&quot;" => '"',
                    number if number.starts_with("&#") => '\'',
                    _ => return None,
                });
                length
            }
            character => {
                seen.push(character);
                character.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    open.is_empty().then_some(seen)
}

/// One request a connection.
async fn serve(stream: TcpStream, chats: Arc<Mutex<Chats>>) {
    let mut stream = BufReader::new(stream);
    let Some(request) = read(&mut stream).await else { return };
    let path = request.path;
    let request: Value = serde_json::from_str(&request.body).unwrap_or_default();
    let (fault, (status, body)) = {
        let mut chats = chats.lock().unwrap();
        let method = path.rsplit('/').next().unwrap_or_default().to_owned();
        chats.asked.push((method, request["chat_id"].as_i64()));
        let fault = chats.script.pop_front().flatten();
        let answer = match &fault {
            None => chats.answer(&path, &request),
            Some(Fault::Cut) => {
                let answer = chats.answer(&path, &request);
                chats.cuts += usize::from(answer.0 == 200 && path.ends_with("/sendMessage"));
                answer
            }
            Some(Fault::Says(status, description)) => refused(*status, description),
            Some(Fault::TooMany(after)) => {
                let (status, mut body) = refused(429, "Too Many Requests: retry later");
                body["parameters"] = json!({"retry_after": after});
                (status, body)
            }
            Some(Fault::Foreign(status)) => (*status, json!("a page of somebody else's")),
            Some(Fault::Hangs | Fault::Drop) => (0, Value::Null),
        };
        (fault, answer)
    };
    match fault {
        Some(Fault::Cut | Fault::Drop) => {}
        Some(Fault::Hangs) => std::future::pending().await,
        _ => {
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n");
            let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
            // The client may have given up, or been killed.
            drop(stream.get_mut().write_all(answer.as_bytes()).await);
        }
    }
}
