//! Proof that a validator signed what no honest one signs.

use super::SignatureCheck;
use super::bft::BftVote;
use crate::codec::{Decode, Encode, Format};
use crate::id::ChainId;
use crate::units::{Epoch, View};
use ledger_crypto::{PublicKey, Signature, SignatureError};

/// Two votes of one validator in one slot of one view. Each validator has two slots in a view: *notarize*, and
/// *finalize or nullify*.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Evidence {
    /// The chain.
    pub chain: ChainId,
    /// The epoch.
    pub epoch: Epoch,
    /// The view.
    pub view: View,
    /// Who signed both.
    pub validator: PublicKey,
    /// One vote.
    pub first: (BftVote, Signature),
    /// The other.
    pub second: (BftVote, Signature),
}

impl Format for Evidence {
    const NAME: &'static str = "evidence";
    const LIMIT: usize = 1 << 10;
}

/// Why evidence proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// An honest validator may sign both.
    #[error("the votes don't exclude each other")]
    Compatible,
    /// A signature isn't the validator's.
    #[error("a vote is not signed by {key}: {reason}")]
    Signature {
        /// The validator.
        key: PublicKey,
        /// What is wrong.
        reason: SignatureError,
    },
}

impl BftVote {
    /// Whether both are in one slot and differ, so that no honest validator signs both in one view.
    pub fn conflicts(&self, other: &BftVote) -> bool {
        let in_one_slot = matches!(self, BftVote::Notarize(_)) == matches!(other, BftVote::Notarize(_));
        in_one_slot && self != other
    }
}

impl Evidence {
    /// The two signatures to be checked.
    ///
    /// # Errors
    /// [`EvidenceError::Compatible`].
    pub fn checks(&self) -> Result<[SignatureCheck; 2], EvidenceError> {
        if !self.first.0.conflicts(&self.second.0) {
            return Err(EvidenceError::Compatible);
        }
        let check = |(vote, signature): (BftVote, Signature)| {
            vote.check(self.chain, self.epoch, self.view, self.validator, signature)
        };
        Ok([check(self.first), check(self.second)])
    }

    /// Verifies that the validator signed both votes and that no honest one does. Whether the key is a validator's in that
    /// epoch is for whoever knows the epoch's set.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn verify(&self) -> Result<(), EvidenceError> {
        for check in self.checks()? {
            ledger_crypto::verify(&check.as_check())
                .map_err(|reason| EvidenceError::Signature { key: self.validator, reason })?;
        }
        Ok(())
    }
}
