//! After power is cut at any I/O point: everything acknowledged is there, whole and in order, nothing else than what was
//! submitted is there, and recovery, itself cut at any point, comes to the same end.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod log_support;

use std::collections::BTreeSet;
use std::sync::Arc;

use ledger_crypto::Digest;
use ledger_storage::disk::simulated::FaultCounts;
use ledger_storage::disk::{Disk, SimulatedDisk};
use ledger_storage::log::{Log, LogConfig, LogError, Record, RecordKind};
use log_support::{Dice, ID, Recovered, Replay, Run, Tally, is_crash, open, open_or_create, record, seeds};

const OPERATIONS: usize = 200;
const SURVIVORS: u64 = 16;
/// Of each cut recovery.
const NESTED_SURVIVORS: u64 = 4;

fn run(seed: u64, crash_at: Option<u64>) -> (SimulatedDisk, Run) {
    let disk = SimulatedDisk::new(seed);
    if let Some(operation) = crash_at {
        disk.crash_at(operation);
    }
    let mut run = Run::new();
    match open_or_create(&disk) {
        Ok(mut log) => run.go(&mut log, &mut Dice::new(seed), OPERATIONS),
        Err(error) => run.stopped = Some(error),
    }
    (disk, run)
}

/// Survivor number `index` of those that are looked at: nothing kept, all kept, and seeds that differ between crashes.
fn survivor_seed(index: u64, crash: u64) -> u64 {
    if index < 2 { index } else { index + crash * 1_000_003 }
}

/// What stands on a disk: two survivors that agree in it need only be looked at once.
fn content(disk: &SimulatedDisk) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = Vec::new();
    for name in disk.list().unwrap() {
        let file = disk.open(&name).unwrap();
        bytes.resize(file.len().unwrap() as usize, 0);
        file.read_exact_at(0, &mut bytes).unwrap();
        hasher.update(name.as_bytes()).update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
    }
    *hasher.finalize().as_bytes()
}

/// Recovers a disk and checks the law; without a log on it, nothing may have been acknowledged.
fn recover(disk: &SimulatedDisk, run: &Run) -> Option<Recovered> {
    match open(disk) {
        Ok(log) => Some(run.check(&log)),
        Err(LogError::Missing) => {
            assert_eq!(run.tickets().filter(|ticket| ticket.is_done()).count(), 0);
            None
        }
        Err(error) => panic!("recovery refused what a crash left: {error}"),
    }
}

/// A recovered log takes more, and keeps it and what was there through another loss of power.
fn goes_on(disk: &SimulatedDisk, before: Option<Recovered>, seed: u64) {
    let mut log = open_or_create(disk).unwrap();
    let mut dice = Dice::new(seed);
    let more: Vec<_> = (0..1 + dice.roll(3)).map(|number| record(&mut dice, number)).collect();
    let ticket = log.submit(more.clone()).unwrap();
    log.flush().unwrap();
    assert!(ticket.outcome().unwrap().is_ok());
    drop(log);
    let expected: Vec<_> =
        before.into_iter().flat_map(|old| old.records).map(|(_, record)| record).chain(more).collect();
    let after = Recovered::of(&open(&disk.survivor(seed)).unwrap());
    assert!(after.records.iter().map(|(_, record)| record).eq(&expected));
}

/// Cuts power at every point of the recovery of a disk, `depth` times within each other, and recovers from each of several
/// survivors: always to the same end.
fn cut_recovery(disk: &SimulatedDisk, run: &Run, expected: &Option<Recovered>, depth: u64, tally: &mut Tally) {
    for operation in 1.. {
        let copy = disk.survivor(1);
        copy.crash_at(operation);
        match open(&copy) {
            Err(error) if is_crash(&error) => {}
            _ => break,
        }
        tally.add("recoveries cut", 1);
        let mut seen = BTreeSet::new();
        for index in 0..NESTED_SURVIVORS {
            let left = copy.survivor(survivor_seed(index, operation * 64 + depth));
            if !seen.insert(content(&left)) {
                continue;
            }
            assert_eq!(recover(&left.survivor(1), run), *expected, "recovery cut at {operation} ended elsewhere");
            tally.add("recoveries after a cut one", 1);
            if depth > 1 {
                cut_recovery(&left, run, expected, depth - 1, tally);
            }
        }
    }
}

