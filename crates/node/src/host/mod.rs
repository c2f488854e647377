//! A host: what many chains share, and the chains.

pub(crate) mod begin;
mod builder;
pub(crate) mod checker;
mod company;
mod error;
mod grower;
pub(crate) mod growth;
mod join;
pub(crate) mod line;
mod opening;
mod policy;
pub(crate) mod pool;
pub(crate) mod quota;
mod shard;
pub(crate) mod snapshots;
mod turns;

pub use begin::beginning_records;
pub use builder::{Limits, NodeBuilder};
pub use error::HostError;
pub use growth::{CutStage, Growth, GrowthConfig, GrowthError, GrowthReport, LogCut};
pub use quota::{Quota, QuotaExceeded};
pub use snapshots::{SnapshotConfig, SnapshotReport, snapshot_checkpoint};

use crate::chain::durable::{self, Durable, Line, Logged};
use crate::chain::shell::{Peers, Shell, Signal, Turn};
use crate::chain::stages::Stages;
use crate::chain::{Chain, Shared};
use crate::core::{ChainCore, Event};
use crate::host::line::BlockLine;
use crate::progress::Progress;
use crate::recovery::{GENESIS_RECORD, LoggedChain, RecoveryError};
use crate::value_cache::{CacheBudget, ValueCache};
use checker::{CheckContext, CheckJob, UrgentJob};
use grower::{Grower, Growing};
use ledger_consensus::EngineFactory;
use ledger_core::{ChainId, Executor, Genesis, GenesisError, Height, ValidatorSet, codec, finality};
use ledger_crypto::Verifier;
use ledger_network::{Admission, Observers, Transport};
use ledger_storage::engine::EngineError;
use ledger_storage::log::{LogCounters, LogEnd, LogError, LogWriter, Record, Ticket};
use opening::{Opening, Recovered, Recovery, Taken};
use pool::Pool;
use quota::{Meter, Share, Waiting};
use shard::{Place, Shard};
use snapshots::Snapshots;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks leaves the value whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Open {
    /// Keeps the chain running while nobody else holds a handle on it.
    chain: Chain,
    signals: mpsc::UnboundedSender<Signal>,
    task: JoinHandle<()>,
}

/// What many chains share: logs with one group commit each, the guards of their signers, engines, one pool for
/// signatures, one for execution. A chain of it is a value and a task: it has no thread and no file of its own.
pub struct Host {
    shards: Vec<Shard>,
    executor: Arc<dyn Executor>,
    limits: Limits,
    checks: mpsc::UnboundedSender<CheckJob>,
    urgent: mpsc::UnboundedSender<UrgentJob>,
    pool: Pool,
    /// Puts snapshots together, beside the execution of the chains that are open.
    imports: Pool,
    line: BlockLine,
    caches: Arc<CacheBudget>,
    waiting: Arc<Waiting>,
    transport: Option<Arc<dyn Transport>>,
    open: Mutex<BTreeMap<ChainId, Open>>,
    /// Chains that are being opened right now: two at once would write one chain's views.
    opening: Arc<Mutex<BTreeSet<ChainId>>>,
    /// Keeps the logs small, if they are to be.
    grower: Option<Grower>,
    snapshots: Arc<Snapshots>,
}

