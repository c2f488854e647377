//! What becomes of a transaction, step by step: four answers, four types.

use crate::core::{Stop, SubmitError};
use crate::progress::Progress;
use ledger_core::{Checkpoint, TransactionId, TransactionResult, Version};
use ledger_storage::chain::{ChainReader, StoreError};
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// The node has checked the transaction and holds it in memory. A crash can still lose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The transaction.
    pub id: TransactionId,
}

/// The transaction has its place in a final block, which is durable. What it does is settled, though not yet known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The transaction.
    pub id: TransactionId,
    /// Block, and place in it.
    pub place: Version,
}

/// The transaction was executed: this is its receipt. It follows from the order, so no crash changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The transaction.
    pub id: TransactionId,
    /// Block, and place in it.
    pub place: Version,
    /// Receipt and events.
    pub result: TransactionResult,
}

/// A finalized header commits to the receipt: it can be proven to everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// What was executed.
    pub executed: Executed,
    /// A checkpoint that commits to it.
    pub checkpoint: Arc<Checkpoint>,
}

/// Why the next answer doesn't come.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PendingError {
    /// The transaction was dropped before it was ordered; it never will be, unless it is submitted again.
    #[error(transparent)]
    Dropped(#[from] SubmitError),
    /// The chain stopped, or the node was shut down, before the answer was known. The transaction may have been ordered:
    /// ask again when the chain is open.
    #[error("unknown: the chain was closed before the answer was known")]
    Unknown,
    /// The chain stopped before the answer was known. The transaction may have been ordered.
    #[error("unknown: the chain stopped before the answer was known: {0}")]
    Stopped(Stop),
    /// The views can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An accepted transaction on its way.
#[derive(Debug)]
pub struct Pending {
    pub(crate) accepted: Accepted,
    pub(crate) ordered: Order,
    pub(crate) progress: watch::Receiver<Progress>,
    pub(crate) reader: ChainReader,
}

/// What is known of a transaction's place. A channel gives its answer once, and whoever asks again is told the same.
#[derive(Debug)]
pub(crate) enum Order {
    Awaited(oneshot::Receiver<Result<Version, SubmitError>>),
    Known(Result<Version, SubmitError>),
    /// The chain has ended without an answer.
    Unknown,
}

impl Order {
    async fn wait(&mut self) -> &Self {
        if let Order::Awaited(answer) = self {
            *self = answer.await.map_or(Order::Unknown, Order::Known);
        }
        self
    }
}

impl Pending {
    /// The first answer, which is there already.
    pub fn accepted(&self) -> Accepted {
        self.accepted
    }

    /// The transaction's id.
    pub fn id(&self) -> TransactionId {
        self.accepted.id
    }

    /// Waits until the transaction is in a final, durable block. It may be asked again, whatever the answer was.
    ///
    /// # Errors
    /// [`PendingError`] when it was dropped, or the answer can't be known.
    pub async fn ordered(&mut self) -> Result<Ordered, PendingError> {
        match self.ordered.wait().await {
            Order::Known(Ok(place)) => Ok(Ordered { id: self.accepted.id, place: *place }),
            Order::Known(Err(dropped)) => Err(dropped.clone().into()),
            Order::Unknown | Order::Awaited(_) => Err(self.unknown()),
        }
    }

    /// Waits until the transaction was executed.
    ///
    /// # Errors
    /// [`PendingError`] when it was dropped, or the answer can't be known.
    pub async fn executed(&mut self) -> Result<Executed, PendingError> {
        let Ordered { id, place } = self.ordered().await?;
        self.reach(|progress| progress.executed >= place.height).await?;
        let result = self.reader.result_at(place)?;
        Ok(Executed { id, place, result })
    }

    /// Waits until a checkpoint commits to the transaction's receipt.
    ///
    /// # Errors
    /// [`PendingError`] when it was dropped, or the answer can't be known.
    pub async fn certified(&mut self) -> Result<Certified, PendingError> {
        let executed = self.executed().await?;
        let height = executed.place.height;
        let checkpoint = self.reach(|progress| progress.certifies(height)).await?.checkpoint;
        Ok(Certified { executed, checkpoint })
    }

    fn unknown(&self) -> PendingError {
        match &self.progress.borrow().stopped {
            Some(stop) => PendingError::Stopped(stop.clone()),
            None => PendingError::Unknown,
        }
    }

    async fn reach(&mut self, reached: impl Fn(&Progress) -> bool + Copy) -> Result<Progress, PendingError> {
        let waited = self.progress.wait_for(|progress| reached(progress) || progress.stopped.is_some()).await;
        let known = waited.ok().map(|progress| progress.clone());
        known.filter(reached).ok_or_else(|| self.unknown())
    }
}

/// Where a transaction stands, as far as this node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Neither in a block nor, as far as the views know, anywhere.
    Unknown,
    /// Executed, but no checkpoint commits to it yet.
    Executed(Executed),
    /// A checkpoint commits to it.
    Certified(Certified),
}

impl TransactionStatus {
    pub(crate) fn find(
        reader: &ChainReader,
        progress: &Progress,
        id: &TransactionId,
    ) -> Result<TransactionStatus, StoreError> {
        let (Some(place), Some(result)) = (reader.place(id)?, reader.result(id)?) else {
            return Ok(TransactionStatus::Unknown);
        };
        let executed = Executed { id: *id, place, result };
        Ok(match progress.certifies(place.height) {
            true => TransactionStatus::Certified(Certified { executed, checkpoint: Arc::clone(&progress.checkpoint) }),
            false => TransactionStatus::Executed(executed),
        })
    }
}