/// Cuts power at I/O point `operation` of a workload and checks `survivors` of what may be left; of one in `deep`, the
/// recovery is cut twice within itself and the log goes on.
fn crash(seed: u64, operation: u64, survivors: u64, deep: u64, tally: &mut Tally) {
    let (disk, run) = run(seed, Some(operation));
    assert!(is_crash(run.stopped.as_ref().unwrap()), "{:?}", run.stopped);
    assert_eq!(disk.faults().crashes, 1);
    tally.add("crashes", 1);
    let mut seen = BTreeSet::new();
    for index in 0..survivors {
        let chosen = survivor_seed(index, operation);
        let left = disk.survivor(chosen);
        let FaultCounts { lost_pieces, torn_pieces, stale_pieces, lost_names, .. } = left.faults();
        let lost = [
            ("lost pieces", lost_pieces),
            ("torn pieces", torn_pieces),
            ("stale pieces", stale_pieces),
            ("lost names", lost_names),
        ];
        lost.into_iter().for_each(|(what, count)| tally.add(what, count));
        tally.add("survivors", 1);
        if !seen.insert(content(&left)) {
            continue;
        }
        tally.add("different survivors", 1);
        let untouched = left.survivor(1);
        let first = recover(&left, &run);
        let second = recover(&left, &run);
        assert_eq!(second, first, "recovering twice differs");
        assert!(second.is_none_or(|second| second.torn.is_none()), "what was cut off came back");
        tally.add("torn tails", u64::from(first.as_ref().is_some_and(|first| first.torn.is_some())));
        tally.add("empty folders", u64::from(first.is_none()));
        let deeply = (operation + index).is_multiple_of(deep);
        cut_recovery(&untouched, &run, &first, if deeply { 2 } else { 1 }, tally);
        if deeply {
            goes_on(&left, first, chosen);
        }
    }
}

#[test]
fn acknowledged_records_survive_a_crash_at_every_io_point() {
    let seed = 2;
    let (disk, whole) = run(seed, None);
    assert!(whole.stopped.is_none(), "{:?}", whole.stopped);
    assert!(whole.removable > 3 && whole.seals > 3 && whole.fences > 10, "the workload has something of everything");
    let points = disk.operations();
    assert!(points > 300, "only {points} I/O points");
    let mut tally = Tally::default();
    for operation in 1..=points {
        crash(seed, operation, SURVIVORS, 16, &mut tally);
    }
    println!("{tally:?}");
    assert_eq!(tally.get("crashes"), points);
    assert_eq!(tally.get("survivors"), points * SURVIVORS);
    for (what, least) in [
        ("different survivors", points * 2),
        ("recoveries cut", points * 8),
        ("recoveries after a cut one", points * 8),
        ("torn tails", 300),
        ("empty folders", 3),
        ("lost pieces", 1_000),
        ("torn pieces", 500),
        ("stale pieces", 100),
        ("lost names", 200),
    ] {
        assert!(tally.get(what) >= least, "{what}: {tally:?}");
    }
}

/// Large records are written apart from the rest of their group: a group of several writes is as whole as one of one.
#[test]
fn groups_with_large_records_are_whole() {
    let groups: [&[usize]; 5] = [&[100, 70_000, 0, 65_536, 3], &[64 << 10], &[65_535, 200_000], &[10], &[1, 90_000]];
    let config = || {
        let mut config = LogConfig::default();
        config.segment_bytes = 300_000;
        config.fill_bytes = 4096;
        config
    };
    let work = |disk: &SimulatedDisk| {
        let mut run = Run::new();
        let mut log = match Log::open_or_create(Arc::new(disk.clone()), ID, config()) {
            Ok(log) => log,
            Err(_) => return run,
        };
        let mut dice = Dice::new(9);
        for lengths in groups {
            let records = lengths.iter().map(|length| {
                let bytes =
                    (0..length.div_ceil(8)).flat_map(|_| dice.roll(1 << 53).to_le_bytes()).take(*length).collect();
                Record { chain: Digest::new([3; 32]), kind: RecordKind::PAYLOAD, height: 0, bytes }
            });
            if run.submit(&mut log, records.collect()).and_then(|()| log.flush()).is_err() {
                break;
            }
        }
        run
    };
    let disk = SimulatedDisk::new(1);
    let whole = work(&disk);
    let log = Log::open(Arc::new(disk.clone()), config()).unwrap();
    assert_eq!(whole.check(&log).records.len(), 11);
    assert!(log.end().segment > 1);
    let (mut torn, mut lost) = (0, 0);
    for operation in 1..=disk.operations() {
        let disk = SimulatedDisk::new(1);
        disk.crash_at(operation);
        let run = work(&disk);
        for index in 0..SURVIVORS {
            let left = disk.survivor(survivor_seed(index, operation));
            match Log::open(Arc::new(left.clone()), config()) {
                Ok(log) => {
                    let recovered = run.check(&log);
                    torn += u64::from(recovered.torn.is_some());
                    lost += u64::from(recovered.records.len() < run.submitted.len());
                }
                Err(LogError::Missing) => assert!(run.submitted.is_empty()),
                Err(error) => panic!("recovery refused what a crash left: {error}"),
            }
        }
    }
    assert!(torn > 30 && lost > 50, "{torn} {lost}");
}

/// `LEDGERKIT_SEEDS` sets the number of workloads of a long run, each of which is cut at every I/O point then.
#[test]
fn other_workloads_survive_crashes_at_some_points() {
    let long = std::env::var_os("LEDGERKIT_SEEDS").is_some();
    let mut tally = Tally::default();
    for seed in seeds(3, 12) {
        let _replay = Replay { test: "log_recovers_what_was_acknowledged", seed };
        let (disk, _) = run(seed, None);
        let (first, step, survivors) = if long { (1, 1, SURVIVORS) } else { (1 + seed % 7, 29, 4) };
        for operation in (first..=disk.operations()).step_by(step) {
            crash(seed, operation, survivors, 8, &mut tally);
        }
    }
    println!("{tally:?}");
}
