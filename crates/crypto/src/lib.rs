//! Digests, Merkle trees, keys, signatures and signers: what a ledger hashes, proves and signs with.
//!
//! ```text
//!    bytes ──► Domain + hash ──► Digest ──► merkle::{root, Frontier} ──► root
//!                                                 │                       │
//!                                                 └──► proof ──────► verify_inclusion, verify_consistency
//!
//!    SecretKey ──► Signer (MemorySigner, FileSigner, yours) ──► Signature ──► Verifier, verify
//!                     │                                                          one verdict, alone or in a batch
//!                     └──► VoteSigner + Guard ──► one vote to a position for life
//! ```
//!
//! ```
//! use ledger_crypto::merkle::{self, Blake3, TreeHasher};
//! use ledger_crypto::{Check, Domain, MemorySigner, Signer, verify};
//!
//! const HEAD: Domain = Domain::new("my-ledger signed head v1");
//!
//! // An owner signs the root of three entries …
//! let leaves = ["oats", "rye", "wheat"].map(|entry| Blake3::leaf(entry.as_bytes()));
//! let root = merkle::root::<Blake3>(&leaves);
//! let owner = MemorySigner::from_seed([42; 32]);
//! let signature = owner.sign(HEAD, root.as_bytes())?;
//!
//! // … and who knows the owner's key believes that "rye" is the second of them.
//! let path = merkle::prove_inclusion::<Blake3>(&leaves, 1).ok_or("no such entry")?;
//! let key = owner.public_key();
//! verify(&Check { key: &key, domain: HEAD, message: root.as_bytes(), signature: &signature })?;
//! merkle::verify_inclusion::<Blake3>(&root, 3, 1, &Blake3::leaf(b"rye"), &path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//! - **Domains everywhere.** [`hash`], [`Signer::sign`] and [`Check`] take a [`Domain`]; there is no default one. What
//!   is hashed and signed is injective in domain and message.
//! - **One verdict.** Verification follows ZIP-215, and [`verify`], [`Verifier::verify`] and
//!   [`Verifier::verify_batch`] agree on every input, whatever the cache holds. Weak keys verify like any other; who
//!   admits a key calls [`PublicKey::check_strong`].
//! - **One form.** Values, proofs and records have one encoding each; anything else is an error.
//! - **No public key is ever taken for signing,** and no bytes are signed without a domain.
//!
//! # What happens on failure
//! Bytes from outside lead to errors that name the defect, never to panics; nothing is allocated by a length that they
//! state. Key and guard files are written whole and synced before a call returns, so a crash leaves the old or the new
//! one; a damaged file is an error and never taken for an absent one. An encrypted key file tells damage from a wrong
//! passphrase by a checksum, and bounds the memory and time that it may ask for. A [`VoteSigner`] whose guard fails signs nothing
//! more until it is opened anew, and one whose log lost votes never opens.
//!
//! # Features
//! - `files` (default): [`FileSigner`], [`FileGuard`] and [`SecretKey::generate`]. Without it the crate uses no files,
//!   no randomness and no passphrases, and builds for `wasm32-unknown-unknown`.
//!
//! # Speed on x86-64
//! The curve arithmetic has code for AVX-512 (IFMA), chosen at run time, so that the binary still runs anywhere. It
//! is compiled in only by a cfg of the *final* build, which a library can't set for its users. Put this into
//! `.cargo/config.toml` of your own workspace; it is for x86-64 targets only, since elsewhere the cfg breaks the build:
//!
//! ```toml
//! [target.'cfg(target_arch = "x86_64")']
//! rustflags = ['--cfg=curve25519_dalek_backend="avx512"']
//! ```
//!
//! Without it AVX2 code is used, with the same verdicts. A `RUSTFLAGS` environment variable replaces these flags.
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
mod many;
pub mod merkle;
#[cfg(feature = "files")]
mod sealed_key;
mod vote;

pub use bytes::HexError;
pub use digest::{Digest, Domain, Hasher, hash};
pub use ed25519::{Check, KeyError, PublicKey, Signature, SignatureError, Verifier, verify, verify_raw};
#[cfg(feature = "files")]
pub use key_file::{FileSigner, KeyFileError};
pub use keys::{MemorySigner, SecretKey, Signer, SignerError};
pub use many::{MAX_MANY_BYTES, hash_each, hash_many};
#[cfg(feature = "files")]
pub use sealed_key::{KeyDerivation, Passphrase};
#[cfg(feature = "files")]
pub use vote::FileGuard;
pub use vote::{
    Guard, GuardError, GuardRecord, LastVote, LogFacts, MemoryGuard, RecordError, VoteError, VotePosition, VoteSigner,
};
