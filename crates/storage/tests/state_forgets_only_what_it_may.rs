//! Pruning gives space back, and keeps every state that is promised: values, scans, histories and proofs from the oldest
//! kept height on are as if nothing had been forgotten, also after opening again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ledger_core::codec::Bytes;
use ledger_core::state::tree;
use ledger_core::{ContractId, Height, Key, KeyRange, StateError, StateView, Versioned, Write, Writes};
use ledger_crypto::Digest;
use ledger_storage::engine::{Address, Batch, Direction, Engine, EngineError, MemoryConfig, MemoryEngine, Space};
use ledger_storage::state::{Kept, StateConfig, StateStore};

const SPACE: Space = Space::new(3);
const NAMESPACE: ContractId = ContractId(Digest::new([1; 32]));

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn config(kept: Kept) -> StateConfig {
    StateConfig { window_blocks: 5, threads: 1, kept, pruning_bytes: 40_000, checkpoint_bytes: 10_000 }
}

fn key(number: u64) -> Key {
    Key::new(NAMESPACE, format!("key {number:04}").into_bytes())
}

/// The live state after every block.
type States = Vec<BTreeMap<Key, Versioned>>;

fn next(random: &mut Random, states: &mut States) -> (Height, Writes) {
    let height = Height(states.len() as u64);
    let mut state = states.last().unwrap().clone();
    let mut writes = Vec::new();
    for _ in 0..random.below(30) {
        // Few keys are hot, most are written once in a while, some never again.
        let number = if random.below(3) == 0 { random.below(4) } else { random.below(600) };
        let value = (random.below(6) > 0).then(|| Bytes::from(vec![number as u8; random.below(120) as usize]));
        writes.push(Write { key: key(number), index: random.below(3) as u32, value });
    }
    let writes = Writes::new(writes);
    for write in &writes {
        let predecessor = state.get(&write.key).map(|before| before.leaf(&write.key));
        match &write.value {
            Some(value) => {
                let version = ledger_core::Version { height, index: write.index };
                state.insert(write.key.clone(), Versioned { value: value.clone(), version, predecessor });
            }
            None => drop(state.remove(&write.key)),
        }
    }
    states.push(state);
    (height, writes)
}

fn compare(store: &StateStore, states: &[BTreeMap<Key, Versioned>]) {
    let reader = store.reader();
    let newest = store.height();
    let all = KeyRange { namespace: NAMESPACE, from: Bytes::default(), to: None };
    for at in (0..=newest.0).map(Height) {
        let view = reader.at(at);
        if at < reader.oldest() {
            assert!(matches!(view.get(&key(1)), Err(StateError::Height { .. })), "{at}");
            assert!(view.scan(&all).next().unwrap().is_err());
            continue;
        }
        let state = &states[at.0 as usize];
        let found: BTreeMap<Key, Versioned> = view.scan(&all).map(Result::unwrap).collect();
        let differ = found.iter().find(|(key, value)| state.get(key) != Some(value));
        let missing = state.keys().find(|key| !found.contains_key(key));
        assert!(
            differ.is_none() && missing.is_none(),
            "at {at} of {newest}, oldest {}: {differ:?} {missing:?}, {:?}",
            reader.oldest(),
            differ.map(|(key, _)| state.get(key))
        );
        for number in (0..600).step_by(7) {
            assert_eq!(view.get(&key(number)).unwrap().as_ref(), state.get(&key(number)), "{number} at {at}");
        }
        if at >= reader.oldest_provable() {
            let live: Vec<_> = state.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            for number in [0, 3, 17, 599] {
                let proof = reader.prove(newest, at, &key(number)).unwrap();
                assert_eq!(proof, tree::prove_range(&live, &key(number), Some(&key(number).successor())));
            }
        }
    }
    for number in [0, 1, 2, 300] {
        let entries = reader.history(&key(number), None, 1_000).unwrap();
        let newest = entries.first().and_then(|entry| entry.value.as_ref());
        assert_eq!(newest, states.last().unwrap().get(&key(number)));
    }
}

