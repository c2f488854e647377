//! Whatever height the views come back at, applying the log's blocks again gives the same views.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod chain_support;

use std::sync::Arc;

use chain_support::{Made, everything, genesis, open, position, rejected, transaction, writes};
use ledger_core::history::{self, HistoryHasher};
use ledger_core::{Height, Key, Status, Version, Writes};
use ledger_crypto::Digest;
use ledger_crypto::merkle::{self, verify_consistency, verify_inclusion};
use ledger_storage::chain::{ChainConfig, ChainStore, StoreError};
use ledger_storage::engine::{Batch, Engine, MemoryConfig, MemoryEngine, Space};
use proptest::prelude::*;

/// Blocks of random writes, with a few transactions each.
fn chain(store: &mut ChainStore, blocks: Vec<Vec<ledger_core::Write>>) -> Vec<Made> {
    let mut number = 0;
    let made = blocks.into_iter().map(|writes| {
        let transactions = (0..writes.len() % 4).map(|_| {
            number += 1;
            (transaction("chain", number), Status::Succeeded)
        });
        let made = Made::next(store, writes, transactions.collect());
        made.apply(store).unwrap();
        made
    });
    made.collect()
}

fn keys(blocks: &[Vec<ledger_core::Write>]) -> Vec<Key> {
    let mut keys: Vec<Key> = blocks.iter().flatten().map(|write| write.key.clone()).collect();
    keys.sort();
    keys.dedup();
    keys
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn views_rewound_to_any_batch_and_replayed_are_the_same(blocks in prop::collection::vec(writes(), 1..7)) {
        let memory = MemoryEngine::new(MemoryConfig { kept_batches: 100 });
        let engine: Arc<dyn Engine> = Arc::new(memory.clone());
        let mut store = open(&engine, "chain");
        let keys = keys(&blocks);
        let made = chain(&mut store, blocks);
        let expected = everything(&store.reader(), &keys);
        for batch in 0..=memory.batches() {
            let rewound: Arc<dyn Engine> = Arc::new(memory.rewind(batch).unwrap());
            let mut store = open(&rewound, "chain");
            let applied = store.head().header.height.0;
            prop_assert_eq!(applied, batch.saturating_sub(1));
            prop_assert_eq!(store.head().position, (applied > 0).then(|| position(Height(applied))));
            for made in &made[applied as usize..] {
                made.apply(&mut store).unwrap();
            }
            prop_assert_eq!(everything(&store.reader(), &keys), expected.clone());
        }
    }

    #[test]
    fn what_a_block_replaced_is_what_its_values_name(blocks in prop::collection::vec(writes(), 1..7)) {
        use ledger_core::StateView;
        let mut store = open(&(Arc::new(MemoryEngine::default()) as Arc<dyn Engine>), "chain");
        for writes in blocks {
            let made = Made::next(&store, writes, vec![]);
            let applied = made.apply(&mut store).unwrap();
            let state = store.reader().state();
            let written: Vec<_> = made.execution.writes.by_key().collect();
            prop_assert_eq!(written.len(), applied.replaced.len());
            for (group, replaced) in written.into_iter().zip(applied.replaced) {
                if let Some(value) = state.get(&group[0].key).unwrap() {
                    prop_assert_eq!(value.predecessor, replaced);
                }
            }
        }
    }

    #[test]
    fn views_reopened_after_every_block_are_the_same(blocks in prop::collection::vec(writes(), 1..7)) {
        let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
        let mut store = open(&engine, "chain");
        let keys = keys(&blocks);
        let made = chain(&mut store, blocks);
        let again: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
        for made in &made {
            made.apply(&mut open(&again, "chain")).unwrap();
        }
        prop_assert_eq!(everything(&open(&again, "chain").reader(), &keys), everything(&store.reader(), &keys));
    }
}

