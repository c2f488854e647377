//! What a ledger's bytes mean: transactions, blocks, outcomes, checkpoints, proofs and their verification, and the
//! seams between the crates that make a node.
//!
//! ```text
//!   SignedTransaction ──▶ Block{Header} ──▶ Executor ──▶ Outcome, receipts, events
//!                             │    ▲                         │
//!                       Finality   └──── HistoryHead ◀── history tree (header digest ‖ outcome digest)
//!                             ▼
//!                        Checkpoint ──▶ Proof::verify ──▶ Proven
//! ```
//!
//! # Contract
//! - Every format has one encoding ([`codec`]); `docs/format.md` specifies the bytes, golden files pin them.
//! - Everything that verifies is here and in `ledger-crypto`, and builds for `wasm32-unknown-unknown`: no threads,
//!   files, sockets or clocks. [`verify`] takes bytes and trusts nothing but the trust root.
//! - Decoders are bounded and never panic: memory stays under 64 KiB and eight times the input. Errors name the thing,
//!   the place and the limit.
//! - Roots over lists cover the number of items ([`list_root`]), so a proof shows an item at one place only.
//! - A client that trusts only the genesis follows changes of the validators: a checkpoint travels with them in a
//!   [`CheckpointBundle`], and a trusting period says how old its knowledge of validators may be ([`epochs`]).
//! - [`Proven`] is what a proof says, not what was asked: compare the two. A proven transaction was in the block and was
//!   signed; whether it had an effect, and its key the right to, its receipt says.
//!
//! # Example
//! ```
//! use ledger_core::{Checkpoint, Genesis, LightClient, Timestamp, TrustRoot, codec};
//! use ledger_crypto::{MemorySigner, Signer};
//!
//! let owner = MemorySigner::from_seed([1; 32]);
//! let genesis = Genesis::solo("coffee", owner.public_key(), Timestamp(1_700_000_000_000));
//! let client = LightClient::new(TrustRoot::new(genesis.clone()))?;
//! assert_eq!(client.latest().header(), &genesis.header());
//!
//! // Anything else at height 0 is refused.
//! let mut forged = genesis.header();
//! forged.timestamp = Timestamp(0);
//! let forged = Checkpoint { header: forged, certificate: Default::default() };
//! assert!(TrustRoot::new(genesis).verify(forged).is_err());
//! # Ok::<(), ledger_core::TrustError>(())
//! ```
//!
//! # Failure
//! Nothing here does I/O or keeps state but [`LightClient`], which stays where it is when an advance fails. A refused
//! proof says nothing about what it was to show. [`TrustError::Forked`], [`TrustError::OtherHistory`] and
//! [`TrustError::OtherHeader`] mean that whoever certifies has signed two histories: keep both checkpoints.
//!
//! # Features
//! None.
#![forbid(unsafe_code)]

pub mod block;
pub mod builder;
pub mod checkpoint;
pub mod codec;
pub mod domains;
pub mod epochs;
pub mod executor;
pub mod finality;
pub mod genesis;
pub mod history;
pub mod id;
pub mod light_client;
pub mod list_root;
pub mod outcome;
pub mod peers;
pub mod proof;
pub mod rules;
pub mod snapshot;
pub mod state;
pub mod transaction;
pub mod units;
pub mod validators;

pub use block::{Block, BlockError, HEADER_VERSION, Header};
pub use builder::{DEFAULT_FUEL_LIMIT, DEFAULT_FUEL_PER_CODE_BYTE, TransactionBuilder};
pub use checkpoint::{Checkpoint, CheckpointBundle, Consistency, TrustError, TrustRoot, VerifiedCheckpoint};
pub use epochs::{EpochChange, EpochChangeError, MAX_EPOCH_CHANGES, TrustedValidators, TrustingPeriod};
pub use executor::{Call, Context, Execution, ExecutionError, Executor, Simulation};
pub use finality::{
    BftCertificate, BftFinality, BftVote, CertificateError, Evidence, EvidenceError, Finality, SignatureCheck, Signed,
    SoloFinality,
};
pub use genesis::{Engine, Genesis, GenesisError};
pub use history::HistoryHead;
pub use id::{AccountId, ChainId, ContractId, TransactionId};
pub use light_client::LightClient;
pub use outcome::{Event, Failure, Outcome, Receipt, Rejection, Status, TransactionResult, ValidatorUpdate};
pub use peers::Lane;
pub use proof::{
    BlockProof, EventProof, PastProof, Place, Proof, ProofError, Proven, RangeProof, ReceiptProof, StateProof,
    TransactionProof, ValueHistoryProof, verify,
};
pub use rules::{Deployers, Prices, Rules, StateScheme, WasmCosts, WasmRules};
pub use snapshot::{SnapshotChunk, SnapshotError, SnapshotManifest, VerifiedSnapshot};
pub use state::tree::{KeyLengthError, MAX_KEY_NAME_BYTES};
pub use state::{Key, KeyRange, Scan, StateError, StateView, Version, Versioned, Write, Writes};
pub use transaction::{
    Action, Body, DeployBody, Endorsement, Order, ReadWriteSet, SignedTransaction, Transaction, TransactionError,
    TransactionLeaf, Witness,
};
pub use units::{Epoch, Fuel, Height, Timestamp, View, Weight};
pub use validators::{Validator, ValidatorSet, ValidatorsError};
