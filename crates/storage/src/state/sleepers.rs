//! Tests: a reader that sleeps while a pass of pruning moves and gives up the records whose addresses it has looked up.
//!
//! It sleeps in each of its reads in turn, except where it holds the tree: there no pass can end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ledger_core::codec::Bytes;
use ledger_core::{ContractId, Height, Key, KeyRange, StateError, StateView, Write, Writes};
use ledger_crypto::Digest;

use super::store::{Shared, StateConfig, StateStore};
use super::{Kept, StateReader};
use crate::engine::{Address, Batch, Engine, EngineError, MemoryEngine, Snapshot, Space};

const SPACE: Space = Space::new(7);
const NAMESPACE: ContractId = ContractId(Digest::new([1; 32]));
/// More than a proof shows while the writer waits, and more than one page holds.
const KEYS: u32 = 300;
/// Blocks for which a height stays provable: more than any pass takes, and few.
const LONG: u64 = 5_000;
const SHORT: u64 = 20;

type Dream = Box<dyn FnOnce() + Send>;

/// An engine in which one read takes as long as it takes to do something else, and that gives up every byte at once of
/// which it is told that it isn't needed, where others wait for the end of a segment.
struct Sleepy {
    engine: MemoryEngine,
    /// Whose bytes begin where.
    blobs: Mutex<BTreeMap<Address, Space>>,
    /// Before it, records were given up.
    floor: Mutex<Address>,
    /// Reads until then, and what is done then.
    dream: Mutex<Option<(u64, Dream)>>,
    shared: OnceLock<Arc<Shared>>,
}

impl Sleepy {
    /// Whether the record at `address` was given up.
    fn is_gone(&self, address: Address) -> bool {
        let blobs = self.blobs.lock().unwrap();
        // What is put aside lies between the records.
        blobs.range(..=address).next_back().is_some_and(|(_, space)| *space == SPACE)
            && address < *self.floor.lock().unwrap()
    }

    fn sleep(&self) {
        let dream = {
            let mut dream = self.dream.lock().unwrap();
            match &mut *dream {
                Some(_) if !self.shared.get().is_some_and(|shared| shared.tree_is_free()) => None,
                Some((reads @ 1.., _)) => {
                    *reads -= 1;
                    None
                }
                _ => dream.take(),
            }
        };
        if let Some((_, dream)) = dream {
            dream();
        }
    }
}

impl Engine for Sleepy {
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
        self.sleep();
        match self.is_gone(address) {
            true => Err(EngineError::Released { address }),
            false => self.engine.read_bulk(address, buffer),
        }
    }

    fn release(&self, space: Space, below: Address) -> Result<u64, EngineError> {
        if space == SPACE {
            *self.floor.lock().unwrap() = below;
        }
        self.engine.release(space, below)
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.engine.sync()
    }

    fn disk_bytes(&self) -> Result<u64, EngineError> {
        self.engine.disk_bytes()
    }
}

fn key(number: u32) -> Key {
    Key::new(NAMESPACE, number.to_be_bytes().to_vec())
}

struct World {
    engine: Arc<Sleepy>,
    store: Arc<Mutex<StateStore>>,
    reader: StateReader,
}

impl World {
    /// A few blocks. No pass of pruning has begun.
    fn new(kept: Kept, window_blocks: u64) -> Self {
        let engine = Arc::new(Sleepy {
            engine: MemoryEngine::default(),
            blobs: Mutex::default(),
            floor: Mutex::new(Address::ZERO),
            dream: Mutex::default(),
            shared: OnceLock::new(),
        });
        let config = StateConfig { window_blocks, threads: 1, kept, pruning_bytes: 50_000, checkpoint_bytes: 10_000 };
        let shared: Arc<dyn Engine> = Arc::<Sleepy>::clone(&engine);
        let store = StateStore::open(shared, SPACE, Height(0), config).unwrap();
        let reader = store.reader();
        assert!(engine.shared.set(Arc::clone(&reader.shared)).is_ok());
        let world = World { engine, store: Arc::new(Mutex::new(store)), reader };
        (0..6).for_each(|_| block(&world.store, &world.engine));
        world
    }

