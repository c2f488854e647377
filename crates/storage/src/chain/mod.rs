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
//! # Failure
//! A block that doesn't follow is refused and changes nothing. After any other error of [`ChainStore::apply`] the
//! store takes nothing more ([`StoreError::Stopped`]) and must be opened again. [`StoreError::Damaged`] names the
//! place; the views are then deleted and built again from the log.

mod error;
mod reader;
mod records;
mod results;
mod store;

pub use error::StoreError;
pub use reader::ChainReader;
pub use records::{Block as BlockRecord, FORMAT_VERSION};
pub use store::{Applied, AppliedBlock, ChainConfig, ChainStore, Head};
