//! What a client has to trust, and how it goes on from there.

use crate::block::{HEADER_VERSION, Header};
use crate::codec::{self, Bytes, CodecError, Decode, Encode, Format, List};
use crate::epochs::{Authority, EpochChange, EpochChangeError, MAX_EPOCH_CHANGES, TrustedValidators, TrustingPeriod};
use crate::finality::CertificateError;
use crate::genesis::{Genesis, GenesisError};
use crate::history::{HistoryHasher, HistoryHead};
use crate::id::ChainId;
use crate::units::{Epoch, Height, Timestamp};
use crate::validators::ValidatorsError;
use ledger_crypto::Digest;
use ledger_crypto::merkle::{self, MerkleError};

/// A finalized header and the certificate that makes it final. The genesis header is final without one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Checkpoint {
    /// The header.
    pub header: Header,
    /// The consensus engine's certificate.
    pub certificate: Bytes,
}

impl Format for Checkpoint {
    const NAME: &'static str = "checkpoint";
    const LIMIT: usize = 1 << 20;
}

/// A checkpoint and the changes of the validators that lead to it from a [`TrustRoot`]: what a file holds, so that it can
/// be verified with the genesis alone.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CheckpointBundle {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// One change for each epoch from the trusted one up to the checkpoint's; at most [`MAX_EPOCH_CHANGES`].
    pub changes: List<EpochChange>,
}

impl Format for CheckpointBundle {
    const NAME: &'static str = "checkpoint bundle";
    const LIMIT: usize = 8 << 20;
}

impl From<Checkpoint> for CheckpointBundle {
    fn from(checkpoint: Checkpoint) -> Self {
        CheckpointBundle { checkpoint, changes: List::new() }
    }
}

impl CheckpointBundle {
    /// The checkpoint's encoding, followed by the changes where there are any: without, it is a [`Checkpoint`]'s.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self.changes.is_empty() {
            true => codec::encode(&self.checkpoint),
            false => codec::encode(self),
        }
    }

    /// Reads what [`CheckpointBundle::to_bytes`] wrote: a checkpoint alone, or one with changes.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let front = bytes.get(..Checkpoint::LIMIT).unwrap_or(bytes);
        let (checkpoint, read) = codec::decode_prefix::<Checkpoint>(front)?;
        match bytes.get(read..).unwrap_or_default() {
            [] => Ok(checkpoint.into()),
            _ if bytes.len() > Self::LIMIT => {
                Err(CodecError::TooLong { what: Self::NAME, size: bytes.len(), limit: Self::LIMIT })
            }
            // A list of none after a checkpoint that needs none.
            [0] => Err(CodecError::Trailing { what: Checkpoint::NAME, extra: 1 }),
            rest => Ok(CheckpointBundle { checkpoint, changes: codec::decode::<Changes>(rest)?.0 }),
        }
    }
}

/// The changes of a bundle, apart from its checkpoint.
#[derive(Encode, Decode)]
struct Changes(List<EpochChange>);

impl Format for Changes {
    const NAME: &'static str = "list of epoch changes";
    const LIMIT: usize = CheckpointBundle::LIMIT;
}

/// Where a client's trust begins: the chain's genesis, obtained from somebody the client trusts, and optionally what was
/// seen before: a history head, behind which nothing may go back, and the validators of a later epoch.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TrustRoot {
    /// The chain's genesis.
    pub genesis: Genesis,
    /// The least history that a checkpoint must have; `None` accepts any.
    pub pinned: Option<HistoryHead>,
    /// The validators of the epoch from which changes are followed; `None` begins with the genesis'.
    pub validators: Option<TrustedValidators>,
    /// How old knowledge of validators may be to follow a change by their signatures; `None` follows however old. Chains
    /// whose certifiers never change don't need it.
    pub trusting: Option<TrustingPeriod>,
}

impl Format for TrustRoot {
    const NAME: &'static str = "trust root";
    const LIMIT: usize = 1 << 20;
}

