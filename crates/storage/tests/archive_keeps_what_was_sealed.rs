//! After power is cut at any I/O point: what was sealed is there as it was appended; of what wasn't, whole segments are
//! there or nothing; nothing that is still needed was deleted; and opening, itself cut at any point, comes to the same end.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod archive_support;

use std::collections::{BTreeMap, BTreeSet};

use archive_support::{Blocks, Dice, Parts, chain, is_crash, open, segments};
use ledger_core::{ChainId, Height};
use ledger_storage::archive::{Archive, ArchiveError};
use ledger_storage::disk::{Disk, SimulatedDisk};

const OPERATIONS: u64 = 160;
const SURVIVORS: u64 = 16;

/// What a client of an archive knows.
#[derive(Default)]
struct Run {
    appended: Blocks,
    /// The last height of each chain when a seal returned.
    sealed: BTreeMap<ChainId, Height>,
    /// Told to the archive.
    floors: BTreeMap<ChainId, Height>,
    seals: u64,
    stopped: Option<ArchiveError>,
}

impl Run {
    fn go(&mut self, archive: &mut Archive, dice: &mut Dice) {
        for _ in 0..OPERATIONS {
            if let Err(error) = self.operate(archive, dice) {
                self.stopped = Some(error);
                return;
            }
        }
    }

    fn operate(&mut self, archive: &mut Archive, dice: &mut Dice) -> Result<(), ArchiveError> {
        match dice.roll(24) {
            0 | 1 => {
                archive.seal()?;
                self.seals += 1;
                for (chain, height) in self.appended.keys() {
                    self.sealed.insert(*chain, *height);
                }
                Ok(())
            }
            2 => {
                let chain = chain(dice.roll(4));
                let last = self.sealed.get(&chain).map_or(0, |last| last.0);
                let floor = self.floors.entry(chain).or_default();
                *floor = (*floor).max(Height(last.saturating_sub(dice.roll(6))));
                archive.release(chain, *floor).map(drop)
            }
            _ => {
                let chain = chain(dice.roll(4));
                let last = self.appended.range((chain, Height(0))..=(chain, Height(u64::MAX))).next_back();
                // Now and then a chain has a gap, as after a snapshot.
                let gap = if dice.roll(20) == 0 { 5 } else { 1 };
                let height = Height(last.map_or(dice.roll(3), |((_, last), _)| last.0 + gap));
                let parts = Parts::new(dice);
                // Noted before: a crash may keep what wasn't acknowledged.
                self.appended.insert((chain, height), parts.clone());
                archive.append(&parts.entry(chain, height))
            }
        }
    }

    /// The law; returns what there is.
    fn check(&self, archive: &Archive) -> BTreeSet<(ChainId, Height)> {
        let reader = archive.reader();
        assert!(archive.recovery().damaged.is_empty(), "{:?}", archive.recovery());
        let mut there = BTreeSet::new();
        for ((chain, height), parts) in &self.appended {
            match Parts::read(&reader, *chain, *height) {
                Ok(found) => {
                    assert_eq!(found, *parts, "block {height} isn't what was appended");
                    there.insert((*chain, *height));
                }
                Err(ArchiveError::Absent { .. }) => {
                    let sealed = self.sealed.get(chain).is_some_and(|last| height <= last);
                    let needed = self.floors.get(chain).is_none_or(|floor| height >= floor);
                    assert!(!(sealed && needed), "block {height} of {chain} was sealed, is needed, and is gone");
                }
                Err(error) => panic!("{error}"),
            }
        }
        let verified = reader.verify().unwrap();
        assert_eq!(verified.damaged, 0, "{:?}", verified.damages);
        // Each block is counted where it is found: more would be half a segment, or one there twice.
        assert_eq!(verified.blocks, there.len() as u64);
        there
    }
}

fn run(seed: u64, crash_at: Option<u64>) -> (SimulatedDisk, Run) {
    let disk = SimulatedDisk::new(seed);
    if let Some(operation) = crash_at {
        disk.crash_at(operation);
    }
    let mut run = Run::default();
    match open(&disk) {
        Ok(mut archive) => run.go(&mut archive, &mut Dice::new(seed)),
        Err(error) => run.stopped = Some(error),
    }
    (disk, run)
}

