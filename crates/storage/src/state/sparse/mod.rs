//! A sparse binary Merkle tree in pages.
//!
//! ```text
//!   root slot ─▶ page: 16 slots, one for each next 4 bits of the path
//!                  ├─ empty
//!                  ├─ bucket: 1 to 64 keys, which are a run of the values' table; hashed when it changes
//!                  └─ page …
//! ```
//! A slot holds its subtree's digest and how many keys it has, so a page is hashed without reading what lies below. An
//! update of a block reads the pages and buckets on the way to the changed keys, each once, and writes the pages. A
//! bucket that grows over 64 keys becomes a page; a page whose buckets shrink to 32 keys together becomes a bucket. Where
//! pages begin has no part in the root, which [`tree`](ledger_core::state::sparse) defines.

mod bucket;
mod cache;
mod page;
mod prefix;
mod prove;
#[cfg(test)]
mod tests;
mod update;
mod window;

use std::sync::{Arc, PoisonError, RwLock};

use ledger_core::{Height, StateError};
use ledger_crypto::Digest;

use self::cache::Cache;
use self::page::{RootRecord, Slot};
use self::prove::SparseProver;
use self::window::Window;
use super::commitment::{Change, StateCommitment, StateProver};
use super::tables;
use crate::engine::{Batch, Snapshot, Space};

/// A bucket with more keys becomes a page.
const MAX_BUCKET: usize = 64;

/// A page without pages below and with at most so many keys becomes a bucket. Less than [`MAX_BUCKET`], so that a key
/// that comes and goes doesn't turn one into the other each time.
const MERGE_BELOW: usize = 32;

/// Settings of a [`SparseMerkle`] tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SparseMerkleConfig {
    /// Memory for pages and buckets, in bytes; what doesn't fit is read again from the engine. A million keys take
    /// about 100 MB when all are in. It fills as keys are touched: a quiet chain takes none. Default 64 MiB.
    pub cache_bytes: usize,
    /// How many blocks that changed the state can be undone to prove an older height. Default 64.
    pub window_blocks: usize,
    /// Memory for that, in bytes; 2 MB undo a block of 15,000 changes. Default 32 MiB.
    pub window_bytes: usize,
}

impl Default for SparseMerkleConfig {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, window_blocks: 64, window_bytes: 32 << 20 }
    }
}

/// The [`StateCommitment`] of [`StateScheme::SparseMerkle`](ledger_core::StateScheme::SparseMerkle).
pub struct SparseMerkle {
    space: Space,
    root: Slot,
    staged: Slot,
    cache: Cache,
    window: Arc<RwLock<Window>>,
}

impl SparseMerkle {
    /// The tree of the chain in `space`, as `reader` has it: one read, whatever the tree's size.
    ///
    /// # Errors
    /// [`StateError`] when it can't be read.
    pub fn open(space: Space, reader: &dyn Snapshot, config: SparseMerkleConfig) -> Result<Self, StateError> {
        let record = RootRecord::read(space, reader)?;
        let window = Window::new(record.changed_at, config.window_blocks, config.window_bytes);
        Ok(Self {
            space,
            root: record.slot,
            staged: record.slot,
            cache: Cache::new(config.cache_bytes),
            window: Arc::new(RwLock::new(window)),
        })
    }
}

impl StateCommitment for SparseMerkle {
    fn root(&self) -> Digest {
        self.root.digest
    }

    fn leaves(&mut self, reader: &dyn Snapshot, places: &[Digest]) -> Result<Vec<Option<Digest>>, StateError> {
        let mut leaves = Vec::with_capacity(places.len());
        update::Tree { space: self.space, reader, cache: &mut self.cache }.leaves(self.root, places, &mut leaves)?;
        Ok(leaves)
    }

    fn update(
        &mut self,
        reader: &dyn Snapshot,
        height: Height,
        changes: &[Change],
        batch: &mut Batch,
    ) -> Result<Digest, StateError> {
        if changes.is_empty() {
            self.staged = self.root;
            return Ok(self.root.digest);
        }
        let tree = update::Tree { space: self.space, reader, cache: &mut self.cache };
        let (root, undo) = tree.update(self.root, height, changes, batch)?;
        self.staged = root;
        batch.put(tables::page_key(self.space, &[]), RootRecord { slot: root, changed_at: height }.encode());
        // Before the batch is applied: whoever reads a snapshot with it must find how to undo it.
        self.window.write().unwrap_or_else(PoisonError::into_inner).push(undo);
        Ok(root.digest)
    }

    fn commit(&mut self) {
        self.root = self.staged;
        self.cache.commit();
    }

    fn prover(&self) -> Arc<dyn StateProver> {
        Arc::new(SparseProver::new(self.space, Arc::clone(&self.window)))
    }
}
