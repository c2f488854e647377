//! The prototype that benches/state.rs measures, against a `BTreeMap`: values, presence, absence, ranges, old values,
//! compaction. A figure of a store that is wrong would be worth nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../benches/state/append_only.rs"]
#[allow(dead_code, reason = "the bench uses the rest")]
mod append_only;
#[path = "../benches/state/workload.rs"]
#[allow(dead_code, reason = "the bench uses the rest")]
mod workload;

use std::collections::BTreeMap;

use append_only::{AppendOnly, shared_bytes, verify_range};
use ledger_crypto::Digest;
use workload::{Random, key};

type Model = BTreeMap<[u8; 32], Vec<u8>>;

/// Batches of creations, updates and deletions of `keys` different keys, in the order of keys; the last root.
fn run(store: &mut AppendOnly, model: &mut Model, seed: u64, keys: u64, batches: u64) -> Digest {
    let mut random = Random::new(seed);
    let mut root = Digest::ZERO;
    for version in 1..=batches {
        let mut writes: BTreeMap<[u8; 32], Option<Vec<u8>>> = BTreeMap::new();
        for _ in 0..1 + random.below(300) {
            let value = (random.below(4) > 0).then(|| random.draw().to_le_bytes().repeat(2));
            writes.insert(key(random.below(keys)), value);
        }
        let list: Vec<_> = writes.iter().map(|(key, value)| (*key, value.as_deref())).collect();
        root = store.update(version, &list).unwrap();
        for (key, value) in writes {
            match value {
                Some(value) => drop(model.insert(key, value)),
                None => drop(model.remove(&key)),
            }
        }
    }
    root
}

#[test]
fn every_key_is_proven_present_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, mut model) = (AppendOnly::create(folder.path(), true).unwrap(), Model::new());
    let root = run(&mut store, &mut model, 1, 700, 60);
    assert!(model.len() > 100 && model.len() < 700);
    for number in 0..800 {
        let key = key(number);
        let expected = model.get(&key).map(Vec::as_slice);
        assert_eq!(store.get(&key).unwrap().as_deref(), expected);
        let proof = store.prove(&key).unwrap();
        assert_eq!(proof.value(&root, &key), Some(expected), "key {number}");
        // Neither against another root nor for another key.
        assert_eq!(proof.value(&Digest::ZERO, &key), None);
        let mut lie = store.prove(&key).unwrap();
        lie.entry.value.push(1);
        assert!(!lie.verify(&root));
    }
}

#[test]
fn a_range_is_complete_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, mut model) = (AppendOnly::create(folder.path(), true).unwrap(), Model::new());
    let root = run(&mut store, &mut model, 2, 500, 40);
    let keys: Vec<[u8; 32]> = model.keys().copied().collect();
    let (from, to) = (keys[20], keys[60]);
    let mut proofs = store.prove_range(&from, &to).unwrap();
    assert!(proofs.iter().map(|proof| proof.entry.key).eq(keys[20..60].iter().copied()));
    assert!(verify_range(&proofs, &root, &from, &to));
    assert!(shared_bytes(&proofs) < proofs.iter().map(append_only::EntryProof::bytes).sum());
    proofs.remove(7);
    assert!(!verify_range(&proofs, &root, &from, &to));
    proofs.truncate(7);
    assert!(!verify_range(&proofs, &root, &from, &to));
    // A range without keys is shown by the entry before it.
    let mut gap = keys[20];
    gap[5] = gap[5].wrapping_add(1);
    assert!(keys[20] < gap && gap < keys[21]);
    let proofs = store.prove_range(&gap, &keys[21]).unwrap();
    assert!(proofs.len() == 1 && verify_range(&proofs, &root, &gap, &keys[21]));
    assert!(!verify_range(&proofs, &root, &gap, &keys[22]));
}

#[test]
fn an_outdated_proof_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = AppendOnly::create(folder.path(), true).unwrap();
    let old = store.update(1, &[(key(1), Some(b"old"))]).unwrap();
    let proof = store.prove(&key(1)).unwrap();
    assert_eq!(proof.value(&old, &key(1)), Some(Some(b"old".as_slice())));
    let new = store.update(2, &[(key(1), Some(b"new"))]).unwrap();
    assert_eq!(proof.value(&new, &key(1)), None);
    assert_eq!(store.get_at(&key(1), 1).unwrap().as_deref(), Some(b"old".as_slice()));
    assert_eq!(store.get_at(&key(1), 0).unwrap(), None);
}

/// What the comparison of docs/storage.md says of this design, and what the sorted tree doesn't do.
#[test]
fn the_root_depends_on_the_order_of_operations() {
    let root_of = |order: [u64; 2]| {
        let folder = tempfile::tempdir().unwrap();
        let mut store = AppendOnly::create(folder.path(), true).unwrap();
        order.map(|number| store.update(1, &[(key(number), Some(b"value"))]).unwrap())[1]
    };
    assert_eq!(root_of([1, 2]), root_of([1, 2]));
    assert_ne!(root_of([1, 2]), root_of([2, 1]));
}

#[test]
fn compaction_bounds_the_dead_entries_and_keeps_the_live_ones() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = AppendOnly::create(folder.path(), false).unwrap();
    let mut root = Digest::ZERO;
    let keys = 2_000;
    // Enough for the first file to be given up.
    for version in 0..130_u64 {
        let mut writes: Vec<_> = (0..keys).map(|number| (key(number), version.to_le_bytes())).collect();
        // Some keys are left alone, so that compaction has something to move.
        writes.retain(|(key, _)| version == 0 || key[0] > 100);
        writes.sort_unstable_by_key(|(key, _)| *key);
        let list: Vec<_> = writes.iter().map(|(key, value)| (*key, Some(value.as_slice()))).collect();
        root = store.update(version, &list).unwrap();
    }
    assert!(store.moved > 0);
    assert!(!folder.path().join("0.entries").exists(), "no file was given up");
    for number in 0..keys {
        let proof = store.prove(&key(number)).unwrap();
        assert!(proof.value(&root, &key(number)).flatten().is_some());
    }
}
