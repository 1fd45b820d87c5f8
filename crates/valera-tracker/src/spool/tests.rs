//! The spool against a model, on a disk that crashes at any byte, flips bits and runs full.

mod fragile;

use super::{
    Limits, Place, Spool,
    disk::{Directory, Disk, Ownership},
    format,
};
use crate::record::Record;
use bytes::Bytes;
use fragile::Fragile;
use proptest::prelude::*;
use std::{
    collections::{BTreeSet, VecDeque},
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use uuid::Uuid;

const SMALL: Limits = Limits { segment: 400, total: 1 << 20 };

fn record(n: u128) -> Record {
    let body = format!("{{\"n\":{n},\"text\":\"{}\"}}", "ж".repeat(n as usize % 40));
    Record { event_id: Uuid::from_u128(n), subject: format!("analytics.event_{}", n % 7), body: body.into() }
}

/// What is done to a spool.
#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Read(usize),
    /// Acknowledges one of those that were read.
    Settle(prop::sample::Index),
    Park,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..6_usize).prop_map(Step::Append),
        4 => (1..900_usize).prop_map(Step::Read),
        6 => any::<prop::sample::Index>().prop_map(Step::Settle),
        1 => Just(Step::Park),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

/// What must be true: ids appended for certain and not settled, and all that were ever tried.
#[derive(Debug, Default)]
struct Model {
    owed: BTreeSet<Uuid>,
    tried: BTreeSet<Uuid>,
    read: Vec<(Place, Record)>,
    next: u128,
}

/// Runs the steps until the power fails or they end.
fn run(disk: &Arc<Fragile>, steps: &[Step]) -> Model {
    let mut model = Model::default();
    let Ok(mut spool) = Spool::open(disk.clone(), SMALL) else { return model };
    for step in steps {
        if obey(disk, &mut spool, &mut model, step).is_err() {
            break;
        }
    }
    model
}

fn obey(disk: &Arc<Fragile>, spool: &mut Spool, model: &mut Model, step: &Step) -> io::Result<()> {
    match step {
        Step::Append(count) => {
            let records: Vec<_> = (0..*count as u128).map(|n| record(model.next + n)).collect();
            model.next += records.len() as u128;
            model.tried.extend(records.iter().map(|record| record.event_id));
            spool.append(records.iter())?;
            model.owed.extend(records.iter().map(|record| record.event_id));
        }
        Step::Read(most) => {
            let mut read = VecDeque::new();
            spool.read(*most, &mut read)?;
            assert!(read.iter().all(|(_, record)| *record == self::record(record.event_id.as_u128())));
            model.read.extend(read);
        }
        Step::Settle(index) if !model.read.is_empty() => {
            let (place, record) = model.read.swap_remove(index.index(model.read.len()));
            spool.settled(place);
            model.owed.remove(&record.event_id);
        }
        Step::Settle(_) => {}
        Step::Park => spool.park(&record(u128::MAX))?,
        Step::Reopen => {
            *spool = Spool::open(disk.clone(), SMALL)?;
            model.read.clear();
        }
    }
    Ok(())
}

/// Everything that the next process finds.
fn found(disk: Arc<Fragile>) -> (Vec<Record>, Spool) {
    let mut spool = Spool::open(disk, SMALL).unwrap();
    let mut read = VecDeque::new();
    while !spool.is_read() {
        spool.read(500, &mut read).unwrap();
    }
    (read.into_iter().map(|(_, record)| record).collect(), spool)
}

fn assert_whole(records: &[Record], model: &Model) {
    for record in records {
        assert!(model.tried.contains(&record.event_id), "{record:?} was never appended");
        assert_eq!(*record, self::record(record.event_id.as_u128()));
    }
}

