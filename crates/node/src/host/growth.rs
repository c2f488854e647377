//! Keeping a host small: blocks leave the log for the archive, and the log is cut behind them.
//!
//! ```text
//!   a step, once the log has grown beyond its bound
//!     1  heights that the views have applied; then the engine is synced, so that they hold
//!     2  fold the oldest segments; stop before the first block that isn't in synced views, or is undecided
//!     3  archive the folded blocks that their chains' policies keep; seal
//!     4  write the log's start, durable; remove the segments
//!     5  remove the results from the views; release in the archive what policies give up
//! ```
//! Each step may be cut off anywhere: what was sealed twice or not removed is met again by the next one. Nothing here is
//! waited for by a chain; the log removes one segment between two groups.

use super::HostError;
use crate::log_start::{LogStart, LogStartError};
use crate::recovery::{self, LoggedChain, RecoveryError, Source};
use crate::retention::{ChainPolicy, Kept};
use ledger_core::{ChainId, Height};
use ledger_storage::archive::{
    Archive, ArchiveConfig, ArchiveCounters, ArchiveError, ArchiveReader, ArchivedBlock, Entry,
};
use ledger_storage::chain::{ChainReader, StoreError};
use ledger_storage::disk::Disk;
use ledger_storage::engine::{Engine, EngineError};
use ledger_storage::log::{LogError, LogPosition, LogReader, LogSegment, LogWriter};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How a host is kept small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrowthConfig {
    /// The log is cut when it has grown by a segment beyond so many bytes (default 1 GiB), of each shard.
    pub log_bytes: u64,
    /// How many bytes of the log are taken up in one step, rounded up to whole segments (default 256 MiB).
    pub step_bytes: u64,
    /// How often the log's size is looked at (default 1 s).
    pub interval: Duration,
    /// The archive.
    pub archive: ArchiveConfig,
}

impl Default for GrowthConfig {
    fn default() -> Self {
        GrowthConfig {
            log_bytes: 1 << 30,
            step_bytes: 256 << 20,
            interval: Duration::from_secs(1),
            archive: ArchiveConfig::default(),
        }
    }
}

/// Why a log can't be cut. The host goes on without: its log grows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrowthError {
    /// The archive can't be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The views can't be made durable.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The log can't be read or cut.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log's start can't be written.
    #[error(transparent)]
    Start(#[from] LogStartError),
    /// A record of the log can't be understood.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The results can't be read from the views, or removed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was done to keep a host small since it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrowthReport {
    /// How often a log was cut.
    pub cuts: u64,
    /// Segments of logs removed.
    pub log_segments: u64,
    /// What the archives did.
    pub archive: ArchiveCounters,
    /// The last error, if one was met; the logs of that shard grow until the host is started again.
    pub error: Option<String>,
}

/// A chain as its past is kept.
#[derive(Clone)]
struct Grown {
    reader: ChainReader,
    policy: ChainPolicy,
    /// Bytes of its records that were cut off the log, told to its quota.
    cut: Arc<AtomicU64>,
}

