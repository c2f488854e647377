//! A crash may take the latest records of a chain that forgets: it comes back lower, can be read there, and its blocks are
//! applied again. From then on nothing of what the crash left counts: opened once more, with no crash in between, the chain
//! is where it was. The log may have been cut behind it by then.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, clippy::panic)]

mod chain_support;

use std::sync::Arc;
use std::time::Duration;

use chain_support::{Made, genesis, namespace};
use ledger_core::codec::Bytes;
use ledger_core::{Key, KeyRange, StateView, Write};
use ledger_storage::chain::{ChainConfig, ChainStore};
use ledger_storage::engine::{Engine, MemoryConfig, MemoryEngine};
use ledger_storage::state::{Kept, StateConfig};

const KEYS: u64 = 1_500;

fn open(engine: &MemoryEngine) -> ChainStore {
    let state = StateConfig {
        window_blocks: 5,
        threads: 1,
        kept: Kept::Last(8),
        pruning_bytes: 40_000,
        checkpoint_bytes: 400_000,
    };
    let engine: Arc<dyn Engine> = Arc::new(engine.clone());
    ChainStore::open(engine, &genesis("a"), ChainConfig { state }).unwrap_or_else(|error| panic!("{error}"))
}

/// The first block writes all keys, so that a pass takes several blocks.
fn writes(height: u64) -> Vec<Write> {
    let write = |part: u64| {
        let number = (height * 31 + part * 13) % KEYS;
        let name = format!("key {number:03}").into_bytes();
        let value =
            (!(number + height).is_multiple_of(7)).then(|| Bytes::from(vec![height as u8; number as usize % 30]));
        Write { key: Key::new(namespace(1), name), index: part as u32, value }
    };
    (0..if height == 1 { KEYS } else { 80 }).map(write).collect()
}

/// All keys and values of the newest state.
fn content(store: &ChainStore) -> String {
    let all = KeyRange { namespace: namespace(1), from: Bytes::default(), to: None };
    let found: Result<Vec<_>, _> = store.reader().state().scan(&all).collect();
    format!("{:?}", found.unwrap())
}

#[test]
fn what_was_applied_again_after_a_crash_is_there_when_the_chain_is_opened_next() {
    let engine = MemoryEngine::with_segments(MemoryConfig { kept_batches: 100_000 }, 128 << 10);
    let mut store = open(&engine);
    let (mut made, mut contents) = (Vec::new(), vec![content(&store)]);
    // Each pass waits for threads that write and delete, and these for the processor: on a busy machine it takes more blocks.
    for height in 1..=1_500 {
        if height > 150 && store.reader().oldest_state().0 > 75 {
            break;
        }
        let next = Made::next(&store, writes(height), vec![]);
        next.apply(&mut store).unwrap();
        made.push(next);
        contents.push(content(&store));
        std::thread::sleep(Duration::from_millis(1));
    }
    let last = store.head().header.height.0;
    assert!(store.reader().oldest_state().0 > 75, "{}", store.reader().oldest_state());
    drop(store);
    let (mut lower, mut far) = (0, 0);
    for batch in (10..=engine.batches()).step_by(if cfg!(debug_assertions) { 9 } else { 1 }) {
        let left = engine.rewind_torn(batch, batch * 31 + 1).unwrap();
        let mut store = open(&left);
        let came_back = store.head().header.height.0;
        assert_eq!(content(&store), contents[came_back as usize], "after batch {batch}, at {came_back}");
        if let Some(before) = store.rewound_from() {
            lower += 1;
            far += u64::from(before.0 - came_back > 8);
        }
        // Some blocks at first, and then the others, with nothing but an end in between.
        for to in [(came_back + 12).min(last), last] {
            for again in &made[store.head().header.height.0 as usize..to as usize] {
                again.apply(&mut store).unwrap();
            }
            // A host cuts its log once this has returned.
            left.sync().unwrap();
            drop(store);
            store = open(&left);
            assert_eq!(store.head().header.height.0, to, "after batch {batch}, having come back at {came_back}");
            assert_eq!(store.rewound_from(), None);
            assert_eq!(content(&store), contents[to as usize], "after batch {batch}, at {to}");
        }
    }
    println!("{lower} came back lower, {far} of them by more than is kept");
    assert!(lower > 5 && far > 0, "{lower} came back lower, {far} by more than is kept");
}
