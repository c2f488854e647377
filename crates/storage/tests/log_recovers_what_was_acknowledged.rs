//! After power is cut at any I/O point: everything acknowledged is there, whole and in order, nothing else than what was
//! submitted is there, and recovery, itself cut at any point, comes to the same end.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod log_support;

use ledger_storage::disk::SimulatedDisk;
use ledger_storage::disk::simulated::FaultCounts;
use ledger_storage::log::LogError;
use log_support::{Dice, Recovered, Run, is_crash, open, open_or_create, record};

const OPERATIONS: usize = 200;
const SURVIVORS: u64 = 16;

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

/// Recovers a disk and checks the law; without a log on it, nothing may have been acknowledged.
fn recover(disk: &SimulatedDisk, run: &Run) -> Option<Recovered> {
    match open(disk) {
        Ok(log) => Some(run.check(&log)),
        Err(LogError::Missing) => {
            assert_eq!(run.tickets.iter().filter(|(_, ticket)| ticket.is_done()).count(), 0);
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

/// Cuts power at every point of the recovery of `survivor()`.
fn nested(survivor: impl Fn() -> SimulatedDisk, run: &Run, expected: &Option<Recovered>, seed: u64) -> u64 {
    let mut cuts = 0;
    for operation in 1.. {
        let disk = survivor();
        disk.crash_at(operation);
        match open(&disk) {
            Err(error) if is_crash(&error) => {
                let again = disk.survivor(seed + operation);
                assert_eq!(recover(&again, run), *expected, "recovery cut at {operation} ended elsewhere");
                cuts += 1;
            }
            _ => break,
        }
    }
    cuts
}

#[test]
fn acknowledged_records_survive_a_crash_at_every_io_point() {
    let seed = 2;
    let (disk, whole) = run(seed, None);
    assert!(whole.stopped.is_none(), "{:?}", whole.stopped);
    assert!(whole.removable > 1, "the workload removes segments");
    let points = disk.operations();
    assert!(points > 200, "only {points} I/O points");
    let (mut nested_cuts, mut torn_tails) = (0, 0);
    let mut faults = FaultCounts::default();
    for operation in 1..=points {
        let (disk, run) = run(seed, Some(operation));
        assert!(is_crash(run.stopped.as_ref().unwrap()), "{:?}", run.stopped);
        assert_eq!(disk.faults().crashes, 1);
        for survivor in 0..SURVIVORS {
            let chosen = survivor.min(2) + survivor.saturating_sub(2) * (operation * 31 + 1);
            let left = disk.survivor(chosen);
            let lost = left.faults();
            faults.lost_pieces += lost.lost_pieces;
            faults.torn_pieces += lost.torn_pieces;
            faults.stale_pieces += lost.stale_pieces;
            faults.lost_names += lost.lost_names;
            let first = recover(&left, &run);
            let second = recover(&left, &run);
            assert_eq!(second, first, "recovering twice differs");
            assert!(second.is_none_or(|second| second.torn.is_none()), "what was cut off came back");
            torn_tails += u64::from(first.as_ref().is_some_and(|first| first.torn.is_some()));
            if (operation + survivor) % 8 == 0 {
                nested_cuts += nested(|| disk.survivor(chosen), &run, &first, chosen);
                goes_on(&left, first, chosen);
            }
        }
    }
    assert!(nested_cuts > 500, "recovery was cut only {nested_cuts} times");
    assert!(torn_tails > 100, "only {torn_tails} torn tails");
    let fired = [faults.lost_pieces, faults.torn_pieces, faults.stale_pieces, faults.lost_names];
    assert!(fired.iter().all(|count| *count > 50), "{faults:?}");
}

/// Says how to run a failing workload again.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.0;
            eprintln!("replay: {FIRST}={seed} {COUNT}=1 cargo test -p ledger-storage --test {TEST}");
        }
    }
}

const TEST: &str = "log_recovers_what_was_acknowledged";
const FIRST: &str = "LEDGERKIT_FIRST_SEED";
const COUNT: &str = "LEDGERKIT_SEEDS";

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// `LEDGERKIT_SEEDS` sets the number of workloads of a long run.
#[test]
fn other_workloads_survive_crashes_at_some_points() {
    let first = number(FIRST).unwrap_or(3);
    for seed in first..first + number(COUNT).unwrap_or(24) {
        let _replay = Replay(seed);
        let (disk, _) = run(seed, None);
        let points = disk.operations();
        for operation in (1 + seed % 7..=points).step_by(29) {
            let (disk, run) = run(seed, Some(operation));
            for survivor in [0, 1, seed * 1000 + operation, seed * 2000 + operation] {
                let left = disk.survivor(survivor);
                let first = recover(&left, &run);
                goes_on(&left, first, survivor);
            }
        }
    }
}
