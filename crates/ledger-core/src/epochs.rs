//! Epochs: how a client that trusts one set of validators comes to trust the next.
//!
//! ```text
//! validators of epoch e ── certify ──▶ closing header of e ── history ──▶ boundary block of e, its outcome
//!                                                                               │ updates
//!                                                          validators of epoch e + 1
//! ```
//! An outcome that changes validators is its epoch's *boundary*. The first header whose history holds it closes the
//! epoch; every header after that is of the next epoch and certified by the changed set. An epoch has one boundary:
//! until it is closed, no later block of it changes validators, whatever its transactions ask for.
//!
//! # The trusting period
//! Validators that left may lose or sell their keys, and those still verify. What they sign about their own epoch can't
//! be told from what they signed while they were in office, whatever time it names; so no age *in a signed header* helps.
//! What helps is how long ago the client *knew* them to be the chain's validators. A client follows a change only while
//! that is less than the trusting period ago: chosen shorter than validators keep (or answer for) their keys after they
//! leave, whoever signs the change was in office or answerable when the client learned of them. Each change that it
//! follows, and each checkpoint that it accepts in time, renews the knowledge at the header's own time, but never later
//! than the client's; a client that was away for longer begins again from validators that somebody trusted names
//! ([`TrustedValidators`]).
//!
//! The period limits changes only. A checkpoint of the epoch that the client knows verifies however late, as proofs in an
//! archive must: for that epoch the client has chosen to trust those keys.

use crate::block::Header;
use crate::checkpoint::{Checkpoint, TrustError, TrustRoot, VerifiedCheckpoint, check_chain, check_history};
use crate::codec::{Decode, Encode, Format, List};
use crate::finality::{BftFinality, Finality};
use crate::genesis::Genesis;
use crate::id::ChainId;
use crate::proof::{BlockProof, ProofError};
use crate::units::{Epoch, Height, Timestamp};
use crate::validators::{Validator, ValidatorSet, ValidatorsError};

/// The most changes of validators that are followed at a time.
pub const MAX_EPOCH_CHANGES: usize = 1_024;

/// Shows how an epoch ended and who decides in the next.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EpochChange {
    /// The header that closes the epoch, certified by the epoch's validators.
    pub closing: Checkpoint,
    /// The epoch's boundary block, whose outcome changes the validators, in the closing header's history.
    pub boundary: BlockProof,
}

impl Format for EpochChange {
    const NAME: &'static str = "epoch change";
    const LIMIT: usize = 3 << 20;
}

/// The validators of an epoch, as somebody trusted names them, or as a client came to know them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TrustedValidators {
    /// The epoch.
    pub epoch: Epoch,
    /// Its validators, by rising keys.
    pub validators: List<Validator>,
    /// When they were last known to be the chain's validators.
    pub known_at: Timestamp,
}

/// How long knowledge of validators lasts: see the [module's page](self#the-trusting-period).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TrustingPeriod {
    /// The client's time.
    pub now: Timestamp,
    /// The period in ms. Shorter than validators keep their keys after they left.
    pub period_ms: u64,
}