/// A shard's archive, and the one who fills it.
pub(crate) struct Growth {
    disk: Arc<dyn Disk>,
    engine: Arc<dyn Engine>,
    /// Not held on to: the shard closes it.
    log: Weak<LogWriter>,
    reader: LogReader,
    archive: Mutex<Archive>,
    archived: ArchiveReader,
    start: Mutex<LogStart>,
    chains: Mutex<BTreeMap<ChainId, Grown>>,
    report: Mutex<GrowthReport>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Growth {
    pub(super) fn open(
        (disk, engine): (Arc<dyn Disk>, Arc<dyn Engine>),
        log: &Arc<LogWriter>,
        start: LogStart,
        config: ArchiveConfig,
    ) -> Result<Self, HostError> {
        let reader = log.reader();
        let archive = Archive::open(Arc::clone(&disk), reader.id(), config).map_err(GrowthError::from)?;
        Ok(Growth {
            disk,
            engine,
            log: Arc::downgrade(log),
            reader,
            archived: archive.reader(),
            archive: Mutex::new(archive),
            start: Mutex::new(start),
            chains: Mutex::default(),
            report: Mutex::default(),
        })
    }

    pub(super) fn archived(&self) -> &ArchiveReader {
        &self.archived
    }

    /// Takes in a chain that is opened.
    pub(super) fn add(&self, chain: ChainId, reader: ChainReader, policy: ChainPolicy, cut: Arc<AtomicU64>) {
        reader.set_kept(policy.retention.versions());
        lock(&self.chains).insert(chain, Grown { reader, policy, cut });
    }

    /// Whether the chain is one of these.
    pub(super) fn has(&self, chain: &ChainId) -> bool {
        lock(&self.chains).contains_key(chain)
    }

    pub(super) fn policy(&self, chain: &ChainId) -> Option<ChainPolicy> {
        lock(&self.chains).get(chain).map(|grown| grown.policy.clone())
    }

    /// Whether the chain is one of these; its policy is the given one from now on.
    pub(super) fn set_policy(&self, chain: &ChainId, policy: &ChainPolicy) -> bool {
        let mut chains = lock(&self.chains);
        let Some(grown) = chains.get_mut(chain) else { return false };
        grown.reader.set_kept(policy.retention.versions());
        grown.policy.clone_from(policy);
        true
    }

    pub(super) fn report(&self) -> GrowthReport {
        let archive = lock(&self.archive).counters();
        GrowthReport { archive, ..lock(&self.report).clone() }
    }

    /// What there is of a chain.
    pub(crate) fn kept(&self, chain: &ChainId, newest: Height) -> Kept {
        let grown = lock(&self.chains).get(chain).cloned();
        let base = grown.as_ref().map_or(Height::GENESIS, |grown| grown.reader.base());
        // Of the blocks up to a snapshot the views have no results.
        let begins = if base == Height::GENESIS { base } else { base.next() };
        let cut = lock(&self.start).chains.get(chain).map_or(Height::GENESIS, LoggedChain::base);
        let first = match self.archived.held(chain).filter(|held| held.last >= cut) {
            _ if cut == Height::GENESIS => Height::GENESIS,
            Some(held) if held.first.0 <= 1 => Height::GENESIS,
            Some(held) => held.first,
            None => cut.next(),
        };
        let first = first.max(begins);
        let keepers = grown.map(|grown| grown.policy.keepers).unwrap_or_default();
        Kept { first, newest, keepers }
    }

    /// The bytes of a block that isn't in the log any more; `None` when it was given up.
    pub(crate) fn block(&self, chain: ChainId, height: Height) -> Result<Option<ArchivedBlock>, ArchiveError> {
        match self.archived.block(chain, height) {
            Ok(found) => Ok(Some(found)),
            Err(ArchiveError::Absent { unreadable: 0, .. } | ArchiveError::Released { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One step, if the log has grown beyond its bound; whether it cut anything. Blocks.
    pub(super) fn step(&self, config: &GrowthConfig) -> Result<bool, GrowthError> {
        let Some(log) = self.log.upgrade() else { return Ok(false) };
        let segments = self.reader.segments();
        let first = segments.first().map_or(0, |segment| segment.start.segment);
        let mut until = wanted(&segments, config);
        if until <= first {
            return Ok(false);
        }
        let chains = lock(&self.chains).clone();
        let heads: BTreeMap<ChainId, Height> =
            chains.iter().map(|(id, grown)| (*id, grown.reader.head().header.height)).collect();
        self.engine.sync()?;
        let folded = loop {
            let (mut folded, damaged) = self.fold(until)?;
            let bound = settle(&mut folded, &chains, &heads)?.min(damaged);
            if bound >= until {
                break folded;
            }
            until = bound;
            if until <= first {
                return Ok(false);
            }
        };
        self.archive(&folded, &chains, &heads)?;
        let bytes: Vec<_> = folded.iter().map(|(id, logged)| (*id, logged.bytes)).collect();
        let records = segments.iter().find(|segment| segment.start.segment == until);
        let start = LogStart::fold(&self.reader, until, records.map_or(0, |segment| segment.records_before), folded)?;
        start.write(&*self.disk, &self.reader.id())?;
        // Before readers can miss what is removed.
        *lock(&self.start) = start.clone();
        log.remove_before(LogPosition { segment: until, ..LogPosition::START })?.wait()?;
        drop(log);
        for (id, bytes) in bytes {
            if let Some(grown) = chains.get(&id) {
                grown.cut.fetch_add(bytes, Ordering::Relaxed);
            }
        }
        self.prune(&start, &chains, &heads)?;
        start.remove_older(&*self.disk)?;
        let mut report = lock(&self.report);
        report.cuts += 1;
        report.log_segments += until - first;
        Ok(true)
    }

    /// What the log says up to `until`, and the segment of the first record that is damaged or makes no sense: what is left
    /// of that chain is not thrown away, so the log is cut no further.
    fn fold(&self, until: u64) -> Result<(BTreeMap<ChainId, LoggedChain>, u64), GrowthError> {
        let (mut chains, from) = {
            let start = lock(&self.start);
            (start.chains.clone(), start.position())
        };
        let mut read = from.segment;
        for item in self.reader.records_from(from)? {
            let (position, record) = match item {
                Ok(entry) => entry,
                // It stands in the segment read last, or in a later one.
                Err(LogError::DamagedRecord { .. }) => return Ok((chains, read)),
                Err(error) => return Err(error.into()),
            };
            if position.segment >= until {
                break;
            }
            read = position.segment;
            if recovery::note(&mut chains, position, record).is_err() {
                return Ok((chains, position.segment));
            }
        }
        Ok((chains, u64::MAX))
    }

    /// Archives what the chains' policies keep of the folded blocks.
    fn archive(
        &self,
        folded: &BTreeMap<ChainId, LoggedChain>,
        chains: &BTreeMap<ChainId, Grown>,
        heads: &BTreeMap<ChainId, Height>,
    ) -> Result<(), GrowthError> {
        let mut archive = lock(&self.archive);
        for (id, logged) in folded {
            let (Some(grown), Some(newest)) = (chains.get(id), heads.get(id)) else { continue };
            let floor = grown.policy.retention.floor(*newest, logged.height());
            let last = archive.last(id);
            for (place, height) in logged.blocks.iter().zip(logged.base().next().0..) {
                let height = Height(height);
                // Of what was before the snapshot that the views began with, they have no results.
                if height < floor || height <= grown.reader.base() || last.is_some_and(|last| height <= last) {
                    continue;
                }
                let block = self.reader.read(place.payload)?.bytes;
                let certificate = grown.reader.certificate(height)?;
                let results = grown.reader.packed_results(height)?;
                let certificate = &certificate;
                archive.append(&Entry { chain: *id, height, block: &block, certificate, results: &results })?;
            }
        }
        Ok(archive.seal()?)
    }

    /// Removes from views and archive what the archive has, or nobody needs.
    fn prune(
        &self,
        start: &LogStart,
        chains: &BTreeMap<ChainId, Grown>,
        heads: &BTreeMap<ChainId, Height>,
    ) -> Result<(), GrowthError> {
        for (id, logged) in &start.chains {
            let (Some(grown), Some(newest)) = (chains.get(id), heads.get(id)) else { continue };
            grown.reader.drop_results_through(logged.base())?;
            let floor = grown.policy.retention.floor(*newest, logged.base());
            if floor > self.archived.floor(id) {
                lock(&self.archive).release(*id, floor)?;
            }
        }
        Ok(())
    }
}

/// The first segment that stays when as many are removed as there are too many.
fn wanted(segments: &[LogSegment], config: &GrowthConfig) -> u64 {
    let mut left: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let (mut taken, mut until) = (0, 0);
    for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
        left -= segment.bytes;
        if left < config.log_bytes || taken >= config.step_bytes {
            break;
        }
        taken += segment.bytes;
        until = next.start.segment;
    }
    until
}

/// Counts blocks as final whose payload is folded and whose certificate isn't, where synced views have them: at any place
/// of a log some payload waits for its certificate. Returns the first segment that has to stay: that of a block which
/// isn't in synced views, or of an undecided one. A chain that isn't open keeps its blocks, since nobody knows how far its
/// views are, and the records that it will be opened with.
fn settle(
    folded: &mut BTreeMap<ChainId, LoggedChain>,
    chains: &BTreeMap<ChainId, Grown>,
    heads: &BTreeMap<ChainId, Height>,
) -> Result<u64, GrowthError> {
    let mut bound = u64::MAX;
    for (id, logged) in folded {
        let (Some(grown), Some(views)) = (chains.get(id), heads.get(id)) else {
            let sources = logged.records.iter().filter_map(|noted| match noted.source {
                Source::Log(position) => Some(position.segment),
                Source::Kept(_) => None,
            });
            let first = logged.blocks.first().map(|place| place.payload.segment);
            bound = bound.min(sources.chain(first).min().unwrap_or(u64::MAX));
            continue;
        };
        if let Some(unapplied) = logged.block(views.next()) {
            bound = bound.min(unapplied.payload.segment);
            continue;
        }
        // Behind blocks that end before the snapshot which the views began with, the log says further on where it goes on.
        while logged.height() < *views && logged.height().next() >= grown.reader.base() {
            let height = logged.height().next();
            let digest = grown.reader.header(height)?.digest();
            let waiting = logged.pending.iter().find(|(at, found, _)| *at == height && *found == digest);
            let Some(position) = waiting.map(|(_, _, position)| *position) else { break };
            logged.finalized(height, digest, position)?;
        }
        for (height, digest, position) in &logged.pending {
            if height > views || *height < grown.reader.base() || grown.reader.header(*height)?.digest() == *digest {
                bound = bound.min(position.segment);
            }
        }
    }
    Ok(bound)
}

/// The task that keeps all shards of a host small.
pub(super) struct Grower {
    task: JoinHandle<()>,
    /// Dropping it ends the task.
    stop: oneshot::Sender<()>,
}

impl Grower {
    pub(super) fn spawn(shards: Vec<Arc<Growth>>, config: GrowthConfig) -> Self {
        let (stop, stopped) = oneshot::channel();
        Grower { task: tokio::spawn(grow(shards, config, stopped)), stop }
    }

    /// Ends the task, after the step that it is in.
    pub(super) async fn end(self) {
        drop(self.stop);
        // It has no result, and a panic in it has been noted as the shard's error.
        let _ = self.task.await;
    }
}

async fn grow(mut shards: Vec<Arc<Growth>>, config: GrowthConfig, mut stopped: oneshot::Receiver<()>) {
    while !shards.is_empty() {
        tokio::select! {
            _ = &mut stopped => return,
            () = tokio::time::sleep(config.interval) => {}
        }
        let mut going = Vec::with_capacity(shards.len());
        for growth in shards {
            let (stepping, config) = (Arc::clone(&growth), config.clone());
            let done = tokio::task::spawn_blocking(move || stepping.step(&config)).await;
            let error = match done {
                Ok(Ok(_)) => {
                    going.push(growth);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            lock(&growth.report).error = Some(error);
        }
        shards = going;
    }
}
