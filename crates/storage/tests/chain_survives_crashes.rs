//! Power is cut after every batch, and bulk bytes that weren't synced are kept, lost, zero or garbage: the views come
//! back at some height that they had, never below what was synced, and the blocks applied again make them what they
//! would have been without the crash, also when another crash comes in between.
//!
//! `LEDGER_VIEWS_CRASHES` sets how many chains are drawn; each is cut after every batch with every survivor seed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod chain_support;

use std::collections::BTreeMap;
use std::sync::Arc;

use chain_support::{Made, genesis, namespace, rejected, transaction};
use ledger_core::codec::Bytes;
use ledger_core::{Height, Key, KeyRange, StateView, Status, Version, Write};
use ledger_crypto::Digest;
use ledger_storage::chain::{ChainConfig, ChainReader, ChainStore, StoreError};
use ledger_storage::engine::{Engine, MemoryConfig, MemoryEngine};
use ledger_storage::state::StateConfig;

/// Chains that share one engine, so that their bulk bytes lie between each other.
const CHAINS: [&str; 2] = ["a", "b"];
const TEARS: u64 = 6;

fn count(name: &str, least: u64, optimised: u64) -> u64 {
    let usual = if cfg!(debug_assertions) { least } else { optimised };
    std::env::var(name).map_or(usual, |value| value.parse().unwrap())
}

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

fn config(seed: u64) -> ChainConfig {
    // Copies of the index with nearly every block, now and then, and never.
    let checkpoint_bytes = [500, 4_000, 1 << 40][(seed % 3) as usize];
    ChainConfig { state: StateConfig { window_blocks: 5, threads: 2, checkpoint_bytes, ..StateConfig::default() } }
}

fn open(engine: &Arc<dyn Engine>, name: &str, seed: u64) -> Result<ChainStore, StoreError> {
    ChainStore::open(Arc::clone(engine), &genesis(name), config(seed))
}

/// Writes of one block: few keys that meet, new ones by the hundred, deletions, none at all, many namespaces.
fn writes(rng: &mut Rng, seed: u64) -> Vec<Write> {
    let amount = match rng.below(6) {
        0 => 0,
        1 if seed.is_multiple_of(2) => 150 + rng.below(250),
        _ => 1 + rng.below(20),
    };
    let write = |rng: &mut Rng| {
        let number = if rng.below(4) == 0 { rng.below(200) } else { rng.below(3) } as u8;
        let name = match rng.below(3) {
            0 => vec![rng.below(4) as u8; rng.below(3) as usize],
            1 => vec![7, rng.below(30) as u8],
            _ => rng.next().to_be_bytes()[..4].to_vec(),
        };
        let value = match rng.below(5) {
            0 => None,
            1 => Some(Bytes::from(vec![rng.below(256) as u8; 300 + rng.below(900) as usize])),
            _ => Some(Bytes::from(rng.next().to_le_bytes().as_slice())),
        };
        Write { key: Key::new(namespace(number), name), index: rng.below(3) as u32, value }
    };
    (0..amount).map(|_| write(rng)).collect()
}

/// What one chain holds after each block, learned from a store that never crashed.
struct Reference {
    name: &'static str,
    made: Vec<Made>,
    keys: Vec<Key>,
    transactions: Vec<ledger_core::TransactionId>,
    /// Everything about a height that later blocks leave as it is.
    facts: Vec<Vec<String>>,
    /// Proofs at a height, of some of the keys and of a range.
    proofs: Vec<Vec<String>>,
    places: Vec<Option<Version>>,
    histories: Vec<Vec<ledger_storage::state::VersionEntry>>,
}

fn facts(reader: &ChainReader, height: Height, keys: &[Key]) -> Vec<String> {
    let state = reader.state_at(height).unwrap();
    let mut facts = vec![
        format!("{:?}", reader.block(height).unwrap()),
        format!("{:?}", reader.results(height).unwrap()),
        format!("{:?}", reader.history_head(height.0 + 1).unwrap()),
    ];
    facts.extend(keys.iter().map(|key| format!("{key:?}: {:?}", state.get(key).unwrap())));
    for number in [0, 1, 2, 77] {
        let range = KeyRange { namespace: namespace(number), from: Bytes::default(), to: None };
        let found: Vec<_> = state.scan(&range).map(Result::unwrap).collect();
        facts.push(format!("{number}: {found:?}"));
    }
    facts
}

fn proofs(reader: &ChainReader, height: Height, keys: &[Key]) -> Vec<String> {
    let root = reader.outcome(height).unwrap().state_root;
    let mut proofs = Vec::new();
    for key in keys.iter().step_by(3) {
        let proof = reader.prove(height, key).unwrap();
        let found = proof.verify(&root, key).unwrap().cloned();
        assert_eq!(found, reader.state_at(height).unwrap().get(key).unwrap(), "{key:?} at {height}");
        proofs.push(format!("{proof:?}"));
    }
    let (from, to) = (Key::new(namespace(1), vec![]), Key::new(namespace(2), vec![1]));
    let proof = reader.prove_range(height, &from, Some(&to)).unwrap();
    proof.verify_range(&root, &from, Some(&to)).unwrap();
    proofs.push(format!("{proof:?}"));
    proofs
}

