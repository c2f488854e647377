//! Executing a finalized block and storing what comes of it: the one way by which a chain's views move.

use crate::core::{Applied, Execute};
use crate::value_cache::{Cached, ValueCache};
use ledger_core::{Block, ChainId, Context, ExecutionError, Executor, Genesis, Rules};
use ledger_storage::chain::{AppliedBlock, ChainReader, ChainStore, StoreError};
use std::sync::Arc;

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
}

/// Applies a chain's blocks, one after the other.
pub struct Applier {
    chain: ChainId,
    rules: Rules,
    executor: Arc<dyn Executor>,
    store: ChainStore,
    cache: Arc<ValueCache>,
}

/// Memory for values that were read or written lately, in bytes, where nothing else is said: 64 MiB.
pub const DEFAULT_VALUE_CACHE_BYTES: usize = 64 << 20;

impl Applier {
    /// Applies blocks of `genesis`'s chain to `store`.
    pub fn new(genesis: &Genesis, executor: Arc<dyn Executor>, store: ChainStore) -> Self {
        let cache = Arc::new(ValueCache::new(DEFAULT_VALUE_CACHE_BYTES));
        Applier { chain: genesis.chain(), rules: genesis.rules.clone(), executor, store, cache }
    }

    /// Sets the memory for values that were read or written lately, in bytes.
    #[must_use]
    pub fn value_cache_bytes(mut self, bytes: usize) -> Self {
        self.cache = Arc::new(ValueCache::new(bytes));
        self
    }

    /// Keeps such values in a cache that shares its memory with other chains'.
    #[must_use]
    pub(crate) fn value_cache(mut self, cache: Arc<ValueCache>) -> Self {
        self.cache = cache;
        self
    }

    pub(crate) fn cache(&self) -> Arc<ValueCache> {
        Arc::clone(&self.cache)
    }

    /// A reader of the chain's views.
    pub fn reader(&self) -> ChainReader {
        self.store.reader()
    }

    /// The views that are applied to.
    pub fn store(&self) -> &ChainStore {
        &self.store
    }

    /// Writes the state's index out for a clean end, so that opening reads nothing twice, if that is worth it.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be written; what there is of it is read over when the views are opened.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        if self.store.is_worth_a_checkpoint() { self.store.checkpoint() } else { Ok(()) }
    }

    /// What execution may know of a block.
    pub fn context<'a>(chain: ChainId, rules: &'a Rules, block: &Block) -> Context<'a> {
        Context { chain, height: block.header.height, timestamp: block.header.timestamp, rules }
    }

    /// Executes the block on the state before it, and moves the views by one block in one atomic batch.
    ///
    /// # Errors
    /// [`ApplyError`]; the views are then as they were.
    pub fn apply(&mut self, execute: &Execute) -> Result<Applied, ApplyError> {
        let block = &*execute.block;
        let context = Self::context(self.chain, &self.rules, block);
        let height = self.store.head().header.height;
        self.cache.stands_at(height);
        let base = self.store.reader().state_at(height)?;
        let state = Cached { base, cache: self.cache(), height, exact: true };
        let execution = self.executor.execute(block, &context, &state)?;
        drop(state);
        let stored = self.store.apply(AppliedBlock {
            block,
            certificate: &execute.certificate,
            position: execute.position,
            execution: &execution,
        });
        let applied = stored.inspect_err(|_| self.cache.forget())?;
        self.cache.written(block.header.height, &execution.writes, &applied.replaced);
        self.cache.used();
        Ok(Applied { outcome: applied.outcome, history: applied.history, results: Arc::new(execution.results) })
    }
}

impl std::fmt::Debug for Applier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Applier").field("chain", &self.chain).finish_non_exhaustive()
    }
}
