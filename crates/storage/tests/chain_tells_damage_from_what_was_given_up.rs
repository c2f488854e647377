//! Results that a damaged archive can't show aren't said to have been given up: whoever is told that looks elsewhere, and
//! whoever is told of damage restores it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod chain_support;

use std::sync::Arc;

use chain_support::{Made, genesis, open, transaction};
use ledger_core::{Height, Status, Version};
use ledger_storage::archive::{Archive, ArchiveConfig, Entry};
use ledger_storage::chain::{ChainReader, StoreError};
use ledger_storage::disk::{Disk, SimulatedDisk};
use ledger_storage::engine::{Engine, MemoryEngine};
use ledger_storage::log::LogId;

const ID: LogId = LogId::new([7; 32]);

fn archive(disk: &SimulatedDisk) -> Archive {
    Archive::open(Arc::new(disk.clone()), ID, ArchiveConfig::default()).unwrap()
}

/// Blocks 1 to 6 with a result each, of which those up to 5 have left the views: up to 3 for one segment of the archive,
/// and the others for another.
fn grown(disk: &SimulatedDisk, engine: &Arc<dyn Engine>) {
    let mut store = open(engine, "tea");
    for number in 0..6 {
        let transactions = vec![(transaction("tea", number), Status::Succeeded)];
        Made::next(&store, vec![], transactions).apply(&mut store).unwrap();
    }
    let (reader, mut archive) = (store.reader(), archive(disk));
    for height in (1..=5).map(Height) {
        let results = reader.packed_results(height).unwrap();
        let chain = genesis("tea").chain();
        archive.append(&Entry { chain, height, block: b"block", certificate: b"seal", results: &results }).unwrap();
        if height == Height(3) {
            archive.seal().unwrap();
        }
    }
    archive.seal().unwrap();
    reader.drop_results_through(Height(5)).unwrap();
}

fn reader(engine: &Arc<dyn Engine>, archive: &Archive) -> ChainReader {
    let reader = open(engine, "tea").reader();
    reader.attach(archive.reader());
    reader
}

#[test]
fn what_an_unreadable_segment_may_have_is_not_called_given_up() {
    let (disk, engine): (_, Arc<dyn Engine>) = (SimulatedDisk::new(1), Arc::new(MemoryEngine::default()));
    grown(&disk, &engine);
    let told = reader(&engine, &archive(&disk));
    for height in (1..=6).map(Height) {
        assert_eq!(told.results(height).unwrap().len(), 1, "block {height}");
    }
    assert_eq!((told.verify().pruned, told.verify().damages), (0, vec![]));

    // What was given up is said to be.
    let mut released = archive(&disk.survivor(1));
    released.release(genesis("tea").chain(), Height(3)).unwrap();
    let told = reader(&engine, &released);
    assert!(matches!(told.results(Height(2)), Err(StoreError::Pruned { height: Height(2), .. })));
    assert_eq!((told.verify().pruned, told.verify().damages), (2, vec![]));

    let first = disk.list().unwrap()[0].clone();
    let footer = disk.open(&first).unwrap().len().unwrap() - 1;
    disk.flip_bit(&first, footer * 8).unwrap();
    let damaged = archive(&disk);
    assert_eq!(damaged.recovery().damaged.len(), 1);
    let told = reader(&engine, &damaged);
    for height in (1..=3).map(Height) {
        let refused = [told.results(height).map(|_| ()), told.result_at(Version { height, index: 0 }).map(|_| ())];
        for refused in refused {
            let Err(StoreError::Archive { height: named, reason }) = refused else { panic!("{refused:?}") };
            assert!(named == height && reason.contains(&first), "{reason}");
        }
    }
    assert_eq!(told.results(Height(4)).unwrap().len(), 1);
    let verified = told.verify();
    assert_eq!((verified.pruned, verified.damaged), (0, 3), "{verified:?}");
}