#[test]
fn what_is_promised_stays() {
    let mut random = Random(7);
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::with_segments(MemoryConfig { kept_batches: 1 }, 128 << 10));
    let whole: Arc<dyn Engine> = Arc::new(MemoryEngine::with_segments(MemoryConfig { kept_batches: 1 }, 128 << 10));
    let open = |engine: &Arc<dyn Engine>, height, kept| {
        StateStore::open(Arc::clone(engine), SPACE, height, config(kept)).unwrap()
    };
    let mut states: States = vec![BTreeMap::new()];
    let mut pruned = open(&engine, Height(0), Kept::Last(12));
    let mut archive = open(&whole, Height(0), Kept::All);
    let is_half_free = || engine.disk_bytes().unwrap() * 2 < whole.disk_bytes().unwrap();
    for round in 0..2_000 {
        if round >= 700 {
            if is_half_free() {
                break;
            }
            // Threads give the space back, and on a busy machine blocks like these outrun them: now blocks wait for threads.
            std::thread::sleep(Duration::from_millis(2));
        }
        let (height, writes) = next(&mut random, &mut states);
        let mut roots = Vec::new();
        for (store, engine) in [(&mut pruned, &engine), (&mut archive, &whole)] {
            let mut batch = Batch::new();
            roots.push(store.update(height, &writes, &mut batch).unwrap());
            engine.apply(batch).unwrap();
        }
        assert_eq!(roots[0], roots[1], "block {height}");
        if round % 90 == 89 && round < 700 {
            compare(&pruned, &states);
            pruned = open(&engine, height, Kept::Last(12));
            assert_eq!(pruned.root(), roots[0]);
            compare(&pruned, &states);
        }
    }
    assert!(pruned.reader().oldest() > Height(200), "{}", pruned.reader().oldest());
    assert_eq!(archive.reader().oldest(), Height(0));
    assert!(is_half_free(), "{} of {} bytes are left", engine.disk_bytes().unwrap(), whole.disk_bytes().unwrap());
    // A chain that kept everything can begin to forget.
    let height = archive.height();
    drop(archive);
    let archive = open(&whole, height, Kept::All);
    compare(&archive, &states);
}

/// Whoever wants to prove more heights than before gets those that are kept.
#[test]
fn a_longer_window_brings_nothing_back() {
    let engine = MemoryEngine::with_segments(MemoryConfig::default(), SMALL_SEGMENTS);
    let longer = StateConfig { window_blocks: 1_000, ..config(Kept::Last(8)) };
    let (mut random, mut states): (_, States) = (Random(3), vec![BTreeMap::new()]);
    let mut store = forgetful(&engine, Height(0));
    let (mut passes, mut asked) = (0, 0);
    for _ in 0..300 {
        let (height, writes) = next(&mut random, &mut states);
        step(&mut store, &engine, height, &writes);
        let oldest = store.reader().oldest();
        if oldest.0 == asked {
            continue;
        }
        (passes, asked) = (passes + 1, oldest.0);
        // In the middle of a pass; the last copy of the index is from before it.
        let other = engine.rewind(engine.batches()).unwrap();
        let opened = StateStore::open(Arc::new(other), SPACE, height, longer).unwrap();
        assert_eq!((opened.root(), opened.reader().oldest()), (store.root(), oldest));
        assert!(opened.reader().oldest_provable() >= oldest);
        compare(&opened, &states);
    }
    assert!(passes > 3, "{passes} passes");
}

/// A block that writes some of the keys from 1 on, and key 0 with a value of so many bytes.
fn with_hot_key(states: &mut States, bytes: usize) -> (Height, Writes) {
    let height = Height(states.len() as u64);
    let mut state = states.last().unwrap().clone();
    let numbers = (1..200).filter(|number| height == Height(1) || (number + height.0).is_multiple_of(20));
    let value = |number| vec![height.0 as u8; if number == 0 { bytes } else { 90 }];
    let write = |number| Write { key: key(number), index: 0, value: Some(Bytes::from(value(number))) };
    let hot = [0].into_iter().filter(|_| bytes > 0);
    let writes = Writes::new(hot.chain(numbers).map(write).collect());
    for write in &writes {
        let predecessor = state.get(&write.key).map(|before| before.leaf(&write.key));
        let (version, value) = (ledger_core::Version { height, index: 0 }, write.value.clone().unwrap());
        state.insert(write.key.clone(), Versioned { value, version, predecessor });
    }
    states.push(state);
    (height, writes)
}

