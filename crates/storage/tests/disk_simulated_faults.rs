//! The simulated disk loses what a real one may lose and nothing else, and every fault that fires is counted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeSet;

use ledger_storage::disk::testing::conformance;
use ledger_storage::disk::{Disk, DiskError, File, Operation, SimulatedDisk};
use proptest::prelude::*;

fn bytes(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(0, &mut bytes).unwrap();
    bytes
}

fn bytes_of(disk: &SimulatedDisk, name: &str) -> Option<Vec<u8>> {
    disk.open(name).ok().map(|file| bytes(&*file))
}

/// A disk with one durable file and 3,000 unsynced bytes in it.
fn dirty() -> (SimulatedDisk, Box<dyn File>) {
    let disk = SimulatedDisk::new(1);
    let file = disk.create("a").unwrap();
    file.write_all_at(0, &[1; 1000]).unwrap();
    file.sync_data().unwrap();
    disk.sync_folder().unwrap();
    file.write_all_at(1000, &[2; 3000]).unwrap();
    (disk, file)
}

#[test]
fn a_simulated_disk_conforms_also_when_its_writes_are_short() {
    let disk = SimulatedDisk::new(1);
    conformance(&disk).unwrap();
    disk.shorten_writes(1);
    conformance(&disk).unwrap();
    assert!(disk.faults().short_writes > 0);
}

#[test]
fn what_was_synced_survives_and_what_was_not_may_be_lost_torn_or_stale() {
    let (disk, file) = dirty();
    assert_eq!(bytes_of(&disk.survivor(0), "a").unwrap(), [1; 1000]);
    assert_eq!(bytes_of(&disk.survivor(1), "a").unwrap(), bytes(&*file));
    let (mut lost, mut torn, mut stale, mut holes) = (0, 0, 0, 0);
    let mut outcomes = BTreeSet::new();
    for seed in 2..300 {
        let survivor = disk.survivor(seed);
        let left = bytes_of(&survivor, "a").unwrap();
        assert_eq!(left[..1000], [1; 1000]);
        assert!(left.len() <= 4000);
        let faults = survivor.faults();
        lost += faults.lost_pieces;
        torn += faults.torn_pieces;
        stale += faults.stale_pieces;
        holes += usize::from(left[1000..].windows(2).any(|pair| pair == [0, 2]));
        assert_eq!(bytes_of(&disk.survivor(seed), "a").unwrap(), left, "one seed, one survivor");
        outcomes.insert(left);
    }
    assert!(lost > 100 && torn > 50 && stale > 20 && holes > 20, "{lost} {torn} {stale} {holes}");
    assert!(outcomes.len() > 150, "only {} different survivors", outcomes.len());
    file.sync_data().unwrap();
    for seed in 0..50 {
        assert_eq!(bytes_of(&disk.survivor(seed), "a").unwrap().len(), 4000);
    }
}

#[test]
fn names_are_durable_only_when_the_folder_is_synced() {
    let (disk, _file) = dirty();
    disk.rename("a", "b").unwrap();
    disk.create("c").unwrap();
    assert_eq!(disk.survivor(0).list().unwrap(), ["a"]);
    assert_eq!(disk.survivor(0).faults().lost_names, 2);
    assert_eq!(disk.survivor(1).list().unwrap(), ["b", "c"]);
    let outcomes: BTreeSet<_> = (2..60).map(|seed| disk.survivor(seed).list().unwrap()).collect();
    assert_eq!(outcomes.len(), 4, "{outcomes:?}");
    disk.remove("c").unwrap();
    disk.sync_folder().unwrap();
    for seed in 0..20 {
        assert_eq!(disk.survivor(seed).list().unwrap(), ["b"]);
    }
}

#[test]
fn a_synced_file_whose_name_was_not_is_gone() {
    let disk = SimulatedDisk::new(1);
    let file = disk.create("a").unwrap();
    file.write_all_at(0, b"x").unwrap();
    file.sync_data().unwrap();
    assert!(disk.survivor(0).list().unwrap().is_empty());
    assert_eq!(bytes_of(&disk.survivor(1), "a").unwrap(), b"x");
}

#[test]
fn after_the_crash_nothing_works() {
    let (disk, file) = dirty();
    disk.crash_at(disk.operations() + 2);
    file.write_all_at(0, b"x").unwrap();
    let crashed = |error: DiskError| assert!(matches!(error, DiskError::Crashed { .. }), "{error}");
    crashed(file.sync_data().unwrap_err());
    crashed(file.sync_data().unwrap_err());
    crashed(file.read_at(0, &mut [0]).unwrap_err());
    crashed(file.len().unwrap_err());
    crashed(disk.list().unwrap_err());
    crashed(disk.open("a").unwrap_err());
    crashed(disk.create("b").unwrap_err());
    assert_eq!(disk.faults().crashes, 1);
    assert_eq!(bytes_of(&disk.survivor(0), "a").unwrap()[0], 1, "the sync that crashed made nothing durable");
    assert_eq!(bytes_of(&disk.survivor(1), "a").unwrap()[0], b'x');
}

