//! Versioned state with its history, and what commits to it.
//!
//! ```text
//!   Writes ──▶ stage ──┬──▶ values by key, versions by key and height, names in order     (engine tables)
//!                      └──▶ StateCommitment::update ──▶ root                               (engine tables, cached)
//!   StateAt ◀── any kept height ──  Snapshot  ── recent heights ──▶ StateProver ──▶ StatePath
//! ```
//!
//! # Tables
//! | table | key | value |
//! |---|---|---|
//! | names | namespace, name | whether the key has a value now |
//! | values | key digest | content digest, then the value, or where it is among the versions if it is long |
//! | versions | key digest, height and index descending | the value that was written there, or that it was deleted |
//! | pages | the commitment's own | the commitment's own |
//!
//! A value is written once under its version and, when short, once more among the current values; the tree's leaves
//! are the current values themselves, so that the commitment writes no records for them.
//!
//! # Failure
//! Nothing here changes anything before the batch is applied; a table that isn't what it must be gives
//! [`StateError::Damaged`](ledger_core::StateError::Damaged) with the place, and the view is built again from the log.

mod commitment;
mod damage;
mod sparse;
mod tables;
mod values;
mod view;

pub use commitment::{Change, StateCommitment, StateProver};
pub use sparse::{SparseMerkle, SparseMerkleConfig};
pub use values::{VersionEntry, history, stage};
pub use view::StateAt;