    /// What `read` gives when it sleeps in one of its reads, after so many others, until `until` holds of the newest
    /// state; and whether it slept.
    fn sleep_in<T>(
        &self,
        reads: u64,
        until: impl Fn(&StateReader) -> bool + Send + 'static,
        read: impl FnOnce(&StateReader) -> T,
    ) -> (T, bool) {
        let (store, engine, reader) = (Arc::clone(&self.store), Arc::clone(&self.engine), self.reader.clone());
        let dream = move || {
            while !until(&reader) {
                block(&store, &engine);
                // A pass waits for threads that write and delete, and these for the processor.
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        *self.engine.dream.lock().unwrap() = Some((reads, Box::new(dream)));
        let found = read(&self.reader);
        let awake = self.engine.dream.lock().unwrap().take();
        (found, awake.is_none())
    }

    /// Where one of the records lies that the index leads to.
    fn some_record(&self) -> Address {
        let addresses = self.reader.page_from(&key(0).to_bytes(), self.reader.shared.newest()).unwrap();
        *addresses.first().unwrap()
    }
}

/// Applies a block: the first one writes all keys, each other one a tenth of them.
fn block(store: &Mutex<StateStore>, engine: &Sleepy) {
    let mut store = store.lock().unwrap();
    let height = store.height().next();
    let value = Some(Bytes::from(height.0.to_le_bytes().to_vec()));
    let numbers = (0..KEYS).filter(|number| height == Height(1) || u64::from(number % 10) == height.0 % 10);
    let writes = numbers.map(|number| Write { key: key(number), index: 0, value: value.clone() }).collect();
    let mut batch = Batch::new();
    store.update(height, &Writes::new(writes), &mut batch).unwrap();
    engine.apply(batch).unwrap();
}

type Question = fn(&StateReader, Height) -> Result<String, StateError>;

/// What a reader can ask of the state after a block.
fn questions() -> Vec<(&'static str, Question)> {
    fn all() -> KeyRange {
        KeyRange { namespace: NAMESPACE, from: Bytes::default(), to: None }
    }
    vec![
        ("a value", |reader, at| Ok(format!("{:?}", reader.get(&key(16), at)?))),
        ("values", |reader, at| {
            let keys: Vec<Key> = (0..KEYS + 5).map(key).collect();
            Ok(format!("{:?}", reader.at(at).get_many(&keys)?))
        }),
        ("a scan", |reader, at| Ok(format!("{:?}", reader.scan(&all(), at).collect::<Result<Vec<_>, _>>()?))),
        ("a proof", |reader, at| Ok(format!("{:?}", reader.prove_range(at, at, &key(0), None)?))),
    ]
}

/// The reads in which somebody sleeps.
const READS: [u64; 6] = [0, 1, 2, 63, 64, 200];

#[test]
fn whoever_is_promised_a_height_reads_it_however_long_he_sleeps() {
    for (name, ask) in questions() {
        let mut slept = 0;
        for reads in READS {
            // All heights are kept, but a pass moves them all the same.
            let world = World::new(Kept::Last(LONG), LONG);
            let at = Height(world.store.lock().unwrap().height().0 - 1);
            let expected = ask(&world.reader, at).unwrap();
            let (engine, address) = (Arc::clone(&world.engine), world.some_record());
            let gone = move |reader: &StateReader| {
                assert!(reader.shared.newest() < Height(LONG), "no pass has come to its end");
                engine.is_gone(address)
            };
            let (found, has_slept) = world.sleep_in(reads, gone, |reader| ask(reader, at));
            assert_eq!(found.unwrap(), expected, "{name}, after {reads} reads");
            slept += u64::from(has_slept);
        }
        assert!(slept > 1, "{name}: slept {slept} times");
    }
}

#[test]
fn whoever_is_not_is_told_which_heights_remain() {
    for (name, ask) in questions() {
        let mut slept = 0;
        for reads in READS {
            let world = World::new(Kept::Last(1), SHORT);
            let at = Height(world.store.lock().unwrap().height().0 - 1);
            let gone = move |reader: &StateReader| reader.oldest() > at && reader.oldest_provable() > at;
            let (found, has_slept) = world.sleep_in(reads, gone, |reader| ask(reader, at));
            if !has_slept {
                continue;
            }
            slept += 1;
            // What was read before he slept may have been all there was to read.
            let Err(error) = found else { continue };
            let StateError::Height { height, oldest, newest } = error else { panic!("{name}: {error}") };
            let remain = (world.reader.oldest(), world.reader.oldest_provable());
            assert!(height == at && newest == world.reader.shared.newest(), "{name}: {height}, {newest}");
            assert!(oldest == remain.0 || oldest == remain.1, "{name}: {oldest} is said to be the oldest");
        }
        assert!(slept > 1, "{name}: slept {slept} times");
    }
}

#[test]
fn a_snapshot_is_made_of_a_pinned_height_however_long_its_maker_sleeps() {
    for reads in READS {
        let world = World::new(Kept::Last(1), LONG);
        let at = Height(world.store.lock().unwrap().height().0 - 1);
        let pin = world.reader.pin(at).unwrap().unwrap();
        let expected = pin.chunk(&key(0), 1 << 20).unwrap();
        let (engine, address) = (Arc::clone(&world.engine), world.some_record());
        let gone = move |reader: &StateReader| {
            assert!(reader.shared.newest().0 < at.0 + LONG, "no pass has come to its end");
            engine.is_gone(address)
        };
        let (found, slept) = world.sleep_in(reads, gone, |_| pin.chunk(&key(0), 1 << 20));
        assert!(slept && found.unwrap() == expected, "after {reads} reads");
    }
}

#[test]
fn a_history_is_that_of_the_heights_that_are_kept_in_the_end() {
    for (kept, window) in [(Kept::Last(LONG), LONG), (Kept::Last(1), SHORT)] {
        for reads in 0..2 {
            let world = World::new(kept, window);
            let before = world.reader.history(&key(5), None, 100).unwrap();
            assert_eq!(before.iter().map(|entry| entry.version.height.0).collect::<Vec<_>>(), [5, 1]);
            let (engine, address) = (Arc::clone(&world.engine), world.some_record());
            let gone = move |_: &StateReader| engine.is_gone(address);
            let (found, slept) = world.sleep_in(reads, gone, |reader| reader.history(&key(5), None, 1_000));
            // The oldest one is that of the oldest height that is kept.
            let after = world.reader.history(&key(5), None, 1_000).unwrap();
            assert!(slept && found.unwrap() == after, "{kept:?}, after {reads} reads");
            let oldest = after.last().unwrap().version.height;
            assert!(oldest == Height(1) || kept == Kept::Last(1) && oldest <= world.reader.oldest(), "{oldest}");
        }
    }
}
