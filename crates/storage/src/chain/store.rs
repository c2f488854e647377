//! The one who writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ledger_core::codec::Bytes;
use ledger_core::history::{self, HistoryHasher};
use ledger_core::outcome::receipts_root_of;
use ledger_core::{
    Block, ChainId, Execution, Genesis, Header, Height, HistoryHead, Outcome, StateScheme, Status, Version,
};
use ledger_crypto::Digest;
use ledger_crypto::merkle::Frontier;

use super::records::{self, HeadRecord, damaged};
use super::{ChainReader, StoreError, results};
use crate::engine::{Batch, Engine, Snapshot, Space};
use crate::log::LogPosition;
use crate::state::{StateConfig, StateStore};

/// Settings of a [`ChainStore`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainConfig {
    /// The state's index and what it can prove.
    pub state: StateConfig,
}

/// How far a chain's views are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last applied block's header.
    pub header: Header,
    /// What executing it gave.
    pub outcome: Outcome,
    /// The history up to it, the block included.
    pub history: HistoryHead,
    /// Where the log has it; `None` for the genesis, and for the block of the snapshot that the chain began from.
    pub position: Option<LogPosition>,
}

/// A block to apply, and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct AppliedBlock<'a> {
    /// The block.
    pub block: &'a Block,
    /// What makes it final.
    pub certificate: &'a [u8],
    /// Where the log has it.
    pub position: LogPosition,
    /// What executing it on the state before gave.
    pub execution: &'a Execution,
}

/// What applying a block gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The block's outcome, which its history leaf commits to.
    pub outcome: Outcome,
    /// The history with the block.
    pub history: HistoryHead,
    /// For each key that it writes, in their order: the leaf that its last write replaced, if the key had a value.
    pub replaced: Vec<Option<Digest>>,
}

/// A chain's views, and the right to advance them: there is one for each chain and engine.
pub struct ChainStore {
    engine: Arc<dyn Engine>,
    space: Space,
    chain: ChainId,
    head: Arc<Head>,
    head_digest: Digest,
    history: Frontier<HistoryHasher>,
    state: StateStore,
    reader: ChainReader,
    stopped: bool,
    rewound_from: Option<Height>,
}

/// Fewer results than this aren't worth another thread.
const WORTH_A_THREAD: usize = 512;

/// Chains get their numbers one after another, also when several are opened at once.
pub(super) static NUMBERING: Mutex<()> = Mutex::new(());

/// Records of so many bytes are read again in less time than it takes to make a copy of the index durable.
const LEAST_WORTH: u64 = 4 << 20;

impl ChainStore {
    /// How far the views of a chain are, without opening them; `None` where there are none.
    ///
    /// # Errors
    /// [`StoreError`] when the record that says so can't be read.
    pub fn height_of(engine: &dyn Engine, chain: &ChainId) -> Result<Option<Height>, StoreError> {
        let reader = engine.snapshot();
        let Some(space) = records::find_space(&*reader, chain)? else { return Ok(None) };
        Ok(HeadRecord::read(space, &*reader)?.map(|head| head.height))
    }

    /// Opens the views of the chain that `genesis` begins, and begins them if there are none.
    ///
    /// # Errors
    /// [`StoreError::Format`] and [`StoreError::Damaged`] mean that the views are to be deleted and built again from
    /// the log; others that the engine failed.
    pub fn open(engine: Arc<dyn Engine>, genesis: &Genesis, config: ChainConfig) -> Result<Self, StoreError> {
        let chain = genesis.chain();
        let space = find_or_begin(&*engine, genesis, &chain)?;
        let snapshot = engine.snapshot();
        let mut head = HeadRecord::read(space, &*snapshot)?.ok_or_else(|| damaged("head", "it is missing"))?;
        let state = match genesis.rules.state_scheme {
            StateScheme::SortedMerkle => StateStore::open(Arc::clone(&engine), space, head.height, config.state)?,
        };
        // The latest records may have been lost though what says that they count was not: their blocks come again.
        let rewound_from = Some(head.height).filter(|height| state.height() < *height);
        if let Some(asked) = rewound_from {
            head = HeadRecord::at(space, &*snapshot, state.height())?;
            let mut batch = Batch::new();
            state.forget_later(asked, &mut batch)?;
            head.put(space, &mut batch);
            engine.apply(batch)?;
        }
        let history = head.history()?;
        let block = records::Block::read(space, &*snapshot, head.height)?
            .ok_or_else(|| damaged(format!("block {}", head.height), "the head is missing"))?;
        drop(snapshot);
        let (found, expected) = (state.root(), block.outcome.state_root);
        if found != expected {
            return Err(damaged("state tree", format_args!("its root is {found}, the head's outcome says {expected}")));
        }
        let head = Arc::new(Head {
            position: block.position(),
            header: block.header,
            outcome: block.outcome,
            history: HistoryHead::of(&history),
        });
        let reader = ChainReader::new(Arc::clone(&engine), space, Arc::clone(&head), state.reader());
        let head_digest = head.header.digest();
        Ok(Self { engine, space, chain, head, head_digest, history, state, reader, stopped: false, rewound_from })
    }