fn content(disk: &SimulatedDisk) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = Vec::new();
    for name in disk.list().unwrap() {
        let file = disk.open(&name).unwrap();
        bytes.resize(usize::try_from(file.len().unwrap()).unwrap(), 0);
        file.read_exact_at(0, &mut bytes).unwrap();
        hasher.update(name.as_bytes()).update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
    }
    *hasher.finalize().as_bytes()
}

fn recover(disk: &SimulatedDisk, run: &Run) -> BTreeSet<(ChainId, Height)> {
    let archive = open(disk).unwrap();
    let there = run.check(&archive);
    assert!(disk.list().unwrap().iter().all(|name| !name.ends_with(".new")), "an unfinished segment was left");
    there
}

#[test]
fn sealed_blocks_survive_a_crash_at_every_io_point() {
    let seed = 5;
    let (disk, whole) = run(seed, None);
    assert!(whole.stopped.is_none(), "{:?}", whole.stopped);
    let points = disk.operations();
    assert!(whole.seals >= 5 && points > 80, "{} seals, {points} points", whole.seals);
    let (mut different, mut lost, mut kept, mut torn, mut cut) = (0, 0, 0, 0, 0);
    for operation in 1..=points {
        let (disk, run) = run(seed, Some(operation));
        assert!(is_crash(run.stopped.as_ref().unwrap()), "{:?}", run.stopped);
        let mut seen = BTreeSet::new();
        for index in 0..SURVIVORS {
            let left = disk.survivor(if index < 2 { index } else { index + operation * 1_000_003 });
            // Survivors that agree in everything need only be looked at once.
            if !seen.insert(content(&left)) {
                continue;
            }
            different += 1;
            let untouched = left.survivor(1);
            torn += u64::from(left.faults().torn_pieces > 0);
            let there = recover(&left, &run);
            assert_eq!(recover(&left, &run), there, "opening twice differs");
            let unsealed = run.appended.keys().filter(|(chain, height)| run.sealed.get(chain) < Some(height));
            let (with, without) = unsealed.partition::<Vec<&(ChainId, Height)>, _>(|key| there.contains(key));
            kept += u64::from(!with.is_empty());
            lost += u64::from(!without.is_empty());
            // Opening changes the disk in a few operations; each may be the last.
            for nested in 1.. {
                let copy = untouched.survivor(1);
                copy.crash_at(nested);
                match open(&copy) {
                    Err(error) if is_crash(&error) => {}
                    _ => break,
                }
                cut += 1;
                assert_eq!(recover(&copy.survivor(nested), &run), there, "opening cut at {nested} ended elsewhere");
            }
        }
    }
    println!(
        "{points} points: {different} survivors, {lost} lost unsealed blocks, {kept} kept some, {torn} torn, {cut} cut again"
    );
    assert!(different > points * 3 && lost > points && kept > 20 && torn > 50 && cut > different);
}

#[test]
fn an_archive_goes_on_after_a_crash_where_it_was() {
    let seed = 9;
    let points = run(seed, None).0.operations();
    for operation in (1..=points).step_by(3) {
        let (disk, run) = run(seed, Some(operation));
        let left = disk.survivor(operation);
        let mut archive = open(&left).unwrap();
        for (chain, floor) in &run.floors {
            archive.release(*chain, *floor).unwrap();
        }
        // As from the log: everything that isn't there, in order.
        for ((chain, height), parts) in &run.appended {
            if archive.last(chain) < Some(*height) {
                archive.append(&parts.entry(*chain, *height)).unwrap();
            }
        }
        archive.seal().unwrap();
        drop(archive);
        let archive = open(&left.survivor(0)).unwrap();
        for ((chain, height), parts) in &run.appended {
            if run.floors.get(chain).is_none_or(|floor| height >= floor) {
                assert_eq!(Parts::read(&archive.reader(), *chain, *height).unwrap(), *parts);
            }
        }
    }
}

