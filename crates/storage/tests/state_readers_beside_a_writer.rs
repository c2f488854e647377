//! Readers, scans and proofs at any provable height, on many threads, while a writer adds keys by the hundred and splits
//! pages: each thing proven verifies against that height's root, and is what reading at that height gives.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use ledger_core::codec::Bytes;
use ledger_core::{ContractId, Height, Key, KeyRange, StateError, Write, Writes};
use ledger_crypto::Digest;
use ledger_storage::engine::{Batch, Engine, MemoryEngine, Space};
use ledger_storage::state::{StateConfig, StateStore};

const BLOCKS: u64 = if cfg!(debug_assertions) { 20 } else { 80 };
const KEYS: u64 = 30_000;

fn mixed(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 32)
}

fn key(number: u64) -> Key {
    Key::new(ContractId(Digest::new([(number % 2) as u8; 32])), mixed(number).to_be_bytes()[..3].to_vec())
}

/// Large blocks and small ones, new keys and old ones, a sixth of them deletions.
fn writes(height: u64) -> Writes {
    let amount = if height.is_multiple_of(3) { 20 } else { 500 };
    let write = |index: u64| {
        let drawn = mixed(height << 32 | index);
        let value = (!drawn.is_multiple_of(6)).then(|| Bytes::from([height, index].map(u64::to_le_bytes).concat()));
        Write { key: key(drawn / 8 % KEYS), index: index as u32, value }
    };
    Writes::new((0..amount).map(write).collect())
}

#[test]
fn what_is_proven_beside_a_writer_verifies() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
    let config = StateConfig { window_blocks: 8, threads: 2, checkpoint_bytes: 50_000, ..StateConfig::default() };
    let mut store = StateStore::open(Arc::clone(&engine), Space::new(1), Height(0), config).unwrap();
    let reader = store.reader();
    let roots = RwLock::new(vec![store.root()]);
    let newest = AtomicU64::new(0);
    let proven = AtomicU64::new(0);
    let gone = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (reader, roots, newest, proven, gone) = (reader.clone(), &roots, &newest, &proven, &gone);
            scope.spawn(move || {
                for round in 0.. {
                    let top = newest.load(Ordering::Acquire);
                    let drawn = mixed(thread << 48 | round);
                    let oldest = reader.oldest_provable().0;
                    let at = Height(oldest.min(top) + drawn % (top.saturating_sub(oldest) + 1));
                    let root = roots.read().unwrap()[at.0 as usize];
                    let from = key(drawn / 64 % KEYS);
                    let to = match drawn % 3 {
                        0 => from.successor(),
                        _ => {
                            let mut name = from.name.to_vec();
                            name[1] = name[1].saturating_add(3);
                            name.push(0);
                            Key::new(from.namespace, name)
                        }
                    };
                    match reader.prove_range(Height(top), at, &from, Some(&to)) {
                        Ok(proof) => {
                            let found = proof.verify_range(&root, &from, Some(&to));
                            let found = found.unwrap_or_else(|error| panic!("block {at}, newest {top}: {error}"));
                            let range = KeyRange {
                                namespace: from.namespace,
                                from: from.name.clone(),
                                to: Some(to.name.clone()),
                            };
                            let scanned: Vec<_> = reader.scan(&range, at).map(Result::unwrap).collect();
                            let found: Vec<_> =
                                found.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
                            assert_eq!(found, scanned, "block {at}, newest {top}");
                            let keys: Vec<_> = scanned.iter().map(|(key, _)| key.clone()).collect();
                            let values: Vec<_> = scanned.into_iter().map(|(_, value)| Some(value)).collect();
                            assert_eq!(reader.get_many(&keys, at).unwrap(), values, "block {at}, newest {top}");
                            let read = reader.get(&from, at).unwrap();
                            assert_eq!(
                                read.as_ref(),
                                found.first().filter(|(key, _)| *key == from).map(|(_, value)| value)
                            );
                            proven.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(StateError::Height { oldest, .. }) => {
                            assert!(at < oldest, "{at} can't be proven, the oldest is {oldest}");
                            gone.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => panic!("{error}"),
                    }
                    // Each reader goes on until the last block is there, and a while longer.
                    if top == BLOCKS && round > 50 {
                        break;
                    }
                }
            });
        }
        for height in 1..=BLOCKS {
            let mut batch = Batch::new();
            let root = store.update(Height(height), &writes(height), &mut batch).unwrap();
            engine.apply(batch).unwrap();
            roots.write().unwrap().push(root);
            newest.store(height, Ordering::Release);
        }
    });
    let verified = reader.verify(Height(BLOCKS), &mut |error| panic!("{error}"));
    assert_eq!((verified.root, verified.keys), (store.root(), store.keys()));
    println!("{} ranges proven, {} heights gone meanwhile", proven.into_inner(), gone.into_inner());
}
