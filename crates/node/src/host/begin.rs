//! Beginning a chain from a snapshot instead of from its genesis.
//!
//! ```text
//!   manifest, verified ─▶ Begin::open ── chunks, any order, each verified ──▶ complete
//!                             │                                                 1  log: genesis, base record, closing block: one group, durable
//!                 what there is from before goes on                             2  views: what was put together counts, durable
//!                                                                               3  the ordinary recovery, from the base on
//! ```
//! The log is the truth: it says first that the chain begins behind block *h*, and then the views may count. A crash between
//! the two leaves a log that begins at *h* and views that don't: opening the chain says so
//! ([`RecoveryError::Unfinished`](crate::recovery::RecoveryError::Unfinished)), and beginning again finds the chunks where
//! they were. A crash before the first leaves a log that knows nothing of it.
//!
//! Where the log has the snapshot's block already, since only the views were lost, no base record is needed: the views
//! begin at *h*, and the log's blocks behind it are replayed.
//!
//! The checkpoint that proves a snapshot is often the very next block, and empty: the one that closes a chain at rest. Its
//! header is then the whole block, and it goes into the log with the base record, so that the chain can prove its state at
//! once and nobody orders another block in its place.

use super::shard::Shard;
use super::{BUSY_FOR, Host, HostError, lock};
use crate::chain::Chain;
use crate::recovery::{self, BlockId, GENESIS_RECORD, LoggedChain};
use ledger_consensus::{EngineFactory, Record, RecordKind};
use ledger_core::codec::{self, List};
use ledger_core::{Block, ChainId, Genesis, Height, TrustRoot, VerifiedSnapshot};
use ledger_network::Observers;
use ledger_storage::archive::ArchiveReader;
use ledger_storage::chain::{ChainConfig, ChainStore};
use ledger_storage::disk::{DiskError, RealDisk};
use ledger_storage::engine::Engine;
use ledger_storage::log::{self, LogError, LogReader, LogWriter};
use ledger_storage::snapshot::{SnapshotImport, SnapshotStoreError, add_from_folder, read_manifest};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The parts of a shard that a chain is begun on, to be sent to another thread.
#[derive(Clone)]
pub(crate) struct Ground {
    engine: Arc<dyn Engine>,
    log: Arc<LogWriter>,
    reader: LogReader,
    archive: ArchiveReader,
    logged: Arc<Mutex<BTreeMap<ChainId, LoggedChain>>>,
}

impl Ground {
    pub(super) fn of(shard: &Shard) -> Self {
        Ground {
            engine: Arc::clone(&shard.engine),
            log: Arc::clone(&shard.log),
            reader: shard.reader.clone(),
            archive: shard.growth.archived().clone(),
            logged: Arc::clone(&shard.logged),
        }
    }

    /// Whether nothing of the chain is here to go on from: neither blocks nor views, or the log begins behind what the
    /// views have, or a snapshot that it was begun with isn't complete.
    ///
    /// # Errors
    /// [`HostError::Store`] and [`HostError::Snapshot`] when the views can't be read.
    pub(crate) fn needs_a_beginning(&self, chain: &ChainId) -> Result<bool, HostError> {
        let (base, height) = {
            let logged = lock(&self.logged);
            let logged = logged.get(chain).filter(|logged| logged.damage.is_none());
            logged.map_or((Height::GENESIS, Height::GENESIS), |logged| (logged.base(), logged.height()))
        };
        if height == Height::GENESIS || Begin::pending(self, chain)?.is_some() {
            return Ok(true);
        }
        let views = ChainStore::height_of(&*self.engine, chain)?.unwrap_or(Height::GENESIS);
        Ok(views < base && !recovery::is_archived(&self.archive, chain, views, base))
    }

    /// Refuses a snapshot that doesn't fit what the log has of the chain.
    fn check(&self, chain: ChainId, snapshot: &VerifiedSnapshot) -> Result<(), HostError> {
        let logged = lock(&self.logged);
        let Some(logged) = logged.get(&chain) else { return Ok(()) };
        if let Some(error) = &logged.damage {
            return Err(HostError::Damaged { chain, error: Arc::clone(error) });
        }
        let (height, base) = (snapshot.height(), logged.base());
        if height < base && !recovery::is_archived(&self.archive, &chain, height, base) {
            return Err(HostError::SnapshotBelow { chain, height, base });
        }
        let own = match logged.block(height) {
            Some(place) => Some(recovery::read_block(&self.reader, place)?.0.header.digest()),
            None => logged.cut.filter(|cut| cut.height == height).map(|cut| cut.digest),
        };
        match own.filter(|own| *own != snapshot.header().digest()) {
            Some(logged) => Err(HostError::SnapshotDiffers { chain, height, logged }),
            None => Ok(()),
        }
    }

