//! Why a proof proves nothing: [`ProofError`].

use crate::block::HEADER_VERSION;
use crate::checkpoint::TrustError;
use crate::codec::CodecError;
use crate::id::ChainId;
use crate::state::tree::{StateProofError, ValueHistoryError};
use crate::state::{Key, KeyRange};
use crate::transaction::TransactionError;
use crate::units::Height;
use ledger_crypto::Digest;
use ledger_crypto::merkle::MerkleError;

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The bytes are no proof.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The checkpoint isn't trusted.
    #[error("the checkpoint is not trusted: {0}")]
    Trust(#[from] TrustError),
    /// A header format this crate doesn't know.
    #[error("the proof's header has version {found}; this client reads version {HEADER_VERSION}")]
    Version {
        /// What the header says.
        found: u8,
    },
    /// Another chain's proof.
    #[error("the proof is of chain {found}, the checkpoint is of chain {expected}")]
    WrongChain {
        /// The proof's chain.
        found: ChainId,
        /// The checkpoint's chain.
        expected: ChainId,
    },
    /// The block isn't in the checkpoint's history.
    #[error("block {height} is not in the checkpoint's history: {error}")]
    NotInHistory {
        /// The block's height.
        height: Height,
        /// What is wrong with the path.
        error: MerkleError,
    },
    /// Header and outcome aren't of one block.
    #[error("the outcome is of block {outcome} at height {height}, the header's digest is {header}")]
    OutcomeMismatch {
        /// The height in the outcome.
        height: Height,
        /// The header digest in the outcome.
        outcome: Digest,
        /// The digest of the header.
        header: Digest,
    },
    /// The transaction, receipt or event isn't where the proof says.
    #[error("the {what} at index {index} is not under the root it should be under: {error}")]
    NotUnderRoot {
        /// What is to be proven.
        what: &'static str,
        /// Its place.
        index: u64,
        /// What is wrong with the path.
        error: MerkleError,
    },
    /// The transaction is there, but it isn't meant for this chain, isn't validly signed, or has another body.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The state shown isn't the checkpoint's.
    #[error("the state proof is for block {found}; the checkpoint's state is that of block {expected}")]
    NotCurrent {
        /// The block it is for.
        found: Height,
        /// The last block that the checkpoint commits to.
        expected: Height,
    },
    /// The checkpoint commits to no state yet.
    #[error("the checkpoint commits to no outcome yet")]
    NothingExecuted,
    /// The key isn't shown to be what the proof says.
    #[error("state key {key:?}: {error}")]
    State {
        /// The key.
        key: Box<Key>,
        /// What is wrong with the tree shown.
        error: StateProofError,
    },
    /// The range isn't shown to hold what the proof says.
    #[error("state keys of namespace {} from {:?}: {error}", range.namespace, range.from)]
    Range {
        /// The range.
        range: Box<KeyRange>,
        /// What is wrong with the tree shown.
        error: StateProofError,
    },
    /// A history of values of a key that has none now.
    #[error("state key {key:?} has no value, so none shows the older ones")]
    NoValue {
        /// The key.
        key: Box<Key>,
    },
    /// The older values aren't what the newer ones replaced.
    #[error("state key {key:?}: {error}")]
    ValueHistory {
        /// The key.
        key: Box<Key>,
        /// What is wrong with the values.
        error: ValueHistoryError,
    },
    /// The history isn't continued.
    #[error("the older history of {size} leaves is not continued: {error}")]
    Inconsistent {
        /// The older size.
        size: u64,
        /// What is wrong with the path.
        error: MerkleError,
    },
}