#[test]
fn history_proofs_verify_for_every_leaf_and_size() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
    let mut store = open(&engine, "chain");
    chain(&mut store, vec![vec![]; 12]);
    let reader = store.reader();
    let leaves: Vec<Digest> = (0..=12)
        .map(|height| {
            let (header, outcome) = (reader.header(Height(height)).unwrap(), reader.outcome(Height(height)).unwrap());
            history::leaf(&header.digest(), &outcome.digest())
        })
        .collect();
    for size in 0..=13_u64 {
        let head = reader.history_head(size).unwrap();
        assert_eq!((head.size, head.root), (size, merkle::root::<HistoryHasher>(&leaves[..size as usize])));
        for height in 0..size {
            let path = reader.history_path(Height(height), size).unwrap();
            verify_inclusion::<HistoryHasher>(&head.root, size, height, &leaves[height as usize], &path).unwrap();
        }
        for old in 0..=size {
            let path = reader.consistency(old, size).unwrap();
            let older = reader.history_head(old).unwrap();
            verify_consistency::<HistoryHasher>(old, &older.root, size, &head.root, &path).unwrap();
        }
    }
    assert_eq!(store.head().history, reader.history_head(13).unwrap());
    assert_eq!(reader.history_head(14), Err(StoreError::HistoryNotReached { size: 14, newest: 13 }));
    assert_eq!(reader.history_path(Height(5), 5), Err(StoreError::OutsideHistory { size: 5, wanted: 5 }));
    assert_eq!(reader.consistency(6, 5), Err(StoreError::OutsideHistory { size: 5, wanted: 6 }));
    assert_eq!(reader.header(Height(13)), Err(StoreError::NotReached { height: Height(13), newest: Height(12) }));
}

#[test]
fn a_rejected_inclusion_replaces_no_earlier_one() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
    let mut store = open(&engine, "chain");
    let transactions: Vec<_> = (0..4).map(|number| transaction("chain", number)).collect();
    let [a, b, c, d] = transactions.as_slice() else { panic!() };
    let blocks = [
        vec![(a, Status::Succeeded), (b, rejected()), (a, rejected()), (c, rejected()), (c, Status::Succeeded)],
        vec![(a, rejected()), (b, rejected())],
        vec![(b, Status::Succeeded), (d, rejected()), (d, rejected())],
        vec![(b, rejected()), (c, rejected()), (d, rejected())],
    ];
    for block in blocks {
        let transactions = block.into_iter().map(|(transaction, status)| (transaction.clone(), status)).collect();
        Made::next(&store, vec![], transactions).apply(&mut store).unwrap();
    }
    let reader = store.reader();
    for (transaction, (height, index), status) in [
        (a, (1, 0), Status::Succeeded),
        (b, (3, 0), Status::Succeeded),
        (c, (1, 4), Status::Succeeded),
        (d, (3, 1), rejected()),
    ] {
        let id = transaction.transaction.id();
        assert_eq!(reader.place(&id).unwrap(), Some(Version { height: Height(height), index }));
        let receipt = reader.result(&id).unwrap().unwrap().receipt;
        assert_eq!((receipt.transaction, receipt.index, receipt.status), (id, index, status));
    }
    let unknown = transaction("chain", 99).transaction.id();
    assert_eq!(reader.place(&unknown), Ok(None));
    assert_eq!(reader.result(&unknown), Ok(None));
}

#[test]
fn results_of_large_blocks_are_found_one_by_one() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
    let mut store = open(&engine, "chain");
    let transactions = (0..150).map(|number| (transaction("chain", number), Status::Succeeded)).collect();
    let mut made = Made::next(&store, vec![], transactions);
    for (index, result) in (0_u32..).zip(&mut made.execution.results) {
        // Some fill a record alone.
        let output = vec![1; if index % 40 == 39 { 100_000 } else { 10 }];
        *result = chain_support::result(&made.block.transactions[index as usize], index, Status::Succeeded, &output);
    }
    made.apply(&mut store).unwrap();
    Made::next(&store, vec![], vec![(transaction("chain", 200), Status::Succeeded)]).apply(&mut store).unwrap();
    let reader = store.reader();
    assert_eq!(reader.results(Height(1)).unwrap(), made.execution.results);
    for (transaction, result) in made.block.transactions.iter().zip(&made.execution.results) {
        assert_eq!(reader.result(&transaction.transaction.id()).unwrap().as_ref(), Some(result));
    }
}

