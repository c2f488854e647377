//! Whatever one fault a disk has, at a random moment of a random workload: it is named, with the file, the place and what to
//! do; nothing acknowledged is lost by halves; nothing wrong is ever read.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod log_support;

use std::collections::BTreeMap;

use ledger_storage::disk::{Disk, DiskError, Operation, SimulatedDisk};
use ledger_storage::log::{Log, LogError, Record, Ticket};
use log_support::{Dice, Recovered, Replay, Run, Tally, open, open_or_create, seeds};

const TEST: &str = "log_names_every_fault";
const CASES: u64 = 1_000;

/// A log after some work, on a disk that had no fault yet.
fn begin(seed: u64, dice: &mut Dice) -> (SimulatedDisk, Log, Run) {
    let disk = SimulatedDisk::new(seed);
    let mut log = open_or_create(&disk).unwrap();
    let mut run = Run::new();
    let operations = dice.roll(120) as usize;
    run.go(&mut log, dice, operations);
    assert!(run.stopped.is_none(), "{:?}", run.stopped);
    (disk, log, run)
}

/// Works on until `fired`, or the log stops.
fn work_until(run: &mut Run, log: &mut Log, dice: &mut Dice, fired: impl Fn() -> bool) {
    for _ in 0..400 {
        run.go(log, dice, 10);
        if run.stopped.is_some() || fired() {
            return;
        }
    }
    panic!("the fault never fired");
}

fn contents(disk: &SimulatedDisk) -> BTreeMap<String, Vec<u8>> {
    let read = |name: String| {
        let file = disk.open(&name).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_exact_at(0, &mut bytes).unwrap();
        (name, bytes)
    };
    disk.list().unwrap().into_iter().map(read).collect()
}

/// A log at rest: written, and closed or left as a killed process leaves it. Its disk, and what is in it.
fn at_rest(seed: u64, dice: &mut Dice) -> (SimulatedDisk, Recovered) {
    let (disk, mut log, mut run) = begin(seed, dice);
    while log.end().segment < 3 {
        run.go(&mut log, dice, 10);
    }
    log.flush().unwrap();
    let truth = run.check(&log);
    if dice.roll(2) == 0 {
        log.close().unwrap();
    }
    (disk, truth)
}

/// Where the last group with records begins: the only place from which anything may be cut.
fn last_group(truth: &Recovered) -> u64 {
    const HEADER: u64 = 72;
    let mut records = truth.records.iter().rev().map(|(position, _)| position);
    let mut first = records.next().unwrap();
    for before in records {
        if before.segment != first.segment || before.after().offset != first.offset {
            break;
        }
        first = before;
    }
    first.offset - HEADER
}

/// How much of a file was written: zeros ahead are not, and damage there changes nothing. (A segment behind the one in which
/// the records end holds the seal.)
fn written(name: &str, length: u64, truth: &Recovered) -> u64 {
    if name.ends_with(&format!("{:020}", truth.end.segment)) { truth.end.offset } else { length }
}

fn file_of(error: &LogError) -> &str {
    match error {
        LogError::Damaged { file, .. }
        | LogError::DamagedRecord { file, .. }
        | LogError::UnknownVersion { file, .. }
        | LogError::Foreign { file } => file,
        other => panic!("{other}"),
    }
}

/// A log that ends before records that were acknowledged says what it cut, which is the last group.
fn must_be_cut(log: &Log, truth: &Recovered, files: &[&str], tally: &mut Tally) {
    let torn = log.recovery().torn.clone().unwrap();
    // A misdirected write can hit a group and, there or elsewhere, the header behind it that would have proved it durable.
    let wide = files.len() > 1;
    assert!(files.contains(&torn.file.as_str()) && (torn.offset == last_group(truth) || wide), "{torn:?}");
    match log.reader().records().collect::<Result<Vec<_>, _>>() {
        Ok(records) => assert!(truth.records.starts_with(&records), "wrong records were read"),
        // A misdirected write damages two places.
        Err(error) => assert!(files.contains(&file_of(&error)), "{error}"),
    }
    tally.add("cut and seen to be shorter", 1);
}

