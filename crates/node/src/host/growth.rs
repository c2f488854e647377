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
//!
//! [`Growth`] is a value without a thread or a clock: [`Growth::begin`] finds out what is to go, and each
//! [`Growth::go_on`] takes one of the steps, so that a simulator can let anything happen between two of them. In a running
//! host the [grower](super::grower) takes them one after another. Segments are removed by whoever owns the log.

use crate::core::FinalBlock;
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
use ledger_storage::log::{LogError, LogPosition, LogReader, LogSegment};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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

/// What a cut does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CutStage {
    /// Reads what the segments say that are to go, and how many of them may.
    Fold,
    /// Archives their blocks, and seals.
    Archive,
    /// Writes the log's start, durable.
    Start,
    /// Nothing of its own: now whoever owns the log removes the segments (see [`LogCut::removes`]).
    Remove,
    /// Removes results from the views, and releases what the policies give up.
    Prune,
    /// Removes the start files of earlier cuts.
    Tidy,
}

/// A cut of a log that is under way, between two of its steps. Dropped, it is met again by the next one.
pub struct LogCut {
    stage: CutStage,
    /// The log's first segment when the cut began, and the first one that stays.
    first: u64,
    until: u64,
    segments: Vec<LogSegment>,
    chains: BTreeMap<ChainId, Grown>,
    /// How far the chains' views are synced.
    heads: BTreeMap<ChainId, Height>,
    /// From [`CutStage::Archive`] on: what the segments say.
    folded: BTreeMap<ChainId, LoggedChain>,
    /// From [`CutStage::Remove`] on: what the log begins with, and how many bytes of each chain's records go.
    start: LogStart,
    bytes: Vec<(ChainId, u64)>,
}

impl LogCut {
    /// What it does next.
    #[must_use]
    pub fn stage(&self) -> CutStage {
        self.stage
    }

    /// Where the log is to begin, as far as is known by now.
    #[must_use]
    pub fn until(&self) -> LogPosition {
        LogPosition { segment: self.until, ..LogPosition::START }
    }

    /// At [`CutStage::Remove`], where the log is to begin: the segments before have to be gone, durably, before
    /// [`Growth::go_on`].
    #[must_use]
    pub fn removes(&self) -> Option<LogPosition> {
        (self.stage == CutStage::Remove).then(|| self.until())
    }

    fn at(self, stage: CutStage) -> Self {
        Self { stage, ..self }
    }
}

/// A shard's archive, and the one who fills it.
pub struct Growth {
    disk: Arc<dyn Disk>,
    engine: Arc<dyn Engine>,
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
    /// Opens the archive beside a log that begins with `start`.
    ///
    /// # Errors
    /// [`GrowthError::Archive`].
    pub fn open(
        (disk, engine): (Arc<dyn Disk>, Arc<dyn Engine>),
        reader: LogReader,
        start: LogStart,
        config: ArchiveConfig,
    ) -> Result<Self, GrowthError> {
        let archive = Archive::open(Arc::clone(&disk), reader.id(), config)?;
        Ok(Growth {
            disk,
            engine,
            reader,
            archived: archive.reader(),
            archive: Mutex::new(archive),
            start: Mutex::new(start),
            chains: Mutex::default(),
            report: Mutex::default(),
        })
    }

    /// Reads what is archived.
    pub fn archived(&self) -> &ArchiveReader {
        &self.archived
    }

