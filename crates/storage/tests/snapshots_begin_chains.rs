//! A snapshot is exactly the state of its height whatever is written meanwhile, and a chain that begins from it goes on
//! as the original does: in one piece or not at all, after crashes at any moment.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod chain_support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chain_support::{Made, Model, advance, genesis, namespace, open, rejected, transaction, writes};
use ledger_core::codec::Bytes;
use ledger_core::state::tree;
use ledger_core::{
    Checkpoint, CheckpointBundle, Header, Height, Key, SnapshotChunk, SnapshotError, SnapshotManifest, StateError,
    StateView, TrustRoot, VerifiedSnapshot, Version, Versioned, Write, domains,
};
use ledger_crypto::merkle::verify_inclusion;
use ledger_crypto::{MemorySigner, Signer};
use ledger_storage::chain::{ChainConfig, ChainReader, ChainStore, StoreError};
use ledger_storage::disk::{Disk, DiskError, SimulatedDisk};
use ledger_storage::engine::{Engine, MemoryConfig, MemoryEngine};
use ledger_storage::snapshot::{
    ExportConfig, MANIFEST_FILE, SnapshotExport, SnapshotImport, SnapshotStoreError, chunk_file, export_to_folder,
    import_from_folder, verify_folder,
};
use ledger_storage::state::{Kept, StateConfig};
use proptest::prelude::*;

const SMALL: ExportConfig = ExportConfig { chunk_bytes: 1 << 10 };

fn trust() -> TrustRoot {
    TrustRoot::new(genesis("tea"))
}

fn certify(header: Header) -> Checkpoint {
    let certificate = match header.height {
        Height::GENESIS => Bytes::default(),
        _ => {
            let signature = MemorySigner::from_seed([1; 32]).sign(domains::SIGN_SOLO, header.digest().as_bytes());
            Bytes::from(signature.unwrap().as_bytes().as_slice())
        }
    };
    Checkpoint { header, certificate }
}

/// Applies a block that writes `writes`, certified as the owner does.
fn apply(store: &mut ChainStore, writes: Vec<Write>) -> Made {
    let mut made = Made::next(store, writes, vec![]);
    made.certificate = certify(made.block.header.clone()).certificate.to_vec();
    made.apply(store).unwrap();
    made
}

/// The checkpoint whose history ends with the newest block.
fn checkpoint(store: &ChainStore) -> CheckpointBundle {
    certify(Made::next(store, vec![], vec![]).block.header).into()
}

fn engine() -> Arc<dyn Engine> {
    Arc::new(MemoryEngine::default())
}

type Pieces = Vec<(SnapshotChunk, Vec<u8>)>;

/// All chunks, with `between` before each.
fn export(mut export: SnapshotExport, mut between: impl FnMut()) -> (VerifiedSnapshot, Pieces) {
    let mut pieces = Vec::new();
    loop {
        between();
        match export.next_chunk().unwrap() {
            Some(piece) => pieces.push(piece),
            None => break,
        }
    }
    (export.finish().unwrap().verify(&trust()).unwrap(), pieces)
}

fn entries(snapshot: &VerifiedSnapshot, pieces: &Pieces) -> Vec<(Key, Versioned)> {
    let chunks = pieces.iter().enumerate();
    chunks.flat_map(|(index, (_, bytes))| snapshot.verify_chunk(index, bytes).unwrap()).collect()
}

fn live(model: &Model, at: Height) -> Vec<(Key, Versioned)> {
    let keys = model.versions.keys();
    keys.filter_map(|key| Some((key.clone(), model.get(key, at)?))).collect()
}

