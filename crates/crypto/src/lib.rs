//! Digests, Merkle trees, keys, signatures and signers.
#![forbid(unsafe_code)]

mod bytes;
mod digest;
mod ed25519;
mod encoding;
mod keys;
pub mod merkle;

pub use bytes::HexError;
pub use digest::{Digest, Domain, Hasher, hash};
pub use ed25519::{Check, KeyError, PublicKey, Signature, SignatureError, Verifier, verify, verify_raw};
pub use keys::{MemorySigner, SecretKey, Signer, SignerError};
