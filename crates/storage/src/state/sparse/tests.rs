//! The tree against the reference, with key digests that crowd together as hashes wouldn't.

#![allow(clippy::cast_possible_truncation)]

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger_core::Height;
use ledger_core::codec;
use ledger_core::state::sparse::{self as tree, root_of};
use ledger_core::{Version, Versioned};
use ledger_crypto::Digest;
use proptest::prelude::*;

use super::super::commitment::{Change, StateCommitment};
use super::super::tables;
use super::prove::SparseProver;
use super::{SparseMerkle, SparseMerkleConfig};
use crate::engine::{Batch, Direction, Engine, MemoryEngine, Space, after_prefix};

const SPACE: Space = Space::new(3);

/// Digests that differ in few places: some in the first bits, some in the last.
fn place() -> impl Strategy<Value = Digest> {
    let nibble = prop_oneof![Just(0_u8), Just(1), Just(0xf0), Just(0x81)];
    (nibble, 0..32_usize, 0..4_u8, any::<bool>()).prop_map(|(byte, position, last, spread)| {
        let mut bytes = if spread { [byte; 32] } else { [0; 32] };
        bytes[position] ^= byte;
        bytes[31] ^= last;
        Digest::new(bytes)
    })
}

type Block = Vec<(Digest, Option<u8>)>;

fn blocks() -> impl Strategy<Value = Vec<Block>> {
    let write = (place(), prop::option::weighted(0.6, any::<u8>()));
    prop::collection::vec(prop::collection::vec(write, 0..150), 1..12)
}

fn config(cache_bytes: usize) -> SparseMerkleConfig {
    SparseMerkleConfig { cache_bytes, ..SparseMerkleConfig::default() }
}

fn versioned(height: u64, value: u8) -> Versioned {
    tree::versioned(&[value], height, 0)
}

/// Applies a block as `stage` does, but with the places given instead of hashed.
fn apply(
    engine: &MemoryEngine,
    commitment: &mut SparseMerkle,
    model: &mut BTreeMap<Digest, Digest>,
    height: u64,
    block: &Block,
) -> Digest {
    let writes: BTreeMap<Digest, Option<u8>> = block.iter().copied().collect();
    let mut batch = Batch::new();
    let mut changes = Vec::new();
    let snapshot = engine.snapshot();
    let places: Vec<Digest> = writes.keys().copied().collect();
    let before = commitment.leaves(&*snapshot, &places).unwrap();
    for ((place, value), before) in writes.iter().zip(before) {
        assert_eq!(before, model.get(place).map(|content| tree::leaf(place, content)));
        let version = Version { height: Height(height), index: 0 };
        let leaf = match value {
            Some(value) => {
                let versioned = versioned(height, *value);
                let content = tree::content_digest(&versioned.value, version, None);
                let encoded = codec::encode(&versioned);
                batch.put(tables::value_key(SPACE, place), tables::encode_current(&content, &versioned, &encoded));
                batch.put(tables::version_key(SPACE, place, version), tables::encode_version(Some(&encoded)));
                model.insert(*place, content);
                Some(tree::leaf(place, &content))
            }
            None => {
                batch.delete(tables::value_key(SPACE, place));
                batch.put(tables::version_key(SPACE, place, version), tables::encode_version(None));
                model.remove(place);
                None
            }
        };
        if leaf != before {
            changes.push(Change { place: *place, leaf });
        }
    }
    let root = commitment.update(&*snapshot, Height(height), &changes, &mut batch).unwrap();
    engine.apply(batch).unwrap();
    commitment.commit();
    root
}

