//! Those who read.

use std::sync::{Arc, PoisonError, RwLock};

use ledger_core::codec::Bytes;
use ledger_core::history::{HistoryHasher, Path};
use ledger_core::state::sparse::StatePath;
use ledger_core::{Header, Height, HistoryHead, Key, Outcome, TransactionId, TransactionResult, Version};
use ledger_crypto::merkle::{self, NodePosition};

use super::records::{self, Block, HeadRecord, damaged};
use super::{Head, StoreError, results};
use crate::engine::{Engine, Snapshot, Space};
use crate::log::LogPosition;
use crate::state::{self, StateAt, StateProver, VersionEntry};

/// Reads a chain's views beside its writer. Cheap to clone; clones are the same reader.
#[derive(Clone)]
pub struct ChainReader {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Arc<dyn Engine>,
    space: Space,
    prover: Arc<dyn StateProver>,
    head: RwLock<Arc<Head>>,
}

/// A snapshot and the last block that it has.
struct Moment {
    snapshot: Box<dyn Snapshot>,
    newest: Height,
}

impl ChainReader {
    pub(super) fn new(engine: Arc<dyn Engine>, space: Space, head: Arc<Head>, prover: Arc<dyn StateProver>) -> Self {
        Self { shared: Arc::new(Shared { engine, space, prover, head: RwLock::new(head) }) }
    }

    pub(super) fn publish(&self, head: Arc<Head>) {
        *self.shared.head.write().unwrap_or_else(PoisonError::into_inner) = head;
    }

    fn moment(&self) -> Result<Moment, StoreError> {
        let snapshot = self.shared.engine.snapshot();
        let head = HeadRecord::read(self.shared.space, &*snapshot)?;
        let newest = head.ok_or_else(|| damaged("head", "it is missing"))?.height;
        Ok(Moment { snapshot, newest })
    }