/// Everything of a chain from `from` on that doesn't depend on how it began.
fn told(reader: &ChainReader, from: Height, keys: &[Key]) -> Vec<String> {
    let newest = reader.head().header.height;
    let mut all = Vec::new();
    for height in (from.0..=newest.0).map(Height) {
        let block = reader.block(height).unwrap();
        all.push(format!("{:?} {:?} {:?}", block.header, block.outcome, block.certificate));
        all.push(format!("{:?}", reader.history_head(height.0 + 1).unwrap()));
        all.push(format!("{:?}", reader.history_path(height, newest.0 + 1).unwrap()));
        all.push(format!("{:?}", reader.consistency(height.0 + 1, newest.0 + 1).unwrap()));
        let state = reader.state_at(height).unwrap();
        for key in keys {
            all.push(format!("{:?}", state.get(key).unwrap()));
            all.push(format!("{:?}", reader.prove(height, key).unwrap()));
        }
        let pairs = keys.windows(2).filter(|pair| pair[0] < pair[1]);
        all.extend(pairs.map(|pair| format!("{:?}", reader.prove_range(height, &pair[0], Some(&pair[1])).unwrap())));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_is_the_state_of_its_height_and_its_chain_goes_on_alike(
        before in prop::collection::vec(writes(), 0..12),
        during in prop::collection::vec(writes(), 0..40),
        after in prop::collection::vec(writes(), 1..6),
        order in any::<prop::sample::Index>(),
        reopen in any::<prop::sample::Index>(),
    ) {
        let mut store = open(&engine(), "tea");
        let mut model = Model::default();
        for writes in before {
            let made = apply(&mut store, writes);
            model.apply(made.block.header.height, &made.execution.writes);
        }
        let at = store.head().header.height;
        let begun = SnapshotExport::begin(&store.reader(), checkpoint(&store), SMALL).unwrap();
        let mut meanwhile = during.into_iter();
        let mut blocks = Vec::new();
        let (snapshot, pieces) = export(begun, || {
            for writes in meanwhile.by_ref().take(2) {
                blocks.push(apply(&mut store, writes));
            }
        });

        let expected = live(&model, at);
        prop_assert_eq!(snapshot.height(), at);
        prop_assert_eq!(&entries(&snapshot, &pieces), &expected);
        for (index, (chunk, bytes)) in pieces.iter().enumerate() {
            let to = pieces.get(index + 1).map(|(next, _)| &next.from);
            prop_assert_eq!(bytes, &ledger_core::codec::encode(&tree::prove_range(&expected, &chunk.from, to)));
        }

        // Any order, and left and opened again in the middle.
        let other = engine();
        let begin = || SnapshotImport::open(Arc::clone(&other), &genesis("tea"), snapshot.clone(), ChainConfig::default()).unwrap();
        let mut import = begin();
        let (first, pause) = (order.index(pieces.len()), reopen.index(pieces.len()));
        for step in 0..pieces.len() {
            let index = (first + step) % pieces.len();
            prop_assert!(import.missing().any(|missing| missing == index));
            import.add(index, &pieces[index].1).unwrap();
            if step == pause {
                drop(import);
                let pending = SnapshotImport::pending(&*other, &genesis("tea").chain()).unwrap().unwrap();
                prop_assert_eq!(&pending, snapshot.manifest());
                import = begin();
            }
        }
        let missing: Vec<usize> = import.missing().collect();
        for index in missing {
            prop_assert_eq!(pieces[index].1.as_slice(), &[0_u8][..], "only what is empty leaves no trace");
            import.add(index, &pieces[index].1).unwrap();
        }
        let mut copy = import.finish().unwrap();
        prop_assert_eq!(SnapshotImport::pending(&*other, &genesis("tea").chain()).unwrap(), None);

        // The rest of the chain has the same roots, blocks, proofs.
        for writes in after {
            blocks.push(apply(&mut store, writes));
        }
        let keys: Vec<Key> = blocks.iter().flat_map(|made| made.execution.writes.iter()).map(|write| write.key.clone())
            .chain(expected.iter().map(|(key, _)| key.clone())).step_by(5).take(12).collect();
        for (number, made) in blocks.iter().enumerate() {
            let applied = made.apply(&mut copy).unwrap();
            prop_assert_eq!(applied.outcome, store.reader().outcome(made.block.header.height).unwrap());
            if number == blocks.len() / 2 {
                drop(copy);
                copy = open(&other, "tea");
            }
        }
        prop_assert_eq!(told(&copy.reader(), at, &keys), told(&store.reader(), at, &keys));
        let copy = open(&other, "tea");
        prop_assert_eq!(told(&copy.reader(), at, &keys), told(&store.reader(), at, &keys));
    }
}

fn lot(number: u32) -> Key {
    Key::new(namespace(5), format!("lot {number:06}").as_bytes())
}

fn put(key: Key, value: Vec<u8>) -> Write {
    Write { key, index: 0, value: Some(Bytes::from(value)) }
}

/// A chain with a few blocks and some thousand bytes of state.
fn small_chain(lots: u32) -> ChainStore {
    let mut store = open(&engine(), "tea");
    for block in 0..4 {
        let own = (0..lots).filter(|number| number % 4 == block).map(|number| put(lot(number), vec![1; 60]));
        apply(&mut store, own.collect());
    }
    store
}

#[test]
fn a_writer_on_another_thread_changes_nothing_in_a_snapshot() {
    let mut store = small_chain(4_000);
    let at = store.head().header.height;
    let mut expected = BTreeMap::new();
    for (number, key) in (0..4_000).map(|number| (number, lot(number))) {
        let version = Version { height: Height(u64::from(number % 4) + 1), index: 0 };
        expected.insert(key, Versioned { value: Bytes::from(vec![1; 60]), version, predecessor: None });
    }
    let begun =
        SnapshotExport::begin(&store.reader(), checkpoint(&store), ExportConfig { chunk_bytes: 8 << 10 }).unwrap();
    let stop = AtomicBool::new(false);
    let (snapshot, pieces, blocks) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut blocks = 0u32;
            // The window, which is 256, is left behind; the pin holds for four of them.
            while (blocks < 300 || !stop.load(Ordering::Relaxed)) && blocks < 900 {
                let changed = (0..40).map(|number| put(lot((blocks * 97 + number * 101) % 5_000), vec![2; 70]));
                let gone = Write { key: lot(blocks * 13 % 4_000), index: 1, value: None };
                apply(&mut store, changed.chain([gone]).collect());
                blocks += 1;
            }
            blocks
        });
        let (snapshot, pieces) = export(begun, || std::thread::sleep(std::time::Duration::from_millis(2)));
        stop.store(true, Ordering::Relaxed);
        (snapshot, pieces, writer.join().unwrap())
    });
    assert!(blocks >= 300 && pieces.len() > 30, "{blocks} blocks beside {} chunks", pieces.len());
    assert_eq!(snapshot.height(), at);
    assert_eq!(entries(&snapshot, &pieces), expected.into_iter().collect::<Vec<_>>());
}