/// Opens a damaged disk and reads all of it. The damage must be named with one of `files` and a remedy; or, where it looks
/// like the tail that a crash leaves, be reported and cut, and seen by whoever knows how many records were acknowledged.
fn must_be_found(disk: &SimulatedDisk, truth: &Recovered, files: &[&str], tally: &mut Tally) {
    let operations = disk.operations();
    let error = match open(disk) {
        Ok(log) if log.end().records < truth.end.records => return must_be_cut(&log, truth, files, tally),
        Ok(log) => {
            let read: Result<Vec<Record>, _> =
                log.reader().records().map(|item| item.map(|(_, record)| record)).collect();
            match read {
                Err(error) => error,
                Ok(records) => {
                    // Only what was written behind the last record may go unnamed, and is reported.
                    assert!(log.recovery().torn.is_some(), "damage was not found");
                    assert!(
                        records.iter().eq(truth.records.iter().map(|(_, record)| record)),
                        "wrong records were read"
                    );
                    tally.add("cut behind the last record", 1);
                    return;
                }
            }
        }
        Err(error) => {
            assert_eq!(disk.operations(), operations, "a log that is refused is left as it is");
            error
        }
    };
    assert!(files.contains(&file_of(&error)), "{error} names another file than {files:?}");
    let message = error.to_string();
    let remedy = ["restore the folder from a backup", "use a program that does", "move it out of this folder"];
    assert!(remedy.iter().any(|remedy| message.contains(remedy)), "{message}");
    tally.add("named as damage", 1);
}

fn flipped_bit(seed: u64, dice: &mut Dice, tally: &mut Tally) {
    let (disk, truth) = at_rest(seed, dice);
    let names = disk.list().unwrap();
    let name = &names[dice.roll(names.len() as u64) as usize];
    let length = written(name, disk.open(name).unwrap().len().unwrap(), &truth);
    disk.flip_bit(name, dice.roll(length * 8)).unwrap();
    tally.add("flipped bits", disk.faults().flipped_bits);
    must_be_found(&disk, &truth, &[name], tally);
}

fn misdirected_write(seed: u64, dice: &mut Dice, tally: &mut Tally) {
    let (disk, truth) = at_rest(seed, dice);
    let before = contents(&disk);
    let names: Vec<&String> = before.keys().collect();
    let length = [1, 8, 16, 64, 128][dice.roll(5) as usize];
    let mut place = || {
        let name = names[dice.roll(names.len() as u64) as usize];
        let whole = written(name, before[name].len() as u64, &truth);
        (name, dice.roll(whole - length))
    };
    let ((from, source), (to, target)) = (place(), place());
    disk.misdirect(from, source, to, target, length as usize).unwrap();
    assert_eq!(disk.faults().misdirected_writes, 1);
    if contents(&disk) == before {
        tally.add("misdirected without effect", 1);
        return;
    }
    tally.add("misdirected writes", 1);
    must_be_found(&disk, &truth, &[from, to], tally);
}

/// The process goes on, or is restarted, and then the power goes: what was acknowledged is there.
fn outlives(disk: &SimulatedDisk, mut run: Run, seed: u64, dice: &mut Dice) {
    let mut log = open(disk).unwrap();
    run.settle(&run.check(&log));
    run.stopped = None;
    run.go(&mut log, dice, 20);
    assert!(run.stopped.is_none(), "{:?}", run.stopped);
    drop(log);
    for survivor in [0, 1, seed * 5 + 7] {
        run.check(&open(&disk.survivor(survivor)).unwrap());
    }
}

fn short_writes(seed: u64, dice: &mut Dice, tally: &mut Tally) {
    let (disk, mut log, mut run) = begin(seed, dice);
    disk.shorten_writes(1 + dice.roll(4) as usize);
    work_until(&mut run, &mut log, dice, || disk.faults().short_writes > 2);
    assert!(run.stopped.is_none(), "a short write is gone on with: {:?}", run.stopped);
    tally.add("short writes", disk.faults().short_writes);
    drop(log);
    outlives(&disk, run, seed, dice);
}

fn short_reads(seed: u64, dice: &mut Dice, tally: &mut Tally) {
    let (disk, mut log, mut run) = begin(seed, dice);
    run.go(&mut log, dice, 60);
    disk.shorten_reads(1 + dice.roll(4) as usize);
    log.flush().unwrap();
    for _ in 0..100 {
        run.check(&log);
        if disk.faults().short_reads > 2 {
            break;
        }
    }
    drop(log);
    outlives(&disk, run, seed, dice);
    tally.add("short reads", disk.faults().short_reads);
    assert!(disk.faults().short_reads > 2);
}

