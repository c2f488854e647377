//! A proof of a long range is read beside the writer: it is the one proof that the range has, whatever is written
//! meanwhile, and blocks are applied while it is being made.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod state_support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use ledger_core::codec::Bytes;
use ledger_core::state::tree;
use ledger_core::{ContractId, Height, Key, StateError, Version, Versioned, Write, Writes};
use ledger_crypto::Digest;
use ledger_storage::engine::{Batch, Engine, MemoryEngine, Space};
use ledger_storage::state::{MAX_PROVEN_BYTES, MAX_PROVEN_KEYS, StateConfig, StateStore};
use state_support::ObservedEngine;

const KEYS: u64 = 3_000;

fn key(number: u64) -> Key {
    Key::new(ContractId(Digest::new([(number / 2_000) as u8; 32])), (number as u32).to_be_bytes().to_vec())
}

fn mixed(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 32)
}

/// Block 1 writes every other key, later ones some that were there and some that weren't; a fifth are deletions.
fn writes(height: u64) -> Writes {
    let amount = if height == 1 { KEYS / 2 } else { 200 };
    let write = |index: u64| {
        let drawn = mixed(height << 32 | index);
        let number = if height == 1 { 2 * index } else { drawn / 8 % KEYS };
        let value = (height == 1 || !drawn.is_multiple_of(5)).then(|| Bytes::from(drawn.to_le_bytes().to_vec()));
        Write { key: key(number), index: index as u32, value }
    };
    Writes::new((0..amount).map(write).collect())
}

type Live = BTreeMap<Key, Versioned>;

fn after(before: &Live, height: u64, writes: &Writes) -> Live {
    let mut live = before.clone();
    for write in writes {
        let predecessor = live.get(&write.key).map(|before| before.leaf(&write.key));
        match &write.value {
            Some(value) => {
                let version = Version { height: Height(height), index: write.index };
                live.insert(write.key.clone(), Versioned { value: value.clone(), version, predecessor });
            }
            None => drop(live.remove(&write.key)),
        }
    }
    live
}

#[test]
fn a_long_range_has_the_one_proof_that_a_sorted_list_gives() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
    let config = StateConfig { window_blocks: 6, ..StateConfig::default() };
    let mut store = StateStore::open(Arc::clone(&engine), Space::new(1), Height(0), config).unwrap();
    let (mut states, mut roots) = (vec![Live::new()], vec![store.root()]);
    for height in 1..=8 {
        let (mut batch, writes) = (Batch::new(), writes(height));
        roots.push(store.update(Height(height), &writes, &mut batch).unwrap());
        engine.apply(batch).unwrap();
        states.push(after(&states[height as usize - 1], height, &writes));
    }
    let reader = store.reader();
    // Around the length from which on a range is read beside the writer, in leaves and in live ones; and to the end.
    let lengths = [1, 250, 254, 255, 256, 257, 258, 300, 520, 1_500, 5_000];
    for at in 2..=8 {
        let live: Vec<_> = states[at].iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        for (round, length) in lengths.into_iter().chain(lengths).enumerate() {
            let first = mixed(round as u64 ^ (at as u64) << 20) % (KEYS + 50);
            let first = if round % 7 == 0 { 0 } else { first };
            let (from, to) = (key(first), (round % 5 != 4).then(|| key((first + length).min(KEYS + 60))));
            let proof = reader.prove_range(Height(8), Height(at as u64), &from, to.as_ref()).unwrap();
            assert_eq!(proof, tree::prove_range(&live, &from, to.as_ref()), "{first} + {length} at {at}");
            let shown = proof.verify_range(&roots[at], &from, to.as_ref()).unwrap();
            let expected = live.iter().filter(|(key, _)| *key >= from && to.as_ref().is_none_or(|to| key < to));
            assert!(shown.into_iter().eq(expected.map(|(key, value)| (key, value))), "{first} + {length} at {at}");
        }
    }
}