#[test]
fn pins_are_few_and_end() {
    let config = ChainConfig { state: StateConfig { window_blocks: 4, ..StateConfig::default() } };
    let mut store = ChainStore::open(engine(), &genesis("tea"), config).unwrap();
    apply(&mut store, (0..200).map(|number| put(lot(number), vec![1; 60])).collect());
    let begin = |store: &ChainStore| SnapshotExport::begin(&store.reader(), checkpoint(store), SMALL);
    let (mut first, second) = (begin(&store).unwrap(), begin(&store).unwrap());
    assert!(matches!(begin(&store), Err(SnapshotStoreError::Busy)));
    drop(second);
    drop(begin(&store).unwrap());
    for block in 0..16 {
        assert!(first.next_chunk().is_ok_and(|piece| piece.is_some() || block > 10), "after {block} blocks");
        assert!(store.reader().oldest_provable() <= Height(1), "pinned after {block} blocks");
        advance(&mut store, vec![put(lot(0), vec![2; 60])]);
    }
    let mut last = begin(&store).unwrap();
    advance(&mut store, vec![put(lot(0), vec![3; 60])]);
    match first.next_chunk() {
        // All was made in time.
        Ok(None) => {}
        Err(SnapshotStoreError::Outlived { height: Height(1), blocks: 16 }) => {}
        other => panic!("{other:?}"),
    }
    drop(first);
    assert!(last.next_chunk().unwrap().is_some());
    for _ in 0..17 {
        advance(&mut store, vec![put(lot(0), vec![4; 60])]);
    }
    let error = last.next_chunk().unwrap_err();
    assert!(matches!(error, SnapshotStoreError::Outlived { height: Height(17), blocks: 16 }), "{error}");
    drop(last);
    advance(&mut store, vec![]);
    assert_eq!(store.reader().oldest_provable(), Height(store.head().header.height.0 - 4));
}

#[test]
fn checkpoints_that_prove_no_snapshot_are_refused_by_name() {
    let mut store = small_chain(10);
    let begin = |checkpoint| SnapshotExport::begin(&store.reader(), checkpoint, SMALL).unwrap_err();
    let genesis_only = CheckpointBundle::from(certify(genesis("tea").header()));
    assert!(matches!(begin(genesis_only), SnapshotStoreError::NothingExecuted { height: Height(0) }));
    let mut forged = checkpoint(&store);
    forged.checkpoint.header.history.root = ledger_crypto::Digest::ZERO;
    assert!(matches!(begin(forged), SnapshotStoreError::OtherHistory { size: 5, .. }));
    let mut early = checkpoint(&store);
    early.checkpoint.header.history.size += 1;
    assert!(matches!(begin(early), SnapshotStoreError::Store(StoreError::State(StateError::Height { .. }))));
    let mut foreign = checkpoint(&store);
    foreign.checkpoint.header.chain = genesis("milk").chain();
    assert!(matches!(begin(foreign), SnapshotStoreError::WrongChain { .. }));
    // What was refused leaves no pin.
    advance(&mut store, vec![]);
    drop(SnapshotExport::begin(&store.reader(), checkpoint(&store), SMALL).unwrap());
}