/// What a pass moves of one key is one blob, and has to fit into a segment.
#[test]
fn a_key_of_which_more_is_kept_than_a_segment_holds_stops_nobody() {
    let engine = MemoryEngine::with_segments(MemoryConfig::default(), 64 << 10);
    let mut states: States = vec![BTreeMap::new()];
    let mut store = forgetful(&engine, Height(0));
    let mut largest = 0;
    for round in 0..1_500 {
        // 20 versions of it are kept, and most of the time they take more than a segment.
        let bytes = match round {
            0..300 => 8_000,
            _ => 0,
        };
        let (height, writes) = with_hot_key(&mut states, bytes);
        step(&mut store, &engine, height, &writes);
        largest = largest.max(engine.disk_bytes().unwrap());
        if round % 100 == 50 {
            compare(&store, &states);
            store = forgetful(&engine, height);
            compare(&store, &states);
        }
        if round >= 400 && engine.disk_bytes().unwrap() * 4 < largest {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    compare(&store, &states);
    // Once there is less of it, it is moved as others are.
    let left = engine.disk_bytes().unwrap();
    assert!(left * 4 < largest, "{left} of {largest} bytes are left");
    assert!(store.reader().oldest() > Height(300), "{}", store.reader().oldest());
}

/// The tables of regions and of copies of the index.
const REGIONS: u8 = 0x15;
const COPIES: u8 = 0x16;

fn keys(engine: &MemoryEngine, table: u8) -> Vec<Vec<u8>> {
    let (from, to) = (SPACE.key(table, &[]), SPACE.key(table + 1, &[]));
    engine.snapshot().range(&from, Some(&to), Direction::Forward).map(|entry| entry.unwrap().0).collect()
}

#[test]
fn the_list_of_what_was_given_up_is_forgotten_in_small_parts() {
    let engine = MemoryEngine::with_segments(MemoryConfig::default(), 64 << 10);
    let mut states: States = vec![BTreeMap::new()];
    let open = |height| StateStore::open(Arc::new(engine.clone()), SPACE, height, config(Kept::All)).unwrap();
    let mut store = open(Height(0));
    let (mut listed, mut most, mut looked) = (0, 0, false);
    for round in 0..4_000 {
        let (height, writes) = match round {
            0 => next(&mut Random(1), &mut states),
            _ => {
                let write = Write { key: key(round % 50), index: 0, value: Some(Bytes::from(vec![1; 9])) };
                (Height(round + 1), Writes::new(vec![write]))
            }
        };
        if round == 2_500 {
            store.reader().set_kept(Kept::Last(8));
        }
        let mut batch = Batch::new();
        store.update(height, &writes, &mut batch).unwrap();
        most = most.max(batch.len());
        engine.apply(batch).unwrap();
        match round {
            2_500 => listed = keys(&engine, REGIONS).len(),
            2_501.. => {
                let left = keys(&engine, REGIONS).len();
                if left < 1_000 {
                    break;
                }
                if left < listed && !looked {
                    looked = true;
                    // In this engine scratch bytes lie in the same segments; nobody asks for them from here on.
                    engine.release(SPACE.scratch(), Address::MAX).unwrap();
                    let space_of =
                        |key: &Vec<u8>| engine.snapshot().get(key).unwrap().unwrap()[..6].try_into().unwrap();
                    let first = Address::from_packed(space_of(&keys(&engine, REGIONS)[0]));
                    assert_eq!(engine.read_bulk(first, &mut []), Err(EngineError::Released { address: first }));
                    // What is listed and gone is neither missed nor needed, also by whoever finds no copy of the index.
                    store.reader().verify(height, &mut |damage| panic!("{damage}"));
                    let other = engine.rewind(engine.batches()).unwrap();
                    let mut batch = Batch::new();
                    keys(&other, COPIES).into_iter().for_each(|key| batch.delete(key));
                    assert!(!batch.is_empty());
                    other.apply(batch).unwrap();
                    let opened = StateStore::open(Arc::new(other), SPACE, height, config(Kept::All)).unwrap();
                    assert_eq!(opened.root(), store.root());
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            _ => {}
        }
    }
    assert!(looked);
    assert!(listed > 2_400, "{listed} regions");
    assert!((1_000..1_200).contains(&most), "{most} operations in a batch");
    let (root, height) = (store.root(), store.height());
    drop(store);
    assert_eq!(open(height).root(), root);
}

/// One that is there after every batch, and which heights those batches made it reach.
struct Grown {
    engine: MemoryEngine,
    states: States,
    writes: Vec<Writes>,
    roots: Vec<Digest>,
    /// After which batch each block was in.
    batches: Vec<u64>,
    /// After which batch everything up to which height was synced.
    synced: Vec<(u64, u64)>,
}

const SMALL_SEGMENTS: u64 = 128 << 10;

fn forgetful(engine: &MemoryEngine, height: Height) -> StateStore {
    StateStore::open(Arc::new(engine.clone()), SPACE, height, config(Kept::Last(8))).unwrap()
}

fn step(store: &mut StateStore, engine: &MemoryEngine, height: Height, writes: &Writes) -> Digest {
    let mut batch = Batch::new();
    let root = store.update(height, writes, &mut batch).unwrap();
    engine.apply(batch).unwrap();
    root
}

fn grow(seed: u64, blocks: u64) -> Grown {
    let mut random = Random(seed);
    let engine = MemoryEngine::with_segments(MemoryConfig { kept_batches: 100_000 }, SMALL_SEGMENTS);
    let mut store = forgetful(&engine, Height(0));
    let mut grown = Grown {
        engine: engine.clone(),
        states: vec![BTreeMap::new()],
        writes: vec![Writes::new(Vec::new())],
        roots: vec![store.root()],
        batches: vec![engine.batches()],
        synced: vec![(0, 0)],
    };
    for block in 0..blocks + 1_000 {
        if block >= blocks {
            if store.reader().oldest().0 > blocks / 3 {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let (height, writes) = next(&mut random, &mut grown.states);
        grown.roots.push(step(&mut store, &engine, height, &writes));
        grown.writes.push(writes);
        grown.batches.push(engine.batches());
        if random.below(9) == 0 {
            engine.sync().unwrap();
            grown.synced.push((engine.batches(), height.0));
        }
    }
    assert!(store.reader().oldest().0 > blocks / 3, "{}", store.reader().oldest());
    grown
}

#[test]
fn a_crash_while_it_forgets_costs_nothing_that_is_promised() {
    let (blocks, every) = if cfg!(debug_assertions) { (200, 31) } else { (400, 5) };
    let (mut lower, mut forgotten) = (0, 0);
    for seed in 1..=2 {
        let grown = grow(seed, blocks);
        let last = grown.engine.batches();
        for (round, batch) in (grown.batches[1]..=last).step_by(every).enumerate() {
            let left = match round % 3 {
                0 => grown.engine.rewind(batch).unwrap(),
                round => grown.engine.rewind_torn(batch, seed * 100_000 + batch * 3 + round as u64).unwrap(),
            };
            let head = grown.batches.partition_point(|at| *at <= batch) as u64 - 1;
            let floor = grown.synced.iter().rev().find(|(at, _)| *at <= batch).unwrap().1;
            let mut store = forgetful(&left, Height(head));
            let height = store.height().0;
            assert!((floor..=head).contains(&height), "at {height} of {head}, {floor} was synced");
            lower += u64::from(height < head);
            forgotten += u64::from(store.reader().oldest().0 > 0);
            assert_eq!(store.root(), grown.roots[height as usize], "block {height} after batch {batch}");
            compare(&store, &grown.states[..=height as usize]);
            // It forgets on, from wherever the crash left that.
            let to = (height + 40).min(grown.writes.len() as u64 - 1);
            for again in height + 1..=to {
                let root = step(&mut store, &left, Height(again), &grown.writes[again as usize]);
                assert_eq!(root, grown.roots[again as usize], "block {again}, applied again after batch {batch}");
            }
            compare(&store, &grown.states[..=to as usize]);
        }
    }
    println!("{lower} came back lower than what counted, {forgotten} had forgotten something");
    assert!(lower > 2 && forgotten > 5, "{lower} lower, {forgotten} had forgotten");
}
