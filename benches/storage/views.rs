//! The views of a chain: engines, state updates with their root, reads, proofs, opening again.
//!
//! A million keys of 40 bytes with values of 8, in blocks of 20,000, then blocks that write 10,000 of them, drawn
//! uniformly, each with its root, in one engine batch; nothing is synced. `transfers` is such a block of 5,000
//! transactions that write three keys each, with receipts and index. One thread writes; fjall has one worker beside it.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use ledger_core::codec::{Bytes, List};
use ledger_core::{
    Block, ContractId, Execution, Fuel, Genesis, Header, Height, Key, SignedTransaction, StateView, Status, Timestamp,
    TransactionBuilder, TransactionResult, Write, Writes,
};
use ledger_crypto::{Digest, MemorySigner, Signer};
use ledger_storage::chain::{AppliedBlock, ChainConfig, ChainStore};
use ledger_storage::engine::{
    Address, Batch, Engine, EngineError, FjallConfig, FjallEngine, MemoryConfig, MemoryEngine, Snapshot, Space,
};
use ledger_storage::log::LogPosition;

use crate::{Folder, or_exit};

const KEYS: u64 = 1_000_000;
const LOADED_AT_ONCE: u64 = 20_000;
const LOADS: u64 = KEYS / LOADED_AT_ONCE;
const UPDATES: u64 = 10_000;
const TRANSFERS: u32 = 5_000;

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// An engine that counts what is written.
struct Counting {
    inner: Arc<dyn Engine>,
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Engine for Counting {
    fn snapshot(&self) -> Box<dyn Snapshot> {
        self.inner.snapshot()
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        self.records.fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(batch.bytes() as u64, Ordering::Relaxed);
        self.inner.apply(batch)
    }

    fn append(&self, space: Space, bytes: &[u8]) -> Result<Address, EngineError> {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.inner.append(space, bytes)
    }

    fn largest_blob(&self) -> u64 {
        self.inner.largest_blob()
    }

    fn read_bulk(&self, address: Address, buffer: &mut [u8]) -> Result<usize, EngineError> {
        self.inner.read_bulk(address, buffer)
    }

    fn release(&self, space: Space, below: Address) -> Result<u64, EngineError> {
        self.inner.release(space, below)
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.inner.sync()
    }

    fn disk_bytes(&self) -> Result<u64, EngineError> {
        self.inner.disk_bytes()
    }
}

fn genesis() -> Genesis {
    Genesis::solo("bench", MemorySigner::from_seed([1; 32]).public_key(), Timestamp(1_700_000_000_000))
}

fn key(number: u64) -> Key {
    let mut name = vec![b'b'; 40];
    if let Some(front) = name.first_chunk_mut::<8>() {
        *front = number.to_be_bytes();
    }
    Key::new(ContractId(Digest::new([7; 32])), name)
}

fn write(number: u64, index: u32, value: u64) -> Write {
    Write { key: key(number), index, value: Some(Bytes::from(value.to_le_bytes().to_vec())) }
}

fn empty_block(parent: &Header) -> Block {
    let header = Header {
        height: parent.height.next(),
        parent: parent.digest(),
        transactions_root: Block::transactions_root(&[]),
        ..parent.clone()
    };
    Block { header, transactions: List::new() }
}

fn apply(
    store: &mut ChainStore,
    transactions: List<SignedTransaction>,
    writes: Writes,
    results: Vec<TransactionResult>,
) {
    let mut block = empty_block(&store.head().header);
    block.transactions = transactions;
    let position = LogPosition { segment: 1, offset: block.header.height.0, length: 1 };
    let execution = Execution { writes, results, fuel_used: Fuel(0), validators: List::new() };
    or_exit(store.apply(AppliedBlock { block: &block, certificate: &[0; 64], position, execution: &execution }));
}

/// A chain with [`KEYS`] keys.
fn loaded(engine: &Arc<Counting>, name: &str) -> ChainStore {
    let shared: Arc<dyn Engine> = Arc::clone(engine) as Arc<dyn Engine>;
    let mut store = or_exit(ChainStore::open(shared, &genesis(), ChainConfig::default()));
    let start = Instant::now();
    for first in (0..LOADS).map(|load| load * LOADED_AT_ONCE) {
        let writes = (first..first + LOADED_AT_ONCE).map(|number| write(number, 0, number)).collect();
        apply(&mut store, List::new(), Writes::new(writes), Vec::new());
    }
    println!("{name}: {KEYS} keys loaded in {:.1} s", start.elapsed().as_secs_f64());
    store
}

fn engine(name: &str, folder: &Path) -> Arc<Counting> {
    let inner: Arc<dyn Engine> = match name {
        "memory" => Arc::new(MemoryEngine::new(MemoryConfig::default())),
        _ => Arc::new(or_exit(FjallEngine::open(folder, FjallConfig::default()))),
    };
    Arc::new(Counting { inner, records: AtomicU64::new(0), bytes: AtomicU64::new(0) })
}

/// Batches of 10,000 new and old keys, with nothing on top.
pub(crate) fn engines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine/apply");
    group.throughput(Throughput::Elements(UPDATES)).sample_size(20);
    for name in ["memory", "fjall"] {
        let folder = or_exit(Folder::new("engine"));
        let engine = engine(name, folder.path());
        let mut random = Random(1);
        group.bench_function(BenchmarkId::new(name, UPDATES), |bencher| {
            bencher.iter_batched(
                || {
                    let mut batch = Batch::new();
                    for _ in 0..UPDATES {
                        batch.put(key(random.below(KEYS)).to_bytes(), vec![7; 80]);
                    }
                    batch
                },
                |batch| or_exit(engine.apply(batch)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// State, tree, index over a million keys.
pub(crate) fn state(criterion: &mut Criterion) {
    for name in ["memory", "fjall"] {
        let folder = or_exit(Folder::new("state"));
        let engine = engine(name, folder.path());
        let mut store = loaded(&engine, name);
        updates(criterion, name, &engine, &mut store);
        transfers(criterion, name, &engine, &mut store);
        reads(criterion, name, &store);
        drop(store);
        if name == "fjall" {
            drop(engine);
            reopen(criterion, folder.path());
        }
    }
}

fn updates(criterion: &mut Criterion, name: &str, engine: &Counting, store: &mut ChainStore) {
    let mut random = Random(2);
    let mut group = criterion.benchmark_group("state/update");
    group.throughput(Throughput::Elements(UPDATES)).sample_size(20).measurement_time(Duration::from_secs(8));
    let before = (engine.records.load(Ordering::Relaxed), engine.bytes.load(Ordering::Relaxed));
    let mut blocks = 0;
    group.bench_function(BenchmarkId::new(name, UPDATES), |bencher| {
        bencher.iter_batched(
            || Writes::new((0..UPDATES).map(|_| write(random.below(KEYS), 0, random.0)).collect()),
            |writes| {
                blocks += 1;
                apply(store, List::new(), writes, Vec::new());
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
    print_written(&format!("state/update/{name}"), engine, before, blocks * UPDATES, "key");
}

fn print_written(what: &str, engine: &Counting, before: (u64, u64), count: u64, one: &str) {
    if count == 0 {
        return;
    }
    let records = engine.records.load(Ordering::Relaxed) - before.0;
    let bytes = engine.bytes.load(Ordering::Relaxed) - before.1;
    let per = |amount: u64| amount as f64 / count as f64;
    println!("{what}: {:.2} records and {:.0} bytes to the engine per {one}", per(records), per(bytes));
}

fn transfers(criterion: &mut Criterion, name: &str, engine: &Counting, store: &mut ChainStore) {
    let mut random = Random(3);
    let signer = MemorySigner::from_seed([2; 32]);
    let call = TransactionBuilder::call(genesis().chain(), ContractId(Digest::new([7; 32])), "transfer", vec![1; 48]);
    let transaction = or_exit(call.sign(&signer));
    let transactions: List<SignedTransaction> = (0..TRANSFERS).map(|_| transaction.clone()).collect();
    let mut group = criterion.benchmark_group("chain/apply");
    group.throughput(Throughput::Elements(TRANSFERS.into())).sample_size(20).measurement_time(Duration::from_secs(8));
    let before = (engine.records.load(Ordering::Relaxed), engine.bytes.load(Ordering::Relaxed));
    let mut blocks = 0;
    group.bench_function(BenchmarkId::new(name, format!("{TRANSFERS} transfers")), |bencher| {
        bencher.iter_batched(
            || {
                let mut writes = Vec::new();
                let mut results = Vec::new();
                for index in 0..TRANSFERS {
                    writes.extend((0..3).map(|_| write(random.below(KEYS), index, random.0)));
                    let mut id = [0; 32];
                    id.fill_with(|| random.below(256).to_le_bytes()[0]);
                    let (id, events) = (ledger_core::TransactionId(Digest::new(id)), List::new());
                    let output = Bytes::default();
                    results.push(TransactionResult::new(id, index, Status::Succeeded, Fuel(9_000), output, events));
                }
                (transactions.clone(), Writes::new(writes), results)
            },
            |(transactions, writes, results)| {
                blocks += 1;
                apply(store, transactions, writes, results);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
    print_written(&format!("chain/apply/{name}"), engine, before, blocks * u64::from(TRANSFERS), "transfer");
}

fn reads(criterion: &mut Criterion, name: &str, store: &ChainStore) {
    let reader = store.reader();
    let mut random = Random(4);
    let newest = reader.head().header.height;
    let mut group = criterion.benchmark_group("state/read");
    let state = reader.state();
    group.bench_function(BenchmarkId::new(name, "get"), |bencher| {
        bencher.iter(|| black_box(or_exit(state.get(&key(random.below(KEYS))))));
    });
    let old = or_exit(reader.state_at(Height(LOADS)));
    group.bench_function(BenchmarkId::new(name, "get at an old height"), |bencher| {
        bencher.iter(|| black_box(or_exit(old.get(&key(random.below(KEYS))))));
    });
    group.bench_function(BenchmarkId::new(name, "prove the newest"), |bencher| {
        bencher.iter(|| black_box(or_exit(reader.prove(newest, &key(random.below(KEYS))))));
    });
    let oldest = reader.oldest_provable().0.max(newest.0.saturating_sub(8));
    group.bench_function(BenchmarkId::new(name, format!("prove {} blocks back", newest.0 - oldest)), |bencher| {
        bencher.iter(|| black_box(or_exit(reader.prove(Height(oldest), &key(random.below(KEYS))))));
    });
    group.finish();
}

/// Opens a closed folder, and applies a first block without anything cached.
fn reopen(criterion: &mut Criterion, folder: &Path) {
    let start = Instant::now();
    let engine = engine("fjall", folder);
    let opened = start.elapsed();
    let shared: Arc<dyn Engine> = Arc::clone(&engine) as Arc<dyn Engine>;
    let mut store = or_exit(ChainStore::open(shared, &genesis(), ChainConfig::default()));
    let chain = start.elapsed() - opened;
    let mut random = Random(5);
    let start = Instant::now();
    apply(
        &mut store,
        List::new(),
        Writes::new((0..UPDATES).map(|_| write(random.below(KEYS), 0, 1)).collect()),
        Vec::new(),
    );
    let first = start.elapsed();
    println!(
        "reopen: {KEYS} keys, engine {:.1} ms, chain {:.3} ms; the first {UPDATES} updates {:.0} ms",
        opened.as_secs_f64() * 1e3,
        chain.as_secs_f64() * 1e3,
        first.as_secs_f64() * 1e3
    );
    updates(criterion, "fjall, no cache", &engine, &mut store);
}
