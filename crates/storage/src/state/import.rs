//! A state that is put together from verified pieces instead of blocks.
//!
//! The pieces' records lie in bulk storage as a block's do, one region a piece, noted under the height and the piece's
//! number. A key's history begins with the version that it has there: its predecessor's digest is known, its predecessor
//! isn't.

use std::collections::BTreeSet;
use std::sync::Arc;

use ledger_core::{Height, Key, StateError, Versioned};
use ledger_crypto::Digest;

use super::checkpoint::{self, base_key, base_parts};
use super::damage::damaged;
use super::names::Namespaces;
use super::prepare::{self, Sources};
use super::record::{self, Links, Record};
use super::store::{StateConfig, StateStore};
use crate::engine::{Batch, Engine, Snapshot, Space};

const BASE: u8 = 0x18;

fn base_record(space: Space) -> Vec<u8> {
    space.key(BASE, &[])
}

/// The block whose state the chain in `space` began with.
pub(super) fn base(space: Space, reader: &dyn Snapshot) -> Result<Height, StateError> {
    match reader.get(&base_record(space))? {
        None => Ok(Height::GENESIS),
        Some(value) => {
            let bytes = value.try_into().map_err(|_| damaged("state base", space, "it has another length"))?;
            Ok(Height(u64::from_le_bytes(bytes)))
        }
    }
}

/// A state that isn't complete yet, and that nobody reads.
pub struct StateImport {
    store: StateStore,
    engine: Arc<dyn Engine>,
    space: Space,
    base: Height,
    parts: BTreeSet<u32>,
}

impl StateImport {
    /// Begins the state after block `base` in `space`, or goes on with what is there: all pieces that can still be read.
    /// `batch` gets what says so.
    ///
    /// # Errors
    /// [`StateError`] when the engine fails, or what is there isn't such a state.
    pub fn open(
        engine: Arc<dyn Engine>,
        space: Space,
        base: Height,
        config: StateConfig,
        batch: &mut Batch,
    ) -> Result<Self, StateError> {
        let snapshot = engine.snapshot();
        let names = Namespaces::read(space, &*snapshot)?;
        let mut store = StateStore::begin(Arc::clone(&engine), space, names, base, config);
        let mut parts = BTreeSet::new();
        for (part, address, length) in base_parts(space, &*snapshot, base)? {
            match store.read_again(address, length) {
                Ok(changes) => {
                    store.change(base, address, &changes);
                    parts.insert(part);
                }
                // It was lost in a crash, and comes again.
                Err(StateError::Damaged { .. }) => batch.delete(base_key(space, base, part)),
                Err(error) => return Err(error),
            }
        }
        drop(snapshot);
        batch.put(base_record(space), base.0.to_le_bytes().to_vec());
        Ok(Self { store, engine, space, base, parts })
    }

    /// The pieces that are there.
    #[must_use]
    pub fn parts(&self) -> &BTreeSet<u32> {
        &self.parts
    }

    /// Adds piece `part`: keys and values that were verified, and that no other piece has. `batch` gets what says that
    /// they count; until it is applied they don't.
    ///
    /// # Errors
    /// [`StateError`] when a key or value is too long or the engine fails; the import must be opened again, then.
    pub fn add(&mut self, part: u32, entries: &[(Key, Versioned)], batch: &mut Batch) -> Result<(), StateError> {
        let mut region = Vec::new();
        {
            let mut names = self.store.shared.names_mut();
            for (key, Versioned { value, version, predecessor }) in entries {
                key.check()?;
                if value.len() > record::MAX_VALUE_BYTES {
                    let (length, limit) = (value.len(), record::MAX_VALUE_BYTES);
                    return Err(StateError::ValueLength { length, limit });
                }
                let namespace = names.number(self.space, key.namespace, batch);
                let (version, predecessor) = (*version, *predecessor);
                let record = Record { namespace, number: 0, version, links: Links::default(), predecessor };
                record::append(self.space, &record, &key.name, Some(value), &mut region);
            }
        }
        if !region.is_empty() {
            let address = self.engine.append(self.space, &region)?;
            let changes = {
                let (tree, names) = (self.store.shared.tree(), self.store.shared.names());
                let (engine, space) = (&*self.engine, self.space);
                prepare::prepare_again(Sources { tree: &tree, names: &names, engine, space }, address, &region)?
            };
            self.store.change(self.base, address, &changes);
            let value = checkpoint::region_value(address, region.len() as u64);
            batch.put(base_key(self.space, self.base, part), value);
        }
        self.parts.insert(part);
        Ok(())
    }

    /// The root over all pieces, and in `batch` an index of them, so that opening the state doesn't read them again.
    ///
    /// # Errors
    /// [`StateError`] when the index can't be written.
    pub fn finish(mut self, batch: &mut Batch) -> Result<Digest, StateError> {
        self.store.rehash_all(self.base);
        self.store.checkpoint(batch)?;
        Ok(self.store.root())
    }
}

impl std::fmt::Debug for StateImport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateImport")
            .field("base", &self.base)
            .field("parts", &self.parts.len())
            .finish_non_exhaustive()
    }
}