/// The first failed write, sync or full disk stops writing; what was sealed stays readable, and opening again goes on.
#[test]
fn a_failing_disk_stops_writing_and_costs_nothing_sealed() {
    let mut fired = [0; 3];
    for seed in 0..240_u64 {
        let disk = SimulatedDisk::new(seed);
        let mut archive = open(&disk).unwrap();
        let kind = usize::try_from(seed % 3).unwrap();
        match kind {
            0 => disk.fail_write(1 + seed / 3 % 40),
            1 => disk.fail_sync(1 + seed / 3 % 12),
            _ => disk.limit_space(Some(500 + seed * 37)),
        }
        disk.shorten_writes(5);
        disk.shorten_reads(5);
        let mut run = Run::default();
        run.go(&mut archive, &mut Dice::new(seed));
        let Some(error) = &run.stopped else { continue };
        assert!(matches!(error, ArchiveError::Disk(_)), "{error}");
        fired[kind] += 1;
        let parts = Parts { block: vec![1], certificate: vec![], results: vec![] };
        let later = archive.append(&parts.entry(chain(9), Height(1))).unwrap_err();
        assert!(matches!(later, ArchiveError::Stopped { .. }), "{later}");
        assert!(matches!(archive.seal().unwrap_err(), ArchiveError::Stopped { .. }));
        let there = Run { appended: run.appended.clone(), ..Run::default() };
        for (chain, last) in &run.sealed {
            let floor = run.floors.get(chain).copied().unwrap_or_default();
            for (key, parts) in there.appended.range((*chain, floor)..=(*chain, *last)) {
                assert_eq!(Parts::read(&archive.reader(), key.0, key.1).unwrap(), *parts);
            }
        }
        drop(archive);
        disk.limit_space(None);
        run.check(&open(&disk).unwrap());
        run.check(&open(&disk.survivor(seed)).unwrap());
    }
    assert!(fired.iter().all(|count| *count >= 40), "{fired:?}");
}

#[test]
fn segments_are_deleted_whole_and_the_newest_stays() {
    let disk = SimulatedDisk::new(3);
    let mut archive = open(&disk).unwrap();
    let (a, b) = (chain(1), chain(2));
    let parts = Parts { block: vec![5; 100], certificate: vec![6; 10], results: vec![7; 20] };
    for height in (1..=6).map(Height) {
        archive.append(&parts.entry(a, height)).unwrap();
        if height < Height(3) {
            archive.append(&parts.entry(b, height)).unwrap();
        }
        archive.seal().unwrap();
    }
    assert_eq!(segments(&disk).len(), 6);
    // Segments 1 and 2 have blocks of both.
    assert!(archive.release(a, Height(4)).unwrap() > 0);
    assert_eq!(segments(&disk).len(), 5, "only segment 3 is nobody's");
    let gone = archive.reader().block(a, Height(2)).unwrap_err();
    assert!(matches!(gone, ArchiveError::Released { floor: Height(4), .. }), "{gone}");
    assert_eq!(Parts::read(&archive.reader(), b, Height(2)).unwrap(), parts);
    archive.release(b, Height(u64::MAX)).unwrap();
    assert_eq!(segments(&disk).len(), 3);
    archive.release(a, Height(u64::MAX)).unwrap();
    assert_eq!(segments(&disk), ["arc-00000000000000000006"]);
    drop(archive);
    // Numbers never come back, and heights go on.
    let mut archive = open(&disk.survivor(0)).unwrap();
    assert_eq!(archive.last(&a), Some(Height(6)));
    let refused = archive.append(&parts.entry(a, Height(6))).unwrap_err();
    assert!(matches!(refused, ArchiveError::Order { last: Height(6), .. }), "{refused}");
    archive.append(&parts.entry(a, Height(7))).unwrap();
    archive.seal().unwrap();
    assert_eq!(archive.reader().held(&a).unwrap().to_string(), "blocks 6 to 7");
    archive.release(a, Height(7)).unwrap();
    assert_eq!(archive.counters().deleted, 1);
}
