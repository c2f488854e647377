//! An engine in memory whose bulk reads a test can count and hold up.

use std::sync::atomic::{AtomicU64, Ordering};

use ledger_storage::engine::{Address, Batch, Engine, EngineError, MemoryEngine, Snapshot, Space};

pub(crate) struct ObservedEngine {
    engine: MemoryEngine,
    reads: AtomicU64,
    reading: Box<dyn Fn() + Send + Sync>,
}

impl ObservedEngine {
    /// Calls `reading` before each bulk read, on the thread that reads.
    pub(crate) fn new(reading: impl Fn() + Send + Sync + 'static) -> Self {
        ObservedEngine { engine: MemoryEngine::default(), reads: AtomicU64::new(0), reading: Box::new(reading) }
    }

    /// Bulk reads so far.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

impl Engine for ObservedEngine {
    fn snapshot(&self) -> Box<dyn Snapshot> {
        self.engine.snapshot()
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        self.engine.apply(batch)
    }

    fn append(&self, space: Space, bytes: &[u8]) -> Result<Address, EngineError> {
        self.engine.append(space, bytes)
    }

    fn largest_blob(&self) -> u64 {
        self.engine.largest_blob()
    }

    fn read_bulk(&self, address: Address, buffer: &mut [u8]) -> Result<usize, EngineError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        (self.reading)();
        self.engine.read_bulk(address, buffer)
    }

    fn release(&self, space: Space, below: Address) -> Result<u64, EngineError> {
        self.engine.release(space, below)
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.engine.sync()
    }

    fn disk_bytes(&self) -> Result<u64, EngineError> {
        self.engine.disk_bytes()
    }
}