fn ids(records: &[Record]) -> BTreeSet<Uuid> {
    records.iter().map(|record| record.event_id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_crash_at_any_byte_loses_nothing_that_was_appended(steps in steps()) {
        let whole = Arc::new(Fragile::default());
        run(&whole, &steps);
        // Every byte of a short history, and about 300 of a long one.
        let pace = (whole.written() / 300).max(1);
        for power in (0..=whole.written()).step_by(pace) {
            let disk = Fragile::with_power(power);
            let model = run(&disk, &steps);
            let (records, _) = found(disk.after_the_crash());
            assert_whole(&records, &model);
            let missing: Vec<_> = model.owed.difference(&ids(&records)).copied().collect();
            prop_assert!(missing.is_empty(), "power {}: {:?} lost", power, missing);
        }
    }

    #[test]
    fn a_flipped_bit_costs_at_most_the_record_it_is_in(steps in steps(), at in any::<prop::sample::Index>()) {
        let disk = Arc::new(Fragile::default());
        let model = run(&disk, &steps);
        let (before, _) = found(disk.clone());
        let disk = disk.after_the_crash();
        prop_assume!(disk.flip(at));
        let (after, spool) = found(disk);
        assert_whole(&after, &model);
        let lost = ids(&before).difference(&ids(&after)).count();
        prop_assert!(lost <= 1, "{} lost", lost);
        prop_assert!(lost == 0 || spool.damaged == 1);
    }

    #[test]
    fn what_is_settled_leaves_nothing_on_the_disk(counts in prop::collection::vec(1..9_usize, 1..20)) {
        let disk = Arc::new(Fragile::default());
        let mut spool = Spool::open(disk.clone(), SMALL).unwrap();
        let mut next = 0;
        for count in counts {
            let records: Vec<_> = (0..count as u128).map(|n| record(next + n)).collect();
            next += count as u128;
            spool.append(records.iter()).unwrap();
            let mut read = VecDeque::new();
            spool.read(usize::MAX, &mut read).unwrap();
            prop_assert_eq!(read.len(), count);
            read.into_iter().for_each(|(place, _)| spool.settled(place));
        }
        spool.seal();
        prop_assert_eq!(disk.files(), Vec::<String>::new());
        prop_assert_eq!(spool.bytes(), 0);
    }

    #[test]
    fn arbitrary_bytes_are_read_without_a_record_that_was_not_written(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut rest = &bytes[..];
        loop {
            match format::next(rest) {
                format::Next::Record(..) => panic!("a record out of nothing"),
                format::Next::Damage(taken) => rest = &rest[taken..],
                format::Next::End => break,
            }
        }
    }
}

#[test]
fn a_full_spool_refuses_and_takes_again_once_something_is_settled() {
    let disk = Arc::new(Fragile::default());
    let limits = Limits { segment: 400, total: 1_000 };
    let mut spool = Spool::open(disk, limits).unwrap();
    let records: Vec<_> = (0..4).map(record).collect();
    while spool.append(records.iter()).is_ok() {
        assert!(spool.bytes() <= 1_000);
    }
    assert_eq!(spool.append(records.iter()).unwrap_err().kind(), ErrorKind::QuotaExceeded);
    let mut read = VecDeque::new();
    spool.read(usize::MAX, &mut read).unwrap();
    read.into_iter().for_each(|(place, _)| spool.settled(place));
    spool.append(records.iter()).unwrap();
}

#[test]
fn a_directory_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Spool::open(Arc::new(Directory::new(dir.path().join("spool"))), SMALL);
    let first = open().unwrap();
    assert_eq!(open().unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(first);
    open().unwrap();
}

/// A directory whose first listing fails.
#[derive(Debug)]
struct Unlisted(Directory, AtomicBool);

impl Disk for Unlisted {
    fn lock(&self) -> io::Result<Ownership> {
        self.0.lock()
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        if self.1.swap(false, Ordering::Relaxed) { Err(io::Error::other("not now")) } else { self.0.list() }
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.append(name, bytes)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.0.sync(name)
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.0.read(name, offset, length)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
}

#[test]
fn an_opening_that_fails_owns_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Unlisted(Directory::new(dir.path()), AtomicBool::new(true)));
    assert_eq!(Spool::open(disk.clone(), SMALL).unwrap_err().to_string(), "not now");
    Spool::open(disk, SMALL).unwrap();
}

