//! Composing a node: disk, engine, runtimes, limits, one line each.

use super::growth::GrowthConfig;
use super::shard::{self, MAX_SHARDS, Place};
use super::{Host, HostError, Quota, SnapshotConfig};
use crate::apply::DEFAULT_VALUE_CACHE_BYTES;
use crate::core::CoreConfig;
use crate::core::join::JoinConfig;
use crate::retention::ChainPolicy;
use ledger_contracts::{LedgerExecutor, Runtime};
use ledger_core::Executor;
use ledger_crypto::Verifier;
use ledger_network::Transport;
use ledger_storage::chain::ChainConfig;
use ledger_storage::disk::{Disk, RealDisk};
use ledger_storage::engine::{Engine, EngineError, MemoryEngine};
use ledger_storage::log::LogConfig;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// The memory for such values of all chains together, in bytes (default 256 MiB; never less than one chain's). The
    /// chains that have not executed anything for longest give theirs up first.
    pub value_caches_bytes: usize,
    /// The memory that waiting transactions of all chains may take together, in bytes (default 1 GiB). When it is full,
    /// chains that hold more than an equal part of it take no more; the others do.
    pub waiting_bytes: usize,
    /// The most transactions that this node puts into a block while the host has more than one chain open (default
    /// 256; a quarter of it while the chain is flooded and another isn't): all of them wait while a block of one is made,
    /// written and executed.
    pub shared_block_transactions: usize,
    /// How many chains of one owner may have blocks under way at once (default: 32 for each core). The others line up, and
    /// what comes in for them meanwhile goes into one block: a block costs as much as several transactions, however few
    /// it holds.
    pub blocks_at_once: usize,
    /// What each chain may take (default: no bound).
    pub quota: Quota,
    /// Threads that execute blocks (default: as many as there are cores). Each chain has one block under execution at
    /// the most.
    pub execution_workers: usize,
    /// Submissions of a chain that wait to be taken up before clients wait (default 4,096).
    pub submissions: usize,
    /// Decompressed public keys that are kept (default 65,536, about 16 MiB).
    pub cached_keys: usize,
    /// How the host is kept small; none (the default) keeps every log whole.
    pub growth: Option<GrowthConfig>,
    /// What is kept of a chain for which nothing else is said with [`Host::set_policy`] (default: everything).
    pub policy: ChainPolicy,
    /// Snapshots for peers that have none of a chain yet.
    pub snapshots: SnapshotConfig,
    /// Bounds and patience of [`Host::join`].
    pub join: JoinConfig,
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
            value_caches_bytes: 256 << 20,
            waiting_bytes: 1 << 30,
            shared_block_transactions: 256,
            blocks_at_once: 32 * cores(),
            quota: Quota::default(),
            execution_workers: cores(),
            submissions: 4_096,
            cached_keys: Verifier::DEFAULT_CAPACITY,
            growth: None,
            policy: ChainPolicy::default(),
            snapshots: SnapshotConfig::default(),
            join: JoinConfig::default(),
            check_workers: cores(),
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
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
    folder: Option<PathBuf>,
    shards: usize,
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

    /// Keeps everything in `folder`: the log on a [`RealDisk`], the views in a [`FjallEngine`](ledger_storage::engine::FjallEngine) below it. Views that
    /// are damaged or of another format are removed and replayed from the log; where it was cut, or a chain began from a
    /// snapshot, they are set aside.
    ///
    /// # Errors
    /// [`HostError`] when the folder or the views are in use, or can't be read or written.
    pub fn folder(self, folder: impl AsRef<Path>) -> Result<Self, HostError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&folder)?);
        let (engine, rebuilt) = shard::open_views(folder.as_ref(), &disk)?;
        let mut builder = self.engine(engine);
        builder.disk = Some(disk);
        builder.rebuilt = rebuilt;
        builder.folder = Some(folder.as_ref().to_path_buf());
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

    /// Keeps the chains in so many shards (default 1, at most 64), each with a log, an engine and a group commit of its
    /// own: the first in the folder given with [`folder`](Self::folder) itself, the others in `shard-1`, `shard-2`, …
    /// below it. A new chain goes to a shard by its id and stays there; a folder can be opened again with as many shards
    /// or more.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards;
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
    /// Blocks are executed on threads of the host's own. Those that a start has to execute again are on the tokio runtime's
    /// threads for blocking work, which need [`EXECUTION_STACK_BYTES`](ledger_contracts::EXECUTION_STACK_BYTES) of stack: tokio's
    /// default, unless `RUST_MIN_STACK` or `thread_stack_size` says less.
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
        let shards = self.shards.clamp(1, MAX_SHARDS);
        let more = match &self.folder {
            Some(folder) => shard::open_more(folder, &*disk, shards)?,
            None if shards > 1 => return Err(HostError::Missing { part: "folder, which several shards need" }),
            None => Vec::new(),
        };
        let grown = more.iter().any(|place| !place.exists);
        let counted = Arc::clone(&disk);
        let mut places = vec![Place { disk, engine, rebuilt: self.rebuilt, exists: false }];
        places.extend(more);
        let host = Host::start((places, self.folder), executor, self.limits, self.transport).await?;
        if grown {
            shard::record(&*counted, shards)?;
        }
        Ok(host)
    }
}

impl std::fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeBuilder").field("limits", &self.limits).finish_non_exhaustive()
    }
}