#[test]
fn what_was_before_a_snapshot_is_refused_by_name() {
    let mut store = small_chain(100);
    let spoken = transaction("tea", 1);
    Made::next(&store, vec![], vec![(spoken.clone(), rejected())]).apply(&mut store).unwrap();
    apply(&mut store, vec![put(lot(0), vec![7])]);
    let at = store.head().header.height;
    let begun = SnapshotExport::begin(&store.reader(), checkpoint(&store), SMALL).unwrap();
    let (snapshot, pieces) = export(begun, || {});
    let other = engine();
    // A chain whose genesis alone was written may begin from a snapshot.
    drop(open(&other, "tea"));
    let mut import =
        SnapshotImport::open(Arc::clone(&other), &genesis("tea"), snapshot.clone(), ChainConfig::default()).unwrap();
    let error = import.add(0, &pieces[1].1).unwrap_err();
    let SnapshotStoreError::Snapshot(error) = error else { panic!("{error}") };
    assert!(matches!(
        *error,
        SnapshotError::ChunkLength { chunk: 0, .. } | SnapshotError::ChunkDigest { chunk: 0, .. }
    ));
    for (index, (_, bytes)) in pieces.iter().enumerate().skip(1) {
        import.add(index, bytes).unwrap();
        import.add(index, bytes).unwrap();
    }
    let incomplete = import.finish().unwrap_err();
    assert!(matches!(incomplete, SnapshotStoreError::Incomplete { missing: 1, first: 0 }));
    let mut import =
        SnapshotImport::open(Arc::clone(&other), &genesis("tea"), snapshot.clone(), ChainConfig::default()).unwrap();
    assert_eq!(import.missing().collect::<Vec<_>>(), [0]);
    import.add(0, &pieces[0].1).unwrap();
    let mut copy = import.finish().unwrap();
    assert_eq!(copy.head().position, None);

    let reader = copy.reader();
    let before = StoreError::BeforeSnapshot { height: Height(5), oldest: at };
    assert_eq!(reader.block(Height(5)).unwrap_err(), before);
    assert_eq!(
        reader.results(Height(5)).unwrap_err(),
        StoreError::BeforeSnapshot { height: Height(5), oldest: at.next() }
    );
    assert_eq!(reader.history_path(Height(5), at.0 + 1).unwrap_err(), before);
    assert!(matches!(reader.consistency(5, at.0 + 1), Err(StoreError::BeforeSnapshot { .. })));
    assert!(reader.consistency(0, at.0 + 1).unwrap().is_empty());
    let height = StateError::Height { height: Height(5), oldest: at, newest: at };
    assert!(matches!(reader.state_at(Height(5)), Err(StoreError::State(error)) if error == height));
    assert!(matches!(reader.prove(Height(5), &lot(0)), Err(StoreError::State(error)) if error == height));
    assert_eq!(reader.place(&spoken.transaction.id()).unwrap(), None);
    // The newest value is there, and says that it had a predecessor.
    let values = reader.value_history(&lot(0), None, 10).unwrap();
    assert_eq!(values.len(), 1);
    assert!(values[0].value.as_ref().unwrap().predecessor.is_some());
    // The snapshot's own block is provable.
    let (block, head) = (reader.block(at).unwrap(), copy.head().history);
    let path = reader.history_path(at, head.size).unwrap();
    let leaf = ledger_core::history::leaf(&block.header.digest(), &block.outcome.digest());
    verify_inclusion::<ledger_core::history::HistoryHasher>(&head.root, head.size, at.0, &leaf, &path).unwrap();

    advance(&mut copy, vec![put(lot(1), vec![8])]);
    let again = SnapshotImport::open(Arc::clone(&other), &genesis("tea"), snapshot.clone(), ChainConfig::default());
    assert!(matches!(again, Err(SnapshotStoreError::ChainExists { height, .. }) if height == at.next()));
    let foreign = SnapshotImport::open(other, &genesis("milk"), snapshot, ChainConfig::default());
    assert!(matches!(foreign, Err(SnapshotStoreError::WrongChain { .. })));
}

#[test]
fn an_import_of_another_snapshot_begins_anew() {
    let mut store = small_chain(300);
    let (old, old_pieces) = export(SnapshotExport::begin(&store.reader(), checkpoint(&store), SMALL).unwrap(), || {});
    apply(&mut store, vec![put(lot(0), vec![9])]);
    let (new, pieces) = export(SnapshotExport::begin(&store.reader(), checkpoint(&store), SMALL).unwrap(), || {});
    let other = engine();
    let begin = |snapshot: &VerifiedSnapshot| {
        SnapshotImport::open(Arc::clone(&other), &genesis("tea"), snapshot.clone(), ChainConfig::default()).unwrap()
    };
    let mut import = begin(&old);
    import.add(0, &old_pieces[0].1).unwrap();
    let mut import = begin(&new);
    assert_eq!(import.missing().count(), pieces.len());
    for (index, (_, bytes)) in pieces.iter().enumerate() {
        import.add(index, bytes).unwrap();
    }
    let copy = import.finish().unwrap();
    assert_eq!(
        (copy.head().outcome.clone(), copy.head().history),
        (store.head().outcome.clone(), store.head().history)
    );

    let third = engine();
    let mut import = SnapshotImport::open(Arc::clone(&third), &genesis("tea"), old, ChainConfig::default()).unwrap();
    import.add(0, &old_pieces[0].1).unwrap();
    import.discard().unwrap();
    assert_eq!(SnapshotImport::pending(&*third, &genesis("tea").chain()).unwrap(), None);
}

