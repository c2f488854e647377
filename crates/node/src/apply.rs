//! Executing a finalized block and storing what comes of it: the one way by which a chain's views move.

use crate::core::{Applied, Execute};
use crate::value_cache::{Cached, Unstored, ValueCache};
use ledger_core::{Block, ChainId, Context, Execution, ExecutionError, Executor, Genesis, Height, Rules};
use ledger_storage::chain::{AppliedBlock, ChainReader, ChainStore, StoreError};
use std::sync::{Arc, Weak};

/// Why a block can't be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The executor couldn't go on.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// The views couldn't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another block has to be executed first, or the one before couldn't be stored.
    #[error("block {height} can't be executed on the state after block {before}")]
    NotNext {
        /// The block.
        height: Height,
        /// The last block that is stored, or the one after that, if it was executed.
        before: Height,
    },
}

/// Executes a chain's blocks, one after the other, each on the state after the one before: which may be stored meanwhile.
pub struct ExecutingStage {
    chain: ChainId,
    rules: Rules,
    executor: Arc<dyn Executor>,
    reader: ChainReader,
    cache: Arc<ValueCache>,
    /// What the last block wrote, until that is stored.
    ahead: Weak<Unstored>,
}

/// Stores what came of a chain's blocks, one after the other.
pub struct StoringStage {
    store: ChainStore,
    cache: Arc<ValueCache>,
}

/// A block that was executed and isn't stored yet.
#[derive(Debug)]
pub struct Executed {
    execute: Execute,
    execution: Arc<Execution>,
    /// For the next block's execution, as long as this one isn't stored.
    unstored: Arc<Unstored>,
}

/// Applies a chain's blocks, one after the other: an [`ExecutingStage`] and a [`StoringStage`].
pub struct Applier {
    executing: ExecutingStage,
    storing: StoringStage,
}

/// Blocks that a node applies at once where nobody else needs the processors, which
/// [`ChainCore::execute_ahead`](crate::core::ChainCore::execute_ahead) is told: one is executed, one is stored.
pub const EXECUTED_AHEAD: usize = 2;

/// Memory for values that were read or written lately, in bytes, where nothing else is said: 64 MiB.
pub const DEFAULT_VALUE_CACHE_BYTES: usize = 64 << 20;

impl Applier {
    /// Applies blocks of `genesis`'s chain to `store`.
    pub fn new(genesis: &Genesis, executor: Arc<dyn Executor>, store: ChainStore) -> Self {
        let cache = Arc::new(ValueCache::new(DEFAULT_VALUE_CACHE_BYTES));
        let (chain, rules, reader) = (genesis.chain(), genesis.rules.clone(), store.reader());
        let executing =
            ExecutingStage { chain, rules, executor, reader, cache: Arc::clone(&cache), ahead: Weak::new() };
        Applier { executing, storing: StoringStage { store, cache } }
    }

    /// Sets the memory for values that were read or written lately, in bytes.
    #[must_use]
    pub fn value_cache_bytes(self, bytes: usize) -> Self {
        self.value_cache(Arc::new(ValueCache::new(bytes)))
    }

    /// Keeps such values in a cache that shares its memory with other chains'.
    #[must_use]
    pub(crate) fn value_cache(mut self, cache: Arc<ValueCache>) -> Self {
        self.executing.cache = Arc::clone(&cache);
        self.storing.cache = cache;
        self
    }

    pub(crate) fn cache(&self) -> Arc<ValueCache> {
        Arc::clone(&self.storing.cache)
    }

    /// A reader of the chain's views.
    pub fn reader(&self) -> ChainReader {
        self.storing.store.reader()
    }

    /// The views that are applied to.
    pub fn store(&self) -> &ChainStore {
        &self.storing.store
    }

    /// What execution may know of a block.
    pub fn context<'a>(chain: ChainId, rules: &'a Rules, block: &Block) -> Context<'a> {
        Context { chain, height: block.header.height, timestamp: block.header.timestamp, rules }
    }

    /// The two stages, for whoever executes a block while the one before it is being stored.
    pub fn into_stages(self) -> (ExecutingStage, StoringStage) {
        (self.executing, self.storing)
    }

    /// Executes the block on the state before it, and moves the views by one block in one atomic batch.
    ///
    /// # Errors
    /// [`ApplyError`]; the views are then as they were.
    pub fn apply(&mut self, execute: &Execute) -> Result<Applied, ApplyError> {
        self.storing.store(self.executing.execute(execute.clone())?)
    }
}