#[test]
fn a_full_disk_takes_what_fits_and_then_nothing() {
    let (disk, file) = dirty();
    disk.limit_space(Some(4100));
    assert_eq!(file.write_at(4000, &[3; 200]).unwrap(), 100);
    let error = file.write_at(4100, &[3; 100]).unwrap_err();
    assert!(matches!(error, DiskError::Full { operation: Operation::Write, .. }), "{error}");
    assert!(matches!(file.set_len(4101), Err(DiskError::Full { operation: Operation::Resize, .. })));
    assert_eq!(file.write_at(0, &[3; 100]).unwrap(), 100, "what exists can be overwritten");
    assert_eq!(disk.faults().full, 2);
    assert_eq!(disk.faults().short_writes, 1);
    file.set_len(10).unwrap();
    assert_eq!(file.write_at(10, &[3; 100]).unwrap(), 100);
}

#[test]
fn a_failed_sync_drops_what_was_pending_for_good() {
    let (mut showed, mut kept) = (0, 0);
    for seed in 0..200 {
        let disk = SimulatedDisk::new(seed);
        let file = disk.create("a").unwrap();
        disk.sync_folder().unwrap();
        file.write_all_at(0, &[2; 3000]).unwrap();
        disk.fail_sync(1);
        assert!(matches!(file.sync_data(), Err(DiskError::Io { operation: Operation::Sync, .. })));
        assert_eq!(disk.faults().failed_syncs, 1);
        file.sync_data().unwrap();
        let (cached, durable) = (bytes(&*file), bytes_of(&disk.survivor(0), "a").unwrap());
        assert_eq!(bytes_of(&disk.survivor(1), "a").unwrap(), durable, "the good sync wrote nothing");
        showed += usize::from(cached != durable);
        kept += usize::from(durable.len() == 3000);
    }
    assert!(showed > 30, "the cache lies after a failed sync only {showed} times");
    assert!(kept > 10 && kept < 150, "{kept}");
}

#[test]
fn writes_can_be_short_and_fail() {
    let (disk, file) = dirty();
    disk.shorten_writes(1);
    let written = file.write_at(0, &[9; 100]).unwrap();
    assert!((1..100).contains(&written));
    file.write_all_at(0, &[9; 100]).unwrap();
    assert!(disk.faults().short_writes > 1);
    disk.shorten_writes(0);
    disk.fail_write(2);
    file.write_all_at(0, &[8; 100]).unwrap();
    assert!(matches!(file.write_at(0, &[7; 100]), Err(DiskError::Io { operation: Operation::Write, .. })));
    assert_eq!(disk.faults().failed_writes, 1);
}

#[test]
fn reads_can_be_short() {
    let (disk, file) = dirty();
    disk.shorten_reads(1);
    let mut bytes = [9; 100];
    let read = file.read_at(950, &mut bytes).unwrap();
    assert!((1..100).contains(&read));
    assert_eq!(bytes[read..], [9].repeat(100 - read), "what was not read is left as it was");
    file.read_exact_at(950, &mut bytes).unwrap();
    assert_eq!((&bytes[..50], &bytes[50..]), (&[1; 50][..], &[2; 50][..]));
    assert!(disk.faults().short_reads > 1);
    assert_eq!(file.read_at(3999, &mut bytes).unwrap(), 1);
    assert_eq!(file.read_at(4000, &mut bytes).unwrap(), 0);
}

#[test]
fn damage_at_rest_is_what_was_asked_for() {
    let (disk, file) = dirty();
    disk.flip_bit("a", 8 * 5 + 1).unwrap();
    assert_eq!(bytes(&*file)[4..7], [1, 3, 1]);
    assert_eq!(bytes_of(&disk.survivor(0), "a").unwrap()[4..7], [1, 3, 1]);
    disk.misdirect("a", 995, "a", 10, 10).unwrap();
    assert_eq!(bytes(&*file)[10..21], [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 1]);
    assert_eq!(bytes(&*file)[994..1006], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!((disk.faults().flipped_bits, disk.faults().misdirected_writes), (1, 1));
    assert!(disk.flip_bit("a", 8 * 4000).is_err());
    assert!(disk.misdirect("a", 3999, "a", 0, 2).is_err());
    assert!(disk.misdirect("b", 0, "a", 0, 2).is_err());
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, u8, usize),
    SetLen(usize),
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3000_usize, any::<u8>(), 0..1500_usize).prop_map(|(offset, byte, length)| Step::Write(offset, byte, length)),
        1 => (0..4000_usize).prop_map(Step::SetLen),
        1 => Just(Step::Sync),
    ]
}

proptest! {
    #[test]
    fn reads_see_all_writes_and_a_reboot_sees_at_least_the_synced_ones(steps in prop::collection::vec(step(), 1..30)) {
        let disk = SimulatedDisk::new(1);
        let file = disk.create("a").unwrap();
        disk.sync_folder().unwrap();
        let (mut model, mut synced) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Write(offset, byte, length) => {
                    file.write_all_at(offset as u64, &vec![byte; length]).unwrap();
                    if length > 0 && model.len() < offset + length {
                        model.resize(offset + length, 0);
                    }
                    if length > 0 {
                        model[offset..offset + length].fill(byte);
                    }
                }
                Step::SetLen(length) => {
                    file.set_len(length as u64).unwrap();
                    model.resize(length, 0);
                }
                Step::Sync => {
                    file.sync_data().unwrap();
                    synced.clone_from(&model);
                }
            }
            prop_assert_eq!(&bytes(&*file), &model);
            prop_assert_eq!(&bytes_of(&disk.survivor(0), "a").unwrap(), &synced);
            prop_assert_eq!(&bytes_of(&disk.survivor(1), "a").unwrap(), &model);
        }
    }
}