/// After a crash behind any batch of an import, whatever became of its bulk bytes, the chain has no views or all of
/// them; and an import goes on to the same end.
#[test]
fn a_crash_leaves_no_half_of_a_state() {
    let store = small_chain(300);
    let (snapshot, pieces) = export(SnapshotExport::begin(&store.reader(), checkpoint(&store), SMALL).unwrap(), || {});
    assert!(pieces.len() > 8);
    let memory = MemoryEngine::new(MemoryConfig { kept_batches: 1_000 });
    let begin = |engine: &MemoryEngine| {
        SnapshotImport::open(Arc::new(engine.clone()), &genesis("tea"), snapshot.clone(), ChainConfig::default())
    };
    let mut import = begin(&memory).unwrap();
    for (index, (_, bytes)) in pieces.iter().enumerate() {
        import.add(index, bytes).unwrap();
    }
    drop(import.finish().unwrap());
    let (mut whole, mut resumed, mut begun) = (0, 0, 0);
    for batch in 0..=memory.batches() {
        for seed in 0..4 {
            let left = memory.rewind_torn(batch, seed).unwrap();
            let reader = || open(&(Arc::new(left.clone()) as Arc<dyn Engine>), "tea");
            if let Err(error) = begin(&left) {
                assert!(matches!(error, SnapshotStoreError::ChainExists { .. }), "{error}");
                whole += 1;
                assert_eq!(reader().head().outcome, store.head().outcome);
                continue;
            }
            let mut import = begin(&left).unwrap();
            let missing: Vec<usize> = import.missing().collect();
            *(if missing.len() < pieces.len() { &mut resumed } else { &mut begun }) += 1;
            for index in missing {
                import.add(index, &pieces[index].1).unwrap();
            }
            assert_eq!(import.finish().unwrap().head().outcome, store.head().outcome, "batch {batch}, seed {seed}");
            assert_eq!(reader().state().root(), store.state().root());
        }
    }
    assert!(whole > 0 && resumed > 20 && begun > 0, "{whole} whole, {resumed} resumed, {begun} begun anew");
}

#[test]
fn a_folder_holds_a_snapshot_and_damage_to_it_is_named() {
    let mut store = small_chain(200);
    let folder = SimulatedDisk::new(1);
    let begin = |store: &ChainStore| SnapshotExport::begin(&store.reader(), checkpoint(store), SMALL).unwrap();
    export_to_folder(begin(&store), &folder).unwrap();
    apply(&mut store, vec![put(lot(0), vec![9])]);
    let manifest = export_to_folder(begin(&store), &folder).unwrap();
    let mut names: Vec<String> = manifest.chunks.iter().map(chunk_file).chain([MANIFEST_FILE.to_owned()]).collect();
    names.sort();
    assert_eq!(folder.list().unwrap(), names, "nothing is left of the older snapshot");

    let import = |folder: &SimulatedDisk, engine: Arc<dyn Engine>| {
        import_from_folder(folder, &trust(), engine, ChainConfig::default())
    };
    assert_eq!(import(&folder, engine()).unwrap().head().outcome, store.head().outcome);

    // What is good is kept, and the rest comes when it is there again.
    let (kept, name) = (engine(), chunk_file(&manifest.chunks[3]));
    folder.flip_bit(&name, 999).unwrap();
    let error = import(&folder, Arc::clone(&kept)).unwrap_err();
    let SnapshotStoreError::Damaged { file, error: reason } = &error else { panic!("{error}") };
    assert!(*file == name && matches!(**reason, SnapshotError::ChunkDigest { chunk: 3, .. }));
    assert!(error.to_string().starts_with(&format!("{name} is damaged: chunk 3 of the snapshot of chain ")));
    folder.remove(&name).unwrap();
    let error = import(&folder, Arc::clone(&kept)).unwrap_err();
    assert_eq!(error.to_string(), format!("{name} is missing: it is chunk 3 of the snapshot at height 5"));
    export_to_folder(begin(&store), &folder).unwrap();
    let file = folder.open(&name).unwrap();
    file.set_len(file.len().unwrap() - 1).unwrap();
    let error = import(&folder, Arc::clone(&kept)).unwrap_err();
    let SnapshotStoreError::Damaged { error: reason, .. } = &error else { panic!("{error}") };
    assert!(matches!(**reason, SnapshotError::ChunkLength { chunk: 3, .. }));
    file.set_len(1 << 30).unwrap();
    let error = import(&folder, Arc::clone(&kept)).unwrap_err();
    assert!(matches!(error, SnapshotStoreError::FileLength { found, .. } if found == 1 << 30), "{error}");
    export_to_folder(begin(&store), &folder).unwrap();
    assert_eq!(import(&folder, kept).unwrap().head().outcome, store.head().outcome);

    folder.flip_bit(MANIFEST_FILE, 8).unwrap();
    assert!(import(&folder, engine()).is_err());
    folder.remove(MANIFEST_FILE).unwrap();
    let error = import(&folder, engine()).unwrap_err();
    assert_eq!(error.to_string(), "manifest is missing: the folder holds no whole snapshot");
}