/// Lets the bulk reads of one thread wait, each for a moment, until the writer has applied its block.
struct Waiting {
    /// For how long a read waits, and how many do: so a writer who is held up ends the test and not the test's time.
    moment: Duration,
    most: u64,
    /// Whose reads wait.
    whose: Mutex<Option<ThreadId>>,
    written: Mutex<bool>,
    told: Condvar,
    /// Reads that waited.
    waited: AtomicU64,
    /// Reads made after the block was applied.
    later: AtomicU64,
    begun: AtomicBool,
}

impl Waiting {
    /// The engine, and what holds its reader up.
    fn engine(moment: Duration, most: u64) -> (Arc<ObservedEngine>, Arc<Self>) {
        let waiting = Arc::new(Waiting {
            moment,
            most,
            whose: Mutex::default(),
            written: Mutex::default(),
            told: Condvar::new(),
            waited: AtomicU64::new(0),
            later: AtomicU64::new(0),
            begun: AtomicBool::new(false),
        });
        let reader = Arc::clone(&waiting);
        (Arc::new(ObservedEngine::new(move || reader.hold())), waiting)
    }

    fn hold(&self) {
        if *self.whose.lock().unwrap() != Some(std::thread::current().id()) {
            return;
        }
        self.begun.store(true, Ordering::Release);
        let mut written = self.written.lock().unwrap();
        if !*written && self.waited.fetch_add(1, Ordering::Relaxed) < self.most {
            (written, _) = self.told.wait_timeout(written, self.moment).unwrap();
        }
        self.later.fetch_add(u64::from(*written), Ordering::Relaxed);
    }
}

#[test]
fn a_block_is_applied_while_a_long_range_is_proven() {
    let (engine, waiting) = Waiting::engine(Duration::from_millis(25), 400);
    let shared: Arc<dyn Engine> = Arc::<ObservedEngine>::clone(&engine);
    let config = StateConfig { threads: 1, ..StateConfig::default() };
    let mut store = StateStore::open(shared, Space::new(1), Height(0), config).unwrap();
    let mut roots = vec![store.root()];
    let mut apply = |height: u64, store: &mut StateStore| {
        let mut batch = Batch::new();
        roots.push(store.update(Height(height), &writes(height), &mut batch).unwrap());
        engine.apply(batch).unwrap();
    };
    (1..=3).for_each(|height| apply(height, &mut store));
    let reader = store.reader();
    let (from, at) = (key(0), Height(2));
    let proof = std::thread::scope(|scope| {
        let prover = scope.spawn(|| {
            *waiting.whose.lock().unwrap() = Some(std::thread::current().id());
            reader.prove_range(Height(3), at, &from, None)
        });
        while !waiting.begun.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        apply(4, &mut store);
        *waiting.written.lock().unwrap() = true;
        waiting.told.notify_all();
        prover.join().unwrap().unwrap()
    });
    let shown = proof.verify_range(&roots[2], &from, None).unwrap();
    let later = waiting.later.load(Ordering::Relaxed);
    // Whoever held the tree while he read would have ended before the block could be applied.
    assert!(later > shown.len() as u64 / 2, "{later} reads for {} keys came after the block", shown.len());
}

#[test]
fn a_range_of_too_many_keys_is_refused() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
    let mut store = StateStore::open(Arc::clone(&engine), Space::new(1), Height(0), StateConfig::default()).unwrap();
    let write = |number: u64| Write { key: key(number), index: 0, value: Some(Bytes::from(vec![1])) };
    let limit = MAX_PROVEN_KEYS as u64;
    let mut batch = Batch::new();
    let root = store.update(Height(1), &Writes::new((0..limit + 1).map(write).collect()), &mut batch).unwrap();
    engine.apply(batch).unwrap();
    let (reader, at) = (store.reader(), Height(1));
    let refused = reader.prove_range(at, at, &key(0), None).unwrap_err();
    assert!(matches!(refused, StateError::RangeLength { limit } if limit == MAX_PROVEN_KEYS), "{refused}");
    let proof = reader.prove_range(at, at, &key(1), None).unwrap();
    assert_eq!(proof.verify_range(&root, &key(1), None).unwrap().len() as u64, limit);
}

