//! Opening a chain: the right to, what the log said of it, and what recovering it gives.
//!
//! Whoever opens a chain may be interrupted anywhere: the future is dropped, the views can't be read, the executor panics,
//! the transport refuses. What the log said of the chain goes back where it was then, and only when nobody works on its
//! views any more may it be opened anew. A chain that was forgotten so would be begun a second time, with the same key.

use super::shard::Shard;
use super::{HostError, lock};
use crate::apply::Applier;
use crate::chain::shell::panic_message;
use crate::core::Start;
use crate::guard::SharedGuards;
use crate::recovery::{self, LoggedChain, RecoveryError};
use crate::value_cache::ValueCache;
use ledger_consensus::{EngineFactory, Setup, Started};
use ledger_core::{ChainId, Executor, Genesis, finality};
use ledger_crypto::Digest;
use ledger_storage::archive::ArchiveReader;
use ledger_storage::chain::{ChainConfig, ChainStore};
use ledger_storage::engine::Engine;
use ledger_storage::log::LogReader;
use ledger_storage::snapshot::SnapshotImport;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// The right to open a chain, until it is dropped.
pub(super) struct Opening {
    opening: Arc<Mutex<BTreeSet<ChainId>>>,
    chain: ChainId,
}

impl Opening {
    pub(super) fn claim(opening: &Arc<Mutex<BTreeSet<ChainId>>>, chain: ChainId) -> Result<Self, HostError> {
        match lock(opening).insert(chain) {
            true => Ok(Opening { opening: Arc::clone(opening), chain }),
            false => Err(HostError::AlreadyOpen { chain }),
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        lock(&self.opening).remove(&self.chain);
    }
}

/// What the log said of a chain that is being opened, and the right to open it. Unless the chain runs in the end, it goes
/// back to what is known of closed chains, wherever it is dropped.
pub(super) struct Taken {
    pub(super) logged: LoggedChain,
    home: Arc<Mutex<BTreeMap<ChainId, LoggedChain>>>,
    runs: bool,
    opening: Arc<Opening>,
}

impl Taken {
    /// What the shard's log said of the chain, if it has anything of it.
    pub(super) fn from(shard: &Shard, opening: &Arc<Opening>) -> Option<Self> {
        let logged = lock(&shard.logged).remove(&opening.chain)?;
        Some(Self::new(shard, logged, opening))
    }

    /// A chain that the log has nothing of but what was just written.
    pub(super) fn new(shard: &Shard, logged: LoggedChain, opening: &Arc<Opening>) -> Self {
        Taken { logged, home: Arc::clone(&shard.logged), runs: false, opening: Arc::clone(opening) }
    }

    /// The chain runs: from now on it is the one who knows what the log has of it.
    pub(super) fn runs(mut self) {
        self.runs = true;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // Before the right to open it is given back with the fields.
        if !self.runs {
            lock(&self.home).insert(self.opening.chain, std::mem::take(&mut self.logged));
        }
    }
}

/// A chain that has been recovered and has its engine, and isn't running yet.
pub(super) struct Recovered {
    pub(super) genesis: Arc<Genesis>,
    pub(super) applier: Applier,
    pub(super) start: Start,
    pub(super) started: Started,
    /// Whether the host keeps the guard of its signer.
    pub(super) guarded: bool,
    /// The last to be dropped: nobody may open the chain while its views are in use.
    pub(super) taken: Taken,
}

/// What recovering a chain needs, to be sent to another thread.
pub(super) struct Recovery {
    pub(super) genesis: Arc<Genesis>,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) reader: LogReader,
    pub(super) archive: ArchiveReader,
    pub(super) guards: SharedGuards,
    pub(super) views: ChainConfig,
    pub(super) cache: Arc<ValueCache>,
    pub(super) factory: Box<dyn EngineFactory>,
    /// The last to be dropped, as in [`Recovered`].
    pub(super) taken: Taken,
}

impl Recovery {
    /// Reads the log and the views, replays what these lack, and makes the engine. Blocks. A panic of the builder's own
    /// parts concerns this chain alone.
    pub(super) fn run(self) -> Result<Recovered, HostError> {
        let chain = self.genesis.chain();
        let recovered = catch_unwind(AssertUnwindSafe(|| self.recover()));
        recovered.unwrap_or_else(|panic| Err(HostError::Panic { chain, message: panic_message(&*panic) }))
    }

    fn recover(self) -> Result<Recovered, HostError> {
        // What is bound first is dropped last.
        let Recovery { taken, genesis, engine, executor, reader, archive, guards, views, cache, factory } = self;
        let (chain, logged) = (genesis.chain(), &taken.logged);
        if let Some(error) = &logged.damage {
            return Err(HostError::Damaged { chain, error: Arc::clone(error) });
        }
        let finality = finality::of(&genesis)?;
        let store = ChainStore::open(Arc::clone(&engine), &genesis, views)?;
        let mut applier = Applier::new(&genesis, executor, store).value_cache(cache);
        applier.reader().attach(archive.clone());
        let archived = recovery::replay_archived(&mut applier, &*finality, &genesis, &archive, logged, &mut |_| ());
        archived.map_err(|error| unfinished(&*engine, error))?;
        let start = recovery::replay(&mut applier, &*finality, &genesis, &reader, logged, &mut |_| ())?;
        let records = logged.records(&reader)?;
        let guard = guards.of(chain.0).begun(applier.reader().base());
        let used = guard.usage();
        let (log, tip) = (Digest::new(*reader.id().as_bytes()), &start.checkpoint.header);
        let setup = Setup { genesis: &genesis, chain, log, tip, records, guard: Box::new(guard) };
        let started = factory.start(setup)?;
        // The chain goes on without the snapshot that was to be its beginning, if there was one.
        SnapshotImport::forget(&*engine, &chain)?;
        let guarded = used.load(Ordering::Relaxed);
        Ok(Recovered { genesis, applier, start, started, guarded, taken })
    }
}

/// Views that lack blocks which the log hasn't either may be those of a snapshot that is still to come.
fn unfinished(engine: &dyn Engine, error: RecoveryError) -> HostError {
    let RecoveryError::Cut { chain, cut: base, .. } = error else { return error.into() };
    match SnapshotImport::pending(engine, &chain) {
        Ok(Some(manifest)) => RecoveryError::Unfinished { chain, base, snapshot: manifest.height() }.into(),
        Ok(None) => error.into(),
        Err(error) => error.into(),
    }
}
