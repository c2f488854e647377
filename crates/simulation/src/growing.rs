//! Cutting logs in a simulated world: what a seed chooses of it, views of which is known what a loss of power leaves, the
//! steps of a cut one by one, and a memory of all that a log ever said.

use crate::planted::PlantedBug;
use crate::random::Random;
use crate::settings::pick;
use ledger_core::Height;
use ledger_core::codec::List;
use ledger_crypto::{MemorySigner, Signer};
use ledger_node::log_start::LogStart;
use ledger_node::{ChainPolicy, CutStage, Growth, GrowthConfig, GrowthError, Keepers, LogCut, Retention};
use ledger_storage::archive::ArchiveConfig;
use ledger_storage::chain::ChainConfig;
use ledger_storage::disk::SimulatedDisk;
use ledger_storage::engine::{Address, Batch, Engine, EngineError, MemoryConfig, MemoryEngine, Snapshot, Space};
use ledger_storage::log::{Log, LogError, LogPosition, LogReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a seed chooses of how logs are cut.
#[derive(Clone, Debug)]
pub(crate) struct GrowthSettings {
    /// How the views are kept. Old versions of the state aren't forgotten: passes of pruning have threads of their own.
    pub(crate) views: ChainConfig,
    archive: ArchiveConfig,
    log_bytes: &'static [u64],
    /// Between two looks at the log's size, in µs.
    pub(crate) interval: u64,
    /// The longest pause between two steps of a cut, in µs.
    pub(crate) pause: u64,
}

impl GrowthSettings {
    pub(crate) fn draw(random: &mut Random, log_bytes: &'static [u64]) -> Self {
        let mut views = ChainConfig::default();
        views.state.window_blocks = pick(random, &[4, 16, 256]);
        views.state.threads = 1;
        let mut archive = ArchiveConfig::default();
        archive.segment_bytes = pick(random, &[2 << 10, 8 << 10, 64 << 20]);
        archive.chunk_bytes = usize::try_from(pick(random, &[512, 4 << 10, 128 << 10])).unwrap_or(512);
        let interval = pick(random, &[2_000, 10_000, 50_000]);
        let pause = pick(random, &[10, 400, 6_000]);
        GrowthSettings { views, archive, log_bytes, interval, pause }
    }

    /// How a log is cut in one life: operators change it from one to the next.
    fn config(&self, random: &mut Random) -> GrowthConfig {
        GrowthConfig {
            log_bytes: pick(random, self.log_bytes),
            step_bytes: pick(random, &[1, 6 << 10, 1 << 20]),
            archive: self.archive.clone(),
            ..GrowthConfig::default()
        }
    }
}

/// A policy of chance. Fewer heights are kept than a host would be allowed to say, so that short runs give something up.
pub(crate) fn policy(random: &mut Random) -> ChainPolicy {
    let keeper = MemorySigner::from_seed([9; 32]).public_key();
    let keepers = Keepers::Members(List::from(vec![keeper]));
    match random.below(3) {
        0 => ChainPolicy::archive(),
        1 => ChainPolicy { retention: Retention::Last(random.within(3..=25)), keepers },
        _ => ChainPolicy { retention: Retention::StateOnly, keepers },
    }
}

/// The lowest height that `retention` promises to keep at `newest`, whatever was cut; none for [`Retention::StateOnly`].
pub(crate) fn promised(retention: Retention, newest: Height) -> Option<Height> {
    match retention {
        Retention::Archive => Some(Height(1)),
        Retention::Last(heights) => Some(Height((newest.0 + 1).saturating_sub(heights).max(1))),
        Retention::StateOnly => None,
    }
}

/// Views of which is known which batches a loss of power leaves.
#[derive(Clone)]
pub(crate) struct Views {
    engine: MemoryEngine,
    synced: Arc<AtomicU64>,
    /// Whether syncs are taken for done that weren't: a planted bug.
    forgetful: bool,
}

impl Views {
    pub(crate) fn new(forgetful: bool) -> Self {
        let engine = MemoryEngine::new(MemoryConfig { kept_batches: u64::MAX });
        Views { engine, synced: Arc::default(), forgetful }
    }

    pub(crate) fn batches(&self) -> u64 {
        self.engine.batches()
    }

    /// How many batches are synced: a loss of power leaves these, and any number of later ones.
    pub(crate) fn synced(&self) -> u64 {
        self.synced.load(Ordering::Relaxed)
    }

    /// The views as they were after `batch` batches.
    pub(crate) fn rewind(&self, batch: u64) -> Result<Self, EngineError> {
        let engine = self.engine.rewind(batch)?;
        Ok(Views { engine, synced: Arc::new(self.synced().min(batch).into()), forgetful: self.forgetful })
    }
}

impl Engine for Views {
    fn snapshot(&self) -> Box<dyn Snapshot> {
        self.engine.snapshot()
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        self.engine.apply(batch)
    }

    fn append(&self, space: Space, bytes: &[u8]) -> Result<Address, EngineError> {
        self.engine.append(space, bytes)
    }

    fn largest_blob(&self) -> u64 {
        self.engine.largest_blob()
    }

    fn read_bulk(&self, address: Address, buffer: &mut [u8]) -> Result<usize, EngineError> {
        self.engine.read_bulk(address, buffer)
    }

    fn release(&self, space: Space, below: Address) -> Result<u64, EngineError> {
        self.engine.release(space, below)
    }

    fn sync(&self) -> Result<(), EngineError> {
        if !self.forgetful {
            self.engine.sync()?;
            self.synced.store(self.engine.batches(), Ordering::Relaxed);
        }
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64, EngineError> {
        self.engine.disk_bytes()
    }
}

/// How a log is cut in one life.
pub(crate) struct Growing {
    pub(crate) growth: Arc<Growth>,
    config: GrowthConfig,
    under_way: Option<LogCut>,
    /// The step at which the cut stands, or in which it is.
    pub(crate) stage: Option<CutStage>,
    /// Whether it is within a step.
    pub(crate) working: bool,
    /// A step failed: none is taken until the host is started again.
    pub(crate) failed: bool,
}

/// What came of a step.
pub(crate) enum Stepped {
    /// There is nothing to cut.
    Idle,
    /// A cut has begun.
    Begun,
    /// A cut goes on.
    Going,
    /// A cut has come to its end.
    Over,
}

impl Growing {
    pub(crate) fn open(
        disk: &SimulatedDisk,
        engine: Arc<dyn Engine>,
        reader: LogReader,
        start: LogStart,
        (settings, random): (&GrowthSettings, &mut Random),
    ) -> Result<Self, GrowthError> {
        let config = settings.config(random);
        let growth = Growth::open((Arc::new(disk.clone()), engine), reader, start, config.archive.clone())?;
        let (under_way, stage, working, failed) = (None, None, false, false);
        Ok(Growing { growth: Arc::new(growth), config, under_way, stage, working, failed })
    }

    /// Takes the next step of a cut, or begins one.
    pub(crate) fn step(&mut self, log: &mut Log, planted: Option<PlantedBug>) -> Result<Stepped, GrowthError> {
        self.working = true;
        let stepped = self.step_with(log, planted);
        match &stepped {
            Ok(_) => self.working = false,
            Err(_) => self.failed = true,
        }
        stepped
    }

    fn step_with(&mut self, log: &mut Log, planted: Option<PlantedBug>) -> Result<Stepped, GrowthError> {
        let Some(cut) = self.under_way.take() else {
            self.under_way = self.growth.begin(&self.config)?;
            self.stage = self.under_way.as_ref().map(LogCut::stage);
            return Ok(if self.under_way.is_some() { Stepped::Begun } else { Stepped::Idle });
        };
        // As a log's thread does it: one segment between two groups.
        if let Some(position) = cut.removes()
            && remove_one(log, position)?
        {
            self.under_way = Some(cut);
            return Ok(Stepped::Going);
        }
        if planted == Some(PlantedBug::RemovesBeforeStart) && cut.stage() == CutStage::Start {
            log.remove_before(cut.until())?;
        }
        let last = cut.stage() == CutStage::Tidy;
        self.under_way = self.growth.go_on(cut)?;
        self.stage = self.under_way.as_ref().map(LogCut::stage);
        Ok(match &self.under_way {
            Some(_) => Stepped::Going,
            None if last => Stepped::Over,
            None => Stepped::Idle,
        })
    }
}

/// Removes the first segment if it is before `position`'s.
fn remove_one(log: &mut Log, position: LogPosition) -> Result<bool, LogError> {
    let first = log.reader().first_segment();
    if first >= position.segment {
        return Ok(false);
    }
    Ok(log.remove_before(LogPosition { segment: first + 1, ..LogPosition::START })? > 0)
}
