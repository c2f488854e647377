//! Why a snapshot can't be made or taken.

use ledger_core::{ChainId, Height, SnapshotError, StateError};
use ledger_crypto::Digest;

use super::super::StoreError;
use crate::disk::DiskError;
use crate::engine::EngineError;

/// Why a snapshot can't be made or taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotStoreError {
    /// The manifest or a chunk isn't what it should be.
    #[error(transparent)]
    Snapshot(Box<SnapshotError>),
    /// The views can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder can't be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The checkpoint is of another chain.
    #[error("the checkpoint is of chain {found}, the views are of chain {expected}")]
    WrongChain {
        /// The checkpoint's chain.
        found: ChainId,
        /// The views' chain.
        expected: ChainId,
    },
    /// The checkpoint commits to no state.
    #[error("the checkpoint at height {height} commits to no outcome yet, so there is no state to make a snapshot of")]
    NothingExecuted {
        /// The checkpoint's height.
        height: Height,
    },
    /// The checkpoint isn't of the history that these views have.
    #[error("the checkpoint commits to a history of {size} blocks with root {found}; the views have root {expected}")]
    OtherHistory {
        /// The history's size.
        size: u64,
        /// The checkpoint's root.
        found: Digest,
        /// The views'.
        expected: Digest,
    },
    /// As many exports as may run at a time.
    #[error("two snapshots of the chain are being made already; wait for one of them")]
    Busy,
    /// The chain went on for so long that its state at the snapshot's height is no longer kept.
    #[error(
        "the snapshot at height {height} took longer than {blocks} blocks, for which its state is kept; begin again at \
         a newer checkpoint, or give the chain a larger window"
    )]
    Outlived {
        /// The snapshot's height.
        height: Height,
        /// For how many blocks its state was kept.
        blocks: u64,
    },
    /// Whoever asked for the export doesn't want it any more.
    #[error("the export was ended before it was whole")]
    Ended,
    /// The manifest would be longer than anybody reads.
    #[error("the manifest is longer than {limit} bytes after {chunks} chunks; make larger chunks")]
    ManifestLength {
        /// The limit in bytes.
        limit: usize,
        /// How many chunks there are.
        chunks: usize,
    },
    /// The chain has views already, which a snapshot doesn't replace.
    #[error("chain {chain} has views at height {height} already; remove them to begin from a snapshot")]
    ChainExists {
        /// The chain.
        chain: ChainId,
        /// How far it is.
        height: Height,
    },
    /// Chunks are missing.
    #[error("{missing} chunks of the snapshot are missing, chunk {first} first")]
    Incomplete {
        /// How many.
        missing: usize,
        /// The first of them.
        first: usize,
    },
    /// All chunks together don't have the root; what there was of the import has been removed.
    #[error(
        "the chunks together have state root {found} instead of {expected}; the import was removed, begin it again"
    )]
    WrongRoot {
        /// The root they have.
        found: Digest,
        /// The checkpoint's.
        expected: Digest,
    },
    /// A file of the folder isn't there.
    #[error("{file} is missing{of}")]
    Missing {
        /// Its name.
        file: String,
        /// What it should hold.
        of: String,
    },
    /// A file of the folder isn't what was written.
    #[error("{file} is damaged: {error}; fetch it again, every other file is still good")]
    Damaged {
        /// Its name.
        file: String,
        /// What is wrong.
        error: Box<SnapshotError>,
    },
    /// A file that is longer than any that belongs here.
    #[error("{file} has {found} bytes, the limit is {limit}")]
    FileLength {
        /// Its name.
        file: String,
        /// Its length.
        found: u64,
        /// The most that it may have.
        limit: u64,
    },
}

impl From<SnapshotError> for SnapshotStoreError {
    fn from(error: SnapshotError) -> Self {
        SnapshotStoreError::Snapshot(Box::new(error))
    }
}

impl From<StateError> for SnapshotStoreError {
    fn from(error: StateError) -> Self {
        StoreError::from(error).into()
    }
}

impl From<EngineError> for SnapshotStoreError {
    fn from(error: EngineError) -> Self {
        StoreError::from(error).into()
    }
}
