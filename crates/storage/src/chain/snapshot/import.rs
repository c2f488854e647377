//! Beginning a chain from a snapshot.

use std::sync::{Arc, PoisonError};

use ledger_core::codec;
use ledger_core::{ChainId, Genesis, Height, SnapshotManifest, StateScheme, VerifiedSnapshot, history};
use ledger_crypto::Digest;
use ledger_crypto::merkle::Frontier;

use super::super::records::{self, HeadRecord, damaged};
use super::super::store::NUMBERING;
use super::super::{ChainConfig, ChainStore, StoreError};
use super::SnapshotStoreError;
use crate::engine::{Address, Batch, Direction, Engine, Snapshot, Space, after_prefix};
use crate::state::StateImport;

/// What is deleted in one batch.
const KEYS_A_BATCH: usize = 4_096;

/// A chain's views while they are put together from a snapshot. Nobody can read them before they are whole.
pub struct SnapshotImport {
    engine: Arc<dyn Engine>,
    genesis: Genesis,
    config: ChainConfig,
    snapshot: VerifiedSnapshot,
    space: Space,
    state: StateImport,
}

impl SnapshotImport {
    /// The manifest of the import that was begun and not finished, if there is one. To be verified anew: it lay on disk.
    ///
    /// # Errors
    /// [`SnapshotStoreError`] when it can't be read.
    pub fn pending(engine: &dyn Engine, chain: &ChainId) -> Result<Option<SnapshotManifest>, SnapshotStoreError> {
        let reader = engine.snapshot();
        let found = records::find_import(&*reader, chain)?.filter(|(manifest, _)| *manifest != ABANDONED);
        let Some((_, space)) = found else { return Ok(None) };
        let place = || format!("manifest of the import of chain {chain}");
        let bytes = reader.get(&records::manifest_key(space))?.ok_or_else(|| damaged(place(), "it is missing"))?;
        codec::decode(&bytes).map(Some).map_err(|error| damaged(place(), error).into())
    }

    /// Removes what there is of an import that won't be gone on with; whether there was any.
    ///
    /// # Errors
    /// [`SnapshotStoreError`] when the engine fails.
    pub fn forget(engine: &dyn Engine, chain: &ChainId) -> Result<bool, SnapshotStoreError> {
        let find = || records::find_import(&*engine.snapshot(), chain);
        if find()?.is_none() {
            return Ok(false);
        }
        let _numbering = NUMBERING.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, space)) = find()? else { return Ok(false) };
        abandon(engine, chain, space)?;
        Ok(true)
    }

    /// Begins to put together the views of the chain that `genesis` begins, or goes on with what there is of the same
    /// snapshot. What there is of another one is removed.
    ///
    /// # Errors
    /// [`SnapshotStoreError::ChainExists`] when the chain has views with blocks; others when the engine fails.
    pub fn open(
        engine: Arc<dyn Engine>,
        genesis: &Genesis,
        snapshot: VerifiedSnapshot,
        config: ChainConfig,
    ) -> Result<Self, SnapshotStoreError> {
        let chain = genesis.chain();
        let (found, expected) = (snapshot.manifest().chain, chain);
        if found != expected {
            return Err(SnapshotStoreError::WrongChain { found, expected });
        }
        let digest = snapshot.manifest().digest();
        let numbering = NUMBERING.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = engine.snapshot();
        let mut batch = Batch::new();
        records::check_format(&*reader, &mut batch)?;
        refuse_views(&*reader, &chain)?;
        let space = match records::find_import(&*reader, &chain)? {
            Some((begun, space)) if begun == digest => space,
            other => {
                if let Some((_, space)) = other {
                    abandon(&*engine, &chain, space)?;
                }
                let space = records::take_number(&*reader, &mut batch)?;
                records::put_import(&chain, &digest, space, &mut batch);
                batch.put(records::manifest_key(space), codec::encode(snapshot.manifest()));
                space
            }
        };
        let state = match genesis.rules.state_scheme {
            StateScheme::SortedMerkle => {
                StateImport::open(Arc::clone(&engine), space, snapshot.height(), config.state, &mut batch)?
            }
        };
        drop(reader);
        engine.apply(batch)?;
        drop(numbering);
        Ok(Self { engine, genesis: genesis.clone(), config, snapshot, space, state })
    }

    /// The snapshot.
    #[must_use]
    pub fn snapshot(&self) -> &VerifiedSnapshot {
        &self.snapshot
    }

    /// The chunks that aren't there yet, in order.
    pub fn missing(&self) -> impl Iterator<Item = usize> + '_ {
        let has = |index: &usize| u32::try_from(*index).is_ok_and(|index| self.state.parts().contains(&index));
        (0..self.snapshot.chunks()).filter(move |index| !has(index))
    }

    /// Verifies `bytes` as chunk `index` and adds it. One that is there already is passed over.
    ///
    /// # Errors
    /// [`SnapshotStoreError::Snapshot`] when they aren't the chunk: nothing has changed then. After other errors the
    /// import must be opened again.
    pub fn add(&mut self, index: usize, bytes: &[u8]) -> Result<(), SnapshotStoreError> {
        let part = u32::try_from(index).unwrap_or(u32::MAX);
        if self.state.parts().contains(&part) {
            return Ok(());
        }
        let entries = self.snapshot.verify_chunk(index, bytes)?;
        let mut batch = Batch::new();
        self.state.add(part, &entries, &mut batch)?;
        self.engine.apply(batch)?;
        Ok(())
    }

    /// Makes what was put together the chain's views, in one step, and opens them. They are durable then.
    ///
    /// # Errors
    /// [`SnapshotStoreError::Incomplete`] when chunks are missing, [`SnapshotStoreError::WrongRoot`] when all of them
    /// don't have the state root; others when the engine fails.
    pub fn finish(self) -> Result<ChainStore, SnapshotStoreError> {
        let missing = self.missing().count();
        if let Some(first) = self.missing().next() {
            return Err(SnapshotStoreError::Incomplete { missing, first });
        }
        let Self { engine, genesis, config, snapshot, space, state } = self;
        let chain = genesis.chain();
        let mut batch = Batch::new();
        let (found, expected) = (state.finish(&mut batch)?, snapshot.state_root());
        let numbering = NUMBERING.lock().unwrap_or_else(PoisonError::into_inner);
        if found != expected {
            abandon(&*engine, &chain, space)?;
            return Err(SnapshotStoreError::WrongRoot { found, expected });
        }
        let reader = engine.snapshot();
        refuse_views(&*reader, &chain)?;
        let old = records::find_space(&*reader, &chain)?;
        drop(reader);
        stage(&snapshot, space, &mut batch)?;
        batch.delete(records::manifest_key(space));
        records::delete_import(&chain, &mut batch);
        records::give_space(&chain, space, &mut batch);
        // What the batch says to count must be there whenever the batch is.
        engine.sync()?;
        engine.apply(batch)?;
        engine.sync()?;
        if let Some(old) = old {
            remove(&*engine, old)?;
        }
        drop(numbering);
        Ok(ChainStore::open(engine, &genesis, config)?)
    }

    /// Removes all that there is of the import.
    ///
    /// # Errors
    /// [`SnapshotStoreError`] when the engine fails.
    pub fn discard(self) -> Result<(), SnapshotStoreError> {
        Ok(abandon(&*self.engine, &self.genesis.chain(), self.space)?)
    }
}

