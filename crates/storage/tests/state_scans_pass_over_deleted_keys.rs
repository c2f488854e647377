//! Deleted keys keep their leaves, for the sake of older states. A scan of a newer one passes over them in whole parts of
//! the tree, without reading what they were, and a scan of an older one misses none. So does a proof on its way to the
//! live neighbours of what it is about.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod state_support;

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger_core::codec::Bytes;
use ledger_core::{ContractId, Height, Key, KeyRange, Write, Writes};
use ledger_crypto::Digest;
use ledger_storage::engine::{Batch, Engine, Space};
use ledger_storage::state::{StateConfig, StateStore};
use proptest::prelude::*;
use state_support::ObservedEngine;

const SPACE: Space = Space::new(7);

fn queue() -> ContractId {
    ContractId(Digest::new([1; 32]))
}

fn key(number: u32) -> Key {
    Key::new(queue(), number.to_be_bytes().to_vec())
}

/// A store, and the keys that were live after each block.
struct World {
    engine: Arc<ObservedEngine>,
    store: StateStore,
    live: Vec<BTreeMap<Key, Bytes>>,
    roots: Vec<Digest>,
}

impl World {
    fn new() -> Self {
        let engine = Arc::new(ObservedEngine::new(|| {}));
        let store = open(&engine, Height(0));
        let roots = vec![store.root()];
        World { engine, store, live: vec![BTreeMap::new()], roots }
    }

    fn block(&mut self, changes: impl IntoIterator<Item = (u32, bool)>) {
        let height = self.store.height().next();
        let mut live = self.live.last().cloned().unwrap_or_default();
        let mut writes = BTreeMap::new();
        for (number, is_there) in changes {
            let (key, value) = (key(number), Bytes::from(height.0.to_le_bytes().to_vec()));
            match is_there {
                true => _ = live.insert(key.clone(), value.clone()),
                // Only what is there is deleted.
                false if live.remove(&key).is_none() => continue,
                false => {}
            }
            writes.insert(key, is_there.then_some(value));
        }
        let writes = writes.into_iter().map(|(key, value)| Write { key, index: 0, value }).collect();
        let mut batch = Batch::new();
        self.roots.push(self.store.update(height, &Writes::new(writes), &mut batch).unwrap());
        self.engine.apply(batch).unwrap();
        self.live.push(live);
    }

    /// What a scan from `from` on of the state after block `at` gives, and how many records it read.
    fn scan(&self, from: u32, at: Height) -> (Vec<(Key, Bytes)>, u64) {
        let range = KeyRange { namespace: queue(), from: key(from).name, to: None };
        let before = self.engine.reads();
        let reader = self.store.reader();
        let found = reader.scan(&range, at).map(|found| found.map(|(key, found)| (key, found.value)));
        let found = found.collect::<Result<_, _>>().unwrap();
        (found, self.engine.reads() - before)
    }

    /// Has it proven which of these keys are there after block `at`; gives how many records were read for it.
    fn prove(&self, from: u32, to: Option<u32>, at: Height) -> u64 {
        let (before, reader) = (self.engine.reads(), self.store.reader());
        let (from, to) = (key(from), to.map(key));
        let proof = reader.prove_range(self.store.height(), at, &from, to.as_ref()).unwrap();
        let reads = self.engine.reads() - before;
        let shown = proof.verify_range(&self.roots[usize::try_from(at.0).unwrap()], &from, to.as_ref()).unwrap();
        let live = self.live[usize::try_from(at.0).unwrap()].range(from.clone()..);
        let live = live.take_while(|(key, _)| to.as_ref().is_none_or(|to| *key < to));
        assert!(shown.into_iter().map(|(key, found)| (key, &found.value)).eq(live), "from {from:?} after block {at}");
        reads
    }

    /// Every height's scan from `from` on gives what was live, and so do the proofs of those that are provable.
    fn check(&self, from: u32) {
        for at in self.store.reader().oldest_provable().0..=self.store.height().0 {
            self.prove(from, None, Height(at));
            self.prove(from, Some(from + 1), Height(at));
            self.prove(from, Some(from + 100), Height(at));
        }
        for (live, height) in self.live.iter().zip(0..) {
            let live: Vec<_> = live.range(key(from)..).map(|(key, value)| (key.clone(), value.clone())).collect();
            assert!(self.scan(from, Height(height)).0 == live, "from {from} after block {height}");
        }
    }
}

fn open(engine: &Arc<ObservedEngine>, height: Height) -> StateStore {
    let shared: Arc<dyn Engine> = Arc::<ObservedEngine>::clone(engine);
    let config = StateConfig { window_blocks: 4, threads: 1, checkpoint_bytes: 10_000, ..StateConfig::default() };
    StateStore::open(shared, SPACE, height, config).unwrap()
}

#[test]
fn a_queue_s_past_costs_a_scan_nothing() {
    const KEYS: u32 = 20_000;
    let mut world = World::new();
    world.block((0..KEYS).map(|number| (number, true)));
    for from in (0..KEYS - 10).step_by(1_999) {
        world.block((from..(from + 1_999).min(KEYS - 10)).map(|number| (number, false)));
    }
    let newest = world.store.height();
    let all = world.scan(0, Height(1));
    assert_eq!(all.0.len() as u64, u64::from(KEYS));
    assert!(all.1 >= u64::from(KEYS));
    for _ in 0..2 {
        let (found, reads) = world.scan(0, newest);
        assert_eq!(found.len(), 10);
        // Ten values, twice at the most, and the way to where the scan begins.
        assert!(reads <= 24, "{reads} records were read for ten keys");
        // None of a queue's past, its whole, and what was there when it was deleted last.
        let ranges = [(10_000, Some(10_001)), (5_000, Some(15_000)), (0, None), (KEYS - 12, Some(KEYS - 9))];
        for (from, to) in ranges {
            let reads = world.prove(from, to, newest);
            assert!(reads <= 40, "{reads} records were read for a proof from {from} to {to:?}");
        }
        world.store = open(&world.engine, newest);
    }
    world.check(5_000);
    // Life where everything was dead, seen by those who should.
    world.block([(7_777, true), (12_345, true)]);
    world.check(0);
    world.block([(7_777, false)]);
    world.check(7_000);
    let (found, reads) = world.scan(0, world.store.height());
    assert_eq!((found.len(), reads <= 30), (11, true), "{reads} records were read");
    // Life came back everywhere: that there was none before is known of whole parts, not leaf by leaf.
    let before = world.store.height();
    world.block((0..KEYS).step_by(16).map(|number| (number, true)));
    for (from, to) in [(3_001, Some(3_002)), (1_000, Some(7_000))] {
        let reads = world.prove(from, to, before);
        assert!(reads <= 1_000, "{reads} records were read for a proof from {from} to {to:?}, a block later");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn scans_find_what_was_live_wherever_it_was(
        blocks in prop::collection::vec(
            prop::collection::vec((0u32..1_500, 1u32..400, any::<bool>()), 1..3), 1..14),
        opened in prop::collection::vec(any::<bool>(), 14),
        from in 0u32..1_500,
    ) {
        let mut world = World::new();
        for (block, opened) in blocks.into_iter().zip(opened) {
            world.block(block.into_iter().flat_map(|(from, length, is_there)| {
                (from..from + length).map(move |number| (number, is_there))
            }));
            if opened {
                world.store = open(&world.engine, world.store.height());
            }
            world.check(from);
        }
        world.check(0);
    }
}
