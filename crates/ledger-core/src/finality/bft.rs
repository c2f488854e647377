//! Finality by a quorum of validators.
//!
//! A header is final when a quorum signed *finalize* for it, or for one of its descendants. Its certificate carries the
//! headers that lead from it to the one that was signed, so that each certificate stands alone.

use super::{CertificateError, Evidence, Finality, SignatureCheck};
use crate::block::Header;
use crate::checkpoint::Checkpoint;
use crate::codec::{self, Decode, Encode, Format, List};
use crate::domains;
use crate::id::ChainId;
use crate::units::{Epoch, View};
use crate::validators::ValidatorSet;
use ledger_crypto::{Digest, Domain, PublicKey, Signature};

/// The name of the engine with validators that vote.
pub const BFT: &str = "bft";

/// The most headers between a final header and the one that a quorum signed.
pub const MAX_DESCENDANTS: usize = 512;

/// What a vote says. Its slot is its domain: see [`BftVote::domain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum BftVote {
    /// The header is a valid proposal of this view.
    Notarize(Digest),
    /// This view may pass without a block.
    Nullify,
    /// The header was notarized in this view, and this validator won't nullify it.
    Finalize(Digest),
}

/// The bytes that a vote signs, besides its domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Subject {
    chain: ChainId,
    epoch: Epoch,
    view: View,
    vote: BftVote,
}

impl BftVote {
    /// The domain in which it is signed.
    pub fn domain(&self) -> Domain {
        match self {
            BftVote::Notarize(_) => domains::SIGN_NOTARIZE,
            BftVote::Nullify => domains::SIGN_NULLIFY,
            BftVote::Finalize(_) => domains::SIGN_FINALIZE,
        }
    }

    /// The message that is signed.
    pub fn message(&self, chain: ChainId, epoch: Epoch, view: View) -> Vec<u8> {
        codec::encode(&Subject { chain, epoch, view, vote: *self })
    }

    /// What has to be checked of `key`'s signature under this vote.
    pub fn check(
        &self,
        chain: ChainId,
        epoch: Epoch,
        view: View,
        key: PublicKey,
        signature: Signature,
    ) -> SignatureCheck {
        SignatureCheck { key, domain: self.domain(), message: self.message(chain, epoch, view), signature }
    }
}

/// A validator's signature in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Signed {
    /// The validator's place in its set.
    pub validator: u16,
    /// Its signature.
    pub signature: Signature,
}

/// What makes a header final.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BftCertificate {
    /// The headers after the certified one, each the parent of the next; the last was signed. Empty where the certified
    /// header itself was.
    pub descendants: List<Header>,
    /// The view in which it was finalized.
    pub view: View,
    /// A quorum's *finalize* votes, by rising places.
    pub votes: List<Signed>,
}

impl Format for BftCertificate {
    const NAME: &'static str = "certificate";
    const LIMIT: usize = 512 << 10;
}

/// Finality by a quorum of a set of validators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BftFinality {
    epoch: Epoch,
    validators: ValidatorSet,
}

impl BftFinality {
    /// The finality of the headers of `epoch`, which `validators` decide.
    pub fn new(epoch: Epoch, validators: ValidatorSet) -> Self {
        BftFinality { epoch, validators }
    }

    /// Whose headers.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Who decides.
    pub fn validators(&self) -> &ValidatorSet {
        &self.validators
    }

    /// Distinct validators of a quorum's weight, counted once each.
    fn quorum(
        &self,
        header: &Header,
        vote: &BftVote,
        view: View,
        votes: &[Signed],
    ) -> Result<Vec<SignatureCheck>, CertificateError> {
        let invalid = |reason: String| CertificateError::Invalid { height: header.height, reason };
        let mut weight = 0u64;
        let mut before = None;
        let mut checks = Vec::with_capacity(votes.len().min(self.validators.len()));
        for Signed { validator, signature } in votes {
            if before.is_some_and(|before| before >= *validator) {
                return Err(invalid(format!("validator {validator} stands out of order, or twice")));
            }
            before = Some(*validator);
            let found = self
                .validators
                .get(*validator)
                .ok_or_else(|| invalid(format!("validator {validator} of {}", self.validators.len())))?;
            weight = weight.saturating_add(found.weight.0);
            checks.push(vote.check(header.chain, self.epoch, view, found.key, *signature));
        }
        let quorum = self.validators.quorum();
        match weight >= quorum {
            true => Ok(checks),
            false => Err(invalid(format!("its votes weigh {weight}; a quorum is {quorum}"))),
        }
    }
}

impl Finality for BftFinality {
    fn checks(&self, header: &Header, certificate: &[u8]) -> Result<Vec<SignatureCheck>, CertificateError> {
        let height = header.height;
        let invalid = |reason: String| CertificateError::Invalid { height, reason };
        let certificate: BftCertificate = codec::decode(certificate).map_err(|error| invalid(error.to_string()))?;
        if header.epoch != self.epoch {
            return Err(invalid(format!("it is of epoch {}, not {}", header.epoch, self.epoch)));
        }
        if certificate.descendants.len() > MAX_DESCENDANTS {
            let found = certificate.descendants.len();
            return Err(invalid(format!("{found} descendants; the limit is {MAX_DESCENDANTS}")));
        }
        let mut signed = header;
        for next in certificate.descendants.iter() {
            next.check_against(signed).map_err(|error| invalid(error.to_string()))?;
            signed = next;
        }
        if signed.epoch != self.epoch {
            return Err(invalid(format!("its descendant is of epoch {}, not {}", signed.epoch, self.epoch)));
        }
        for one in std::iter::once(header).chain(certificate.descendants.iter()) {
            if !one.seal.is_empty() {
                return Err(CertificateError::Seal { height: one.height, found: one.seal.len() });
            }
        }
        let vote = BftVote::Finalize(signed.digest());
        self.quorum(header, &vote, certificate.view, &certificate.votes)
    }
    fn guilty(&self, one: &Checkpoint, other: &Checkpoint) -> Vec<Evidence> {
        let (Some((first, one_of)), Some((second, other_of))) = (signed(one), signed(other)) else { return Vec::new() };
        let chain = one.header.chain;
        if one_of.view != other_of.view || first == second || other.header.chain != chain {
            return Vec::new();
        }
        let both = one_of.votes.iter().filter_map(|vote| {
            let again = other_of.votes.iter().find(|again| again.validator == vote.validator)?;
            let validator = self.validators.get(vote.validator)?.key;
            let (first, second) = ((first, vote.signature), (second, again.signature));
            Some(Evidence { chain, epoch: self.epoch, view: one_of.view, validator, first, second })
        });
        both.collect()
    }
}

/// What the votes of a checkpoint's certificate say.
fn signed(checkpoint: &Checkpoint) -> Option<(BftVote, BftCertificate)> {
    let certificate: BftCertificate = codec::decode(&checkpoint.certificate).ok()?;
    let header = certificate.descendants.last().unwrap_or(&checkpoint.header);
    Some((BftVote::Finalize(header.digest()), certificate))
}