/// Why a checkpoint isn't trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The trust root itself is no chain's.
    #[error("the trust root's genesis is invalid: {0}")]
    Genesis(#[from] GenesisError),
    /// The bytes are no value.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A header format this crate doesn't know.
    #[error("the checkpoint's header has version {found}; this client reads version {HEADER_VERSION}")]
    Version {
        /// What the header says.
        found: u8,
    },
    /// Another chain's checkpoint.
    #[error("the checkpoint is of chain {found}, the trust root is of chain {expected}")]
    WrongChain {
        /// The chain it names.
        found: ChainId,
        /// The trust root's chain.
        expected: ChainId,
    },
    /// The certificate doesn't make the header final.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A history size that no header of this height can have.
    #[error("the checkpoint at height {height} claims {size} leaves of history")]
    HistorySize {
        /// The header's height.
        height: Height,
        /// The size it claims.
        size: u64,
    },
    /// Less history than was seen before: somebody shows an old state, or rolled the chain back.
    #[error("the checkpoint has {found} leaves of history, but {seen} were seen before")]
    RolledBack {
        /// The checkpoint's size.
        found: u64,
        /// The size seen before.
        seen: u64,
    },
    /// A header below the one seen before: it is final, but it is no step forward.
    #[error("the checkpoint is at height {found}, but height {seen} was seen before")]
    Older {
        /// The header's height.
        found: Height,
        /// The height seen before.
        seen: Height,
    },
    /// Two final headers at one height: whoever certifies has signed two chains.
    #[error("the checkpoint's header {found} at height {height} is not the header {seen} seen there before")]
    OtherHeader {
        /// The height.
        height: Height,
        /// The header's digest.
        found: Digest,
        /// The digest of the header seen before.
        seen: Digest,
    },
    /// Another history of the size seen before: the chain was forked or rewritten.
    #[error("the checkpoint has another history of {size} leaves than the one seen before")]
    OtherHistory {
        /// The size.
        size: u64,
    },
    /// No proof came along that the history seen before is continued.
    #[error("the checkpoint comes without a proof that it continues the {seen} leaves of history seen before")]
    Unconnected {
        /// The size seen before.
        seen: u64,
    },
    /// The history seen before isn't continued: the chain was forked or rewritten.
    #[error("the checkpoint's history doesn't continue the one seen before: {0}")]
    Forked(MerkleError),
    /// More changes of the validators than a client follows at a time.
    #[error("{found} changes of the validators lead to the checkpoint; the limit is {MAX_EPOCH_CHANGES}")]
    TooManyChanges {
        /// How many there are.
        found: usize,
    },
    /// A chain that isn't certified by validators has none to change.
    #[error("the chain's engine has no validators that could change")]
    NoValidators,
    /// The trust root's validators are no set.
    #[error("the trust root's validators are invalid: {0}")]
    Validators(#[from] ValidatorsError),
    /// The validators trusted are no longer sure to be the ones who hold those keys.
    #[error(
        "the validators of epoch {epoch} were last known to be the chain's at {known_at} ms; at {now} ms, after the \
         trusting period of {period_ms} ms, a change signed by them is not followed"
    )]
    Expired {
        /// Whose validators.
        epoch: Epoch,
        /// When they were known last.
        known_at: Timestamp,
        /// The client's time.
        now: Timestamp,
        /// The trusting period.
        period_ms: u64,
    },
    /// A change of the validators that doesn't hold.
    #[error("the change of validators at the end of epoch {epoch} is not valid: {error}")]
    EpochChange {
        /// The epoch that it would end.
        epoch: Epoch,
        /// What is wrong.
        error: Box<EpochChangeError>,
    },
}

/// A checkpoint that was verified against a trust root. Proofs are verified against this, so that none can be held
/// against a checkpoint that nobody checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    checkpoint: Checkpoint,
}

impl VerifiedCheckpoint {
    /// To be called once everything was checked.
    pub(crate) fn new(checkpoint: Checkpoint) -> Self {
        VerifiedCheckpoint { checkpoint }
    }

    /// The finalized header.
    pub fn header(&self) -> &Header {
        &self.checkpoint.header
    }

    /// The history that it commits to.
    pub fn history(&self) -> HistoryHead {
        self.checkpoint.header.history
    }

    /// Header and certificate.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The last block whose outcome it commits to; `None` for the genesis header, which commits to none.
    pub fn executed(&self) -> Option<Height> {
        self.history().size.checked_sub(1).map(Height)
    }
}

impl TrustRoot {
    /// Trusts the chain of `genesis`.
    pub fn new(genesis: Genesis) -> Self {
        TrustRoot { genesis, pinned: None, validators: None, trusting: None }
    }