/// A power cut at any operation of an export leaves a folder without a manifest, or with a whole snapshot: the old one
/// or the new.
#[test]
fn a_folder_with_a_manifest_is_whole_after_a_crash_at_any_operation() {
    let mut store = small_chain(60);
    let begin = |store: &ChainStore| SnapshotExport::begin(&store.reader(), checkpoint(store), SMALL).unwrap();
    let old = begin(&store).finish().unwrap();
    let older = begin(&store);
    apply(&mut store, vec![put(lot(0), vec![9])]);
    let new: SnapshotManifest = begin(&store).finish().unwrap();
    let prepared = SimulatedDisk::new(7);
    export_to_folder(older, &prepared).unwrap();
    let prepared = prepared.survivor(0);
    let (mut none, mut of_old, mut of_new) = (0, 0, 0);
    for operation in 1.. {
        let disk = prepared.survivor(operation);
        let before = disk.operations();
        disk.crash_at(before + operation);
        let done = match export_to_folder(begin(&store), &disk) {
            Ok(_) => true,
            Err(SnapshotStoreError::Disk(DiskError::Crashed { .. })) => false,
            Err(other) => panic!("operation {operation}: {other}"),
        };
        for seed in 0..8 {
            let left = disk.survivor(seed);
            let names = left.list().unwrap();
            if !names.iter().any(|name| name == MANIFEST_FILE) {
                none += 1;
                assert!(!done);
                continue;
            }
            let copy = import_from_folder(&left, &trust(), engine(), ChainConfig::default()).unwrap();
            let outcome = copy.head().outcome.clone();
            assert!(outcome == new.outcome || (outcome == old.outcome && !done), "operation {operation}, seed {seed}");
            *(if outcome == new.outcome { &mut of_new } else { &mut of_old }) += 1;
        }
        if done {
            break;
        }
    }
    assert!(none > 0 && of_old > 0 && of_new > 0, "{none} without manifest, {of_old} old, {of_new} new");
}

#[test]
fn a_chain_without_keys_has_a_snapshot() {
    let store = open(&engine(), "tea");
    let (snapshot, pieces) = export(SnapshotExport::begin(&store.reader(), checkpoint(&store), SMALL).unwrap(), || {});
    assert_eq!((snapshot.height(), pieces.len()), (Height(0), 1));
    let mut import = SnapshotImport::open(engine(), &genesis("tea"), snapshot, ChainConfig::default()).unwrap();
    import.add(0, &pieces[0].1).unwrap();
    assert_eq!(import.finish().unwrap().head(), store.head());
}

/// On a real disk: through a folder, with the import left and the engine closed in between, and large values.
#[test]
fn a_snapshot_goes_through_real_folders() {
    use ledger_storage::disk::RealDisk;
    use ledger_storage::engine::{FjallConfig, FjallEngine};
    let (views, copies, folder) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open_in = |folder: &tempfile::TempDir| -> Arc<dyn Engine> {
        Arc::new(FjallEngine::open(folder.path(), FjallConfig::default()).unwrap())
    };
    let mut store = open(&open_in(&views), "tea");
    apply(&mut store, (0..3_000).map(|number| put(lot(number), vec![1; 60])).collect());
    apply(&mut store, (0..3).map(|number| put(lot(7_000 + number), vec![3; 6 << 20])).collect());
    let disk = RealDisk::open(folder.path()).unwrap();
    let config = ExportConfig { chunk_bytes: 32 << 10 };
    let begun = SnapshotExport::begin(&store.reader(), checkpoint(&store), config).unwrap();
    let manifest = export_to_folder(begun, &disk).unwrap();
    let late = chunk_file(manifest.chunks.last().unwrap());
    disk.rename(&late, "elsewhere").unwrap();
    let error = import_from_folder(&disk, &trust(), open_in(&copies), ChainConfig::default()).unwrap_err();
    assert!(matches!(error, SnapshotStoreError::Missing { .. }), "{error}");
    disk.rename("elsewhere", &late).unwrap();
    let snapshot = manifest.clone().verify(&trust()).unwrap();
    let engine = open_in(&copies);
    let begun = SnapshotImport::open(Arc::clone(&engine), &genesis("tea"), snapshot, ChainConfig::default()).unwrap();
    assert_eq!(begun.missing().collect::<Vec<_>>(), [manifest.chunks.len() - 1], "the rest is there still");
    drop((begun, engine));
    let mut copy = import_from_folder(&disk, &trust(), open_in(&copies), ChainConfig::default()).unwrap();
    let made = Made::next(&store, vec![put(lot(1), vec![8])], vec![]);
    let (original, continued) = (made.apply(&mut store).unwrap(), made.apply(&mut copy).unwrap());
    assert_eq!(original.outcome, continued.outcome);
    drop(copy);
    assert_eq!(open(&open_in(&copies), "tea").state().root(), original.outcome.state_root);
}