/// Why a change of the validators isn't followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EpochChangeError {
    /// The closing header isn't certified by the epoch's validators.
    #[error(transparent)]
    Closing(#[from] TrustError),
    /// The boundary block isn't in the closing header's history.
    #[error(transparent)]
    Boundary(#[from] ProofError),
    /// The boundary block is of another epoch.
    #[error("block {height}, said to be the epoch's boundary, is of epoch {found}")]
    OtherEpoch {
        /// The block's height.
        height: Height,
        /// The block's epoch.
        found: Epoch,
    },
    /// The outcome changes no validators.
    #[error("the outcome of block {height} changes no validators")]
    Unchanged {
        /// The block's height.
        height: Height,
    },
    /// The changed validators are no set.
    #[error(transparent)]
    Validators(#[from] ValidatorsError),
    /// It closes its epoch before the one before was closed.
    #[error("the epoch is closed at height {height}, the one before it at {before}")]
    NotAfter {
        /// Where it is closed.
        height: Height,
        /// Where the one before was closed.
        before: Height,
    },
}

impl EpochChange {
    /// Verifies the change with which the epoch of `finality` ends, and gives the finality of the next.
    ///
    /// # Errors
    /// [`EpochChangeError`] when it doesn't hold.
    pub fn verify(&self, chain: ChainId, finality: &BftFinality) -> Result<BftFinality, EpochChangeError> {
        let header = &self.closing.header;
        check_chain(header, chain)?;
        check_history(header)?;
        finality.verify(header, &self.closing.certificate).map_err(TrustError::from)?;
        self.boundary.verify(&VerifiedCheckpoint::new(self.closing.clone()))?;
        let (height, found) = (self.boundary.header.height, self.boundary.header.epoch);
        // An earlier epoch's boundary stands in the history as well.
        if found != finality.epoch() {
            return Err(EpochChangeError::OtherEpoch { height, found });
        }
        let updates = &self.boundary.outcome.validators;
        if updates.is_empty() {
            return Err(EpochChangeError::Unchanged { height });
        }
        Ok(BftFinality::new(finality.epoch().next(), finality.validators().updated(updates)?))
    }
}

/// Who certifies, as far as a client knows.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    /// `None` where the engine has no validators: then it is the genesis' finality, for ever.
    bft: Option<BftFinality>,
    known_at: Timestamp,
    /// Where the last change that was followed closed its epoch.
    closed: Option<Height>,
}

impl Authority {
    pub(crate) fn new(root: &TrustRoot) -> Result<Self, TrustError> {
        let genesis = &root.genesis;
        genesis.check()?;
        let bft = genesis.validators()?.map(|set| BftFinality::new(Epoch(0), set));
        let (bft, known_at) = match (bft, &root.validators) {
            (bft, None) => (bft, genesis.timestamp),
            (None, Some(_)) => return Err(TrustError::NoValidators),
            (Some(_), Some(trusted)) => {
                let set = ValidatorSet::of_sorted(trusted.validators.to_vec())?;
                (Some(BftFinality::new(trusted.epoch, set)), trusted.known_at)
            }
        };
        Ok(Authority { bft, known_at, closed: None })
    }

    pub(crate) fn validators(&self) -> Option<(Epoch, &ValidatorSet)> {
        self.bft.as_ref().map(|finality| (finality.epoch(), finality.validators()))
    }

    pub(crate) fn trusted(&self) -> Option<TrustedValidators> {
        self.validators().map(|(epoch, set)| TrustedValidators {
            epoch,
            validators: set.as_slice().to_vec().into(),
            known_at: self.known_at,
        })
    }

    /// Goes through `changes`, each of which ends the epoch that the one before began.
    pub(crate) fn follow(&mut self, root: &TrustRoot, changes: &[EpochChange]) -> Result<(), TrustError> {
        if changes.len() > MAX_EPOCH_CHANGES {
            return Err(TrustError::TooManyChanges { found: changes.len() });
        }
        for change in changes {
            let Some(finality) = &self.bft else { return Err(TrustError::NoValidators) };
            let epoch = finality.epoch();
            if let Some(TrustingPeriod { now, period_ms }) = root.trusting
                && !self.is_fresh(root)
            {
                return Err(TrustError::Expired { epoch, known_at: self.known_at, now, period_ms });
            }
            let wrong = |error| TrustError::EpochChange { epoch, error: Box::new(error) };
            let height = change.closing.header.height;
            if let Some(before) = self.closed.filter(|before| height <= *before) {
                return Err(wrong(EpochChangeError::NotAfter { height, before }));
            }
            self.bft = Some(change.verify(root.chain(), finality).map_err(wrong)?);
            self.closed = Some(height);
            self.confirm(root, &change.closing.header);
        }
        Ok(())
    }

    /// Verifies that the header is final.
    pub(crate) fn verify(&self, genesis: &Genesis, header: &Header, certificate: &[u8]) -> Result<(), TrustError> {
        if let Some(seen) = self.closed.filter(|closed| header.height <= *closed) {
            return Err(TrustError::Older { found: header.height, seen });
        }
        match &self.bft {
            Some(finality) => finality.verify(header, certificate)?,
            None => genesis.finality()?.verify(header, certificate)?,
        }
        Ok(())
    }

    /// A header that they certified shows them in office at its time, unless it comes too late to show anything, or the
    /// client has no clock to hold it against.
    pub(crate) fn confirm(&mut self, root: &TrustRoot, header: &Header) {
        if let Some(trusting) = root.trusting
            && self.is_fresh(root)
        {
            self.known_at = self.known_at.max(header.timestamp.min(trusting.now));
        }
    }

    fn is_fresh(&self, root: &TrustRoot) -> bool {
        root.trusting.is_none_or(|trusting| trusting.now < self.known_at.plus(trusting.period_ms))
    }
}
