//! A host's shard: a log, the vote guards beside it, an engine, and the chains that are kept there.
//!
//! # Folder
//! ```text
//!   data/log-…           shard 0: the log
//!        guards-log-…             the vote guards of its chains
//!        views/                   the views of its chains
//!        shards                   how many shards there are, if more than one
//!        shard-1/log-…   shard 1, likewise in a folder of its own
//! ```
//! A chain is where its records are: its shard is looked up when the logs are read, and only a new chain is placed by its
//! id. So a folder can be opened with more shards than before (chains stay where they are), but not with fewer.

use super::HostError;
use super::growth::Growth;
use crate::chain::durable::Keeper;
use crate::guard::SharedGuards;
use crate::log_start::LogStart;
use crate::recovery::{self, BASE_RECORD, LoggedChain, RecoveryError};
use ledger_core::ChainId;
use ledger_storage::archive::ArchiveConfig;
use ledger_storage::disk::{Disk, DiskError, RealDisk};
use ledger_storage::engine::{Engine, EngineError, FjallConfig, FjallEngine};
use ledger_storage::log::{Log, LogConfig, LogEnd, LogError, LogId, LogReader, LogWriter};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The name of the views' folder in a shard's folder.
const VIEWS: &str = "views";

/// The file that says how many shards there are.
const COUNT: &str = "shards";

/// What comes before the number in that file.
const COUNT_HEADER: &str = "ledgerkit shards 0\n";

/// The most shards of a host.
pub(super) const MAX_SHARDS: usize = 64;

/// Where a shard keeps its things.
pub(super) struct Place {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) engine: Arc<dyn Engine>,
    /// Why the views were thrown away, if they were.
    pub(super) rebuilt: Option<EngineError>,
    /// Whether there has to be a log.
    pub(super) exists: bool,
}

/// See the [module](self).
pub(super) struct Shard {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) log: Arc<LogWriter>,
    pub(super) reader: LogReader,
    pub(super) guards: SharedGuards,
    pub(super) keeper: Keeper,
    /// What the log said of chains that aren't open yet.
    pub(super) logged: Arc<Mutex<BTreeMap<ChainId, LoggedChain>>>,
    pub(super) rebuilt: Option<EngineError>,
    pub(super) growth: Arc<Growth>,
}

fn random_id() -> Result<LogId, HostError> {
    let mut id = [0; 32];
    getrandom::fill(&mut id).map_err(|error| HostError::Random { reason: error.to_string() })?;
    Ok(LogId::new(id))
}

impl Shard {
    /// Opens log and guards, and reads the log through, once for all chains.
    pub(super) fn open(place: Place, config: LogConfig, archive: ArchiveConfig) -> Result<Self, HostError> {
        let Place { disk, engine, rebuilt, .. } = place;
        if !Log::exists(&*disk)? {
            LogStart::none_of_another_log(&*disk).map_err(RecoveryError::from)?;
        }
        let log = Log::open_or_create(Arc::clone(&disk), random_id()?, config)?;
        let start = LogStart::open(&*disk, &log.reader()).map_err(RecoveryError::from)?;
        let logged = recovery::index_each(&log.reader(), &start)?;
        let guards = SharedGuards::open(Arc::clone(&disk), random_id()?)?;
        let reader = log.reader();
        let log = Arc::new(LogWriter::spawn(log, LogWriter::SEAL_AFTER)?);
        let growth = Arc::new(Growth::open((disk, Arc::clone(&engine)), reader.clone(), start, archive)?);
        let keeper = Keeper::spawn(guards.clone())
            .map_err(|error| HostError::Thread { task: "the vote guards", reason: error.to_string() })?;
        Ok(Shard { engine, log, reader, guards, keeper, logged: Arc::new(Mutex::new(logged)), rebuilt, growth })
    }

    /// Closes the shard once its chains have ended; blocks until then.
    pub(super) fn close(self) -> Result<LogEnd, HostError> {
        self.keeper.join();
        match Arc::try_unwrap(self.log) {
            Ok(log) => Ok(log.close()?),
            Err(log) => Ok(log.reader().end()),
        }
    }
}

/// Opens the views; what is damaged or of another format is removed and made anew, since the log has everything. If the log was
/// cut, or a chain of it began from a snapshot, it hasn't, and they are set aside. Views that somebody else has open, or
/// that the system refuses at the moment, stay where they are.
pub(super) fn open_views(shard: &Path, disk: &Arc<dyn Disk>) -> Result<(FjallEngine, Option<EngineError>), HostError> {
    let folder = shard.join(VIEWS);
    let damage = match FjallEngine::open(&folder, FjallConfig::default()) {
        Ok(engine) => return Ok((engine, None)),
        Err(error) if error.wants_rebuild() => error,
        Err(error) => return Err(error.into()),
    };
    let away = match LogStart::file_in(shard) {
        Ok(cut) if cut || has_base(disk) => set_aside(shard, &folder),
        Ok(_) => std::fs::remove_dir_all(&folder),
        Err(error) => Err(error),
    };
    away.map_err(|source| HostError::Views { folder: folder.clone(), reason: source.to_string() })?;
    Ok((FjallEngine::open(folder, FjallConfig::default())?, Some(damage)))
}