/// Versions are forgotten on both sides: behind an export, which must not miss them, and in a chain that began from a
/// snapshot, whose first records come from chunks.
#[test]
fn forgetting_versions_harms_no_snapshot() {
    let state = StateConfig {
        window_blocks: 4,
        kept: Kept::Last(4),
        pruning_bytes: 4 << 10,
        checkpoint_bytes: 4 << 10,
        ..StateConfig::default()
    };
    let config = ChainConfig { state };
    let (first, second) = (
        Arc::new(MemoryEngine::with_segments(MemoryConfig::default(), 128 << 10)),
        Arc::new(MemoryEngine::with_segments(MemoryConfig::default(), 128 << 10)),
    );
    let open_in = |engine: &Arc<MemoryEngine>| {
        let engine: Arc<dyn Engine> = Arc::clone(engine) as _;
        ChainStore::open(engine, &genesis("tea"), config).unwrap()
    };
    let mut store = open_in(&first);
    let mut model = Model::default();
    let mut round = 0u32;
    let mut block = |store: &mut ChainStore| {
        round += 1;
        let gone = Write { key: lot(round * 7 % 300), index: 1, value: None };
        apply(
            store,
            (0..40).map(|number| put(lot((round * 37 + number * 11) % 300), vec![5; 50])).chain([gone]).collect(),
        )
    };
    for _ in 0..200 {
        let made = block(&mut store);
        model.apply(made.block.header.height, &made.execution.writes);
    }
    assert!(store.reader().oldest_state() > Height(100), "nothing was forgotten before");
    let at = store.head().header.height;
    let begun = SnapshotExport::begin(&store.reader(), checkpoint(&store), SMALL).unwrap();
    let mut blocks = Vec::new();
    let mut rest = 14;
    let (snapshot, pieces) = export(begun, || {
        if rest > 0 {
            rest -= 1;
            blocks.push(block(&mut store));
        }
    });
    assert_eq!(entries(&snapshot, &pieces), live(&model, at));

    let engine: Arc<dyn Engine> = Arc::clone(&second) as _;
    let mut import = SnapshotImport::open(engine, &genesis("tea"), snapshot, config).unwrap();
    for (index, (_, bytes)) in pieces.iter().enumerate() {
        import.add(index, bytes).unwrap();
    }
    let mut copy = import.finish().unwrap();
    for _ in 0..200 {
        blocks.push(block(&mut store));
    }
    for (number, made) in blocks.iter().enumerate() {
        let applied = made.apply(&mut copy).unwrap();
        assert_eq!(applied.outcome, store.reader().outcome(made.block.header.height).unwrap());
        if number % 50 == 20 {
            drop(copy);
            copy = open_in(&second);
        }
    }
    let oldest = copy.reader().oldest_state();
    assert!(oldest > at.next(), "nothing was forgotten after");
    let keys: Vec<Key> = (0..300).step_by(17).map(lot).collect();
    let from = Height(store.head().header.height.0 - 3);
    assert_eq!(told(&copy.reader(), from, &keys), told(&store.reader(), from, &keys));
    assert!(copy.reader().block(at).is_ok());
}

/// After a clean end only the newest block's state can be proven. Where the blocks behind the checkpoint's are empty, it is
/// the checkpoint's too.
#[test]
fn a_chain_at_rest_has_a_snapshot_after_it_was_opened_again() {
    let own = engine();
    let mut store = open(&own, "tea");
    apply(&mut store, (0..200).map(|number| put(lot(number), vec![1; 60])).collect());
    let (at, outcome, proof) = (store.head().header.height, store.head().outcome.clone(), checkpoint(&store));
    for _ in 0..2 {
        apply(&mut store, vec![]);
        store.checkpoint().unwrap();
        drop(store);
        store = open(&own, "tea");
        assert_eq!(store.reader().oldest_provable(), store.head().header.height);
        let begun = SnapshotExport::begin(&store.reader(), proof.clone(), SMALL).unwrap();
        assert_eq!(begun.height(), at);
        let (snapshot, pieces) = export(begun, || {});
        let mut import = SnapshotImport::open(engine(), &genesis("tea"), snapshot, ChainConfig::default()).unwrap();
        for (index, (_, bytes)) in pieces.iter().enumerate() {
            import.add(index, bytes).unwrap();
        }
        assert_eq!(import.finish().unwrap().head().outcome, outcome);
    }
    // What goes on meanwhile isn't in it, and a state that was changed since can't be shown any more.
    let begun = SnapshotExport::begin(&store.reader(), proof.clone(), SMALL).unwrap();
    let (snapshot, pieces) = export(begun, || _ = apply(&mut store, vec![put(lot(0), vec![9])]));
    let all = entries(&snapshot, &pieces);
    assert!(all.len() == 200 && all.iter().all(|(_, versioned)| versioned.version.height == at));
    store.checkpoint().unwrap();
    drop(store);
    let store = open(&own, "tea");
    let error = SnapshotExport::begin(&store.reader(), proof, SMALL).unwrap_err();
    assert!(
        matches!(error, SnapshotStoreError::Store(StoreError::State(StateError::Height { height, .. })) if height == at),
        "{error}"
    );
}

