//! Those who read.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use ledger_core::codec::Bytes;
use ledger_core::history::{HistoryHasher, Path};
use ledger_core::outcome::receipts_root;
use ledger_core::state::tree::PrunedTree;
use ledger_core::{Header, Height, HistoryHead, Key, Outcome, StateError, TransactionId, TransactionResult, Version};
use ledger_crypto::Digest;
use ledger_crypto::merkle::{self, NodePosition};

use super::records::{self, Block, HeadRecord, damaged};
use super::{Head, StoreError, results};
use crate::archive::{ArchiveError, ArchiveReader};
use crate::engine::{Engine, Snapshot, Space};
use crate::log::LogPosition;
use crate::state::{Kept, StateAt, StatePin, StateReader, VersionEntry};

/// Reads a chain's views beside its writer. Cheap to clone; clones are the same reader.
#[derive(Clone)]
pub struct ChainReader {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) space: Space,
    pub(super) state: StateReader,
    head: RwLock<Arc<Head>>,
    archive: OnceLock<ArchiveReader>,
}

/// A snapshot and the last block that it has.
struct Moment {
    snapshot: Box<dyn Snapshot>,
    newest: Height,
}

impl ChainReader {
    pub(super) fn new(engine: Arc<dyn Engine>, space: Space, head: Arc<Head>, state: StateReader) -> Self {
        Self { shared: Arc::new(Shared { engine, space, state, head: RwLock::new(head), archive: OnceLock::new() }) }
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

    /// The block whose state the chain's views began with: that of a snapshot, else the genesis. Of blocks before it nothing
    /// ever was here; of itself there are header, outcome, certificate and state.
    #[must_use]
    pub fn base(&self) -> Height {
        self.shared.state.base()
    }

    /// Refuses what is older than the snapshot that the chain began from; `with` says whether its own block is there.
    fn kept(&self, height: Height, with: bool) -> Result<(), StoreError> {
        let base = self.shared.state.base();
        let oldest = if with || base == Height::GENESIS { base } else { base.next() };
        match height < oldest {
            true => Err(StoreError::BeforeSnapshot { height, oldest }),
            false => Ok(()),
        }
    }

    /// Keeps the state after block `at` provable; `None` when too many heights are kept.
    pub(super) fn pin(&self, at: Height) -> Result<Option<StatePin>, StoreError> {
        Ok(self.shared.state.pin(at)?)
    }

    /// The peaks of the history of `size` leaves.
    pub(super) fn peaks(&self, size: u64) -> Result<Vec<Digest>, StoreError> {
        let moment = self.moment_of(size)?;
        records::peaks(self.shared.space, &*moment.snapshot, size)
    }

    /// The height of the newest block that readers see.
    fn newest(&self) -> Height {
        self.head().header.height
    }

    /// The state after the newest block.
    #[must_use]
    pub fn state(&self) -> StateAt {
        self.shared.state.at(self.newest())
    }

    /// The state after block `height`.
    ///
    /// # Errors
    /// [`StateError::Height`](ledger_core::StateError::Height) when it isn't kept or not reached.
    pub fn state_at(&self, height: Height) -> Result<StateAt, StoreError> {
        let newest = self.newest();
        let oldest = self.shared.state.oldest();
        if height > newest || height < oldest {
            return Err(StateError::Height { height, oldest, newest }.into());
        }
        Ok(self.shared.state.at(height))
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
        // A block that is being applied has its records in place before it counts.
        let newest = Version { height: self.newest(), index: u32::MAX };
        let from = from.map_or(newest, |from| from.min(newest));
        Ok(self.shared.state.history(key, Some(from), limit)?)
    }

    /// What is stored of block `height`, apart from transactions and results.
    ///
    /// # Errors
    /// [`StoreError::NotReached`] when it isn't applied yet, [`StoreError::BeforeSnapshot`] when it is older than the
    /// chain's views; others when they can't be read.
    pub fn block(&self, height: Height) -> Result<Block, StoreError> {
        self.kept(height, true)?;
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
        self.find_place(&self.moment()?, transaction)
    }

    fn find_place(&self, moment: &Moment, transaction: &TransactionId) -> Result<Option<Version>, StoreError> {
        let place = records::read_place(self.shared.space, &*moment.snapshot, transaction)?;
        // After a crash places of blocks may be there that are still to be applied again.
        Ok(place.filter(|place| place.height <= moment.newest))
    }

    /// Looks for results that aren't in the views any more in an archive, from now on; all clones do. Of several archives
    /// the first one counts.
    pub fn attach(&self, archive: ArchiveReader) {
        // A second one is the same one.
        let _ = self.shared.archive.set(archive);
    }

    /// The results of block `height` as an archive keeps them.
    ///
    /// # Errors
    /// As [`ChainReader::results`].
    pub fn packed_results(&self, height: Height) -> Result<Vec<u8>, StoreError> {
        results::pack(self.shared.space, &*self.moment_with(height)?.snapshot, height)
    }

    /// Removes from the views the results of all blocks up to `height`, which an archive has or nobody needs; returns how
    /// many records that were. What is lost in a crash is removed the next time.
    ///
    /// # Errors
    /// [`StoreError`] when the engine fails; the rest is there, then.
    pub fn drop_results_through(&self, height: Height) -> Result<u64, StoreError> {
        results::drop_through(self.shared.space, &*self.shared.engine, height)
    }

    fn moment_with(&self, height: Height) -> Result<Moment, StoreError> {
        let moment = self.moment()?;
        match moment.newest {
            newest if height > newest => Err(StoreError::NotReached { height, newest }),
            _ => Ok(moment),
        }
    }

    fn archived(&self, height: Height) -> Result<Vec<TransactionResult>, StoreError> {
        let Some(archive) = self.shared.archive.get() else {
            return Err(damaged(format!("results of block {height}"), "they are missing"));
        };
        let packed = archive.results(self.header(height)?.chain, height).map_err(|error| {
            let reason = error.to_string();
            match error {
                // A segment that can't be read may have them.
                ArchiveError::Absent { unreadable: 0, .. } | ArchiveError::Released { .. } => {
                    StoreError::Pruned { height, reason }
                }
                _ => StoreError::Archive { height, reason },
            }
        })?;
        results::unpack(height, &packed)
    }

    /// What became of the transaction, at its [place](ChainReader::place).
    ///
    /// # Errors
    /// [`StoreError`] when the views can't be read; an unknown transaction is `Ok(None)`.
    pub fn result(&self, transaction: &TransactionId) -> Result<Option<TransactionResult>, StoreError> {
        let place = self.place(transaction)?;
        place.map(|place| self.result_at(place)).transpose()
    }

    /// What became of the transaction at `place`, also of one that was rejected there.
    ///
    /// # Errors
    /// [`StoreError`] when there is no such place, or it can't be read.
    pub fn result_at(&self, place: Version) -> Result<TransactionResult, StoreError> {
        self.kept(place.height, false)?;
        let (space, snapshot) = (self.shared.space, self.shared.engine.snapshot());
        let gone = || self.shared.archive.get().is_some() && results::is_empty(space, &*snapshot, place.height);
        let missing = match results::read(space, &*snapshot, place) {
            Err(error) if gone() => error,
            done => return done,
        };
        let results = self.archived(place.height)?;
        results.into_iter().find(|result| result.receipt.index == place.index).ok_or(missing)
    }

    /// What became of the transactions of block `height`, in order.
    ///
    /// # Errors
    /// [`StoreError::NotReached`] when it isn't applied yet; [`StoreError::Pruned`] when they were given up,
    /// [`StoreError::BeforeSnapshot`] when they never were here; others when the views can't be read.
    pub fn results(&self, height: Height) -> Result<Vec<TransactionResult>, StoreError> {
        self.kept(height, false)?;
        let Moment { snapshot, .. } = self.moment_with(height)?;
        let found = results::read_all(self.shared.space, &*snapshot, height)?;
        if self.shared.archive.get().is_none() || !found.is_empty() {
            return Ok(found);
        }
        let block = Block::read(self.shared.space, &*snapshot, height)?;
        match block.is_some_and(|block| block.outcome.receipts_root != receipts_root(&[])) {
            true => self.archived(height),
            false => Ok(found),
        }
    }

    /// The history's head when it had `size` leaves.
    ///
    /// # Errors
    /// [`StoreError::HistoryNotReached`] when it never had; others when the views can't be read.
    pub fn history_head(&self, size: u64) -> Result<HistoryHead, StoreError> {
        if size != 0 {
            self.kept(Height(size), true)?;
        }
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
        self.kept(height, true)?;
        let moment = self.moment_of(size)?;
        Ok(merkle::inclusion_proof::<HistoryHasher, _>(&self.nodes(&moment), height.0, size)?.into())
    }

    /// The path that shows the history of `from` leaves to be the beginning of that of `to` leaves (RFC 9162).
    ///
    /// # Errors
    /// [`StoreError::OutsideHistory`] when `from` is larger than `to`, [`StoreError::HistoryNotReached`] when the
    /// history never had that size; others when the views can't be read.
    pub fn consistency(&self, from: u64, to: u64) -> Result<Path, StoreError> {
        if from != 0 {
            self.kept(Height(from), true)?;
        }
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

    /// Shows the value of `key` in the state after block `at`, or that it had none: the newest block, or one of the
    /// latest that the [window](crate::state::StateConfig::window_blocks) knows.
    ///
    /// # Errors
    /// [`StateError::Height`](ledger_core::StateError::Height) when that state can't be proven any more; others when the views can't be read.
    pub fn prove(&self, at: Height, key: &Key) -> Result<PrunedTree, StoreError> {
        Ok(self.shared.state.prove(self.newest(), at, key)?)
    }

    /// Shows all keys from `from` on and before `to` (`None`: to the end) in the state after block `at`.
    ///
    /// # Errors
    /// As [`ChainReader::prove`]; [`StateError::RangeLength`](ledger_core::StateError::RangeLength) when there are too many.
    pub fn prove_range(&self, at: Height, from: &Key, to: Option<&Key>) -> Result<PrunedTree, StoreError> {
        Ok(self.shared.state.prove_range(self.newest(), at, from, to)?)
    }

    /// Says which versions of the state stay readable from now on. What is forgotten doesn't come back.
    pub fn set_kept(&self, kept: Kept) {
        self.shared.state.set_kept(kept);
    }

    /// The oldest height at which [`ChainReader::state_at`] can be read.
    #[must_use]
    pub fn oldest_state(&self) -> Height {
        self.shared.state.oldest()
    }

    /// The oldest height at which [`ChainReader::prove`] can prove now.
    #[must_use]
    pub fn oldest_provable(&self) -> Height {
        self.shared.state.oldest_provable()
    }
}

impl std::fmt::Debug for ChainReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainReader").field("height", &self.head().header.height).finish_non_exhaustive()
    }
}
