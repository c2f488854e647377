//! Digests, Merkle trees, keys, signatures and signers.
#![forbid(unsafe_code)]

mod bytes;
mod digest;
mod ed25519;
mod encoding;
#[cfg(feature = "files")]
mod files;
#[cfg(feature = "files")]
mod key_file;
mod keys;
pub mod merkle;
mod vote;

pub use bytes::HexError;
pub use digest::{Digest, Domain, Hasher, hash};
pub use ed25519::{Check, KeyError, PublicKey, Signature, SignatureError, Verifier, verify, verify_raw};
#[cfg(feature = "files")]
pub use key_file::{FileSigner, KeyFileError};
pub use keys::{MemorySigner, SecretKey, Signer, SignerError};
#[cfg(feature = "files")]
pub use vote::FileGuard;
pub use vote::{
    Guard, GuardError, GuardRecord, LastVote, LogFacts, MemoryGuard, RecordError, VoteError, VotePosition, VoteSigner,
};
