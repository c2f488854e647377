//! What is no longer needed is removed while the log goes on, in whole segments and durably; a crash on the way leaves a log
//! without gaps; and reading goes on from any place without reading what came before.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod log_support;

use std::fmt;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use ledger_storage::disk::{Disk, DiskError, File, SimulatedDisk};
use ledger_storage::log::{Log, LogError, LogPosition, LogWriter, Record, Ticket};
use log_support::{Dice, ID, Recovered, open, record, small_config};

/// Longer than any test: the log is sealed only when it is closed.
const NEVER: Duration = Duration::from_secs(3600);

/// What a client of the thread knows at the end.
struct Client {
    acknowledged: Vec<(LogPosition, Record)>,
    /// Segments below this one may be gone, and below the other one must be.
    asked: u64,
    removed: u64,
}

/// Forty submits, each waited for, with removals under way meanwhile; ends at the first error.
fn work(disk: &SimulatedDisk) -> Result<Client, (Client, LogError)> {
    let mut client = Client { acknowledged: Vec::new(), asked: 1, removed: 1 };
    let writer = match Log::create(Arc::new(disk.clone()), ID, small_config()) {
        Ok(log) => LogWriter::spawn(log, NEVER).unwrap(),
        Err(error) => return Err((client, error)),
    };
    let mut removal: Option<(u64, Ticket)> = None;
    let mut dice = Dice::new(4);
    for number in 0..40 {
        let records: Vec<_> = (0..1 + number % 3).map(|_| record(&mut dice, number)).collect();
        let outcome = writer.submit(records.clone()).and_then(|ticket| ticket.wait());
        match outcome {
            Ok(positions) => client.acknowledged.extend(positions.iter().copied().zip(records)),
            Err(error) => return Err((client, error)),
        }
        if let Some((segment, _)) = removal.take_if(|(_, ticket)| matches!(ticket.outcome(), Some(Ok(_)))) {
            client.removed = client.removed.max(segment);
        }
        let (position, _) = client.acknowledged[client.acknowledged.len() * 2 / 3];
        if number % 6 == 5 && removal.is_none() && position.segment > client.asked {
            client.asked = position.segment;
            match writer.remove_before(position) {
                Ok(ticket) => removal = Some((position.segment, ticket)),
                Err(error) => return Err((client, error)),
            }
        }
    }
    if let Some((segment, ticket)) = removal {
        match ticket.wait() {
            Ok(_) => client.removed = client.removed.max(segment),
            Err(error) => return Err((client, error)),
        }
    }
    writer.close().map(drop).or(Ok(())).map(|()| client)
}

#[test]
fn a_crash_while_segments_are_removed_leaves_a_log_without_gaps() {
    let disk = SimulatedDisk::new(3);
    let Ok(whole) = work(&disk) else { panic!("no fault was planned") };
    assert!(whole.removed > 3 && whole.removed == whole.asked, "{} {}", whole.removed, whole.asked);
    let (mut within, mut came_back) = (0, 0);
    for operation in 1..disk.operations() {
        let disk = SimulatedDisk::new(3);
        disk.crash_at(operation);
        // Which submit a removal falls behind depends on the threads; what must hold then doesn't.
        let (client, crashed) = match work(&disk) {
            Err((client, _)) => (client, true),
            Ok(client) => (client, false),
        };
        for survivor in [0, 1, operation * 2 + 11, operation * 3 + 12] {
            let left = disk.survivor(survivor);
            let log = match open(&left) {
                Ok(log) => log,
                Err(LogError::Missing) if client.acknowledged.is_empty() => continue,
                Err(error) => panic!("crash at {operation}, survivor {survivor}: {error}"),
            };
            let (first, recovered) = (log.reader().first_segment(), Recovered::of(&log));
            assert!((client.removed..=client.asked).contains(&first), "{first} of {}", client.asked);
            let kept: Vec<_> = client.acknowledged.iter().filter(|(at, _)| at.segment >= first).cloned().collect();
            assert!(recovered.records.starts_with(&kept), "acknowledged, and not there");
            within += u64::from(crashed && client.removed < client.asked);
            came_back += u64::from(first < client.asked);
        }
    }
    assert!(within > 50 && came_back > 20, "crashes within a removal: {within}; unfinished ones: {came_back}");
}

#[test]
fn removal_gives_way_to_commits_and_tells_when_it_is_done() {
    let log = Log::create(Arc::new(SimulatedDisk::new(1)), ID, small_config()).unwrap();
    let writer = LogWriter::spawn(log, NEVER).unwrap();
    let mut dice = Dice::new(1);
    let mut submit = |writer: &LogWriter| writer.submit(vec![record(&mut dice, 1)]).unwrap().wait().unwrap()[0];
    while writer.reader().end().segment < 12 {
        submit(&writer);
    }
    let end = submit(&writer);
    let tickets: Vec<_> = (1..=end.segment + 5)
        .map(|segment| (segment, writer.remove_before(LogPosition { segment, ..end }).unwrap()))
        .collect();
    for (segment, ticket) in tickets {
        assert_eq!(ticket.wait().unwrap().len(), 0);
        assert!(writer.reader().first_segment() >= segment.min(end.segment));
    }
    assert_eq!(writer.reader().first_segment(), end.segment);
    let last = submit(&writer);
    writer.close().unwrap();
    assert!(last > end);
}

