//! The ceiling: binary COPY of the same rows into the same table, and nothing else.
//!
//! Rows are judged, pseudonymised and encoded before the clock starts, in transactions of the persister's size, sorted
//! as the persister sorts them. No service can store faster than this on the same machine, so rates are given as a part
//! of it.
//!
//! It does not read any stream.

use crate::{corpus::Message, ground::Ground};
use anyhow::bail;
use chrono::Utc;
use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Instant,
};
use uuid::Uuid;
use valera_events::{Headers, Keys, Verdict, check};
use valera_pipeline::{
    consume::Limits,
    store::{
        Calendar, Partitions, Writer,
        copy::Rows,
        raw::{self, RawEvent},
    },
};

/// Finished buffers, a transaction each.
pub(crate) struct Encoded {
    buffers: Vec<Vec<u8>>,
    /// One of each buffer.
    ids: Vec<Uuid>,
    events: usize,
}

impl Encoded {
    pub(crate) async fn of(ground: &Ground, messages: impl Iterator<Item = Message>) -> anyhow::Result<Self> {
        let calendar = ground.environment().calendar().await?;
        let mut encoded = Self { buffers: Vec::new(), ids: Vec::new(), events: 0 };
        let mut batch = Vec::new();
        for message in messages {
            batch.push(message);
            if batch.len() == Limits::default().messages {
                encoded.push(&mut batch, &ground.environment().keys, &calendar)?;
            }
        }
        encoded.push(&mut batch, &ground.environment().keys, &calendar)?;
        Ok(encoded)
    }

    fn push(&mut self, batch: &mut Vec<Message>, keys: &Keys, calendar: &Calendar) -> anyhow::Result<()> {
        let mut rows = Rows::default();
        batch.sort_by_key(|message| message.event_id);
        for message in batch.iter() {
            let headers = Headers::default();
            let Verdict::Accepted(mut event) = check(message.subject, &headers, &message.body, Utc::now()) else {
                bail!("the contract refuses an event of the corpus");
            };
            let content_hash = event.content_hash(&keys.content);
            event.pseudonymise(&keys.pseudonym);
            let session_id = keys.content.session_id(event.chat_id, calendar.day(event.occurred_at).day);
            let mut properties = Vec::new();
            event.write_properties(&mut properties);
            self.events += 1;
            let row = RawEvent {
                event_id: message.event_id,
                event_name: event.name,
                chat_id: event.chat_id,
                session_id: &session_id,
                properties: &properties,
                occurred_at: event.occurred_at,
                platform: &event.platform,
                content_hash: &content_hash,
                stream_seq: self.events as i64,
            };
            row.encode(&mut rows);
        }
        if !rows.is_empty() {
            self.buffers.push(rows.finish());
            self.ids.extend(batch.iter().map(|message| message.event_id).step_by(1_000));
        }
        batch.clear();
        Ok(())
    }

    /// Copies everything into an empty table; events per second.
    pub(crate) async fn copy(&self, ground: &Ground, connections: usize) -> anyhow::Result<f64> {
        ground.fresh_database().await?;
        let mut writers = Vec::new();
        for _ in 0..connections {
            let mut writer = Writer::new(&ground.environment().database_url, "valera bench", "")?;
            let mut partitions = Partitions::of(raw::TABLE);
            partitions.refresh(writer.connection().await?).await?;
            partitions.ensure(writer.connection().await?, self.ids.iter().copied()).await?;
            writers.push(writer);
        }
        let next = AtomicUsize::new(0);
        let began = Instant::now();
        futures::future::try_join_all(writers.iter_mut().map(|writer| self.work(writer, &next))).await?;
        Ok(self.events as f64 / began.elapsed().as_secs_f64())
    }

    async fn work(&self, writer: &mut Writer, next: &AtomicUsize) -> anyhow::Result<()> {
        let connection = writer.connection().await?;
        while let Some(buffer) = self.buffers.get(next.fetch_add(1, Relaxed)) {
            raw::insert(connection, buffer).await?;
        }
        Ok(())
    }
}