    /// How far the views are.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The height at which the views stood before they were opened, if records of the state were lost or damaged since:
    /// the blocks after [`ChainStore::head`] are to be applied again.
    #[must_use]
    pub fn rewound_from(&self) -> Option<Height> {
        self.rewound_from
    }

    /// A reader, to be cloned and sent anywhere.
    #[must_use]
    pub fn reader(&self) -> ChainReader {
        self.reader.clone()
    }

    /// Applies the next block: all views advance by it, or none.
    ///
    /// # Errors
    /// [`StoreError`]. A block that doesn't follow the head, or whose execution isn't its own, changes nothing; after
    /// any other error the store must be opened again.
    pub fn apply(&mut self, applied: AppliedBlock<'_>) -> Result<Applied, StoreError> {
        if self.stopped {
            return Err(StoreError::Stopped);
        }
        self.check(&applied)?;
        self.stopped = true;
        let snapshot = self.engine.snapshot();
        let mut batch = Batch::new();
        let (head, history) = self.stage(&*snapshot, &applied, &mut batch)?;
        drop(snapshot);
        self.engine.apply(batch)?;
        self.history = history;
        self.head_digest = head.outcome.block;
        self.head = Arc::new(head);
        self.reader.publish(Arc::clone(&self.head));
        self.stopped = false;
        let replaced = self.state.take_replaced();
        Ok(Applied { outcome: self.head.outcome.clone(), history: self.head.history, replaced })
    }

    /// Whether [`checkpoint`](Self::checkpoint) spares the next opening more than it costs now: where what would be read
    /// again is less than what would be written, or than 4 MiB, opening is as fast without.
    #[must_use]
    pub fn is_worth_a_checkpoint(&self) -> bool {
        !self.stopped && self.state.uncopied_bytes() >= self.state.copy_bytes().max(LEAST_WORTH)
    }

