//! The bytes of a segment: a header, then records, each with a marker, its length and a checksum.
//!
//! ```text
//! header   "VALSPOOL"  version u32  crc u32 of the twelve bytes before
//! record   FF 'V' 'R' FE  length u32  crc u32 of length and payload  payload
//! payload  event id, 16 bytes  length of the subject u16  subject  body
//! ```
//!
//! Numbers are little-endian, checksums CRC-32C. The marker holds bytes that no UTF-8 text has, so it stands in no subject
//! or body, and what follows a damaged record is found again. Every format that ever shipped is read for ever: a change
//! is a new version, and a golden file of each stays in `golden/`.
//!
//! It does not touch files.

use crate::record::Record;
use bytes::Bytes;
use crc::{CRC_32_ISCSI, Crc, Table};
use uuid::Uuid;

/// The one version there is.
pub(crate) const VERSION: u32 = 1;
/// Bytes of a segment's header.
pub(crate) const HEADER: usize = 16;

const MAGIC: &[u8; 8] = b"VALSPOOL";
const MARKER: [u8; 4] = [0xFF, b'V', b'R', 0xFE];
/// Marker, length and checksum.
const FRAME: usize = 12;
/// Id and the subject's length.
const PREFIX: usize = 18;
/// Beyond any body and subject: a length above it is damage.
const MAX_PAYLOAD: usize = 1024 * 1024;

static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// What opens a segment.
pub(crate) fn header() -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let crc = CRC.checksum(&bytes[..12]);
    bytes[12..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The version that a segment claims; `None` when its header is torn or damaged.
pub(crate) fn version(bytes: &[u8]) -> Option<u32> {
    let intact = bytes.starts_with(MAGIC) && CRC.checksum(bytes.get(..12)?) == number(bytes, 12)?;
    if intact { number(bytes, 8) } else { None }
}

/// Appends a record.
pub(crate) fn write(record: &Record, out: &mut Vec<u8>) {
    let payload = PREFIX + record.subject.len() + record.body.len();
    out.extend_from_slice(&MARKER);
    let framed = out.len();
    out.extend_from_slice(&(payload as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(record.event_id.as_bytes());
    out.extend_from_slice(&(record.subject.len() as u16).to_le_bytes());
    out.extend_from_slice(record.subject.as_bytes());
    out.extend_from_slice(&record.body);
    let crc = checksum(&out[framed..framed + 4], &out[framed + 8..]);
    out[framed + 4..framed + 8].copy_from_slice(&crc.to_le_bytes());
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A record, and how many bytes it took.
    Record(Record, usize),
    /// So many bytes are damaged or torn.
    Damage(usize),
    /// Nothing is left.
    End,
}

/// Reads on. The bytes must reach to the segment's end.
pub(crate) fn next(bytes: &[u8]) -> Next {
    if bytes.is_empty() {
        return Next::End;
    }
    if let Some((record, taken)) = record(bytes) {
        return Next::Record(record, taken);
    }
    let rest = bytes.windows(MARKER.len()).skip(1).position(|window| window == MARKER);
    Next::Damage(rest.map_or(bytes.len(), |at| at + 1))
}

fn record(bytes: &[u8]) -> Option<(Record, usize)> {
    if !bytes.starts_with(&MARKER) {
        return None;
    }
    let length = number(bytes, 4)? as usize;
    if !(PREFIX..=MAX_PAYLOAD).contains(&length) {
        return None;
    }
    let payload = bytes.get(FRAME..FRAME + length)?;
    if checksum(&bytes[4..8], payload) != number(bytes, 8)? {
        return None;
    }
    let subject_length = usize::from(u16::from_le_bytes([payload[16], payload[17]]));
    let subject = payload.get(PREFIX..PREFIX + subject_length)?;
    let record = Record {
        event_id: Uuid::from_slice(&payload[..16]).ok()?,
        subject: std::str::from_utf8(subject).ok()?.to_owned(),
        body: Bytes::copy_from_slice(&payload[PREFIX + subject_length..]),
    };
    Some((record, FRAME + length))
}

fn checksum(length: &[u8], payload: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(length);
    digest.update(payload);
    digest.finalize()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}
