//! A node composed of parts: a [`Host`] owns log, engine, transport and signature pool; a [`Chain`] is a handle on one of
//! its chains.
//!
//! ```text
//!   Chain::submit ─▶ ┌──────────────── shell (one tokio task a chain) ────────────────┐
//!   Pending ◀─────── │ Event ─▶ ChainCore::step (pure: mempool, driver, engine, sync) │ ─▶ Effect
//!   peers ─▶ Inbox ─▶└────────────────────────────────────────────────────────────────┘      │
//!        Check ─▶ signature pool (all chains, batches); CheckSignatures: votes first         │
//!        Persist ─▶ log (all chains, one group commit) ─▶ vote guard                         │
//!        Send ─▶ transport, once what was persisted before is durable                        │
//!        Execute ─▶ executor on the state before ─▶ one engine batch: two blocks at once      ▼
//!        Ordered, Executed, Certified ─▶ Progress ─▶ Pending, Subscription, proofs
//! ```
//!
//! # Example
//! ```
//! use ledger_consensus::Solo;
//! use ledger_contracts::{NATIVE, NativeRuntime, token::Token};
//! use ledger_core::{ContractId, Genesis, Timestamp, TransactionBuilder};
//! use ledger_crypto::{MemorySigner, Signer};
//! use ledger_node::NodeBuilder;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let owner = MemorySigner::from_seed([7; 32]);
//! let genesis = Genesis::solo("example", owner.public_key(), Timestamp(0));
//! let host = NodeBuilder::new().folder(&folder)?.runtime(NativeRuntime::new().with(Token)).start().await?;
//! let chain = host.chain(genesis, Solo::new(owner)).await?;
//!
//! let alice = MemorySigner::from_seed([8; 32]);
//! let deploy = TransactionBuilder::deploy(chain.id(), NATIVE, b"token".to_vec(), vec![]).sign(&alice)?;
//! let mut pending = chain.submit(deploy).await?; // Accepted
//! let place = pending.ordered().await?.place; // durable
//! let certified = pending.certified().await?; // provable
//! assert_eq!(certified.executed.place, place);
//! assert_eq!(chain.query(ContractId::deployed_by(&pending.id()), "supply", &[])?, [0; 16]);
//! # drop((chain, pending));
//! # host.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! With [`NodeBuilder::transport`] and a genesis for validators, the same lines make a node of a network: the engine is
//! `Bft::new(signer)` for a validator and `Observer` for whoever follows ([`Host::chain_with`] says who may).
//!
//! # Contract
//! - The four answers mean what their types say: [`Accepted`], [`Ordered`], [`Executed`], [`Certified`]. A transaction that
//!   was ordered is never lost, executed twice, or given another receipt, whatever crashes.
//! - An answer that can't be known is [`PendingError::Unknown`], never a guess. Submitting the same signed transaction
//!   again is harmless: it has one place in its lane.
//! - Every queue is bounded ([`Limits`]); a full one says [`Refusal::Busy`] or makes the client wait.
//! - [`core`] is pure: the simulator drives the same `step` as this crate's shell.
//!
//! # Failure
//! | what | effect |
//! |---|---|
//! | the log or the vote guard can't be written | the chain stops ([`Stop::Log`]); what was ordered is safe; reopen the host |
//! | execution or the views fail | that chain stops ([`Stop::Apply`]); others go on |
//! | a finalized header commits to another history than this node's | the chain stops ([`Stop::Diverged`]) and says how to go back |
//! | a quorum finalizes a block that doesn't follow this node's: more lie than the chain bears | the chain stops ([`Stop::Forked`]) and names both blocks |
//! | peers are unreachable, slow or lie | the chain goes on while validators of a quorum's weight are left; answers wait, none is guessed |
//! | this node falls behind, or was away | it takes final blocks from its peers and votes again |
//! | a validator signs two votes in one slot | its signatures are kept: [`Chain::evidence`] |
//! | a panic in a chain's core, in execution or in a check | that chain stops ([`Stop::Panic`]) |
//! | a panic while a chain is recovered | that chain stays closed, and can be tried again ([`HostError::Panic`]) |
//! | whoever opens a chain goes away | the chain is as closed as before once the thread that was at it has ended |
//! | a chain is handed more than its quota | its clients are refused ([`SubmitError::Quota`]); others go on |
//! | a record of one chain is damaged, or makes no sense | that chain stays closed ([`HostError::Damaged`], [`Host::damaged_chains`]) |
//! | a vote guard that the host keeps is damaged | that chain isn't opened; where it isn't known whose it was, the host doesn't start; the error names the file |
//! | the folder is in use, of another version, or the log is damaged where it isn't known whose record it was | the host doesn't start; the error names file and place |
//! | the views are damaged, or of another format | they are removed and replayed from the log ([`Host::rebuilt_views`]) |
//! | the views are damaged and the log was cut, or a chain began from a snapshot | they are set aside and replayed from the archive and the log, or the error says what to restore ([`recovery::RecoveryError::Cut`]) |
//! | the views are in use, the system refuses to open them, or it failed to write them out since the machine was started | the host doesn't start, and they stay where they are |
//! | a crash while a chain is begun from a snapshot | the chain isn't there, or the error says that it is to be begun again ([`recovery::RecoveryError::Unfinished`]), which goes on where it stopped |
//! | a block was given up, or is before the snapshot that the chain began from | the error says which are here and who keeps the archive ([`ChainError::Pruned`]) |
//! | the views stand where the log never was | the chain isn't opened ([`recovery::RecoveryError::ViewsAhead`]) |
//! | the log was lost or rolled back while the guard stayed | the signer refuses ([`ledger_crypto::VoteError`]) |
//!
//! # Features
//! None.
#![forbid(unsafe_code)]

pub mod answers;
pub mod apply;
pub mod chain;
mod clock;
pub mod core;
pub mod guard;
pub mod host;
mod ids;
pub mod log_start;
pub mod mempool;
pub mod progress;
pub mod recovery;
pub mod retention;
mod value_cache;

pub use answers::{Accepted, Certified, Executed, Ordered, Pending, PendingError, TransactionStatus};
pub use apply::{Applier, ApplyError};
pub use chain::{BlockUpdate, Chain, ChainError, EventUpdate, Refused, Stage, Subscription, SubscriptionError};
pub use core::join::{JoinConfig, JoinProgress};
pub use core::{CoreConfig, Stop, SubmitError};
pub use guard::{DiskGuard, MoveGuardError, SharedGuard, SharedGuards};
pub use host::{
    CutStage, Growth, GrowthConfig, GrowthError, GrowthReport, Host, HostError, Limits, LogCut, NodeBuilder, Quota,
    QuotaExceeded, SnapshotConfig, SnapshotReport, beginning_records, snapshot_checkpoint,
};
pub use mempool::{MempoolConfig, Refusal};
pub use progress::Progress;
pub use retention::{ChainPolicy, Keepers, Kept, PolicyError, Retention};