impl Reference {
    fn learn(&mut self, store: &ChainStore) {
        let (reader, height) = (store.reader(), store.head().header.height);
        self.proofs.push(proofs(&reader, height, &self.keys));
    }

    fn finish(&mut self, store: &ChainStore) {
        let reader = store.reader();
        self.facts =
            (0..=store.head().header.height.0).map(|height| facts(&reader, Height(height), &self.keys)).collect();
        self.places = self.transactions.iter().map(|id| reader.place(id).unwrap()).collect();
        self.histories = self.keys.iter().map(|key| reader.value_history(key, None, 1_000).unwrap()).collect();
    }

    /// Whether a store has everything that was there at its height, and nothing else.
    fn check(&self, store: &ChainStore) {
        let (reader, newest) = (store.reader(), store.head().header.height);
        for height in (0..=newest.0).map(Height) {
            assert_eq!(
                facts(&reader, height, &self.keys),
                self.facts[height.0 as usize],
                "{}, block {height}",
                self.name
            );
            if height >= reader.oldest_provable() {
                assert_eq!(proofs(&reader, height, &self.keys), self.proofs[height.0 as usize]);
            }
        }
        assert!(reader.oldest_provable() <= newest);
        for (key, expected) in self.keys.iter().zip(&self.histories) {
            let expected: Vec<_> = expected.iter().filter(|entry| entry.version.height <= newest).cloned().collect();
            assert_eq!(reader.value_history(key, None, 1_000).unwrap(), expected);
        }
        for (id, expected) in self.transactions.iter().zip(&self.places) {
            let found = reader.place(id).unwrap();
            assert!(found.is_none_or(|place| place.height <= newest), "{id} is at {found:?}, the views at {newest}");
            if newest.0 as usize == self.made.len() {
                assert_eq!(found, *expected);
            }
        }
    }

    fn replay(&self, store: &mut ChainStore, to: usize) {
        let from = store.head().header.height.0 as usize;
        for made in self.made.get(from..to).unwrap_or_default() {
            made.apply(store).unwrap();
        }
    }
}

struct Run {
    engine: MemoryEngine,
    references: Vec<Reference>,
    /// For each batch, how far each chain was when the engine was synced last before it.
    synced: BTreeMap<u64, Vec<u64>>,
}

/// Grows the chains, without any crash.
fn run(seed: u64, blocks: usize) -> Run {
    let mut rng = Rng(seed);
    let memory = MemoryEngine::with_segments(MemoryConfig { kept_batches: 1_000 }, 400_000);
    let engine: Arc<dyn Engine> = Arc::new(memory.clone());
    let mut stores: Vec<ChainStore> = CHAINS.iter().map(|name| open(&engine, name, seed).unwrap()).collect();
    let mut planned: Vec<Vec<Vec<Write>>> = Vec::new();
    let mut references = Vec::new();
    for name in CHAINS {
        let all: Vec<_> = (0..blocks).map(|_| writes(&mut rng, seed)).collect();
        let mut keys: Vec<Key> = all.iter().flatten().map(|write| write.key.clone()).collect();
        keys.sort();
        keys.dedup();
        keys = keys
            .into_iter()
            .enumerate()
            .filter(|(index, _)| index % 9 == 0 || rng.below(12) == 0)
            .map(|(_, key)| key)
            .collect();
        keys.push(Key::new(namespace(77), b"never written".as_slice()));
        planned.push(all);
        references.push(Reference {
            name,
            made: vec![],
            keys,
            transactions: vec![],
            facts: vec![],
            proofs: vec![],
            places: vec![],
            histories: vec![],
        });
    }
    for (store, reference) in stores.iter().zip(&mut references) {
        reference.learn(store);
    }
    let mut synced = BTreeMap::from([(0, vec![0; CHAINS.len()])]);
    for round in 0..blocks {
        for ((store, reference), planned) in stores.iter_mut().zip(&mut references).zip(&planned) {
            // Transactions come again in later blocks, and are executed once.
            let transactions: Vec<_> = (0..rng.below(4))
                .map(|_| {
                    let number = rng.below(12);
                    let first = !reference.transactions.contains(&transaction(reference.name, number).transaction.id());
                    (
                        transaction(reference.name, number),
                        if first && rng.below(2) == 0 { Status::Succeeded } else { rejected() },
                    )
                })
                .collect();
            for (transaction, status) in &transactions {
                let id = transaction.transaction.id();
                if *status == Status::Succeeded && !reference.transactions.contains(&id) {
                    reference.transactions.push(id);
                }
            }
            let made = Made::next(store, planned[round].clone(), transactions);
            made.apply(store).unwrap();
            reference.made.push(made);
            reference.learn(store);
            if rng.below(12) == 0 {
                store.checkpoint().unwrap();
            }
        }
        if rng.below(5) == 0 {
            engine.sync().unwrap();
            synced.insert(memory.batches(), vec![round as u64 + 1; CHAINS.len()]);
        }
    }
    for (store, reference) in stores.iter().zip(&mut references) {
        reference.finish(store);
    }
    Run { engine: memory, references, synced }
}