fn leaves(model: &BTreeMap<Digest, Digest>) -> Vec<(Digest, Digest)> {
    model.iter().map(|(place, content)| (*place, *content)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_root_is_that_of_the_reference(blocks in blocks(), cache in prop_oneof![Just(0_usize), Just(4_000), Just(1 << 20)]) {
        let engine = MemoryEngine::default();
        let mut commitment = SparseMerkle::open(SPACE, &*engine.snapshot(), config(cache)).unwrap();
        let mut model = BTreeMap::new();
        for (height, block) in (1..).zip(&blocks) {
            let root = apply(&engine, &mut commitment, &mut model, height, block);
            prop_assert_eq!(root, root_of(&leaves(&model)));
            prop_assert_eq!(commitment.root(), root);
            if height % 3 == 0 {
                commitment = SparseMerkle::open(SPACE, &*engine.snapshot(), config(cache)).unwrap();
                prop_assert_eq!(commitment.root(), root);
            }
        }
    }

    #[test]
    fn an_emptied_tree_leaves_no_pages(blocks in blocks()) {
        let engine = MemoryEngine::default();
        let mut commitment = SparseMerkle::open(SPACE, &*engine.snapshot(), config(0)).unwrap();
        let mut model = BTreeMap::new();
        for (height, block) in (1..).zip(&blocks) {
            apply(&engine, &mut commitment, &mut model, height, block);
        }
        let all: Block = model.keys().map(|place| (*place, None)).collect();
        let root = apply(&engine, &mut commitment, &mut model, 100, &all);
        prop_assert_eq!(root, tree::EMPTY);
        let first = tables::page_key(SPACE, &[&[0]]);
        let end = after_prefix(tables::page_key(SPACE, &[]));
        let snapshot = engine.snapshot();
        prop_assert_eq!(snapshot.range(&first, end.as_deref(), Direction::Forward).count(), 0);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn slots_and_contents_of_every_height_in_the_window_are_those_of_that_height(blocks in blocks()) {
        let engine = MemoryEngine::default();
        let mut commitment = SparseMerkle::open(SPACE, &*engine.snapshot(), config(1 << 20)).unwrap();
        let mut model = BTreeMap::new();
        let mut past = vec![leaves(&model)];
        let mut newest = 0;
        for (height, block) in (1..).zip(&blocks) {
            apply(&engine, &mut commitment, &mut model, height, block);
            past.push(leaves(&model));
            newest = height;
        }
        let snapshot = engine.snapshot();
        let mut places: Vec<Digest> = blocks.iter().flatten().map(|(place, _)| *place).step_by(23).collect();
        places.push(Digest::new([0x55; 32]));
        let prover = SparseProver::new(SPACE, Arc::clone(&commitment.window));
        for (at, then) in (0..).zip(&past) {
            for place in &places {
                let path = prover.prove_place(&*snapshot, Height(newest), Height(at), place).unwrap();
                prop_assert_eq!(path, reference_path(then, place, &blocks, at));
            }
        }
    }
}

/// As [`tree::path_of`] builds it, for a place instead of a key.
fn reference_path(leaves: &[(Digest, Digest)], place: &Digest, blocks: &[Block], at: u64) -> tree::StatePath {
    let mut siblings = Vec::new();
    let mut rest: Vec<(Digest, Digest)> = leaves.to_vec();
    while rest.len() > 1 {
        let depth = siblings.len();
        let right = tree::turns_right(place, depth);
        let (taken, beside): (Vec<_>, Vec<_>) =
            rest.iter().copied().partition(|(other, _)| tree::turns_right(other, depth) == right);
        siblings.push(Some(subtree(&beside, depth + 1)).filter(|digest| *digest != tree::EMPTY));
        rest = taken;
    }
    let end = match rest.as_slice() {
        [(found, _)] if found == place => {
            let writes = blocks.iter().take(at as usize).enumerate().rev();
            let (height, value) = writes
                .filter_map(|(index, block)| {
                    let last = block.iter().rev().find(|(written, _)| written == place)?;
                    last.1.map(|value| (index as u64 + 1, value))
                })
                .next()
                .unwrap();
            tree::PathEnd::Present(versioned(height, value))
        }
        [(key, content)] => tree::PathEnd::Other { key: *key, content: *content },
        _ => tree::PathEnd::Empty,
    };
    tree::StatePath { end, siblings: siblings.into() }
}

fn subtree(leaves: &[(Digest, Digest)], depth: usize) -> Digest {
    match leaves {
        [] => tree::EMPTY,
        [(place, content)] => tree::leaf(place, content),
        several => {
            let (right, left): (Vec<_>, Vec<_>) =
                several.iter().copied().partition(|(place, _)| tree::turns_right(place, depth));
            tree::node(&subtree(&left, depth + 1), &subtree(&right, depth + 1))
        }
    }
}
