//! The log in a real folder with its thread: many submitters, one sync for many, reopening, limits, and its way to stop.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod log_support;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ledger_crypto::Digest;
use ledger_storage::disk::{Disk, DiskError, RealDisk, SimulatedDisk};
use ledger_storage::log::{Log, LogConfig, LogError, LogPosition, LogWriter, Record, RecordKind};
use log_support::{Dice, ID, record, small_config};

fn some_records(seed: u64, count: u64) -> Vec<Record> {
    let mut dice = Dice::new(seed);
    (0..count).map(|number| record(&mut dice, number)).collect()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn records_of_many_threads_are_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::open(folder.path()).unwrap());
    let log = Log::open_or_create(disk.clone(), ID, small_config()).unwrap();
    let writer = LogWriter::spawn(log, LogWriter::SEAL_AFTER).unwrap();
    let written: Vec<(LogPosition, Record)> = std::thread::scope(|scope| {
        let submitters: Vec<_> = (0..4)
            .map(|thread| {
                let writer = &writer;
                scope.spawn(move || {
                    let submits = (0..50).map(|number| {
                        let records = some_records(thread * 1000 + number, 3);
                        (writer.submit_blocking(records.clone()).unwrap(), records)
                    });
                    let waiting: Vec<_> = submits.collect();
                    let done = waiting.into_iter().map(|(ticket, records)| (ticket.wait().unwrap(), records));
                    let pairs = done.flat_map(|(at, records)| at.iter().copied().zip(records).collect::<Vec<_>>());
                    pairs.collect::<Vec<_>>()
                })
            })
            .collect();
        submitters.into_iter().flat_map(|submitter| submitter.join().unwrap()).collect()
    });
    let reader = writer.reader();
    for (position, record) in &written {
        assert_eq!(reader.read(*position).unwrap(), *record);
    }
    assert_eq!(reader.counters().records, 600);
    assert!(reader.counters().segments >= 1, "they don't fit one segment");
    let end = writer.close().unwrap();
    assert_eq!(end.records, 600);
    drop((reader, disk));

    let disk = Arc::new(RealDisk::open(folder.path()).unwrap());
    let log = Log::open(disk, LogConfig::default()).unwrap();
    assert_eq!((log.id(), log.end(), log.recovery().torn.clone()), (ID, end, None));
    let mut expected = written;
    expected.sort_by_key(|(position, _)| *position);
    assert_eq!(log.reader().records().collect::<Result<Vec<_>, _>>().unwrap(), expected);
    assert_eq!(log.reader().verify().unwrap(), 600);
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    let log = Log::open_or_create(Arc::new(disk), ID, LogConfig::default()).unwrap();
    assert!(matches!(RealDisk::open(folder.path()), Err(DiskError::InUse { .. })));
    let reader = log.reader();
    drop(log);
    assert!(matches!(RealDisk::open(folder.path()), Err(DiskError::InUse { .. })), "a reader still uses it");
    drop(reader);
    RealDisk::open(folder.path()).unwrap();
}

#[test]
fn all_that_waits_costs_one_sync() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::open(folder.path()).unwrap());
    let mut log = Log::create(disk, ID, LogConfig::default()).unwrap();
    let tickets: Vec<_> = (0..100).map(|seed| log.submit(some_records(seed, 2)).unwrap()).collect();
    let flushed = log.flush().unwrap();
    assert_eq!((flushed.tickets, flushed.records), (100, 200));
    assert!(tickets.iter().all(|ticket| ticket.outcome().unwrap().unwrap().len() == 2));
    assert_eq!((log.counters().syncs, log.counters().groups), (1, 1));
    assert_eq!(log.counters().bytes, flushed.bytes);
    assert_eq!(log.flush().unwrap().tickets, 0);
    assert_eq!(log.counters().syncs, 1, "nothing to do, nothing synced");
}

