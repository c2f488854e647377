//! What a client has to trust, and how it goes on from there.

use crate::block::{HEADER_VERSION, Header};
use crate::codec::{Bytes, CodecError, Decode, Encode, Format, List};
use crate::finality::CertificateError;
use crate::genesis::{Genesis, GenesisError};
use crate::history::{HistoryHasher, HistoryHead};
use crate::id::ChainId;
use crate::units::Height;
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

/// Where a client's trust begins: the chain's genesis, obtained from somebody the client trusts, and optionally a
/// history head seen before, behind which nothing may go back.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TrustRoot {
    /// The chain's genesis.
    pub genesis: Genesis,
    /// The least history that a checkpoint must have; `None` accepts any.
    pub pinned: Option<HistoryHead>,
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
}

/// A checkpoint that was verified against a trust root. Proofs are verified against this, so that none can be held
/// against a checkpoint that nobody checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    checkpoint: Checkpoint,
}

impl VerifiedCheckpoint {
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
        TrustRoot { genesis, pinned: None }
    }

    /// The chain's id.
    pub fn chain(&self) -> ChainId {
        self.genesis.chain()
    }

    /// Verifies a checkpoint: version, chain, certificate, and, where a history head is pinned, that the checkpoint
    /// doesn't have less. (That it *continues* the pinned head takes a consistency proof: [`LightClient::advance`].)
    ///
    /// # Errors
    /// [`TrustError`] says why the checkpoint isn't trusted.
    pub fn verify(&self, checkpoint: Checkpoint) -> Result<VerifiedCheckpoint, TrustError> {
        let finality = self.genesis.finality()?;
        let header = &checkpoint.header;
        if header.version != HEADER_VERSION {
            return Err(TrustError::Version { found: header.version });
        }
        let expected = self.chain();
        if header.chain != expected {
            return Err(TrustError::WrongChain { found: header.chain, expected });
        }
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
            if header.history.size == 0 || header.history.size > header.height.0 {
                return Err(TrustError::HistorySize { height: header.height, size: header.history.size });
            }
            finality.verify(header, &checkpoint.certificate)?;
        }
        if let Some(pinned) = &self.pinned {
            if header.history.size < pinned.size {
                return Err(TrustError::RolledBack { found: header.history.size, seen: pinned.size });
            }
            if header.history.size == pinned.size && header.history.root != pinned.root {
                return Err(TrustError::OtherHistory { size: pinned.size });
            }
        }
        Ok(VerifiedCheckpoint { checkpoint })
    }
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

/// Follows a chain from checkpoint to checkpoint, and notices when it is rolled back or rewritten.
///
/// What it compares is the history: blocks that were ordered but, at the latest checkpoint, not yet executed are not in
/// it, and no proof against that checkpoint could have shown any of them.
#[derive(Clone, Debug)]
pub struct LightClient {
    root: TrustRoot,
    latest: VerifiedCheckpoint,
}

impl LightClient {
    /// Starts at the genesis.
    ///
    /// # Errors
    /// [`TrustError`] when the trust root is invalid.
    pub fn new(root: TrustRoot) -> Result<Self, TrustError> {
        let header = root.genesis.header();
        let unpinned = TrustRoot::new(root.genesis.clone());
        let latest = unpinned.verify(Checkpoint { header, certificate: Bytes::default() })?;
        Ok(LightClient { root, latest })
    }

    /// The newest checkpoint that was accepted.
    pub fn latest(&self) -> &VerifiedCheckpoint {
        &self.latest
    }

    /// Goes on to a newer checkpoint, or stays at the same header. `consistency` must lead from the history seen last (the pinned one, if none was
    /// seen yet); it may be `None` while nothing was seen, or where the size is the same.
    ///
    /// # Errors
    /// [`TrustError`]; the client then stays where it is.
    pub fn advance(
        &mut self,
        checkpoint: Checkpoint,
        consistency: Option<&Consistency>,
    ) -> Result<&VerifiedCheckpoint, TrustError> {
        let verified = self.root.verify(checkpoint)?;
        let (seen, found) = (self.seen(), verified.history());
        if found.size < seen.size {
            return Err(TrustError::RolledBack { found: found.size, seen: seen.size });
        }
        self.check_forward(verified.header())?;
        if seen.size > 0 {
            match consistency {
                Some(consistency) if consistency.from == seen => {
                    consistency.verify(&found).map_err(TrustError::Forked)?;
                }
                None if found == seen => {}
                None if found.size == seen.size => return Err(TrustError::OtherHistory { size: seen.size }),
                _ => return Err(TrustError::Unconnected { seen: seen.size }),
            }
        }
        self.latest = verified;
        Ok(&self.latest)
    }

    /// Refuses what the history heads alone don't show: a step back, or another header, above the executed blocks.
    fn check_forward(&self, header: &Header) -> Result<(), TrustError> {
        let latest = self.latest.header();
        if header.height < latest.height {
            return Err(TrustError::Older { found: header.height, seen: latest.height });
        }
        let (found, seen) = (header.digest(), latest.digest());
        if header.height == latest.height && found != seen {
            return Err(TrustError::OtherHeader { height: header.height, found, seen });
        }
        Ok(())
    }

    /// The newest history that the client has accepted, or was told to begin from.
    pub fn seen(&self) -> HistoryHead {
        let latest = self.latest.history();
        match self.root.pinned {
            Some(pinned) if pinned.size > latest.size => pinned,
            _ => latest,
        }
    }
}

/// Decodes and verifies a checkpoint.
///
/// # Errors
/// [`TrustError`].
pub fn verify_bytes(root: &TrustRoot, checkpoint: &[u8]) -> Result<VerifiedCheckpoint, TrustError> {
    root.verify(crate::codec::decode(checkpoint)?)
}