    /// Takes in a chain that is opened; `cut` is told how many bytes of its records are cut off.
    pub fn add(&self, chain: ChainId, reader: ChainReader, policy: ChainPolicy, cut: Arc<AtomicU64>) {
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

    /// What was done so far.
    pub fn report(&self) -> GrowthReport {
        let archive = lock(&self.archive).counters();
        GrowthReport { archive, ..lock(&self.report).clone() }
    }

    /// No step is taken any more, and that is why.
    pub(super) fn failed(&self, error: String) {
        lock(&self.report).error = Some(error);
    }

    /// What there is of a chain.
    pub fn kept(&self, chain: &ChainId, newest: Height) -> Kept {
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
    ///
    /// # Errors
    /// [`ArchiveError`] when the archive can't be read.
    pub fn block(&self, chain: ChainId, height: Height) -> Result<Option<ArchivedBlock>, ArchiveError> {
        match self.archived.block(chain, height) {
            Ok(found) => Ok(Some(found)),
            Err(ArchiveError::Absent { unreadable: 0, .. } | ArchiveError::Released { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A finalized block and its certificate, from the log or the archive, if this node has executed as far and keeps it.
    pub fn final_block(&self, chain: ChainId, reader: &ChainReader, height: Height) -> Option<FinalBlock> {
        let position = reader.position(height).ok()??;
        let certificate = reader.certificate(height).ok()?.into_vec().into();
        let payload = match self.reader.read(position) {
            Ok(record) => record.bytes,
            Err(LogError::Removed { .. }) => self.block(chain, height).ok()??.block,
            Err(_) => return None,
        };
        Some(FinalBlock { payload: payload.into(), certificate })
    }

    /// Begins a cut, if the log has grown beyond its bound: the views that there are now hold from here on. Blocks.
    ///
    /// # Errors
    /// [`GrowthError::Engine`] when they can't be made durable.
    pub fn begin(&self, config: &GrowthConfig) -> Result<Option<LogCut>, GrowthError> {
        let segments = self.reader.segments();
        let first = segments.first().map_or(0, |segment| segment.start.segment);
        let until = wanted(&segments, config);
        if until <= first {
            return Ok(None);
        }
        // What an earlier cut folded and didn't remove goes now: folded again, its records would count twice.
        let until = until.max(lock(&self.start).segment);
        let chains = lock(&self.chains).clone();
        let heads = chains.iter().map(|(id, grown)| (*id, grown.reader.head().header.height)).collect();
        self.engine.sync()?;
        let (folded, start, bytes) = (BTreeMap::new(), LogStart::default(), Vec::new());
        Ok(Some(LogCut { stage: CutStage::Fold, first, until, segments, chains, heads, folded, start, bytes }))
    }

    /// Takes a cut's next step, and gives it back where there is another one. Blocks.
    ///
    /// # Errors
    /// [`GrowthError`]; a host takes no further steps then until it is started again.
    pub fn go_on(&self, cut: LogCut) -> Result<Option<LogCut>, GrowthError> {
        Ok(match cut.stage {
            CutStage::Fold => self.fold_and_settle(cut)?,
            CutStage::Archive => {
                self.archive(&cut.folded, &cut.chains, &cut.heads)?;
                Some(cut.at(CutStage::Start))
            }
            CutStage::Start => Some(self.write_start(cut)?),
            CutStage::Remove => {
                for (id, bytes) in &cut.bytes {
                    if let Some(grown) = cut.chains.get(id) {
                        grown.cut.fetch_add(*bytes, Ordering::Relaxed);
                    }
                }
                Some(cut.at(CutStage::Prune))
            }
            CutStage::Prune => {
                self.prune(&cut.start, &cut.chains, &cut.heads)?;
                Some(cut.at(CutStage::Tidy))
            }
            CutStage::Tidy => {
                cut.start.remove_older(&*self.disk)?;
                let mut report = lock(&self.report);
                report.cuts += 1;
                report.log_segments += cut.until - cut.first;
                None
            }
        })
    }

    /// Folds as many segments as may go; none where there is none.
    fn fold_and_settle(&self, mut cut: LogCut) -> Result<Option<LogCut>, GrowthError> {
        loop {
            let (mut folded, damaged) = self.fold(cut.until)?;
            let bound = settle(&mut folded, &cut.chains, &cut.heads)?.min(damaged);
            if bound >= cut.until {
                return Ok(Some(LogCut { folded, ..cut.at(CutStage::Archive) }));
            }
            cut.until = bound;
            if bound <= cut.first {
                return Ok(None);
            }
        }
    }

    fn write_start(&self, mut cut: LogCut) -> Result<LogCut, GrowthError> {
        let records = cut.segments.iter().find(|segment| segment.start.segment == cut.until);
        let records = records.map_or(0, |segment| segment.records_before);
        cut.bytes = cut.folded.iter().map(|(id, logged)| (*id, logged.bytes)).collect();
        cut.start = LogStart::fold(&self.reader, cut.until, records, std::mem::take(&mut cut.folded))?;
        cut.start.write(&*self.disk, &self.reader.id())?;
        // Before readers can miss what is removed.
        *lock(&self.start) = cut.start.clone();
        Ok(cut.at(CutStage::Remove))
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