#[test]
fn logs_are_created_once_and_opened_only_where_they_are() {
    let disk = Arc::new(SimulatedDisk::new(1));
    assert!(matches!(Log::open(disk.clone(), small_config()), Err(LogError::Missing)));
    assert!(disk.list().unwrap().is_empty());
    disk.create("settings").unwrap();
    Log::create(disk.clone(), ID, small_config()).unwrap();
    assert!(matches!(Log::create(disk.clone(), ID, small_config()), Err(LogError::Exists)));
    for (segment_bytes, queue_bytes, name) in
        [(127, 1000, "segment_bytes"), (128, 63, "queue_bytes"), (128, 1 << 31, "queue_bytes")]
    {
        let mut config = small_config();
        (config.segment_bytes, config.queue_bytes) = (segment_bytes, queue_bytes);
        let error = Log::open(disk.clone(), config).unwrap_err();
        assert!(matches!(error, LogError::BadConfig { name: field, .. } if field == name), "{error}");
    }
}

#[test]
fn a_full_queue_pushes_back() {
    let mut config = small_config();
    config.queue_bytes = 1000;
    let mut log = Log::create(Arc::new(SimulatedDisk::new(1)), ID, config).unwrap();
    let mut sized = some_records(1, 1);
    sized[0].bytes = vec![1; 1000 - 64];
    let ticket = log.submit(sized.clone()).unwrap();
    let error = log.submit(vec![]).unwrap_err();
    assert!(matches!(error, LogError::Busy { chain: None, queued: 1000, size: 64, limit: 1000 }), "{error}");
    log.flush().unwrap();
    assert!(ticket.is_done());
    log.submit(vec![]).unwrap();
    sized[0].bytes.push(1);
    assert!(matches!(log.submit(sized), Err(LogError::TooLarge { size: 1001, limit: 1000 })));
}

#[test]
fn submitters_that_block_get_through() {
    let mut config = small_config();
    config.queue_bytes = 2000;
    let log = Log::create(Arc::new(SimulatedDisk::new(1)), ID, config).unwrap();
    let writer = LogWriter::spawn(log, LogWriter::SEAL_AFTER).unwrap();
    let (sender, receiver) = mpsc::channel();
    for seed in 0..200 {
        let sender = sender.clone();
        let ticket = writer.submit_blocking(some_records(seed, 1)).unwrap();
        ticket.on_done(move |outcome| sender.send(outcome.unwrap().len()).unwrap());
    }
    assert_eq!(receiver.iter().take(200).sum::<usize>(), 200);
    writer.close().unwrap();
}

/// How many groups take 100 submits of so many chains, a tenth of a millisecond after one another.
fn groups_of(chains: u8) -> u64 {
    let mut log = Log::create(Arc::new(SimulatedDisk::new(1)), ID, LogConfig::default()).unwrap();
    let one = |number: u8| {
        let chain = Digest::new([number % chains; 32]);
        vec![Record { chain, kind: RecordKind::PAYLOAD, height: 0, bytes: vec![number; 100] }]
    };
    // The first group is whole before the thread begins.
    let mut tickets: Vec<_> = (0..chains).map(|number| log.submit(one(number)).unwrap()).collect();
    let writer = LogWriter::spawn(log, LogWriter::SEAL_AFTER).unwrap();
    for number in 0..100 {
        std::thread::sleep(Duration::from_micros(100));
        tickets.push(writer.submit(one(number)).unwrap());
    }
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    let groups = writer.reader().counters().groups;
    writer.close().unwrap();
    groups
}

#[test]
fn records_of_many_chains_are_gathered_and_those_of_a_few_are_not() {
    // On a busy machine a thread may sleep for longer than it was to, so the first quiet moment counts.
    let mut tries = Vec::new();
    while tries.len() < 50 {
        let (few, many) = (groups_of(3), groups_of(8));
        if few > 2 * many {
            return;
        }
        tries.push((few, many));
    }
    panic!("groups of 3 and of 8 chains: {tries:?}");
}

#[test]
fn an_idle_log_is_sealed_once() {
    let disk = SimulatedDisk::new(1);
    let log = Log::create(Arc::new(disk.clone()), ID, small_config()).unwrap();
    let writer = LogWriter::spawn(log, Duration::from_millis(5)).unwrap();
    writer.submit(some_records(1, 1)).unwrap().wait().unwrap();
    until("the log is sealed", || writer.reader().counters().groups == 2);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(writer.reader().counters().groups, 2);
    writer.close().unwrap();
}