/// Whether the log says that a chain began from a snapshot. One that can't be read may say so.
fn has_base(disk: &Arc<dyn Disk>) -> bool {
    let search = || -> Result<bool, LogError> {
        if !Log::exists(&**disk)? {
            return Ok(false);
        }
        let log = Log::open(Arc::clone(disk), LogConfig::default())?;
        for item in log.reader().records() {
            if item?.1.kind == BASE_RECORD {
                return Ok(true);
            }
        }
        Ok(false)
    };
    search().unwrap_or(true)
}

/// Gives the views' folder a name that no other has.
fn set_aside(shard: &Path, folder: &Path) -> std::io::Result<()> {
    let mut names = (1..u32::MAX).map(|number| shard.join(format!("{VIEWS}-damaged-{number}")));
    let name = names.find(|name| !name.exists()).unwrap_or_else(|| shard.join("views-damaged"));
    std::fs::rename(folder, name)
}

/// Opens the shards after the first, which is `root`'s own, and checks that those that were there before are there.
pub(super) fn open_more(root: &Path, disk: &dyn Disk, wanted: usize) -> Result<Vec<Place>, HostError> {
    let recorded = recorded(root, disk)?;
    // The file may be missing where a folder was put together by hand: a chain that isn't found would be begun anew, and in
    // another shard no guard knows that its key has signed.
    let there = present(root)?.max(recorded);
    if there > wanted {
        return Err(HostError::Shards { recorded: there, given: wanted });
    }
    if recorded > 1 && !Log::exists(disk)? {
        return Err(HostError::ShardMissing { shard: 0, folder: root.to_path_buf() });
    }
    (1..wanted)
        .map(|shard| {
            let folder = root.join(format!("shard-{shard}"));
            let exists = shard < recorded;
            if exists && !folder.is_dir() {
                return Err(HostError::ShardMissing { shard, folder });
            }
            let disk = RealDisk::open(&folder)?;
            if exists && !Log::exists(&disk)? {
                return Err(HostError::ShardMissing { shard, folder });
            }
            let disk: Arc<dyn Disk> = Arc::new(disk);
            let (engine, rebuilt) = open_views(&folder, &disk)?;
            Ok(Place { disk, engine: Arc::new(engine), rebuilt, exists })
        })
        .collect()
}

/// How many shards it takes to have all those that have a log.
fn present(root: &Path) -> Result<usize, HostError> {
    for shard in (1..MAX_SHARDS).rev() {
        let folder = root.join(format!("shard-{shard}"));
        if folder.is_dir() && Log::exists(&RealDisk::open(&folder)?)? {
            return Ok(shard + 1);
        }
    }
    Ok(1)
}

/// How many shards the folder has; one where nothing is said.
fn recorded(root: &Path, disk: &dyn Disk) -> Result<usize, HostError> {
    let file: PathBuf = root.join(COUNT);
    let opened = match disk.open(COUNT) {
        Ok(opened) => opened,
        Err(DiskError::NotFound { .. }) => return Ok(1),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = vec![0; 64.min(usize::try_from(opened.len()?).unwrap_or(64))];
    opened.read_exact_at(0, &mut bytes)?;
    let text = std::str::from_utf8(&bytes).ok();
    let number = text.and_then(|text| text.strip_prefix(COUNT_HEADER)?.strip_suffix('\n')?.parse().ok());
    match number {
        Some(number) if (1..=MAX_SHARDS).contains(&number) => Ok(number),
        _ => Err(HostError::ShardCount { file, reason: format!("`{COUNT_HEADER}` and a number up to {MAX_SHARDS}") }),
    }
}

/// Notes the number of shards, once all their logs are there.
pub(super) fn record(disk: &dyn Disk, number: usize) -> Result<(), HostError> {
    let unnamed = format!("{COUNT}.new");
    match disk.remove(&unnamed) {
        Ok(()) | Err(DiskError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let file = disk.create(&unnamed)?;
    file.write_all_at(0, format!("{COUNT_HEADER}{number}\n").as_bytes())?;
    file.sync_data()?;
    disk.rename(&unnamed, COUNT)?;
    Ok(disk.sync_folder()?)
}