    /// Makes durable what the log has to say before the snapshot's views count.
    fn write(&self, genesis: &Genesis, snapshot: &VerifiedSnapshot) -> Result<(), HostError> {
        let records = beginning_records(genesis, snapshot, lock(&self.logged).get(&genesis.chain()));
        if records.is_empty() {
            return Ok(());
        }
        // The snapshot is whole: a log that is busy for a moment is no reason to begin anew.
        let ticket = loop {
            match self.log.submit(records.clone()) {
                Err(LogError::Busy { .. }) => std::thread::sleep(BUSY_FOR),
                done => break done?,
            }
        };
        let positions = ticket.wait()?;
        let mut logged = lock(&self.logged);
        for (position, record) in positions.iter().zip(records) {
            recovery::note(&mut logged, *position, record)?;
        }
        Ok(())
    }
}

/// What a log that has `logged` of the chain has to say, durable, before the snapshot's views count: nothing, where it has
/// the snapshot's block.
pub fn beginning_records(
    genesis: &Genesis,
    snapshot: &VerifiedSnapshot,
    logged: Option<&LoggedChain>,
) -> Vec<log::Record> {
    let (chain, mut records) = (genesis.chain(), Vec::new());
    if logged.is_none_or(|logged| logged.genesis.is_none()) {
        let bytes = codec::encode(genesis);
        records.push(log::Record { chain: chain.0, kind: GENESIS_RECORD, height: 0, bytes });
    }
    if snapshot.height() > logged.map_or(Height::GENESIS, LoggedChain::height) {
        let base = BlockId { height: snapshot.height(), digest: snapshot.header().digest() };
        records.push(recovery::base_record(chain, &base));
        records.extend(closing(genesis, snapshot).iter().map(|record| recovery::to_log(chain, record)));
    }
    records
}

/// The records of the block that the snapshot's checkpoint is the header of, if it is the next one and empty.
fn closing(genesis: &Genesis, snapshot: &VerifiedSnapshot) -> Vec<Record> {
    let checkpoint = &snapshot.manifest().checkpoint.checkpoint;
    let block = Block { header: checkpoint.header.clone(), transactions: List::new() };
    if block.check_against(snapshot.header(), &genesis.rules).is_err() {
        return Vec::new();
    }
    let (height, digest) = (block.header.height, block.digest());
    let record = |kind, bytes: Arc<[u8]>| Record { kind, height, block: digest, bytes };
    vec![
        record(RecordKind::Payload, codec::encode(&block).into()),
        record(RecordKind::Certificate, checkpoint.certificate.to_vec().into()),
    ]
}

/// A chain that is being begun. Dropping it loses nothing that was added. Everything here blocks.
pub(crate) struct Begin {
    ground: Ground,
    genesis: Genesis,
    import: SnapshotImport,
}

impl Begin {
    /// The snapshot that was begun with on `ground` and isn't complete, if there is one: to be verified anew.
    ///
    /// # Errors
    /// [`HostError::Snapshot`] when it can't be read.
    pub(crate) fn pending(
        ground: &Ground,
        chain: &ChainId,
    ) -> Result<Option<ledger_core::SnapshotManifest>, HostError> {
        Ok(SnapshotImport::pending(&*ground.engine, chain)?)
    }

    /// Begins the chain of `genesis` with `snapshot`, or goes on with what there is of it. Whoever calls has claimed the
    /// chain.
    ///
    /// # Errors
    /// [`HostError::SnapshotBelow`] and [`HostError::SnapshotDiffers`] when it doesn't fit the log, [`HostError::Snapshot`]
    /// when it is another chain's, or the chain has views; others when log or engine fail.
    pub(crate) fn open(
        ground: Ground,
        genesis: &Genesis,
        snapshot: VerifiedSnapshot,
        views: ChainConfig,
    ) -> Result<Self, HostError> {
        ground.check(genesis.chain(), &snapshot)?;
        let import = SnapshotImport::open(Arc::clone(&ground.engine), genesis, snapshot, views)?;
        Ok(Begin { ground, genesis: genesis.clone(), import })
    }

