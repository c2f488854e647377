//! How everyone knows that a header is final.

mod bft;
mod evidence;

pub use bft::{BFT, BftCertificate, BftFinality, BftVote, MAX_DESCENDANTS, Signed};
pub use evidence::{Evidence, EvidenceError};

use crate::block::Header;
use crate::checkpoint::Checkpoint;
use crate::domains;
use crate::genesis::{Genesis, GenesisError};
use crate::units::{Epoch, Height};
use crate::validators::ValidatorSet;
use ledger_crypto::{Check, Digest, Domain, PublicKey, Signature, SignatureError};

/// The name of the engine with one owner.
pub const SOLO: &str = "solo";

/// Is this header final?
pub trait Finality: Send + Sync {
    /// Checks everything of a certificate but its signatures, and gives those: the header is final if all of them are
    /// valid. A node checks them pooled with others.
    ///
    /// # Errors
    /// [`CertificateError`] when the certificate can't make `header` final, whatever its signatures are.
    fn checks(&self, header: &Header, certificate: &[u8]) -> Result<Vec<SignatureCheck>, CertificateError>;

    /// Verifies that `certificate` makes `header` final.
    ///
    /// # Errors
    /// [`CertificateError`] when it doesn't.
    fn verify(&self, header: &Header, certificate: &[u8]) -> Result<(), CertificateError> {
        for check in self.checks(header, certificate)? {
            ledger_crypto::verify(&check.as_check()).map_err(|reason| CertificateError::Signature {
                height: header.height,
                key: check.key,
                reason,
            })?;
        }
        Ok(())
    }

    /// Whom two certificates convict, whose signatures are valid: the validators that signed in both what no honest one
    /// signs twice. None where the headers can both be final, where other votes than these would show who lied, or where
    /// the engine has no such evidence.
    fn guilty(&self, _one: &Checkpoint, _other: &Checkpoint) -> Vec<Evidence> {
        Vec::new()
    }
}

/// A signature to be checked, with everything that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureCheck {
    /// Who is said to have signed.
    pub key: PublicKey,
    /// For what purpose.
    pub domain: Domain,
    /// Which message.
    pub message: Vec<u8>,
    /// The signature.
    pub signature: Signature,
}

impl SignatureCheck {
    /// As the verifier takes it.
    pub fn as_check(&self) -> Check<'_> {
        Check { key: &self.key, domain: self.domain, message: &self.message, signature: &self.signature }
    }
}

/// Why a certificate doesn't make a header final.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Not the engine's format.
    #[error("the certificate of block {height} has {found} bytes; {expected} were expected")]
    Length {
        /// The header's height.
        height: Height,
        /// The certificate's length in bytes.
        found: usize,
        /// What the engine's certificates have.
        expected: usize,
    },
    /// It can't make the header final, whatever its signatures are.
    #[error("the certificate of block {height} is invalid: {reason}")]
    Invalid {
        /// The header's height.
        height: Height,
        /// What is wrong.
        reason: String,
    },
    /// A signature that isn't one.
    #[error("the certificate of block {height} is not signed by {key}: {reason}")]
    Signature {
        /// The header's height.
        height: Height,
        /// Who should have signed.
        key: PublicKey,
        /// What is wrong with the signature.
        reason: SignatureError,
    },
    /// A header that is no genesis where a certificate is missing.
    #[error("header {header} at height 0 is not the chain's genesis {genesis}")]
    NotGenesis {
        /// The header's digest.
        header: Digest,
        /// The genesis header's digest.
        genesis: Digest,
    },
    /// A header with a seal, where the engine uses none.
    #[error("block {height} has a seal of {found} bytes; this engine uses none")]
    Seal {
        /// The header's height.
        height: Height,
        /// The seal's length in bytes.
        found: usize,
    },
}

/// Finality of a ledger with one owner: its signature over the header's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoloFinality {
    owner: PublicKey,
}

impl SoloFinality {
    /// The finality of the ledger that `owner` signs.
    pub fn new(owner: PublicKey) -> Self {
        SoloFinality { owner }
    }

    /// The owner's key.
    pub fn owner(&self) -> &PublicKey {
        &self.owner
    }
}

impl Finality for SoloFinality {
    fn checks(&self, header: &Header, certificate: &[u8]) -> Result<Vec<SignatureCheck>, CertificateError> {
        let height = header.height;
        if !header.seal.is_empty() {
            return Err(CertificateError::Seal { height, found: header.seal.len() });
        }
        let bytes: &[u8; 64] = certificate.try_into().map_err(|_| CertificateError::Length {
            height,
            found: certificate.len(),
            expected: 64,
        })?;
        let (signature, message) = (Signature::new(*bytes), header.digest().as_bytes().to_vec());
        Ok(vec![SignatureCheck { key: self.owner, domain: domains::SIGN_SOLO, message, signature }])
    }
}

/// The finality that a genesis chooses.
///
/// # Errors
/// [`GenesisError`] when the engine isn't known here or its parameters make no sense.
pub fn of(genesis: &Genesis) -> Result<Box<dyn Finality>, GenesisError> {
    let engine = &genesis.engine;
    match engine.name.as_str() {
        SOLO => {
            let bytes: &[u8; 32] =
                engine.parameters.as_ref().try_into().map_err(|_| GenesisError::EngineParameters {
                    name: engine.name.clone(),
                    reason: format!("the owner's key has 32 bytes, not {}", engine.parameters.len()),
                })?;
            let owner = PublicKey::new(*bytes);
            owner.check_strong().map_err(|error| GenesisError::Key { key: owner, error })?;
            Ok(Box::new(SoloFinality::new(owner)))
        }
        BFT => Ok(Box::new(BftFinality::new(Epoch(0), validators(genesis)?))),
        _ => Err(GenesisError::UnknownEngine { name: engine.name.clone() }),
    }
}

/// The validators with which a genesis of this engine begins.
pub(crate) fn validators(genesis: &Genesis) -> Result<ValidatorSet, GenesisError> {
    let engine = &genesis.engine;
    ValidatorSet::from_bytes(&engine.parameters)
        .map_err(|error| GenesisError::EngineParameters { name: engine.name.clone(), reason: error.to_string() })
}
