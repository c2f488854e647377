//! State, its history, its root and its proofs follow an ordered map with history.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod chain_support;

use std::sync::Arc;

use chain_support::{Model, advance, genesis, key, open, ranges, writes};
use ledger_core::state::sparse::{self as tree, PathEnd, StatePath};
use ledger_core::{Height, Key, StateError, StateView, Version, Writes};
use ledger_crypto::Digest;
use ledger_storage::chain::{ChainConfig, ChainStore, StoreError};
use ledger_storage::engine::{Engine, MemoryEngine};
use ledger_storage::state::SparseMerkleConfig;
use proptest::prelude::*;

fn heights(store: &ChainStore) -> impl Iterator<Item = Height> + use<> {
    (0..=store.head().header.height.0).map(Height)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_kept_height_reads_as_the_model(blocks in prop::collection::vec(writes(), 1..12), unknown in key()) {
        let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
        let mut store = open(&engine, "chain");
        let mut model = Model::default();
        for writes in blocks {
            model.apply(store.head().header.height.next(), &Writes::new(writes.clone()));
            advance(&mut store, writes);
        }
        let reader = store.reader();
        let keys: Vec<Key> = model.versions.keys().cloned().chain([unknown]).collect();
        for height in heights(&store) {
            let state = reader.state_at(height).unwrap();
            for key in &keys {
                prop_assert_eq!(state.get(key).unwrap(), model.get(key, height));
            }
            for range in ranges() {
                let found: Vec<_> = state.scan(&range).collect::<Result<_, _>>().unwrap();
                prop_assert_eq!(found, model.scan(&range, height));
            }
        }
        for (key, versions) in &model.versions {
            let newest_first: Vec<_> = versions.iter().rev().cloned().collect();
            prop_assert_eq!(reader.value_history(key, None, usize::MAX).unwrap(), newest_first.clone());
            prop_assert_eq!(&reader.value_history(key, None, 2).unwrap(), &newest_first[..newest_first.len().min(2)]);
            let from = Version { height: Height(4), index: 1 };
            let older: Vec<_> = newest_first.into_iter().filter(|entry| entry.version <= from).collect();
            prop_assert_eq!(reader.value_history(key, Some(from), usize::MAX).unwrap(), older);
        }
    }

    #[test]
    fn every_root_is_that_of_the_reference_whatever_is_cached(
        blocks in prop::collection::vec(writes(), 1..12),
        cache_bytes in prop_oneof![Just(0_usize), Just(3_000), Just(1 << 20)],
        reopen_every in 1..5_u64,
    ) {
        let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
        let sparse_merkle = SparseMerkleConfig { cache_bytes, ..SparseMerkleConfig::default() };
        let reopen = || ChainStore::open(Arc::clone(&engine), &genesis("chain"), ChainConfig { sparse_merkle }).unwrap();
        let mut store = reopen();
        let mut model = Model::default();
        for writes in blocks {
            let height = store.head().header.height.next();
            model.apply(height, &Writes::new(writes.clone()));
            let applied = advance(&mut store, writes);
            prop_assert_eq!(applied.outcome.state_root, tree::root_of(&model.leaves(height)));
            if height.0 % reopen_every == 0 {
                let before = store.head().clone();
                store = reopen();
                prop_assert_eq!(store.head(), &before);
            }
        }
    }

    #[test]
    fn recent_heights_are_proven_as_the_reference_proves_them(
        blocks in prop::collection::vec(writes(), 1..10),
        unknown in key(),
        flip in any::<prop::sample::Index>(),
    ) {
        let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
        let mut store = open(&engine, "chain");
        let mut model = Model::default();
        for writes in blocks {
            model.apply(store.head().header.height.next(), &Writes::new(writes.clone()));
            advance(&mut store, writes);
        }
        let reader = store.reader();
        let keys: Vec<Key> = model.versions.keys().cloned().chain([unknown]).collect();
        for height in heights(&store) {
            let root = reader.outcome(height).unwrap().state_root;
            let leaves = model.leaves(height);
            for key in &keys {
                let expected = model.get(key, height);
                let path = reader.state_path(height, key).unwrap();
                prop_assert_eq!(&path, &tree::path_of(&leaves, key, expected.clone()));
                prop_assert_eq!(path.verify(&root, key).unwrap(), expected.as_ref());
                for mutated in mutations(&path, flip) {
                    let accepted = mutated.verify(&root, key).ok().map(Option::<&_>::cloned);
                    prop_assert!(accepted.is_none(), "accepted {mutated:?} for {path:?}");
                }
            }
        }
    }
}

