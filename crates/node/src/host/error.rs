//! Why a host, or a chain of it, can't be opened or closed.

use super::growth::GrowthError;
use crate::recovery::RecoveryError;
use crate::retention::PolicyError;
use ledger_consensus::StartError;
use ledger_core::{ChainId, GenesisError, Height};
use ledger_crypto::{Digest, GuardError};
use ledger_network::JoinError;
use ledger_storage::chain::StoreError;
use ledger_storage::disk::DiskError;
use ledger_storage::engine::EngineError;
use ledger_storage::log::LogError;
use ledger_storage::snapshot::SnapshotStoreError;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a host or a chain of it can't be opened, or closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The builder was given no such part.
    #[error("the builder was given no {part}")]
    Missing {
        /// What is missing.
        part: &'static str,
    },
    /// The disk failed, or is in use.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The archive can't be opened.
    #[error(transparent)]
    Growth(#[from] GrowthError),
    /// A chain's policy can't be kept.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The log can't be opened, read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The views' engine can't be opened.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The views can't be removed to be made anew.
    #[error("the views in {} can't be removed: {reason}", folder.display())]
    Views {
        /// Where they are.
        folder: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A chain can't be recovered from the log.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// A chain's views can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A chain can't be begun from a snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotStoreError),
    /// A chain can't be begun from the snapshot in a folder.
    #[error("{}: {error}", folder.display())]
    SnapshotFolder {
        /// The folder.
        folder: PathBuf,
        /// File, and what is wrong with it.
        error: SnapshotStoreError,
    },
    /// The blocks between the snapshot and the log's first one are nowhere here.
    #[error(
        "the snapshot of chain {chain} is of block {height}, but the log here begins behind block {base} and no archive has \
         the blocks between: take a snapshot of block {base} or a later one"
    )]
    SnapshotBelow {
        /// The chain.
        chain: ChainId,
        /// The snapshot's height.
        height: Height,
        /// The block behind which the log begins.
        base: Height,
    },
    /// The log has another block at the snapshot's height.
    #[error(
        "block {height} of chain {chain} is {logged} in the log here, and another one in the snapshot: both are certified, so \
         the chain has forked; keep both and find out which validators signed twice"
    )]
    SnapshotDiffers {
        /// The chain.
        chain: ChainId,
        /// The height.
        height: Height,
        /// The log's block.
        logged: Digest,
    },
    /// The genesis makes no chain.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The consensus engine can't run the chain.
    #[error(transparent)]
    Consensus(#[from] StartError),
    /// The transport doesn't let the node take part in the chain.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The chain is open already.
    #[error("chain {chain} is open already, or being opened")]
    AlreadyOpen {
        /// Which.
        chain: ChainId,
    },
    /// The log has no such chain.
    #[error("the log has no chain {chain}")]
    UnknownChain {
        /// Which.
        chain: ChainId,
    },
    /// The operating system gives no random bytes.
    #[error("the system gives no random bytes for the log's id: {reason}")]
    Random {
        /// What it said.
        reason: String,
    },
    /// A task of the host's ended where it shouldn't.
    #[error("the host's {task} ended: {reason}")]
    Task {
        /// Which.
        task: &'static str,
        /// How.
        reason: String,
    },
    /// The vote guards that the host keeps for its chains can't be opened.
    #[error(transparent)]
    Guards(#[from] GuardError),
    /// What the log holds of one chain can't be understood. The host's other chains can be opened.
    #[error("chain {chain} can't be opened: {error}")]
    Damaged {
        /// Which.
        chain: ChainId,
        /// What was met.
        error: Arc<RecoveryError>,
    },
    /// A panic while the chain was recovered, or put together from a snapshot. It is a bug in ledgerkit or in a part of the
    /// builder's own; the chain can be opened anew, and the host's other chains aren't concerned.
    #[error("chain {chain} can't be opened: a panic: {message}")]
    Panic {
        /// Which.
        chain: ChainId,
        /// What it said.
        message: String,
    },
    /// A thread can't be started.
    #[error("the thread for {task} can't be started: {reason}")]
    Thread {
        /// For what.
        task: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The folder was made for more shards: chains of those left out would be missing.
    #[error("the folder has {recorded} shards, and is opened with {given}: open it with at least {recorded}")]
    Shards {
        /// How many it has, as it says or as have a log.
        recorded: usize,
        /// How many were asked for.
        given: usize,
    },
    /// A shard that the folder should have isn't there, or its log isn't.
    #[error("shard {shard} has no log in {}, though the folder was made with it: restore it", folder.display())]
    ShardMissing {
        /// Which, from 0 on.
        shard: usize,
        /// Where it was expected.
        folder: PathBuf,
    },
    /// The file that says how many shards there are isn't what this program writes.
    #[error("{} doesn't say how many shards there are: {reason}", file.display())]
    ShardCount {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}