impl Host {
    async fn start(
        (places, folder): (Vec<Place>, Option<PathBuf>),
        executor: Arc<dyn Executor>,
        limits: Limits,
        transport: Option<Arc<dyn Transport>>,
    ) -> Result<Self, HostError> {
        limits.policy.check()?;
        let mut opening = Vec::with_capacity(places.len());
        for place in places {
            let config = limits.log.clone();
            let archive = limits.growth.as_ref().map(|growth| growth.archive.clone()).unwrap_or_default();
            opening.push(tokio::task::spawn_blocking(move || Shard::open(place, config, archive)));
        }
        let mut shards = Vec::with_capacity(opening.len());
        for shard in opening {
            shards.push(shard.await.map_err(|error| HostError::Task { task: "log", reason: error.to_string() })??);
        }
        let (checks, jobs) = mpsc::unbounded_channel();
        let verifier = Arc::new(Verifier::new(limits.cached_keys));
        let line = BlockLine::new(limits.blocks_at_once);
        let (urgent, urgent_jobs) = mpsc::unbounded_channel();
        tokio::spawn(checker::run_urgent(urgent_jobs, Arc::clone(&verifier), limits.check_workers / 2));
        tokio::spawn(checker::run(jobs, verifier, limits.check_workers, line.clone()));
        let pool = Pool::spawn(limits.execution_workers)
            .map_err(|error| HostError::Thread { task: "execution", reason: error.to_string() })?;
        let imports =
            Pool::spawn(1).map_err(|error| HostError::Thread { task: "snapshots", reason: error.to_string() })?;
        let caches = CacheBudget::new(limits.value_caches_bytes.max(limits.value_cache_bytes));
        let waiting = Waiting::new(limits.waiting_bytes);
        let (open, opening) = (Mutex::default(), Arc::default());
        let growing = |shard: &Shard| Growing { growth: Arc::clone(&shard.growth), log: Arc::downgrade(&shard.log) };
        let growths = || shards.iter().map(growing).collect();
        let grower = limits.growth.clone().map(|config| Grower::spawn(growths(), config));
        let window = limits.views.state.window_blocks;
        let snapshots = Arc::new(Snapshots::new(folder.as_deref(), limits.snapshots.clone(), window));
        Ok(Host {
            shards,
            executor,
            limits,
            checks,
            urgent,
            pool,
            imports,
            line,
            caches,
            waiting,
            transport,
            open,
            opening,
            grower,
            snapshots,
        })
    }

    /// Why views were thrown away and are replayed from the log, if any were.
    pub fn rebuilt_views(&self) -> Option<&EngineError> {
        self.shards.iter().find_map(|shard| shard.rebuilt.as_ref())
    }

    /// What the logs have done since the start: records, groups, bytes, syncs.
    pub fn log_counters(&self) -> LogCounters {
        let mut sum = LogCounters::default();
        for counters in self.shards.iter().map(|shard| shard.reader.counters()) {
            sum.syncs += counters.syncs;
            sum.groups += counters.groups;
            sum.records += counters.records;
            sum.bytes += counters.bytes;
            sum.segments += counters.segments;
        }
        sum
    }

    /// Syncs of the vote guards' files since the start.
    pub fn guard_syncs(&self) -> u64 {
        self.shards.iter().map(|shard| shard.guards.syncs()).sum()
    }

    /// What was done to keep the logs small, shard by shard.
    pub fn growth(&self) -> Vec<GrowthReport> {
        self.shards.iter().map(|shard| shard.growth.report()).collect()
    }