#[test]
fn what_is_parked_and_not_synced_counts_and_is_appended_to() {
    let disk = Arc::new(Fragile::default());
    let mut spool = Spool::open(disk.clone(), SMALL).unwrap();
    disk.0.lock().unwrap().is_unsynced = true;
    spool.park(&record(1)).unwrap_err();
    assert_eq!(spool.bytes(), disk.written() as u64);
    disk.0.lock().unwrap().is_unsynced = false;
    spool.park(&record(2)).unwrap();
    assert_eq!((spool.bytes(), disk.files().len()), (disk.written() as u64, 1));
}

#[test]
fn a_segment_that_has_lost_its_records_is_retired() {
    let disk = Arc::new(Fragile::default());
    let mut spool = Spool::open(disk.clone(), SMALL).unwrap();
    let records: Vec<_> = (0..9).map(record).collect();
    let segment = spool.append(records.iter()).unwrap();
    disk.0.lock().unwrap().files.get_mut(&segment).unwrap().truncate(format::HEADER);
    spool.read(usize::MAX, &mut VecDeque::new()).unwrap();
    assert_eq!((disk.files(), spool.bytes(), spool.damaged), (Vec::new(), 0, 1));
}

#[test]
fn a_real_directory_keeps_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Spool::open(Arc::new(Directory::new(dir.path())), SMALL).unwrap();
    let records: Vec<_> = (0..50).map(record).collect();
    let mut spool = open();
    for some in records.chunks(7) {
        let segment = spool.append(some.iter()).unwrap();
        spool.disk.sync(&segment).unwrap();
    }
    drop(spool);
    let mut read = VecDeque::new();
    open().read(usize::MAX, &mut read).unwrap();
    assert!(read.iter().map(|(_, record)| record).eq(&records));
}

#[test]
fn every_format_that_shipped_is_read() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/format-1.spool");
    let expected = [
        Record {
            event_id: Uuid::from_u128(0x019a_3e6e_307b_711b_8494_ca9a_183a_dee1),
            subject: "analytics.cart_confirmed".into(),
            body: Bytes::from_static(br#"{"chat_id":42,"properties":{"services_count":2}}"#),
        },
        Record {
            event_id: Uuid::from_u128(0x019a_3e6e_307b_711b_8494_ca9a_183a_dee2),
            subject: "analytics._invalid".into(),
            body: Bytes::from_static("{\"event_name\":\"Отзыв\"}".as_bytes()),
        },
    ];
    let mut written = format::header().to_vec();
    expected.iter().for_each(|record| format::write(record, &mut written));
    let kept = std::fs::read(golden).unwrap();
    assert_eq!(written, kept, "the format has changed: give it a new version, and keep reading this one");

    let disk = Arc::new(Fragile::default());
    disk.append("00000000000000000007.spool", &kept).unwrap();
    let (records, spool) = found(disk);
    assert_eq!(records, expected);
    assert_eq!((spool.damaged, spool.next_seq), (0, 8));
}

#[test]
fn a_segment_of_a_newer_format_is_left_alone_and_counted_as_full_bytes() {
    let disk = Arc::new(Fragile::default());
    let mut newer = format::header().to_vec();
    newer[8] += 1;
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&newer[..12]);
    newer[12..].copy_from_slice(&crc.to_le_bytes());
    newer.extend_from_slice(b"what no one knows yet");
    disk.append("00000000000000000007.spool", &newer).unwrap();
    let (records, mut spool) = found(disk.clone());
    assert_eq!((records.len(), spool.damaged, spool.bytes()), (0, 0, newer.len() as u64));
    spool.append([record(1)].iter()).unwrap();
    assert_eq!(disk.files(), ["00000000000000000007.spool", "00000000000000000008.spool"]);
}
