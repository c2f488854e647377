//! Under load a header commits to a history that ended some blocks before it. Behind a snapshot of block h the first headers
//! commit to histories that ended before h, which aren't here: as final blocks they are taken, as proposals they aren't voted
//! for, and whatever can be checked is.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{empty_block, owner};
use ledger_consensus::{Consensus, Input, Output, Record, RecordKind, RequestId, TimerId};
use ledger_contracts::LedgerExecutor;
use ledger_core::codec;
use ledger_core::{
    Block, Checkpoint, CheckpointBundle, Genesis, Header, Height, HistoryHead, Timestamp, TrustRoot, VerifiedSnapshot,
    domains,
};
use ledger_crypto::{Digest, Signer};
use ledger_node::Applier;
use ledger_node::core::{ChainCore, CoreConfig, Event, Execute, Start};
use ledger_node::host::beginning_records;
use ledger_node::recovery::{self, RecoveryError};
use ledger_storage::chain::{ChainConfig, ChainStore};
use ledger_storage::disk::SimulatedDisk;
use ledger_storage::engine::MemoryEngine;
use ledger_storage::log::{Log, LogConfig, LogId, LogPosition};
use ledger_storage::snapshot::{ExportConfig, SnapshotExport, SnapshotImport};
use std::sync::{Arc, Mutex};

/// A header commits to so many blocks less than there are before it.
const BEHIND: u64 = 3;
/// The snapshot's height. The header that proves it is `BEHIND + 1` blocks later.
const BASE: u64 = 10;

fn genesis() -> Genesis {
    Genesis::solo("tea", owner().public_key(), Timestamp(1_000))
}

fn certify(header: &Header) -> Vec<u8> {
    owner().sign(domains::SIGN_SOLO, header.digest().as_bytes()).unwrap().as_bytes().to_vec()
}

/// The empty block after `parent` that commits to `history`.
fn block(parent: &Header, history: HistoryHead) -> Block {
    empty_block(parent, 10, history)
}

fn applier() -> Applier {
    let store = ChainStore::open(Arc::new(MemoryEngine::default()), &genesis(), ChainConfig::default()).unwrap();
    Applier::new(&genesis(), Arc::new(LedgerExecutor::default()), store)
}

fn apply(applier: &mut Applier, block: &Block) {
    let certificate = certify(&block.header).into();
    applier.apply(&Execute { block: Arc::new(block.clone()), certificate, position: LogPosition::START }).unwrap();
}

/// A chain's first blocks, and a snapshot of block `BASE`.
struct Original {
    blocks: Vec<Block>,
    heads: Vec<HistoryHead>,
    snapshot: VerifiedSnapshot,
    pieces: Vec<Vec<u8>>,
}

fn original() -> Original {
    let mut applier = applier();
    let (mut parent, mut blocks) = (genesis().header(), Vec::new());
    let mut heads = vec![HistoryHead::EMPTY, applier.store().head().history];
    let mut made = None;
    for height in 1..=BASE + 2 * BEHIND {
        let size = height.saturating_sub(BEHIND).max(1);
        let next = block(&parent, heads[usize::try_from(size).unwrap()]);
        if size == BASE + 1 {
            let checkpoint = Checkpoint { header: next.header.clone(), certificate: certify(&next.header).into() };
            let bundle = CheckpointBundle::from(checkpoint);
            let mut export = SnapshotExport::begin(&applier.reader(), bundle, ExportConfig::default()).unwrap();
            let mut pieces = Vec::new();
            while let Some((_, bytes)) = export.next_chunk().unwrap() {
                pieces.push(bytes);
            }
            let manifest = export.finish().unwrap();
            made = Some((manifest.verify(&TrustRoot::new(genesis())).unwrap(), pieces));
        }
        apply(&mut applier, &next);
        heads.push(applier.store().head().history);
        parent = next.header.clone();
        blocks.push(next);
    }
    let (snapshot, pieces) = made.unwrap();
    assert_eq!(snapshot.height(), Height(BASE));
    Original { blocks, heads, snapshot, pieces }
}

/// What recovery makes of a log that begins with the snapshot and goes on with `blocks`.
fn recover(original: &Original, blocks: &[Block]) -> Result<Start, RecoveryError> {
    let id = LogId::new([7; 32]);
    let mut log = Log::create(Arc::new(SimulatedDisk::new(1)), id, LogConfig::default()).unwrap();
    log.submit(beginning_records(&genesis(), &original.snapshot, None)).unwrap();
    let chain = genesis().chain();
    for block in blocks {
        let (height, digest) = (block.header.height, block.digest());
        let record = |kind, bytes: Vec<u8>| Record { kind, height, block: digest, bytes: bytes.into() };
        let payload = record(RecordKind::Payload, codec::encode(block));
        let certificate = record(RecordKind::Certificate, certify(&block.header));
        log.submit(vec![recovery::to_log(chain, &payload), recovery::to_log(chain, &certificate)]).unwrap();
    }
    log.flush().unwrap();
    let logged = recovery::index(&log.reader()).unwrap().remove(&chain).unwrap();
    assert_eq!((logged.base(), logged.blocks.len()), (Height(BASE), blocks.len()));

    let engine = Arc::new(MemoryEngine::default());
    let snapshot = original.snapshot.clone();
    let mut import = SnapshotImport::open(engine, &genesis(), snapshot, ChainConfig::default()).unwrap();
    for (index, bytes) in original.pieces.iter().enumerate() {
        import.add(index, bytes).unwrap();
    }
    let mut applier = Applier::new(&genesis(), Arc::new(LedgerExecutor::default()), import.finish().unwrap());
    let finality = genesis().finality().unwrap();
    recovery::replay(&mut applier, &*finality, &genesis(), &log.reader(), &logged, &mut |_| ())
}