#[test]
fn a_block_that_does_not_follow_changes_nothing() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
    let mut store = open(&engine, "chain");
    let first = Made::next(&store, vec![], vec![(transaction("chain", 0), Status::Succeeded)]);
    let chain = first.block.header.chain;
    let try_with = |store: &mut ChainStore, change: &dyn Fn(&mut Made)| {
        let mut made = first.clone();
        change(&mut made);
        made.apply(store).unwrap_err()
    };
    let other = genesis("other").chain();
    assert_eq!(
        try_with(&mut store, &|made| made.block.header.chain = other),
        StoreError::WrongChain { height: Height(1), found: other, expected: chain }
    );
    for height in [0, 2] {
        assert_eq!(
            try_with(&mut store, &|made| made.block.header.height = Height(height)),
            StoreError::WrongHeight { found: Height(height), expected: Height(1) }
        );
    }
    let expected = genesis("chain").header().digest();
    assert_eq!(
        try_with(&mut store, &|made| made.block.header.parent = Digest::ZERO),
        StoreError::WrongParent { height: Height(1), found: Digest::ZERO, expected }
    );
    assert_eq!(
        try_with(&mut store, &|made| made.execution.results.clear()),
        StoreError::WrongResults { height: Height(1), transactions: 1, results: 0 }
    );
    assert_eq!(
        try_with(&mut store, &|made| made.execution.results[0].receipt.index = 3),
        StoreError::WrongResult { height: Height(1), index: 0, found: 3 }
    );
    assert_eq!(store.head().header, genesis("chain").header());
    first.apply(&mut store).unwrap();
    assert_eq!(
        first.apply(&mut store).unwrap_err(),
        StoreError::WrongHeight { found: Height(1), expected: Height(2) },
        "a block isn't applied twice"
    );
}

