//! Our store as a contender: the only file here that knows its interface.
//!
//! A batch is one record in the real log (encoded, one group, one fsync) and one block of the state. The log syncs it
//! while the state works out the root; the batch is done when both are.
//!
//! [`Ours`] keeps the whole history, as the comparison asks; [`Pruning`] gives old versions up, so that a run of any
//! length fits on a disk.

use std::path::Path;
use std::sync::Arc;

use ledger_core::codec::{self, Bytes};
use ledger_core::{ContractId, Height, Key, StateView, Write, Writes};
use ledger_crypto::Digest;
use ledger_storage::disk::RealDisk;
use ledger_storage::engine::{Batch, Engine, FjallConfig, FjallEngine, Space};
use ledger_storage::log::{Log, LogConfig, LogId, LogWriter, Record, RecordKind, Ticket};
use ledger_storage::state::{Kept, StateConfig, StateStore};

use crate::contender::{Contender, Outcome};
use crate::measure::Report;
use crate::workload::{self, Update};

const SPACE: Space = Space::new(1);

/// Heights that stay provable.
const WINDOW: u64 = 256;

/// Keeps every version of every key.
pub(crate) type Ours = Ledger<false>;
/// Keeps the versions that provable heights need.
pub(crate) type Pruning = Ledger<true>;

pub(crate) struct Ledger<const PRUNES: bool> {
    log: LogWriter,
    under_way: Option<Ticket>,
    engine: Arc<FjallEngine>,
    store: StateStore,
    height: Height,
}

fn key(bytes: [u8; 32]) -> Key {
    Key::new(ContractId(Digest::new([7; 32])), bytes.to_vec())
}

/// What the log keeps: the namespace once where it stays the same, and key and value of each write.
fn encode(writes: &Writes) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(writes.len() * (8 + workload::KEY_BYTES + workload::VALUE_BYTES) + 64);
    let mut last = None;
    for write in writes.iter() {
        if last != Some(write.key.namespace) {
            last = Some(write.key.namespace);
            bytes.extend_from_slice(&u16::MAX.to_le_bytes());
            bytes.extend_from_slice(write.key.namespace.0.as_bytes());
        }
        let value = write.value.as_deref().unwrap_or_default();
        bytes.extend_from_slice(&u16::try_from(write.key.name.len()).unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(&write.key.name);
        bytes.extend_from_slice(&write.index.to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(value);
    }
    bytes
}

impl<const PRUNES: bool> Contender for Ledger<PRUNES> {
    type Batch = Writes;

    fn open(folder: &Path, _keys: u64) -> Outcome<Self> {
        let disk = RealDisk::open(folder.join("log"))?;
        if disk.is_volatile() {
            return Err(format!("{} lies in memory, where a sync costs nothing", folder.display()).into());
        }
        let log = Log::create(Arc::new(disk), LogId::new([7; 32]), LogConfig::default())?;
        let engine = Arc::new(FjallEngine::open(folder.join("views"), FjallConfig::default())?);
        let kept = if PRUNES { Kept::Last(WINDOW) } else { Kept::All };
        let config = StateConfig { window_blocks: WINDOW, kept, ..StateConfig::default() };
        let shared: Arc<dyn Engine> = Arc::<FjallEngine>::clone(&engine);
        let store = StateStore::open(shared, SPACE, Height(0), config)?;
        let log = LogWriter::spawn(log, LogWriter::SEAL_AFTER)?;
        Ok(Self { log, under_way: None, engine, store, height: Height(0) })
    }

    fn prepare(updates: Vec<Update>) -> Writes {
        let write =
            |(name, value): Update| Write { key: key(name), index: 0, value: Some(Bytes::from(value.to_vec())) };
        Writes::new(updates.into_iter().map(write).collect())
    }

    fn apply(&mut self, writes: Writes) -> Outcome<Digest> {
        let height = self.height.next();
        let bytes = encode(&writes);
        let record = Record { chain: Digest::new([1; 32]), kind: RecordKind::PAYLOAD, height: height.0, bytes };
        self.under_way = Some(self.log.submit_blocking(vec![record])?);
        let mut batch = Batch::new();
        let root = self.store.update(height, &writes, &mut batch)?;
        self.engine.apply(batch)?;
        self.height = height;
        Ok(root)
    }

    fn durable(&mut self) -> Outcome<()> {
        if let Some(ticket) = self.under_way.take() {
            let positions = ticket.wait()?;
            // Keeps the folder to what the views take up.
            if let Some(position) = positions.first() {
                self.log.remove_before(*position)?;
            }
        }
        Ok(())
    }

    fn get(&self, numbers: &mut dyn Iterator<Item = u64>) -> Outcome<u64> {
        let state = self.store.reader().at(self.height);
        let mut found = 0;
        for number in numbers {
            found += u64::from(state.get(&key(workload::key(number)))?.is_some());
        }
        Ok(found)
    }

    fn prove(&self, numbers: &mut dyn Iterator<Item = u64>, back: u64) -> Outcome<u64> {
        let reader = self.store.reader();
        let mut bytes = 0;
        for (index, number) in (0..).zip(numbers) {
            let at = if back == 0 { self.height } else { Height(self.height.0.saturating_sub(1 + index % back)) };
            let path = reader.prove(self.height, at, &key(workload::key(number)))?;
            bytes += codec::encode(&path).len() as u64;
        }
        Ok(bytes)
    }

    fn provable_back(&self) -> u64 {
        self.height.0.saturating_sub(self.store.reader().oldest_provable().0)
    }

    fn extra(&self, report: &mut Report) -> Outcome<()> {
        let (bytes, keys) = (self.store.memory_bytes() as f64, self.store.keys() as f64);
        report.put("index_bytes_per_key", format!("{:.1}", bytes / keys));
        report.put("oldest_height", self.store.reader().oldest().0);
        Ok(())
    }

    fn facts() -> Vec<(&'static str, &'static str)> {
        vec![
            ("name", "ledgerkit"),
            ("durable", "each batch: one record in the log, fsync while its root is worked out; views aren't synced"),
            ("commits", "keys, values, versions and history of now; the order of operations has no part in the root"),
            (
                "proves",
                "presence, absence and whole key ranges at each of the last 256 heights; older values by the newest",
            ),
        ]
    }
}