#[test]
fn the_thread_removes_segments_between_groups() {
    let log = Log::create(Arc::new(SimulatedDisk::new(1)), ID, small_config()).unwrap();
    let writer = LogWriter::spawn(log, LogWriter::SEAL_AFTER).unwrap();
    let mut last = LogPosition::START;
    for seed in 0..40 {
        last = writer.submit(some_records(seed, 2)).unwrap().wait().unwrap()[0];
    }
    assert!(last.segment > 2);
    let removed = writer.remove_before(last).unwrap();
    assert_eq!(removed.wait().unwrap().len(), 0);
    assert_eq!(writer.reader().first_segment(), last.segment);
    assert!(writer.remove_before(LogPosition::START).unwrap().wait().is_ok(), "there is nothing to do");
    assert!(writer.reader().records().next().unwrap().unwrap().0.segment == last.segment);
    let removed = LogPosition { segment: 1, ..last };
    assert!(matches!(writer.reader().records_from(removed), Err(LogError::Removed { segment: 1, .. })));
    assert_eq!(writer.reader().records_from(LogPosition::START).unwrap().count(), writer.reader().records().count());
}

#[test]
fn a_failed_sync_reaches_everyone_who_waits() {
    let disk = SimulatedDisk::new(1);
    let log = Log::create(Arc::new(disk.clone()), ID, small_config()).unwrap();
    // The next sync is that of the next records, however long this thread is kept from handing them in.
    let writer = LogWriter::spawn(log, Duration::from_secs(3_600)).unwrap();
    writer.submit(some_records(1, 1)).unwrap().wait().unwrap();
    disk.fail_sync(1);
    let failed = writer.submit(some_records(2, 1)).unwrap();
    let error = failed.wait().unwrap_err();
    assert!(matches!(error, LogError::Stopped { .. }) && error.to_string().contains("could not sync log-"), "{error}");
    until("the log takes no more", || writer.submit(vec![]).is_err());
    assert_eq!(writer.submit_blocking(vec![]).unwrap_err().to_string(), error.to_string());
    assert_eq!(writer.close().unwrap_err().to_string(), error.to_string());
    assert_eq!(disk.faults().failed_syncs, 1);
}

#[test]
fn a_log_that_was_ended_by_a_panic_is_not_said_to_be_closed_well() {
    let mut log = Log::create(Arc::new(SimulatedDisk::new(1)), ID, small_config()).unwrap();
    // Told before the thread begins: of records that are durable already, whoever asks would be told at once.
    let ticket = log.submit(some_records(1, 1)).unwrap();
    ticket.on_done(|_| panic!("what a client has done wrong"));
    let writer = LogWriter::spawn(log, LogWriter::SEAL_AFTER).unwrap();
    until("the log takes no more", || writer.submit(vec![]).is_err());
    let error = writer.submit(some_records(2, 1)).unwrap_err();
    assert!(matches!(&error, LogError::Stopped { first } if matches!(**first, LogError::Panicked)), "{error}");
    assert_eq!(writer.close().unwrap_err().to_string(), error.to_string());
}

#[test]
fn the_bytes_of_the_format_are_pinned() {
    let disk = SimulatedDisk::new(1);
    let mut log = Log::create(Arc::new(disk.clone()), ID, small_config()).unwrap();
    for seed in 0..12 {
        log.submit(some_records(seed, 2)).unwrap();
        log.flush().unwrap();
    }
    log.close().unwrap();
    let mut bytes = Vec::new();
    for name in disk.list().unwrap() {
        let file = disk.open(&name).unwrap();
        let mut content = vec![0; file.len().unwrap() as usize];
        file.read_exact_at(0, &mut content).unwrap();
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&content);
    }
    assert_eq!(
        blake3::hash(&bytes).to_hex().as_str(),
        "2deda8d8dc7a3a68137902d400da51ce8316f6f824a376d1a0206431b976fdb5",
        "a new layout needs a new format version"
    );
}
