//! Why a snapshot isn't taken: [`SnapshotError`].

use super::SNAPSHOT_VERSION;
use crate::checkpoint::TrustError;
use crate::codec::CodecError;
use crate::id::ChainId;
use crate::state::tree::StateProofError;
use crate::units::Height;
use ledger_crypto::Digest;
use ledger_crypto::merkle::FrontierError;

/// Why a manifest or a chunk isn't what it should be. Chunks are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes are no manifest.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A format this crate doesn't know.
    #[error("the snapshot of chain {chain} has version {found}; this program reads version {SNAPSHOT_VERSION}")]
    Version {
        /// The chain it names.
        chain: ChainId,
        /// What the manifest says.
        found: u8,
    },
    /// Another chain's snapshot.
    #[error("the snapshot is of chain {found}, the trust root is of chain {expected}")]
    WrongChain {
        /// The chain it names.
        found: ChainId,
        /// The trust root's chain.
        expected: ChainId,
    },
    /// The checkpoint isn't trusted.
    #[error("the snapshot's checkpoint is not trusted: {0}")]
    Checkpoint(#[from] TrustError),
    /// The snapshot's block isn't final.
    #[error("block {height}, of which the snapshot of chain {chain} is, is not final: {error}")]
    Block {
        /// The chain.
        chain: ChainId,
        /// The block's height.
        height: Height,
        /// What is wrong with its certificate.
        error: Box<TrustError>,
    },
    /// The block isn't the last one that the checkpoint commits to.
    #[error("the snapshot of chain {chain} is of block {height}, but its checkpoint commits to {size} blocks")]
    NotNewest {
        /// The chain.
        chain: ChainId,
        /// The snapshot's height.
        height: Height,
        /// The size of the checkpoint's history.
        size: u64,
    },
    /// Header and outcome aren't of one block.
    #[error("the snapshot of chain {chain} at height {height} has the outcome of block {found}, not of {header}")]
    Outcome {
        /// The chain.
        chain: ChainId,
        /// The snapshot's height.
        height: Height,
        /// The digest of the snapshot's header.
        header: Digest,
        /// The block that the outcome names.
        found: Digest,
    },
    /// No history of that size has so many peaks.
    #[error("the history in the snapshot of chain {chain} at height {height} is none: {error}")]
    Peaks {
        /// The chain.
        chain: ChainId,
        /// The snapshot's height.
        height: Height,
        /// What is wrong.
        error: FrontierError,
    },
    /// Peaks, block and outcome lead to another history than the checkpoint's.
    #[error(
        "the snapshot of chain {chain} at height {height} has a history with root {found}; its checkpoint's is {expected}"
    )]
    History {
        /// The chain.
        chain: ChainId,
        /// The snapshot's height.
        height: Height,
        /// The root that was found.
        found: Digest,
        /// The checkpoint's.
        expected: Digest,
    },
    /// The list of chunks can't be that of a whole state.
    #[error("chunk {chunk} in the manifest of chain {chain} at height {height} is wrong: {reason}")]
    Chunks {
        /// The chain.
        chain: ChainId,
        /// The snapshot's height.
        height: Height,
        /// Which chunk.
        chunk: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There aren't that many chunks.
    #[error("the snapshot of chain {chain} at height {height} has {count} chunks, so none with number {chunk}")]
    NoSuchChunk {
        /// The chain.
        chain: ChainId,
        /// The snapshot's height.
        height: Height,
        /// Which chunk.
        chunk: usize,
        /// How many there are.
        count: usize,
    },
    /// Truncated, or something else.
    #[error(
        "chunk {chunk} of the snapshot of chain {chain} at height {height} has {found} bytes instead of {expected}"
    )]
    ChunkLength {
        /// The chain.
        chain: ChainId,
        /// The snapshot's height.
        height: Height,
        /// Which chunk.
        chunk: usize,
        /// How many bytes there are.
        found: u64,
        /// How many the manifest says.
        expected: u64,
    },
    /// Damaged, or another chunk: of this or another snapshot.
    #[error(
        "chunk {chunk} of the snapshot of chain {chain} at height {height} has digest {found} instead of {expected}"
    )]
    ChunkDigest {
        /// The chain.
        chain: ChainId,
        /// The snapshot's height.
        height: Height,
        /// Which chunk.
        chunk: usize,
        /// The digest of the bytes.
        found: Digest,
        /// What the manifest says.
        expected: Digest,
    },
    /// The bytes are those that the manifest names, but no chunk.
    #[error("chunk {chunk} of the snapshot of chain {chain} at height {height} is none: {error}")]
    ChunkCodec {
        /// The chain.
        chain: ChainId,
        /// The snapshot's height.
        height: Height,
        /// Which chunk.
        chunk: usize,
        /// What the decoder met.
        error: CodecError,
    },
    /// The chunk doesn't show its range of the state: another height's, incomplete, or made up.
    #[error("chunk {chunk} of the snapshot of chain {chain} at height {height} doesn't show its keys: {error}")]
    Chunk {
        /// The chain.
        chain: ChainId,
        /// The snapshot's height.
        height: Height,
        /// Which chunk.
        chunk: usize,
        /// What is wrong with the proof.
        error: Box<StateProofError>,
    },
}
