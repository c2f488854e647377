//! The first failed write or sync stops the log by name, nothing is half acknowledged, and after reopening everything that
//! was acknowledged is there, also when power is cut later on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod log_support;

use ledger_storage::disk::SimulatedDisk;
use ledger_storage::disk::{DiskError, Operation};
use ledger_storage::log::{LogError, Ticket};
use log_support::{Dice, Run, open, open_or_create, record};

fn first_error(error: &LogError) -> &DiskError {
    match error {
        LogError::Stopped { first } => first_error(first),
        LogError::Disk(error) => error,
        other => panic!("{other}"),
    }
}

/// A run on a disk with a planned fault; whatever it met, a restarted process finds what was acknowledged.
fn run_and_restart(seed: u64, plan: impl Fn(&SimulatedDisk)) -> (SimulatedDisk, Run) {
    let disk = SimulatedDisk::new(seed);
    let mut log = open_or_create(&disk).unwrap();
    plan(&disk);
    let mut run = Run::new();
    run.go(&mut log, &mut Dice::new(seed), 120);
    if let Some(error) = &run.stopped {
        let again = log.submit(vec![]).unwrap_err();
        assert_eq!(again.to_string(), error.to_string(), "later calls name the first error");
        assert!(log.flush().is_err() && log.seal().is_err());
        drop(log);
        assert!(run.tickets().all(Ticket::is_done), "a ticket was left waiting");
    }
    (disk, run)
}

/// The process restarts on the same kernel, works on, and then the power goes.
fn restarts_and_outlives_power_loss(disk: &SimulatedDisk, mut run: Run, seed: u64) {
    // A fault planned beyond the run's end meets the recovery instead, which is then simply repeated.
    let mut log = open(disk).or_else(|_| open(disk)).unwrap();
    // What was neither acknowledged nor recovered is gone for good.
    let found = run.check(&log);
    run.settle(&found);
    let mut dice = Dice::new(seed);
    let records = (0..2).map(|index| record(&mut dice, index)).collect();
    run.submit(&mut log, records).unwrap();
    log.flush().unwrap();
    drop(log);
    for survivor in [0, 1, seed * 77 + 5, seed * 78 + 5] {
        run.check(&open(&disk.survivor(survivor)).unwrap());
    }
}

#[test]
fn a_failed_sync_at_any_point_loses_nothing_acknowledged() {
    let mut stopped = 0;
    for seed in 1..5 {
        for nth in 1..60 {
            let (disk, run) = run_and_restart(seed, |disk| disk.fail_sync(nth));
            if let Some(error) = &run.stopped {
                assert!(matches!(first_error(error), DiskError::Io { operation: Operation::Sync, .. }), "{error}");
                assert_eq!(disk.faults().failed_syncs, 1);
                stopped += 1;
            }
            restarts_and_outlives_power_loss(&disk, run, seed * 100 + nth);
        }
    }
    assert!(stopped > 150, "{stopped}");
}

#[test]
fn a_failed_sync_in_recovery_is_reported_and_recovery_can_be_repeated() {
    for seed in 1..200 {
        let (disk, mut run) = run_and_restart(seed, |disk| disk.crash_at(20 + seed % 60));
        assert!(run.stopped.take().is_some());
        let survivor = disk.survivor(seed);
        survivor.fail_sync(1 + seed % 2);
        let error = open(&survivor).unwrap_err();
        assert!(matches!(error, LogError::Disk(DiskError::Io { operation: Operation::Sync, .. })), "{error}");
        assert_eq!(survivor.faults().failed_syncs, 1);
        restarts_and_outlives_power_loss(&survivor, run, seed);
    }
}

#[test]
fn a_failed_write_at_any_point_loses_nothing_acknowledged() {
    let mut stopped = 0;
    for seed in 1..5 {
        for nth in 1..60 {
            let (disk, run) = run_and_restart(seed, |disk| disk.fail_write(nth));
            if let Some(error) = &run.stopped {
                assert!(matches!(first_error(error), DiskError::Io { operation: Operation::Write, .. }), "{error}");
                assert_eq!(disk.faults().failed_writes, 1);
                stopped += 1;
            }
            restarts_and_outlives_power_loss(&disk, run, seed * 100 + nth);
        }
    }
    assert!(stopped > 150, "{stopped}");
}

#[test]
fn a_full_disk_acknowledges_nothing_by_halves() {
    for space in (200..16_000).step_by(97) {
        let (disk, run) = run_and_restart(9, |disk| disk.limit_space(Some(space)));
        let error = run.stopped.as_ref().unwrap();
        assert!(matches!(first_error(error), DiskError::Full { .. }), "{error}");
        assert!(error.to_string().contains("disk full") && error.to_string().contains("log-"), "{error}");
        assert_eq!(disk.faults().full, 1);
        // It can be read while the disk is still full, and written when it no longer is.
        run.check(&open(&disk).unwrap());
        disk.limit_space(None);
        restarts_and_outlives_power_loss(&disk, run, space);
    }
}

#[test]
fn short_writes_are_continued() {
    let (disk, run) = run_and_restart(11, |disk| disk.shorten_writes(2));
    assert!(run.stopped.is_none());
    assert!(disk.faults().short_writes > 20);
    restarts_and_outlives_power_loss(&disk, run, 11);
}