    /// The snapshot.
    pub(crate) fn snapshot(&self) -> &VerifiedSnapshot {
        self.import.snapshot()
    }

    /// The chunks that aren't there yet, in order.
    pub(crate) fn missing(&self) -> impl Iterator<Item = usize> + '_ {
        self.import.missing()
    }

    /// Verifies and adds chunk `index`.
    ///
    /// # Errors
    /// [`HostError::Snapshot`]; where the bytes aren't the chunk, nothing has changed.
    pub(crate) fn add(&mut self, index: usize, bytes: &[u8]) -> Result<(), HostError> {
        Ok(self.import.add(index, bytes)?)
    }

    /// Says in the log that the chain begins here, and then makes the views count. The chain can be opened afterwards as
    /// any other that the log holds.
    ///
    /// # Errors
    /// [`HostError::Snapshot`] when chunks are missing; others when log or engine fail. It may be begun again then.
    pub(crate) fn complete(self) -> Result<(), HostError> {
        let missing = self.missing().count();
        if let Some(first) = self.missing().next() {
            return Err(SnapshotStoreError::Incomplete { missing, first }.into());
        }
        self.ground.write(&self.genesis, self.import.snapshot())?;
        self.import.finish()?;
        Ok(())
    }
}

/// Begins the chain with the snapshot that a folder holds. Blocks.
fn from_folder(ground: Ground, genesis: &Genesis, views: ChainConfig, folder: &Path) -> Result<(), HostError> {
    let failed = |error: SnapshotStoreError| HostError::SnapshotFolder { folder: folder.to_path_buf(), error };
    if !folder.is_dir() {
        return Err(failed(DiskError::NotFound { path: folder.to_path_buf() }.into()));
    }
    let disk = RealDisk::open(folder).map_err(|error| failed(error.into()))?;
    let snapshot = read_manifest(&disk, &TrustRoot::new(genesis.clone())).map_err(failed)?;
    let mut begin = Begin::open(ground, genesis, snapshot, views)?;
    add_from_folder(&disk, &mut begin.import).map_err(failed)?;
    begin.complete()
}

impl Host {
    /// Begins a chain with the snapshot in `folder` (see [`ledger_storage::snapshot`]) and opens it. Every file is verified
    /// against the genesis before anything counts; what was imported before an error or a crash is kept for the next time.
    /// Of blocks before the snapshot nothing is here afterwards.
    ///
    /// A validator whose votes are lost with its data folder must not go on with its key: see the guards in
    /// `docs/architecture.md`. With [`Observer`](ledger_consensus::Observer) the chain is only followed.
    ///
    /// # Errors
    /// [`HostError::SnapshotFolder`] names the file that is missing, damaged, or another chain's;
    /// [`HostError::Snapshot`] when the chain has views with blocks already; [`HostError::SnapshotBelow`] and
    /// [`HostError::SnapshotDiffers`] when the snapshot doesn't fit the log; else as [`Host::chain`].
    pub async fn chain_from_folder(
        &self,
        genesis: Genesis,
        engine: impl EngineFactory + 'static,
        observers: Observers,
        folder: impl AsRef<Path>,
    ) -> Result<Chain, HostError> {
        genesis.check()?;
        let id = genesis.chain();
        let opening = Arc::new(self.claim(id)?);
        let (_, shard) = self.shard(&id)?;
        let (ground, views) = (Ground::of(shard), self.limits.views);
        let (own, folder) = (genesis.clone(), folder.as_ref().to_path_buf());
        // The thread goes on where this future is dropped, and keeps others from the chain's views until it is done.
        let claim = Arc::clone(&opening);
        let begun = move || {
            let _claim = claim;
            from_folder(ground, &own, views, &folder)
        };
        super::blocking("snapshot", begun).await??;
        self.open(genesis, Box::new(engine), observers, opening).await
    }
}

impl std::fmt::Debug for Begin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Begin").field("import", &self.import).finish_non_exhaustive()
    }
}