/// Paths that differ from `path` in one thing.
fn mutations(path: &StatePath, flip: prop::sample::Index) -> Vec<StatePath> {
    let mut mutations = Vec::new();
    let siblings = path.siblings.to_vec();
    let with = |siblings: Vec<Option<Digest>>| StatePath { end: path.end.clone(), siblings: siblings.into() };
    if !siblings.is_empty() {
        let at = flip.index(siblings.len());
        let mut changed = siblings.clone();
        changed[at] = match changed[at] {
            Some(_) => None,
            None => Some(Digest::new([3; 32])),
        };
        mutations.push(with(changed));
        mutations.push(with(siblings[1..].to_vec()));
    }
    let mut longer = siblings.clone();
    longer.push(Some(Digest::new([4; 32])));
    mutations.push(with(longer));
    let end = match &path.end {
        PathEnd::Present(versioned) => {
            let mut changed = versioned.clone();
            changed.version.index ^= 1;
            mutations.push(StatePath { end: PathEnd::Present(changed), siblings: path.siblings.clone() });
            PathEnd::Empty
        }
        PathEnd::Empty => PathEnd::Present(tree::versioned(b"forged", 1, 0)),
        PathEnd::Other { key, .. } => PathEnd::Other { key: *key, content: Digest::new([5; 32]) },
    };
    mutations.push(StatePath { end, siblings: path.siblings.clone() });
    mutations
}

#[test]
fn heights_out_of_reach_are_refused_with_what_is_kept() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
    let sparse_merkle = SparseMerkleConfig { window_blocks: 2, ..SparseMerkleConfig::default() };
    let config = ChainConfig { sparse_merkle };
    let mut store = ChainStore::open(Arc::clone(&engine), &genesis("chain"), config).unwrap();
    let key = Key::new(chain_support::namespace(5), vec![1]);
    let write = |value: u8| vec![ledger_core::Write { key: key.clone(), index: 0, value: Some(vec![value].into()) }];
    for value in 0..6 {
        advance(&mut store, write(value));
    }
    let reader = store.reader();
    assert!(matches!(
        reader.state_at(Height(7)).map(|_| ()),
        Err(StoreError::State(StateError::Height { height: Height(7), oldest: Height(0), newest: Height(6) }))
    ));
    let refused = |height, oldest, newest| {
        Err(StoreError::State(StateError::Height {
            height: Height(height),
            oldest: Height(oldest),
            newest: Height(newest),
        }))
    };
    assert_eq!(reader.oldest_provable(), Height(4));
    assert_eq!(reader.state_path(Height(3), &key).map(|_| ()), refused(3, 4, 6));
    assert_eq!(reader.state_path(Height(7), &key).map(|_| ()), refused(7, 4, 6));
    assert!(reader.state_path(Height(4), &key).is_ok());

    // Blocks that change nothing take no room in the window, also after opening again.
    advance(&mut store, vec![]);
    advance(&mut store, vec![]);
    assert!(store.reader().state_path(Height(4), &key).is_ok());
    let reader = ChainStore::open(engine, &genesis("chain"), config).unwrap().reader();
    let path = reader.state_path(Height(6), &key).unwrap();
    assert_eq!(path, reader.state_path(Height(8), &key).unwrap());
    assert_eq!(reader.state_path(Height(5), &key).map(|_| ()), refused(5, 6, 8));
}