fn behind(original: &Original, count: usize) -> Vec<Block> {
    original.blocks.iter().filter(|block| block.header.height > Height(BASE)).take(count).cloned().collect()
}

#[test]
fn final_blocks_are_taken_and_checked_from_the_snapshots_history_on() {
    let original = original();
    // Right behind the snapshot: the tip commits to less than is known. Its own head counts, those between don't.
    for count in 0..3 {
        let start = recover(&original, &behind(&original, count)).unwrap();
        let tip = BASE + count as u64;
        assert_eq!(start.checkpoint.header.height, Height(tip));
        let mut sizes: Vec<u64> = start.heads.iter().map(|head| head.size).collect();
        sizes.sort_unstable();
        let known: Vec<u64> = [tip - BEHIND].into_iter().chain(BASE..=tip + 1).collect();
        assert_eq!(sizes, known);
        for head in &start.heads {
            assert_eq!(*head, original.heads[usize::try_from(head.size).unwrap()]);
        }
        // What the tip doesn't commit to, and isn't here, may owe something.
        assert_eq!(start.owed, Some(Height(BASE)));
    }
    let start = recover(&original, &behind(&original, 6)).unwrap();
    assert_eq!((start.owed, start.heads.len()), (None, 5));

    // A header that commits to something else is met wherever that can be checked: from block 13 on, which commits to the
    // history of 10 blocks.
    for (wrong, size) in [(2, 9), (3, 10), (4, 11), (6, 13)] {
        let mut blocks = behind(&original, wrong);
        let last = blocks.last_mut().unwrap();
        assert_eq!(last.header.history.size, size);
        last.header.history.root = Digest::new([9; 32]);
        match recover(&original, &blocks) {
            Ok(_) if size < BASE => {}
            Err(RecoveryError::Diverged { height, size: at }) => {
                assert_eq!((height, at), (Height(BASE + wrong as u64), size));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_base_record_that_takes_final_blocks_back_is_refused() {
    let original = original();
    let mut log = Log::create(Arc::new(SimulatedDisk::new(1)), LogId::new([7; 32]), LogConfig::default()).unwrap();
    let begin = beginning_records(&genesis(), &original.snapshot, None);
    log.submit(begin.clone()).unwrap();
    log.submit(begin[1..2].to_vec()).unwrap();
    log.flush().unwrap();
    let error = recovery::index(&log.reader()).unwrap_err();
    assert!(matches!(error, RecoveryError::BaseBelow { found: Height(BASE), height: Height(BASE), .. }), "{error}");
    let mut short = begin[1].clone();
    short.bytes.pop();
    let mut log = Log::create(Arc::new(SimulatedDisk::new(1)), LogId::new([7; 32]), LogConfig::default()).unwrap();
    log.submit(vec![short]).unwrap();
    log.flush().unwrap();
    let error = recovery::index(&log.reader()).unwrap_err();
    assert!(matches!(error, RecoveryError::BaseLength { found: 31, .. }), "{error}");
}

type Verdicts = Arc<Mutex<Vec<Result<(), String>>>>;

/// An engine that asks for verdicts, one at each timer.
struct Asks {
    parent: Header,
    blocks: Vec<Block>,
    verdicts: Verdicts,
}

impl Consensus for Asks {
    fn step(&mut self, _now: Timestamp, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Timer(TimerId(number)) => {
                let block = &self.blocks[usize::try_from(number).unwrap()];
                out.push(Output::Verify {
                    request: RequestId(number + 1),
                    parent: self.parent.clone(),
                    header: block.header.clone(),
                    payload: codec::encode(block).into(),
                });
            }
            Input::Verified { verdict, .. } => self.verdicts.lock().unwrap().push(verdict),
            _ => {}
        }
    }
}

#[test]
fn a_proposal_is_voted_for_only_if_its_history_can_be_checked() {
    let original = original();
    let start = recover(&original, &behind(&original, 1)).unwrap();
    let parent = start.checkpoint.header.clone();
    let certified = parent.history.size;
    assert_eq!((parent.height, certified), (Height(BASE + 1), BASE + 1 - BEHIND));
    let head = |size: u64| original.heads[usize::try_from(size).unwrap()];
    let forged = |size| HistoryHead { size, root: Digest::new([9; 32]) };
    let asked = [
        (head(certified), true),
        (forged(certified), false),
        // True, and nobody here can tell.
        (head(certified + 1), false),
        (forged(certified + 1), false),
        (head(BASE), true),
        (forged(BASE), false),
        (head(BASE + 2), true),
        (forged(BASE + 2), false),
    ];
    let verdicts = Verdicts::default();
    let blocks = asked.iter().map(|(history, _)| block(&parent, *history)).collect();
    let engine = Asks { parent, blocks, verdicts: Arc::clone(&verdicts) };
    let mut core = ChainCore::new(&genesis(), None, Box::new(engine), CoreConfig::default()).unwrap();
    let mut effects = Vec::new();
    core.step(Timestamp(5_000), Event::Start(start), &mut effects);
    for number in 0..asked.len() as u64 {
        core.step(Timestamp(5_000), Event::Timer(TimerId(number)), &mut effects);
    }
    let found: Vec<bool> = verdicts.lock().unwrap().iter().map(Result::is_ok).collect();
    assert_eq!(found, asked.map(|(_, fine)| fine), "{:?}", verdicts.lock().unwrap());
    let unknown = verdicts.lock().unwrap()[2].clone().unwrap_err();
    assert_eq!(unknown, "its history of 9 leaves is older than what can be checked here");
}