    /// How far the views are.
    #[must_use]
    pub fn head(&self) -> Arc<Head> {
        Arc::clone(&self.shared.head.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The state after the newest block.
    ///
    /// # Errors
    /// [`StoreError`] when the views can't be read.
    pub fn state(&self) -> Result<StateAt, StoreError> {
        let Moment { snapshot, newest } = self.moment()?;
        Ok(StateAt::new(self.shared.space, Arc::from(snapshot), newest, newest)?)
    }

    /// The state after block `height`.
    ///
    /// # Errors
    /// [`StateError::Height`](ledger_core::StateError::Height) when it isn't kept or not reached; others when the views can't be read.
    pub fn state_at(&self, height: Height) -> Result<StateAt, StoreError> {
        let Moment { snapshot, newest } = self.moment()?;
        Ok(StateAt::new(self.shared.space, Arc::from(snapshot), newest, height)?)
    }

    /// The versions of `key` from `from` (`None`: the newest) back in time, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the views can't be read.
    pub fn value_history(
        &self,
        key: &Key,
        from: Option<Version>,
        limit: usize,
    ) -> Result<Vec<VersionEntry>, StoreError> {
        let from = from.unwrap_or(Version { height: Height(u64::MAX), index: u32::MAX });
        Ok(state::history(self.shared.space, &*self.shared.engine.snapshot(), key, from, limit)?)
    }

    /// What is stored of block `height`, apart from transactions and results.
    ///
    /// # Errors
    /// [`StoreError::NotReached`] when it isn't applied yet; others when the views can't be read.
    pub fn block(&self, height: Height) -> Result<Block, StoreError> {
        let Moment { snapshot, newest } = self.moment()?;
        if height > newest {
            return Err(StoreError::NotReached { height, newest });
        }
        Block::read(self.shared.space, &*snapshot, height)?
            .ok_or_else(|| damaged(format!("block {height}"), "it is missing"))
    }

    /// The header of block `height`.
    ///
    /// # Errors
    /// As [`ChainReader::block`].
    pub fn header(&self, height: Height) -> Result<Header, StoreError> {
        self.block(height).map(|block| block.header)
    }

    /// What executing block `height` gave.
    ///
    /// # Errors
    /// As [`ChainReader::block`].
    pub fn outcome(&self, height: Height) -> Result<Outcome, StoreError> {
        self.block(height).map(|block| block.outcome)
    }

    /// What made block `height` final; empty for the genesis.
    ///
    /// # Errors
    /// As [`ChainReader::block`].
    pub fn certificate(&self, height: Height) -> Result<Bytes, StoreError> {
        self.block(height).map(|block| block.certificate)
    }

    /// Where the log has block `height`; `None` for the genesis.
    ///
    /// # Errors
    /// As [`ChainReader::block`].
    pub fn position(&self, height: Height) -> Result<Option<LogPosition>, StoreError> {
        self.block(height).map(|block| block.position())
    }

    /// Which block has the transaction, and at which index. Of several inclusions, the one that was executed; of those
    /// that were all rejected, the first.
    ///
    /// # Errors
    /// [`StoreError`] when the views can't be read; an unknown transaction is `Ok(None)`.
    pub fn place(&self, transaction: &TransactionId) -> Result<Option<Version>, StoreError> {
        records::read_place(self.shared.space, &*self.shared.engine.snapshot(), transaction)
    }

    /// What became of the transaction, at its [place](ChainReader::place).
    ///
    /// # Errors
    /// [`StoreError`] when the views can't be read; an unknown transaction is `Ok(None)`.
    pub fn result(&self, transaction: &TransactionId) -> Result<Option<TransactionResult>, StoreError> {
        let snapshot = self.shared.engine.snapshot();
        let place = records::read_place(self.shared.space, &*snapshot, transaction)?;
        place.map(|place| results::read(self.shared.space, &*snapshot, place)).transpose()
    }

    /// What became of the transaction at `place`, also of one that was rejected there.
    ///
    /// # Errors
    /// [`StoreError`] when there is no such place, or it can't be read.
    pub fn result_at(&self, place: Version) -> Result<TransactionResult, StoreError> {
        results::read(self.shared.space, &*self.shared.engine.snapshot(), place)
    }

    /// What became of the transactions of block `height`, in order.
    ///
    /// # Errors
    /// [`StoreError::NotReached`] when it isn't applied yet; others when the views can't be read.
    pub fn results(&self, height: Height) -> Result<Vec<TransactionResult>, StoreError> {
        let Moment { snapshot, newest } = self.moment()?;
        if height > newest {
            return Err(StoreError::NotReached { height, newest });
        }
        results::read_all(self.shared.space, &*snapshot, height)
    }

    /// The history's head when it had `size` leaves.
    ///
    /// # Errors
    /// [`StoreError::HistoryNotReached`] when it never had; others when the views can't be read.
    pub fn history_head(&self, size: u64) -> Result<HistoryHead, StoreError> {
        let moment = self.moment_of(size)?;
        let root = merkle::root_at::<HistoryHasher, _>(&self.nodes(&moment), size)?;
        Ok(HistoryHead { size, root })
    }

    /// The path from leaf `height` to the root of the history of `size` leaves (RFC 9162).
    ///
    /// # Errors
    /// [`StoreError::OutsideHistory`] when `height` isn't below `size`, [`StoreError::HistoryNotReached`] when the
    /// history never had that size; others when the views can't be read.
    pub fn history_path(&self, height: Height, size: u64) -> Result<Path, StoreError> {
        let moment = self.moment_of(size)?;
        Ok(merkle::inclusion_proof::<HistoryHasher, _>(&self.nodes(&moment), height.0, size)?.into())
    }

    /// The path that shows the history of `from` leaves to be the beginning of that of `to` leaves (RFC 9162).
    ///
    /// # Errors
    /// [`StoreError::OutsideHistory`] when `from` is larger than `to`, [`StoreError::HistoryNotReached`] when the
    /// history never had that size; others when the views can't be read.
    pub fn consistency(&self, from: u64, to: u64) -> Result<Path, StoreError> {
        let moment = self.moment_of(to)?;
        Ok(merkle::consistency_proof::<HistoryHasher, _>(&self.nodes(&moment), from, to)?.into())
    }

    fn moment_of(&self, size: u64) -> Result<Moment, StoreError> {
        let moment = self.moment()?;
        let newest = moment.newest.next().0;
        if size > newest {
            return Err(StoreError::HistoryNotReached { size, newest });
        }
        Ok(moment)
    }

    fn nodes<'a>(
        &'a self,
        moment: &'a Moment,
    ) -> impl Fn(NodePosition) -> Result<Option<ledger_crypto::Digest>, StoreError> + 'a {
        |position| records::read_history(self.shared.space, &*moment.snapshot, position)
    }

    /// The path of `key` in the state tree as it was after block `at`: the newest block, or one of the last that the
    /// [window](state::SparseMerkleConfig) can undo. A block that changed nothing takes no room there.
    ///
    /// # Errors
    /// [`StateError::Height`](ledger_core::StateError::Height) when that tree isn't known any more; others when the views can't be read.
    pub fn state_path(&self, at: Height, key: &Key) -> Result<StatePath, StoreError> {
        let Moment { snapshot, newest } = self.moment()?;
        Ok(self.shared.prover.prove(&*snapshot, newest, at, key)?)
    }

    /// The oldest height at which [`ChainReader::state_path`] can prove now.
    #[must_use]
    pub fn oldest_provable(&self) -> Height {
        self.shared.prover.oldest()
    }
}

impl std::fmt::Debug for ChainReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainReader").field("height", &self.head().header.height).finish_non_exhaustive()
    }
}