fn root(error: &LogError) -> &DiskError {
    match error {
        LogError::Stopped { first } => root(first),
        LogError::Disk(error) => error,
        other => panic!("{other}"),
    }
}

/// The log has stopped: by a named error of the disk, for good, and nobody waits.
fn is_stopped(log: &mut Log, run: &Run, expected: impl Fn(&DiskError) -> bool) {
    let error = run.stopped.as_ref().unwrap();
    assert!(matches!(error, LogError::Stopped { .. }) && expected(root(error)), "{error}");
    let message = error.to_string();
    assert!(message.contains("must be reopened"), "{message}");
    let names_place = message.contains("log-") || message.contains("folder");
    assert!(names_place, "{message}");
    let last = run.last_position().unwrap_or(ledger_storage::log::LogPosition::START);
    for again in [log.submit(vec![]).map(drop), log.flush().map(drop), log.seal(), log.remove_before(last).map(drop)] {
        assert_eq!(again.unwrap_err().to_string(), message, "later calls name the first error");
    }
    assert!(run.tickets().all(Ticket::is_done), "a ticket was left waiting");
}

fn full_disk(seed: u64, dice: &mut Dice, tally: &mut Tally) {
    let (disk, mut log, mut run) = begin(seed, dice);
    let used: usize = contents(&disk).values().map(Vec::len).sum();
    disk.limit_space(Some(used as u64 + dice.roll(3_000)));
    work_until(&mut run, &mut log, dice, || false);
    assert_eq!(disk.faults().full, 1);
    tally.add("full disks", 1);
    is_stopped(&mut log, &run, |error| {
        error.to_string().contains("free some space") && matches!(error, DiskError::Full { .. })
    });
    drop(log);
    run.check(&open(&disk).unwrap());
    disk.limit_space(None);
    outlives(&disk, run, seed, dice);
}

fn failed_sync(seed: u64, dice: &mut Dice, tally: &mut Tally) {
    let (disk, mut log, mut run) = begin(seed, dice);
    disk.fail_sync(1 + dice.roll(30));
    let syncs = || disk.syncs();
    work_until(&mut run, &mut log, dice, || false);
    let stopped_at = syncs();
    tally.add("failed syncs", disk.faults().failed_syncs);
    is_stopped(&mut log, &run, |error| matches!(error, DiskError::Io { operation: Operation::Sync, .. }));
    assert_eq!(syncs(), stopped_at, "no sync is tried after a failed one");
    drop(log);
    outlives(&disk, run, seed, dice);
}

fn failed_write(seed: u64, dice: &mut Dice, tally: &mut Tally) {
    let (disk, mut log, mut run) = begin(seed, dice);
    disk.fail_write(1 + dice.roll(30));
    work_until(&mut run, &mut log, dice, || false);
    tally.add("failed writes", disk.faults().failed_writes);
    is_stopped(&mut log, &run, |error| matches!(error, DiskError::Io { operation: Operation::Write, .. }));
    drop(log);
    outlives(&disk, run, seed, dice);
}

type Case = fn(u64, &mut Dice, &mut Tally);

const FAULTS: [Case; 7] =
    [flipped_bit, misdirected_write, short_writes, short_reads, full_disk, failed_sync, failed_write];

/// `LEDGERKIT_SEEDS` sets the number of cases of a long run.
#[test]
fn every_fault_is_named_and_costs_nothing_acknowledged() {
    let mut tally = Tally::default();
    let cases = seeds(1, CASES);
    let count = cases.end - cases.start;
    for seed in cases {
        let _replay = Replay { test: TEST, seed };
        FAULTS[seed as usize % FAULTS.len()](seed, &mut Dice::new(seed), &mut tally);
    }
    println!("{tally:?}");
    if count < CASES {
        return;
    }
    let each = count / FAULTS.len() as u64;
    for (what, least) in [
        ("flipped bits", each),
        ("misdirected writes", each * 8 / 10),
        ("short writes", each),
        ("short reads", each),
        ("full disks", each),
        ("failed syncs", each),
        ("failed writes", each),
        ("named as damage", each),
        ("cut and seen to be shorter", 5),
    ] {
        assert!(tally.get(what) >= least, "{what}: {tally:?}");
    }
}
