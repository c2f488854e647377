//! A log that grows quickly goes on in segments that a thread of its own has filled with zeros, and nothing else about it
//! is different: what was acknowledged is there, whenever the folder is looked at.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger_crypto::Digest;
use ledger_storage::disk::{RealDisk, SimulatedDisk};
use ledger_storage::log::{Log, LogConfig, LogId, LogPosition, LogWriter, Record, RecordKind};

const ID: LogId = LogId::new([7; 32]);
const SEGMENT: u64 = 16 << 20;

fn config() -> LogConfig {
    let mut config = LogConfig::default();
    config.segment_bytes = SEGMENT;
    config.fill_bytes = 256 << 10;
    config
}

/// The file in which a segment is made ahead.
const UNFINISHED: &str = "log-00000000000000000000.new";

/// A record of 60 kB that says which one it is.
fn record(number: u32) -> Record {
    let bytes = number.to_le_bytes().repeat(15_000);
    Record { chain: Digest::new([1; 32]), kind: RecordKind::PAYLOAD, height: u64::from(number), bytes }
}

/// Submits records one after another until they are in another segment than the first of them, well before that is full.
/// Where they are.
fn write_until_it_goes_on(writer: &LogWriter, folder: &Path) -> Vec<LogPosition> {
    let mut positions: Vec<LogPosition> = Vec::new();
    let begun = Instant::now();
    let is_whole = || files(folder).iter().any(|(name, length)| name == UNFINISHED && *length == SEGMENT);
    loop {
        let number = u32::try_from(positions.len()).unwrap();
        positions.push(writer.submit(vec![record(number)]).unwrap().wait().unwrap()[0]);
        let last = positions[positions.len() - 1];
        if last.segment > positions[0].segment {
            return positions;
        }
        assert!(last.offset < SEGMENT - (1 << 20), "the segment is full, and no other was ready");
        // It is being made; how long that takes is the disk's affair. From being whole to being ready it is one more sync.
        while last.offset > 4 << 20 && !is_whole() {
            std::thread::sleep(Duration::from_millis(20));
            assert!(begun.elapsed() < Duration::from_secs(300), "nothing was made ahead");
        }
        if last.offset > 4 << 20 {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn check(folder: &Path, positions: &[LogPosition]) -> Log {
    let log = Log::open(Arc::new(RealDisk::open(folder).unwrap()), config()).unwrap();
    for (number, position) in (0..).zip(positions) {
        assert_eq!(log.reader().read(*position).unwrap(), record(number));
    }
    assert_eq!(log.reader().verify().unwrap(), positions.len() as u64);
    log
}

fn files(folder: &Path) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())).collect();
    files.sort();
    files.retain(|(name, _)| name.starts_with("log-"));
    files
}

/// The folder as a process leaves it that is killed now.
fn copy(folder: &Path) -> tempfile::TempDir {
    let copied = tempfile::tempdir().unwrap();
    for (name, _) in files(folder) {
        std::fs::copy(folder.join(&name), copied.path().join(&name)).unwrap();
    }
    copied
}

#[test]
fn what_was_acknowledged_is_there_whenever_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::create(Arc::new(RealDisk::open(folder.path()).unwrap()), ID, config()).unwrap();
    let writer = LogWriter::spawn(log, LogWriter::SEAL_AFTER).unwrap();
    let mut positions = write_until_it_goes_on(&writer, folder.path());
    let whole = |name: &str| files(folder.path()).iter().any(|(found, length)| found == name && *length == SEGMENT);
    assert!(whole("log-00000000000000000002"), "{:?}", files(folder.path()));
    check(copy(folder.path()).path(), &positions);
    // Half of the second one later, the third is being made, and is no segment yet.
    let begun = Instant::now();
    while !files(folder.path()).iter().any(|(name, _)| name == UNFINISHED) {
        let next = u32::try_from(positions.len()).unwrap();
        positions.push(writer.submit(vec![record(next)]).unwrap().wait().unwrap()[0]);
        if positions[positions.len() - 1].offset > SEGMENT / 2 {
            // The thread that begins it has to come to its turn.
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "no third one is begun");
    }
    assert_eq!(positions[positions.len() - 1].segment, 2);
    let copied = copy(folder.path());
    drop(check(copied.path(), &positions));
    assert!(!files(copied.path()).iter().any(|(name, _)| name == UNFINISHED), "what a crash left is removed");
    // A clean end leaves neither it nor the zeros.
    writer.close().unwrap();
    let left = files(folder.path());
    assert!(left.len() == 2 && left.iter().all(|(_, length)| *length < SEGMENT), "{left:?}");
    drop(check(folder.path(), &positions));
}

#[test]
fn a_log_goes_on_where_no_segment_can_be_made_ahead() {
    let disk = SimulatedDisk::new(1);
    let log = Log::create(Arc::new(disk.clone()), ID, config()).unwrap();
    // Whoever would make one finds the name taken.
    let taken = ledger_storage::disk::Disk::create(&disk, UNFINISHED).unwrap();
    let writer = LogWriter::spawn(log, LogWriter::SEAL_AFTER).unwrap();
    let mut positions = Vec::new();
    for number in 0..600 {
        positions.push(writer.submit(vec![record(number)]).unwrap().wait().unwrap()[0]);
    }
    assert!(positions[599].segment >= 3);
    drop(taken);
    writer.close().unwrap();
    let log = Log::open(Arc::new(disk.survivor(0)), config()).unwrap();
    for (number, position) in (0..).zip(positions) {
        assert_eq!(log.reader().read(position).unwrap(), record(number));
    }
}