#[test]
fn a_removal_that_fails_stops_the_log() {
    let disk = SimulatedDisk::new(1);
    let log = Log::create(Arc::new(disk.clone()), ID, small_config()).unwrap();
    let writer = LogWriter::spawn(log, NEVER).unwrap();
    let mut dice = Dice::new(1);
    while writer.reader().end().segment < 4 {
        writer.submit(vec![record(&mut dice, 1)]).unwrap().wait().unwrap();
    }
    disk.fail_sync(1);
    let end = writer.reader().end();
    let ticket = writer.remove_before(LogPosition { segment: end.segment, ..LogPosition::START }).unwrap();
    let error = ticket.wait().unwrap_err();
    assert!(matches!(error, LogError::Stopped { .. }), "{error}");
    assert_eq!(disk.faults().failed_syncs, 1);
    assert_eq!(writer.submit_blocking(vec![]).unwrap_err().to_string(), error.to_string());
    let refused = writer.remove_before(LogPosition::START).unwrap_err();
    assert_eq!(refused.to_string(), error.to_string());
    drop(writer);
    assert_eq!(Recovered::of(&open(&disk).unwrap()).end, end);
}

#[test]
fn the_segments_say_where_records_are() {
    let disk = SimulatedDisk::new(1);
    let mut log = Log::create(Arc::new(disk.clone()), ID, small_config()).unwrap();
    let mut dice = Dice::new(8);
    while log.end().segment < 6 {
        log.submit((0..3).map(|number| record(&mut dice, number)).collect()).unwrap();
        log.flush().unwrap();
    }
    log.remove_before(LogPosition { segment: 3, ..LogPosition::START }).unwrap();
    let log = open(&disk).unwrap();
    let (reader, end) = (log.reader(), log.end());
    let segments = reader.segments();
    assert_eq!(segments.iter().map(|segment| segment.file.clone()).collect::<Vec<_>>(), disk.list().unwrap());
    let mut before = end.records - reader.records().count() as u64;
    for segment in &segments {
        assert_eq!(segment.records_before, before);
        let from: Vec<_> = reader.records_from(segment.start).unwrap().map(Result::unwrap).collect();
        assert_eq!(from.len() as u64, end.records - before);
        let own = from.iter().take_while(|(position, _)| position.segment == segment.start.segment).count() as u64;
        assert_eq!(segment.records, own);
        before += own;
    }
    assert_eq!((segments.last().unwrap().bytes, before), (end.offset, end.records));
}

#[test]
fn reading_goes_on_behind_a_record_and_reads_no_content_before_it() {
    let disk = SimulatedDisk::new(1);
    let mut log = Log::create(Arc::new(disk.clone()), ID, small_config()).unwrap();
    let mut dice = Dice::new(8);
    while log.end().segment < 4 {
        log.submit((0..3).map(|number| record(&mut dice, number)).collect()).unwrap();
        log.flush().unwrap();
    }
    log.close().unwrap();
    let log = open(&disk).unwrap();
    let all: Vec<_> = log.reader().records().map(Result::unwrap).collect();
    for (index, (position, _)) in all.iter().enumerate() {
        let rest: Vec<_> = log.reader().records_from(position.after()).unwrap().map(Result::unwrap).collect();
        assert_eq!(rest, all[index + 1..]);
    }
    // Damage before the place isn't looked at; the same damage behind it is found.
    let (first, second) = (all[0].0, all[4].0);
    assert_eq!(first.segment, second.segment);
    disk.flip_bit(&disk.list().unwrap()[0], (first.offset + 40) * 8).unwrap();
    assert_eq!(log.reader().records_from(second).unwrap().map(Result::unwrap).count(), all.len() - 4);
    assert!(matches!(log.reader().records().next(), Some(Err(LogError::Damaged { .. }))));
}

/// A disk on which opening a file takes as long as it takes to do something else.
struct Slow {
    disk: SimulatedDisk,
    first: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl fmt::Debug for Slow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(formatter)
    }
}

impl Disk for Slow {
    fn create(&self, name: &str) -> Result<Box<dyn File>, DiskError> {
        self.disk.create(name)
    }

    fn open(&self, name: &str) -> Result<Box<dyn File>, DiskError> {
        if let Some(first) = self.first.lock().unwrap().take() {
            first();
        }
        self.disk.open(name)
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.disk.remove(name)
    }

    fn sync_folder(&self) -> Result<(), DiskError> {
        self.disk.sync_folder()
    }
}

/// Whoever finds a record gone looks for it in an archive, and does so only when he is told that it was removed.
#[test]
fn a_segment_that_is_removed_while_it_is_opened_is_said_to_be_removed() {
    let slow = Arc::new(Slow { disk: SimulatedDisk::new(5), first: Mutex::new(None) });
    let disk: Arc<dyn Disk> = Arc::<Slow>::clone(&slow);
    let mut log = Log::create(disk, ID, small_config()).unwrap();
    let mut dice = Dice::new(5);
    let mut positions = Vec::new();
    while positions.last().is_none_or(|last: &LogPosition| last.segment < 3) {
        let ticket = log.submit(vec![record(&mut dice, 1)]).unwrap();
        log.flush().unwrap();
        positions.extend(ticket.wait().unwrap().iter().copied());
    }
    let (reader, first, last) = (log.reader(), positions[0], *positions.last().unwrap());
    let (sender, removing) = mpsc::channel();
    let names = slow.disk.list().unwrap();
    let disk = slow.disk.clone();
    *slow.first.lock().unwrap() = Some(Box::new(move || {
        sender.send(std::thread::spawn(move || log.remove_before(last).map(|removed| (removed, log)))).unwrap();
        while disk.list().unwrap().contains(&names[0]) {
            std::thread::yield_now();
        }
    }));
    let found = reader.read(first);
    assert!(matches!(found, Err(LogError::Removed { segment: 1, .. })), "{found:?}");
    let (removed, _log) = removing.recv().unwrap().join().unwrap().unwrap();
    assert_eq!(removed, 2);
    assert!(reader.read(last).is_ok());
}