/// What a crash left: opened, compared, replayed, crashed once more within that, and opened again.
fn recover(run: &Run, memory: &MemoryEngine, batch: u64, seed: u64, rng: &mut Rng) -> [u64; 3] {
    let floor = run.synced.range(..=batch).next_back().map(|(_, heights)| heights.clone()).unwrap();
    let mut seen = [0; 3];
    let engine: Arc<dyn Engine> = Arc::new(memory.clone());
    let before = memory.batches();
    for (index, reference) in run.references.iter().enumerate() {
        let mut store = open(&engine, reference.name, seed).unwrap_or_else(|error| panic!("{error}"));
        let height = store.head().header.height.0;
        assert!(height >= floor[index], "{} came back at {height}, {} was synced", reference.name, floor[index]);
        reference.check(&store);
        seen[0] += 1;
        let some = height as usize + rng.below(3) as usize;
        reference.replay(&mut store, some);
        // What was lost stays lost when nothing more is applied.
        drop(store);
        seen[1] += u64::from(memory.batches() > before);
    }
    if rng.below(2) == 0 {
        let again = before + rng.below(memory.batches() - before + 1);
        let torn = memory.rewind_torn(again, rng.next()).unwrap();
        finish(run, &(Arc::new(torn) as Arc<dyn Engine>), seed);
        seen[2] += 1;
    }
    finish(run, &engine, seed);
    seen
}

fn finish(run: &Run, engine: &Arc<dyn Engine>, seed: u64) {
    for reference in &run.references {
        let mut store = open(engine, reference.name, seed).unwrap_or_else(|error| panic!("{error}"));
        reference.check(&store);
        // Opened again after each block, now and then: from copies that were made before the crash and after it.
        for to in store.head().header.height.0 as usize..=reference.made.len() {
            reference.replay(&mut store, to);
            if to % 3 == 0 {
                drop(store);
                store = open(engine, reference.name, seed).unwrap_or_else(|error| panic!("{error}"));
            }
        }
        reference.check(&store);
        drop(store);
        let store = open(engine, reference.name, seed).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(store.head().header.height.0 as usize, reference.made.len());
        reference.check(&store);
    }
}

#[test]
fn views_cut_after_any_batch_and_replayed_are_what_they_would_have_been() {
    let mut seen = [0; 3];
    let only = std::env::var("LEDGER_VIEWS_CRASH_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let seeds = only.map_or(0..count("LEDGER_VIEWS_CRASHES", 1, 6), |seed| seed..seed + 1);
    let mut lower = 0;
    for seed in seeds {
        println!("LEDGER_VIEWS_CRASH_SEED={seed}");
        // Without optimisation, short chains: the cost grows with the square of their length.
        let run = run(seed, if cfg!(debug_assertions) { 4 } else { 10 });
        let mut rng = Rng(seed ^ 0xc0ffee);
        for batch in CHAINS.len() as u64..=run.engine.batches() {
            for tear in 0..=TEARS {
                let left = match tear {
                    0 => run.engine.rewind(batch).unwrap(),
                    tear => run.engine.rewind_torn(batch, seed * 1_000 + tear).unwrap(),
                };
                let found = recover(&run, &left, batch, seed, &mut rng);
                for (sum, found) in seen.iter_mut().zip(found) {
                    *sum += found;
                }
                lower += u64::from(found[1] > 0);
            }
        }
    }
    println!("{seen:?} opened, replayed, crashed again; {lower} had something to replay");
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

/// Roots are what the simplest program makes of the writes: the reference above isn't its own judge.
#[test]
fn the_reference_has_a_models_roots() {
    for seed in 0..3 {
        let run = run(seed, 8);
        for reference in &run.references {
            let mut model = chain_support::Model::default();
            let engine: Arc<dyn Engine> = Arc::new(run.engine.clone());
            let store = open(&engine, reference.name, seed).unwrap();
            for (height, made) in (1..).map(Height).zip(&reference.made) {
                model.apply(height, &made.execution.writes);
                let root: Digest = ledger_core::state::tree::root_of(&model.leaves(height));
                assert_eq!(store.reader().outcome(height).unwrap().state_root, root, "block {height}");
            }
        }
    }
}