#[test]
fn chains_in_one_engine_do_not_meet() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
    let names: Vec<String> = (0..20).map(|number| format!("chain {number}")).collect();
    let key = Key::new(chain_support::namespace(1), vec![1]);
    let mut stores: Vec<ChainStore> = std::thread::scope(|scope| {
        let opening: Vec<_> = names.iter().map(|name| scope.spawn(|| open(&engine, name))).collect();
        opening.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (number, store) in stores.iter_mut().enumerate() {
        for round in 0..=number {
            let value = Some(vec![number as u8, round as u8].into());
            chain_support::advance(store, vec![ledger_core::Write { key: key.clone(), index: 0, value }]);
        }
    }
    drop(stores);
    for (number, name) in names.iter().enumerate() {
        let store = open(&engine, name);
        assert_eq!(store.head().header.height.0, number as u64 + 1);
        assert_eq!(store.head().header.chain, genesis(name).chain());
        let history = store.reader().value_history(&key, None, 100).unwrap();
        assert_eq!(history.len(), number + 1);
        assert!(history.iter().all(|entry| entry.value.as_ref().unwrap().value[0] == number as u8));
    }
}

#[test]
fn views_of_another_format_or_with_damage_are_refused_by_name() {
    let fresh = || -> Arc<dyn Engine> {
        let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
        let mut store = open(&engine, "chain");
        let write = |number: u8| ledger_core::Write {
            key: Key::new(chain_support::namespace(1), vec![number]),
            index: 0,
            value: Some(vec![number].into()),
        };
        chain_support::advance(&mut store, (0..40).map(write).collect());
        engine
    };
    let reopen = |engine: &Arc<dyn Engine>| {
        ChainStore::open(Arc::clone(engine), &genesis("chain"), ChainConfig::default()).map(|_| ())
    };
    let engine = fresh();
    let mut batch = Batch::new();
    batch.put(Space::SHARED.key(1, &[]), vec![200]);
    engine.apply(batch).unwrap();
    assert_eq!(
        reopen(&engine),
        Err(StoreError::Format { found: 200, understood: ledger_storage::chain::FORMAT_VERSION })
    );

    // Every record of the chain, one at a time: cut, lengthened, removed. Opening, reading all and applying a block
    // gives an error or what was written, and never panics.
    let entries: Vec<(Vec<u8>, Vec<u8>)> = {
        let engine = fresh();
        let snapshot = engine.snapshot();
        snapshot.range(&[], None, ledger_storage::engine::Direction::Forward).collect::<Result<_, _>>().unwrap()
    };
    let mut noticed = 0;
    for (key, value) in &entries {
        for damaged in [None, Some(value[..value.len() / 2].to_vec()), Some([value.as_slice(), &[0]].concat())] {
            let engine = fresh();
            let mut batch = Batch::new();
            match damaged {
                Some(value) => batch.put(key.clone(), value),
                None => batch.delete(key.clone()),
            }
            engine.apply(batch).unwrap();
            noticed += usize::from(read_all(&engine).is_err());
        }
    }
    assert!(noticed > entries.len(), "{noticed} of {} damages noticed", 3 * entries.len());
}

fn read_all(engine: &Arc<dyn Engine>) -> Result<(), StoreError> {
    use ledger_core::StateView;
    let mut store = ChainStore::open(Arc::clone(engine), &genesis("chain"), ChainConfig::default())?;
    let reader = store.reader();
    let newest = store.head().header.height;
    for number in 0..41_u8 {
        let key = Key::new(chain_support::namespace(1), vec![number]);
        reader.state().get(&key)?;
        reader.state_at(Height(0))?.get(&key)?;
        reader.value_history(&key, None, 10)?;
        reader.prove(newest, &key)?;
    }
    let range = ledger_core::KeyRange::prefix(chain_support::namespace(1), &[]);
    reader.state().scan(&range).collect::<Result<Vec<_>, _>>()?;
    reader.results(newest)?;
    reader.header(newest)?;
    let write = |number: u8| ledger_core::Write {
        key: Key::new(chain_support::namespace(1), vec![number]),
        index: 0,
        value: number.is_multiple_of(2).then(|| vec![number].into()),
    };
    let made = Made::next(&store, Writes::new((0..60).map(write).collect()).iter().cloned().collect(), vec![]);
    made.apply(&mut store).map(|_| ())
}

#[test]
fn readers_beside_a_writer_see_one_height_at_a_time() {
    use ledger_core::StateView;
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
    let mut store = open(&engine, "chain");
    let key = |number: u8| Key::new(chain_support::namespace(1), vec![number]);
    let reader = store.reader();
    const BLOCKS: u64 = 150;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let state = reader.state();
                    let height = state.height();
                    let values: Vec<_> = (0..20).map(|number| state.get(&key(number)).unwrap()).collect();
                    let versions: Vec<_> = values.iter().flatten().map(|found| found.version.height).collect();
                    assert!(versions.iter().all(|version| *version == height), "{versions:?} at {height}");
                    let head = reader.head();
                    let at = head.header.height;
                    let path = reader.prove(at, &key(3)).unwrap();
                    let proven = path.verify(&head.outcome.state_root, &key(3)).unwrap().cloned();
                    assert_eq!(proven.map(|found| found.version.height), (at.0 > 0).then_some(at));
                    if at.0 == BLOCKS {
                        break;
                    }
                }
            });
        }
        for height in 0..BLOCKS {
            let write = |number| ledger_core::Write {
                key: key(number),
                index: 0,
                value: Some(height.to_le_bytes().to_vec().into()),
            };
            chain_support::advance(&mut store, (0..20).map(write).collect());
        }
    });
}

#[cfg(feature = "fjall")]
#[test]
fn views_in_a_fjall_folder_are_the_same_after_closing() {
    use ledger_storage::engine::{FjallConfig, FjallEngine};
    let folder = tempfile::tempdir().unwrap();
    let engine = || -> Arc<dyn Engine> { Arc::new(FjallEngine::open(folder.path(), FjallConfig::default()).unwrap()) };
    let write = |number: u8| ledger_core::Write {
        key: Key::new(chain_support::namespace(number % 3), vec![number / 2]),
        index: u32::from(number),
        value: (!number.is_multiple_of(5)).then(|| vec![number; usize::from(number)].into()),
    };
    let blocks: Vec<Vec<_>> = (0..8).map(|round| (round * 10..round * 10 + 100).map(write).collect()).collect();
    let keys = keys(&blocks);
    let memory: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
    let made = chain(&mut open(&memory, "chain"), blocks);
    for made in &made {
        let engine = engine();
        made.apply(&mut open(&engine, "chain")).unwrap();
    }
    assert_eq!(
        everything(&open(&engine(), "chain").reader(), &keys),
        everything(&open(&memory, "chain").reader(), &keys)
    );
}