    /// Writes the state's index out, so that opening the chain reads nothing else. For a clean end; waits for the disk.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be written; the store is then as it was, but must be opened again.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        if self.stopped {
            return Err(StoreError::Stopped);
        }
        self.stopped = true;
        let mut batch = Batch::new();
        self.state.checkpoint(&mut batch)?;
        self.engine.apply(batch)?;
        self.stopped = false;
        Ok(())
    }

    /// The chain's state, for figures of it.
    #[must_use]
    pub fn state(&self) -> &StateStore {
        &self.state
    }

    fn check(&self, applied: &AppliedBlock<'_>) -> Result<(), StoreError> {
        let header = &applied.block.header;
        let height = header.height;
        if header.chain != self.chain {
            return Err(StoreError::WrongChain { height, found: header.chain, expected: self.chain });
        }
        let expected = self.head.header.height.next();
        if height != expected {
            return Err(StoreError::WrongHeight { found: height, expected });
        }
        if header.parent != self.head_digest {
            return Err(StoreError::WrongParent { height, found: header.parent, expected: self.head_digest });
        }
        let (transactions, results) = (applied.block.transactions.len(), &applied.execution.results);
        if transactions != results.len() {
            return Err(StoreError::WrongResults { height, transactions, results: results.len() });
        }
        match results.iter().enumerate().find(|(index, result)| usize::try_from(result.receipt.index) != Ok(*index)) {
            Some((index, result)) => Err(StoreError::WrongResult { height, index, found: result.receipt.index }),
            None => Ok(()),
        }
    }

    fn stage(
        &mut self,
        snapshot: &dyn Snapshot,
        applied: &AppliedBlock<'_>,
        batch: &mut Batch,
    ) -> Result<(Head, Frontier<HistoryHasher>), StoreError> {
        let AppliedBlock { block, certificate, position, execution } = *applied;
        let (space, header) = (self.space, &block.header);
        let height = header.height;
        // The results are encoded and hashed beside the state, which takes longer.
        let mut results = Batch::new();
        let state = &mut self.state;
        let mut of_state = |batch: &mut Batch| state.update(height, &execution.writes, batch);
        let of_results = |batch: &mut Batch| -> Result<Vec<Digest>, StoreError> {
            stage_places(space, snapshot, applied, batch)?;
            Ok(results::put(space, batch, height, &execution.results))
        };
        let (state_root, receipts) = if execution.results.len() < WORTH_A_THREAD {
            (of_state(batch), of_results(&mut results))
        } else {
            rayon::join(|| of_state(batch), || of_results(&mut results))
        };
        let (state_root, receipts) = (state_root?, receipts?);
        batch.append(results);
        let outcome = Outcome {
            height,
            block: header.digest(),
            state_root,
            receipts_root: receipts_root_of(&receipts),
            fuel_used: execution.fuel_used,
            validators: execution.validators.clone(),
        };
        let mut frontier = self.history.clone();
        let leaf = history::leaf(&outcome.block, &outcome.digest());
        let history = records::append_history(space, &mut frontier, leaf, batch);
        HeadRecord::new(height, &frontier).put(space, batch);
        let record = records::Block::new(header.clone(), outcome.clone(), Bytes::from(certificate), Some(position));
        record.put(space, batch);
        Ok((Head { header: header.clone(), outcome, history, position: Some(position) }, frontier))
    }
}

impl std::fmt::Debug for ChainStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainStore").field("height", &self.head.header.height).finish_non_exhaustive()
    }
}

/// Indexes the block's transactions. A rejected one is indexed only where its id has no entry: what an earlier
/// inclusion gave stays the transaction's result.
fn stage_places(
    space: Space,
    snapshot: &dyn Snapshot,
    applied: &AppliedBlock<'_>,
    batch: &mut Batch,
) -> Result<(), StoreError> {
    let height = applied.block.header.height;
    let mut rejected = Vec::new();
    // The first of several: in the order of ids, which is how the engine takes them fastest.
    let mut executed = BTreeMap::new();
    for result in &applied.execution.results {
        let (id, index) = (&result.receipt.transaction, result.receipt.index);
        if matches!(result.receipt.status, Status::Rejected(_)) {
            rejected.push((id, index));
        } else {
            executed.entry(id).or_insert(index);
        }
    }
    for (id, index) in rejected {
        if executed.contains_key(id) {
            continue;
        }
        // A place from this block on is left from before a crash: those blocks are being applied again.
        let before = records::read_place(space, snapshot, id)?.filter(|place| place.height < height);
        if before.is_none() {
            executed.insert(id, index);
        }
    }
    for (id, index) in executed {
        records::put_place(space, batch, id, Version { height, index });
    }
    Ok(())
}

fn find_or_begin(engine: &dyn Engine, genesis: &Genesis, chain: &ChainId) -> Result<Space, StoreError> {
    let _numbering = NUMBERING.lock().unwrap_or_else(PoisonError::into_inner);
    let snapshot = engine.snapshot();
    let mut batch = Batch::new();
    records::check_format(&*snapshot, &mut batch)?;
    if let Some(space) = records::find_space(&*snapshot, chain)? {
        return Ok(space);
    }
    let space = records::take_space(&*snapshot, chain, &mut batch)?;
    let (header, outcome) = (genesis.header(), genesis.outcome());
    let mut frontier = Frontier::new();
    let leaf = history::leaf(&outcome.block, &outcome.digest());
    records::append_history(space, &mut frontier, leaf, &mut batch);
    HeadRecord::new(header.height, &frontier).put(space, &mut batch);
    records::Block::new(header, outcome, Bytes::default(), None).put(space, &mut batch);
    drop(snapshot);
    engine.apply(batch)?;
    Ok(space)
}
