//! Composing a node: disk, engine, runtimes, limits, one line each.

use super::{Host, HostError};
use crate::apply::DEFAULT_VALUE_CACHE_BYTES;
use crate::core::CoreConfig;
use ledger_contracts::{LedgerExecutor, Runtime};
use ledger_core::Executor;
use ledger_crypto::Verifier;
use ledger_network::Transport;
use ledger_storage::chain::ChainConfig;
use ledger_storage::disk::{Disk, RealDisk};
use ledger_storage::engine::{Engine, EngineError, FjallConfig, FjallEngine, MemoryEngine};
use ledger_storage::log::LogConfig;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of the views' folder in a data folder.
const VIEWS: &str = "views";

/// A host's bounds, each with a default that works.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Each chain's core: mempool, pipeline, block interval.
    pub core: CoreConfig,
    /// The log.
    pub log: LogConfig,
    /// Each chain's views.
    pub views: ChainConfig,
    /// Each chain's memory for values that were read or written lately, in bytes (default 64 MiB). It pays while it
    /// holds most of what is used: about 300 bytes a key and value, twice that at the most.
    pub value_cache_bytes: usize,
    /// Submissions of a chain that wait to be taken up before clients wait (default 4,096).
    pub submissions: usize,
    /// Decompressed public keys that are kept (default 65,536, about 16 MiB).
    pub cached_keys: usize,
    /// Threads that check signatures at once (default: as many as there are cores).
    pub check_workers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            core: CoreConfig::default(),
            log: LogConfig::default(),
            views: ChainConfig::default(),
            value_cache_bytes: DEFAULT_VALUE_CACHE_BYTES,
            submissions: 4_096,
            cached_keys: Verifier::DEFAULT_CAPACITY,
            check_workers: std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
        }
    }
}

/// Composes a [`Host`]. Without a disk and an engine it doesn't start: where records are kept is never a default.
#[derive(Default)]
pub struct NodeBuilder {
    disk: Option<Arc<dyn Disk>>,
    engine: Option<Arc<dyn Engine>>,
    contracts: LedgerExecutor,
    executor: Option<Arc<dyn Executor>>,
    limits: Limits,
    rebuilt: Option<EngineError>,
    transport: Option<Arc<dyn Transport>>,
}

impl NodeBuilder {
    /// A builder with default limits and nothing else.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps log and guards on `disk`.
    #[must_use]
    pub fn disk(mut self, disk: impl Disk + 'static) -> Self {
        self.disk = Some(Arc::new(disk));
        self
    }

    /// Keeps the views in `engine`.
    #[must_use]
    pub fn engine(mut self, engine: impl Engine + 'static) -> Self {
        self.engine = Some(Arc::new(engine));
        self
    }

    /// Keeps the views in memory: they are replayed from the log at every start.
    #[must_use]
    pub fn memory_engine(self) -> Self {
        self.engine(MemoryEngine::default())
    }

    /// Keeps everything in `folder`: the log on a [`RealDisk`], the views in a [`FjallEngine`] below it. Views that
    /// can't be opened are removed; they are replayed from the log.
    ///
    /// # Errors
    /// [`HostError`] when the folder is in use, or can't be read or written.
    pub fn folder(self, folder: impl AsRef<Path>) -> Result<Self, HostError> {
        let disk = RealDisk::open(&folder)?;
        let (engine, rebuilt) = open_views(&folder.as_ref().join(VIEWS))?;
        let mut builder = self.disk(disk).engine(engine);
        builder.rebuilt = rebuilt;
        Ok(builder)
    }

    /// Lets contracts for `runtime` be deployed and called.
    #[must_use]
    pub fn runtime(mut self, runtime: impl Runtime + 'static) -> Self {
        self.contracts = self.contracts.with(runtime);
        self
    }

    /// Executes with an executor of the builder's own instead of the contract runtimes.
    #[must_use]
    pub fn executor(mut self, executor: impl Executor + 'static) -> Self {
        self.executor = Some(Arc::new(executor));
        self
    }

    /// Connects the host to its peers: all its chains share this transport. Without one, its chains are alone.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Sets the bounds.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Opens or creates the log, reads it through, and starts the host. Chains are opened one by one afterwards.
    ///
    /// # Errors
    /// [`HostError`] names what is missing, or what can't be opened.
    pub async fn start(self) -> Result<Host, HostError> {
        let disk = self.disk.ok_or(HostError::Missing { part: "disk" })?;
        let engine = self.engine.ok_or(HostError::Missing { part: "engine" })?;
        let executor = match self.executor {
            Some(executor) => executor,
            None => Arc::new(self.contracts),
        };
        Host::start(disk, engine, executor, self.limits, self.rebuilt, self.transport).await
    }
}

/// Opens the views; what can't be opened is removed and made anew, since the log has everything.
fn open_views(folder: &PathBuf) -> Result<(FjallEngine, Option<EngineError>), HostError> {
    let damage = match FjallEngine::open(folder, FjallConfig::default()) {
        Ok(engine) => return Ok((engine, None)),
        Err(error) => error,
    };
    std::fs::remove_dir_all(folder)
        .map_err(|source| HostError::Views { folder: folder.clone(), reason: source.to_string() })?;
    Ok((FjallEngine::open(folder, FjallConfig::default())?, Some(damage)))
}

impl std::fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeBuilder").field("limits", &self.limits).finish_non_exhaustive()
    }
}
