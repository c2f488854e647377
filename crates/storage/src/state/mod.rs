//! Versioned state with its history, and what commits to it.
//!
//! ```text
//!   Writes ──▶ records ──▶ bulk storage of the engine: a region a block, appended
//!      │          ▲
//!      │          │ address of each key's newest record, links to older ones
//!      └──▶ index in memory: branches, and pages of leaves (address, digest, critical bit) ──▶ root
//!                 │                        StateReader ── any kept height ──▶ StateAt
//!                 └── copies on disk       StateReader::prove_range ── recent heights ──▶ PrunedTree
//! ```
//! What a root commits to is said in [`ledger_core::state::tree`]; docs/storage.md compares the design with others.
//!
//! # How it works
//! A key costs about 48 bytes of memory, and no more when its value is long; the keys themselves are on disk. An update
//! reads the key's newest record (one positioned read), appends a record, replaces a leaf of 40 bytes, and hashes the
//! page again, 16 nodes at a time beside those of all other keys of the block. Nothing is rewritten in place, so readers
//! need no locks that a writer holds for long: a reader knows the height that it reads at, and passes over records that
//! are younger.
//!
//! | table of the engine | key | value |
//! |---|---|---|
//! | namespaces | number | the contract's id |
//! | regions | height, part | address and length of the block's records |
//! | oldest, base | | the oldest height whose state is kept; the block that the chain began with, if not the genesis |
//! | copies | copy, part | parts of the index, written beside the blocks |
//!
//! # Failure
//! A block counts when the batch is applied that [`StateStore::update`] filled; what it appended before is otherwise
//! never looked at. Records have checksums, the index is held against the state root by whoever opens it. What isn't
//! what was written gives [`StateError::Damaged`](ledger_core::StateError::Damaged) with the place, and the view is built
//! again from the log.

mod checkpoint;
mod damage;
mod export;
mod group;
mod import;
mod names;
mod page;
mod prepare;
mod prove;
mod prune;
mod reader;
mod record;
mod rehash;
mod slabs;
#[cfg(test)]
mod sleepers;
mod store;
mod trie;
mod verify;
mod window;

pub use export::{StateChunk, StatePin};
pub use import::StateImport;
pub use prove::{MAX_PROVEN_BYTES, MAX_PROVEN_KEYS};
pub use prune::Kept;
pub use reader::{StateAt, StateReader, VersionEntry};
pub use store::{StateConfig, StateStore};
pub use verify::VerifiedState;
