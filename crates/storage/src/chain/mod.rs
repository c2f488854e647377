//! The views of one chain over a shared engine: blocks, results, state, history.
//!
//! ```text
//!   ChainStore (one, writes)  ──apply(block, execution)──▶  one batch: height h, log position,
//!        │                                                   header, outcome, certificate, results,
//!        └─ reader() ─▶ ChainReader (many, anywhere)         places of transactions, state, history tree
//! ```
//!
//! # Contract
//! - A block is applied whole or not at all, with its height and its place in the log. After a crash the views are those
//!   of some earlier height: read [`ChainStore::head`], and apply from its position on what the log has after it.
//!   Applying a block again gives the same bytes.
//! - The bodies of transactions aren't here; they are in the log at [`ChainReader::position`].
//! - Readers never wait for the writer. Each call reads one snapshot, so what it gives is of one height.
//!
//! # Example
//! ```
//! use std::sync::Arc;
//! use ledger_core::codec::{Bytes, List};
//! use ledger_core::{Block, ContractId, Execution, Fuel, Genesis, Header, Key, StateView, Timestamp, Write, Writes};
//! use ledger_crypto::{Digest, MemorySigner, Signer};
//! use ledger_storage::chain::{AppliedBlock, ChainConfig, ChainStore};
//! use ledger_storage::engine::{Engine, MemoryEngine};
//! use ledger_storage::log::LogPosition;
//!
//! let genesis = Genesis::solo("coffee", MemorySigner::from_seed([1; 32]).public_key(), Timestamp(0));
//! let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
//! let mut store = ChainStore::open(engine, &genesis, ChainConfig::default())?;
//!
//! let parent = store.head().header.clone();
//! let header = Header { height: parent.height.next(), parent: parent.digest(), ..parent };
//! let key = Key::new(ContractId(Digest::new([7; 32])), b"lot 1".as_slice());
//! let write = Write { key: key.clone(), index: 0, value: Some(Bytes::from(b"Huila".as_slice())) };
//! let writes = Writes::new(vec![write]);
//! let execution = Execution { writes, results: vec![], fuel_used: Fuel(0), validators: List::new() };
//! let applied = store.apply(AppliedBlock {
//!     block: &Block { header, transactions: List::new() },
//!     certificate: b"what makes it final",
//!     position: LogPosition { segment: 1, offset: 64, length: 300 },
//!     execution: &execution,
//! })?;
//!
//! let reader = store.reader();
//! let path = reader.prove(applied.outcome.height, &key)?;
//! let proven = path.verify(&applied.outcome.state_root, &key)?.cloned();
//! assert_eq!(proven, reader.state().get(&key)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Failure
//! A block that doesn't follow is refused and changes nothing. After any other error of [`ChainStore::apply`] the
//! store takes nothing more ([`StoreError::Stopped`]) and must be opened again. [`StoreError::Damaged`] names the
//! place; the views are then deleted and built again from the log.

mod error;
mod reader;
mod records;
mod results;
pub mod snapshot;
mod store;
mod verify;

pub use error::StoreError;
pub use reader::ChainReader;
pub use records::{Block as BlockRecord, FORMAT_VERSION};
pub use store::{Applied, AppliedBlock, ChainConfig, ChainStore, Head};
pub use verify::VerifiedViews;