    /// The chain's id.
    pub fn chain(&self) -> ChainId {
        self.genesis.chain()
    }

    /// Verifies a checkpoint of the epoch that the trust root knows: version, chain, certificate, and, where a history
    /// head is pinned, that the checkpoint doesn't have less. (That it *continues* the pinned head takes a consistency
    /// proof: [`LightClient::advance`](crate::LightClient::advance).)
    ///
    /// # Errors
    /// [`TrustError`] says why the checkpoint isn't trusted.
    pub fn verify(&self, checkpoint: Checkpoint) -> Result<VerifiedCheckpoint, TrustError> {
        self.verify_bundle(checkpoint.into())
    }

    /// Verifies a checkpoint of any epoch, following the validators' changes to it.
    ///
    /// # Errors
    /// [`TrustError`] says why the checkpoint isn't trusted.
    pub fn verify_bundle(&self, bundle: CheckpointBundle) -> Result<VerifiedCheckpoint, TrustError> {
        let mut authority = Authority::new(self)?;
        authority.follow(self, &bundle.changes)?;
        self.verify_by(&authority, bundle.checkpoint)
    }

    /// Verifies a checkpoint that `authority` must have certified.
    pub(crate) fn verify_by(
        &self,
        authority: &Authority,
        checkpoint: Checkpoint,
    ) -> Result<VerifiedCheckpoint, TrustError> {
        let header = &checkpoint.header;
        check_chain(header, self.chain())?;
        if header.height == Height::GENESIS {
            let (header, genesis) = (header.digest(), self.genesis.header().digest());
            if header != genesis {
                return Err(CertificateError::NotGenesis { header, genesis }.into());
            }
            // It is final by being the genesis: whatever stood here would be bytes that nobody vouches for.
            if !checkpoint.certificate.is_empty() {
                let found = checkpoint.certificate.len();
                return Err(CertificateError::Length { height: Height::GENESIS, found, expected: 0 }.into());
            }
        } else {
            check_history(header)?;
            authority.verify(&self.genesis, header, &checkpoint.certificate)?;
        }
        if let Some(pinned) = &self.pinned {
            if header.history.size < pinned.size {
                return Err(TrustError::RolledBack { found: header.history.size, seen: pinned.size });
            }
            if header.history.size == pinned.size && header.history.root != pinned.root {
                return Err(TrustError::OtherHistory { size: pinned.size });
            }
        }
        Ok(VerifiedCheckpoint::new(checkpoint))
    }
}

/// Version and chain.
pub(crate) fn check_chain(header: &Header, expected: ChainId) -> Result<(), TrustError> {
    if header.version != HEADER_VERSION {
        return Err(TrustError::Version { found: header.version });
    }
    if header.chain != expected {
        return Err(TrustError::WrongChain { found: header.chain, expected });
    }
    Ok(())
}

/// A history size that a header above the genesis can have.
pub(crate) fn check_history(header: &Header) -> Result<(), TrustError> {
    let size = header.history.size;
    if size == 0 || size > header.height.0 {
        return Err(TrustError::HistorySize { height: header.height, size });
    }
    Ok(())
}

/// Shows that a history continues an older one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Consistency {
    /// The older head.
    pub from: HistoryHead,
    /// RFC 9162's consistency proof between the two sizes.
    pub path: List<Digest>,
}

impl Format for Consistency {
    const NAME: &'static str = "consistency proof";
    const LIMIT: usize = 16 << 10;
}

impl Consistency {
    /// Verifies that `to` continues [`Consistency::from`].
    ///
    /// # Errors
    /// [`MerkleError`] when it doesn't.
    pub fn verify(&self, to: &HistoryHead) -> Result<(), MerkleError> {
        let from = &self.from;
        merkle::verify_consistency::<HistoryHasher>(from.size, &from.root, to.size, &to.root, &self.path)
    }
}

/// Decodes and verifies a checkpoint, alone or with the [changes](CheckpointBundle) that lead to it.
///
/// # Errors
/// [`TrustError`].
pub fn verify_bytes(root: &TrustRoot, checkpoint: &[u8]) -> Result<VerifiedCheckpoint, TrustError> {
    root.verify_bundle(CheckpointBundle::from_bytes(checkpoint)?)
}