/// A few large values, and many smaller ones: what no reader could decode is refused by name, before it is all in memory.
#[test]
fn a_range_of_too_many_bytes_is_refused() {
    for keys in [40, 400] {
        let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
        let mut store =
            StateStore::open(Arc::clone(&engine), Space::new(1), Height(0), StateConfig::default()).unwrap();
        let length = (MAX_PROVEN_BYTES / keys as usize) + 1;
        let write =
            |number: u64| Write { key: key(number), index: 0, value: Some(Bytes::from(vec![number as u8; length])) };
        let mut batch = Batch::new();
        let root = store.update(Height(1), &Writes::new((0..keys).map(write).collect()), &mut batch).unwrap();
        engine.apply(batch).unwrap();
        let reader = store.reader();
        let refused = reader.prove_range(Height(1), Height(1), &key(0), Some(&key(keys))).unwrap_err();
        assert!(matches!(refused, StateError::RangeBytes { limit } if limit == MAX_PROVEN_BYTES), "{refused}");
        let most = &key(keys - 1);
        let proof = reader.prove_range(Height(1), Height(1), &key(0), Some(most)).unwrap();
        assert_eq!(proof.verify_range(&root, &key(0), Some(most)).unwrap().len() as u64, keys - 1);
    }
}

/// A tree of few keys, into which a block put many between them: what it was before has to be looked for leaf by leaf.
#[test]
fn a_block_is_applied_while_what_has_grown_is_looked_through() {
    const GROWN: u64 = 20_000;
    let (engine, waiting) = Waiting::engine(Duration::from_millis(1), 10_000);
    let shared: Arc<dyn Engine> = Arc::<ObservedEngine>::clone(&engine);
    let config = StateConfig { threads: 1, ..StateConfig::default() };
    let mut store = StateStore::open(shared, Space::new(1), Height(0), config).unwrap();
    let mut live = Live::new();
    let mut apply = |height: u64, numbers: &mut dyn Iterator<Item = u64>, store: &mut StateStore| {
        let value = Some(Bytes::from(height.to_le_bytes().to_vec()));
        let writes = Writes::new(numbers.map(|n| Write { key: key(n), index: 0, value: value.clone() }).collect());
        let mut batch = Batch::new();
        store.update(Height(height), &writes, &mut batch).unwrap();
        engine.apply(batch).unwrap();
        if height == 1 {
            live = after(&Live::new(), 1, &writes);
        }
    };
    apply(1, &mut (0..GROWN).step_by(500), &mut store);
    apply(2, &mut (0..GROWN).filter(|number| number % 500 > 0), &mut store);
    let (reader, proven, before) = (store.reader(), key(7 * 500), engine.reads());
    let (at, newest) = (Height(1), Height(2));
    let alone = reader.prove(newest, at, &proven).unwrap();
    let reads = engine.reads() - before;
    assert!(reads > GROWN, "{reads} reads are too few for a tree that has grown so much");
    let proof = std::thread::scope(|scope| {
        let prover = scope.spawn(|| {
            *waiting.whose.lock().unwrap() = Some(std::thread::current().id());
            reader.prove(newest, at, &proven)
        });
        while !waiting.begun.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        // Splits pages again, some of which were looked through already.
        apply(3, &mut (GROWN..2 * GROWN).step_by(9), &mut store);
        *waiting.written.lock().unwrap() = true;
        waiting.told.notify_all();
        prover.join().unwrap().unwrap()
    });
    let live: Vec<_> = live.into_iter().collect();
    assert_eq!(proof, tree::prove_range(&live, &proven, Some(&proven.successor())));
    assert_eq!(proof, alone);
    let later = waiting.later.load(Ordering::Relaxed);
    assert!(later > reads / 2, "{later} of {reads} reads came after the block");
}
