//! Following a chain: blocks, receipts and events in order, from any height on.

use super::{Chain, ChainError, Shared};
use crate::core::Stop;
use crate::progress::Progress;
use ledger_core::{ContractId, Event, Header, Height, Outcome, TransactionId, TransactionResult};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// How far a block must have come to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its outcome is stored here.
    Executed,
    /// A checkpoint commits to its outcome.
    Certified,
}

/// A block and what became of its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockUpdate {
    /// The block's header.
    pub header: Header,
    /// What executing it gave.
    pub outcome: Outcome,
    /// Receipts and events, by transaction.
    pub results: Vec<TransactionResult>,
}

/// An event, and where it was emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventUpdate {
    /// The block.
    pub height: Height,
    /// The transaction that emitted it.
    pub transaction: TransactionId,
    /// Its place among the transaction's events.
    pub index: u32,
    /// The event.
    pub event: Event,
}

/// Why a subscription has ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscriptionError {
    /// The node was shut down; subscribe again from the next height when it is back.
    #[error("the chain was closed; resume from block {next}")]
    Closed {
        /// The first height that wasn't told.
        next: Height,
    },
    /// The chain has stopped.
    #[error("the chain has stopped: {stop}; resume from block {next}")]
    Stopped {
        /// Why.
        stop: Stop,
        /// The first height that wasn't told.
        next: Height,
    },
    /// A block can't be read; [`ChainError::Pruned`] says from which one on they are here.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// Blocks in order. Blocks are read when they are asked for, so a slow reader costs no memory.
pub struct Subscription {
    shared: Arc<Shared>,
    progress: watch::Receiver<Progress>,
    stage: Stage,
    next: Height,
    events: VecDeque<EventUpdate>,
}

impl Chain {
    /// Follows the chain from block `from` on, past blocks first.
    pub fn subscribe(&self, from: Height, stage: Stage) -> Subscription {
        let shared = Arc::clone(&self.shared);
        let progress = shared.progress.clone();
        Subscription { shared, progress, stage, next: from, events: VecDeque::new() }
    }
}

impl Subscription {
    /// The height to resume from.
    pub fn next_height(&self) -> Height {
        self.next
    }

    /// The next block; waits for it if need be.
    ///
    /// # Errors
    /// [`SubscriptionError`] says why there is no more, and where to resume.
    pub async fn next_block(&mut self) -> Result<BlockUpdate, SubscriptionError> {
        let (next, stage) = (self.next, self.stage);
        let reached = |progress: &Progress| match stage {
            Stage::Executed => progress.executed >= next,
            Stage::Certified => progress.certifies(next),
        };
        let waited = self.progress.wait_for(|progress| reached(progress) || progress.stopped.is_some()).await;
        match waited.ok().map(|progress| progress.clone()) {
            Some(progress) if reached(&progress) => {}
            Some(Progress { stopped: Some(stop), .. }) => return Err(SubscriptionError::Stopped { stop, next }),
            _ => return Err(SubscriptionError::Closed { next }),
        }
        let update = self.read(next)?;
        self.next = next.next();
        Ok(update)
    }

    /// The next event of `contract`; waits for it if need be.
    ///
    /// # Errors
    /// As [`Subscription::next_block`].
    pub async fn next_event(&mut self, contract: &ContractId) -> Result<EventUpdate, SubscriptionError> {
        loop {
            while let Some(update) = self.events.pop_front() {
                if update.event.contract == *contract {
                    return Ok(update);
                }
            }
            let block = self.next_block().await?;
            let height = block.header.height;
            for TransactionResult { receipt, events } in block.results {
                let updates = (0u32..).zip(events).map(|(index, event)| EventUpdate {
                    height,
                    transaction: receipt.transaction,
                    index,
                    event,
                });
                self.events.extend(updates);
            }
        }
    }

    fn read(&self, height: Height) -> Result<BlockUpdate, ChainError> {
        let reader = &self.shared.reader;
        let explain = |error| self.shared.explain(error);
        let block = reader.block(height).map_err(explain)?;
        let results = reader.results(height).map_err(explain)?;
        Ok(BlockUpdate { header: block.header, outcome: block.outcome, results })
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("stage", &self.stage).field("next", &self.next).finish_non_exhaustive()
    }
}
