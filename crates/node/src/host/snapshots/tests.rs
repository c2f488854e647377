use super::*;
use crate::apply::Applier;
use crate::core::Execute;
use ledger_contracts::LedgerExecutor;
use ledger_core::codec::List;
use ledger_core::{Block, Genesis, Header, Timestamp};
use ledger_crypto::{MemorySigner, Signer};
use ledger_storage::chain::{ChainConfig, ChainStore};
use ledger_storage::engine::{Address, Batch, Engine, EngineError, MemoryEngine, Snapshot, Space};
use ledger_storage::log::LogPosition;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, Sender, channel};

/// The thread whose reading can be held up.
const ASKS: &str = "asks";

/// An engine in which the thread [`ASKS`] waits at one of its readings.
struct Gated {
    engine: MemoryEngine,
    /// Readings until then.
    free: AtomicUsize,
    came: Sender<&'static str>,
    go_on: Mutex<Receiver<()>>,
}

impl Engine for Gated {
    fn snapshot(&self) -> Box<dyn Snapshot> {
        let asks = std::thread::current().name() == Some(ASKS);
        let take = |free: usize| free.checked_sub(1);
        if asks && self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            self.came.send("reads").unwrap();
            // Open for good once the other end is gone.
            let _ = lock(&self.go_on).recv();
        }
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

/// A chain of three blocks, each of which commits to all before it.
fn chain(name: &str, engine: impl Engine + 'static) -> (ChainId, Applier) {
    let genesis = Genesis::solo(name, MemorySigner::from_seed([1; 32]).public_key(), Timestamp(1_000));
    let store = ChainStore::open(Arc::new(engine), &genesis, ChainConfig::default()).unwrap();
    let mut applier = Applier::new(&genesis, Arc::new(LedgerExecutor::default()), store);
    let mut parent = genesis.header();
    for _ in 0..3 {
        let history = applier.store().head().history;
        let header = Header { height: parent.height.next(), parent: parent.digest(), history, ..parent.clone() };
        parent = header.clone();
        let block = Arc::new(Block { header, transactions: List::new() });
        applier.apply(&Execute { block, certificate: Arc::from([1; 64]), position: LogPosition::START }).unwrap();
    }
    (genesis.chain(), applier)
}

/// Asks for what there is of two chains, the first of which waits at its reading with this number. Whether it came so far.
fn others_are_answered_while_one_reads(free: usize) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let config = SnapshotConfig { every_blocks: 1, ..SnapshotConfig::default() };
    let snapshots = Arc::new(Snapshots::new(Some(folder.path()), config, 256));
    let ((came, comes), (goes_on, go_on)) = (channel(), channel());
    let done = came.clone();
    let engine =
        Gated { engine: MemoryEngine::default(), free: AtomicUsize::new(free), came, go_on: Mutex::new(go_on) };
    let (slow, quick) = (chain("slow", engine), chain("quick", MemoryEngine::default()));

    let (asked, reader, slow_id) = (Arc::clone(&snapshots), slow.1.reader(), slow.0);
    let asks = std::thread::Builder::new().name(ASKS.to_owned()).spawn(move || {
        let holding = asked.holding(slow_id, &reader, Height(1));
        done.send("done").unwrap();
        holding
    });
    let reads = comes.recv().unwrap() == "reads";

    let (told, answers) = channel();
    let (asked, reader, quick_id) = (Arc::clone(&snapshots), quick.1.reader(), quick.0);
    let other = std::thread::spawn(move || {
        let holding = asked.holding(quick_id, &reader, Height(1));
        let piece = asked.piece(&quick_id, &Digest::ZERO, 0);
        told.send((holding, piece, [slow_id, quick_id].map(|chain| asked.report(&chain)))).unwrap();
    });
    let answer = answers.recv_timeout(Duration::from_secs(20));
    drop(goes_on);
    let (holding, piece, _) = answer.unwrap_or_else(|_| panic!("it waits for another chain's reading {free}"));
    assert!(holding.newest == Height(3) && piece.is_empty());
    other.join().unwrap();
    assert_eq!(asks.unwrap().join().unwrap().newest, Height(3));
    snapshots.end();
    // One of them is made; who was in the middle of beginning it as well.
    let made = [slow_id, quick_id].map(|chain| snapshots.report(&chain));
    assert!(made.iter().all(|report| !report.making && report.error.is_none()), "{made:?}");
    reads
}

#[test]
fn a_chain_whose_views_are_slow_keeps_no_other_waiting() {
    let readings = (0..).take_while(|free| others_are_answered_while_one_reads(*free)).count();
    // Its headers, and the beginning of the snapshot.
    assert!(readings > 2, "{readings} readings");
}
