//! Scratch bytes go at once when a chain gives them up, and what says that it doesn't need them any more may be lost in a
//! power cut. Whatever a cut leaves of the batches since the last sync, a copy of the index is there: a chain isn't opened by
//! reading all that it ever wrote.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ledger_core::codec::Bytes;
use ledger_core::{ContractId, Height, Key, Write, Writes};
use ledger_crypto::Digest;
use ledger_storage::engine::{Address, Batch, Engine, EngineError, MemoryConfig, MemoryEngine, Snapshot, Space};
use ledger_storage::state::{Kept, StateConfig, StateStore};

const SPACE: Space = Space::new(3);
const KEYS: u64 = 400;

/// An engine in memory that deletes scratch bytes as soon as it may, and never gives them back.
#[derive(Clone)]
struct Eager {
    engine: MemoryEngine,
    /// Whose bytes begin where.
    blobs: Arc<Mutex<BTreeMap<Address, Space>>>,
    /// Before it, scratch bytes are gone.
    gone: Arc<Mutex<Address>>,
    /// All batches up to this one are durable.
    synced: Arc<AtomicU64>,
}

impl Eager {
    fn new() -> Self {
        let engine = MemoryEngine::with_segments(MemoryConfig { kept_batches: 100_000 }, 256 << 10);
        Eager { engine, blobs: Arc::default(), gone: Arc::default(), synced: Arc::default() }
    }

    /// What is left when power is cut now and everything is lost that may be.
    fn cut(&self) -> (Self, u64) {
        let batch = self.synced.load(Ordering::SeqCst);
        (Eager { engine: self.engine.rewind(batch).unwrap(), synced: Arc::default(), ..self.clone() }, batch)
    }
}

impl Engine for Eager {
    fn snapshot(&self) -> Box<dyn Snapshot> {
        self.engine.snapshot()
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        self.engine.apply(batch)
    }

    fn append(&self, space: Space, bytes: &[u8]) -> Result<Address, EngineError> {
        let address = self.engine.append(space, bytes)?;
        self.blobs.lock().unwrap().insert(address, space);
        Ok(address)
    }

    fn largest_blob(&self) -> u64 {
        self.engine.largest_blob()
    }

    fn read_bulk(&self, address: Address, buffer: &mut [u8]) -> Result<usize, EngineError> {
        let is_scratch =
            self.blobs.lock().unwrap().range(..=address).next_back().is_some_and(|(_, of)| of.is_scratch());
        match is_scratch && address < *self.gone.lock().unwrap() {
            true => Err(EngineError::Released { address }),
            false => self.engine.read_bulk(address, buffer),
        }
    }

    fn release(&self, space: Space, below: Address) -> Result<u64, EngineError> {
        if space.is_scratch() {
            let mut gone = self.gone.lock().unwrap();
            *gone = below.max(*gone);
            return Ok(0);
        }
        self.sync()?;
        self.engine.release(space, below)
    }

    fn sync(&self) -> Result<(), EngineError> {
        let batch = self.engine.batches();
        self.engine.sync()?;
        self.synced.fetch_max(batch, Ordering::SeqCst);
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64, EngineError> {
        self.engine.disk_bytes()
    }
}

fn open(engine: &Eager, height: Height, kept: Kept) -> StateStore {
    let config = StateConfig { window_blocks: 5, threads: 1, kept, pruning_bytes: 300_000, checkpoint_bytes: 10_000 };
    StateStore::open(Arc::new(engine.clone()), SPACE, height, config).unwrap()
}

/// All keys at first, then some of the first half: what is never written again is there only where it was moved to.
fn writes(height: u64) -> Writes {
    let write = |number: u64| {
        let key = Key::new(ContractId(Digest::new([1; 32])), format!("key {number:04}").into_bytes());
        Write { key, index: 0, value: Some(Bytes::from(vec![height as u8; 80])) }
    };
    let numbers = (0..KEYS).filter(|number| height == 1 || number % 4 == height % 4 && *number < KEYS / 2);
    Writes::new(numbers.map(write).collect())
}

/// Grows a chain, which is cut and opened now and then.
fn cut_now_and_then(kept: Kept) {
    let engine = Eager::new();
    let mut store = open(&engine, Height(0), kept);
    let mut roots = vec![store.root()];
    // After which batch each block was in.
    let mut batches = vec![engine.engine.batches()];
    let (mut released, mut cuts, mut forgetful) = (Address::ZERO, 0, 0);
    for height in (1..=800).map(Height) {
        let mut batch = Batch::new();
        roots.push(store.update(height, &writes(height.0), &mut batch).unwrap());
        engine.apply(batch).unwrap();
        batches.push(engine.engine.batches());
        let gone = *engine.gone.lock().unwrap();
        if gone > released {
            released = gone;
            let (left, batch) = engine.cut();
            let head = batches.partition_point(|at| *at <= batch) - 1;
            let found = open(&left, Height(head as u64), kept);
            assert_eq!(found.root(), roots[head], "cut after block {height}, all since block {head} is lost");
            // Two copies' distance, where all records take ten times as much in the end.
            let again = found.uncopied_bytes();
            assert!(again < 400_000, "cut after block {height}, at {head}: {again} bytes are read again");
            cuts += 1;
            forgetful += u64::from(found.reader().oldest() > Height(0));
        }
        if height.0 % 61 == 0 {
            // Opened again, it gives up at once what isn't needed.
            drop(store);
            store = open(&engine, height, kept);
        }
        // Passes wait for threads that write and delete, and these for the processor.
        std::thread::sleep(Duration::from_millis(1));
    }
    let oldest = store.reader().oldest();
    match kept {
        Kept::All => assert_eq!(oldest, Height(0)),
        Kept::Last(_) => assert!(oldest > Height(200) && forgetful > 3, "{oldest}, {forgetful}"),
    }
    assert!(cuts > 5, "{cuts} cuts");
}

#[test]
fn whatever_a_power_cut_leaves_opens_soon_and_with_its_root() {
    cut_now_and_then(Kept::All);
    cut_now_and_then(Kept::Last(8));
}
