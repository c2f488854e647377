//! What can go wrong with a chain's views.

use ledger_core::{ChainId, Height, StateError};
use ledger_crypto::Digest;
use ledger_crypto::merkle::ReadError;

use crate::engine::EngineError;

/// Why the views of a chain can't be read or advanced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The state can't be read, or isn't kept at the height asked for.
    #[error(transparent)]
    State(#[from] StateError),
    /// The views are of a format that this program doesn't read. Delete them and build them again from the log.
    #[error("the views are of format {found}, this program reads format {understood}; delete and rebuild them")]
    Format {
        /// The format found.
        found: u8,
        /// The format understood.
        understood: u8,
    },
    /// A record isn't what was written. Delete the views and build them again from the log.
    #[error("the views are damaged at {place}: {reason}; delete them and rebuild from the log")]
    Damaged {
        /// Where.
        place: String,
        /// What was met there.
        reason: String,
    },
    /// Another chain's block.
    #[error("block {height} is of chain {found}, the views are of chain {expected}")]
    WrongChain {
        /// The block's height.
        height: Height,
        /// The block's chain.
        found: ChainId,
        /// The views' chain.
        expected: ChainId,
    },
    /// Not the next block.
    #[error("block {found} can't be applied; the next is block {expected}")]
    WrongHeight {
        /// The block's height.
        found: Height,
        /// The next height.
        expected: Height,
    },
    /// A block of another branch.
    #[error("block {height} names parent {found}, the last applied block is {expected}")]
    WrongParent {
        /// The block's height.
        height: Height,
        /// The parent it names.
        found: Digest,
        /// The last applied block's digest.
        expected: Digest,
    },
    /// The execution isn't that of the block.
    #[error("block {height} has {transactions} transactions, its execution has {results} results")]
    WrongResults {
        /// The block's height.
        height: Height,
        /// How many transactions it has.
        transactions: usize,
        /// How many results came along.
        results: usize,
    },
    /// A result isn't at its place.
    #[error("result {index} of block {height} says that it is result {found}")]
    WrongResult {
        /// The block's height.
        height: Height,
        /// The place.
        index: usize,
        /// The index in its receipt.
        found: u32,
    },
    /// No such block yet.
    #[error("block {height} isn't applied yet; the newest is {newest}")]
    NotReached {
        /// The height asked for.
        height: Height,
        /// The newest one.
        newest: Height,
    },
    /// No such history yet.
    #[error("a history of {size} leaves isn't reached yet; it has {newest}")]
    HistoryNotReached {
        /// The size asked for.
        size: u64,
        /// The size it has.
        newest: u64,
    },
    /// A leaf or an older history that the history asked for doesn't hold.
    #[error("a history of {size} leaves doesn't hold {wanted}")]
    OutsideHistory {
        /// The size.
        size: u64,
        /// What was asked for: a leaf's index, or an older size.
        wanted: u64,
    },
    /// The results of the block were given up, or left the views for an archive that doesn't have them.
    #[error("the results of block {height} aren't kept here: {reason}")]
    Pruned {
        /// The block's height.
        height: Height,
        /// What the archive says.
        reason: String,
    },
    /// The archive has the results, but they can't be read.
    #[error("the results of block {height} can't be read from the archive: {reason}")]
    Archive {
        /// The block's height.
        height: Height,
        /// What the archive says.
        reason: String,
    },
    /// The chain began from a snapshot, and has nothing from before it.
    #[error("block {height} isn't kept: the chain began here from a snapshot, and has blocks from {oldest} on")]
    BeforeSnapshot {
        /// The height asked for.
        height: Height,
        /// The oldest that is kept.
        oldest: Height,
    },
    /// There are as many chains in the engine as it can number.
    #[error("the engine holds {limit} chains, which is the limit")]
    TooManyChains {
        /// The limit.
        limit: u32,
    },
    /// An earlier [`apply`](super::ChainStore::apply) failed half-way.
    #[error("the chain's store stopped when it failed to apply a block, and must be opened again")]
    Stopped,
}

impl StoreError {
    /// Whether the way out is to delete the views and build them again from the log.
    #[must_use]
    pub fn wants_rebuild(&self) -> bool {
        match self {
            StoreError::Engine(error) => error.wants_rebuild(),
            StoreError::State(error) => matches!(error, StateError::Damaged { .. }),
            StoreError::Format { .. } | StoreError::Damaged { .. } => true,
            _ => false,
        }
    }
}

impl From<ReadError<StoreError>> for StoreError {
    fn from(error: ReadError<StoreError>) -> Self {
        match error {
            ReadError::Storage(error) => error,
            ReadError::IndexOutOfRange { index, size } => StoreError::OutsideHistory { size, wanted: index },
            ReadError::Shrunk { old, new } => StoreError::OutsideHistory { size: new, wanted: old },
            ReadError::Missing { level, index } => StoreError::Damaged {
                place: format!("history node {index} of level {level}"),
                reason: "it is missing".into(),
            },
            _ => StoreError::Damaged { place: "history tree".into(), reason: error.to_string() },
        }
    }
}