    /// What was made of a chain for peers that have none of it yet.
    pub fn snapshot_report(&self, chain: &ChainId) -> SnapshotReport {
        self.snapshots.report(chain)
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The chains that the log holds and that aren't open yet, with their height.
    pub fn closed_chains(&self) -> Vec<(Genesis, Height)> {
        let mut chains = Vec::new();
        for shard in &self.shards {
            let logged = lock(&shard.logged);
            chains.extend(logged.values().filter_map(|chain| Some((chain.genesis.clone()?, chain.height()))));
        }
        chains
    }

    /// The chains that can't be opened because the log holds something of theirs that can't be understood, and what.
    pub fn damaged_chains(&self) -> Vec<(ChainId, Arc<RecoveryError>)> {
        let mut chains = Vec::new();
        for shard in &self.shards {
            let logged = lock(&shard.logged);
            chains.extend(logged.iter().filter_map(|(id, chain)| Some((*id, Arc::clone(chain.damage.as_ref()?)))));
        }
        chains
    }

    /// A handle on a chain that is open.
    pub fn open_chain(&self, id: &ChainId) -> Option<Chain> {
        lock(&self.open).get(id).map(|open| open.chain.clone())
    }

    /// The shard that holds a chain, or the one that a new chain of this id goes to.
    fn shard_of(&self, id: &ChainId) -> usize {
        let holds = |shard: &Shard| lock(&shard.logged).contains_key(id);
        self.shards.iter().position(holds).unwrap_or_else(|| {
            // A chain's id is a digest: any part of it is as good as random.
            let number = id.0.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            usize::try_from(number % self.shards.len().max(1) as u64).unwrap_or(0)
        })
    }

    /// Opens the chain of `genesis`, or creates it. Blocks that the views lack are replayed first.
    ///
    /// # Errors
    /// [`HostError`] when the genesis is invalid, the engine can't run it, or what is stored is damaged.
    pub async fn chain(&self, genesis: Genesis, engine: impl EngineFactory + 'static) -> Result<Chain, HostError> {
        self.chain_with(genesis, engine, Observers::None).await
    }

    /// As [`Host::chain`], and says who may follow the chain without being one of its validators.
    ///
    /// # Errors
    /// As [`Host::chain`].
    pub async fn chain_with(
        &self,
        genesis: Genesis,
        engine: impl EngineFactory + 'static,
        observers: Observers,
    ) -> Result<Chain, HostError> {
        genesis.check()?;
        let opening = Arc::new(self.claim(genesis.chain())?);
        self.open(genesis, Box::new(engine), observers, opening).await
    }

    /// Opens or creates a chain that was claimed.
    async fn open(
        &self,
        genesis: Genesis,
        engine: Box<dyn EngineFactory>,
        observers: Observers,
        opening: Arc<Opening>,
    ) -> Result<Chain, HostError> {
        let id = genesis.chain();
        let (index, shard) = self.shard(&id)?;
        let (taken, created) = match Taken::from(shard, &opening) {
            Some(taken) => (taken, None),
            None => {
                let created = append(&shard.log, genesis_record(&genesis)).await?;
                (Taken::new(shard, LoggedChain::new(genesis.clone()), &opening), Some(created))
            }
        };
        let recovery = self.recovery(shard, Arc::new(genesis), taken, engine);
        // A new chain's guard and views are made while its genesis becomes durable: without it they stand for nothing.
        let recovered = blocking("recovery", move || recovery.run()).await;
        let bytes = match created {
            Some(created) => created.await?,
            None => 0,
        };
        let mut recovered = recovered?;
        if let Ok(recovered) = &mut recovered {
            recovered.taken.logged.bytes += bytes;
        }
        self.go_on(index, id, recovered, observers)
    }

    /// Opens a chain that the log holds.
    ///
    /// # Errors
    /// [`HostError::UnknownChain`], [`HostError::Damaged`], or as [`Host::chain`].
    pub async fn reopen(&self, id: ChainId, engine: impl EngineFactory + 'static) -> Result<Chain, HostError> {
        let (_, shard) = self.shard(&id)?;
        let known = lock(&shard.logged).get(&id).map(|chain| (chain.genesis.clone(), chain.damage.clone()));
        match known {
            Some((_, Some(error))) => Err(HostError::Damaged { chain: id, error }),
            Some((Some(genesis), None)) => self.chain(genesis, engine).await,
            _ => Err(HostError::UnknownChain { chain: id }),
        }
    }

    /// Opens all chains that the logs hold and that `engines` gives an engine for, several at once. Nobody but their
    /// validators may follow them.
    ///
    /// What is returned names each chain that was tried; one that can't be opened doesn't keep the others from it.
    pub async fn reopen_all(
        &self,
        mut engines: impl FnMut(&Genesis) -> Option<Box<dyn EngineFactory>>,
    ) -> Vec<(ChainId, Result<Chain, HostError>)> {
        let mut wanted = Vec::new();
        for (index, shard) in self.shards.iter().enumerate() {
            for (id, chain) in lock(&shard.logged).iter() {
                if let Some(factory) = chain.genesis.as_ref().and_then(&mut engines) {
                    wanted.push((index, *id, factory));
                }
            }
        }
        let mut results = Vec::with_capacity(wanted.len());
        let mut under_way: VecDeque<UnderWay> = VecDeque::new();
        let mut wanted = wanted.into_iter();
        loop {
            while under_way.len() < OPENING_AT_ONCE {
                let part: Vec<_> = wanted.by_ref().take(OPENING_TOGETHER).collect();
                if part.is_empty() {
                    break;
                }
                under_way.push_back(self.begin_opening(part, &mut results));
            }
            let Some(UnderWay { chains, task }) = under_way.pop_front() else { return results };
            let recovered = task.await;
            match recovered {
                Ok(recovered) => {
                    for ((index, id), recovered) in chains.into_iter().zip(recovered) {
                        results.push((id, self.go_on(index, id, recovered, Observers::None)));
                    }
                }
                Err(error) => {
                    let failed = |id| (id, Err(HostError::Task { task: "recovery", reason: error.to_string() }));
                    results.extend(chains.into_iter().map(|(_, id)| failed(id)));
                }
            }
        }
    }

    /// Recovers some chains, one after another, in another thread.
    fn begin_opening(
        &self,
        part: Vec<(usize, ChainId, Box<dyn EngineFactory>)>,
        results: &mut Vec<(ChainId, Result<Chain, HostError>)>,
    ) -> UnderWay {
        let (mut chains, mut recoveries) = (Vec::new(), Vec::new());
        for (index, id, factory) in part {
            let begun = self.claim(id).and_then(|opening| {
                let shard = self.shards.get(index).ok_or(HostError::UnknownChain { chain: id })?;
                let taken = Taken::from(shard, &Arc::new(opening)).ok_or(HostError::UnknownChain { chain: id })?;
                let genesis = taken.logged.genesis.clone().ok_or(HostError::UnknownChain { chain: id })?;
                Ok(self.recovery(shard, Arc::new(genesis), taken, factory))
            });
            match begun {
                Ok(recovery) => {
                    chains.push((index, id));
                    recoveries.push(recovery);
                }
                Err(error) => results.push((id, Err(error))),
            }
        }
        let task = tokio::task::spawn_blocking(move || recoveries.into_iter().map(Recovery::run).collect());
        UnderWay { chains, task }
    }

    fn claim(&self, id: ChainId) -> Result<Opening, HostError> {
        let opening = Opening::claim(&self.opening, id)?;
        match lock(&self.open).contains_key(&id) {
            true => Err(HostError::AlreadyOpen { chain: id }),
            false => Ok(opening),
        }
    }

    fn shard(&self, id: &ChainId) -> Result<(usize, &Shard), HostError> {
        let index = self.shard_of(id);
        // There is always one, or the host wouldn't have started.
        self.shards.get(index).map(|shard| (index, shard)).ok_or(HostError::Missing { part: "shard" })
    }

    fn recovery(
        &self,
        shard: &Shard,
        genesis: Arc<Genesis>,
        taken: Taken,
        factory: Box<dyn EngineFactory>,
    ) -> Recovery {
        Recovery {
            genesis,
            taken,
            engine: Arc::clone(&shard.engine),
            executor: Arc::clone(&self.executor),
            reader: shard.reader.clone(),
            archive: shard.growth.archived().clone(),
            guards: shard.guards.clone(),
            views: self.limits.views,
            cache: ValueCache::within(self.limits.value_cache_bytes, &self.caches),
            factory,
        }
    }

    /// Runs a chain that was recovered.
    fn go_on(
        &self,
        index: usize,
        id: ChainId,
        recovered: Result<Recovered, HostError>,
        observers: Observers,
    ) -> Result<Chain, HostError> {
        let shard = self.shards.get(index).ok_or(HostError::UnknownChain { chain: id })?;
        self.run(shard, recovered?, observers)
    }

    fn run(&self, shard: &Shard, recovered: Recovered, observers: Observers) -> Result<Chain, HostError> {
        // What is bound first is dropped last, where the chain can't run after all.
        let Recovered { taken, genesis, applier, start, started, guarded } = recovered;
        let LoggedChain { evidence, policy, bytes, .. } = &taken.logged;
        let (evidence, policy, bytes) = (evidence.clone(), policy.clone(), *bytes);
        let id = genesis.chain();
        let height = start.checkpoint.header.height;
        let reader = applier.reader();
        let checkpoint = Arc::new(start.checkpoint.clone());
        let caught = evidence.len();
        let progress = Progress { ordered: height, executed: height, checkpoint, stopped: None, evidence: caught };
        let evidence = Arc::new(Mutex::new(evidence));
        let peers = self.take_part(&genesis, observers)?;
        let node = peers.as_ref().map(|peers| peers.transport.local());
        let mut core = ChainCore::new(&genesis, node, started.engine, self.limits.core.clone())?;
        if started.signer.is_none() {
            core.follow();
        }
        let (progress, watched) = watch::channel(progress);
        let (signals, received) = mpsc::unbounded_channel();
        let logged = durable_line(shard, id, started.signer, guarded, &signals);
        let (submissions, waiting) = mpsc::channel(self.limits.submissions.max(1));
        let executor = Arc::clone(&self.executor);
        let context = CheckContext {
            chain: id,
            genesis: Arc::clone(&genesis),
            reader: reader.clone(),
            values: applier.cache(),
            executor: Arc::clone(&executor),
            signals: signals.clone(),
        };
        let stages = Stages::new(applier, self.pool.clone(), signals.clone());
        let cut = Arc::new(AtomicU64::new(0));
        let shell = Shell {
            chain: id,
            core,
            stages,
            reader: reader.clone(),
            logged,
            pool: self.pool.clone(),
            line: self.line.clone(),
            turn: Turn::default(),
            log: Arc::clone(&shard.log),
            growth: Arc::clone(&shard.growth),
            snapshots: Arc::clone(&self.snapshots),
            checks: self.checks.clone(),
            urgent: self.urgent.clone(),
            peers,
            evidence: Arc::clone(&evidence),
            context: Arc::new(context),
            submissions: waiting,
            signals: received,
            progress,
            meter: Meter::new(id, self.limits.quota, bytes).less(Arc::clone(&cut)),
            shared_block: self.limits.shared_block_transactions,
            share: Share::new(&self.waiting),
        };
        let task = tokio::spawn(shell.run(Event::Start(start)));
        let growth = Arc::clone(&shard.growth);
        growth.add(id, reader.clone(), policy.unwrap_or_else(|| self.limits.policy.clone()), cut);
        let log = shard.reader.clone();
        let shared = Shared { id, genesis, reader, log, growth, executor, progress: watched, evidence };
        let chain = Chain { shared: Arc::new(shared), submissions };
        let open = Open { chain: chain.clone(), signals, task };
        lock(&self.open).insert(id, open);
        taken.runs();
        Ok(chain)
    }

    /// Takes part in a chain's network, if there is one: its validators are its members.
    fn take_part(&self, genesis: &Genesis, observers: Observers) -> Result<Option<Peers>, HostError> {
        let Some(transport) = &self.transport else { return Ok(None) };
        if genesis.engine.name.as_str() != finality::BFT {
            return Ok(None);
        }
        let validators = ValidatorSet::from_bytes(&genesis.engine.parameters).map_err(|error| {
            GenesisError::EngineParameters { name: genesis.engine.name.clone(), reason: error.to_string() }
        })?;
        let members = validators.as_slice().iter().map(|validator| validator.key).collect();
        let inbox = transport.join(genesis.chain(), Admission { members, observers })?;
        Ok(Some(Peers { transport: Arc::clone(transport), inbox }))
    }

    /// Closes the host: chains take nothing new, what was accepted is ordered, executed and certified, the logs are
    /// closed. Gives the end of the first shard's log. Handles on chains that are still held keep the folder in use.
    ///
    /// # Errors
    /// [`HostError`] when a task has ended badly or the log has failed; what was acknowledged is safe all the same.
    pub async fn shutdown(self) -> Result<LogEnd, HostError> {
        let open = std::mem::take(&mut *lock(&self.open));
        let mut waiting = Vec::new();
        for Open { chain, signals, task } in open.into_values() {
            let (done, closed) = oneshot::channel();
            // A chain whose task has ended is closed already.
            let _ = signals.send(Signal::Close(done));
            drop((chain, signals));
            waiting.push((closed, task));
        }
        let mut failed = None;
        for (closed, task) in waiting {
            // An error here means that the task has ended, which the next line waits for.
            let _ = closed.await;
            if let Err(error) = task.await {
                failed = Some(HostError::Task { task: "chain", reason: error.to_string() });
            }
        }
        // What a last block held of the folder would keep it in use.
        let pools = [self.pool, self.imports];
        blocking("execution", move || pools.iter().for_each(Pool::drain)).await?;
        if let Some(grower) = self.grower {
            grower.end().await;
        }
        let snapshots = self.snapshots;
        blocking("snapshots", move || snapshots.end()).await?;
        let mut end = LogEnd { records: 0, segment: 0, offset: 0 };
        for (number, shard) in self.shards.into_iter().enumerate() {
            match blocking("log", move || shard.close()).await? {
                Ok(closed) if number == 0 => end = closed,
                Ok(_) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(end),
        }
    }
}

/// How long a log with a full queue is left alone before it is asked again.
pub(crate) const BUSY_FOR: Duration = Duration::from_millis(1);

/// Chains that are recovered in one go of another thread.
const OPENING_TOGETHER: usize = 64;

/// Such goes at once.
const OPENING_AT_ONCE: usize = 4;

struct UnderWay {
    chains: Vec<(usize, ChainId)>,
    task: JoinHandle<Vec<Result<Recovered, HostError>>>,
}

/// Where a chain's groups go when they are durable: to the shard's keeper, unless its signer has a guard of its own.
fn durable_line(
    shard: &Shard,
    chain: ChainId,
    signer: Option<ledger_consensus::SharedSigner>,
    guarded: bool,
    signals: &mpsc::UnboundedSender<Signal>,
) -> Durable {
    match signer {
        Some(signer) if !guarded => {
            let (task, groups) = mpsc::unbounded_channel::<Logged>();
            tokio::spawn(durable::run_alone(signer, groups, signals.clone()));
            Durable::Alone(task)
        }
        signer => {
            let line = Line { chain, signer, signals: signals.clone() };
            Durable::Shared(shard.keeper.sender(), Arc::new(line))
        }
    }
}

fn genesis_record(genesis: &Genesis) -> Record {
    Record { chain: genesis.chain().0, kind: GENESIS_RECORD, height: 0, bytes: codec::encode(genesis) }
}

/// Hands records to the log. While its queue is full this waits.
pub(crate) async fn submit(log: &LogWriter, records: Vec<Record>) -> Result<Ticket, LogError> {
    loop {
        match log.submit(records.clone()) {
            Err(LogError::Busy { .. }) => tokio::time::sleep(BUSY_FOR).await,
            done => return done,
        }
    }
}

/// Writes a record to the log. What is returned ends when it is durable, with the bytes that it takes there.
async fn append(
    log: &LogWriter,
    record: Record,
) -> Result<impl Future<Output = Result<u64, HostError>> + Send + use<>, HostError> {
    let ticket = submit(log, vec![record]).await?;
    let (sender, receiver) = oneshot::channel();
    ticket.on_done(move |outcome| {
        // Whoever waited may have gone.
        let _ = sender.send(outcome);
    });
    let task = |error: oneshot::error::RecvError| HostError::Task { task: "log", reason: error.to_string() };
    Ok(async move {
        let positions = receiver.await.map_err(task)??;
        Ok(positions.iter().map(|position| u64::from(position.length)).sum())
    })
}

async fn blocking<T: Send + 'static>(
    task: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HostError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| HostError::Task { task, reason: error.to_string() })
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}
