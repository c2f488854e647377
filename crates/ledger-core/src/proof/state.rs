//! Proofs of state: of a key or of all keys in a range, now or after an older block, and of a key's older values.

use super::{BlockProof, ProofError, Proven};
use crate::checkpoint::VerifiedCheckpoint;
use crate::codec::{Decode, Encode};
use crate::state::tree::{PrunedTree, ValueHistory};
use crate::state::{Key, KeyRange, Versioned};

/// Shows a key's value, or its absence, in the state after a block.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StateProof {
    /// The block, whose outcome holds the state root. As [`Proof::State`](super::Proof::State) only the last one that the
    /// checkpoint commits to.
    pub block: BlockProof,
    /// The key.
    pub key: Key,
    /// Its value or absence.
    pub path: PrunedTree,
}

/// Shows all keys of a range and their values in the state after a block.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RangeProof {
    /// The block, whose outcome holds the state root. As [`Proof::Range`](super::Proof::Range) only the last one that the
    /// checkpoint commits to.
    pub block: BlockProof,
    /// The range.
    pub range: KeyRange,
    /// Its keys.
    pub tree: PrunedTree,
}

/// Shows state as it was after any block of the checkpoint's history, the last one included: what was so then, not what
/// is so now.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum PastProof {
    /// A key.
    State(StateProof),
    /// The keys of a range.
    Range(RangeProof),
}

/// Shows a key's value in the state that the checkpoint commits to, and older ones by it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ValueHistoryProof {
    /// The newest value.
    pub newest: StateProof,
    /// The ones before.
    pub history: ValueHistory,
}

impl BlockProof {
    /// Verifies that the block is the one whose state the checkpoint commits to.
    fn verify_newest(&self, checkpoint: &VerifiedCheckpoint) -> Result<(), ProofError> {
        let expected = checkpoint.executed().ok_or(ProofError::NothingExecuted)?;
        let found = self.header.height;
        match found == expected {
            true => Ok(()),
            false => Err(ProofError::NotCurrent { found, expected }),
        }
    }
}

impl StateProof {
    fn value(&self, checkpoint: &VerifiedCheckpoint) -> Result<Option<Versioned>, ProofError> {
        self.block.verify(checkpoint)?;
        let value = self
            .path
            .verify(&self.block.outcome.state_root, &self.key)
            .map_err(|error| ProofError::State { key: Box::new(self.key.clone()), error })?;
        Ok(value.cloned())
    }

    /// Verifies the proof alone, where no other kind is expected: gives the key's value in the checkpoint's state, or `None` where its
    /// absence is proven.
    ///
    /// # Errors
    /// [`ProofError`] when it proves nothing.
    pub fn check(&self, checkpoint: &VerifiedCheckpoint) -> Result<Option<Versioned>, ProofError> {
        self.block.verify_newest(checkpoint)?;
        self.value(checkpoint)
    }

    pub(super) fn verify(&self, checkpoint: &VerifiedCheckpoint) -> Result<Proven, ProofError> {
        let value = self.check(checkpoint)?;
        Ok(Proven::State { key: self.key.clone(), value, at: self.block.header.height })
    }
}

impl RangeProof {
    fn entries(&self, checkpoint: &VerifiedCheckpoint) -> Result<Vec<(Key, Versioned)>, ProofError> {
        self.block.verify(checkpoint)?;
        let (from, to) = self.range.bounds();
        let entries = self
            .tree
            .verify_range(&self.block.outcome.state_root, &from, to.as_ref())
            .map_err(|error| ProofError::Range { range: Box::new(self.range.clone()), error })?;
        Ok(entries.into_iter().map(|(key, versioned)| (key.clone(), versioned.clone())).collect())
    }

    pub(super) fn verify(&self, checkpoint: &VerifiedCheckpoint) -> Result<Proven, ProofError> {
        self.block.verify_newest(checkpoint)?;
        let entries = self.entries(checkpoint)?;
        Ok(Proven::Range { range: self.range.clone(), entries, at: self.block.header.height })
    }
}

impl PastProof {
    pub(super) fn verify(&self, checkpoint: &VerifiedCheckpoint) -> Result<Proven, ProofError> {
        Ok(match self {
            PastProof::State(proof) => {
                let value = proof.value(checkpoint)?;
                Proven::PastState { key: proof.key.clone(), value, at: proof.block.header.height }
            }
            PastProof::Range(proof) => {
                let entries = proof.entries(checkpoint)?;
                Proven::PastRange { range: proof.range.clone(), entries, at: proof.block.header.height }
            }
        })
    }
}

impl ValueHistoryProof {
    pub(super) fn verify(&self, checkpoint: &VerifiedCheckpoint) -> Result<Proven, ProofError> {
        let (newest, key) = (&self.newest, &self.newest.key);
        newest.block.verify_newest(checkpoint)?;
        let value = newest.value(checkpoint)?.ok_or_else(|| ProofError::NoValue { key: Box::new(key.clone()) })?;
        self.history
            .verify(key, &value, newest.block.header.height)
            .map(Proven::Values)
            .map_err(|error| ProofError::ValueHistory { key: Box::new(key.clone()), error })
    }
}