impl ExecutingStage {
    /// Executes the block on the state after the one before it, which is the last that is stored or the one after that,
    /// if that was executed here.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing has changed.
    pub fn execute(&mut self, execute: Execute) -> Result<Executed, ApplyError> {
        let block = &*execute.block;
        let context = Applier::context(self.chain, &self.rules, block);
        // Before one looks what is stored: it may be at any moment, and is let go of soon after.
        let unstored = self.ahead.upgrade();
        let head = self.reader.head().header.height;
        let unstored = unstored.filter(|unstored| unstored.height() >= head);
        let ahead = unstored.as_ref().map(|unstored| unstored.height());
        // As long as the block is held, on the state before it: that of a block whose values the cache doesn't have yet
        // would cost all that is there.
        let stored = ahead.map_or(head, |ahead| head.min(Height(ahead.0.saturating_sub(1))));
        // Only the block after the last that is stored can be seen through what it wrote.
        let before = ahead.filter(|ahead| *ahead == stored.next()).unwrap_or(stored);
        let height = block.header.height;
        if height != before.next() {
            return Err(ApplyError::NotNext { height, before });
        }
        self.cache.stands_at(stored, ahead);
        let base = self.reader.state_at(stored)?;
        let state = Cached { base, cache: Arc::clone(&self.cache), height: stored, exact: true, unstored };
        let execution = Arc::new(self.executor.execute(block, &context, &state)?);
        drop(state);
        let unstored = self.cache.unstored(height, Arc::clone(&execution));
        self.ahead = Arc::downgrade(&unstored);
        self.cache.used();
        Ok(Executed { execute, execution, unstored })
    }
}

impl StoringStage {
    /// Moves the views by one block, in one atomic batch.
    ///
    /// # Errors
    /// [`ApplyError`]; the views are then as they were.
    pub fn store(&mut self, executed: Executed) -> Result<Applied, ApplyError> {
        let Executed { execute, execution, unstored } = executed;
        let stored = self.store.apply(AppliedBlock {
            block: &execute.block,
            certificate: &execute.certificate,
            position: execute.position,
            execution: &execution,
        });
        let applied = stored.inspect_err(|_| self.cache.forget())?;
        self.cache.written(execute.block.header.height, &execution.writes, &applied.replaced);
        drop(unstored);
        self.cache.used();
        Ok(Applied { outcome: applied.outcome, history: applied.history, execution })
    }

    /// Whether [`checkpoint`](Self::checkpoint) spares the next opening more than it costs now.
    pub(crate) fn is_worth_a_checkpoint(&self) -> bool {
        self.store.is_worth_a_checkpoint()
    }

    /// Writes the state's index out for a clean end, so that opening reads nothing twice, if that is worth it.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be written; what there is of it is read over when the views are opened.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        if self.is_worth_a_checkpoint() { self.store.checkpoint() } else { Ok(()) }
    }
}

impl std::fmt::Debug for Applier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Applier").field("chain", &self.executing.chain).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ExecutingStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecutingStage").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for StoringStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoringStage").field("store", &self.store).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_contracts::LedgerExecutor;
    use ledger_core::codec::List;
    use ledger_core::{ContractId, Header, Key, StateView, Timestamp};
    use ledger_crypto::{Digest, MemorySigner, Signer};
    use ledger_storage::chain::ChainConfig;
    use ledger_storage::engine::MemoryEngine;
    use ledger_storage::log::LogPosition;

    #[test]
    fn a_block_that_was_stored_a_moment_ago_costs_no_cached_value() {
        let genesis = Genesis::solo("tea", MemorySigner::from_seed([1; 32]).public_key(), Timestamp(1_000));
        let store = ChainStore::open(Arc::new(MemoryEngine::default()), &genesis, ChainConfig::default()).unwrap();
        let applier = Applier::new(&genesis, Arc::new(LedgerExecutor::default()), store);
        let (cache, reader) = (applier.cache(), applier.reader());
        let (mut executing, mut storing) = applier.into_stages();
        let after = |parent: &Header| {
            let header = Header { height: parent.height.next(), parent: parent.digest(), ..parent.clone() };
            let block = Arc::new(Block { header: header.clone(), transactions: List::new() });
            (Execute { block, certificate: Arc::from([1; 64]), position: LogPosition::START }, header)
        };
        let (first, header) = after(&genesis.header());
        let (second, _) = after(&header);
        let first = executing.execute(first).unwrap();
        let key = Key::new(ContractId(Digest::ZERO), vec![1]);
        let base = reader.state_at(Height::GENESIS).unwrap();
        let read = Cached { base, cache: Arc::clone(&cache), height: Height::GENESIS, exact: true, unstored: None };
        assert_eq!(read.get(&key), Ok(None));
        assert_eq!(cache.looked_up(&key), Some(None));
        // The views have it, and the cache isn't told yet.
        let Executed { execute, execution, unstored } = first;
        let block = AppliedBlock {
            block: &execute.block,
            certificate: &execute.certificate,
            position: execute.position,
            execution: &execution,
        };
        let applied = storing.store.apply(block).unwrap();
        assert_eq!(reader.head().header.height, Height(1));
        let second = executing.execute(second).unwrap();
        assert_eq!(cache.looked_up(&key), Some(None));
        cache.written(Height(1), &execution.writes, &applied.replaced);
        drop(unstored);
        storing.store(second).unwrap();
        assert_eq!((reader.head().header.height, cache.looked_up(&key)), (Height(2), Some(None)));
    }
}