/// Refuses to begin a chain that has more than its genesis.
fn refuse_views(reader: &dyn Snapshot, chain: &ChainId) -> Result<(), SnapshotStoreError> {
    let Some(space) = records::find_space(reader, chain)? else { return Ok(()) };
    let height = HeadRecord::read(space, reader)?.map_or(Height::GENESIS, |head| head.height);
    match height {
        Height::GENESIS => Ok(()),
        height => Err(SnapshotStoreError::ChainExists { chain: *chain, height }),
    }
}

/// The views of the snapshot's block, apart from the state.
fn stage(snapshot: &VerifiedSnapshot, space: Space, batch: &mut Batch) -> Result<(), StoreError> {
    let SnapshotManifest { block, outcome, peaks, .. } = snapshot.manifest();
    let height = block.header.height;
    for (position, peak) in records::peak_positions(height.0).zip(peaks.iter()) {
        records::put_history(space, batch, position, peak);
    }
    let frontier = Frontier::from_parts(height.0, peaks.to_vec());
    let mut frontier = frontier.map_err(|error| damaged("peaks of the snapshot's history", error))?;
    let leaf: Digest = history::leaf(&outcome.block, &outcome.digest());
    records::append_history(space, &mut frontier, leaf, batch);
    HeadRecord::new(height, &frontier).put(space, batch);
    records::Block::new(block.header.clone(), outcome.clone(), block.certificate.clone(), None).put(space, batch);
    Ok(())
}

/// No manifest has this digest: what is noted with it is being removed.
const ABANDONED: Digest = Digest::ZERO;

/// Removes an import. Until all of it is gone, it is noted that it is to go.
fn abandon(engine: &dyn Engine, chain: &ChainId, space: Space) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    records::put_import(chain, &ABANDONED, space, &mut batch);
    engine.apply(batch)?;
    remove(engine, space)?;
    let mut batch = Batch::new();
    records::delete_import(chain, &mut batch);
    Ok(engine.apply(batch)?)
}

/// Removes all that lies in `space`, which nobody uses.
fn remove(engine: &dyn Engine, space: Space) -> Result<(), StoreError> {
    let prefix = space.number().to_be_bytes().to_vec();
    let end = after_prefix(prefix.clone());
    loop {
        let reader = engine.snapshot();
        let keys: Result<Vec<Vec<u8>>, _> = reader
            .range(&prefix, end.as_deref(), Direction::Forward)
            .take(KEYS_A_BATCH)
            .map(|entry| entry.map(|(key, _)| key))
            .collect();
        let keys = keys?;
        drop(reader);
        if keys.is_empty() {
            break;
        }
        let mut batch = Batch::new();
        for key in keys {
            batch.delete(key);
        }
        engine.apply(batch)?;
    }
    engine.release(space, Address::MAX)?;
    engine.release(space.scratch(), Address::MAX)?;
    Ok(())
}

impl std::fmt::Debug for SnapshotImport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotImport")
            .field("height", &self.snapshot.height())
            .field("missing", &self.missing().count())
            .finish_non_exhaustive()
    }
}