#[test]
fn what_came_from_a_snapshot_is_verified_whole() {
    let mut store = small_chain(200);
    let (base, folder) = (store.head().header.height, SimulatedDisk::new(1));
    let begun = SnapshotExport::begin(&store.reader(), checkpoint(&store), SMALL).unwrap();
    let manifest = export_to_folder(begun, &folder).unwrap();
    let (snapshot, keys) = verify_folder(&folder, &trust()).unwrap();
    assert_eq!((snapshot.manifest(), keys), (&manifest, 200));
    let own = engine();
    let mut copy = import_from_folder(&folder, &trust(), Arc::clone(&own), ChainConfig::default()).unwrap();
    assert_eq!(copy.reader().base(), base);
    for round in 0..3 {
        let verified = copy.reader().verify();
        assert_eq!((verified.damages.as_slice(), verified.blocks), (&[][..], round + 1));
        assert_eq!((verified.state.live, verified.state.root), (200, copy.head().outcome.state_root));
        let made = apply(&mut store, vec![put(lot(3), vec![7; 50])]);
        made.apply(&mut copy).unwrap();
    }
    let name = chunk_file(&manifest.chunks[1]);
    folder.flip_bit(&name, 77).unwrap();
    let error = verify_folder(&folder, &trust()).unwrap_err();
    assert!(matches!(&error, SnapshotStoreError::Damaged { file, .. } if *file == name), "{error}");
    // An import that is given up leaves nothing.
    let (third, chain) = (engine(), genesis("tea").chain());
    assert!(import_from_folder(&folder, &trust(), Arc::clone(&third), ChainConfig::default()).is_err());
    assert!(SnapshotImport::pending(&*third, &chain).unwrap().is_some());
    assert!(SnapshotImport::forget(&*third, &chain).unwrap());
    assert!(!SnapshotImport::forget(&*third, &chain).unwrap());
    assert_eq!(SnapshotImport::pending(&*third, &chain).unwrap(), None);
}

/// What commits feel of an export beside them; printed, since it depends on the machine. `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn commits_beside_an_export() {
    let mut store = open(&engine(), "tea");
    for part in 0..20 {
        apply(&mut store, (0..10_000).map(|number| put(lot(part * 10_000 + number), vec![1; 100])).collect());
    }
    let mut number = 0u32;
    let mut commit = |store: &mut ChainStore| {
        number += 1;
        let writes = (0..100).map(|key| put(lot((number * 7_919 + key * 1_777) % 200_000), vec![2; 100])).collect();
        let begun = std::time::Instant::now();
        apply(store, writes);
        begun.elapsed().as_secs_f64() * 1e3
    };
    let figures = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        let at = |part: usize| times[(times.len() - 1) * part / 100];
        format!("{} commits, ms: p50 {:.2}, p99 {:.2}, longest {:.2}", times.len(), at(50), at(99), at(100))
    };
    println!("alone: {}", figures((0..300).map(|_| commit(&mut store)).collect()));
    let begun = SnapshotExport::begin(&store.reader(), checkpoint(&store), ExportConfig::default()).unwrap();
    let done = AtomicBool::new(false);
    let (times, pieces, took, snapshot) = std::thread::scope(|scope| {
        let done = &done;
        let exporter = scope.spawn(move || {
            let start = std::time::Instant::now();
            let made = export(begun, || {});
            done.store(true, Ordering::Relaxed);
            (made, start.elapsed())
        });
        let mut times = Vec::new();
        while !done.load(Ordering::Relaxed) && times.len() < 1_000 {
            times.push(commit(&mut store));
        }
        let ((snapshot, pieces), took) = exporter.join().unwrap();
        (times, pieces, took, snapshot)
    });
    println!("beside: {}", figures(times));
    let bytes: usize = pieces.iter().map(|(_, bytes)| bytes.len()).sum();
    println!("export: {} chunks, {bytes} bytes in {took:?}", pieces.len());
    let start = std::time::Instant::now();
    let mut import = SnapshotImport::open(engine(), &genesis("tea"), snapshot, ChainConfig::default()).unwrap();
    for (index, (_, bytes)) in pieces.iter().enumerate() {
        import.add(index, bytes).unwrap();
    }
    drop(import.finish().unwrap());
    println!("import: {:?}", start.elapsed());
}
